//! The migration phases of a deploy, and a migration run by itself.

use std::collections::HashMap;

use crate::model::fault::Fault;
use crate::model::image::PinnedImage;
use crate::model::migration::{
    MigrationOutcome, MigrationPlan, MigrationReport, MigrationRequest, MigrationResult,
};
use crate::model::phase::Phase;
use crate::model::release::Release;
use crate::plan::{DeployPlan, MigrateStep, Step};
use crate::ports::Cx;

use super::deployer::Deployer;
use super::journal::{Journal, Stopped};

impl Deployer<'_> {
    /// One of the two phases. It is skipped where nothing is left to do, unless
    /// this very release did it before it was cut off.
    pub(super) async fn migrations(
        &self,
        journal: &mut Journal<'_>,
        plan: &DeployPlan,
        phase: Phase,
        step: &Step<MigrateStep>,
        image: &PinnedImage,
    ) -> Result<(), Stopped> {
        match step {
            Step::Skip(reason) if !begun_before(plan, phase) => journal.skip(phase, reason),
            Step::Skip(_) | Step::Do(_) => {
                journal
                    .run(phase, async |cx, release| {
                        self.migrate(cx, release, plan, phase, image).await
                    })
                    .await
            }
        }
    }

    /// Applies what the plan has for this phase, and nothing else.
    async fn migrate(
        &self,
        cx: &Cx,
        release: &mut Release,
        plan: &DeployPlan,
        phase: Phase,
        image: &PinnedImage,
    ) -> Result<(), Fault> {
        let plans = self.read_unread(cx, &plan.migrations, image).await?;
        recall(release, &plans);
        let plans: Vec<MigrationPlan> = plans
            .into_iter()
            .map(|plan| only(plan, phase))
            .filter(|plan| !plan.selected.is_empty())
            .collect();
        let report = match self
            .migrator
            .run(cx, &plans, Some(image), &plan.release)
            .await
        {
            Ok(report) => report,
            Err(failure) => {
                record_run(release, &failure.report);
                return Err(failure.fault);
            }
        };
        // What it did stands in the release itself: the phase has no output.
        record_run(release, &report);
        Ok(())
    }

    /// A database that only a container can reach is read now, when there is
    /// an image; what may not run stops the release before anything is
    /// applied.
    async fn read_unread(
        &self,
        cx: &Cx,
        plans: &[MigrationPlan],
        image: &PinnedImage,
    ) -> Result<Vec<MigrationPlan>, Fault> {
        let unread: Vec<_> = plans
            .iter()
            .filter(|plan| plan.unread.is_some())
            .map(|plan| plan.database.clone())
            .collect();
        if unread.is_empty() {
            return Ok(plans.to_vec());
        }
        let request = MigrationRequest {
            databases: unread,
            image: Some(image.clone()),
            ..deploy_request()
        };
        let fresh = self.migrator.plan(cx, &request).await?;
        if let Some(plan) = fresh.iter().find(|plan| !plan.refusals.is_empty()) {
            let mut fault = Fault::refused(format!(
                "the migrations of `{}` were refused",
                plan.database
            ));
            for refusal in &plan.refusals {
                fault = fault.because(refusal.clone());
            }
            return Err(fault);
        }
        Ok(plans
            .iter()
            .map(|plan| {
                fresh
                    .iter()
                    .find(|fresh| fresh.database == plan.database)
                    .unwrap_or(plan)
                    .clone()
            })
            .collect())
    }
}

/// What a deploy plans: everything except `manual`.
pub(super) fn deploy_request() -> MigrationRequest {
    use crate::model::project::MigrationStrategy::{PostDeploy, PreDeploy};
    MigrationRequest {
        strategies: vec![PreDeploy, PostDeploy],
        ..MigrationRequest::default()
    }
}

fn only(mut plan: MigrationPlan, phase: Phase) -> MigrationPlan {
    plan.selected = plan
        .in_phase(phase)
        .map(|migration| migration.id.clone())
        .collect();
    plan
}

fn begun_before(plan: &DeployPlan, phase: Phase) -> bool {
    plan.migrations
        .iter()
        .flat_map(|database| database.done_by(&plan.release))
        .any(|(migration, _)| migration.runs_in(phase))
}

/// Adds what the databases say this release did: a process that was killed
/// could not record it.
pub(super) fn recall(release: &mut Release, plans: &[MigrationPlan]) {
    for plan in plans {
        let done: Vec<MigrationResult> = plan
            .done_by(&release.id)
            .map(|(migration, duration_ms)| MigrationResult {
                database: plan.database.clone(),
                id: migration.id.clone(),
                checksum: migration.checksum.clone(),
                duration_ms,
                outcome: MigrationOutcome::Applied,
            })
            .collect();
        if done.is_empty() {
            continue;
        }
        let record = release.schema.entry(plan.database.clone()).or_default();
        record.after = plan.schema_version;
        // What a process recorded itself is the better source.
        keep(release, done, |known| {
            known.outcome != MigrationOutcome::Applied
        });
    }
}

/// Keeps what a run did in the release's record, failed or not.
pub fn record_run(release: &mut Release, report: &MigrationReport) {
    for database in &report.databases {
        keep(release, database.results.clone(), |_| true);
        let record = release.schema.entry(database.database.clone()).or_default();
        if record.before.is_none() {
            record.before = database.schema_before;
        }
        record.after = database.schema_after;
    }
}

/// A migration stands in the record once, with what came of it in the end.
fn keep(
    release: &mut Release,
    results: Vec<MigrationResult>,
    gives_way: impl Fn(&MigrationResult) -> bool,
) {
    let key = |result: &MigrationResult| (result.database.clone(), result.id.clone());
    let places: HashMap<_, usize> = release.migrations.iter().map(key).zip(0..).collect();
    for result in results {
        match places.get(&key(&result)) {
            Some(&at) if gives_way(&release.migrations[at]) => release.migrations[at] = result,
            Some(_) => {}
            None => release.migrations.push(result),
        }
    }
}
