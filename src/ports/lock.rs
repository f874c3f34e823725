use async_trait::async_trait;
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use tokio_util::sync::CancellationToken;

use crate::model::fault::Fault;

use super::Cx;

/// Who holds the environment lock.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Holder {
    pub who: String,
    pub machine: String,
    pub since: DateTime<Utc>,
    pub command: String,
    pub pid: u32,
}

/// The environment lock: here and on every target host.
#[async_trait]
pub trait Lock: Send + Sync {
    /// Takes the lock everywhere or nowhere. Does not wait.
    ///
    /// # Errors
    /// `Locked` names the holder; unreachable hosts.
    async fn acquire(&self, cx: &Cx, holder: &Holder) -> Result<Box<dyn Held>, Fault>;

    /// Who holds it now, by place. Read-only.
    async fn show(&self, cx: &Cx) -> Result<Vec<(String, Holder)>, Fault>;
}

/// The lock while it is held. Dropping it frees it.
#[async_trait]
pub trait Held: Send + Sync {
    /// Cancelled when the lock was lost (connection gone).
    fn lost(&self) -> CancellationToken;

    async fn release(self: Box<Self>);
}
