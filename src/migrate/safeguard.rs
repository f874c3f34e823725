//! What protects databases from their own migrations: a backup of each before
//! the first is changed, and, where `on_failure: restore` asks for it, the way
//! back. Imports `ports`, `model`.
//!
//! A restore loses what others wrote since the backup, so it happens only where
//! nobody can have written, or where somebody accepted that beforehand; never
//! once new code serves; and only to the database that failed.

use std::sync::{Arc, OnceLock};

use chrono::Utc;

use crate::model::backup::{
    AutoRestore, BackupId, BackupOrder, BackupReason, BackupRecord, BackupTaken, Way, beyond,
};
use crate::model::fault::{Fault, FaultKind};
use crate::model::migration::{
    DatabaseReport, MigrationFailure, MigrationOutcome, MigrationPlan, MigrationReport,
};
use crate::model::names::DatabaseName;
use crate::model::phase::Phase;
use crate::model::project::{Environment, OnFailure};
use crate::ports::{Backups, Cx, SESSIONS_TO_COPY};

use super::step::{self, Entry};

/// What a look at the databases afterwards says of what was applied.
pub(super) const STAY: &str = "the migrations are applied and stay";

/// Whether somebody accepted that a restore loses writes.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum DataLoss {
    #[default]
    Refused,
    Accepted,
}

/// See the module's own words.
pub struct Safeguard {
    pub backups: Arc<dyn Backups>,
    /// Set when the plan is approved.
    pub loss: Arc<OnceLock<DataLoss>>,
    /// Such as `ada@laptop`.
    pub actor: String,
}

/// A backup that was taken, and how alone Stagecraft was with the database
/// before it.
pub(super) struct Taken {
    record: BackupRecord,
    sessions: Option<u64>,
}

