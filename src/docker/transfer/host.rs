//! One host takes the image: its engine pulls from the registry that stands
//! behind its loopback, and the image gets its lasting name.

use std::sync::Arc;

use futures_util::future::try_join_all;
use serde::Deserialize;
use tokio_stream::StreamExt as _;

use super::archive::Archive;
use super::served::Served;
use crate::docker::client::{Call, Engine, fault};
use crate::docker::image::{self, Stored};
use crate::model::container::confirms;
use crate::model::event::Unit;
use crate::model::fault::Fault;
use crate::model::image::{Digest, PinnedImage};
use crate::ports::{Cx, HostLink};

/// The image on this engine, under its lasting name: one that it holds under
/// another gets it.
pub(super) async fn held(engine: &Engine, image: &PinnedImage) -> Result<Option<Stored>, Fault> {
    let ids = image.id.iter().chain(std::iter::once(&image.digest));
    let names: Vec<&str> = std::iter::once(image.local_reference.as_str())
        .chain(ids.map(Digest::as_str))
        .collect();
    // At once: over SSH each answer is a round trip away.
    let found = try_join_all(names.iter().map(|name| image::find(engine, name))).await?;
    let right = found.into_iter().zip(&names).find_map(|(stored, name)| {
        let stored = stored?;
        confirms(image, stored.id.as_str(), &stored.repo_digests).then_some((stored, *name))
    });
    let Some((stored, name)) = right else {
        return Ok(None);
    };
    if name != image.local_reference {
        image::tag(engine, stored.id.as_str(), &image.local_reference).await?;
    }
    Ok(Some(stored))
}

/// What one host needs to take the image.
pub(super) struct Errand<'a> {
    pub(super) link: &'a dyn HostLink,
    pub(super) engine: &'a Engine,
    pub(super) image: &'a PinnedImage,
    pub(super) archive: &'a Arc<Archive>,
}

impl Errand<'_> {
    pub(super) async fn run(&self, cx: &Cx) -> Result<(), Fault> {
        let host = self.engine.host();
        let served = Served::stand(Arc::clone(self.archive)).map_err(|error| {
            Fault::internal("cannot offer the image to the hosts").caused_by(&error)
        })?;
        let forward = self.link.reverse(host, &served.socket()).await?;
        let repository = format!(
            "127.0.0.1:{}/{}/{}",
            forward.port(),
            served.token,
            self.image.repository
        );
        let digest = &self.archive.pin.digest;
        self.pull(cx, &served, &repository).await?;
        let name = format!("{repository}@{digest}");
        image::tag(self.engine, &name, &self.image.local_reference).await?;
        // The name of the way would keep the image from ever being pruned.
        let forget = Call::delete(format!("/images/{name}")).query("noprune", "true");
        if let Err(error) = self.engine.done(forget).await {
            let fault = fault(host, format!("cannot remove the name `{name}`"), error);
            cx.warn(fault.to_string());
        }
        let (bytes, _) = served.bytes();
        // One of the blobs is the configuration.
        let layers = served.blobs().saturating_sub(1);
        cx.step(format!(
            "took {} to {host}: {}, {bytes} bytes",
            self.image.local_reference,
            match layers {
                1 => "1 layer".to_owned(),
                layers => format!("{layers} layers"),
            }
        ));
        Ok(())
    }

    async fn pull(&self, cx: &Cx, served: &Served, repository: &str) -> Result<(), Fault> {
        #[derive(Deserialize)]
        struct Line {}
        let host = self.engine.host();
        let failed = |error| {
            fault(host, format!("cannot take the image {}", self.image), error).hint(format!(
                "its engine must reach the loopback of {host}; where it cannot (rootless), set `project.registry`"
            ))
        };
        let call = Call::post("/images/create")
            .query("fromImage", repository)
            .query("tag", self.archive.pin.digest.as_str());
        let mut lines = self.engine.lines::<Line>(call).await.map_err(failed)?;
        while let Some(line) = lines.next().await {
            line.map_err(failed)?;
            let (done, asked) = served.bytes();
            cx.progress("carried", done, Some(asked), Unit::Bytes);
        }
        Ok(())
    }
}
