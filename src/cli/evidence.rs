//! Every migration run leaves evidence, failed or not: `migration.json`.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use chrono::Utc;

use crate::migrate::evidence::{self, Step};
use crate::model::fault::Fault;
use crate::model::image::PinnedImage;
use crate::model::migration::{MigrationFailure, MigrationPlan, MigrationReport, MigrationRequest};
use crate::model::project::Environment;
use crate::model::release::ReleaseId;
use crate::ports::{Cx, Migrator};
use crate::release;

use super::source;

/// A migrator whose runs are written down.
pub(crate) struct Witnessed {
    inner: Arc<dyn Migrator>,
    environment: Arc<Environment>,
    /// The folder of `releases.json`.
    state: PathBuf,
}

impl Witnessed {
    pub(crate) fn new(inner: Arc<dyn Migrator>, environment: &Arc<Environment>) -> Self {
        let record = release::path(
            &environment.root,
            std::env::var_os(release::STATE_FILE_VARIABLE),
        );
        let state = record
            .parent()
            .map_or_else(PathBuf::new, std::path::Path::to_path_buf);
        Self {
            inner,
            environment: Arc::clone(environment),
            state,
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
        let commit = source::observe(&self.environment.root).await.commit;
        let step = Step {
            release,
            phase: cx.phase(),
            head_sha: commit.as_deref(),
            started,
            finished: Utc::now(),
            timeout: self.timeout(plans),
            outcome: result.as_ref(),
            backup_id: None,
            approver: None,
            risk: None,
        };
        // The migrations are done or not; evidence that cannot be written
        // changes neither.
        if let Err(fault) = evidence::write(&self.state, &self.environment.root, &step) {
            cx.warn(format!(
                "the evidence of the migrations is missing: {fault}"
            ));
        }
        result
    }
}
