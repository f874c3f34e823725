//! Migrations on a copy first: applied and timed, then looked at again to see
//! that nothing is left to do. Imports `ports`, `model`.
//!
//! The copy is the database itself where it can be copied as a whole
//! (PostgreSQL while nobody else is connected, SQLite), else an empty one that
//! the applied files brought to the same point: that proves the files, but
//! their times say nothing. Or it is what a backup restores, brought to the
//! point of today by what was applied since. Invariant: the database itself is
//! only read.

mod times;

use std::collections::HashSet;

use serde::Serialize;

use crate::model::backup::{BackupId, BackupRecord};
use crate::model::fault::{Fault, FaultKind};
use crate::model::migration::{MigrationOutcome, MigrationPlan, MigrationRequest, MigrationState};
use crate::model::names::{DatabaseName, EnvironmentName};
use crate::model::release::ReleaseId;
use crate::ports::{Backups, Cx, Database, Dialect, SessionOptions, Who};

use super::Tools;
use super::scratch::{self, Filled, Origin, Purpose, Scratch};
use super::snapshot::{self, Change, Snapshot};
use super::words;

pub use times::{rehearsed, remember};

/// What a rehearsal is made of.
#[derive(Clone, Copy)]
pub enum Start<'a> {
    /// The database itself, where that is possible.
    Copy,
    Backup(&'a dyn Backups, &'a BackupRecord),
    /// The applied files.
    Empty,
}

/// What it showed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Rehearsal {
    pub database: DatabaseName,
    /// A copy of the database; else it was made from the applied files.
    pub copied: bool,
    /// The backup that the copy was restored from.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub backup: Option<BackupId>,
    /// Why it was not copied.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// About as many rows as the copy holds, where the server knows.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rows: Option<u64>,
    pub migrations: Vec<Timed>,
    /// Where the files alone do not make what the database has.
    pub differences: Vec<Change>,
    /// Of the copy, with everything applied.
    pub fingerprint: String,
}

/// One migration, and how long it took.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Timed {
    pub id: String,
    pub checksum: String,
    pub ms: u64,
}

/// Rehearses what `plan` would run on its database.
///
/// # Errors
/// Refused, where a migration fails on the copy or leaves something to do; a
/// copy that cannot be made.
pub async fn rehearse(
    tools: &Tools,
    cx: &Cx,
    environment: &crate::model::project::Environment,
    plan: &MigrationPlan,
    start: Start<'_>,
    release: &ReleaseId,
) -> Result<Rehearsal, Fault> {
    let database = &plan.database;
    let work = async |scratch: &Scratch, filled: Filled| {
        let stage = Stage {
            cx,
            scratch,
            plan,
            release,
        };
        let done = stage.rehearse(filled, tools).await;
        done.map_err(|fault| found(fault, database, &environment.name))
    };
    let origin = match start {
        Start::Copy => Some(Origin::Database),
        Start::Backup(backups, backup) => Some(Origin::Backup(backups, backup)),
        Start::Empty => None,
    };
    match origin {
        Some(origin) => {
            let purpose = Purpose::Rehearse;
            scratch::within_filled(tools, cx, environment, database, purpose, origin, work).await
        }
        None => {
            let empty = Filled::Empty("`--empty` was given".to_owned());
            let work = async |scratch: &Scratch| work(scratch, empty).await;
            let purpose = Purpose::Rehearse;
            scratch::within(tools, cx, environment, database, purpose, work).await
        }
    }
}

/// A failure on the copy is a finding.
fn found(mut fault: Fault, database: &DatabaseName, environment: &EnvironmentName) -> Fault {
    if fault.kind == FaultKind::Failed {
        fault.kind = FaultKind::Refused;
    }
    // What stayed applied did so in the copy, which is gone; the commands would
    // run on the database itself.
    fault.hints.retain(|hint| !hint.contains("migrate run"));
    fault.state.clear();
    fault
        .state(format!("`{database}` itself was only read"))
        .hint(format!(
            "mend it, then try again: `stagecraft migrate rehearse --env {environment} --database {database}`"
        ))
}

struct Stage<'a> {
    cx: &'a Cx,
    scratch: &'a Scratch,
    plan: &'a MigrationPlan,
    release: &'a ReleaseId,
}

