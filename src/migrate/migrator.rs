//! All databases of an environment, in the order of the file. Imports `ports`,
//! `model`. Stateless: plans and runs hold no connection between them.

use std::sync::Arc;

use async_trait::async_trait;
use futures_util::future::join_all;

use crate::model::fault::{Fault, FaultKind};
use crate::model::image::PinnedImage;
use crate::model::migration::{
    DatabaseReport, MigrationFailure, MigrationPlan, MigrationReport, MigrationRequest,
};
use crate::model::names::DatabaseName;
use crate::model::project::{DatabaseSpec, Environment};
use crate::model::release::ReleaseId;
use crate::ports::{
    Connections, ContainerRunner, Cx, Databases, Engine, HostLink, Job, Migrator, Which,
};

use super::health::{self, Moment, Seen};
use super::registry::Registry;
use super::safeguard::{self, Safeguard, Taken};
use super::step::{self, Entry, in_database};
use super::words;

/// What a migrator works with.
#[derive(Clone)]
pub struct Tools {
    pub databases: Arc<dyn Databases>,
    pub registry: Arc<Registry>,
    pub values: Arc<dyn Connections>,
    pub runner: Arc<dyn ContainerRunner>,
    pub link: Arc<dyn HostLink>,
    /// `None`: for databases that nobody needs a copy of.
    pub safeguard: Option<Arc<Safeguard>>,
}

/// The migrator of one environment.
#[must_use]
pub fn migrator(environment: Arc<Environment>, tools: Tools) -> Arc<dyn Migrator> {
    migrator_on(Which::Configured, environment, tools)
}

/// The migrator of one environment, on another database of each server.
pub(super) fn migrator_on(
    which: Which,
    environment: Arc<Environment>,
    tools: Tools,
) -> Arc<dyn Migrator> {
    Arc::new(All {
        which,
        environment,
        tools,
    })
}

struct All {
    which: Which,
    environment: Arc<Environment>,
    tools: Tools,
}

#[async_trait]
impl Migrator for All {
    async fn plan(&self, cx: &Cx, request: &MigrationRequest) -> Result<Vec<MigrationPlan>, Fault> {
        let wanted = self.wanted(&request.databases)?;
        let plans = wanted.into_iter().map(|database| async move {
            let engine = self.engine(database)?;
            let job = self.job(
                database,
                [&request.image, &request.files].map(Option::as_ref),
                None,
            );
            engine
                .plan(&cx.on_database(&database.name), &job, request)
                .await
                .map_err(|fault| {
                    let what = "cannot plan the migrations of";
                    reachable(in_database(fault, &database.name, what), database)
                })
        });
        // Every database answers before the first error is returned: no
        // session is dropped in the middle of a question.
        join_all(plans).await.into_iter().collect()
    }

