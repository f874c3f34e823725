//! Taking a pair of backends, and names, for one environment and no other.
//! Imports `ports`, `model`.
//!
//! Two environments may do so at the same time, from different machines. A map
//! of HAProxy's takes a key twice and keeps the order, and the first entry is
//! the one that counts: so whoever adds and then reads himself first has it,
//! and whoever does not takes his entry back.

use crate::model::fault::Fault;
use crate::model::host::HostAddress;
use crate::model::route::RouteLabel;
use crate::ports::HostLink;

use super::base::{PAIRS, pairs};
use super::forget;
use super::machine::Machine;
use super::names::{keys, shown};
use super::runtime::{Command, ask};
use super::state::{Entry, Map, State, entries};
use super::traffic::obey;

/// The pair of the route: its own, a spare one, or one whose environment has
/// nothing on the host any more; with what the proxy knows then.
pub(super) async fn pair(
    machine: &Machine<'_>,
    state: State,
    key: &str,
) -> Result<(State, String), Fault> {
    if let Some(pair) = state.pair(key).map(str::to_owned) {
        return Ok((state, pair));
    }
    if let Some(pair) = spare(machine, &state, key).await? {
        return Ok((state, pair));
    }
    let state = forget::deserted(machine, state).await?;
    if let Some(pair) = spare(machine, &state, key).await? {
        return Ok((state, pair));
    }
    let host = machine.host;
    Err(
        Fault::refused(format!("the proxy on `{host}` has no room for `{key}`")).because(format!(
            "it takes {PAIRS} environments, and has as many with containers there"
        )),
    )
}

async fn spare(machine: &Machine<'_>, state: &State, key: &str) -> Result<Option<String>, Fault> {
    let Machine { link, host, .. } = *machine;
    for pair in pairs().filter(|pair| state.owner(pair).is_none()) {
        let owners = add(link, host, Map::Owners, &[(&pair, key)]).await?;
        if settled(link, host, Map::Owners, &owners, &pair, key).await? {
            return Ok(Some(pair));
        }
    }
    Ok(None)
}

/// Adds the route's names that are not there. None is taken away.
pub(super) async fn names(
    link: &dyn HostLink,
    host: &HostAddress,
    state: &State,
    pair: &str,
    route: &RouteLabel,
) -> Result<(), Fault> {
    let keys = keys(route);
    for key in &keys {
        if let Some(other) = state.value(Map::Names, key).filter(|other| *other != pair) {
            return Err(taken(host, key, state.owner(other)));
        }
    }
    let missing: Vec<(&str, &str)> = keys
        .iter()
        .filter(|key| state.value(Map::Names, key).is_none())
        .map(|key| (key.as_str(), pair))
        .collect();
    if missing.is_empty() {
        return Ok(());
    }
    let names = add(link, host, Map::Names, &missing).await?;
    for (key, _) in &missing {
        if !settled(link, host, Map::Names, &names, key, pair).await? {
            return Err(taken(host, key, None));
        }
    }
    Ok(())
}

/// The whole map after adding.
async fn add(
    link: &dyn HostLink,
    host: &HostAddress,
    map: Map,
    added: &[(&str, &str)],
) -> Result<Vec<Entry>, Fault> {
    let mut commands: Vec<Command> = added
        .iter()
        .map(|(key, value)| map.add(key, value))
        .collect();
    commands.push(map.show());
    let mut answers = ask(link, host, &commands)
        .await
        .map_err(|silent| silent.fault(host))?;
    let shown = answers.pop().unwrap_or_default();
    super::traffic::quiet(host, &answers)?;
    entries(&shown)
        .ok_or_else(|| Fault::failed(format!("a map of the proxy on `{host}` cannot be read")))
}

/// Whether the entry that counts is ours; if not, ours is taken back.
async fn settled(
    link: &dyn HostLink,
    host: &HostAddress,
    map: Map,
    entries: &[Entry],
    key: &str,
    value: &str,
) -> Result<bool, Fault> {
    let mut of_key = entries.iter().filter(|entry| entry.key == key);
    if of_key.next().is_some_and(|first| first.value == value) {
        return Ok(true);
    }
    for own in of_key.filter(|entry| entry.value == value) {
        let reference = format!("#{}", own.reference);
        let take_back = Command::new(&["del", "map", map.file(), &reference]);
        obey(link, host, &[take_back]).await?;
    }
    Ok(false)
}

fn taken(host: &HostAddress, key: &str, owner: Option<&str>) -> Fault {
    let whose = owner.map_or_else(
        || "another environment".to_owned(),
        |key| format!("`{key}`"),
    );
    Fault::refused(format!(
        "{} is answered by {whose} on `{host}` already",
        shown(key)
    ))
    .hint("give one of the two another name in `proxy.hosts`, or a `proxy.path_prefix` of its own")
}
