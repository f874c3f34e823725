//! One host takes the image: its engine pulls from the registry that stands
//! behind its loopback, and the image gets its lasting name. Where a host lends
//! no port, or its engine has another loopback (rootless), the whole image is
//! loaded: slower, and only where the image's id does not depend on the way.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use bollard::errors::Error;
use futures_util::future::try_join_all;
use serde::Deserialize;
use tokio_stream::StreamExt as _;

use super::archive::Archive;
use super::pieces::pieces;
use super::served::Served;
use crate::docker::client::{Call, Engine, SILENCE, fault, next_within, stalled};
use crate::docker::image::{self, Stored};
use crate::model::container::confirms;
use crate::model::event::Unit;
use crate::model::fault::Fault;
use crate::model::image::{Digest, PinnedImage};
use crate::ports::{Cx, HostLink};

/// How long an engine may take to begin a pull.
const BEGINNING: Duration = Duration::from_secs(120);

/// How long a whole image may take: the answer comes after the last byte.
const WHOLE: Duration = Duration::from_secs(3600);

/// A line of an engine's answer, of which only the error matters.
#[derive(Deserialize)]
struct Line {}

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

/// How the pull ended.
enum Pulled {
    Done,
    /// The host's engine cannot reach our registry.
    NoWay(Fault),
}

impl Errand<'_> {
    pub(super) async fn run(&self, cx: &Cx) -> Result<(), Fault> {
        match self.by_pull(cx).await? {
            Pulled::Done => Ok(()),
            Pulled::NoWay(fault) => {
                cx.warn(format!(
                    "the whole image travels, not only missing layers: {fault}"
                ));
                self.by_load(cx, fault).await
            }
        }
    }

    async fn by_pull(&self, cx: &Cx) -> Result<Pulled, Fault> {
        let served = Served::stand(Arc::clone(self.archive)).map_err(|error| {
            Fault::internal("cannot offer the image to the hosts").caused_by(&error)
        })?;
        let host = self.engine.host();
        let forward = match self.link.reverse(host, &served.socket()).await {
            Ok(forward) => forward,
            Err(fault) => return Ok(Pulled::NoWay(fault)),
        };
        let repository = format!(
            "127.0.0.1:{}/{}/{}",
            forward.port(),
            served.token,
            self.image.repository
        );
        match self.pull(cx, &served, &repository).await {
            Ok(()) => {}
            Err(fault) if !served.was_asked() => return Ok(Pulled::NoWay(fault)),
            Err(fault) => return Err(fault),
        }
        let name = format!("{repository}@{}", self.archive.pin.digest);
        image::tag(self.engine, &name, &self.image.local_reference).await?;
        // The name of the way would keep the image from ever being pruned.
        let forget = Call::delete(format!("/images/{name}")).query("noprune", "true");
        if let Err(error) = self.engine.done(forget).await {
            let fault = fault(host, format!("cannot remove the name `{name}`"), error);
            cx.warn(fault.to_string());
        }
        // One of the blobs is the configuration.
        let layers = match served.blobs().saturating_sub(1) {
            1 => "1 layer".to_owned(),
            layers => format!("{layers} layers"),
        };
        self.say(cx, &layers, served.bytes().0);
        Ok(Pulled::Done)
    }

    async fn by_load(&self, cx: &Cx, no_way: Fault) -> Result<(), Fault> {
        let host = self.engine.host();
        let unread = |error| Fault::internal("cannot read the image again").caused_by(&error);
        let whole = self.archive.whole().map_err(unread)?;
        let taken = Arc::new(AtomicU64::new(0));
        let body = pieces(Arc::clone(self.archive), whole, 0, Arc::clone(&taken));
        let watched = Arc::clone(&taken);
        let reporter = cx.clone();
        let body = body.map(move |piece| {
            let done = watched.load(Ordering::Relaxed);
            reporter.progress("carried", done, Some(whole.size), Unit::Bytes);
            piece
        });
        let call = Call::post("/images/load")
            .query("quiet", "true")
            .stream("application/x-tar", body)
            .within(WHOLE);
        let failed = |error| fault(host, format!("cannot load the image {}", self.image), error);
        let mut lines = self.engine.lines::<Line>(call).await.map_err(failed)?;
        while next_within(SILENCE, &mut lines)
            .await
            .map_err(failed)?
            .is_some()
        {}
        if held(self.engine, self.image).await?.is_none() {
            return Err(no_way.because(
                "an engine with the containerd image store gives a loaded image another id",
            ));
        }
        self.say(cx, "the whole image", taken.load(Ordering::Relaxed));
        Ok(())
    }

    fn say(&self, cx: &Cx, what: &str, bytes: u64) {
        let image = &self.image.local_reference;
        cx.step(format!("received {what} ({}) of {image}", size(bytes)));
    }

    async fn pull(&self, cx: &Cx, served: &Served, repository: &str) -> Result<(), Fault> {
        let host = self.engine.host();
        let what = format!("cannot take the image {}", self.image);
        let failed = |error| fault(host, &what, error);
        let stood_still = |error| match error {
            Error::RequestTimeoutError => stalled(host, &what, SILENCE),
            error => failed(error),
        };
        let call = Call::post("/images/create")
            .query("fromImage", repository)
            .query("tag", self.archive.pin.digest.as_str())
            .within(BEGINNING);
        let mut lines = self.engine.lines::<Line>(call).await.map_err(failed)?;
        while let Some(Line {}) = next_within(SILENCE, &mut lines)
            .await
            .map_err(stood_still)?
        {
            let (done, asked) = served.bytes();
            cx.progress("carried", done, Some(asked), Unit::Bytes);
        }
        Ok(())
    }
}

/// Decimal, as the Docker client counts.
fn size(bytes: u64) -> String {
    match bytes {
        0..1_000 => format!("{bytes} B"),
        1_000..1_000_000 => format!("{} kB", bytes / 1_000),
        1_000_000..1_000_000_000 => format!("{} MB", bytes / 1_000_000),
        _ => format!("{} GB", bytes / 1_000_000_000),
    }
}
