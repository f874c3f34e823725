//! What `status` says: every host with its proxy and its containers, and above
//! all what is amiss, each with the command that mends it. Pure.

use std::collections::BTreeMap;

use serde::Serialize;

use crate::model::container::{Container, EngineFacts, label};
use crate::model::host::HostAddress;
use crate::model::names::EnvironmentName;
use crate::model::project::Environment;
use crate::model::release::ReleaseId;
use crate::model::route::Server;

use super::amiss::{Amiss, amiss};
use super::facts::{Facts, HostFacts};
use super::standing::{Standing, standing};

/// What was asked beyond the facts, by host and container.
#[derive(Debug, Clone, Default)]
pub struct Asked {
    /// The container of each host's proxy.
    pub proxies: BTreeMap<HostAddress, Container>,
    pub health: BTreeMap<(HostAddress, String), Health>,
    pub open: BTreeMap<(HostAddress, String), u64>,
}

/// One answer of a container that runs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(tag = "state", content = "said", rename_all = "snake_case")]
pub enum Health {
    Healthy,
    Unhealthy(String),
}

#[derive(Debug, Clone, Serialize)]
pub struct FleetStatus {
    pub environment: EnvironmentName,
    pub live: Option<ReleaseId>,
    pub version: Option<String>,
    /// Cut off, or being worked on.
    pub open: Option<ReleaseId>,
    pub maintenance: Page,
    pub amiss: Vec<Amiss>,
    pub hosts: Vec<HostStatus>,
}

/// Who gets the maintenance page.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Page {
    /// There is no proxy that could show one.
    Never,
    Off,
    On,
    /// Some hosts show it.
    Mixed,
}

#[derive(Debug, Clone, Serialize)]
pub struct HostStatus {
    pub address: HostAddress,
    pub engine: EngineFacts,
    /// `None`: nothing of this host stands behind one.
    pub proxy: Option<ProxyStatus>,
    pub containers: Vec<ContainerStatus>,
}

#[derive(Debug, Clone, Serialize)]
pub struct ProxyStatus {
    pub state: ProxyState,
    /// Of what it is made of.
    pub version: Option<String>,
    pub serving: Vec<Served>,
    /// After a restart of the proxy, or of its host.
    pub at_boot: Vec<Served>,
    pub maintenance: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum ProxyState {
    /// It runs and knows the environment.
    Runs,
    /// It runs and does not know the environment, or does not answer.
    Strange,
    Stopped,
    Missing,
}

/// A container that gets requests.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Served {
    #[serde(flatten)]
    pub server: Server,
    /// `None`: the container is gone.
    pub version: Option<String>,
}

#[derive(Debug, Clone, Serialize)]
pub struct ContainerStatus {
    #[serde(flatten)]
    pub container: Container,
    pub standing: Standing,
    pub role: Option<String>,
    pub release: Option<String>,
    pub version: Option<String>,
    /// Of those that run.
    pub health: Option<Health>,
    /// Of those that get no new requests and may still be answering old ones.
    pub open_connections: Option<u64>,
}

#[must_use]
pub fn status(environment: &Environment, facts: &Facts, asked: &Asked) -> FleetStatus {
    let live = facts.history.live(&environment.name);
    let hosts = facts.hosts.iter();
    let hosts: Vec<HostStatus> = hosts
        .map(|known| host(environment, facts, known, asked))
        .collect();
    let mut status = FleetStatus {
        environment: environment.name.clone(),
        live: live.map(|live| live.id.clone()),
        version: live.map(|live| live.version.clone()),
        open: facts
            .history
            .open(&environment.name)
            .map(|open| open.id.clone()),
        maintenance: page(environment, &hosts),
        amiss: vec![],
        hosts,
    };
    status.amiss = amiss(environment, facts, &status);
    status
}

fn host(environment: &Environment, facts: &Facts, known: &HostFacts, asked: &Asked) -> HostStatus {
    let word = |container: &Container, key| container.label(key).map(str::to_owned);
    // Tasks that ended are the Swarm's own memory, and no way back.
    let ended = |container: &&Container| {
        container.label(label::SWARM_SERVICE).is_some() && !container.running()
    };
    let containers = known.containers.iter().filter(|one| !ended(one));
    let containers = containers.map(|container| {
        let key = (known.address.clone(), container.name.clone());
        ContainerStatus {
            standing: standing(&facts.history, &environment.name, &known.address, container),
            role: word(container, label::ROLE),
            release: word(container, label::RELEASE),
            version: word(container, label::VERSION),
            health: asked.health.get(&key).cloned(),
            open_connections: asked.open.get(&key).copied(),
            container: container.clone(),
        }
    });
    let mut containers: Vec<ContainerStatus> = containers.collect();
    containers.sort_by(|a, b| {
        let order = |one: &ContainerStatus| (one.standing, one.container.name.clone());
        order(a).cmp(&order(b))
    });
    HostStatus {
        address: known.address.clone(),
        engine: known.engine.clone(),
        proxy: proxy(environment, known, asked),
        containers,
    }
}

fn proxy(environment: &Environment, known: &HostFacts, asked: &Asked) -> Option<ProxyStatus> {
    let wanted = environment.proxy.as_ref()?;
    let mut hosts = environment.hosts.iter();
    let behind = hosts.find(|host| host.address == known.address)?;
    if !behind.roles.contains(&wanted.role) && known.traffic.is_none() {
        return None;
    }
    let container = asked.proxies.get(&known.address);
    let traffic = known.traffic.clone();
    let state = match (&traffic, container) {
        (Some(_), _) => ProxyState::Runs,
        (None, Some(container)) if container.running() => ProxyState::Strange,
        (None, Some(_)) => ProxyState::Stopped,
        (None, None) => ProxyState::Missing,
    };
    let version = container.and_then(|container| container.label(label::PROXY));
    let traffic = traffic.unwrap_or_default();
    let served = |servers: Vec<Server>| {
        let served = servers.into_iter().map(|server| {
            let mut all = known.containers.iter();
            let found =
                all.find(|container| container.running() && container.stands_for(&server.name));
            let found = found.or_else(|| {
                let mut all = known.containers.iter();
                all.find(|container| container.name == server.name)
            });
            Served {
                version: found.and_then(|found| Some(found.label(label::VERSION)?.to_owned())),
                server,
            }
        });
        served.collect()
    };
    Some(ProxyStatus {
        state,
        version: version.map(str::to_owned),
        serving: served(traffic.serving),
        at_boot: served(traffic.at_boot),
        maintenance: traffic.maintenance,
    })
}

fn page(environment: &Environment, hosts: &[HostStatus]) -> Page {
    if environment.proxy.is_none() {
        return Page::Never;
    }
    let mut shown = hosts
        .iter()
        .filter_map(|host| host.proxy.as_ref())
        .filter(|proxy| proxy.state == ProxyState::Runs)
        .map(|proxy| proxy.maintenance);
    let Some(first) = shown.next() else {
        return Page::Off;
    };
    match shown.all(|other| other == first) {
        false => Page::Mixed,
        true if first => Page::On,
        true => Page::Off,
    }
}
