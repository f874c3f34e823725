//! Taking in a database that was made without Stagecraft: rows without runs.
//! Imports `ports`, `model` and `migrate`'s pure parts.
//!
//! Invariant: nothing is marked that was not shown, and nothing at all where
//! the rows say something else already.

use chrono::{SecondsFormat, Utc};
use serde::Serialize;

use crate::migrate::select;
use crate::migrate::snapshot;
use crate::migrate::words;
use crate::model::fault::Fault;
use crate::model::migration::Files;
use crate::model::names::DatabaseName;
use crate::ports::{Claim, Cx, Databases, Job, LedgerRow};

use super::ledger::{self, Found};
use super::plan;
use super::run::{self, Session};
use super::source::{Read, Source, Sources};

/// What `migrate baseline` would do.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Baseline {
    pub database: DatabaseName,
    /// To be marked as applied, in running order, with their checksums.
    pub marks: Vec<(String, String)>,
    /// Applied already.
    pub applied: usize,
    /// What a run would do afterwards.
    pub pending: Vec<String>,
}

/// Read-only.
pub(super) async fn look(
    databases: &dyn Databases,
    sources: &Sources,
    cx: &Cx,
    job: &Job<'_>,
    to: &str,
) -> Result<Baseline, Fault> {
    let source = source(databases, sources, cx, job).await?;
    let mut session = databases.open(cx, job, &plan::reading(job)).await?;
    let name = job.database.name.as_str();
    let found = ledger::read(session.as_mut(), name, Some(&source)).await?;
    judge(job, &source, &found, to)
}

/// Marks what `agreed` says, under the lock. `who` stands in the rows in the
/// place of the release.
pub(super) async fn mark(
    databases: &dyn Databases,
    sources: &Sources,
    cx: &Cx,
    job: &Job<'_>,
    agreed: &Baseline,
    who: &str,
) -> Result<(), Fault> {
    let source = source(databases, sources, cx, job).await?;
    let claim = Claim {
        step: uuid::Uuid::now_v7(),
        entry: job.database.name.to_string(),
    };
    let mut session = Session::open(databases, cx, job, &claim).await?;
    let Some((last, _)) = agreed.marks.last() else {
        return Ok(());
    };
    let name = job.database.name.as_str();
    let database = session.database.as_mut();
    let found = ledger::read(database, name, Some(&source)).await?;
    let now = judge(job, &source, &found, last)?;
    if now.marks != agreed.marks {
        return Err(Fault::refused(format!(
            "what `{}` holds is not what was shown any more",
            job.database.name
        ))
        .state("nothing was changed")
        .hint(run::look_again(job)));
    }
    session.database.prepare().await?;
    let native = match source.native {
        Some(history) => {
            let files = &source.folder.files;
            let database = session.database.as_mut();
            Some(history.prepare(cx, database, files).await?)
        }
        None => None,
    };
    for (index, candidate) in source.candidates.iter().enumerate() {
        if agreed.marks.iter().any(|(id, _)| *id == candidate.id) {
            let mut row = row(&source, index, name, who);
            let file = &source.folder.files[index];
            row.beside = native
                .as_ref()
                .map(|table| table.insert(file, 0))
                .unwrap_or_default();
            session.database.save(&row).await?;
            cx.step(format!("marked {} as applied", candidate.id));
        }
    }
    snapshot::keep(session.database.as_mut(), who)
        .await
        .map(|_| ())
}

pub(super) async fn source(
    databases: &dyn Databases,
    sources: &Sources,
    cx: &Cx,
    job: &Job<'_>,
) -> Result<std::sync::Arc<Source>, Fault> {
    let route = databases.route(job).await?;
    match sources.read(cx, job, route.dialect).await? {
        Read::Known(source, Files::Final) => Ok(source),
        Read::Known(_, Files::Provisional | Files::Awaited) | Read::Awaited => {
            Err(Fault::refused(format!(
                "the image with the migrations of `{}` is not on the primary host",
                job.database.name
            ))
            .state("nothing was changed")
            .hint(format!(
                "bring it there: `stagecraft migrate plan --env {} --image REF`",
                job.environment.name
            )))
        }
    }
}

fn judge(job: &Job<'_>, source: &Source, found: &Found, to: &str) -> Result<Baseline, Fault> {
    let rows = &found.rows;
    let order = source.order();
    let database = &job.database.name;
    let refused = |why: String| {
        Fault::refused(format!("`{database}` cannot be taken in up to `{to}`"))
            .because(why)
            .state("nothing was changed")
            .hint(format!(
                "see where it stands: `stagecraft migrate status --env {} --database {database}`",
                job.environment.name
            ))
    };
    if let Some(problem) = source.problems.iter().chain(&found.refusals).next() {
        return Err(refused(problem.clone()));
    }
    let Some(last) = select::find(to, &order) else {
        return Err(refused(select::unknown(to, &order)));
    };
    for row in rows {
        let at = order.iter().position(|id| *id == row.id);
        let why = match at {
            None => "its file is gone",
            Some(_) if row.finished_at.is_none() => {
                "it was begun and not finished: `stagecraft migrate repair` comes first"
            }
            Some(at) if at > last => "it is applied, and it is beyond: there is a record already",
            Some(at) if !source.candidates[at].is(row) => "it was edited after it was applied",
            Some(_) => continue,
        };
        return Err(refused(format!("`{}`: {why}", row.id)));
    }
    let known = |id: &str| rows.iter().any(|row| row.id == id);
    let marks = source.candidates[..=last]
        .iter()
        .filter(|file| !known(&file.id))
        .map(|file| (file.id.clone(), file.checksum.clone()));
    Ok(Baseline {
        database: database.clone(),
        marks: marks.collect(),
        applied: rows.len(),
        pending: order[last + 1..].iter().map(ToString::to_string).collect(),
    })
}

fn row(source: &Source, index: usize, database: &str, who: &str) -> LedgerRow {
    let candidate = &source.candidates[index];
    let now = Utc::now().to_rfc3339_opts(SecondsFormat::Millis, true);
    let statements = i64::try_from(candidate.statements()).unwrap_or(i64::MAX);
    LedgerRow {
        database: database.to_owned(),
        id: candidate.id.clone(),
        checksum: candidate.checksum.clone(),
        normalised: candidate.normalised().to_owned(),
        transactional: candidate.mode == crate::migrate::sql::Mode::Together,
        started_at: now.clone(),
        finished_at: Some(now),
        statements_total: statements,
        statements_begun: statements,
        statements_done: statements,
        release: who.to_owned(),
        tool_version: env!("CARGO_PKG_VERSION").to_owned(),
        ..LedgerRow::default()
    }
}

impl Baseline {
    /// For people.
    #[must_use]
    pub fn text(&self) -> String {
        let mut lines = vec![format!(
            "{}  {} to be marked as applied, without running, {} applied already",
            self.database,
            words::plural(self.marks.len(), "migration"),
            self.applied
        )];
        lines.extend(self.marks.iter().map(|(id, _)| format!("  {id}")));
        if !self.pending.is_empty() {
            lines.push(format!("  stays pending: {}", words::list(&self.pending)));
        }
        lines.join("\n")
    }
}
