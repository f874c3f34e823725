//! What a proxy learned between the moment its successor was told what it
//! knows and the moment that one serves: other environments go on meanwhile.
//! Imports `ports`, `model`.
//!
//! Invariant: only what the old one has changed since is changed at the new
//! one, which may know better by then.

use crate::model::fault::Fault;

use super::claim;
use super::forget;
use super::machine::Machine;
use super::runtime::Command;
use super::state::{Map, State, read, read_at};
use super::traffic::{obey, switch};

/// What each of them says of a pair, under its name.
const OF_PAIR: [Map; 5] = [
    Map::Kept,
    Map::Maintenance,
    Map::Secure,
    Map::Limits,
    Map::Timeouts,
];

/// `told`: what the old one knew when the new one was told.
pub(super) async fn catch_up(
    machine: &Machine<'_>,
    told: &State,
    new: State,
) -> Result<State, Fault> {
    let Machine { link, host, .. } = *machine;
    let told_socket = told.socket();
    let now = match read_at(link, host, &told_socket).await {
        Ok(now) => now,
        Err(silent) => {
            machine.cx.on_host(host).warn(format!(
                "{}: what it learned in its last moments is lost",
                silent.fault(host)
            ));
            return Ok(new);
        }
    };
    if now == *told {
        return Ok(new);
    }
    for owner in told.map(Map::Owners) {
        let key = owner.value.as_str();
        if let (None, Some(at)) = (now.pair(key), new.pair(key)) {
            forget::pair(machine, &new, at, key).await?;
        }
    }
    let nothing = State::default();
    for owner in now.map(Map::Owners) {
        let (pair, key) = (owner.key.as_str(), owner.value.as_str());
        // It may have been another's.
        let told = match told.pair(key) == Some(pair) {
            true => told,
            false => &nothing,
        };
        if now.pair(key) == Some(pair) && learned(told, &now, pair) {
            tell(machine, told, &now, key).await?;
        }
    }
    read(link, host).await.map_err(|silent| silent.fault(host))
}

fn learned(told: &State, now: &State, pair: &str) -> bool {
    told.owner(pair) != now.owner(pair)
        || told.serving(pair) != now.serving(pair)
        || OF_PAIR
            .iter()
            .any(|map| told.value(*map, pair) != now.value(*map, pair))
        || [Map::Names, Map::Tls]
            .iter()
            .any(|map| keys(told, *map, pair) != keys(now, *map, pair))
}

async fn tell(machine: &Machine<'_>, told: &State, now: &State, key: &str) -> Result<(), Fault> {
    let Machine { link, host, .. } = *machine;
    let new = read(link, host)
        .await
        .map_err(|silent| silent.fault(host))?;
    let Some(pair) = now.pair(key) else {
        return Ok(());
    };
    let (new, at) = claim::pair(machine, new, key).await?;
    let serving = now.serving(pair);
    if told.serving(pair) != serving {
        switch(link, host, &new, &at, &serving).await?;
    }
    obey(link, host, &changes(told, now, pair, &new, &at)).await
}

fn changes(told: &State, now: &State, pair: &str, new: &State, at: &str) -> Vec<Command> {
    let mut commands = vec![];
    for map in OF_PAIR {
        let value = now.value(map, pair);
        if told.value(map, pair) == value {
            continue;
        }
        commands.extend(match (new.value(map, at), value) {
            (None, None) => None,
            (None, Some(value)) => Some(map.add(at, value)),
            (Some(_), Some(value)) => Some(map.set(at, value)),
            (Some(_), None) => Some(map.del(at)),
        });
    }
    for map in [Map::Names, Map::Tls] {
        let (before, after, there) = (
            keys(told, map, pair),
            keys(now, map, pair),
            keys(new, map, at),
        );
        for (key, value) in &after {
            let missing = !before.contains(&(key.clone(), value.clone()))
                && !there.contains(&(key.clone(), value.clone()));
            if missing {
                commands.push(map.add(key, &value.replace(PAIR, at)));
            }
        }
        let gone = before.iter().filter(|one| !after.contains(one));
        for (key, value) in gone {
            let value = value.replace(PAIR, at);
            let own = new.map(map).iter();
            let own = own.filter(|entry| entry.key == *key && entry.value == value);
            commands.extend(own.map(|entry| map.del_entry(entry)));
        }
    }
    commands
}

/// In place of a pair's name, which another proxy has its own of.
const PAIR: &str = "*";

/// The entries of a map whose values name the pair: `e01`, or `auto.e01`.
fn keys(state: &State, map: Map, pair: &str) -> Vec<(String, String)> {
    let entries = state.map(map).iter();
    let mut keys: Vec<(String, String)> = entries
        .filter(|entry| entry.value.rsplit('.').next() == Some(pair))
        .map(|entry| (entry.key.clone(), entry.value.replace(pair, PAIR)))
        .collect();
    keys.sort();
    keys
}

#[cfg(test)]
mod tests {
    use super::*;

    fn said(commands: &[Command]) -> Vec<&str> {
        commands.iter().map(Command::text).collect()
    }

    #[test]
    fn what_changed_is_told_under_the_pair_of_the_new_one() {
        let told = State::of(Map::Names, &[("a.example/", "e02"), ("b.example/", "e02")]);
        let now = State::of(Map::Names, &[("b.example/", "e02"), ("c.example/", "e02")]);
        let new = State::of(Map::Names, &[("a.example/", "e01"), ("b.example/", "e01")]);
        assert!(learned(&told, &now, "e02"));
        assert_eq!(
            said(&changes(&told, &now, "e02", &new, "e01")),
            [
                "add map /tmp/stagecraft/names.map c.example/ e01",
                "del map /tmp/stagecraft/names.map #0x0"
            ]
        );
    }

    #[test]
    fn what_only_the_new_one_has_changed_is_left_alone() {
        let told = State::of(Map::Kept, &[("e01", ",web-1=20001")]);
        let new = State::of(Map::Kept, &[("e02", ",web-9=20009")]);
        assert!(!learned(&told, &told, "e01"));
        assert!(changes(&told, &told, "e01", &new, "e02").is_empty());
        let now = State::of(Map::Kept, &[("e01", ",web-2=20002")]);
        assert_eq!(
            said(&changes(&told, &now, "e01", &new, "e02")),
            ["set map /tmp/stagecraft/kept.map e02 ,web-2=20002"]
        );
    }

    #[test]
    fn whose_a_certificate_is_is_told_too() {
        let told = State::default();
        let now = State::of(Map::Tls, &[("a.example", "auto.e02")]);
        assert_eq!(
            said(&changes(&told, &now, "e02", &State::default(), "e05")),
            ["add map /tmp/stagecraft/tls.map a.example auto.e05"]
        );
    }
}
