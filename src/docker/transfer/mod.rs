//! Images that travel straight to the hosts. Imports `ports`, `model`.
//!
//! For each host that lacks the image a registry of our own, read-only and
//! only for this, stands behind a port of the host's loopback; the host's
//! engine pulls from it what it lacks, by digest. So only missing layers
//! travel, and the engine itself checks every byte.
//!
//! The image is read out of an engine once, into a cache, and only when
//! somebody lacks it. Its manifest names the layers uncompressed, by the very
//! digests that the image's configuration holds: nothing is compressed or
//! hashed on the way.

use std::sync::Arc;

use futures_util::future::{join_all, try_join_all};
use serde::Deserialize;

use self::archive::Archive;
use self::pin::Pin;
use self::spool::Spool;
use super::client::{Call, Engine, Engines, fault};
use super::image::{self, Stored};
use super::push::Delivery;
use super::this_machine;
use crate::model::container::confirms;
use crate::model::fault::Fault;
use crate::model::host::HostAddress;
use crate::model::image::{BuiltImage, Carriage, Digest, PinnedImage};
use crate::model::names::EnvironmentName;
use crate::ports::{Cx, HostLink};

mod archive;
mod host;
mod manifest;
mod pieces;
mod pin;
mod served;
mod spool;

pub(super) use spool::default_folder;

/// Carries images of one project to its hosts.
pub(super) struct Carrier {
    engines: Arc<Engines>,
    link: Arc<dyn HostLink>,
    hosts: Vec<HostAddress>,
    /// `stagecraft/<project>`.
    repository: String,
    environment: EnvironmentName,
    spool: Spool,
}

impl Carrier {
    pub(super) fn new(engines: Arc<Engines>, link: Arc<dyn HostLink>, delivery: &Delivery) -> Self {
        Self {
            engines,
            link,
            hosts: delivery.hosts.clone(),
            repository: format!("stagecraft/{}", delivery.project),
            environment: delivery.environment.clone(),
            spool: Spool::new(delivery.cache.clone()),
        }
    }

    /// Pins an image of this machine's engine and gives it to every host.
    pub(super) async fn pin_and_carry(
        &self,
        cx: &Cx,
        built: &BuiltImage,
    ) -> Result<PinnedImage, Fault> {
        let image = self.pin(cx, built).await?;
        self.carry(cx, &image).await?;
        Ok(image)
    }

    /// Pins an image of this machine's engine. Changes nothing but the cache.
    pub(super) async fn pin(&self, cx: &Cx, built: &BuiltImage) -> Result<PinnedImage, Fault> {
        let here = self.engines.engine(&this_machine())?;
        let pin = if self.only_host_is(&here).await? {
            Pin::of_one_engine(&built.id)
        } else {
            match self.spool.pin(&built.id) {
                Some(pin) => pin,
                None => {
                    let name = built.reference.as_str();
                    self.read(cx, &here, &built.id, name).await?.pin.clone()
                }
            }
        };
        Ok(PinnedImage {
            repository: self.repository.clone(),
            digest: pin.digest,
            id: Some(pin.config),
            carriage: Carriage::Direct,
            local_reference: built.reference.clone(),
        })
    }

    /// Gives an image that was pinned before to every host that lacks it.
    pub(super) async fn carry(&self, cx: &Cx, image: &PinnedImage) -> Result<(), Fault> {
        let looked = self.hosts.iter().map(async |host| {
            let engine = self.engines.engine(host)?;
            let held = host::held(&engine, image).await?;
            Ok::<_, Fault>((host, engine, held.is_some()))
        });
        let mut lacking = vec![];
        let mut holding = vec![];
        for (host, engine, held) in try_join_all(looked).await? {
            if held {
                holding.push(engine);
            } else {
                lacking.push((host, engine));
            }
        }
        if lacking.is_empty() {
            return Ok(());
        }
        let archive = self.source(cx, image, &holding, &lacking).await?;
        let carried = lacking
            .iter()
            .map(|(host, engine)| self.to(cx.on_host(host), engine, image, &archive));
        all(join_all(carried).await)
    }

