//! Giving a place back: an environment that has nothing behind the proxy of a
//! host is nobody's there. Imports `ports`, `model`.
//!
//! Invariant: a pair is free once nothing is left of who had it.

use std::collections::{BTreeMap, BTreeSet};

use crate::model::container::{Container, label};
use crate::model::fault::Fault;
use crate::model::route::RouteLabel;
use crate::ports::HostLink;

use super::base::{backends, pairs};
use super::files::sh;
use super::machine::{Machine, NAME};
use super::runtime::Command;
use super::secure;
use super::state::{Map, State, read};
use super::traffic::{emptied, obey};

/// Frees the pair of a key.
pub(super) async fn pair(
    machine: &Machine<'_>,
    state: &State,
    pair: &str,
    key: &str,
) -> Result<(), Fault> {
    let Machine {
        link,
        runner,
        cx,
        host,
    } = *machine;
    obey(link, host, &left(state, pair)).await?;
    let script = r#"rm -f "/data/routes/$1" "/data/certificates/$1.pem""#;
    let words = vec!["sh", "-c", script, "sh", key];
    let what = "forget an environment";
    sh(runner, cx, host, NAME, words, what).await?;
    let owners = state.map(Map::Owners).iter();
    let own = owners.filter(|entry| entry.key == pair && entry.value == key);
    let freed: Vec<Command> = own.map(|entry| Map::Owners.del_entry(entry)).collect();
    obey(link, host, &freed).await
}

/// Takes away all that is known of a pair. Its names come first: from then on
/// nobody finds it.
fn left(state: &State, pair: &str) -> Vec<Command> {
    let names = state.map(Map::Names).iter();
    let mut commands: Vec<Command> = names
        .filter(|entry| entry.value == pair)
        .map(|entry| Map::Names.del_entry(entry))
        .collect();
    commands.extend(secure::all(state, pair));
    for map in [
        Map::Live,
        Map::Kept,
        Map::Maintenance,
        Map::Limits,
        Map::Timeouts,
    ] {
        commands.extend(state.value(map, pair).map(|_| map.del(pair)));
    }
    for backend in backends(pair) {
        commands.extend(emptied(state, &backend));
    }
    commands
}

/// Frees what belongs to environments of which the host has no container any
/// more; says what there is then. One that begins at this moment has none
/// yet: only where nothing else is to be had, those go whose first release
/// was never confirmed.
pub(super) async fn deserted(machine: &Machine<'_>, state: State) -> Result<State, Fault> {
    let Machine {
        link,
        runner,
        cx,
        host,
    } = *machine;
    let all = runner.list(cx, host, &BTreeMap::new()).await?;
    let present = present(&all);
    for confirmed in [true, false] {
        let gone: Vec<(&str, &str)> = abandoned(&state, &present)
            .filter(|(of, _)| state.kept(of).is_some() == confirmed)
            .collect();
        if gone.is_empty() {
            continue;
        }
        for (of, key) in gone {
            pair(machine, &state, of, key).await?;
            cx.on_host(host).step(format!(
                "forgot the route of `{key}`: nothing of it is here"
            ));
        }
        return reread(link, machine).await;
    }
    Ok(state)
}

async fn reread(link: &dyn HostLink, machine: &Machine<'_>) -> Result<State, Fault> {
    let read = read(link, machine.host).await;
    read.map_err(|silent| silent.fault(machine.host))
}

/// The keys of all who have a container here, running or not.
fn present(containers: &[Container]) -> BTreeSet<String> {
    let routes = containers.iter().filter_map(RouteLabel::of);
    let ours = containers.iter().filter_map(|container| {
        let (project, environment) = (label::PROJECT, label::ENVIRONMENT);
        let project = container.label(project)?;
        Some(format!("{project}-{}", container.label(environment)?))
    });
    routes.map(|route| route.key).chain(ours).collect()
}

fn abandoned<'a>(
    state: &'a State,
    present: &'a BTreeSet<String>,
) -> impl Iterator<Item = (&'a str, &'a str)> {
    let owned = state.map(Map::Owners).iter().filter(|entry| {
        pairs().any(|pair| pair == entry.key) && state.owner(&entry.key) == Some(&entry.value)
    });
    owned
        .filter(|entry| !present.contains(&entry.value))
        .map(|entry| (entry.key.as_str(), entry.value.as_str()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::proxy::testing::standing;

    fn container(labels: &[(&str, &str)]) -> Container {
        let labels = labels.iter();
        Container {
            id: String::new(),
            name: "web-1".to_owned(),
            state: crate::model::container::ContainerState::Exited,
            exit_code: None,
            oom_killed: false,
            restarts: 0,
            image_id: String::new(),
            labels: labels
                .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
                .collect(),
            ports: vec![],
            address: None,
            started_at: None,
        }
    }

    #[test]
    fn nothing_of_a_pair_is_left_and_nothing_of_others_is_touched() {
        let mut state = State::of(
            Map::Names,
            &[
                ("a.example/", "e01"),
                ("b.example/", "e02"),
                ("c.example/", "e01"),
            ],
        );
        state.servers = vec![
            standing("e01_blue", "a", 20_001),
            standing("e02_green", "b", 20_002),
        ];
        let commands = left(&state, "e01");
        let said: Vec<&str> = commands.iter().map(Command::text).collect();
        assert_eq!(
            said,
            [
                "del map /tmp/stagecraft/names.map #0x0",
                "del map /tmp/stagecraft/names.map #0x2",
                "disable server e01_blue/a",
                "del server e01_blue/a",
            ]
        );
    }

    #[test]
    fn a_place_is_deserted_when_not_even_a_stopped_container_is_there() {
        let state = State::of(
            Map::Owners,
            &[
                ("e01", "shop-prod"),
                ("e02", "blog-prod"),
                ("e03", "wiki-prod"),
            ],
        );
        let shop = container(&[(label::PROJECT, "shop"), (label::ENVIRONMENT, "prod")]);
        let wiki = r#"{"key":"wiki-prod","hosts":[],"tls":"off","port":1,"timeout":1}"#;
        let wiki = container(&[(label::ROUTE, wiki)]);
        let present = present(&[shop, wiki]);
        let found: Vec<_> = abandoned(&state, &present).collect();
        assert_eq!(found, [("e02", "blog-prod")]);
    }
}
