//! The roles of an environment as services of a Swarm: which there will be,
//! and why there cannot be any. Pure.
//!
//! What traffic or the schema gate must reach before the old release ends is a
//! service of its own beside the old one, a service a replica, one task on
//! each node, on a port that stays: a task that the engine starts anew is
//! found again by the proxy of its node. Every other role is one service that
//! the engine updates.

use std::collections::{BTreeMap, BTreeSet};

use indexmap::IndexMap;
use serde::Serialize;

use crate::model::container::{Container, PortBinding, label};
use crate::model::fault::Fault;
use crate::model::names::RoleName;
use crate::model::project::{Environment, ImageSource, Role, Strategy};
use crate::model::release::ReleaseId;
use crate::model::service::UpdateOrder;
use crate::model::slot::Manner;

use super::facts::{Facts, HostFacts};
use super::rollout::published;
use super::slots::proxied;

/// One service.
#[derive(Debug, Clone, Serialize)]
pub struct ServiceOutline {
    pub role: RoleName,
    /// From 1.
    pub replica: u16,
    #[serde(skip)]
    pub name: String,
    pub manner: Manner,
    pub order: UpdateOrder,
    pub tasks: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub per_node: Option<u64>,
    /// How many change at a time.
    pub parallelism: u64,
    pub ports: Vec<PortBinding>,
    /// Published on ports that are chosen when the service is made.
    pub chosen: Vec<u16>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub behind_proxy: Option<u16>,
    /// Names of the services that it takes the place of.
    pub replaces: Vec<String>,
}

/// What the roles become, the services that go, and what is not promised.
pub(super) struct Layout {
    pub(super) services: Vec<ServiceOutline>,
    pub(super) gone: Vec<String>,
    pub(super) notes: Vec<String>,
}

/// # Errors
/// `Config`: what cannot be a service. `Refused`: hosts that are not the nodes
/// of one Swarm, or that still run containers placed by hand.
pub(super) fn layout(
    environment: &Environment,
    roles: &IndexMap<RoleName, Role>,
    facts: &Facts,
    release: &ReleaseId,
) -> Result<Layout, Fault> {
    nodes_pull(environment)?;
    one_swarm(environment, facts)?;
    placed_by_the_engine(environment, facts)?;
    let running = running(facts, release);
    let mut services = vec![];
    for role in roles.values() {
        services.extend(of_role(environment, role, release, &running)?);
    }
    let goes = |name: &&String| {
        let stays =
            |service: &ServiceOutline| service.name == **name || service.replaces.contains(name);
        !services.iter().any(stays)
    };
    let gone: BTreeSet<&String> = running.values().flatten().filter(goes).collect();
    Ok(Layout {
        gone: gone.into_iter().cloned().collect(),
        notes: notes(environment, &services),
        services,
    })
}

/// An environment that left the Swarm still has its services there: the engine
/// would start again whatever is stopped.
pub(super) fn left_the_swarm(environment: &Environment, facts: &Facts) -> Result<(), Fault> {
    let services: BTreeSet<&str> = facts
        .hosts
        .iter()
        .flat_map(|host| &host.containers)
        .filter(|container| container.running())
        .filter_map(|container| container.label(label::SWARM_SERVICE))
        .collect();
    if services.is_empty() {
        return Ok(());
    }
    let names: Vec<&str> = services.into_iter().collect();
    let primary = &environment.primary().address;
    Err(Fault::refused(format!(
        "`{}` still runs as services of a Swarm: {}",
        environment.name,
        names.join(", ")
    ))
    .because(format!(
        "`rollout.strategy` is `{}` now, and the Swarm would start again whatever is stopped",
        environment.rollout.strategy.label()
    ))
    .state("nothing was changed")
    .hint(format!(
        "take them down first (the site is away until the deploy is done): `{}`",
        primary.command(&format!("docker service rm {}", names.join(" ")))
    )))
}

/// The nodes pull by digest, and only a registry can be pulled from. Asks no
/// host.
///
/// # Errors
/// `Config`: there is none.
pub fn nodes_pull(environment: &Environment) -> Result<(), Fault> {
    if environment.rollout.strategy != Strategy::Swarm {
        return Ok(());
    }
    let built = matches!(environment.source, ImageSource::Build(_));
    if environment.registry.is_some() || !built {
        return Ok(());
    }
    Err(Fault::config("`rollout.strategy: swarm` needs `project.registry`")
        .because("the nodes of a Swarm pull the image themselves, whenever the engine places a task on them")
        .state("nothing was changed")
        .hint("set `project.registry` to an image repository that every node reaches"))
}

