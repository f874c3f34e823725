use std::sync::{Arc, OnceLock};

use async_trait::async_trait;
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use tokio_util::sync::CancellationToken;

use crate::model::fault::Fault;
use crate::model::host::HostAddress;

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

/// Whether a held lock was lost, and on which host first.
#[derive(Debug, Clone, Default)]
pub struct Loss {
    token: CancellationToken,
    host: Arc<OnceLock<HostAddress>>,
}

impl Loss {
    pub fn report(&self, host: HostAddress) {
        // The first one counts; those after it are mostly consequences.
        let _ = self.host.set(host);
        self.token.cancel();
    }

    /// Returns once the lock was lost.
    pub async fn cancelled(&self) {
        self.token.cancelled().await;
    }

    /// `None` while the lock is held.
    #[must_use]
    pub fn host(&self) -> Option<&HostAddress> {
        self.host.get()
    }
}

/// The lock while it is held. Dropping it frees it.
#[async_trait]
pub trait Held: Send + Sync {
    /// Tells when the lock was lost (connection gone).
    fn lost(&self) -> Loss;

    async fn release(self: Box<Self>);
}
