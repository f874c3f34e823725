use async_trait::async_trait;

use crate::model::fault::Fault;
use crate::model::host::HostAddress;
use crate::model::image::PinnedImage;
use crate::model::migration::{DatabaseReport, MigrationFailure, MigrationPlan, MigrationRequest};
use crate::model::project::{DatabaseSpec, EngineNeeds, Environment};
use crate::model::release::ReleaseId;

use super::{Claim, Connections, ContainerRunner, Cx, HostLink, Which};

/// What an engine works with. It opens nothing by itself that is not here.
pub struct Job<'a> {
    pub environment: &'a Environment,
    pub database: &'a DatabaseSpec,
    /// The host that runs one-off containers.
    pub host: &'a HostAddress,
    /// In a run: the release's image. While planning: one that is on the host
    /// already, if any.
    pub image: Option<&'a PinnedImage>,
    /// The image that is to run, whether the host holds it or not; `None` while
    /// it is to be built.
    pub files: Option<&'a PinnedImage>,
    pub release: Option<&'a ReleaseId>,
    /// The database to work on: an engine opens its sessions there.
    pub which: Which,
    pub values: &'a dyn Connections,
    pub runner: &'a dyn ContainerRunner,
    pub link: &'a dyn HostLink,
}

/// How one migration tool is driven. Registered by id; validation asks the
/// registry, never a list.
#[async_trait]
pub trait Engine: Send + Sync {
    fn id(&self) -> &str;

    /// The keys that must be given for every database of this engine.
    fn needs(&self) -> EngineNeeds;

    /// Problems with `options`, path and files, each a whole sentence fragment.
    /// Reads files, opens no connection.
    async fn validate(&self, database: &DatabaseSpec) -> Vec<String>;

    /// The tool's own development command that begins a migration of this name
    /// (small letters, digits, `_`), to be run in the checkout; `None`: its
    /// files are `.sql` files, which Stagecraft begins itself.
    fn creates(&self, database: &DatabaseSpec, name: &str) -> Option<Vec<String>>;

    /// What is pending, applied, edited, missing: from the database and the
    /// files. Strictly read-only.
    async fn plan(
        &self,
        cx: &Cx,
        job: &Job<'_>,
        request: &MigrationRequest,
    ) -> Result<MigrationPlan, Fault>;

    /// Opens the database, takes its lock for `claim`, and reads again what is
    /// pending. Changes nothing.
    ///
    /// # Errors
    /// `Locked`; refused, where something is not what the plan says; a server
    /// that cannot be reached.
    async fn begin<'a>(
        &'a self,
        cx: &Cx,
        job: &'a Job<'a>,
        plan: &'a MigrationPlan,
        claim: &Claim,
    ) -> Result<Box<dyn Begun<'a> + 'a>, Fault>;
}

/// A database that is locked and was as its plan says when that was read again.
/// Dropping it frees the lock.
#[async_trait]
pub trait Begun<'a>: Send {
    /// Applies the selected migrations of the plan, in order. The lock outlives
    /// the work: it is the caller's to free.
    async fn run(self: Box<Self>, cx: &Cx) -> Ended<'a>;
}

/// How a run ended, and the lock that it ran under.
pub struct Ended<'a> {
    pub outcome: Result<DatabaseReport, MigrationFailure>,
    pub kept: Kept<'a>,
}

/// Whatever keeps a database's lock; dropping it frees the lock.
pub type Kept<'a> = Box<dyn Send + 'a>;
