//! The nodes as the proxies see them: the tasks on each, as slots of its host.

use futures_util::future::try_join_all;

use crate::model::container::Container;
use crate::model::fault::Fault;
use crate::model::slot::{Arrival, Manner};
use crate::ports::{Cx, HostStep, RolloutPlan, ServiceStep, Slot, SwarmPlan};

use super::super::Hands;
use super::{Up, labels_of, steps};

/// Every host, with those of `up` that stand behind its proxy.
pub(super) fn of(plan: &RolloutPlan, swarm: &SwarmPlan, up: &[Up]) -> Vec<HostStep> {
    steps(plan)
        .map(|step| {
            let here = up.iter().filter(|up| up.host == step.host);
            let slots = here
                .map(|up| (&swarm.services[up.step], &up.container))
                .filter(|(service, _)| service.behind_proxy.is_some())
                .map(|(service, container)| slot(service, container));
            HostStep {
                slots: slots.collect(),
                ..step.clone()
            }
        })
        .collect()
}

/// The same, from what runs now.
///
/// # Errors
/// A host that cannot be reached.
pub(super) async fn look(
    cx: &Cx,
    hands: &Hands,
    plan: &RolloutPlan,
    swarm: &SwarmPlan,
) -> Result<Vec<HostStep>, Fault> {
    let hosts = steps(plan).map(|step| host(cx, hands, plan, swarm, step));
    try_join_all(hosts).await
}

/// One of them.
///
/// # Errors
/// It cannot be reached.
pub(super) async fn host(
    cx: &Cx,
    hands: &Hands,
    plan: &RolloutPlan,
    swarm: &SwarmPlan,
    step: &HostStep,
) -> Result<HostStep, Fault> {
    let mut slots = vec![];
    // All replicas of a role are found by its labels.
    let mut behind = swarm.services.iter();
    if let Some(service) = behind.find(|service| service.behind_proxy.is_some()) {
        let labels = labels_of(plan, swarm, service);
        let found = hands.runner.list(cx, &step.host, &labels).await?;
        let running = found.iter().filter(|container| container.running());
        slots.extend(running.map(|container| slot(service, container)));
    }
    Ok(HostStep {
        slots,
        ..step.clone()
    })
}

fn slot(service: &ServiceStep, container: &Container) -> Slot {
    let mut new = service.new.container.clone();
    new.name.clone_from(&container.name);
    Slot {
        role: service.role.clone(),
        manner: Manner::Beside,
        arrival: Arrival::Made,
        behind_proxy: service.behind_proxy,
        new,
        health: service.health.clone(),
        old: vec![],
        old_health: service.health.clone(),
        old_stop: service.old_stop.clone(),
    }
}