fn one_swarm(environment: &Environment, facts: &Facts) -> Result<(), Fault> {
    let primary = &environment.primary().address;
    let refuse = |what: String| Fault::refused(what).state("nothing was changed");
    let known = facts
        .host(primary)
        .and_then(|known| known.engine.member.as_ref());
    let Some(manager) = known.filter(|member| member.manager) else {
        return Err(match known {
            None => refuse(format!("`{primary}` is in no Swarm"))
                .because("`rollout.strategy: swarm` makes services of one that is there, whose manager is the primary host")
                .hint(format!("make it one: `{}`", primary.command("docker swarm init"))),
            Some(_) => refuse(format!("`{primary}` is no manager of its Swarm"))
                .because("the primary host takes the orders")
                .hint(format!("on a manager: `docker node promote {primary}`, or mark a manager as `primary`")),
        });
    };
    let outside: Vec<&HostFacts> = facts
        .hosts
        .iter()
        .filter(|host| host.engine.member.is_none())
        .collect();
    if let Some(first) = outside.first() {
        let names: Vec<String> = outside
            .iter()
            .map(|host| host.address.to_string())
            .collect();
        return Err(refuse(format!("in no Swarm: {}", names.join(", ")))
            .because(format!(
                "every host of `{}` is to be a node of the Swarm of {primary}",
                environment.name
            ))
            .hint(format!(
                "ask {primary} how to join it: `{}`, and run what it says on {}",
                primary.command("docker swarm join-token worker"),
                first.address
            )));
    }
    let hosts = u64::try_from(facts.hosts.len()).unwrap_or(u64::MAX);
    match manager.nodes {
        Some(nodes) if nodes > hosts => Err(refuse(format!(
            "the Swarm of {primary} has {nodes} nodes, and `{}` names {hosts}",
            environment.name
        ))
        .because("the engine may place a task on a node where nobody could ask whether it is healthy")
        .hint(format!(
            "see them: `{}`; add the others to `hosts`, or remove them from the Swarm: `docker node rm NODE`",
            primary.command("docker node ls")
        ))),
        Some(_) | None => Ok(()),
    }
}

/// Containers that Stagecraft placed itself would serve on beside the tasks.
fn placed_by_the_engine(environment: &Environment, facts: &Facts) -> Result<(), Fault> {
    let by_hand = |container: &&Container| {
        container.running()
            && container.label(label::SWARM_SERVICE).is_none()
            && container.label(label::JOB).is_none()
    };
    let mut fault = Fault::refused(format!(
        "`{}` still runs in containers that no Swarm placed",
        environment.name
    ));
    let before = fault.clone();
    for host in &facts.hosts {
        let names: Vec<&str> = host
            .containers
            .iter()
            .filter(by_hand)
            .map(|it| it.name.as_str())
            .collect();
        if !names.is_empty() {
            fault = fault
                .because(format!("{}: {}", host.address, names.join(", ")))
                .hint(format!(
                    "take them down first (the site is away until the deploy is done): `{}`",
                    host.address
                        .command(&format!("docker rm -f {}", names.join(" ")))
                ));
        }
    }
    match fault == before {
        true => Ok(()),
        false => Err(fault.state("nothing was changed")),
    }
}

/// The services of other releases that have running tasks, by role; and those
/// that are updated in place, whatever their release.
fn running(facts: &Facts, release: &ReleaseId) -> BTreeMap<String, BTreeSet<String>> {
    let mut running: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    let containers = facts.hosts.iter().flat_map(|host| &host.containers);
    for container in containers.filter(|container| container.running()) {
        if container.label(label::RELEASE) == Some(release.as_str()) {
            continue;
        }
        if let (Some(role), Some(name)) = (
            container.label(label::ROLE),
            container.label(label::SWARM_SERVICE),
        ) {
            let of_role = running.entry(role.to_owned()).or_default();
            of_role.insert(name.to_owned());
        }
    }
    running
}

