//! Every migration run leaves evidence, failed or not: `migration.json`.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use chrono::Utc;

use crate::migrate::evidence::{self, Step};
use crate::model::fault::Fault;
use crate::model::image::PinnedImage;
use crate::model::migration::{MigrationFailure, MigrationPlan, MigrationReport, MigrationRequest};
use crate::model::phase::{Phase, Status};
use crate::model::project::Environment;
use crate::model::release::{Outcome, Release, ReleaseId, ReleaseKind};
use crate::ports::{Cx, Migrator};
use crate::release;

use super::secrets::{Masker, without_in_fault};
use super::source;

/// A release without anything to migrate leaves evidence of that too.
pub(crate) fn of_nothing_to_do(cx: &Cx, environment: &Environment, release: &Release) {
    let ran = |phase| release.phase(phase).status != Status::Skipped;
    if environment.databases.is_empty()
        || release.kind != ReleaseKind::Deploy
        || release.outcome != Outcome::Done
        || ran(Phase::MigratePre)
        || ran(Phase::MigratePost)
    {
        return;
    }
    let report = MigrationReport::default();
    let step = Step {
        release: &release.id,
        phase: Some(Phase::MigratePre),
        head_sha: release.commit_sha.as_deref(),
        started: release.timestamp,
        finished: release.timestamp,
        timeout: Duration::ZERO,
        outcome: Ok(&report),
        environment: &environment.name,
        approver: None,
        risk: None,
    };
    write(cx, environment, &step);
}

/// The migrations are done or not; evidence that cannot be written changes
/// neither.
fn write(cx: &Cx, environment: &Environment, step: &Step<'_>) {
    let record = release::path(
        &environment.root,
        std::env::var_os(release::STATE_FILE_VARIABLE),
    );
    let state = record.parent().unwrap_or(&environment.root);
    if let Err(fault) = evidence::write(state, &environment.root, step) {
        cx.warn(format!(
            "the evidence of the migrations is missing: {fault}"
        ));
    }
}

/// A migrator whose runs are written down.
pub(crate) struct Witnessed {
    inner: Arc<dyn Migrator>,
    environment: Arc<Environment>,
    mask: Masker,
}

impl Witnessed {
    pub(crate) fn new(
        inner: Arc<dyn Migrator>,
        environment: &Arc<Environment>,
        mask: Masker,
    ) -> Self {
        Self {
            inner,
            environment: Arc::clone(environment),
            mask,
        }
    }

    /// The longest that the databases of these plans may take together.
    fn timeout(&self, plans: &[MigrationPlan]) -> Duration {
        plans
            .iter()
            .filter_map(|plan| self.environment.databases.get(&plan.database))
            .map(|database| database.migrations.timeout)
            .sum()
    }
}

#[async_trait]
impl Migrator for Witnessed {
    async fn plan(&self, cx: &Cx, request: &MigrationRequest) -> Result<Vec<MigrationPlan>, Fault> {
        self.inner.plan(cx, request).await
    }

    async fn run(
        &self,
        cx: &Cx,
        plans: &[MigrationPlan],
        image: Option<&PinnedImage>,
        release: &ReleaseId,
    ) -> Result<MigrationReport, MigrationFailure> {
        let started = Utc::now();
        let result = self.inner.run(cx, plans, image, release).await;
        let shown = result.clone().map_err(|failure| MigrationFailure {
            fault: without_in_fault(&self.mask, &failure.fault),
            report: failure.report,
        });
        let commit = source::commit(&self.environment.root).await;
        let step = Step {
            release,
            phase: cx.phase(),
            head_sha: commit.as_deref(),
            started,
            finished: Utc::now(),
            timeout: self.timeout(plans),
            outcome: shown.as_ref(),
            environment: &self.environment.name,
            approver: None,
            risk: None,
        };
        write(cx, &self.environment, &step);
        result
    }
}
