//! What `--role` and `--host` choose: the containers of the slot that serves.

use crate::model::container::Container;
use crate::model::fault::Fault;
use crate::model::host::HostAddress;
use crate::model::names::RoleName;
use crate::model::project::Environment;
use crate::plan::{Facts, HostFacts, Standing, standing};
use crate::ui::words;

/// The containers that serve or should, with their hosts: those of the live
/// release, then those of one that is being rolled out; where the record knows
/// none of them, whatever runs. Kept ones are asleep, and never chosen.
pub(crate) fn in_use<'a>(
    environment: &Environment,
    facts: &'a Facts,
    wanted: impl Fn(&HostFacts, &Container) -> bool,
) -> Vec<(&'a HostAddress, &'a Container)> {
    let all: Vec<(Standing, &HostAddress, &Container)> = facts
        .hosts
        .iter()
        .flat_map(|host| host.containers.iter().map(move |one| (host, one)))
        .filter(|(host, one)| wanted(host, one))
        .map(|(host, one)| {
            let at = &host.address;
            let stands = standing(&facts.history, &environment.name, at, one);
            (stands, at, one)
        })
        .collect();
    let of = |standing: Standing| {
        let all = all.iter().filter(move |(known, ..)| *known == standing);
        all.map(|(_, host, one)| (*host, *one))
    };
    let mut chosen: Vec<_> = of(Standing::Live).chain(of(Standing::New)).collect();
    if chosen.is_empty() {
        let others = of(Standing::Leaving).chain(of(Standing::Stray));
        chosen.extend(others.filter(|(_, one)| one.running()));
    }
    chosen
}

/// Why nothing was found: a name that the configuration does not have, or
/// nothing that runs. Asked afterwards, because a role that left the
/// configuration may still run.
pub(crate) fn found_nothing(
    environment: &Environment,
    role: Option<&RoleName>,
    host: Option<&str>,
) -> Fault {
    let name = &environment.name;
    let hosts = || environment.hosts.iter().map(|host| host.address.as_str());
    if let Some(host) = host
        && !hosts().any(|known| known == host)
    {
        return unknown("host", host, environment, &words::or_list(hosts()));
    }
    if let Some(role) = role
        && !environment.roles.contains_key(role)
    {
        let known = words::or_list(environment.roles.keys().map(RoleName::as_str));
        return unknown("role", role.as_str(), environment, &known);
    }
    let of_role = role.map_or_else(String::new, |role| format!(" of role `{role}`"));
    let on_host = host.map_or_else(String::new, |host| format!(" on {host}"));
    Fault::refused(format!("no container{of_role} runs{on_host} in `{name}`"))
        .hint(format!("see what runs: `stagecraft status --env {name}`"))
}

fn unknown(what: &str, name: &str, environment: &Environment, known: &str) -> Fault {
    Fault::config(format!(
        "there is no {what} `{name}` in `{}`",
        environment.name
    ))
    .hint(format!("name {known} after `--{what}`"))
}
