//! One host: which containers come, which they take the place of, and which
//! have no purpose any more.

use std::collections::BTreeSet;

use indexmap::IndexMap;

use crate::model::container::{Container, ContainerState, label};
use crate::model::history::History;
use crate::model::host::HostAddress;
use crate::model::names::RoleName;
use crate::model::project::{Environment, Role, Strategy};
use crate::model::release::{Release, ReleaseId};
use crate::model::slot::{Arrival, Manner, OldOnes};

use super::facts::{Facts, HostFacts};
use super::rollout::{Again, AtProxy, HostOutline, SlotOutline, published};

pub(super) struct Layout<'a> {
    environment: &'a Environment,
    roles: &'a IndexMap<RoleName, Role>,
    history: &'a History,
    release: &'a ReleaseId,
    before: Option<&'a Release>,
    again: Option<Again<'a>>,
}

impl<'a> Layout<'a> {
    pub(super) fn new(
        environment: &'a Environment,
        roles: &'a IndexMap<RoleName, Role>,
        facts: &'a Facts,
        release: &'a ReleaseId,
        again: Option<Again<'a>>,
    ) -> Self {
        Self {
            environment,
            roles,
            history: &facts.history,
            release,
            before: live_before(&facts.history, environment, release),
            again,
        }
    }

    pub(super) fn of_host(&self, wanted: &[RoleName], known: &HostFacts) -> HostOutline {
        let mut slots: Vec<SlotOutline> = vec![];
        for role in wanted.iter().filter_map(|name| self.roles.get(name)) {
            let mut old = self.old_of(role, known);
            for replica in 1..=role.replicas {
                // All old replicas go with the first new one.
                slots.push(self.slot(role, replica, known, std::mem::take(&mut old)));
            }
        }
        let kept = self.kept(known);
        let (leftovers, outdated) = known
            .containers
            .iter()
            .filter(|container| {
                !slots.iter().any(|slot| {
                    slot.name == container.name || slot.replaces.contains(&container.name)
                })
            })
            // One-off containers remove themselves; one that has ended and is
            // still there was left by a command that was killed.
            // Those of the schema gate run only under the lock, which is ours:
            // any other is left over.
            .filter(
                |container| match (container.label(label::JOB), container.state) {
                    (None | Some(label::job::SCHEMA), _)
                    | (_, ContainerState::Exited | ContainerState::Created) => true,
                    (
                        Some(_),
                        ContainerState::Running
                        | ContainerState::Restarting
                        | ContainerState::Other,
                    ) => false,
                },
            )
            .filter(|container| container.running() || !kept.contains(container.name.as_str()))
            .partition::<Vec<_>, _>(|container| container.running() || self.ours(container));
        let names = |containers: Vec<&Container>| {
            let names = containers.iter();
            names.map(|container| container.name.clone()).collect()
        };
        HostOutline {
            host: known.address.clone(),
            proxy: at_proxy(&slots, known),
            slots,
            old_ones: if self.environment.keeps_slots() {
                OldOnes::Kept
            } else {
                OldOnes::Removed
            },
            leftovers: names(leftovers),
            outdated: names(outdated),
        }
    }

    fn slot(
        &self,
        role: &Role,
        replica: u16,
        known: &HostFacts,
        replaces: Vec<String>,
    ) -> SlotOutline {
        let again = self.startable(role, replica, known);
        let proxied = proxied(self.environment, role);
        let gate = self.environment.schema_gate.as_ref();
        let gate = gate.filter(|gate| gate.role.as_ref() == Some(&role.name));
        let ports = published(self.environment, role);
        SlotOutline {
            role: role.name.clone(),
            replica,
            manner: manner(self.environment, role),
            arrival: match again {
                Some(_) => Arrival::StartedAgain,
                None => Arrival::Made,
            },
            name: again.map_or_else(
                || container_name(self.environment, &role.name, replica, self.release),
                |container| container.name.clone(),
            ),
            ports,
            loopback: role
                .port
                .filter(|_| proxied)
                .into_iter()
                .chain(gate.map(|gate| gate.port))
                .collect(),
            behind_proxy: role.port.filter(|_| proxied),
            replaces,
        }
    }

    /// What the live release has here, running or stopped by a run that was
    /// cut off; else whatever runs.
    fn old_of(&self, role: &Role, known: &HostFacts) -> Vec<String> {
        let others = || {
            let others = known.others_of(&role.name, self.release);
            others.filter(|container| !self.comes_back(container, &known.address))
        };
        let of_live: Vec<String> = others()
            .filter(|container| self.of_before(container, &known.address))
            .map(|container| container.name.clone())
            .collect();
        if !of_live.is_empty() {
            return of_live;
        }
        others()
            .filter(|container| container.running())
            .map(|container| container.name.clone())
            .collect()
    }

