//! The switch: traffic of the proxies moves to the new containers, or back.

use std::time::Duration;

use tokio::time::Instant;

use crate::model::container::Container;
use crate::model::fault::Fault;
use crate::model::project::HealthCheck;
use crate::model::route::{Route, Server};
use crate::ports::{Cx, HostStep, RolloutPlan, Slot};

use super::{Hands, health};

/// Between two looks at connections that drain; a proxy tells nobody when the
/// last one ends.
const LOOK: Duration = Duration::from_millis(100);

/// The route, on hosts where the proxy has anything to do.
pub(super) fn route<'a>(plan: &'a RolloutPlan, step: &HostStep) -> Option<&'a Route> {
    let serves = step.slots.iter().any(|slot| slot.behind_proxy.is_some());
    plan.route
        .as_ref()
        .filter(|_| serves || !step.old_servers.is_empty())
}

/// The new containers that stand behind the proxy, as they are now.
///
/// # Errors
/// One is gone, or has no port on the host.
pub(super) async fn new_servers(
    cx: &Cx,
    hands: &Hands,
    step: &HostStep,
) -> Result<Vec<Server>, Fault> {
    let mut servers = vec![];
    for (slot, port) in proxied(step) {
        let found = hands.runner.inspect(cx, &step.host, &slot.new.name).await?;
        servers.push(server(slot, port, found)?);
    }
    servers.sort();
    Ok(servers)
}

fn server(slot: &Slot, port: u16, found: Option<Container>) -> Result<Server, Fault> {
    let name = &slot.new.name;
    let found = found.ok_or_else(|| Fault::failed(format!("container `{name}` is gone")))?;
    let port = found.host_port(port).ok_or_else(|| {
        Fault::failed(format!("container `{name}` does not publish port {port}"))
            .because("the proxy has no way to reach it")
    })?;
    Ok(Server {
        name: found.name,
        port,
    })
}

fn proxied(step: &HostStep) -> impl Iterator<Item = (&Slot, u16)> {
    let slots = step.slots.iter();
    slots.filter_map(|slot| slot.behind_proxy.map(|port| (slot, port)))
}

/// Moves this host's traffic to the new containers and sees it arrive.
///
/// # Errors
/// The proxy refuses, or somebody else answers. Traffic may have moved.
pub(super) async fn forward(
    cx: &Cx,
    hands: &Hands,
    plan: &RolloutPlan,
    step: &HostStep,
) -> Result<(), Fault> {
    let Some(route) = route(plan, step) else {
        return Ok(());
    };
    let cx = cx.on_host(&step.host);
    let servers = new_servers(&cx, hands, step).await?;
    let moved = async {
        let proxy = &hands.proxy;
        proxy.switch(&cx, &step.host, route, &servers).await?;
        if servers.is_empty() {
            return Ok(());
        }
        let path = path(route, step);
        let confirmed = proxy.confirm(&cx, &step.host, route, &path, &servers);
        // A container that is gone will not answer any more.
        tokio::select! {
            confirmed = confirmed => confirmed,
            fault = death(&cx, hands, step) => Err(fault),
        }
    };
    if let Err(fault) = moved.await {
        return Err(died(&cx, hands, step).await.unwrap_or(fault));
    }
    cx.step("traffic goes to the new release");
    Ok(())
}

/// Returns once a new container ended.
async fn death(cx: &Cx, hands: &Hands, step: &HostStep) -> Fault {
    loop {
        if let Some(fault) = died(cx, hands, step).await {
            return fault;
        }
        tokio::time::sleep(LOOK).await;
    }
}

/// Why nobody answers behind the proxy, where it is no fault of the proxy's: a
/// new container ended meanwhile.
async fn died(cx: &Cx, hands: &Hands, step: &HostStep) -> Option<Fault> {
    for (slot, _) in proxied(step) {
        let runner = &*hands.runner;
        let found = runner
            .inspect(cx, &step.host, &slot.new.name)
            .await
            .ok()??;
        if !found.running() {
            let why = "ended after it was healthy, while traffic moved to it";
            let host = &step.host;
            let last = "healthy";
            return Some(health::explain(cx, runner, host, &found, Some(&found), why, last).await);
        }
    }
    None
}

