use async_trait::async_trait;

use crate::model::backup::{BackupOrder, BackupRecord, Restored, Way};
use crate::model::fault::Fault;
use crate::model::project::Environment;

use super::{Cx, Job};

/// Sessions on the database that taking a backup opens: one looks, one copies.
pub const SESSIONS_TO_COPY: u64 = 2;

/// Copies of databases, and the ledger beside them. Whoever calls what changes
/// something holds the environment lock.
#[async_trait]
pub trait Backups: Send + Sync {
    /// Where the copies of an environment lie, in words. Read-only.
    ///
    /// # Errors
    /// The host cannot be reached.
    async fn place(&self, environment: &Environment) -> Result<String, Fault>;

    /// What the ledger knows, oldest first. Read-only.
    ///
    /// # Errors
    /// The host cannot be reached, a ledger that cannot be read.
    async fn list(&self, cx: &Cx, environment: &Environment) -> Result<Vec<BackupRecord>, Fault>;

    /// Copies a database, reads the whole copy back, and records it.
    ///
    /// # Errors
    /// Too little space, no program that can do it, its failure. Nothing is
    /// recorded then and nothing stays behind.
    async fn create(
        &self,
        cx: &Cx,
        job: &Job<'_>,
        order: &BackupOrder,
    ) -> Result<BackupRecord, Fault>;

    /// Restores a copy into a scratch database, compares what is in it, drops
    /// that again, and records it.
    ///
    /// # Errors
    /// The copy cannot be restored, or is not what the ledger says.
    async fn prove(
        &self,
        cx: &Cx,
        job: &Job<'_>,
        backup: &BackupRecord,
    ) -> Result<BackupRecord, Fault>;

    /// Removes copies and their records.
    ///
    /// # Errors
    /// The host cannot be reached, a file that cannot be removed.
    async fn remove(
        &self,
        cx: &Cx,
        environment: &Environment,
        backups: &[BackupRecord],
    ) -> Result<(), Fault>;

    /// [`Way::Swap`]: restores a copy into a new database, verifies it, and
    /// puts it in the place of the one that is there, which is kept under
    /// another name. [`Way::InPlace`]: empties the one that is there and fills
    /// it again.
    ///
    /// # Errors
    /// Whatever went wrong; unless the fault says otherwise the database that
    /// was there is untouched and serves on.
    async fn restore(
        &self,
        cx: &Cx,
        job: &Job<'_>,
        backup: &BackupRecord,
        way: Way,
    ) -> Result<Restored, Fault>;

    /// Fills `into`, an empty database of the same server (of SQLite: a file of
    /// this machine, which is made), with a copy, and looks whether it is what
    /// was recorded. Nothing else is touched.
    ///
    /// # Errors
    /// The copy is damaged, cannot be restored, or lies where this machine
    /// cannot read it.
    async fn pour(
        &self,
        cx: &Cx,
        job: &Job<'_>,
        backup: &BackupRecord,
        into: &str,
    ) -> Result<(), Fault>;

    /// How many sessions the database has seen, this one too: a later count
    /// without any but our own proves that nobody wrote in between. `None`
    /// where somebody else is connected, or where the database cannot tell.
    ///
    /// # Errors
    /// The database cannot be reached.
    async fn alone(&self, cx: &Cx, job: &Job<'_>) -> Result<Option<u64>, Fault>;
}