    /// The image's bytes: from this machine, or else from a host that has it.
    async fn source(
        &self,
        cx: &Cx,
        image: &PinnedImage,
        holding: &[Engine],
        lacking: &[(&HostAddress, Engine)],
    ) -> Result<Arc<Archive>, Fault> {
        // This machine need not have an engine at all, when a host has the
        // image.
        let here = self.engines.engine(&this_machine())?;
        let mut problem = None;
        for engine in std::iter::once(&here).chain(holding) {
            match self.from(cx, image, engine).await {
                Ok(Some(archive)) => return Ok(archive),
                Ok(None) => {}
                Err(fault) => {
                    problem.get_or_insert(fault);
                }
            }
        }
        Err(problem.unwrap_or_else(|| self.nobody_has(image, lacking)))
    }

    async fn from(
        &self,
        cx: &Cx,
        image: &PinnedImage,
        engine: &Engine,
    ) -> Result<Option<Arc<Archive>>, Fault> {
        let Some(stored) = host::held(engine, image).await? else {
            return Ok(None);
        };
        let name = stored.id.as_str();
        let archive = self.read(cx, engine, &stored.id, name).await?;
        let right =
            archive.pin.digest == image.digest || image.id.as_ref() == Some(&archive.pin.config);
        Ok(right.then_some(archive))
    }

    async fn read(
        &self,
        cx: &Cx,
        engine: &Engine,
        id: &Digest,
        name: &str,
    ) -> Result<Arc<Archive>, Fault> {
        let size = image::find(engine, name)
            .await?
            .map(|stored: Stored| stored.size);
        self.spool
            .read(cx, engine, id, name, size)
            .await
            .map(Arc::new)
    }

    /// One engine that is builder and only host needs no transfer.
    async fn only_host_is(&self, here: &Engine) -> Result<bool, Fault> {
        let [host] = &self.hosts[..] else {
            return Ok(false);
        };
        if host.is_local() {
            return Ok(true);
        }
        let there = self.engines.engine(host)?;
        let (here, there) = futures_util::try_join!(engine_id(here), engine_id(&there))?;
        Ok(here == there)
    }

    async fn to(
        &self,
        cx: Cx,
        engine: &Engine,
        image: &PinnedImage,
        archive: &Arc<Archive>,
    ) -> Result<(), Fault> {
        let errand = host::Errand {
            link: &*self.link,
            engine,
            image,
            archive,
        };
        errand.run(&cx).await?;
        match image::find(engine, &image.local_reference).await? {
            Some(stored) if confirms(image, stored.id.as_str(), &stored.repo_digests) => Ok(()),
            Some(stored) => Err(Fault::failed(format!(
                "{} does not confirm the image {image}",
                engine.host()
            ))
            .because(format!("it holds {} under its name", stored.id))),
            None => Err(Fault::failed(format!(
                "{} does not hold the image {image} that it just took",
                engine.host()
            ))),
        }
    }

    fn nobody_has(&self, image: &PinnedImage, lacking: &[(&HostAddress, Engine)]) -> Fault {
        let hosts: Vec<String> = lacking.iter().map(|(host, _)| host.to_string()).collect();
        Fault::failed(format!("the image {image} is not on {}", hosts.join(", ")))
            .because(format!(
                "neither this machine nor any other host holds it as `{}`",
                image.local_reference
            ))
            .hint("run the command on the machine that built the image")
            .hint(format!(
                "or check out the commit that it was built from, and deploy it again: `stagecraft deploy --env {}`",
                self.environment
            ))
    }
}

async fn engine_id(engine: &Engine) -> Result<String, Fault> {
    #[derive(Deserialize)]
    struct Info {
        #[serde(rename = "ID")]
        id: String,
    }
    let info: Info = engine
        .json(Call::get("/info"))
        .await
        .map_err(|error| fault(engine.host(), "cannot ask the engine who it is", error))?;
    Ok(info.id)
}

/// One fault of all that failed: the first, with the others as its causes.
fn all(results: Vec<Result<(), Fault>>) -> Result<(), Fault> {
    let mut faults = results.into_iter().filter_map(Result::err);
    let Some(mut first) = faults.next() else {
        return Ok(());
    };
    for other in faults {
        first.causes.push(other.to_string());
        first.evidence.extend(other.evidence);
        for hint in other.hints {
            first = first.hint(hint);
        }
    }
    Err(first)
}
