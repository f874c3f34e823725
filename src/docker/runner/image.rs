//! Whether a host holds the pinned image, and seeing to it that it does.

use std::sync::PoisonError;

use futures_util::future::join_all;

use super::create::{image_missing, references};
use super::pull::Asked;
use super::{Runner, pull};
use crate::docker::client::Engine;
use crate::docker::image::{Reference, Stored, find, tag};
use crate::model::container::confirms;
use crate::model::fault::Fault;
use crate::model::image::{Carriage, Digest, PinnedImage};
use crate::ports::Cx;

/// The pinned image in an engine.
pub(super) struct Found {
    id: Digest,
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
        let looks = names.iter().map(|name| find(engine, name));
        for (name, image) in names.iter().zip(join_all(looks).await) {
            if let Some(image) = image?
                && self.remember(engine, pinned, &image)
            {
                return Ok(Some(Found {
                    tagged: *name == pinned.local_reference,
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
                false => tag(engine, found.id.as_str(), &pinned.local_reference).await,
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
        let asked = Asked {
            repository: pinned.repository.clone(),
            tag: pinned.digest.to_string(),
            short: pinned.digest.short().to_owned(),
        };
        pull::pull(cx, engine, &asked, auth).await?;
        // One round trip for both: the tag of another image does no harm, as
        // the next line ends the work.
        let reference = pinned.reference();
        let (image, tagged) = tokio::join!(
            find(engine, &reference),
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

    /// The image of a reference by tag or digest, pulled when it is missing.
    pub(super) async fn resolve(
        &self,
        cx: &Cx,
        engine: &Engine,
        reference: &str,
    ) -> Result<PinnedImage, Fault> {
        let parts = Reference::parse(reference);
        let asked = parts.asked();
        let stored = match find(engine, &asked).await? {
            Some(stored) => stored,
            None => {
                let auth = self.auth.header(&parts.repository).await?;
                let tag = parts.digest.clone().or(parts.tag.clone());
                let wanted = Asked {
                    repository: parts.repository.clone(),
                    tag: tag.unwrap_or_else(|| "latest".to_owned()),
                    short: asked.clone(),
                };
                pull::pull(cx, engine, &wanted, auth).await?;
                find(engine, &asked).await?.ok_or_else(|| {
                    Fault::failed(format!(
                        "`{}` does not hold `{asked}` after pulling it",
                        engine.host()
                    ))
                })?
            }
        };
        let digest = stored.repo_digests.iter().find_map(|known| {
            let (repository, digest) = known.split_once('@')?;
            (repository == parts.repository).then(|| digest.parse().ok())?
        });
        Ok(PinnedImage {
            repository: parts.repository,
            carriage: match digest {
                Some(_) => Carriage::Registry,
                None => Carriage::Direct,
            },
            digest: digest.unwrap_or_else(|| stored.id.clone()),
            id: Some(stored.id),
            local_reference: asked,
        })
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
        Ok(match find(engine, id).await? {
            Some(image) => self.remember(engine, pinned, &image),
            None => false,
        })
    }

    fn remember(&self, engine: &Engine, pinned: &PinnedImage, image: &Stored) -> bool {
        let right = confirms(pinned, image.id.as_str(), &image.repo_digests);
        if right {
            let key = (
                engine.host().clone(),
                pinned.digest.clone(),
                image.id.to_string(),
            );
            self.confirmed
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
                .insert(key);
        }
        right
    }
}
