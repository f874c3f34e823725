//! `hosts`: who runs what, and which one is primary.

use std::collections::HashMap;

use crate::model::host::Host;

use super::super::file;
use super::super::problem::Findings;
use super::{Context, known_role};

pub(super) fn resolve(
    context: &Context<'_>,
    section: &file::Environment,
    found: &mut Findings,
) -> Vec<Host> {
    let help = "name the machines: `hosts: [{ address: deploy@10.0.0.10, roles: [primary, web] }]`";
    let Some(given) = section.hosts.need(found, context.at, "hosts", help) else {
        return vec![];
    };
    let mut hosts = Vec::new();
    let mut places = HashMap::new();
    let mut primary = false;
    for host in &given.value.0 {
        let address = host.value.address.need(
            found,
            host.at,
            "address",
            "write `local`, `host`, `user@host` or `user@host:port`",
        );
        let roles = host.value.roles.need(
            found,
            host.at,
            "roles",
            "say what runs there, such as `roles: [primary, web]`",
        );
        // A host whose roles cannot be read may well be the primary one.
        primary |= roles.is_none();
        let mut names = Vec::new();
        let mut marked = false;
        for role in roles.map_or(&[][..], |roles| &roles.value.0) {
            if role.value.is_primary() {
                marked = true;
            } else if names.contains(&role.value) {
                let message = format!("the role `{}` is named twice", role.value);
                found.error(role.at, message);
            } else if known_role(section, role.value.as_str(), role.at, found) {
                names.push(role.value.clone());
            }
        }
        primary |= marked;
        let Some(address) = address else { continue };
        if let Some(first) = places.insert(address.value.0.clone(), address.at) {
            found
                .error(
                    address.at,
                    format!("the host `{}` stands here twice", address.value.0),
                )
                .also(first, "first here")
                .help("list all its roles in one entry");
        }
        hosts.push(Host {
            address: address.value.0.clone(),
            roles: names,
            primary: marked,
        });
    }
    if !primary {
        found
            .error(given.at, "no host has the role `primary`")
            .help("add `primary` to the roles of the host that runs migrations and other one-off jobs");
    }
    hosts
}
