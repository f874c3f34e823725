//! What a failed migration left behind, and mending its record. Imports
//! `ports`, `model` and `migrate`'s pure parts.
//!
//! Invariant: nothing is guessed. What the catalogue cannot tell, a person
//! answers; what nobody can tell is refused with the way out.

mod finding;
mod mend;

use crate::migrate::drift::Candidate;
use crate::migrate::snapshot;
use crate::migrate::sql::{Mode, Script, Trace};
use crate::model::fault::Fault;
use crate::ports::{Claim, Cx, Database, Databases, Job, LedgerRow};

use super::baseline::source;
use super::catalogue;
use super::ledger::{self, Found};
use super::plan;
use super::run::Session;
use super::source::{Source, Sources};

pub use finding::{Finding, Outcome};
pub use mend::Choice;

/// Everything that is not as it should be, in running order. Read-only.
pub(super) async fn look(
    databases: &dyn Databases,
    sources: &Sources,
    cx: &Cx,
    job: &Job<'_>,
) -> Result<Vec<Finding>, Fault> {
    let source = source(databases, sources, cx, job).await?;
    let mut session = databases.open(cx, job, &plan::reading(job)).await?;
    let name = job.database.name.as_str();
    let known = ledger::read(session.as_mut(), name, Some(&source)).await?;
    findings(session.as_mut(), &source, &known).await
}

/// Mends what can be mended, under the lock.
pub(super) async fn mend(
    databases: &dyn Databases,
    sources: &Sources,
    cx: &Cx,
    job: &Job<'_>,
    choice: &Choice,
) -> Result<Vec<Finding>, Fault> {
    let source = source(databases, sources, cx, job).await?;
    let claim = Claim {
        step: uuid::Uuid::now_v7(),
        entry: job.database.name.to_string(),
    };
    let mut session = Session::open(databases, cx, job, &claim).await?;
    let database = session.database.as_mut();
    let known = ledger::read(database, job.database.name.as_str(), Some(&source)).await?;
    let found = findings(database, &source, &known).await?;
    mend::refuse(job, &found, choice)?;
    let table = match source.native {
        Some(history) => history.find(database).await?,
        None => None,
    };
    if !known.own && !choice.accepted.is_empty() {
        // Until now only the tool's own table spoke of it.
        database.prepare().await?;
    }
    let mut mended = vec![];
    for finding in found {
        let row = known.rows.iter().find(|row| row.id == finding.id());
        let mut files = source.candidates.iter();
        let index = files.position(|file| file.id == finding.id());
        let (Some(row), Some(index)) = (row, index) else {
            continue;
        };
        let mut row = row.clone();
        row.beside = table
            .as_ref()
            .map(|table| table.rewrite(&source.folder.files[index]))
            .unwrap_or_default();
        let file = &source.candidates[index];
        let database = session.database.as_mut();
        if mend::one(cx, database, &finding, row, file, choice).await? {
            mended.push(finding);
        }
    }
    if mended
        .iter()
        .any(|finding| matches!(finding, Finding::Invalid { .. }))
    {
        snapshot::keep(session.database.as_mut(), "repair").await?;
    }
    Ok(mended)
}

async fn findings(
    database: &mut dyn Database,
    source: &Source,
    known: &Found,
) -> Result<Vec<Finding>, Fault> {
    let mut found = vec![];
    for row in &known.rows {
        let index = source.candidates.iter().position(|file| file.id == row.id);
        let Some(index) = index else {
            found.push(Finding::Missing { id: row.id.clone() });
            continue;
        };
        let (file, script) = (&source.candidates[index], &source.scripts[index]);
        let shown = &source.folder.files[index].shown;
        match row.finished_at {
            Some(_) => found.extend(applied(file, row).or_else(|| {
                let tool = source.native.filter(|_| known.unlike.contains(&row.id))?;
                let id = row.id.clone();
                Some(Finding::Unlike { id, tool })
            })),
            None => found.extend(begun(database, file, script, shown, row).await?),
        }
    }
    Ok(found)
}

fn applied(file: &Candidate, row: &LedgerRow) -> Option<Finding> {
    if file.checksum == row.checksum {
        return None;
    }
    let id = row.id.clone();
    Some(match file.is(row) {
        true => Finding::Layout { id },
        false => Finding::Edited {
            id,
            was: row.checksum.clone(),
            now: file.checksum.clone(),
        },
    })
}

async fn begun(
    database: &mut dyn Database,
    file: &Candidate,
    script: &Script,
    shown: &str,
    row: &LedgerRow,
) -> Result<Vec<Finding>, Fault> {
    let id = row.id.clone();
    let done = usize::try_from(row.statements_done).unwrap_or_default();
    let open = row.statements_begun > row.statements_done;
    let changed = !file.continues(row);
    let mut found = vec![];
    let statement = script.statements.get(done).filter(|_| !changed);
    if let Some(statement) = statement
        && let Trace::Index {
            index,
            concurrently: true,
            ..
        } = &statement.trace
        && catalogue::is_invalid(database, &statement.trace).await?
    {
        let (id, index) = (id.clone(), index.to_string());
        found.push(Finding::Invalid { id, index });
    }
    if matches!(file.mode, Mode::Batches(_)) || !open {
        let finding = match changed {
            false if done == 0 && row.checksum != file.checksum => Finding::Void { id },
            false => Finding::Stopped {
                id,
                done,
                total: script.statements.len(),
                error: row.error.clone(),
            },
            true => Finding::Changed { id, done },
        };
        found.push(finding);
        return Ok(found);
    }
    let outcome = match statement {
        Some(statement) => match catalogue::look(database, &statement.trace).await? {
            catalogue::Found::Done => Outcome::Done,
            catalogue::Found::Not => Outcome::Not,
            catalogue::Found::Unclear => Outcome::Unclear,
        },
        // It was another statement then.
        None => Outcome::Unclear,
    };
    if changed && done > 0 {
        found.push(Finding::Changed { id, done });
        return Ok(found);
    }
    found.push(Finding::CutOff {
        id,
        place: match statement {
            Some(statement) => format!("{shown}:{}", script.place(statement.range.start)),
            None => shown.to_owned(),
        },
        statement: done + 1,
        total: script.statements.len(),
        text: match statement {
            Some(statement) => script
                .slice(statement)
                .lines()
                .take(20)
                .map(str::to_owned)
                .collect(),
            None => vec![],
        },
        changed,
        outcome,
    });
    Ok(found)
}
