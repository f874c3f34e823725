//! The plan against the world, once more, under the lock. Pure. Imports
//! `model` and `migrate`'s pure parts.

use std::collections::HashMap;

use crate::migrate::drift::{self, Candidate, Gaps};
use crate::model::fault::Fault;
use crate::model::migration::{Migration, MigrationPlan, MigrationState};
use crate::ports::LedgerRow;

use super::source::Source;

/// What to do with one selected migration.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Work {
    /// From its first statement.
    Fresh,
    /// From where its row says.
    Resume(Box<LedgerRow>),
    /// It is there already: this release did it before it was cut off, or the
    /// plan could not read the database.
    Done,
}

/// The selected migrations as indexes of `source`, with what to do.
pub(super) fn agree(
    plan: &MigrationPlan,
    source: &Source,
    rows: &[LedgerRow],
    release: &str,
) -> Result<Vec<(usize, Work)>, Fault> {
    let mut differences = source.problems.clone();
    let gaps = plan
        .to_run()
        .any(|migration| matches!(migration.state, MigrationState::OutOfOrder { .. }));
    let gaps = match gaps {
        true => Gaps::Allow,
        false => Gaps::Refuse,
    };
    differences.extend(drift::compare(&source.candidates, rows, gaps).refusals);
    let files: HashMap<&str, usize> = source
        .candidates
        .iter()
        .enumerate()
        .map(|(index, file)| (file.id.as_str(), index))
        .collect();
    let rows: HashMap<&str, &LedgerRow> = rows.iter().map(|row| (row.id.as_str(), row)).collect();
    let mut work = vec![];
    for planned in plan.to_run() {
        let Some(&index) = files.get(planned.id.as_str()) else {
            differences.push(format!("the file of `{}` is gone", planned.id));
            continue;
        };
        let row = rows.get(planned.id.as_str()).copied();
        match one(planned, &source.candidates[index], row, plan, release) {
            Ok(what) => work.push((index, what)),
            Err(difference) => differences.push(difference),
        }
    }
    if differences.is_empty() {
        return Ok(work);
    }
    let mut fault = Fault::refused(format!(
        "the migrations of `{}` are not what the plan says any more",
        plan.database
    ));
    for difference in differences {
        fault = fault.because(difference);
    }
    Err(fault.state(format!("nothing was changed in `{}`", plan.database)))
}

fn one(
    planned: &Migration,
    file: &Candidate,
    row: Option<&LedgerRow>,
    plan: &MigrationPlan,
    release: &str,
) -> Result<Work, String> {
    let id = &planned.id;
    if planned.checksum != file.checksum {
        return Err(format!(
            "the file `{id}` was changed since the plan was made"
        ));
    }
    let ours = |row: &LedgerRow| row.release == release || plan.unread.is_some();
    let failed = matches!(planned.state, MigrationState::Failed { .. });
    match row {
        None if failed => Err(format!("the row of `{id}` is gone from the database")),
        None => Ok(Work::Fresh),
        Some(row) if row.finished_at.is_some() && ours(row) => Ok(Work::Done),
        Some(row) if row.finished_at.is_some() => Err(format!(
            "`{id}` was applied meanwhile by {}",
            by(&row.release)
        )),
        Some(row) if failed || ours(row) => Ok(Work::Resume(Box::new(row.clone()))),
        Some(row) => Err(format!(
            "`{id}` was begun meanwhile by {}",
            by(&row.release)
        )),
    }
}

fn by(release: &str) -> String {
    match release {
        "" => "somebody else".to_owned(),
        release => format!("`{release}`"),
    }
}