    async fn run(
        &self,
        cx: &Cx,
        plans: &[MigrationPlan],
        image: Option<&PinnedImage>,
        release: &ReleaseId,
    ) -> Result<MigrationReport, MigrationFailure> {
        let stopped = |fault| MigrationFailure {
            fault,
            report: whole(plans, MigrationReport::default()),
        };
        if let Some(fault) = refused(plans) {
            return Err(stopped(fault));
        }
        let busy = |plan: &MigrationPlan| !plan.selected.is_empty();
        // What this release applied before it was cut off, and nobody looked at
        // afterwards.
        let settled = |plan: &MigrationPlan| !busy(plan) && plan.done_by(release).next().is_some();
        let entries = self.entries(plans, busy, image, release);
        let entries = entries.map_err(stopped)?;
        let settled = self.entries(plans, settled, image, release);
        let settled = settled.map_err(stopped)?;
        let locked = step::lock(cx, &entries).await.map_err(stopped)?;
        // Here every database is locked and as planned, and none is changed yet:
        // the place of what must be true of all of them first.
        let looked = self.look(cx, entries.iter(), Moment::Before).await;
        let before = looked.map_err(|fault| stopped(fault.state("no database was changed")))?;
        if let Some(fault) = health::refusal(&before) {
            return Err(seen(stopped(fault), before, Seen::default()));
        }
        let copied = self.copy(cx, &entries).await;
        let taken = match copied {
            Ok(taken) => taken,
            Err(fault) => return Err(seen(stopped(fault), before, Seen::default())),
        };
        // The locks are freed when everything was looked at once more.
        let mut kept = vec![];
        let applied = match locked.apply(cx, &mut kept).await {
            Ok(report) => whole(plans, report),
            Err(failure) => {
                let report = whole(plans, failure.report);
                let fault = failure.fault;
                let failure = MigrationFailure { fault, report };
                drop(kept);
                let failure = self.undo(cx, &entries, &taken, failure, &[]).await;
                return Err(seen(failure, before, Seen::default()));
            }
        };
        let failed = |fault, report| MigrationFailure { fault, report };
        let all = entries.iter().chain(&settled);
        let after = match self.look(cx, all, Moment::After).await {
            Ok(after) => after,
            Err(fault) => {
                let fault = fault.state("the migrations are applied and stay");
                return Err(seen(failed(fault, applied), before, Seen::default()));
            }
        };
        match health::unsound(&after) {
            Some(fault) => {
                drop(kept);
                let failure = failed(fault, applied);
                let bad = health::unhealthy(&after);
                let failure = self.undo(cx, &entries, &taken, failure, &bad).await;
                Err(seen(failure, before, after))
            }
            None => {
                if let Some(guard) = &self.tools.safeguard {
                    guard.after(cx, &self.environment, &taken).await;
                }
                let applied = safeguard::with_backups(applied, &taken);
                Ok(with_health(applied, before, after))
            }
        }
    }
}

impl All {
    /// The databases of these plans.
    fn entries<'a>(
        &'a self,
        plans: &'a [MigrationPlan],
        wanted: impl Fn(&MigrationPlan) -> bool,
        image: Option<&'a PinnedImage>,
        release: &'a ReleaseId,
    ) -> Result<Vec<Entry<'a>>, Fault> {
        let wanted = plans.iter().filter(|plan| wanted(plan));
        let entries = wanted.map(|plan| {
            let database = self.environment.databases.get(&plan.database);
            let database = database.ok_or_else(|| {
                Fault::refused(format!("there is no database `{}` any more", plan.database))
            })?;
            Ok(Entry {
                engine: self.engine(database)?.as_ref(),
                job: self.job(database, [image, image], Some(release)),
                plan,
            })
        });
        entries.collect()
    }

    /// The backups that the configuration asks for.
    async fn copy(&self, cx: &Cx, entries: &[Entry<'_>]) -> Result<Vec<Taken>, Fault> {
        match (&self.tools.safeguard, &self.which) {
            (Some(guard), Which::Configured) => guard.before(cx, &self.environment, entries).await,
            // A scratch database is nobody's.
            (None, _) | (_, Which::Other(_)) => Ok(vec![]),
        }
    }

    /// What the configuration asks for after a failure; `bad`: the databases
    /// that are unwell although everything was applied.
    async fn undo(
        &self,
        cx: &Cx,
        entries: &[Entry<'_>],
        taken: &[Taken],
        failure: MigrationFailure,
        bad: &[DatabaseName],
    ) -> MigrationFailure {
        match &self.tools.safeguard {
            Some(guard) => {
                let environment = &self.environment;
                guard
                    .after_failure(cx, environment, entries, taken, failure, bad)
                    .await
            }
            None => failure,
        }
    }

    /// Looks at these databases, unless that was switched off, and says what
    /// it saw.
    async fn look<'a>(
        &self,
        cx: &Cx,
        entries: impl Iterator<Item = &'a Entry<'a>>,
        moment: Moment,
    ) -> Result<Seen, Fault> {
        let asked = match moment {
            Moment::Before => self.environment.health_before,
            Moment::After => self.environment.health_after,
        };
        // A scratch database is nobody's: the application need not get in.
        if !asked || self.which != Which::Configured {
            return Ok(Seen::default());
        }
        // Where the tool alone connects, its database may be of any kind.
        let ours = entries.filter(|entry| entry.engine.needs().connection);
        let at: Vec<_> = ours.map(|entry| (&entry.job, entry.plan)).collect();
        let seen = health::look(cx, self.tools.databases.as_ref(), &at, moment).await?;
        health::tell(cx, &seen);
        Ok(seen)
    }

    fn wanted(&self, names: &[DatabaseName]) -> Result<Vec<&DatabaseSpec>, Fault> {
        let databases = &self.environment.databases;
        if let Some(name) = names.iter().find(|name| !databases.contains_key(*name)) {
            let known = databases.keys().map(DatabaseName::as_str);
            return Err(
                Fault::config(format!("there is no database `{name}`")).hint(format!(
                    "known, nearest first: {}",
                    words::list(&words::nearest(name.as_str(), known))
                )),
            );
        }
        let all = databases.values();
        Ok(all
            .filter(|database| names.is_empty() || names.contains(&database.name))
            .collect())
    }

    fn engine(&self, database: &DatabaseSpec) -> Result<&Arc<dyn Engine>, Fault> {
        self.tools
            .registry
            .get(&database.migrations.engine)
            .map_err(|error| Fault::config(error.to_string()))
    }

    fn job<'a>(
        &'a self,
        database: &'a DatabaseSpec,
        [image, files]: [Option<&'a PinnedImage>; 2],
        release: Option<&'a ReleaseId>,
    ) -> Job<'a> {
        Job {
            environment: &self.environment,
            database,
            host: &self.environment.primary().address,
            image,
            files,
            release,
            which: self.which.clone(),
            values: self.tools.values.as_ref(),
            runner: self.tools.runner.as_ref(),
            link: self.tools.link.as_ref(),
        }
    }
}