    fn of_before(&self, container: &Container, host: &HostAddress) -> bool {
        self.before.is_some_and(|before| {
            let recorded = before.hosts.get(host);
            recorded.is_some_and(|host| host.containers.contains(&container.name))
                || container.label(label::RELEASE) == Some(before.id.as_str())
        })
    }

    /// The target's own container that is here, made with today's values.
    fn startable<'k>(
        &self,
        role: &Role,
        replica: u16,
        known: &'k HostFacts,
    ) -> Option<&'k Container> {
        let ready = self.again?.ready.get(&role.name)?;
        let replica = replica.to_string();
        let own = known.containers.iter().filter(|container| {
            self.comes_back(container, &known.address)
                && container.label(label::JOB).is_none()
                && container.label(label::ROLE) == Some(role.name.as_str())
                && container.label(label::REPLICA) == Some(replica.as_str())
                && container.label(label::ENV) == ready.print.as_deref()
                && !lost_its_port(container, known)
        });
        // Of several the newest: their names differ in the release alone.
        own.max_by_key(|container| &container.name)
    }

    fn comes_back(&self, container: &Container, host: &HostAddress) -> bool {
        let mut same = self.history.of(&self.environment.name);
        same.any(|release| {
            let recorded = release.hosts.get(host);
            self.brings(release)
                && recorded.is_some_and(|host| host.containers.contains(&container.name))
        }) && !self.of_before(container, host)
    }

    /// Whether it is what comes back: the target, or one that brought its image
    /// back before and may have made containers of its own.
    fn brings(&self, release: &Release) -> bool {
        self.again.is_some_and(|again| {
            let same = |known: &Release| known.id == again.target.id;
            same(release) || same(self.history.image_release(release))
        })
    }

    /// Made by a run of this very release that was cut off.
    fn ours(&self, container: &Container) -> bool {
        container.label(label::RELEASE) == Some(self.release.as_str())
    }

    /// The containers of the last `rollout.keep` slots that were good, the one
    /// that is left now among them.
    fn kept(&self, known: &HostFacts) -> BTreeSet<&'a str> {
        let mut kept: BTreeSet<&str> = BTreeSet::new();
        if !self.environment.keeps_slots() {
            return kept;
        }
        let mut slots = 0;
        let earlier = self.history.of(&self.environment.name).rev();
        for release in earlier.filter(|earlier| earlier.id != *self.release) {
            let live = self.before.is_some_and(|before| before.id == release.id);
            let recorded = release.hosts.get(&known.address);
            let Some(here) = recorded.filter(|_| live || release.good()) else {
                continue;
            };
            // What is gone takes no place.
            let there = |name: &&str| known.containers.iter().any(|known| known.name == *name);
            let names = || here.containers.iter().map(String::as_str).filter(there);
            if self.brings(release) || names().all(|name| kept.contains(name)) {
                continue;
            }
            if slots == self.environment.rollout.keep {
                break;
            }
            slots += 1;
            kept.extend(names());
        }
        kept
    }
}

/// Somebody took a port that it kept: another container would be told to take
/// another one.
fn lost_its_port(container: &Container, known: &HostFacts) -> bool {
    let mut kept = container.kept_ports();
    !container.running() && kept.any(|port| known.taken_ports.busy.contains(&port))
}

fn at_proxy(slots: &[SlotOutline], known: &HostFacts) -> AtProxy {
    if slots.iter().all(|slot| slot.behind_proxy.is_none()) {
        return AtProxy::NotNeeded;
    }
    match &known.traffic {
        Some(_) => AtProxy::Ready,
        None => AtProxy::Missing,
    }
}

/// The release that was live before this one, which may have gone live
/// already.
#[must_use]
pub fn live_before<'a>(
    history: &'a History,
    environment: &Environment,
    release: &ReleaseId,
) -> Option<&'a Release> {
    let live = history.live(&environment.name)?;
    if live.id == *release {
        return live.previous_id.as_ref().and_then(|id| history.find(id));
    }
    Some(live)
}

/// Whether the proxy stands in front of a role.
pub(super) fn proxied(environment: &Environment, role: &Role) -> bool {
    let proxy = environment.proxy.as_ref();
    proxy.is_some_and(|proxy| proxy.role == role.name)
}

/// Whether a role's new container can run beside its old one.
pub(super) fn manner(environment: &Environment, role: &Role) -> Manner {
    let publishes = !published(environment, role).is_empty();
    let side_by_side = match environment.rollout.strategy {
        Strategy::BlueGreen => true,
        Strategy::Rolling => environment.proxy.is_some(),
        Strategy::Recreate | Strategy::Swarm => false,
    };
    if side_by_side && role.overlap && !publishes {
        Manner::Beside
    } else {
        Manner::InPlace
    }
}

/// What a role's container is called.
pub(super) fn container_name(
    environment: &Environment,
    role: &RoleName,
    replica: u16,
    release: &ReleaseId,
) -> String {
    format!("{}-{role}-{replica}-{release}", environment.prefix())
}
