//! Whether a host holds the pinned image, and seeing to it that it does.

use std::sync::PoisonError;

use futures_util::future::join_all;
use serde::Deserialize;

use super::create::{image_missing, references};
use super::{Runner, pull};
use crate::docker::client::{Call, Engine, fault, status};
use crate::model::container::confirms;
use crate::model::fault::Fault;
use crate::model::image::{Carriage, PinnedImage};
use crate::ports::Cx;

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Image {
    id: String,
    repo_tags: Option<Vec<String>>,
    repo_digests: Option<Vec<String>>,
}

/// The pinned image in an engine.
pub(super) struct Found {
    id: String,
    /// Its local reference names it already.
    tagged: bool,
}

impl Runner {
    /// Looks under all its names at once.
    pub(super) async fn find_image(
        &self,
        engine: &Engine,
        pinned: &PinnedImage,
    ) -> Result<Option<Found>, Fault> {
        let names = references(pinned);
        for image in join_all(names.iter().map(|name| look(engine, name))).await {
            if let Some(image) = image?
                && self.remember(engine, pinned, &image)
            {
                let tags = image.repo_tags.unwrap_or_default();
                return Ok(Some(Found {
                    tagged: tags.contains(&pinned.local_reference),
                    id: image.id,
                }));
            }
        }
        Ok(None)
    }

    pub(super) async fn make_image_present(
        &self,
        cx: &Cx,
        engine: &Engine,
        pinned: &PinnedImage,
    ) -> Result<(), Fault> {
        if let Some(found) = self.find_image(engine, pinned).await? {
            return match found.tagged {
                true => Ok(()),
                false => tag(engine, &found.id, &pinned.local_reference).await,
            };
        }
        match pinned.carriage {
            Carriage::Registry => {}
            Carriage::Direct => {
                return Err(image_missing(engine, pinned)
                    .because("it travels straight from the machine that built it")
                    .hint("deploy from a machine that holds it, or build it again"));
            }
        }
        let auth = self.auth.header(&pinned.repository).await?;
        pull::pull(cx, engine, pinned, auth).await?;
        // One round trip for both: the tag of another image does no harm, as
        // the next line ends the work.
        let reference = pinned.reference();
        let (image, tagged) = tokio::join!(
            look(engine, &reference),
            tag(engine, &reference, &pinned.local_reference),
        );
        match image? {
            Some(image) if self.remember(engine, pinned, &image) => tagged,
            _ => Err(Fault::failed(format!(
                "`{}` does not hold `{pinned}` after pulling it",
                engine.host()
            ))),
        }
    }

    /// Whether the image of that id is the pinned one.
    pub(super) async fn confirm_image(
        &self,
        engine: &Engine,
        pinned: &PinnedImage,
        id: &str,
    ) -> Result<bool, Fault> {
        let key = (engine.host().clone(), pinned.digest.clone(), id.to_owned());
        let confirmed = self
            .confirmed
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .contains(&key);
        if confirmed || confirms(pinned, id, &[]) {
            return Ok(true);
        }
        Ok(match look(engine, id).await? {
            Some(image) => self.remember(engine, pinned, &image),
            None => false,
        })
    }

    fn remember(&self, engine: &Engine, pinned: &PinnedImage, image: &Image) -> bool {
        let digests = image.repo_digests.as_deref().unwrap_or_default();
        let right = confirms(pinned, &image.id, digests);
        if right {
            let key = (
                engine.host().clone(),
                pinned.digest.clone(),
                image.id.clone(),
            );
            self.confirmed
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
                .insert(key);
        }
        right
    }
}

async fn look(engine: &Engine, reference: &str) -> Result<Option<Image>, Fault> {
    match engine
        .json(Call::get(format!("/images/{reference}/json")))
        .await
    {
        Ok(image) => Ok(Some(image)),
        Err(error) if status(&error) == Some(404) => Ok(None),
        Err(error) => Err(fault(
            engine.host(),
            format!("cannot look for the image `{reference}`"),
            error,
        )),
    }
}

async fn tag(engine: &Engine, image: &str, reference: &str) -> Result<(), Fault> {
    let (repository, tag) = split(reference);
    let call = Call::post(format!("/images/{image}/tag"))
        .query("repo", repository)
        .query("tag", tag);
    engine.done(call).await.map_err(|error| {
        fault(
            engine.host(),
            format!("cannot tag the image `{reference}`"),
            error,
        )
    })
}

/// A registry's port is no tag.
fn split(reference: &str) -> (&str, &str) {
    match reference.rsplit_once(':') {
        Some((repository, tag)) if !tag.contains('/') => (repository, tag),
        _ => (reference, "latest"),
    }
}

#[cfg(test)]
mod tests {
    use super::split;

    #[test]
    fn the_port_of_a_registry_is_no_tag() {
        assert_eq!(split("stagecraft/shop:r1"), ("stagecraft/shop", "r1"));
        assert_eq!(
            split("10.0.0.1:5000/shop"),
            ("10.0.0.1:5000/shop", "latest")
        );
    }
}
