//! Routes whose files are lost, from the labels of the containers that run.
//! Imports `ports`, `model`.

use std::collections::BTreeMap;

use crate::model::container::{Container, label};
use crate::model::fault::Fault;
use crate::model::route::{RouteLabel, Server};

use super::claim;
use super::files::{RouteFile, write};
use super::machine::{Machine, NAME};
use super::names::keys;
use super::secure;
use super::state::{Map, State, list, read};
use super::traffic::{obey, switch};

/// What the proxy's files lacked: given to it, and written down.
pub(super) async fn rebuild(machine: &Machine<'_>, state: &State) -> Result<State, Fault> {
    let Machine {
        link,
        runner,
        cx,
        host,
    } = *machine;
    let all = runner.list(cx, host, &BTreeMap::new()).await?;
    let lost: Vec<Found> = found(&all)
        .into_iter()
        .filter(|found| state.pair(&found.route.key).is_none())
        .collect();
    let mut state = state.clone();
    for Found { route, servers } in lost {
        let taken = keys(&route)
            .iter()
            .any(|key| state.value(Map::Names, key).is_some());
        if taken {
            // Both would have to be asked: its own next deploy does.
            cx.on_host(host).warn(format!(
                "`{}` runs here under names that another environment has",
                route.key
            ));
            continue;
        }
        let pair;
        (state, pair) = claim::pair(machine, state, &route.key).await?;
        claim::names(link, host, &state, &pair, &route).await?;
        obey(link, host, &super::limits(&state, &pair, &route)).await?;
        secure::ensure(link, host, &state, &pair, &route).await?;
        switch(link, host, &state, &pair, &servers).await?;
        state = read(link, host)
            .await
            .map_err(|silent| silent.fault(host))?;
        let file = RouteFile::new(&state, &pair, &route, &servers);
        write(runner, cx, host, NAME, "/data/routes", &[file]).await?;
        obey(link, host, &[Map::Kept.add(&pair, &list(&servers))]).await?;
        cx.on_host(host)
            .step(format!("told the proxy again of `{}`", route.key));
    }
    read(link, host).await.map_err(|silent| silent.fault(host))
}

struct Found {
    route: RouteLabel,
    servers: Vec<Server>,
}

/// The routes of the containers that run. Where two releases of one run, the
/// one that began first has been serving.
fn found(containers: &[Container]) -> Vec<Found> {
    type Replica<'a> = (&'a Container, RouteLabel, Server);
    let mut routes: BTreeMap<String, BTreeMap<&str, Vec<Replica<'_>>>> = BTreeMap::new();
    for container in containers.iter().filter(|container| container.running()) {
        if let Some(route) = RouteLabel::of(container)
            && let Some(server) = route.server(container)
        {
            let release = container.label(label::RELEASE).unwrap_or_default();
            let releases = routes.entry(route.key.clone()).or_default();
            let of_release = releases.entry(release).or_default();
            of_release.push((container, route, server));
        }
    }
    let mut all = vec![];
    for releases in routes.into_values() {
        let first = releases.into_values().min_by_key(|members| {
            let begun = members
                .iter()
                .map(|(container, ..)| container.started_at.clone());
            begun.min().flatten()
        });
        let Some(members) = first else {
            continue;
        };
        let servers = members.iter().map(|(.., server)| server.clone()).collect();
        if let Some((_, route, _)) = members.into_iter().next() {
            all.push(Found { route, servers });
        }
    }
    all
}
