//! What is not as it should be in a fleet that was looked at: each in one line,
//! with the command that mends it. What explains the rest comes first.

use std::collections::{BTreeMap, BTreeSet};

use serde::Serialize;

use crate::model::container::label;
use crate::model::project::{Environment, Strategy};
use crate::model::release::Release;

use super::facts::Facts;
use super::resume::interrupted;
use super::standing::Standing;
use super::status::{FleetStatus, Health, HostStatus, Page, ProxyState, Served};

#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Amiss {
    pub what: String,
    /// The commands that mend it: any of them.
    pub run: Vec<String>,
}

pub(super) fn amiss(environment: &Environment, facts: &Facts, status: &FleetStatus) -> Vec<Amiss> {
    let Some(found) = interrupted(&facts.history, environment) else {
        let live = facts.history.live(&environment.name);
        return live.map_or_else(Vec::new, |live| settled(environment, live, status));
    };
    // A fleet in the middle of a rollout is mixed; nothing else is to be
    // mended before that is.
    let (env, open) = (&environment.name, &found.release);
    let mut what = format!(
        "{} ({} {}) was cut off in {}, or is being worked on (`stagecraft lock show --env {env}`)",
        open.id,
        open.label(),
        open.version,
        found.at
    );
    let serves = by_version(status);
    if serves.len() > 1 {
        what = format!("{what}; hosts serve different versions: {}", told(&serves));
    }
    let mut run = vec![format!("stagecraft deploy --env {env} --resume")];
    if !open.rolled_out() {
        run.push(format!("stagecraft deploy --env {env} --abort"));
    }
    let mut amiss = vec![Amiss { what, run }];
    amiss.extend(half_closed(environment, status));
    amiss
}

/// Nothing is under way: every host should run the live release.
fn settled(environment: &Environment, live: &Release, status: &FleetStatus) -> Vec<Amiss> {
    let env = &environment.name;
    let anew = || match environment.rollout.strategy {
        Strategy::BlueGreen | Strategy::Rolling | Strategy::Recreate => {
            vec![format!("stagecraft restart --env {env}")]
        }
        Strategy::Swarm => vec![format!("stagecraft deploy --env {env}")],
    };
    let mut amiss = vec![];
    let serves = by_version(status);
    let mixed = serves.len() > 1;
    if mixed {
        amiss.push(Amiss {
            what: format!("hosts serve different versions: {}", told(&serves)),
            run: anew(),
        });
    }
    for host in &status.hosts {
        let at = &host.address;
        let mut say = |what: String, run: Vec<String>| amiss.push(Amiss { what, run });
        match proxy(host) {
            Some(why) => say(format!("{why}: nobody is answered there"), anew()),
            None if !mixed => traffic(host, live)
                .into_iter()
                .for_each(|what| say(what, anew())),
            None => {}
        }
        let missing = missing(status, host, live);
        if !missing.is_empty() {
            let what = format!(
                "{} of {} should run on {at}",
                missing.join(", "),
                live.version
            );
            say(what, anew());
        }
        let strays = host
            .containers
            .iter()
            .filter(|one| one.standing == Standing::Stray && one.container.running());
        let strays: Vec<&str> = strays.map(|one| one.container.name.as_str()).collect();
        if !strays.is_empty() {
            let what = format!("{} runs on {at} and belongs to nothing", strays.join(", "));
            say(what, anew());
        }
        for one in &host.containers {
            if let (Standing::Live, Some(Health::Unhealthy(said))) = (one.standing, &one.health) {
                let role = one.role.as_deref().unwrap_or_default();
                let logs = format!("stagecraft logs --env {env} --role {role} --host {at}");
                say(
                    format!("{} on {at} is not healthy: {said}", one.container.name),
                    vec![logs],
                );
            }
        }
        let roles = environment.hosts.iter().find(|known| known.address == *at);
        let wanted =
            roles.is_some_and(|host| host.roles.iter().any(|role| live.roles.contains_key(role)));
        if wanted && !live.hosts.contains_key(at) {
            let deploy = vec![format!("stagecraft deploy --env {env}")];
            say(format!("nothing was deployed to {at} yet"), deploy);
        }
    }
    amiss.extend(half_closed(environment, status));
    amiss
}

