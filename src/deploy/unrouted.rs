//! Hosts whose proxies an environment no longer uses.

use crate::model::container::Container;
use crate::model::host::HostAddress;
use crate::model::project::{Environment, Strategy};
use crate::model::route::RouteLabel;
use crate::plan::{Facts, HostOutline, RolloutOutline};

/// Hosts where containers were behind the proxy, none is to be, and none that
/// runs stays; with the key that the proxy knows.
pub(super) fn hosts(
    environment: &Environment,
    outline: &RolloutOutline,
    facts: &Facts,
) -> Vec<(HostAddress, String)> {
    let key = environment.prefix();
    let outlines = || outline.batches.iter().flatten();
    let left = facts.hosts.iter().filter(|host| {
        let outline = outlines().find(|outline| outline.host == host.address);
        if outline.is_some_and(serves) {
            return false;
        }
        let proxied = |container: &&Container| {
            RouteLabel::of(container).is_some_and(|route| route.key == key)
        };
        let mut behind = host.containers.iter().filter(proxied).peekable();
        behind.peek().is_some()
            && behind.all(|container| {
                // Tasks end with their services.
                environment.rollout.strategy == Strategy::Swarm
                    || !container.running()
                    || outline.is_some_and(|outline| ends(outline, &container.name))
            })
    });
    left.map(|host| (host.address.clone(), key.clone()))
        .collect()
}

fn serves(outline: &HostOutline) -> bool {
    outline.slots.iter().any(|slot| slot.behind_proxy.is_some())
}

fn ends(outline: &HostOutline, name: &String) -> bool {
    outline.leftovers.contains(name)
        || outline.outdated.contains(name)
        || outline
            .slots
            .iter()
            .any(|slot| slot.replaces.contains(name))
}
