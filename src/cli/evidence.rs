//! Every migration run leaves evidence, failed or not: `migration.json`.

use std::sync::{Arc, OnceLock};
use std::time::Duration;

use async_trait::async_trait;
use chrono::Utc;

use crate::migrate::evidence::{self, Step};
use crate::model::fault::Fault;
use crate::model::image::PinnedImage;
use crate::model::migration::{
    MigrationFailure, MigrationPlan, MigrationReport, MigrationRequest, Risk,
};
use crate::model::phase::{Phase, Status};
use crate::model::project::Environment;
use crate::model::release::{Approved, Outcome, Release, ReleaseId, ReleaseKind};
use crate::ports::{Cx, Migrator};
use crate::release;

use super::secrets::Masker;
use super::session::who;
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
        environment: environment.name.as_str(),
        actor: &release.actor,
        approved: release.approved.as_ref(),
        risk: Risk::Low,
    };
    // There is nothing in it that anybody said.
    write(cx, environment, &step, &str::to_owned);
}

/// The migrations are done or not; evidence that cannot be written changes
/// neither.
fn write(
    cx: &Cx,
    environment: &Environment,
    step: &Step<'_>,
    mask: &(dyn Fn(&str) -> String + Send + Sync),
) {
    let record = release::path(
        &environment.root,
        std::env::var_os(release::STATE_FILE_VARIABLE),
    );
    let state = record.parent().unwrap_or(&environment.root);
    if let Err(fault) = evidence::write(state, &environment.root, step, mask) {
        cx.warn(format!(
            "the evidence of the migrations is missing: {fault}"
        ));
    }
}

/// A migrator whose runs are written down.
pub(crate) struct Witnessed {
    pub(crate) inner: Arc<dyn Migrator>,
    pub(crate) environment: Arc<Environment>,
    pub(crate) mask: Masker,
    /// Set by then, where somebody had to agree.
    pub(crate) approved: Arc<OnceLock<Approved>>,
}

impl Witnessed {
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
        let commit = source::commit(&self.environment.root).await;
        let (who, machine) = who();
        let step = Step {
            release,
            phase: cx.phase(),
            head_sha: commit.as_deref(),
            started,
            finished: Utc::now(),
            timeout: self.timeout(plans),
            outcome: result.as_ref(),
            environment: self.environment.name.as_str(),
            actor: &format!("{who}@{machine}"),
            approved: self.approved.get(),
            risk: Risk::of(plans),
        };
        write(cx, &self.environment, &step, &*self.mask);
        result
    }
}
