//! What `--role` and `--host` choose, when that is no container.

use crate::model::fault::Fault;
use crate::model::names::RoleName;
use crate::model::project::Environment;
use crate::ui::words;

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
