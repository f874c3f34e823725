use std::collections::BTreeSet;

use async_trait::async_trait;

use crate::model::fault::Fault;
use crate::model::host::HostAddress;

/// Where a host keeps an environment's record, as this user's commands see it.
#[async_trait]
pub trait StateFolders: Send + Sync {
    /// Makes nothing.
    ///
    /// # Errors
    /// The host cannot be reached.
    async fn folder(&self, host: &HostAddress) -> Result<String, Fault>;

    /// Whether the folders that the host's containers name are this one, or
    /// were joined to it.
    ///
    /// # Errors
    /// `Unreachable`, with both folders and the way out, when one is neither.
    async fn confirm(&self, host: &HostAddress, found: &BTreeSet<String>) -> Result<(), Fault>;
}
