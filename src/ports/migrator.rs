use async_trait::async_trait;

use crate::model::fault::Fault;
use crate::model::image::PinnedImage;
use crate::model::migration::{MigrationFailure, MigrationPlan, MigrationReport, MigrationRequest};
use crate::model::release::ReleaseId;

use super::Cx;

/// The migrations of all databases of an environment.
#[async_trait]
pub trait Migrator: Send + Sync {
    /// Strictly read-only. Databases in the order of the file, read at the
    /// same time.
    ///
    /// # Errors
    /// A database that cannot be reached, a folder that cannot be read. What
    /// may not run stands in the plan's `refusals`, it is not an error.
    async fn plan(&self, cx: &Cx, request: &MigrationRequest) -> Result<Vec<MigrationPlan>, Fault>;

    /// Applies the selected migrations of the plans, database by database.
    /// After a failure later databases are not attempted; earlier ones stay
    /// migrated and are in the report.
    ///
    /// # Errors
    /// The first failure, with the report up to it.
    async fn run(
        &self,
        cx: &Cx,
        plans: &[MigrationPlan],
        image: Option<&PinnedImage>,
        release: &ReleaseId,
    ) -> Result<MigrationReport, MigrationFailure>;
}
