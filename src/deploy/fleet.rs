//! An outline completed with the image, the values and the containers that are
//! there now: what a strategy works from.

use std::collections::BTreeSet;

use indexmap::IndexMap;

use crate::model::container::{Container, label};
use crate::model::host::HostAddress;
use crate::model::names::RoleName;
use crate::model::project::Strategy;
use crate::model::release::Release;
use crate::model::route::Server;
use crate::model::slot::Arrival;
use crate::plan::{
    Facts, HostOutline, ReadyRole, Recipe, RolloutOutline, SlotOutline, live_before,
};
use crate::ports::{HostStep, RolloutPlan, Slot};

use super::{swarm, unrouted};

pub(super) fn rollout_plan(
    recipe: &Recipe<'_>,
    outline: &RolloutOutline,
    facts: &Facts,
    roles: &IndexMap<RoleName, ReadyRole>,
) -> RolloutPlan {
    let environment = recipe.environment;
    let fleet = Fleet {
        recipe,
        facts,
        roles,
        before: live_before(&facts.history, environment, recipe.release),
    };
    if environment.rollout.strategy == Strategy::Swarm {
        return swarm::rollout_plan(recipe, outline, facts, roles, fleet.before);
    }
    let batches = outline.batches.iter();
    RolloutPlan {
        release: recipe.release.clone(),
        live: fleet.before.map(|before| before.id.clone()),
        image: recipe.image.clone(),
        rollout: environment.rollout.clone(),
        route: environment.route(),
        unrouted: unrouted::hosts(environment, outline, facts),
        gate: environment.schema_gate.clone(),
        batches: batches
            .map(|batch| batch.iter().map(|host| fleet.step(host)).collect())
            .collect(),
        swarm: None,
    }
}

struct Fleet<'a> {
    recipe: &'a Recipe<'a>,
    facts: &'a Facts,
    roles: &'a IndexMap<RoleName, ReadyRole>,
    before: Option<&'a Release>,
}

impl Fleet<'_> {
    fn step(&self, outline: &HostOutline) -> HostStep {
        let known = self.facts.host(&outline.host);
        let mut taken = known.map_or_else(BTreeSet::new, |known| known.taken_ports.all());
        let named = |names: &[String]| self.named(&outline.host, names);
        HostStep {
            host: outline.host.clone(),
            slots: outline
                .slots
                .iter()
                .filter_map(|slot| self.slot(&outline.host, slot, &mut taken))
                .collect(),
            old_servers: self.old_servers(outline),
            old_ones: outline.old_ones,
            leftovers: named(&outline.leftovers),
            outdated: named(&outline.outdated),
        }
    }

    fn slot(
        &self,
        host: &HostAddress,
        outline: &SlotOutline,
        taken: &mut BTreeSet<u16>,
    ) -> Option<Slot> {
        let ready = self.roles.get(&outline.role)?;
        let before = self.before.and_then(|live| live.roles.get(&outline.role));
        let known = self.named(host, std::slice::from_ref(&outline.name)).pop();
        let mut new = self.recipe.container(outline, ready, known.as_ref(), taken);
        if let (Arrival::StartedAgain, Some(known)) = (outline.arrival, known) {
            new.labels = known.labels;
        }
        Some(Slot {
            role: outline.role.clone(),
            manner: outline.manner,
            arrival: outline.arrival,
            behind_proxy: outline.behind_proxy,
            new,
            health: ready.role.health.clone(),
            old: self.named(host, &outline.replaces),
            old_health: before
                .map_or_else(|| ready.role.health.clone(), |role| role.health.clone()),
            old_stop: before.map_or_else(|| ready.role.stop.clone(), |role| role.stop.clone()),
        })
    }

    /// Those of the proxied role that answer until now, on whatever port of
    /// the host they have.
    fn old_servers(&self, outline: &HostOutline) -> Vec<Server> {
        let Some(proxy) = &self.recipe.environment.proxy else {
            return vec![];
        };
        let recorded = self.before.and_then(|live| live.roles.get(&proxy.role));
        let today = self
            .roles
            .get(&proxy.role)
            .and_then(|ready| ready.role.port);
        let Some(port) = recorded.and_then(|role| role.port).or(today) else {
            return vec![];
        };
        let replaced = outline
            .slots
            .iter()
            .filter(|slot| slot.role == proxy.role)
            .flat_map(|slot| self.named(&outline.host, &slot.replaces));
        let left = self
            .named(&outline.host, &outline.leftovers)
            .into_iter()
            .filter(|left| {
                left.label(label::ROLE) == Some(proxy.role.as_str())
                    && self.before.is_some_and(|live| {
                        let recorded = live.hosts.get(&outline.host);
                        recorded.is_some_and(|host| host.containers.contains(&left.name))
                    })
            });
        let mut servers: Vec<Server> = replaced
            .chain(left)
            .filter_map(|old| {
                Some(Server {
                    port: old.host_port(port)?,
                    name: old.name,
                })
            })
            .collect();
        servers.sort();
        servers
    }

    fn named(&self, host: &HostAddress, names: &[String]) -> Vec<Container> {
        self.facts.host(host).map_or_else(Vec::new, |known| {
            let containers = known.containers.iter();
            containers
                .filter(|container| names.contains(&container.name))
                .cloned()
                .collect()
        })
    }
}
