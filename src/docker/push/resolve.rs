//! What a reference stands for now: the registry is asked for the digest,
//! nothing is pulled. Only an image that no registry has, but this machine
//! does, is pinned for the direct way.

use bollard::errors::Error;
use serde::Deserialize;

use super::Push;
use super::refusal::Refusal;
use crate::docker::auth::{REGISTRY_AUTH, registry_of};
use crate::docker::client::{Call, Engine, fault};
use crate::docker::image::{self, Reference};
use crate::docker::this_machine;
use crate::model::fault::{Fault, FaultKind};
use crate::model::image::{BuiltImage, Carriage, Digest, PinnedImage};
use crate::ports::Cx;

/// Why there is no digest.
enum Unresolved {
    /// The registry's answer, in its words.
    Registry(Refusal, Fault),
    /// The engine that should ask it cannot be asked.
    Engine(Fault),
}

/// The fault of somebody who named an image, before anything was begun.
fn not_pinned(refusal: Refusal, fault: Fault) -> Fault {
    match refusal {
        Refusal::Unknown => Fault {
            kind: FaultKind::Config,
            ..fault
        }
        .hint("see whether its name, tag or digest is right, and whether it was pushed"),
        Refusal::Unreachable
        | Refusal::PlainHttp
        | Refusal::Certificate
        | Refusal::Login
        | Refusal::Other => Fault {
            kind: FaultKind::Unreachable,
            ..fault
        },
    }
}

impl Push {
    pub(super) async fn pinned(&self, cx: &Cx, reference: &str) -> Result<PinnedImage, Fault> {
        let parts = Reference::parse(reference);
        match self.digest_of(&parts).await {
            Ok(digest) => Ok(PinnedImage {
                local_reference: self.local_reference(&digest),
                repository: parts.repository,
                digest,
                id: None,
                carriage: Carriage::Registry,
            }),
            Err(Unresolved::Engine(fault)) => Err(fault),
            Err(Unresolved::Registry(refusal, fault)) => {
                match self.only_here(&parts, refusal).await? {
                    Some(built) => {
                        cx.step(format!("found {reference} on this machine, in no registry"));
                        let mut image = self.carrier.pin(cx, &built).await?;
                        image.local_reference = self.local_reference(&image.digest);
                        Ok(image)
                    }
                    None => Err(not_pinned(refusal, fault)),
                }
            }
        }
    }

    /// The digest that the registry has for `reference`.
    pub(super) async fn distribution(
        &self,
        engine: &Engine,
        reference: &str,
    ) -> Result<Digest, Fault> {
        match self.ask(engine, &Reference::parse(reference)).await {
            Ok(digest) => Ok(digest),
            Err(Unresolved::Registry(_, fault) | Unresolved::Engine(fault)) => Err(fault),
        }
    }

    /// Any engine can ask a registry: where this machine has none, a host's
    /// does it.
    async fn digest_of(&self, parts: &Reference) -> Result<Digest, Unresolved> {
        let here = self.engines.engine(&this_machine());
        let answer = self.ask(&here.map_err(Unresolved::Engine)?, parts).await;
        let Err(Unresolved::Engine(fault)) = answer else {
            return answer;
        };
        match self.delivery.hosts.iter().find(|host| !host.is_local()) {
            Some(host) if fault.kind == FaultKind::Unreachable => {
                let engine = self.engines.engine(host).map_err(Unresolved::Engine)?;
                self.ask(&engine, parts).await
            }
            _ => Err(Unresolved::Engine(fault)),
        }
    }

    async fn ask(&self, engine: &Engine, parts: &Reference) -> Result<Digest, Unresolved> {
        #[derive(Deserialize)]
        struct Distribution {
            #[serde(rename = "Descriptor")]
            descriptor: Descriptor,
        }
        #[derive(Deserialize)]
        struct Descriptor {
            digest: Digest,
        }
        let name = parts.asked();
        let mut call = Call::get(format!("/distribution/{name}/json"));
        let login = self.auth.header(&parts.repository).await;
        if let Some(login) = login.map_err(Unresolved::Engine)? {
            call = call.header(REGISTRY_AUTH, login);
        }
        let doing = format!("find `{name}` in its registry");
        match engine.json::<Distribution>(call).await {
            Ok(found) => Ok(found.descriptor.digest),
            Err(Error::DockerResponseServerError { message, .. }) => {
                let refusal = Refusal::of(&message);
                let login = self.auth.login_from(&parts.repository);
                let fault = refusal.fault(&doing, &parts.repository, &message, &login);
                Err(Unresolved::Registry(refusal, fault))
            }
            Err(error) => Err(Unresolved::Engine(fault(
                engine.host(),
                format!("cannot {doing}"),
                error,
            ))),
        }
    }

    /// This machine's image of that name, when its registry does not have it,
    /// or no registry was named and none answers.
    async fn only_here(
        &self,
        parts: &Reference,
        refusal: Refusal,
    ) -> Result<Option<BuiltImage>, Fault> {
        let named = registry_of(&parts.repository) != "docker.io";
        let may_be = match refusal {
            Refusal::Unknown => true,
            // The public registry asks for a login where it knows no such name.
            Refusal::Login
            | Refusal::Unreachable
            | Refusal::PlainHttp
            | Refusal::Certificate
            | Refusal::Other => !named,
        };
        if !may_be || parts.digest.is_some() {
            return Ok(None);
        }
        let engine = self.engines.engine(&this_machine())?;
        let Some(stored) = image::find(&engine, &parts.asked()).await? else {
            return Ok(None);
        };
        // What came from a registry, or went to one, is not only here.
        if !stored.repo_digests.is_empty() {
            return Ok(None);
        }
        Ok(Some(BuiltImage {
            reference: parts.asked(),
            id: stored.id,
        }))
    }

    fn local_reference(&self, digest: &Digest) -> String {
        format!("stagecraft/{}:{}", self.delivery.project, digest.short())
    }
}
