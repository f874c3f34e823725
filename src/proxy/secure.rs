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
    obey(link, host, &changes(host, state, pair, route)?).await
}

fn changes(
    host: &HostAddress,
    state: &State,
    pair: &str,
    route: &RouteLabel,
) -> Result<Vec<Command>, Fault> {
    let Some(word) = word(route.tls) else {
        return Ok(vec![]);
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
    Ok(commands)
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

/// Takes away all of it.
pub(super) fn all(state: &State, pair: &str) -> Vec<Command> {
    let names = state.map(Map::Tls).iter();
    let own = names.filter(|entry| parts(entry).1 == pair);
    let own = own.map(|entry| Map::Tls.del_entry(entry));
    let secure = state
        .value(Map::Secure, pair)
        .map(|_| Map::Secure.del(pair));
    own.chain(secure).collect()
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::project::Tls;
    use crate::model::route::Route;
    use crate::proxy::testing::route;

    const NAME: &str = "shop.example.com";

    fn with(tls: Tls) -> RouteLabel {
        let mut route: Route = route("shop-prod", &["Shop.example.com"], None);
        route.proxy.tls = tls;
        route.label(0)
    }

    fn changes_of(entries: &[(&str, &str)], tls: Tls) -> Result<Vec<String>, Fault> {
        let host = "deploy@10.0.0.10".parse().unwrap();
        let changes = changes(&host, &State::of(Map::Tls, entries), "e01", &with(tls))?;
        Ok(texts(&changes))
    }

    /// Without the name of the map's file.
    fn texts(commands: &[Command]) -> Vec<String> {
        let text = |command: &Command| command.text().replace("/tmp/stagecraft/", "");
        commands.iter().map(text).collect()
    }

    #[test]
    fn a_name_changes_its_kind_in_one_step() {
        let first = changes_of(&[], Tls::Auto).unwrap();
        let secure = "add map secure.map e01 auto";
        let added = "add map tls.map shop.example.com auto.e01";
        assert_eq!(first, [added, secure]);
        let again = changes_of(&[(NAME, "auto.e01")], Tls::Auto).unwrap();
        assert_eq!(again, [secure]);
        // The new entry is there before the old one goes.
        let changed = changes_of(&[(NAME, "internal.e01")], Tls::Auto).unwrap();
        assert_eq!(changed, [added, "del map tls.map #0x0", secure]);
        assert!(changes_of(&[], Tls::Off).unwrap().is_empty());
    }

    #[test]
    fn environments_share_a_name_with_one_kind_of_certificate_only() {
        let same = changes_of(&[(NAME, "auto.e02")], Tls::Auto).unwrap();
        assert_eq!(same[0], "add map tls.map shop.example.com auto.e01");
        let fault = changes_of(&[(NAME, "auto.e02")], Tls::Internal).unwrap_err();
        assert_eq!(
            fault.what,
            "`shop.example.com` has `tls: auto` by `another environment` on `deploy@10.0.0.10`, \
             and `tls: internal` is wanted"
        );
    }

    #[test]
    fn names_that_are_no_longer_the_routes_are_taken_away_and_no_others() {
        let entries = [
            (NAME, "auto.e01"),
            ("old.example.com", "auto.e01"),
            ("old.example.com", "auto.e02"),
        ];
        let state = State::of(Map::Tls, &entries);
        let kept = others(&state, "e01", &with(Tls::Auto));
        assert_eq!(texts(&kept), ["del map tls.map #0x1"]);
        let off = others(&state, "e01", &with(Tls::Off));
        assert_eq!(
            texts(&off),
            ["del map tls.map #0x0", "del map tls.map #0x1"]
        );
    }
}
