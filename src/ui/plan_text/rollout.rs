//! A rollout's outline as text: host by host in the order in which it happens,
//! and what is done once it is recorded.

use crate::model::project::Strategy;
use crate::model::slot::{Arrival, Manner, OldOnes};
use crate::plan::{AtProxy, HostOutline, RolloutOutline, SlotOutline};

use super::super::words::plural;

/// What the rollout does.
pub(super) fn lines(outline: &RolloutOutline) -> Vec<String> {
    if outline.strategy == Strategy::Swarm {
        return services(outline);
    }
    let hosts: usize = outline.batches.iter().map(Vec::len).sum();
    let mut lines = vec![format!(
        "{}: {} in {}",
        outline.strategy.label(),
        plural(hosts, "host"),
        batches(outline.batches.len())
    )];
    for (index, batch) in outline.batches.iter().enumerate() {
        let number = index + 1;
        for host in batch {
            if host.proxy == AtProxy::Missing {
                lines.push(format!(
                    "{number}. {}: start the proxy, or tell it of the environment",
                    host.host
                ));
            }
            let beside = of(host, Manner::Beside);
            lines.extend(beside.map(|slot| format!("{number}. {}: {}", host.host, one(slot))));
        }
        lines.extend(barrier(batch));
        for host in batch {
            let in_place = of(host, Manner::InPlace);
            lines.extend(in_place.map(|slot| format!("{number}. {}: {}", host.host, one(slot))));
        }
    }
    lines.extend(outline.notes.iter().map(|note| format!("note: {note}")));
    lines
}

fn services(outline: &RolloutOutline) -> Vec<String> {
    let mut lines = vec![format!(
        "{}: {}, placed by the engine",
        outline.strategy.label(),
        plural(outline.services.len(), "service")
    )];
    for service in &outline.services {
        let tasks = usize::try_from(service.tasks).unwrap_or(usize::MAX);
        let each = match service.per_node {
            Some(1) => ", one on each node".to_owned(),
            Some(most) => format!(", at most {most} on each node"),
            None => String::new(),
        };
        let ports: Vec<String> = service
            .ports
            .iter()
            .map(|port| format!(", port {} to {}", port.host, port.container))
            .collect();
        let old = match (service.replaces.is_empty(), service.manner) {
            (true, _) => ", nothing to replace".to_owned(),
            (false, Manner::Beside) => format!(", beside {}", service.replaces.join(", ")),
            (false, Manner::InPlace) => ", an update of what runs".to_owned(),
        };
        lines.push(format!(
            "{}-{}: {}{each}{}{old}",
            service.role,
            service.replica,
            plural(tasks, "task"),
            ports.concat()
        ));
    }
    lines.extend(outline.gone.iter().map(|name| format!("remove {name}")));
    lines.extend(outline.notes.iter().map(|note| format!("note: {note}")));
    lines
}

fn of(host: &HostOutline, manner: Manner) -> impl Iterator<Item = &SlotOutline> {
    let slots = host.slots.iter();
    slots.filter(move |slot| slot.manner == manner)
}

fn one(slot: &SlotOutline) -> String {
    let ports: Vec<String> = slot
        .ports
        .iter()
        .map(|port| format!(", port {} to {}", port.host, port.container))
        .collect();
    let comes = match slot.arrival {
        Arrival::Made => format!("make {}-{}", slot.role, slot.replica),
        Arrival::StartedAgain => {
            format!("start {}-{} again ({})", slot.role, slot.replica, slot.name)
        }
    };
    let old = match (slot.replaces.as_slice(), slot.manner) {
        // All old replicas go with the first new one.
        ([], _) if slot.replica > 1 => String::new(),
        ([], _) => ", nothing to replace".to_owned(),
        (old, Manner::Beside) => format!(" beside {}", old.join(", ")),
        (old, Manner::InPlace) => format!(", in place of {}", old.join(", ")),
    };
    format!("{comes}{}{old}", ports.concat())
}

/// What happens between the containers that start beside others and those that
/// take a place.
fn barrier(batch: &[HostOutline]) -> Option<String> {
    let mut beside = batch.iter().flat_map(|host| of(host, Manner::Beside));
    let proxied = beside.any(|slot| slot.behind_proxy.is_some());
    let all = match batch {
        [_] => "when all of it is healthy",
        _ => "when all of these hosts are ready",
    };
    let moves = match batch {
        [_] => "traffic moves to the new containers",
        _ => "traffic moves to the new containers on all of them at once",
    };
    proxied.then(|| format!("{all}, {moves}"))
}

/// What is done with the containers that are there now, in finalize.
pub(super) fn afterwards(outline: &RolloutOutline) -> Vec<String> {
    let mut lines = vec!["record the release".to_owned()];
    for host in outline.batches.iter().flatten() {
        let old: Vec<&str> = host
            .slots
            .iter()
            .filter(|slot| slot.manner == Manner::Beside || host.old_ones == OldOnes::Kept)
            .flat_map(|slot| &slot.replaces)
            .map(String::as_str)
            .collect();
        let gone: Vec<&str> = of(host, Manner::InPlace)
            .filter(|_| host.old_ones == OldOnes::Removed)
            .flat_map(|slot| &slot.replaces)
            .chain(&host.leftovers)
            .chain(&host.outdated)
            .map(String::as_str)
            .collect();
        if !old.is_empty() {
            let then = match host.old_ones {
                OldOnes::Kept => "stop and keep for a rollback",
                OldOnes::Removed => "stop and remove",
            };
            lines.push(format!(
                "{}: when its requests are answered, {then}: {}",
                host.host,
                old.join(", ")
            ));
        }
        if !gone.is_empty() {
            lines.push(format!("{}: remove {}", host.host, gone.join(", ")));
        }
    }
    lines
}

fn batches(count: usize) -> String {
    match count {
        1 => "1 batch".to_owned(),
        _ => format!("{count} batches"),
    }
}
