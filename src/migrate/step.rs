//! One step over several databases: all are locked and read again before the
//! first is changed, and no lock is freed before the last is done. Imports
//! `ports`, `model`.
//!
//! Invariant: [`Locked`] exists only while every database of the step is locked
//! and was as its plan says; what has to be true of all of them before anything
//! changes (health, backup) stands between [`lock`] and [`Locked::apply`].

use uuid::Uuid;

use crate::model::fault::{Fault, FaultKind};
use crate::model::migration::{
    DatabaseReport, MigrationFailure, MigrationOutcome, MigrationPlan, MigrationReport,
};
use crate::model::names::DatabaseName;
use crate::ports::{Begun, Claim, Cx, Engine, Job, Kept};

use super::words;

/// One database of the step.
pub(super) struct Entry<'a> {
    pub(super) engine: &'a dyn Engine,
    pub(super) job: Job<'a>,
    pub(super) plan: &'a MigrationPlan,
}

/// Every database of the step, in the order of the file.
pub(super) struct Locked<'a>(Vec<(&'a MigrationPlan, Box<dyn Begun<'a> + 'a>)>);

/// Locks one database after the other and reads what is pending again. Frees
/// them all when one of them cannot be locked or is not what its plan says.
///
/// # Errors
/// The first database's that failed; nothing was changed in any.
pub(super) async fn lock<'a>(cx: &Cx, entries: &'a [Entry<'a>]) -> Result<Locked<'a>, Fault> {
    let step = Uuid::now_v7();
    let mut begun = vec![];
    for Entry { engine, job, plan } in entries {
        let entry = plan.database.to_string();
        let claim = Claim { step, entry };
        let cx = cx.on_database(&plan.database);
        let ready = engine.begin(&cx, job, plan, &claim).await;
        let ready = ready.map_err(|fault| {
            let fault = failed_on(fault, &plan.database);
            match entries.len() {
                1 => fault,
                _ => fault.state("no database was changed"),
            }
        })?;
        begun.push((*plan, ready));
    }
    Ok(Locked(begun))
}

impl<'a> Locked<'a> {
    /// Changes one database after the other. After a failure the later ones
    /// are not attempted. The locks of those that were begun are put into
    /// `kept`, for what has to be looked at before they are freed.
    ///
    /// # Errors
    /// The first failure, with the report up to it.
    pub(super) async fn apply(
        self,
        cx: &Cx,
        kept: &mut Vec<Kept<'a>>,
    ) -> Result<MigrationReport, MigrationFailure> {
        let mut report = MigrationReport::default();
        let mut waiting = self.0.into_iter();
        while let Some((plan, begun)) = waiting.next() {
            let ended = begun.run(&cx.on_database(&plan.database)).await;
            kept.push(ended.kept);
            match ended.outcome {
                Ok(done) => report.databases.push(done),
                Err(failure) => {
                    let before = stays(&report);
                    report.databases.extend(failure.report.databases);
                    let fault = failed_on(failure.fault, &plan.database);
                    let later: Vec<&MigrationPlan> = waiting.map(|(plan, _)| plan).collect();
                    return Err(stopped(fault, before, report, &later));
                }
            }
        }
        Ok(report)
    }
}

/// The databases that were migrated before one failed.
fn stays(report: &MigrationReport) -> Vec<String> {
    let changed = report.databases.iter().filter(|database| {
        let mut results = database.results.iter();
        results.any(|result| result.outcome == MigrationOutcome::Applied)
    });
    changed
        .map(|database| database.database.to_string())
        .collect()
}

/// What a report says of every database but this one.
pub(super) fn others(report: &MigrationReport, but: &DatabaseName) -> Vec<String> {
    let rest = report.databases.iter().filter(|one| one.database != *but);
    let (changed, untouched): (Vec<_>, Vec<_>) =
        rest.filter(|one| !one.results.is_empty()).partition(|one| {
            let mut results = one.results.iter();
            results.any(|result| result.outcome == MigrationOutcome::Applied)
        });
    let names = |some: &[&DatabaseReport]| -> Vec<String> {
        some.iter().map(|one| one.database.to_string()).collect()
    };
    let mut said = vec![];
    if !changed.is_empty() {
        said.push(format!("{} stays migrated", words::list(&names(&changed))));
    }
    if !untouched.is_empty() {
        said.push(format!(
            "not attempted: {}",
            words::list(&names(&untouched))
        ));
    }
    said
}

/// Adds the databases that were not attempted.
fn stopped(
    fault: Fault,
    before: Vec<String>,
    mut report: MigrationReport,
    later: &[&MigrationPlan],
) -> MigrationFailure {
    let mut fault = fault;
    if !before.is_empty() {
        fault = fault.state(format!("{} stays migrated", words::list(&before)));
    }
    if !later.is_empty() {
        let names: Vec<&str> = later.iter().map(|plan| plan.database.as_str()).collect();
        fault = fault.state(format!("not attempted: {}", words::list(&names)));
    }
    report
        .databases
        .extend(later.iter().map(|plan| DatabaseReport::untouched(plan)));
    MigrationFailure { fault, report }
}

/// A step that a signal ended did not fail.
fn failed_on(fault: Fault, database: &DatabaseName) -> Fault {
    let what = match fault.kind {
        FaultKind::Interrupted => "interrupted in the migrations of",
        FaultKind::Config
        | FaultKind::Locked
        | FaultKind::Refused
        | FaultKind::Cancelled
        | FaultKind::Unreachable
        | FaultKind::Failed
        | FaultKind::UndoFailed
        | FaultKind::Internal => "migrations failed on",
    };
    in_database(fault, database, what)
}

/// The fault of one database, named.
pub(super) fn in_database(mut fault: Fault, database: &DatabaseName, what: &str) -> Fault {
    let inner = std::mem::replace(&mut fault.what, format!("{what} `{database}`"));
    fault.causes.insert(0, inner);
    fault
}
