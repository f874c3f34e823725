//! `roles`: ports, health checks, how containers stop.
//!
//! Without a `health` key a role with a port is healthy when the port accepts
//! a connection, and one without a port when its container runs.

use std::time::Duration;

use indexmap::IndexMap;

use crate::model::container::StopPolicy;
use crate::model::names::RoleName;
use crate::model::project::{Health, HealthCheck, Proxy, Role};

use super::super::file::{self, HealthForm, HealthSection, PublishForm, TcpForm};
use super::super::leaf::{List, Port};
use super::super::problem::Findings;
use super::super::read::{Field, Spanned};
use super::super::source::Span;
use super::{Context, named};

pub(super) fn resolve(
    context: &Context<'_>,
    section: &file::Environment,
    proxy: Option<&Proxy>,
    found: &mut Findings,
) -> IndexMap<RoleName, Role> {
    let help = "say what runs: `roles: { web: { port: 3000 } }`";
    let mut roles = IndexMap::new();
    let Some(given) = section.roles.need(found, context.at, "roles", help) else {
        return roles;
    };
    if given.value.0.is_empty() {
        found.error(given.at, "there is no role").help(help);
    }
    for (name, role) in &given.value.0 {
        let Some(parsed) = named::<RoleName>(&name.value, name.at, found) else {
            continue;
        };
        if parsed.is_primary() {
            found
                .error(name.at, "`primary` is not a role of its own")
                .help("it marks the host that runs one-off jobs: `hosts: [{ address: …, roles: [primary, web] }]`");
        }
        let proxied = proxy.is_some_and(|proxy| proxy.role == parsed);
        let role = one(parsed.clone(), &role.value, name.at, proxied, found);
        roles.insert(parsed, role);
    }
    roles
}

fn one(name: RoleName, role: &file::Role, at: Span, proxied: bool, found: &mut Findings) -> Role {
    if proxied && let Some(publish) = role.publish.given() {
        found.warning(
            publish.at,
            "`publish` does nothing here: the proxy stands in front of this role",
        );
    }
    if proxied && role.overlap.value() == Some(&false) {
        found.warning(
            role.overlap.given().map_or(at, |overlap| overlap.at),
            "without overlap every deploy interrupts the role behind the proxy",
        );
    }
    if proxied && role.replicas.value() == Some(&0) {
        found.error(
            role.replicas.given().map_or(at, |replicas| replicas.at),
            "the role behind the proxy needs at least one replica",
        );
    }
    let command = command(&role.command, found);
    let volumes = role.volumes.value().map(List::values).unwrap_or_default();
    Role {
        port: role.port.value().map(|port| port.0),
        publish: publish(role, proxied, found),
        command,
        health: health(role, found),
        replicas: role.replicas.or(1),
        volumes: volumes.into_iter().map(|volume| volume.0).collect(),
        stop: stop(role, found),
        overlap: role.overlap.or(true),
        name,
    }
}

fn command(field: &Field<List<String>>, found: &mut Findings) -> Option<Vec<String>> {
    let command = field.given()?;
    if command.value.0.is_empty() {
        found
            .error(command.at, "a command has at least one word")
            .help("leave the key out to run the image's own command");
    }
    Some(command.value.values())
}

fn publish(role: &file::Role, proxied: bool, found: &mut Findings) -> Option<u16> {
    let port = role.port.value().map(|port| port.0);
    match role.publish.given() {
        _ if proxied => None,
        Some(Spanned {
            value: PublishForm::No,
            ..
        }) => None,
        Some(Spanned {
            value: PublishForm::Port(publish),
            at,
        }) => {
            if role.port.is_absent() {
                found
                    .error(*at, "`publish` without `port`")
                    .help("say which port inside the container is meant: `port: 3000`");
            }
            Some(*publish)
        }
        None => port,
    }
}

