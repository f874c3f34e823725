//! The migration phases of a deploy, and a migration run by itself.

use crate::model::fault::Fault;
use crate::model::image::PinnedImage;
use crate::model::migration::{MigrationPlan, MigrationReport, MigrationRequest};
use crate::model::phase::Phase;
use crate::model::release::Release;
use crate::plan::{DeployPlan, Facts};
use crate::ports::Cx;

use super::deployer::Deployer;

impl Deployer<'_> {
    /// Applies what the plan has for this phase, and nothing else.
    pub(super) async fn migrate(
        &self,
        cx: &Cx,
        release: &mut Release,
        plan: &DeployPlan,
        facts: &Facts,
        phase: Phase,
        image: &PinnedImage,
    ) -> Result<(), Fault> {
        let plans = self.read_unread(cx, &plan.migrations, image).await?;
        let plans: Vec<MigrationPlan> = plans
            .into_iter()
            .map(|plan| only(plan, phase))
            .filter(|plan| !plan.selected.is_empty())
            .collect();
        self.live_tolerates(cx, release, facts, &plans).await?;
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

/// Keeps what a run did in the release's record, failed or not.
pub fn record_run(release: &mut Release, report: &MigrationReport) {
    for database in &report.databases {
        release.migrations.extend(database.results.iter().cloned());
        let record = release.schema.entry(database.database.clone()).or_default();
        if record.before.is_none() {
            record.before = database.schema_before;
        }
        record.after = database.schema_after;
    }
}
