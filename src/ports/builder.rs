use async_trait::async_trait;

use crate::model::fault::Fault;
use crate::model::image::BuiltImage;
use crate::model::project::BuildSpec;

use super::Cx;

/// Turns a checkout into an image of this machine's engine.
#[async_trait]
pub trait Builder: Send + Sync {
    /// Builds `spec` and tags the result `reference`. Building the same tree
    /// again is cheap and gives the same image.
    ///
    /// # Errors
    /// Unreachable engine, unreadable context or Dockerfile, a failing step
    /// (with the step's last lines as evidence).
    async fn build(
        &self,
        cx: &Cx,
        spec: &BuildSpec,
        platform: Option<&str>,
        reference: &str,
    ) -> Result<BuiltImage, Fault>;
}