fn health(role: &file::Role, found: &mut Findings) -> Health {
    let port = role.port.value().map(|port| port.0);
    let default = port.map_or(HealthCheck::None, |port| HealthCheck::Tcp { port });
    let mut health = Health {
        check: default.clone(),
        timeout: Duration::from_secs(30),
        interval: Duration::from_secs(1),
    };
    match role.health.given() {
        None => {}
        Some(Spanned {
            value: HealthForm::None,
            ..
        }) => health.check = HealthCheck::None,
        Some(Spanned {
            value: HealthForm::Check(section),
            at,
        }) => {
            health.check = check(section, &role.port, *at, found).unwrap_or(default);
            if let Some(timeout) = section.timeout.value() {
                health.timeout = timeout.0;
            }
            let interval = section.interval.value().map(|interval| interval.0);
            health.interval = interval.unwrap_or(health.interval.min(health.timeout));
            let at = |field: Option<Span>| field.unwrap_or(*at);
            if health.timeout.is_zero() {
                let at = at(section.timeout.given().map(|timeout| timeout.at));
                found.error(at, "without time no container becomes healthy");
            } else if health.interval > health.timeout {
                let at = at(section.interval.given().map(|interval| interval.at));
                found.error(at, "the interval is longer than the timeout");
            }
        }
    }
    health
}

/// The chosen kind; `None` where none is named.
fn check(
    section: &HealthSection,
    role_port: &Field<Port>,
    at: Span,
    found: &mut Findings,
) -> Option<HealthCheck> {
    let places = [
        section.path.given().map(|path| path.at),
        section.command.given().map(|command| command.at),
        section
            .tcp
            .given()
            .filter(|tcp| !matches!(tcp.value, TcpForm::No))
            .map(|tcp| tcp.at),
    ];
    let mut chosen = places.into_iter().flatten();
    if let (Some(_), Some(second)) = (chosen.next(), chosen.next()) {
        found
            .error(
                second,
                "a health check has one of `path`, `command` and `tcp`",
            )
            .help("keep one of them");
    }
    for (key, field) in [
        ("port", section.port.given().map(|port| port.at)),
        ("host", section.host.given().map(|host| host.at)),
    ] {
        if let (Some(at), true) = (field, section.path.is_absent()) {
            found
                .error(at, format!("`{key}` belongs to a check with `path`"))
                .help("a port that only accepts a connection is `tcp: 3000`");
        }
    }
    let port = |own: Option<u16>, found: &mut Findings| {
        let port = own.or(role_port.value().map(|port| port.0));
        if port.is_none() && role_port.is_absent() {
            found
                .error(at, "the role has no port that could be asked")
                .help("give the role `port: 3000`, or check with `command`");
        }
        port.unwrap_or_default()
    };
    if let Some(path) = section.path.given() {
        super::proxy::check_path(&path.value, path.at, found);
        return Some(HealthCheck::Http {
            path: path.value.clone(),
            port: port(section.port.value().map(|port| port.0), found),
            host: section.host.value().cloned(),
        });
    }
    if let Some(words) = command(&section.command, found) {
        return Some(HealthCheck::Command(words));
    }
    match section.tcp.value()? {
        TcpForm::No => Some(HealthCheck::None),
        TcpForm::RolePort => Some(HealthCheck::Tcp {
            port: port(None, found),
        }),
        TcpForm::Port(own) => Some(HealthCheck::Tcp { port: *own }),
    }
}

fn stop(role: &file::Role, found: &mut Findings) -> StopPolicy {
    let mut policy = StopPolicy::default();
    let Some(stop) = role.stop.value() else {
        return policy;
    };
    if let Some(signal) = stop.signal.given() {
        let name = signal.value.strip_prefix("SIG").unwrap_or(&signal.value);
        if name.is_empty()
            || !name
                .bytes()
                .all(|b| b.is_ascii_uppercase() || b.is_ascii_digit())
        {
            found
                .error(signal.at, "this is not a signal")
                .help("write its name, such as `SIGTERM` or `SIGINT`");
        }
        policy.signal.clone_from(&signal.value);
    }
    if let Some(timeout) = stop.timeout.value() {
        policy.timeout = timeout.0;
    }
    policy
}
