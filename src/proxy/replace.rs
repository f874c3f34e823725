//! Another proxy in the place of the one that runs, without a request lost.
//! Imports `ports`, `model`.
//!
//! The new one is given what the old one knows now, takes its listening
//! sockets over through its runtime socket, and serves beside it. Then it is
//! told what the old one has learned meanwhile ([`catch_up`]), and the old one
//! takes nothing new and ends with its last connection.

use crate::model::fault::Fault;
use crate::model::route::Route;

use super::catch_up;
use super::files::{RouteFile, sh, write};
use super::machine::{Machine, NAME};
use super::state::{Map, State};

pub(super) async fn replace(
    machine: &Machine<'_>,
    route: &Route,
    state: &State,
    why: &str,
) -> Result<State, Fault> {
    let Machine {
        runner, cx, host, ..
    } = *machine;
    let old = runner.inspect(cx, host, NAME).await?.ok_or_else(|| {
        Fault::failed(format!("a proxy answers on `{host}` that is not ours"))
            .because(format!("there is no container `{NAME}`"))
    })?;
    // What an earlier replacement has left.
    for other in machine.proxies().await? {
        if other.id != old.id && !other.running() {
            runner.remove(cx, host, &other.id).await?;
        }
    }
    // An image that cannot be had changes nothing.
    runner.resolve_image(cx, host, &route.proxy.image).await?;
    hand_over(machine, &old.id, state).await?;
    let aside = format!("{NAME}-old-{}", &old.id[..old.id.len().min(12)]);
    runner.rename(cx, host, &old.id, &aside).await?;
    let started = match machine.start(route, state.https()).await {
        Ok(new) => machine.answering(&new).await,
        Err(fault) => Err(fault),
    };
    match started {
        Ok(new) => {
            let caught_up = catch_up::catch_up(machine, state, new).await;
            // Two of them must not take requests for longer than that.
            runner.let_go(cx, host, &old.id, "SIGUSR1").await?;
            let state = caught_up?;
            cx.on_host(host).step(format!("replaced the proxy: {why}"));
            Ok(state)
        }
        Err(fault) => {
            give_back(machine, &old.id, state).await?;
            Err(fault)
        }
    }
}

/// What the old one knows, for the first start of the new one.
async fn hand_over(machine: &Machine<'_>, old: &str, state: &State) -> Result<(), Fault> {
    let Machine {
        runner, cx, host, ..
    } = *machine;
    let version = state.value(Map::About, "version").unwrap_or_default();
    let mut files: Vec<RouteFile> = state
        .map(Map::Owners)
        .iter()
        .filter(|entry| state.pair(&entry.value) == Some(entry.key.as_str()))
        .map(|entry| RouteFile::of(state, &entry.key, &state.serving(&entry.key)))
        .collect();
    files.push(RouteFile {
        key: ".socket".to_owned(),
        text: format!("{version}.sock\n"),
    });
    let what = "prepare another proxy";
    let clear = "rm -rf /data/handover /data/prepared && mkdir /data/prepared";
    sh(runner, cx, host, old, vec!["sh", "-c", clear], what).await?;
    write(runner, cx, host, old, "/data/prepared", &files).await?;
    let ready = "mv /data/prepared /data/handover";
    sh(runner, cx, host, old, vec!["sh", "-c", ready], what).await
}

/// The new one did not start: the old one, which never stopped serving, gets
/// its name and its socket's link back.
async fn give_back(machine: &Machine<'_>, old: &str, state: &State) -> Result<(), Fault> {
    let machine = Machine {
        cx: &machine.cx.uncancellable(),
        ..*machine
    };
    let Machine {
        runner, cx, host, ..
    } = machine;
    if let Some(new) = runner.inspect(cx, host, NAME).await? {
        runner.remove(cx, host, &new.id).await?;
    }
    let version = state.value(Map::About, "version").unwrap_or_default();
    let script = format!(
        "rm -rf /data/handover && cd /run/stagecraft-proxy && ln -sfn {version}.sock admin.sock &&
         ln -sfn {version}.tls.sock tls.sock && ln -sfn {version}.sock edge/http.sock"
    );
    let what = "go on with the proxy that runs";
    sh(runner, cx, host, old, vec!["sh", "-c", &script], what).await?;
    runner.rename(cx, host, old, NAME).await
}
