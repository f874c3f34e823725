use async_trait::async_trait;

use crate::model::container::Container;
use crate::model::fault::Fault;
use crate::model::host::HostAddress;
use crate::model::project::HealthCheck;

use super::Cx;

/// What one probe said.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Answer {
    Healthy,
    /// In words, with the answer's first line: `GET /up answered 503: starting`.
    Unhealthy(String),
}

/// Asks a container once whether it is ready. Runs from here, through the
/// host's connection: the image needs no tools.
#[async_trait]
pub trait Probe: Send + Sync {
    /// A refused connection is an answer, not an error.
    ///
    /// # Errors
    /// The host itself cannot be reached.
    async fn ask(
        &self,
        cx: &Cx,
        host: &HostAddress,
        container: &Container,
        check: &HealthCheck,
    ) -> Result<Answer, Fault>;
}
