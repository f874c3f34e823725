use async_trait::async_trait;

use crate::model::fault::Fault;
use crate::model::release::Release;

/// Where a release's record is kept. A seam so that tests can cut a write.
#[async_trait]
pub trait Ledger: Send + Sync {
    /// Saves the release durably, here and on the primary host: added when it
    /// is new, else its copy of this uuid is replaced. Raises no revision;
    /// the journal did.
    ///
    /// # Errors
    /// The record could not be saved; what is on disk is the old state.
    async fn save(&self, release: &Release) -> Result<(), Fault>;
}
