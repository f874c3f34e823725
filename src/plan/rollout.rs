//! What happens on which host: the outline that a plan shows, and its
//! completion with an image and values once these exist.

use std::collections::BTreeMap;

use indexmap::IndexMap;
use serde::Serialize;

use crate::model::container::{ContainerSpec, Mount, PortBinding, label};
use crate::model::fault::Fault;
use crate::model::host::HostAddress;
use crate::model::image::PinnedImage;
use crate::model::names::RoleName;
use crate::model::project::{Environment, Role, Strategy};
use crate::model::release::{ReleaseId, RoleRecord};
use crate::model::secret::Secret;

use super::facts::{Facts, HostFacts};
use super::unbuilt;

/// One replica of one role on one host.
#[derive(Debug, Clone, Serialize)]
pub struct SlotOutline {
    pub role: RoleName,
    /// From 1.
    pub replica: u16,
    pub ports: Vec<PortBinding>,
    /// Names of the containers that it takes the place of.
    pub replaces: Vec<String>,
}

#[derive(Debug, Clone, Serialize)]
pub struct HostOutline {
    pub host: HostAddress,
    pub slots: Vec<SlotOutline>,
    /// Containers of roles that this host no longer runs.
    pub leftovers: Vec<String>,
}

#[derive(Debug, Clone, Serialize)]
pub struct RolloutOutline {
    pub strategy: Strategy,
    pub batches: Vec<Vec<HostOutline>>,
    pub pause_seconds: f64,
    /// What this strategy does not promise, in words.
    pub notes: Vec<String>,
}

/// A role with its environment complete: values of today's sources.
#[derive(Debug, Clone)]
pub struct ReadyRole {
    pub role: Role,
    pub env: IndexMap<String, Secret>,
}

/// Lays the roles out over the hosts.
///
/// # Errors
/// `Config`: a strategy or proxy that this version cannot do yet.
pub fn outline(
    environment: &Environment,
    roles: &IndexMap<RoleName, Role>,
    facts: &Facts,
    release: &ReleaseId,
) -> Result<RolloutOutline, Fault> {
    unbuilt::rollout(environment)?;
    let gate_note = gate_note(environment, roles)?;
    let live = facts
        .history
        .live(&environment.name)
        .map(|release| &release.id);
    let fleet: Vec<HostOutline> = environment
        .hosts
        .iter()
        .filter_map(|host| facts.host(&host.address).map(|known| (host, known)))
        .map(|(host, known)| host_outline(environment, &host.roles, roles, known, release, live))
        .filter(|host| !host.slots.is_empty() || !host.leftovers.is_empty())
        .collect();
    let size = match environment.rollout.strategy {
        Strategy::Rolling => environment.rollout.batch.size(fleet.len()),
        Strategy::Recreate | Strategy::BlueGreen | Strategy::Swarm => fleet.len().max(1),
    };
    let mut batches: Vec<Vec<HostOutline>> = vec![];
    for host in fleet {
        match batches.last_mut() {
            Some(batch) if batch.len() < size => batch.push(host),
            _ => batches.push(vec![host]),
        }
    }
    let pauses = batches.iter().flatten().any(|host| {
        host.slots
            .iter()
            .any(|slot| !slot.ports.is_empty() && !slot.replaces.is_empty())
    });
    let mut notes: Vec<String> = gate_note.into_iter().collect();
    if pauses {
        notes.push("without a proxy each host pauses while its container is replaced; after a failure the old release is started again everywhere".to_owned());
    }
    Ok(RolloutOutline {
        strategy: environment.rollout.strategy,
        batches,
        pause_seconds: environment.rollout.pause.as_secs_f64(),
        notes,
    })
}

/// What the schema gate does in this rollout. Without a proxy nothing of the
/// new release runs before the old one stops, so one container of it is
/// started aside; which a role must bear that says it never runs twice.
fn gate_note(
    environment: &Environment,
    roles: &IndexMap<RoleName, Role>,
) -> Result<Option<String>, Fault> {
    let Some(gate) = &environment.schema_gate else {
        return Ok(None);
    };
    if environment.proxy.is_some() {
        return Ok(None);
    }
    let asked: Vec<&Role> = roles
        .values()
        .filter(|role| gate.asks(&role.name))
        .collect();
    if let Some(role) = asked.iter().find(|role| !role.overlap) {
        return Err(Fault::config(format!(
            "`schema_gate` cannot ask `{0}`: `roles.{0}.overlap` is false",
            role.name
        ))
        .because("without a proxy the gate asks a container that runs beside the old one, before that is stopped")
        .state("nothing was changed")
        .hint(format!("ask another role (`schema_gate.role`), or let `{}` overlap", role.name)));
    }
    Ok(asked.first().map(|role| {
        format!(
            "the schema gate asks a container of `{}` that runs aside on each host before anything is stopped, and every new one after its start (`GET {}`)",
            role.name, gate.path
        )
    }))
}

