//! What happens on which host: the outline that a plan shows.

use indexmap::IndexMap;
use serde::Serialize;

use crate::model::container::PortBinding;
use crate::model::fault::Fault;
use crate::model::host::HostAddress;
use crate::model::names::RoleName;
use crate::model::project::{Environment, Role, Strategy};
use crate::model::release::{Release, ReleaseId};
use crate::model::secret::Secret;
use crate::model::slot::{Arrival, Manner, OldOnes};

use super::facts::Facts;
use super::slots::{self, Layout};
use super::swarm::{self, ServiceOutline};

/// One replica of one role on one host.
#[derive(Debug, Clone, Serialize)]
pub struct SlotOutline {
    pub role: RoleName,
    /// From 1.
    pub replica: u16,
    pub manner: Manner,
    pub arrival: Arrival,
    /// The container: a new one, or the kept one that is started again.
    pub name: String,
    /// Published to the world.
    pub ports: Vec<PortBinding>,
    /// Published on the host's loopback alone, on ports that are chosen when
    /// the container is made.
    pub loopback: Vec<u16>,
    /// The port inside the container that the proxy sends requests to.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub behind_proxy: Option<u16>,
    /// Names of the containers that it takes the place of.
    pub replaces: Vec<String>,
}

/// What a rollout finds of a host's proxy.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum AtProxy {
    /// Nothing of this rollout stands behind it.
    NotNeeded,
    Ready,
    /// It does not run, or does not know the environment: it will.
    Missing,
}

#[derive(Debug, Clone, Serialize)]
pub struct HostOutline {
    pub host: HostAddress,
    pub proxy: AtProxy,
    pub slots: Vec<SlotOutline>,
    pub old_ones: OldOnes,
    /// Containers that run and no longer belong here.
    pub leftovers: Vec<String>,
    /// Stopped ones that are no way back any more.
    pub outdated: Vec<String>,
}

#[derive(Debug, Clone, Serialize)]
pub struct RolloutOutline {
    pub strategy: Strategy,
    pub batches: Vec<Vec<HostOutline>>,
    /// Of a Swarm, whose engine does the placing: there are no batches then.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub services: Vec<ServiceOutline>,
    /// Services that have no purpose any more.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub gone: Vec<String>,
    pub pause_seconds: f64,
    /// What this strategy does not promise, in words.
    pub notes: Vec<String>,
}

/// A role with its environment complete: values of today's sources.
#[derive(Debug, Clone)]
pub struct ReadyRole {
    pub role: Role,
    pub env: IndexMap<String, Secret>,
    /// Keyed fingerprint of the whole `env`: a kept container that was made
    /// with another one is made anew.
    pub print: Option<String>,
}

/// Whose kept containers may be started again, and what each role's
/// environment is today.
#[derive(Debug, Clone, Copy)]
pub struct Again<'a> {
    pub target: &'a Release,
    pub ready: &'a IndexMap<RoleName, ReadyRole>,
}

/// Lays the roles out over the hosts.
///
/// # Errors
/// `Config`: a strategy that this version cannot do yet.
pub fn outline(
    environment: &Environment,
    roles: &IndexMap<RoleName, Role>,
    facts: &Facts,
    release: &ReleaseId,
    again: Option<Again<'_>>,
) -> Result<RolloutOutline, Fault> {
    if environment.rollout.strategy == Strategy::Swarm {
        let layout = swarm::layout(environment, roles, facts, release)?;
        return Ok(RolloutOutline {
            strategy: environment.rollout.strategy,
            batches: vec![],
            services: layout.services,
            gone: layout.gone,
            pause_seconds: environment.rollout.pause.as_secs_f64(),
            notes: layout.notes,
        });
    }
    swarm::left_the_swarm(environment, facts)?;
    let gate_note = gate_note(environment, roles)?;
    let layout = Layout::new(environment, roles, facts, release, again);
    let fleet: Vec<HostOutline> = environment
        .hosts
        .iter()
        .filter_map(|host| facts.host(&host.address).map(|known| (host, known)))
        .map(|(host, known)| layout.of_host(&host.roles, known))
        .filter(HostOutline::has_work)
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
    Ok(RolloutOutline {
        strategy: environment.rollout.strategy,
        notes: gate_note.into_iter().chain(notes(&batches)).collect(),
        batches,
        services: vec![],
        gone: vec![],
        pause_seconds: environment.rollout.pause.as_secs_f64(),
    })
}

/// What the schema gate does in this rollout. Of what is replaced in place
/// nothing new runs before the old one stops, so one container of it is
/// started aside; which a role must bear that says it never runs twice.
fn gate_note(
    environment: &Environment,
    roles: &IndexMap<RoleName, Role>,
) -> Result<Option<String>, Fault> {
    let Some(gate) = &environment.schema_gate else {
        return Ok(None);
    };
    let asked: Vec<&Role> = roles
        .values()
        .filter(|role| gate.asks(&role.name))
        .collect();
    if let Some(role) = asked.iter().find(|role| !role.overlap) {
        return Err(Fault::config(format!(
            "`schema_gate` cannot ask `{0}`: `roles.{0}.overlap` is false",
            role.name
        ))
        .because("the gate asks a container that runs beside the old one, before that is stopped")
        .state("nothing was changed")
        .hint(format!(
            "ask another role (`schema_gate.role`), or let `{}` overlap",
            role.name
        )));
    }
    Ok(asked.first().map(|role| {
        let (name, path) = (&role.name, &gate.path);
        match slots::manner(environment, role) {
            Manner::InPlace => format!(
                "the schema gate asks a container of `{name}` that runs aside on each host before anything is stopped, and every new one after its start (`GET {path}`)"
            ),
            Manner::Beside => format!(
                "the schema gate asks every new container of `{name}` before any traffic moves (`GET {path}`)"
            ),
        }
    }))
}

impl HostOutline {
    fn has_work(&self) -> bool {
        !self.slots.is_empty() || !self.leftovers.is_empty() || !self.outdated.is_empty()
    }
}

/// Where the promise is smaller than "no request is lost", and how.
fn notes(batches: &[Vec<HostOutline>]) -> Vec<String> {
    let slots = || batches.iter().flatten().flat_map(|host| &host.slots);
    let in_place =
        |slot: &&SlotOutline| slot.manner == Manner::InPlace && !slot.replaces.is_empty();
    let mut notes = vec![];
    if slots().filter(in_place).any(|slot| !slot.ports.is_empty()) {
        notes.push("without a proxy each host pauses while its container is replaced; after a failure the old release is started again everywhere".to_owned());
    }
    let mut quiet: Vec<&RoleName> = slots()
        .filter(in_place)
        .filter(|slot| slot.ports.is_empty())
        .map(|slot| &slot.role)
        .collect();
    quiet.sort_unstable();
    quiet.dedup();
    for role in quiet {
        notes.push(format!(
            "`{role}` pauses on each host: its old container ends before the new one starts"
        ));
    }
    if batches.len() > 1 && slots().any(|slot| slot.behind_proxy.is_some()) {
        notes.push("while the batches follow each other, some hosts answer with the old release and some with the new one".to_owned());
    }
    notes
}

/// What a role publishes to the world.
pub(super) fn published(environment: &Environment, role: &Role) -> Vec<PortBinding> {
    if slots::proxied(environment, role) {
        return vec![];
    }
    role.port
        .map(|port| PortBinding {
            container: port,
            host: role.publish.unwrap_or(port),
            address: "0.0.0.0".to_owned(),
        })
        .into_iter()
        .collect()
}
