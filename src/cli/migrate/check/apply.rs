//! `--apply`: the migrations prove themselves on an empty database of the same
//! kind. Everything applies from nothing, a second run changes nothing, and
//! the status is clean afterwards.

use std::time::Instant;

use chrono::Utc;

use crate::migrate::Tools;
use crate::migrate::scratch::{self, Purpose, Scratch};
use crate::model::complaint::{Complaint, Proof, Rule};
use crate::model::fault::{Fault, FaultKind};
use crate::model::migration::{MigrationOutcome, MigrationPlan, MigrationRequest, MigrationState};
use crate::model::names::DatabaseName;
use crate::model::project::{DatabaseSpec, Environment};
use crate::model::release::ReleaseId;
use crate::ports::{Cx, Migrator};

use super::super::super::session::Session;

/// # Errors
/// Refused: something did not apply, ran twice or is not settled afterwards.
pub(super) async fn prove(
    session: &Session<'_>,
    tools: &Tools,
    environment: &Environment,
    database: &DatabaseSpec,
) -> Result<Proof, Fault> {
    let name = &database.name;
    let cx = session.cx.on_database(name);
    let kind = scratch::dialect(tools, environment, database).await?;
    let began = Instant::now();
    let work = async |scratch: &Scratch| applied(&cx, &*scratch.migrator(), name).await;
    let applied = scratch::within(tools, &cx, environment, name, Purpose::Check, work).await?;
    Ok(Proof {
        database: kind.to_string(),
        applied,
        duration_ms: u64::try_from(began.elapsed().as_millis()).unwrap_or(u64::MAX),
    })
}

/// The whole proof; how many were applied.
async fn applied(cx: &Cx, migrator: &dyn Migrator, name: &DatabaseName) -> Result<usize, Fault> {
    let request = MigrationRequest::default();
    let release = ReleaseId::next(Utc::now(), None);
    let first = migrator.plan(cx, &request).await?;
    let done = migrator.run(cx, &first, None, &release).await;
    let done = done.map_err(|failure| {
        let applied = failure.report.count(MigrationOutcome::Applied);
        did_not_apply(failure.fault, applied, &first)
    })?;
    let second = migrator.plan(cx, &request).await?;
    if let Some(again) = second.iter().find(|plan| !plan.selected.is_empty()) {
        let what = format!("a second run of the migrations of `{name}` would not be a no-op");
        let ids = again.selected.iter();
        return Err(ids.fold(Fault::refused(what), |fault, id| {
            fault.because(format!("`{id}` would run again"))
        }));
    }
    let again = migrator.run(cx, &second, None, &release).await;
    let again = again.map_err(|failure| did_not_apply(failure.fault, 0, &second))?;
    let status = migrator.plan(cx, &request).await?;
    if again.count(MigrationOutcome::Applied) > 0 || status != second {
        return Err(Fault::refused(format!(
            "a second run of the migrations of `{name}` was not a no-op"
        )));
    }
    match unsettled(&status) {
        Some(fault) => Err(fault),
        None => Ok(done.count(MigrationOutcome::Applied)),
    }
}

/// Every file has to be applied as it is.
fn unsettled(status: &[MigrationPlan]) -> Option<Fault> {
    let mut reasons: Vec<String> = vec![];
    for plan in status {
        reasons.extend(plan.refusals.iter().cloned());
        reasons.extend(
            plan.migrations
                .iter()
                .filter_map(|migration| match &migration.state {
                    MigrationState::Applied { .. } => None,
                    MigrationState::Pending
                    | MigrationState::Edited { .. }
                    | MigrationState::Missing
                    | MigrationState::OutOfOrder { .. }
                    | MigrationState::Failed { .. } => {
                        Some(format!("`{}` is {}", migration.id, migration.state.label()))
                    }
                }),
        );
    }
    let fault = Fault::refused("the status is not clean after everything was applied");
    (!reasons.is_empty()).then(|| reasons.into_iter().fold(fault, Fault::because))
}

/// What a run says of an environment's database does not hold for a scratch
/// database.
fn did_not_apply(mut fault: Fault, applied: usize, plans: &[MigrationPlan]) -> Fault {
    fault.hints.clear();
    fault.state.clear();
    let all: usize = plans.iter().map(|plan| plan.selected.len()).sum();
    let fault = fault.state(format!(
        "{applied} of {all} migrations were applied to a scratch database, which is dropped; no other database was touched"
    ));
    match fault.kind {
        // The check found something.
        FaultKind::Failed => {
            let fault = Fault {
                kind: FaultKind::Refused,
                ..fault
            };
            fault.hint("mend the file, then run `stagecraft migrate check --apply` again")
        }
        FaultKind::Config
        | FaultKind::Locked
        | FaultKind::Refused
        | FaultKind::Cancelled
        | FaultKind::Unreachable
        | FaultKind::UndoFailed
        | FaultKind::Interrupted
        | FaultKind::Internal => fault,
    }
}

/// The place in a file that the server's answer points at.
pub(super) fn placed(fault: &Fault) -> Option<Complaint> {
    fault.causes.iter().find_map(|cause| {
        let mut parts = cause.splitn(4, ':');
        let (file, line, column) = (parts.next()?, parts.next()?, parts.next()?);
        let what = parts.next()?.trim();
        let complaint = Complaint::violation(Rule::Apply, file, what);
        Some(complaint.at(line.parse().ok()?, column.parse().ok()?))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_of_the_server_keeps_its_place_in_the_file() {
        let fault = Fault::failed("migrations failed on `main`")
            .because("db/1_a.sql:2:7: ERROR 42P01 relation \"nope\" does not exist");
        let complaint = placed(&fault).expect("a place");
        assert_eq!(complaint.place(), "db/1_a.sql:2:7");
        assert_eq!(
            complaint.what,
            "ERROR 42P01 relation \"nope\" does not exist"
        );
        assert_eq!(placed(&Fault::failed("x").because("no: place")), None);
    }

    #[test]
    fn what_failed_is_a_finding_and_says_nothing_of_an_environment() {
        let fault = Fault::failed("no").hint("`stagecraft migrate run --env prod`");
        let fault = did_not_apply(fault, 0, &[]);
        assert_eq!(fault.kind, FaultKind::Refused);
        assert!(!fault.hints[0].contains("migrate run"), "{fault:?}");
        let stopped = did_not_apply(Fault::interrupted(), 0, &[]);
        assert_eq!(stopped.kind, FaultKind::Interrupted);
    }
}
