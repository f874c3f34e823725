//! `schema_gate`: whose endpoint is asked, and about which database.

use std::time::Duration;

use crate::model::names::{DatabaseName, RoleName};
use crate::model::project::{Proxy, SchemaGate};

use super::super::file;
use super::super::problem::{Findings, suggestion};
use super::super::source::Span;
use super::known_role;

pub(super) fn resolve(
    section: &file::Environment,
    proxy: Option<&Proxy>,
    found: &mut Findings,
) -> Option<SchemaGate> {
    let given = section.schema_gate.given()?;
    let (gate, at) = (&given.value, given.at);
    let help = "a gate is `schema_gate: { path: /schema/status, port: 9090 }`";
    let path = gate.path.need(found, at, "path", help);
    let port = gate.port.need(found, at, "port", help);
    if let Some(path) = path {
        super::proxy::check_path(&path.value, path.at, found);
    }
    let role = role(section, gate, proxy, at, found);
    let database = database(section, gate, at, found);
    if let (Some(port), Some(role)) = (port, &role) {
        internal(section, role, port.value.0, port.at, found);
    }
    if let Some(role) = &role {
        runs_twice(section, role, at, found);
    }
    let timeout = gate.timeout.value().map(|timeout| timeout.0);
    if timeout == Some(Duration::ZERO) {
        let at = gate.timeout.given().map_or(at, |timeout| timeout.at);
        found.error(at, "without time there is no answer");
    }
    Some(SchemaGate {
        path: path?.value.clone(),
        port: port?.value.0,
        timeout: timeout.unwrap_or(Duration::from_secs(5)),
        role: Some(role?),
        database,
    })
}

/// The named role, the proxy's, or the only one.
fn role(
    section: &file::Environment,
    gate: &file::SchemaGate,
    proxy: Option<&Proxy>,
    at: Span,
    found: &mut Findings,
) -> Option<RoleName> {
    if let Some(role) = gate.role.given() {
        return known_role(section, role.value.as_str(), role.at, found)
            .then(|| role.value.clone());
    }
    if let Some(proxy) = proxy {
        return Some(proxy.role.clone());
    }
    match super::role_names(section)[..] {
        [only] => only.parse().ok(),
        [] => None,
        [..] => {
            if gate.role.is_absent() && section.proxy.is_absent() {
                found
                    .error(
                        at,
                        "which role answers is not clear: there are several, and no proxy",
                    )
                    .help("name it: `role: web`");
            }
            None
        }
    }
}

fn database(
    section: &file::Environment,
    gate: &file::SchemaGate,
    at: Span,
    found: &mut Findings,
) -> Option<DatabaseName> {
    let entries = section
        .databases
        .value()
        .map_or(&[][..], |databases| &databases.0);
    let known: Vec<&str> = entries
        .iter()
        .map(|(name, _)| name.value.as_str())
        .collect();
    if let Some(database) = gate.database.given() {
        if !known.contains(&database.value.as_str()) {
            found
                .error(
                    database.at,
                    format!("there is no database `{}`", database.value),
                )
                .help(suggestion(&database.value, &known));
        }
        return database.value.parse().ok();
    }
    match known[..] {
        [only] => only.parse().ok(),
        [] => None,
        [..] => {
            if gate.database.is_absent() {
                found
                    .error(
                        at,
                        "whose version the gate reports is not clear: there are several databases",
                    )
                    .help(format!("name it: `database: {}`", known[0]));
            }
            None
        }
    }
}

/// The endpoint is for Stagecraft alone: its port is not the one users reach.
fn internal(
    section: &file::Environment,
    role: &RoleName,
    port: u16,
    at: Span,
    found: &mut Findings,
) {
    let roles = section.roles.value().map_or(&[][..], |roles| &roles.0);
    let role = roles.iter().find(|(name, _)| name.value == role.as_str());
    let public = role.and_then(|(_, role)| role.value.port.given());
    if let Some(public) = public.filter(|public| public.value.0 == port) {
        found
            .error(at, "the gate's port is the one that users reach")
            .also(public.at, "this one")
            .help("let the application answer on a port of its own, which is never proxied (it gets `INTERNAL_PORT`)");
    }
}

/// The gate asks a container that runs beside the old one.
fn runs_twice(section: &file::Environment, role: &RoleName, at: Span, found: &mut Findings) {
    let roles = section.roles.value().map_or(&[][..], |roles| &roles.0);
    let role = roles.iter().find(|(name, _)| name.value == role.as_str());
    let overlap = role.and_then(|(_, role)| role.value.overlap.given());
    if let Some(overlap) = overlap.filter(|overlap| !overlap.value) {
        found
            .error(
                at,
                "the gate asks a container of the role that runs beside the old one",
            )
            .also(overlap.at, "which this forbids")
            .help("ask another role (`role: …`), or let this one overlap");
    }
}