impl Safeguard {
    /// Backs up every database of the step that asks for it.
    ///
    /// # Errors
    /// The first that failed; those before it stay.
    pub(super) async fn before(
        &self,
        cx: &Cx,
        environment: &Environment,
        entries: &[Entry<'_>],
    ) -> Result<Vec<Taken>, Fault> {
        let wanted: Vec<&Entry<'_>> = entries
            .iter()
            .filter(|entry| entry.job.database.backup_before_migrate)
            .collect();
        let mut taken: Vec<Taken> = vec![];
        if wanted.is_empty() {
            return Ok(taken);
        }
        let known = self.backups.list(cx, environment).await?;
        let id = BackupId::next(Utc::now(), None, known.iter().map(|known| &known.id));
        for entry in wanted {
            let name = &entry.job.database.name;
            let cx = &cx.on_database(name);
            let order = BackupOrder {
                id: id.clone(),
                reason: BackupReason::BeforeMigrate,
                by: self.actor.clone(),
                before: entry.job.release.cloned(),
                live: None,
            };
            let one = async {
                let sessions = match environment.on_failure {
                    OnFailure::Restore => self.backups.alone(cx, &entry.job).await?,
                    OnFailure::Stop => None,
                };
                let record = self.backups.create(cx, &entry.job, &order).await?;
                Ok::<_, Fault>(Taken { record, sessions })
            };
            match one.await {
                Ok(one) => taken.push(one),
                Err(fault) => return Err(unsafe_to_go_on(fault, name, &taken)),
            }
        }
        Ok(taken)
    }

    /// After a run that went well: what is beyond `backup.keep` goes. The
    /// migrations are done, so a failure here is only said.
    pub(super) async fn after(&self, cx: &Cx, environment: &Environment, taken: &[Taken]) {
        if taken.is_empty() {
            return;
        }
        let pruned = async {
            let all = self.backups.list(cx, environment).await?;
            let databases = taken.iter().map(|taken| &taken.record);
            let doomed: Vec<BackupRecord> = databases
                .flat_map(|record| beyond(&all, &record.database, record.keep))
                .cloned()
                .collect();
            match doomed.is_empty() {
                true => Ok(()),
                false => self.backups.remove(cx, environment, &doomed).await,
            }
        };
        if let Err(fault) = pruned.await {
            cx.warn(format!("old backups stay behind: {fault}"));
        }
    }

    /// After a failure: restores the database that failed, where that is asked
    /// for and allowed; names the backups and how they are restored by hand.
    pub(super) async fn after_failure(
        &self,
        cx: &Cx,
        environment: &Environment,
        entries: &[Entry<'_>],
        taken: &[Taken],
        failure: MigrationFailure,
        bad: &[DatabaseName],
    ) -> MigrationFailure {
        let MigrationFailure {
            mut fault,
            mut report,
        } = failure;
        report.backups = summary(taken);
        let failed = taken.iter().find_map(|taken| {
            let name = &taken.record.database;
            let entry = entries.iter().find(|one| one.job.database.name == *name)?;
            let report = report.databases.iter().find(|one| one.database == *name)?;
            (unfinished(report) || bad.contains(name)).then_some((taken, entry))
        });
        let Some((taken, entry)) = failed else {
            return MigrationFailure { fault, report };
        };
        let name = &taken.record.database;
        let others = step::others(&report, name);
        let Some(of) = report
            .databases
            .iter_mut()
            .find(|one| one.database == *name)
        else {
            return MigrationFailure { fault, report };
        };
        let backup = format!(
            "the backup {} of `{name}`, from before these migrations, is kept",
            taken.record.id
        );
        fault = fault.state(backup.clone());
        let outcome = self.decide(cx, environment, entry, taken, of, &fault).await;
        match &outcome {
            AutoRestore::None => {
                fault = fault.hint(by_hand(environment, &taken.record));
            }
            AutoRestore::Restored { kept, .. } => {
                // What the failed run said of it is true of the one that is kept.
                fault.state = others;
                fault = fault.state(backup).state(format!(
                    "`{name}` was restored from {}: it is what it was before these migrations; the one that failed is kept as `{kept}`",
                    taken.record.id
                ));
                of.schema_after = of.schema_before;
                of.fingerprint = None;
                for result in &mut of.results {
                    if result.outcome == MigrationOutcome::Applied {
                        result.outcome = MigrationOutcome::NotAttempted;
                    }
                }
            }
            AutoRestore::Refused { reason } => {
                fault = fault
                    .state(format!("`{name}` was not restored by itself: {reason}"))
                    .hint(by_hand(environment, &taken.record));
            }
            AutoRestore::Failed { reason } => {
                fault.kind = FaultKind::UndoFailed;
                fault = fault
                    .state(format!("restoring `{name}` failed: {reason}"))
                    .hint(by_hand(environment, &taken.record));
            }
        }
        for backup in &mut report.backups {
            if backup.database == *name {
                backup.restore = outcome.clone();
            }
        }
        MigrationFailure { fault, report }
    }

    async fn decide(
        &self,
        cx: &Cx,
        environment: &Environment,
        entry: &Entry<'_>,
        taken: &Taken,
        report: &DatabaseReport,
        fault: &Fault,
    ) -> AutoRestore {
        match environment.on_failure {
            OnFailure::Stop => return AutoRestore::None,
            OnFailure::Restore => {}
        }
        let refused = |reason: &str| AutoRestore::Refused {
            reason: reason.to_owned(),
        };
        if !left_changes(entry.plan, report) {
            return refused("nothing of the failed migration is left in it");
        }
        if cx.phase() != Some(Phase::MigratePre) {
            return refused("the new release serves already");
        }
        if fault.kind == FaultKind::Interrupted {
            return refused("the run was interrupted, it did not fail");
        }
        if self.loss.get().copied().unwrap_or_default() == DataLoss::Refused {
            match self.backups.alone(cx, &entry.job).await {
                Ok(now) if nobody_came(taken.sessions, now) => {}
                Ok(_) => {
                    return refused(
                        "others may have written to it since the backup, and nobody accepted that this is lost (`--accept-data-loss`)",
                    );
                }
                Err(fault) => return refused(&format!("it cannot be read: {fault}")),
            }
        }
        let restored = self
            .backups
            .restore(cx, &entry.job, &taken.record, Way::Swap);
        match restored.await {
            Ok(restored) => AutoRestore::Restored {
                kept: restored
                    .before
                    .map(|before| before.kept)
                    .unwrap_or_default(),
                undone: of(report, MigrationOutcome::Applied),
            },
            Err(fault) => {
                let mut reason = fault.to_string();
                for state in &fault.state {
                    reason = format!("{reason}; {state}");
                }
                AutoRestore::Failed { reason }
            }
        }
    }
}

/// What goes into the record of the release.
pub(super) fn summary(taken: &[Taken]) -> Vec<BackupTaken> {
    let backups = taken.iter().map(|Taken { record, .. }| BackupTaken {
        database: record.database.clone(),
        id: record.id.clone(),
        host: record.host.clone(),
        path: record.path.clone(),
        restore: AutoRestore::None,
    });
    backups.collect()
}

pub(super) fn with_backups(mut report: MigrationReport, taken: &[Taken]) -> MigrationReport {
    report.backups = summary(taken);
    report
}

/// The sessions counted before the backup, those that taking it opened, and
/// the one that asks now.
fn nobody_came(before: Option<u64>, now: Option<u64>) -> bool {
    match (before, now) {
        (Some(before), Some(now)) => now == before + SESSIONS_TO_COPY + 1,
        _ => false,
    }
}

fn unsafe_to_go_on(fault: Fault, database: &DatabaseName, taken: &[Taken]) -> Fault {
    let mut fault = fault;
    let inner = std::mem::replace(
        &mut fault.what,
        format!("the backup of `{database}` before its migrations failed"),
    );
    fault.causes.insert(0, inner);
    fault = fault.state("no migration was applied");
    for taken in taken {
        fault = fault.state(format!(
            "the backup {} of `{}` was taken and is kept",
            taken.record.id, taken.record.database
        ));
    }
    fault.hint("mend that and run the same command again, or go on without one: `--skip-backup`")
}

fn unfinished(report: &DatabaseReport) -> bool {
    let mut results = report.results.iter();
    let failed = results.any(|result| result.outcome == MigrationOutcome::Failed);
    let mut results = report.results.iter();
    let begun = results.any(|result| result.outcome == MigrationOutcome::Applied);
    let mut results = report.results.iter();
    failed || (begun && results.any(|result| result.outcome == MigrationOutcome::NotAttempted))
}

/// Whether a failed run left something behind: a migration before the one that
/// failed, or statements of one that runs outside a transaction. What another
/// tool did is not known, so it counts.
fn left_changes(plan: &MigrationPlan, report: &DatabaseReport) -> bool {
    if !of(report, MigrationOutcome::Applied).is_empty() || plan.engine != "raw" {
        return true;
    }
    let failed = of(report, MigrationOutcome::Failed);
    plan.to_run()
        .any(|migration| failed.contains(&migration.id) && !migration.transactional)
}

fn of(report: &DatabaseReport, outcome: MigrationOutcome) -> Vec<String> {
    let results = report.results.iter();
    results
        .filter(|result| result.outcome == outcome)
        .map(|result| result.id.clone())
        .collect()
}

fn by_hand(environment: &Environment, backup: &BackupRecord) -> String {
    format!(
        "to go back to the backup: `stagecraft backup restore {} --database {} --env {}`",
        backup.id, backup.database, environment.name
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_session_more_than_our_own_is_somebody_who_may_have_written() {
        assert!(nobody_came(Some(10), Some(13)));
        assert!(!nobody_came(Some(10), Some(14)));
        assert!(!nobody_came(None, Some(13)) && !nobody_came(Some(10), None));
    }
}