fn host_outline(
    environment: &Environment,
    wanted: &[RoleName],
    roles: &IndexMap<RoleName, Role>,
    known: &HostFacts,
    release: &ReleaseId,
    live: Option<&ReleaseId>,
) -> HostOutline {
    let mut slots: Vec<SlotOutline> = vec![];
    for role in wanted.iter().filter_map(|name| roles.get(name)) {
        // What the live release has here, running or stopped by a run that was
        // cut off; else whatever runs. Others that run are leftovers.
        let of_live: Vec<String> = known
            .others_of(&role.name, release)
            .filter(|container| {
                live.is_some() && container.label(label::RELEASE) == live.map(ReleaseId::as_str)
            })
            .map(|container| container.name.clone())
            .collect();
        let mut old = if of_live.is_empty() {
            let running = known
                .others_of(&role.name, release)
                .filter(|container| container.running());
            running.map(|container| container.name.clone()).collect()
        } else {
            of_live
        };
        for replica in 1..=role.replicas {
            slots.push(SlotOutline {
                role: role.name.clone(),
                replica,
                ports: ports(role),
                // All old replicas go with the first new one.
                replaces: std::mem::take(&mut old),
            });
        }
    }
    let name_of = |role: &RoleName, replica| container_name(environment, role, replica, release);
    let leftovers = known
        .containers
        .iter()
        // One-off containers remove themselves; one that does not run was
        // left by a command that was killed. Those of the schema gate run only
        // under the lock, which is ours: any other is left over.
        .filter(|container| match container.label(label::JOB) {
            None | Some(label::job::SCHEMA) => true,
            Some(_) => !container.running(),
        })
        .filter(|container| {
            let ours = slots
                .iter()
                .any(|slot| name_of(&slot.role, slot.replica) == container.name);
            let replaced = slots
                .iter()
                .any(|slot| slot.replaces.contains(&container.name));
            !ours && !replaced
        })
        .map(|container| container.name.clone())
        .collect();
    HostOutline {
        host: known.address.clone(),
        slots,
        leftovers,
    }
}

fn ports(role: &Role) -> Vec<PortBinding> {
    role.port
        .map(|port| PortBinding {
            container: port,
            host: role.publish.unwrap_or(port),
            address: "0.0.0.0".to_owned(),
        })
        .into_iter()
        .collect()
}

/// What a role's container is called.
#[must_use]
fn container_name(
    environment: &Environment,
    role: &RoleName,
    replica: u16,
    release: &ReleaseId,
) -> String {
    format!("{}-{role}-{replica}-{release}", environment.prefix())
}

/// Completes one slot: the container that will be started.
#[must_use]
pub fn materialise(
    environment: &Environment,
    slot: &SlotOutline,
    ready: &ReadyRole,
    image: &PinnedImage,
    release: &ReleaseId,
    version: &str,
) -> ContainerSpec {
    let role = &ready.role;
    let mut env = ready.env.clone();
    if let Some(port) = role.port {
        env.entry("PORT".to_owned())
            .or_insert_with(|| Secret::new(port.to_string()));
    }
    if let Some(gate) = &environment.schema_gate {
        env.entry("INTERNAL_PORT".to_owned())
            .or_insert_with(|| Secret::new(gate.port.to_string()));
    }
    let labels = BTreeMap::from([
        (label::PROJECT.to_owned(), environment.project.to_string()),
        (label::ENVIRONMENT.to_owned(), environment.name.to_string()),
        (label::ROLE.to_owned(), role.name.to_string()),
        (label::RELEASE.to_owned(), release.to_string()),
        (label::VERSION.to_owned(), version.to_owned()),
        (label::DIGEST.to_owned(), image.digest.to_string()),
        (
            label::CONFIG_HASH.to_owned(),
            environment.config_hash.clone(),
        ),
        (label::REPLICA.to_owned(), slot.replica.to_string()),
    ]);
    let prefix = environment.prefix();
    ContainerSpec {
        name: container_name(environment, &role.name, slot.replica, release),
        image: image.clone(),
        entrypoint: None,
        command: role.command.clone(),
        env,
        labels,
        mounts: role
            .volumes
            .iter()
            .map(|volume| Mount {
                source: volume.engine_source(&prefix),
                target: volume.target.clone(),
                read_only: volume.read_only,
            })
            .collect(),
        network: prefix,
        aliases: vec![role.name.to_string()],
        ports: slot.ports.clone(),
        stop: role.stop.clone(),
        restart: true,
    }
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
        ports: ports(role),
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