/// What to look at when a database gave no session.
fn reachable(fault: Fault, database: &DatabaseSpec) -> Fault {
    if fault.kind != FaultKind::Unreachable || !fault.hints.is_empty() {
        return fault;
    }
    let named = database.direct_connection_env.as_ref();
    let Some(variable) = named.or(database.connection_env.as_ref()) else {
        return fault;
    };
    fault.hint(format!(
        "see whether it runs, and whether `{variable}` has the right address, name and login"
    ))
}

/// All plans have to be free of refusals before the first database is touched.
fn refused(plans: &[MigrationPlan]) -> Option<Fault> {
    let plan = plans.iter().find(|plan| !plan.refusals.is_empty())?;
    let what = format!("the migrations of `{}` may not run", plan.database);
    let fault = plan
        .refusals
        .iter()
        .fold(Fault::refused(what), |fault, why| fault.because(why));
    Some(fault.state("no database was touched"))
}

/// A report on every plan, in their order: those that nothing was done with too.
fn whole(plans: &[MigrationPlan], mut report: MigrationReport) -> MigrationReport {
    let databases = plans.iter().map(|plan| {
        let done = report
            .databases
            .iter()
            .position(|done| done.database == plan.database);
        done.map_or_else(
            || DatabaseReport::untouched(plan),
            |index| report.databases.swap_remove(index),
        )
    });
    MigrationReport {
        databases: databases.collect(),
        backups: report.backups,
    }
}

fn seen(failure: MigrationFailure, before: Seen, after: Seen) -> MigrationFailure {
    MigrationFailure {
        report: with_health(failure.report, before, after),
        ..failure
    }
}

fn with_health(mut report: MigrationReport, mut before: Seen, mut after: Seen) -> MigrationReport {
    for database in &mut report.databases {
        database.health_before = before.shift_remove(&database.database);
        database.health_after = after.shift_remove(&database.database);
    }
    report
}