fn of_role(
    environment: &Environment,
    role: &Role,
    release: &ReleaseId,
    running: &BTreeMap<String, BTreeSet<String>>,
) -> Result<Vec<ServiceOutline>, Fault> {
    let nodes = u64::try_from(environment.hosts_of(&role.name).count()).unwrap_or(u64::MAX);
    if nodes == 0 {
        return Ok(vec![]);
    }
    let gate = environment.schema_gate.as_ref();
    // Without a role of its own the gate asks whoever stands behind the proxy.
    let gate = gate.filter(|gate| match &gate.role {
        Some(asked) => *asked == role.name,
        None => proxied(environment, role),
    });
    let ports = published(environment, role);
    let behind_proxy = role.port.filter(|_| proxied(environment, role));
    let old: Vec<String> = running
        .get(role.name.as_str())
        .map(|names| names.iter().cloned().collect())
        .unwrap_or_default();
    let prefix = environment.prefix();
    if behind_proxy.is_none() && gate.is_none() {
        let tasks = nodes * u64::from(role.replicas);
        if !ports.is_empty() && role.replicas > 1 {
            return Err(cannot(
                role,
                "it publishes a port of its node, and `replicas` is more than 1",
            ));
        }
        let batch = environment
            .rollout
            .batch
            .size(usize::try_from(tasks).unwrap_or(usize::MAX));
        let name = format!("{prefix}-{}", role.name);
        return Ok(vec![ServiceOutline {
            role: role.name.clone(),
            replica: 1,
            manner: Manner::InPlace,
            order: if role.overlap && ports.is_empty() {
                UpdateOrder::StartFirst
            } else {
                UpdateOrder::StopFirst
            },
            tasks,
            per_node: (!ports.is_empty()).then_some(1),
            parallelism: u64::try_from(batch).unwrap_or(u64::MAX),
            ports,
            chosen: vec![],
            behind_proxy: None,
            replaces: old,
            name,
        }]);
    }
    if !ports.is_empty() {
        return Err(cannot(
            role,
            "the schema gate asks it, and it publishes a port of its node: a new task cannot run beside the old one",
        ));
    }
    if !role.overlap {
        return Err(cannot(
            role,
            "the proxy sends requests to it, and `overlap` is false: a new task cannot run beside the old one",
        ));
    }
    if environment.hosts_of(&role.name).count() < environment.hosts.len() {
        return Err(cannot(
            role,
            "it is not a role of every host: each node's proxy serves the tasks of its own node, and the engine chooses the nodes",
        ));
    }
    let mut old = old;
    Ok((1..=role.replicas)
        .map(|replica| ServiceOutline {
            role: role.name.clone(),
            replica,
            name: format!("{prefix}-{}-{replica}-{release}", role.name),
            manner: Manner::Beside,
            order: UpdateOrder::StartFirst,
            tasks: nodes,
            per_node: Some(1),
            parallelism: 0,
            ports: vec![],
            chosen: behind_proxy
                .into_iter()
                .chain(gate.map(|gate| gate.port))
                .collect(),
            behind_proxy,
            replaces: std::mem::take(&mut old),
        })
        .collect())
}

fn cannot(role: &Role, why: &str) -> Fault {
    Fault::config(format!(
        "role `{}` cannot be a service of a Swarm",
        role.name
    ))
    .because(why)
    .state("nothing was changed")
    .hint("change the role, or choose `rolling` or `recreate` as `rollout.strategy`")
}

fn notes(environment: &Environment, services: &[ServiceOutline]) -> Vec<String> {
    let mut notes = vec![];
    if services.iter().any(|service| !service.chosen.is_empty()) {
        notes.push("the old release's tasks run on until the traffic has moved, and are removed then: a rollback starts new ones".to_owned());
        notes.push("a Swarm publishes on every address of a node: keep ports 20000-29999 of the nodes closed to the world".to_owned());
    }
    if let Some(gate) = &environment.schema_gate {
        notes.push(format!(
            "the schema gate asks every new task before any traffic moves (`GET {}`)",
            gate.path
        ));
    }
    for service in services
        .iter()
        .filter(|service| service.manner == Manner::InPlace)
    {
        let (role, at_once) = (&service.role, service.parallelism.min(service.tasks));
        if service.replaces.is_empty() {
            continue;
        }
        notes.push(match service.order {
            UpdateOrder::StopFirst => format!("`{role}` pauses on each node while its task is replaced, {at_once} of {} at a time; after a failure the engine goes back to what ran before", service.tasks),
            UpdateOrder::StartFirst => format!("`{role}` is updated by the engine, {at_once} of {} tasks at a time: old and new ones run beside each other; after a failure the engine goes back to what ran before", service.tasks),
        });
    }
    notes
}
