//! What only shows when roles, hosts and the proxy are seen together: two
//! containers that want one port of a host, and roles that run nowhere.

use std::collections::HashMap;

use indexmap::IndexMap;

use crate::model::host::Host;
use crate::model::names::RoleName;
use crate::model::project::{Proxy, Role, Tls};

use super::super::file;
use super::super::problem::Findings;
use super::super::source::Span;

pub(super) fn check(
    section: &file::Environment,
    roles: &IndexMap<RoleName, Role>,
    hosts: &[Host],
    proxy: Option<&Proxy>,
    found: &mut Findings,
) {
    for (name, role) in roles {
        let place = places(section, name);
        if let (Some(port), 2..) = (role.publish, role.replicas) {
            found
                .error(
                    place.port,
                    format!(
                        "{} replicas cannot all publish port {port} of their host",
                        role.replicas
                    ),
                )
                .help(
                    "put the proxy in front of this role, say `publish: false`, or run one replica",
                );
        }
        if !hosts.is_empty() && !hosts.iter().any(|host| host.roles.contains(name)) {
            found
                .warning(place.name, format!("no host runs the role `{name}`"))
                .help("add it to a host's `roles`");
        }
    }
    for host in hosts {
        one_host(section, roles, host, proxy, found);
    }
}

fn one_host(
    section: &file::Environment,
    roles: &IndexMap<RoleName, Role>,
    host: &Host,
    proxy: Option<&Proxy>,
    found: &mut Findings,
) {
    let mut taken: HashMap<u16, (String, Option<Span>)> = HashMap::new();
    if let Some(proxy) = proxy.filter(|proxy| host.roles.contains(&proxy.role)) {
        taken.insert(proxy.http_port, ("the proxy".to_owned(), None));
        if proxy.tls != Tls::Off {
            taken.insert(proxy.https_port, ("the proxy".to_owned(), None));
        }
    }
    for name in &host.roles {
        let Some(port) = roles.get(name).and_then(|role| role.publish) else {
            continue;
        };
        let place = places(section, name).port;
        match taken.get(&port) {
            None => {
                taken.insert(port, (format!("the role `{name}`"), Some(place)));
            }
            Some((who, first)) => {
                let finding = found.error(
                    place,
                    format!(
                        "the role `{name}` and {who} both want port {port} of `{}`",
                        host.address
                    ),
                );
                finding.help("give one of them another `publish`, or `publish: false`");
                if let Some(first) = first.filter(|first| *first != place) {
                    finding.also(first, "taken here");
                }
            }
        }
    }
}

/// Where a role's name and its published port stand.
struct Places {
    name: Span,
    port: Span,
}

fn places(section: &file::Environment, name: &RoleName) -> Places {
    let roles = section.roles.value().map_or(&[][..], |roles| &roles.0);
    let Some((key, role)) = roles.iter().find(|(key, _)| key.value == name.as_str()) else {
        return Places {
            name: Span::default(),
            port: Span::default(),
        };
    };
    let publish = role.value.publish.given().map(|publish| publish.at);
    let port = role.value.port.given().map(|port| port.at);
    Places {
        name: key.at,
        port: publish.or(port).unwrap_or(key.at),
    }
}
