//! The outline of a Swarm's services completed with the image and the values:
//! what the `swarm` strategy works from.

use std::collections::BTreeSet;

use indexmap::IndexMap;

use crate::model::container::{Container, label};
use crate::model::names::RoleName;
use crate::model::project::HealthCheck;
use crate::model::release::Release;
use crate::model::route::Server;
use crate::model::service::{ServiceCheck, ServiceSpec, UpdatePolicy};
use crate::model::slot::{Arrival, Manner, OldOnes};
use crate::plan::{
    Facts, HostFacts, ReadyRole, Recipe, RolloutOutline, ServiceOutline, SlotOutline,
};
use crate::ports::{HostStep, RolloutPlan, ServiceStep, SwarmPlan};

use super::observe::ours;
use super::unrouted;

pub(super) fn rollout_plan(
    recipe: &Recipe<'_>,
    outline: &RolloutOutline,
    facts: &Facts,
    roles: &IndexMap<RoleName, ReadyRole>,
    before: Option<&Release>,
) -> RolloutPlan {
    let environment = recipe.environment;
    // A service's port is the same on every node.
    let mut taken: BTreeSet<u16> = facts
        .hosts
        .iter()
        .flat_map(|host| host.taken_ports.all())
        .collect();
    let services = outline
        .services
        .iter()
        .filter_map(|service| {
            let ready = roles.get(&service.role)?;
            let old = before.and_then(|before| before.roles.get(&service.role));
            Some(ServiceStep {
                role: service.role.clone(),
                manner: service.manner,
                behind_proxy: service.behind_proxy,
                new: spec(recipe, service, ready, facts, &mut taken),
                health: ready.role.health.clone(),
                old_stop: old.map_or_else(|| ready.role.stop.clone(), |old| old.stop.clone()),
            })
        })
        .collect();
    RolloutPlan {
        release: recipe.release.clone(),
        live: before.map(|before| before.id.clone()),
        image: recipe.image.clone(),
        rollout: environment.rollout.clone(),
        route: environment.route(),
        unrouted: match environment.route() {
            // The engine may place a task on any of them.
            Some(_) => vec![],
            None => unrouted::hosts(environment, outline, facts),
        },
        gate: environment.schema_gate.clone(),
        batches: vec![
            facts
                .hosts
                .iter()
                .map(|host| HostStep {
                    host: host.address.clone(),
                    slots: vec![],
                    old_servers: old_servers(recipe, host, before),
                    old_ones: OldOnes::Removed,
                    leftovers: vec![],
                    outdated: vec![],
                })
                .collect(),
        ],
        swarm: Some(SwarmPlan {
            manager: environment.primary().address.clone(),
            nodes: facts
                .hosts
                .iter()
                .filter_map(|host| {
                    let member = host.engine.member.as_ref()?;
                    Some((member.node.clone(), host.address.clone()))
                })
                .collect(),
            labels: ours(environment),
            services,
        }),
    }
}

fn spec(
    recipe: &Recipe<'_>,
    service: &ServiceOutline,
    ready: &ReadyRole,
    facts: &Facts,
    taken: &mut BTreeSet<u16>,
) -> ServiceSpec {
    let slot = SlotOutline {
        role: service.role.clone(),
        replica: service.replica,
        manner: service.manner,
        arrival: Arrival::Made,
        name: service.name.clone(),
        ports: service.ports.clone(),
        loopback: service.chosen.clone(),
        behind_proxy: service.behind_proxy,
        replaces: vec![],
    };
    // A run of this release that was cut off has chosen its ports already.
    let known = (service.manner == Manner::Beside).then(|| {
        let mut containers = facts.hosts.iter().flat_map(|host| &host.containers);
        containers.find(|known| known.label(label::SWARM_SERVICE) == Some(&*service.name))
    });
    let mut container = recipe.container(&slot, ready, known.flatten(), taken);
    if service.manner == Manner::InPlace {
        // Its tasks have numbers of their own.
        container.labels.remove(label::REPLICA);
    }
    ServiceSpec {
        container,
        replicas: service.tasks,
        per_node: service.per_node,
        check: match &ready.role.health.check {
            HealthCheck::Command(command) => Some(ServiceCheck {
                command: command.clone(),
                interval: ready.role.health.interval,
                patience: ready.role.health.timeout,
            }),
            HealthCheck::Http { .. } | HealthCheck::Tcp { .. } | HealthCheck::None => None,
        },
        update: UpdatePolicy {
            parallelism: service.parallelism,
            pause: recipe.environment.rollout.pause,
            order: service.order,
        },
    }
}

/// The tasks of the live release behind this node's proxy; else those of any
/// other one.
fn old_servers(recipe: &Recipe<'_>, host: &HostFacts, before: Option<&Release>) -> Vec<Server> {
    let Some(proxy) = &recipe.environment.proxy else {
        return vec![];
    };
    let recorded = before.and_then(|before| before.roles.get(&proxy.role));
    let today = recipe.environment.roles.get(&proxy.role);
    let port = recorded
        .and_then(|role| role.port)
        .or(today.and_then(|role| role.port));
    let Some(port) = port else {
        return vec![];
    };
    let serving: Vec<&Container> = host
        .others_of(&proxy.role, recipe.release)
        .filter(|container| container.running())
        .collect();
    let live = before.map(|before| before.id.as_str());
    let of_live = |container: &&&Container| container.label(label::RELEASE) == live;
    let chosen: Vec<&&Container> = match serving.iter().any(|container| of_live(&container)) {
        true => serving.iter().filter(of_live).collect(),
        false => serving.iter().collect(),
    };
    let mut servers: Vec<Server> = chosen
        .into_iter()
        .filter_map(|old| {
            Some(Server {
                name: old.name.clone(),
                port: old.host_port(port)?,
            })
        })
        .collect();
    servers.sort();
    servers
}
