//! A slot's outline completed with an image and values: the container that
//! will be started, and what a release's record keeps of it.

use std::collections::{BTreeMap, BTreeSet};

use sha2::{Digest as _, Sha256};

use crate::model::container::{Container, ContainerSpec, Mount, PortBinding, label};
use crate::model::image::PinnedImage;
use crate::model::project::{Environment, Role};
use crate::model::release::{ReleaseId, RoleRecord};
use crate::model::secret::Secret;

use super::rollout::{ReadyRole, SlotOutline, published};

/// Ports of a host's loopback that containers get: below the range that
/// systems take for outgoing connections.
const LOOPBACK_PORTS: std::ops::Range<u16> = 20_000..30_000;

/// What all containers of one rollout have in common.
#[derive(Debug, Clone, Copy)]
pub struct Recipe<'a> {
    pub environment: &'a Environment,
    pub image: &'a PinnedImage,
    pub release: &'a ReleaseId,
    pub version: &'a str,
}

impl Recipe<'_> {
    /// The container of one slot. `known` is the one of its name that is there
    /// already: it keeps its ports. `taken` are the host's ports that somebody
    /// has; what is chosen is added.
    #[must_use]
    pub fn container(
        &self,
        slot: &SlotOutline,
        ready: &ReadyRole,
        known: Option<&Container>,
        taken: &mut BTreeSet<u16>,
    ) -> ContainerSpec {
        let (environment, role) = (self.environment, &ready.role);
        let mut env = ready.env.clone();
        let mut give = |name: &str, port: Option<u16>| {
            if let Some(port) = port {
                env.entry(name.to_owned())
                    .or_insert_with(|| Secret::new(port.to_string()));
            }
        };
        give("PORT", role.port);
        let gate = environment.schema_gate.as_ref();
        give("INTERNAL_PORT", gate.map(|gate| gate.port));
        let loopback: Vec<PortBinding> = slot
            .loopback
            .iter()
            .map(|container| PortBinding {
                container: *container,
                host: known
                    .and_then(|known| known.host_port(*container))
                    .unwrap_or_else(|| free_port(&slot.name, taken)),
                address: "127.0.0.1".to_owned(),
            })
            .collect();
        let prefix = environment.prefix();
        ContainerSpec {
            name: slot.name.clone(),
            image: self.image.clone(),
            entrypoint: None,
            command: role.command.clone(),
            env,
            labels: self.labels(slot, ready, &loopback),
            mounts: role
                .volumes
                .iter()
                .map(|volume| Mount {
                    source: volume.engine_source(&prefix),
                    target: volume.target.clone(),
                    read_only: volume.read_only,
                })
                .collect(),
            made_folders: vec![],
            user: None,
            network: prefix,
            aliases: vec![role.name.to_string()],
            ports: slot.ports.iter().cloned().chain(loopback).collect(),
            stop: role.stop.clone(),
            restart: true,
        }
    }

    fn labels(
        &self,
        slot: &SlotOutline,
        ready: &ReadyRole,
        loopback: &[PortBinding],
    ) -> BTreeMap<String, String> {
        let environment = self.environment;
        let mut labels = BTreeMap::from([
            (label::PROJECT.to_owned(), environment.project.to_string()),
            (label::ENVIRONMENT.to_owned(), environment.name.to_string()),
            (label::ROLE.to_owned(), ready.role.name.to_string()),
            (label::RELEASE.to_owned(), self.release.to_string()),
            (label::VERSION.to_owned(), self.version.to_owned()),
            (label::DIGEST.to_owned(), self.image.digest.to_string()),
            (
                label::CONFIG_HASH.to_owned(),
                environment.config_hash.clone(),
            ),
            (label::REPLICA.to_owned(), slot.replica.to_string()),
        ]);
        if !loopback.is_empty() {
            let pairs: Vec<String> = loopback
                .iter()
                .map(|port| format!("{}={}", port.container, port.host))
                .collect();
            labels.insert(label::LOOPBACK.to_owned(), pairs.join(","));
        }
        if let (Some(port), Some(route)) = (slot.behind_proxy, environment.route()) {
            labels.insert(label::ROUTE.to_owned(), route.label(port).to_string());
        }
        if let Some(print) = &ready.print {
            labels.insert(label::ENV.to_owned(), print.clone());
        }
        labels
    }
}

/// A port that nobody has. Where the search begins depends on the name, so
/// that two projects at the same time seldom choose the same one.
fn free_port(name: &str, taken: &mut BTreeSet<u16>) -> u16 {
    let size = LOOPBACK_PORTS.end - LOOPBACK_PORTS.start;
    let hash = Sha256::digest(name.as_bytes());
    let begin = u16::from_be_bytes([hash[0], hash[1]]) % size;
    let port = (0..size)
        .map(|step| LOOPBACK_PORTS.start + (begin + step) % size)
        .find(|port| !taken.contains(port))
        // Ten thousand containers on one host: the engine will say so.
        .unwrap_or(LOOPBACK_PORTS.start);
    taken.insert(port);
    port
}

/// What a release's record keeps of a role.
#[must_use]
pub fn role_record(environment: &Environment, role: &Role) -> RoleRecord {
    RoleRecord {
        command: role.command.clone(),
        replicas: role.replicas,
        port: role.port,
        publish: role.publish,
        internal_port: environment.schema_gate.as_ref().map(|gate| gate.port),
        ports: published(environment, role),
        volumes: role.volumes.clone(),
        health: role.health.clone(),
        stop: role.stop.clone(),
        overlap: role.overlap,
        env_clear: environment
            .env
            .clear
            .iter()
            .map(|(name, value)| (name.clone(), value.written.clone()))
            .collect(),
        env_secret: environment
            .env
            .secret
            .iter()
            .map(|name| (name.clone(), String::new()))
            .collect(),
    }
}