/// What a client can ask for: the path of the health check, where it is one
/// that the proxy sends on.
fn path(route: &Route, step: &HostStep) -> String {
    let prefix = route.proxy.path_prefix.as_deref().unwrap_or("/");
    let check = proxied(step)
        .next()
        .map(|(slot, port)| (&slot.health, port));
    match check {
        Some((health, port)) => match &health.check {
            HealthCheck::Http {
                path, port: asked, ..
            } if *asked == port && path.starts_with(prefix) => path.clone(),
            HealthCheck::Http { .. }
            | HealthCheck::Command(_)
            | HealthCheck::Tcp { .. }
            | HealthCheck::None => prefix.to_owned(),
        },
        None => prefix.to_owned(),
    }
}

/// Whether the new containers had users.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Had {
    Users,
    Nobody,
    /// Nobody, as it looks from outside: the proxy takes no commands.
    NobodyItSeems,
}

/// Moves this host's traffic to the old containers, where it is not there, and
/// makes the proxy's files say so.
///
/// # Errors
/// The proxy cannot be reached or refuses.
pub(super) async fn back(
    cx: &Cx,
    hands: &Hands,
    plan: &RolloutPlan,
    step: &HostStep,
) -> Result<Had, Fault> {
    let Some(route) = route(plan, step) else {
        return Ok(Had::Nobody);
    };
    let (proxy, host, old) = (&hands.proxy, &step.host, &step.old_servers);
    let look = async || proxy.look(cx, host, route).await;
    let traffic = match look().await {
        Ok(Some(traffic)) => traffic,
        // Lost, or never there: it is made anew, with the old ones behind it.
        Ok(None) | Err(_) => {
            if old.is_empty() {
                return Ok(Had::Nobody);
            }
            if let Err(fault) = proxy.ensure(cx, host, route, old).await {
                return serves_yet(cx, hands, route, step, fault).await;
            }
            look().await?.unwrap_or_default()
        }
    };
    let had = match traffic.serving == *old {
        true => Had::Nobody,
        false => Had::Users,
    };
    if had == Had::Users {
        proxy.switch(cx, host, route, old).await?;
        if old.is_empty() {
            cx.step("nobody gets traffic, as before");
        } else {
            cx.step("traffic goes to the old release again");
        }
    }
    if traffic.at_boot != *old {
        proxy.keep(cx, host, route, old).await?;
    }
    Ok(had)
}

/// A proxy that takes no commands may well serve: where its traffic never left
/// the old containers, there is nothing to put back.
///
/// # Errors
/// `fault`, where they do not get the requests.
async fn serves_yet(
    cx: &Cx,
    hands: &Hands,
    route: &Route,
    step: &HostStep,
    fault: Fault,
) -> Result<Had, Fault> {
    let (proxy, path, old) = (&hands.proxy, path(route, step), &step.old_servers);
    let asked = proxy.confirm(cx, &step.host, route, &path, old).await;
    if asked.is_err() {
        return Err(fault);
    }
    cx.warn(format!(
        "{fault}; the old release gets all requests through it, as before"
    ));
    Ok(Had::NobodyItSeems)
}

/// Waits until these have no request open any more, at most for `patience`.
/// Returns what is still open.
pub(super) async fn drain(
    cx: &Cx,
    hands: &Hands,
    route: &Route,
    step: &HostStep,
    of: &[Server],
    patience: Duration,
) -> Result<u64, Fault> {
    let deadline = Instant::now() + patience;
    loop {
        let open = hands
            .proxy
            .open_connections(cx, &step.host, route, of)
            .await?;
        if open == 0 || Instant::now() >= deadline {
            return Ok(open);
        }
        tokio::time::sleep_until((Instant::now() + LOOK).min(deadline)).await;
    }
}
