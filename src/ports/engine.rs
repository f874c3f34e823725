use async_trait::async_trait;

use crate::model::fault::Fault;
use crate::model::host::HostAddress;
use crate::model::image::PinnedImage;
use crate::model::migration::{DatabaseReport, MigrationFailure, MigrationPlan, MigrationRequest};
use crate::model::project::{DatabaseSpec, Environment};
use crate::model::release::ReleaseId;

use super::{Connections, ContainerRunner, Cx, HostLink};

/// What an engine works with. It opens nothing by itself that is not here.
pub struct Job<'a> {
    pub environment: &'a Environment,
    pub database: &'a DatabaseSpec,
    /// The host that runs one-off containers.
    pub host: &'a HostAddress,
    /// In a run: the release's image. While planning: one that is on the host
    /// already, if any.
    pub image: Option<&'a PinnedImage>,
    pub release: Option<&'a ReleaseId>,
    pub values: &'a dyn Connections,
    pub runner: &'a dyn ContainerRunner,
    pub link: &'a dyn HostLink,
}

/// How one migration tool is driven. Registered by id; validation asks the
/// registry, never a list.
#[async_trait]
pub trait Engine: Send + Sync {
    fn id(&self) -> &'static str;

    /// `migrations.path` must be given.
    fn needs_path(&self) -> bool;

    /// Problems with `options`, path and files, each a whole sentence fragment.
    /// Reads files, opens no connection.
    fn validate(&self, database: &DatabaseSpec) -> Vec<String>;

    /// What is pending, applied, edited, missing: from the database and the
    /// files. Strictly read-only.
    async fn plan(
        &self,
        cx: &Cx,
        job: &Job<'_>,
        request: &MigrationRequest,
    ) -> Result<MigrationPlan, Fault>;

    /// Applies the selected migrations of `plan`, in order, under the database
    /// lock, after reading again what is pending: a difference is refused.
    async fn run(
        &self,
        cx: &Cx,
        job: &Job<'_>,
        plan: &MigrationPlan,
    ) -> Result<DatabaseReport, MigrationFailure>;
}
