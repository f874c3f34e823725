use std::time::Duration;

use async_trait::async_trait;
use tokio_util::sync::CancellationToken;

use crate::model::fault::Fault;
use crate::model::host::HostAddress;

/// Names that one process at a time holds on a host's engine, whichever users
/// and folders its processes have.
#[async_trait]
pub trait EngineClaims: Send + Sync {
    /// Claims the name until what is returned is dropped, or `lost` cancelled;
    /// cancels that itself when another process has the name meanwhile. An engine that does not answer
    /// is asked again and again: nobody else can work on it either. For
    /// `lingering` a name that is taken is believed to be a holder's who is
    /// gone; without it, the engine gets a moment to see that.
    ///
    /// # Errors
    /// The engine has no such names.
    async fn claim(
        &self,
        host: &HostAddress,
        name: &str,
        lingering: Option<Duration>,
        lost: &CancellationToken,
    ) -> Result<Claimed, Fault>;
}

pub enum Claimed {
    Ours(Box<dyn Send + Sync>),
    Taken,
}
