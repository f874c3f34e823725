//! The pusher: an image that was built here becomes available to every host,
//! and pinned. Imports `ports`, `model`.
//!
//! With a registry it is pushed there, and the registry's digest pins it.
//! Without one it travels to each host that lacks it over the host's own
//! connection (`transfer`).

use std::path::PathBuf;
use std::sync::Arc;

use async_trait::async_trait;
use futures_util::future::join_all;

use super::auth::Auth;
use super::client::Engines;
use super::transfer::{self, Carrier};
use super::{image, this_machine};
use crate::model::fault::Fault;
use crate::model::host::HostAddress;
use crate::model::image::{BuiltImage, Carriage, PinnedImage};
use crate::model::names::{EnvironmentName, ProjectName};
use crate::model::project::Registry;
use crate::ports::{Cx, HostLink, Pusher};

mod refusal;
mod registry;
mod resolve;

/// Who gets images, and by which way.
pub struct Delivery {
    /// `None`: images travel straight to the hosts.
    pub registry: Option<Registry>,
    pub hosts: Vec<HostAddress>,
    pub project: ProjectName,
    pub environment: EnvironmentName,
    /// Where images on their way are kept; see [`Delivery::default_cache`].
    pub cache: PathBuf,
}

impl Delivery {
    /// `${XDG_CACHE_HOME:-~/.cache}/stagecraft/images`.
    #[must_use]
    pub fn default_cache() -> PathBuf {
        transfer::default_folder()
    }
}

/// A pusher from this machine's engine.
#[must_use]
pub fn pusher(
    engines: Arc<Engines>,
    link: Arc<dyn HostLink>,
    auth: Arc<Auth>,
    delivery: Delivery,
) -> Arc<dyn Pusher> {
    let carrier = Carrier::new(Arc::clone(&engines), link, &delivery);
    Arc::new(Push {
        engines,
        auth,
        delivery,
        carrier,
    })
}

struct Push {
    engines: Arc<Engines>,
    auth: Arc<Auth>,
    delivery: Delivery,
    carrier: Carrier,
}

impl Push {
    async fn forget_on(&self, host: &HostAddress, image: &PinnedImage) -> Result<(), Fault> {
        let engine = self.engines.engine(host)?;
        image::forget(&engine, &image.local_reference).await?;
        match image.carriage {
            Carriage::Registry => image::forget(&engine, &image.reference()).await,
            Carriage::Direct => Ok(()),
        }
    }
}

#[async_trait]
impl Pusher for Push {
    async fn push(&self, cx: &Cx, built: &BuiltImage, tag: &str) -> Result<PinnedImage, Fault> {
        cx.or_interrupted(async {
            match &self.delivery.registry {
                Some(registry) => self.to_registry(cx, registry, built, tag).await,
                None => self.carrier.pin_and_carry(cx, built).await,
            }
        })
        .await
    }

    async fn resolve(&self, cx: &Cx, reference: &str) -> Result<PinnedImage, Fault> {
        cx.or_interrupted(self.pinned(cx, reference)).await
    }

    async fn deliver(&self, cx: &Cx, image: &PinnedImage) -> Result<(), Fault> {
        match image.carriage {
            // Each host pulls it by digest when it needs it.
            Carriage::Registry => Ok(()),
            Carriage::Direct => cx.or_interrupted(self.carrier.carry(cx, image)).await,
        }
    }

    async fn forget(&self, cx: &Cx, images: &[PinnedImage]) -> Vec<String> {
        let here = this_machine();
        let mut hosts: Vec<&HostAddress> = self.delivery.hosts.iter().collect();
        if !hosts.contains(&&here) {
            hosts.push(&here);
        }
        let every = hosts
            .into_iter()
            .flat_map(|host| images.iter().map(move |image| (host, image)));
        let done = join_all(every.map(|(host, image)| self.forget_on(host, image)));
        match cx.or_interrupted(async { Ok(done.await) }).await {
            Ok(results) => results
                .into_iter()
                .filter_map(Result::err)
                .map(|fault| fault.to_string())
                .collect(),
            Err(fault) => vec![fault.to_string()],
        }
    }
}