/// The versions that hosts serve, with the hosts.
fn by_version(status: &FleetStatus) -> BTreeMap<String, Vec<&str>> {
    let mut all: BTreeMap<String, Vec<&str>> = BTreeMap::new();
    for host in &status.hosts {
        let served: BTreeSet<&str> = match &host.proxy {
            // A container that is gone is named as such, and is no version.
            Some(proxy) => proxy
                .serving
                .iter()
                .filter_map(|one| one.version.as_deref())
                .collect(),
            None => host
                .containers
                .iter()
                .filter(|one| one.container.running() && one.standing != Standing::Job)
                .filter_map(|one| one.version.as_deref())
                .collect(),
        };
        if !served.is_empty() {
            let served: Vec<&str> = served.into_iter().collect();
            let hosts = all.entry(served.join(" and ")).or_default();
            hosts.push(host.address.as_str());
        }
    }
    all
}

fn versions(served: &[Served]) -> BTreeSet<&str> {
    let served = served.iter();
    served
        .map(|one| one.version.as_deref().unwrap_or("something that is gone"))
        .collect()
}

fn told(serves: &BTreeMap<String, Vec<&str>>) -> String {
    let one =
        |(version, hosts): (&String, &Vec<&str>)| format!("{version} on {}", hosts.join(", "));
    serves.iter().map(one).collect::<Vec<_>>().join("; ")
}

fn proxy(host: &HostStatus) -> Option<String> {
    let at = &host.address;
    match host.proxy.as_ref()?.state {
        ProxyState::Runs => None,
        ProxyState::Strange => Some(format!(
            "the proxy on {at} does not know the environment, or does not answer"
        )),
        ProxyState::Stopped => Some(format!("the proxy on {at} is stopped")),
        ProxyState::Missing => Some(format!("there is no proxy on {at}")),
    }
}

/// Where the proxy and the record disagree.
fn traffic(host: &HostStatus, live: &Release) -> Option<String> {
    let proxy = host.proxy.as_ref()?;
    let recorded = live.hosts.get(&host.address)?;
    let other = |served: &[Served]| {
        served.is_empty()
            || served
                .iter()
                .any(|one| !recorded.containers.contains(&one.server.name))
    };
    let words = |served: &[Served]| match served {
        [] => "nothing".to_owned(),
        _ => versions(served)
            .into_iter()
            .collect::<Vec<_>>()
            .join(" and "),
    };
    let at = &host.address;
    let record = format!("the record says {} of {}", live.version, live.id);
    if other(&proxy.serving) {
        return Some(format!(
            "{at} serves {}, and {record}",
            words(&proxy.serving)
        ));
    }
    other(&proxy.at_boot).then(|| {
        let then = words(&proxy.at_boot);
        format!("after a reboot {at} would serve {then}, and {record}")
    })
}

/// Containers of the live release that do not run. A Swarm's task may run on
/// any host.
fn missing<'a>(status: &FleetStatus, host: &HostStatus, live: &'a Release) -> Vec<&'a str> {
    let recorded = live.hosts.get(&host.address);
    let names = recorded.map_or(&[][..], |recorded| &recorded.containers);
    let runs = |name: &&String| {
        let here = host.containers.iter();
        let mut here = here.filter(|one| one.container.running());
        let everywhere = status.hosts.iter().flat_map(|host| &host.containers);
        let mut tasks = everywhere
            .filter(|one| one.container.running())
            // Hosts whose containers are placed here all have one of that name.
            .filter(|one| one.container.label(label::SWARM_SERVICE).is_some());
        here.any(|one| one.container.name == **name)
            || tasks.any(|one| {
                one.container.stands_for(name) && one.release.as_deref() == Some(live.id.as_str())
            })
    };
    let missing = names.iter().filter(|name| !runs(name));
    missing.map(String::as_str).collect()
}

/// Some hosts show the page and some do not.
fn half_closed(environment: &Environment, status: &FleetStatus) -> Option<Amiss> {
    if status.maintenance != Page::Mixed {
        return None;
    }
    let hosts = status.hosts.iter().filter(|host| {
        let proxy = host.proxy.as_ref();
        proxy.is_some_and(|proxy| proxy.maintenance)
    });
    let hosts: Vec<&str> = hosts.map(|host| host.address.as_str()).collect();
    let command = |word| format!("stagecraft maintenance {word} --env {}", environment.name);
    Some(Amiss {
        what: format!("maintenance is on at {} alone", hosts.join(", ")),
        run: vec![command("on"), command("off")],
    })
}
