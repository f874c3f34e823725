use async_trait::async_trait;

use crate::model::fault::Fault;
use crate::model::secret::Secret;

/// Reads secret values: the process environment, then `env_file`, then
/// `secrets_command`. Each source is asked once, at its first use.
#[async_trait]
pub trait Connections: Send + Sync {
    /// # Errors
    /// Unset, an unreadable file, a failing command; names the sources.
    async fn get(&self, name: &str) -> Result<Secret, Fault>;
}

/// What a lookup of several names gave: all missing ones at once.
pub type Lookup = Result<indexmap::IndexMap<String, Secret>, Fault>;
