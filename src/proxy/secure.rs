//! Which names speak TLS, and whose their certificates are: HAProxy's own
//! files', or an edge's. Imports `ports`, `model`.
//!
//! Invariant: a name has one kind of certificate, whatever paths of it belong
//! to whom: it is chosen before a path is known.

use std::collections::BTreeSet;

use crate::model::fault::Fault;
use crate::model::host::HostAddress;
use crate::model::route::{Certificate, RouteLabel};
use crate::ports::HostLink;

use super::names::shown;
use super::runtime::Command;
use super::state::{Entry, Map, State};
use super::traffic::obey;

/// As maps and files write it.
pub(super) fn word(of: Certificate) -> Option<&'static str> {
    match of {
        Certificate::Off => None,
        Certificate::Auto => Some("auto"),
        Certificate::Internal => Some("internal"),
        Certificate::Files => Some("files"),
    }
}

/// Sends the names of the route where their certificate is, and their plain
/// requests to HTTPS. Names that it no longer has stay until it is kept.
pub(super) async fn ensure(
    link: &dyn HostLink,
    host: &HostAddress,
    state: &State,
    pair: &str,
    route: &RouteLabel,
) -> Result<(), Fault> {
    let Some(word) = word(route.tls) else {
        return Ok(());
    };
    let own = format!("{word}.{pair}");
    let mut commands = vec![];
    for name in names(route) {
        let others = entries_of(state, &name);
        let of_other = others.iter().find(|entry| {
            let (whose, of) = parts(entry);
            of != pair && whose != word
        });
        if let Some(other) = of_other {
            return Err(differs(host, &name, state, other, word));
        }
        if !others.iter().any(|entry| entry.value == own) {
            commands.push(Map::Tls.add(&name, &own));
        }
        // The first entry counts: an old one goes when the new one is there.
        let old = others
            .iter()
            .filter(|entry| parts(entry).1 == pair && entry.value != own);
        commands.extend(old.map(|entry| Map::Tls.del_entry(entry)));
    }
    match state.value(Map::Secure, pair) {
        None => commands.push(Map::Secure.add(pair, word)),
        Some(now) if now != word => commands.push(Map::Secure.set(pair, word)),
        Some(_) => {}
    }
    obey(link, host, &commands).await
}

/// Takes away what the route no longer has.
pub(super) fn others(state: &State, pair: &str, route: &RouteLabel) -> Vec<Command> {
    let kept = match word(route.tls) {
        Some(_) => names(route),
        None => BTreeSet::new(),
    };
    let mut commands: Vec<Command> = state
        .map(Map::Tls)
        .iter()
        .filter(|entry| parts(entry).1 == pair && !kept.contains(&entry.key))
        .map(|entry| Map::Tls.del_entry(entry))
        .collect();
    if kept.is_empty() && state.value(Map::Secure, pair).is_some() {
        commands.push(Map::Secure.del(pair));
    }
    commands
}

/// As clients ask for them in their first message; `*` is any.
fn names(route: &RouteLabel) -> BTreeSet<String> {
    match route.hosts.is_empty() {
        true => BTreeSet::from(["*".to_owned()]),
        false => route
            .hosts
            .iter()
            .map(|host| host.to_ascii_lowercase())
            .collect(),
    }
}

fn entries_of<'a>(state: &'a State, name: &str) -> Vec<&'a Entry> {
    let entries = state.map(Map::Tls).iter();
    entries.filter(|entry| entry.key == name).collect()
}

/// Whose the certificate is, and the pair.
fn parts(entry: &Entry) -> (&str, &str) {
    entry.value.split_once('.').unwrap_or((&entry.value, ""))
}

fn differs(host: &HostAddress, name: &str, state: &State, other: &Entry, word: &str) -> Fault {
    let (whose, pair) = parts(other);
    let owner = state.owner(pair).unwrap_or("another environment");
    Fault::refused(format!(
        "{} has `tls: {}` by `{owner}` on `{host}`, and `tls: {}` is wanted",
        shown(name),
        written(whose),
        written(word)
    ))
    .because("a name has one certificate for all its paths")
    .hint("write the same `tls` for both in `proxy`, or give one of the two another name")
}

fn written(word: &str) -> &str {
    match word {
        "files" => "{ cert, key }",
        word => word,
    }
}
