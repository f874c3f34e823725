use async_trait::async_trait;

use crate::model::fault::Fault;
use crate::model::image::{BuiltImage, PinnedImage};

use super::Cx;

/// Makes an image available to every host, and pins it.
#[async_trait]
pub trait Pusher: Send + Sync {
    /// Pushes to the registry, or carries the image to each host that lacks
    /// it. `tag` is the release's version, made fit for a tag.
    ///
    /// # Errors
    /// Unreachable or refusing registry, a host that cannot take the image.
    async fn push(&self, cx: &Cx, built: &BuiltImage, tag: &str) -> Result<PinnedImage, Fault>;

    /// Resolves a reference (`repo:tag`, `repo@sha256:…`) to its digest by
    /// asking the registry, or this machine's engine for an image that it
    /// alone holds. Read-only: nothing is pulled.
    ///
    /// # Errors
    /// Unknown reference, unreachable or refusing registry.
    async fn resolve(&self, cx: &Cx, reference: &str) -> Result<PinnedImage, Fault>;

    /// Makes sure that every host can get an image that was pinned before: a
    /// prebuilt one, or a rollback's. For an image that travels directly:
    /// carries it to the hosts that lack it, when this machine still has it.
    ///
    /// # Errors
    /// A host that lacks it and cannot be given it.
    async fn deliver(&self, cx: &Cx, image: &PinnedImage) -> Result<(), Fault>;

    /// Takes back the names that keep these images here and on the hosts, so
    /// that engines can free their layers. What a container still uses stays.
    /// Returns what could not be done, in words.
    async fn forget(&self, cx: &Cx, images: &[PinnedImage]) -> Vec<String>;
}