impl Stage<'_> {
    async fn rehearse(&self, filled: Filled, tools: &Tools) -> Result<Rehearsal, Fault> {
        let (backup, reason) = match filled {
            Filled::Copied => (None, None),
            Filled::Restored(backup) => (Some(backup), None),
            Filled::Empty(reason) => (None, Some(reason)),
        };
        let mut differences = vec![];
        if reason.is_some() || backup.is_some() {
            self.apply(&self.applied()).await?;
        }
        if reason.is_some() {
            let here = self.look(&mut *self.open(&tools.databases).await?).await?;
            differences = here.diff(&self.original(tools).await?);
        }
        let mut session = self.open(&tools.databases).await?;
        let rows = match &backup {
            // The server has no statistics of what was restored just now.
            Some(backup) => backup.rows.total(),
            None => rows(session.as_mut()).await?,
        };
        drop(session);
        let migrations = self.apply(&self.plan.selected).await?;
        let left = self.planned().await?;
        if let Some(refusal) = left.refusals.first() {
            return Err(self.unsettled(refusal.clone()));
        }
        let wanted: HashSet<&String> = self.plan.selected.iter().collect();
        if let Some(id) = left.selected.iter().find(|id| wanted.contains(id)) {
            return Err(self.unsettled(format!("`{id}` is still pending")));
        }
        let mut session = self.open(&tools.databases).await?;
        Ok(Rehearsal {
            database: self.plan.database.clone(),
            copied: reason.is_none(),
            backup: backup.map(|backup| backup.id),
            reason,
            rows,
            migrations,
            differences,
            fingerprint: self.look(session.as_mut()).await?.fingerprint(),
        })
    }

    fn unsettled(&self, why: String) -> Fault {
        Fault::refused(format!(
            "the migrations of `{}` are not settled after they ran",
            self.plan.database
        ))
        .because(why)
    }

    /// What the database has already, in running order.
    fn applied(&self) -> Vec<String> {
        let all = self.plan.migrations.iter();
        all.filter(|migration| matches!(migration.state, MigrationState::Applied { .. }))
            .map(|migration| migration.id.clone())
            .collect()
    }

    async fn planned(&self) -> Result<MigrationPlan, Fault> {
        let request = MigrationRequest {
            databases: vec![self.plan.database.clone()],
            allow_out_of_order: true,
            ..MigrationRequest::default()
        };
        let plans = self.scratch.migrator().plan(self.cx, &request).await?;
        let mut plans = plans.into_iter();
        plans
            .next()
            .ok_or_else(|| Fault::internal("a scratch database without a plan"))
    }

    /// Runs these and no others in the copy.
    async fn apply(&self, ids: &[String]) -> Result<Vec<Timed>, Fault> {
        if ids.is_empty() {
            return Ok(vec![]);
        }
        let mut plan = self.planned().await?;
        plan.selected.retain(|id| ids.contains(id));
        let ran = self
            .scratch
            .migrator()
            .run(self.cx, &[plan], None, self.release)
            .await;
        let report = ran.map_err(|failure| failure.fault)?;
        let done = report.results();
        Ok(done
            .filter(|result| result.outcome == MigrationOutcome::Applied)
            .map(|result| Timed {
                id: result.id.clone(),
                checksum: result.checksum.clone(),
                ms: result.duration_ms,
            })
            .collect())
    }

    async fn open(
        &self,
        databases: &std::sync::Arc<dyn crate::ports::Databases>,
    ) -> Result<Box<dyn Database>, Fault> {
        let job = self.scratch.job()?;
        let which = self.scratch.which().clone();
        databases.open(self.cx, &job, &reading(&job, which)).await
    }

    async fn look(&self, database: &mut dyn Database) -> Result<Snapshot, Fault> {
        snapshot::take(database).await
    }

    /// What the database itself looks like.
    async fn original(&self, tools: &Tools) -> Result<Snapshot, Fault> {
        let mut original = self.scratch.original(&tools.databases, self.cx).await?;
        self.look(original.as_mut()).await
    }
}

fn reading(job: &crate::ports::Job<'_>, which: crate::ports::Which) -> SessionOptions {
    let spec = &job.database.migrations;
    SessionOptions {
        lock_timeout: spec.lock_timeout,
        statement_timeout: spec.statement_timeout,
        session_sql: vec![],
        application_name: "stagecraft/rehearse".to_owned(),
        read_only: true,
        who: Who::Migrator,
        which,
    }
}

/// As many as the server's statistics say.
async fn rows(database: &mut dyn Database) -> Result<Option<u64>, Fault> {
    let sql = match database.dialect() {
        Dialect::Postgres => {
            "SELECT sum(greatest(reltuples, 0))::bigint::text FROM pg_catalog.pg_class c \
             JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace \
             WHERE c.relkind = 'r' AND n.nspname !~ '^pg_' AND n.nspname <> 'information_schema'"
        }
        Dialect::Mysql => {
            "SELECT CAST(sum(table_rows) AS CHAR) FROM information_schema.tables \
             WHERE table_schema = DATABASE()"
        }
        Dialect::Sqlite => return Ok(None),
    };
    let answer = database.query(sql).await?.into_iter().next().flatten();
    Ok(answer.and_then(|text| text.parse().ok()))
}

impl Rehearsal {
    /// For people.
    #[must_use]
    pub fn text(&self) -> String {
        let copy = match &self.backup {
            Some(backup) => format!("on what {backup} restores"),
            None => "on a copy".to_owned(),
        };
        let on = match (&self.reason, self.rows) {
            (None, Some(rows)) => format!("{copy} (about {rows} rows)"),
            (None, None) => copy,
            (Some(reason), _) => format!("on a database made from the applied files: {reason}"),
        };
        let mut lines = vec![match self.migrations.len() {
            0 => format!("{}  nothing is pending: looked at it {on}", self.database),
            count => {
                let count = words::plural(count, "migration");
                format!("{}  {count} {on}", self.database)
            }
        }];
        for one in &self.migrations {
            lines.push(format!("  {}  {} ms", one.id, one.ms));
        }
        if !self.migrations.is_empty() {
            lines.push("  a second run had nothing to do".to_owned());
        }
        if !self.differences.is_empty() {
            lines.push(format!(
                "  the applied files do not make what `{}` has: {}",
                self.database,
                words::plural(self.differences.len(), "difference")
            ));
            lines.extend(self.differences.iter().map(|one| format!("    {one}")));
        }
        lines.join("\n")
    }
}
