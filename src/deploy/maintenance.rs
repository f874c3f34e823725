//! Maintenance: every request of an environment is answered by a page, or by
//! the application again, on all hosts or on none.
//!
//! It is no release and stands in no record: the proxies are the record. They
//! write it down for their next start, and `status` reads it from them.

use futures_util::future::join_all;
use serde::Serialize;

use crate::model::fault::{Fault, FaultKind};
use crate::model::host::HostAddress;
use crate::model::project::Environment;
use crate::model::route::{Route, RouteLabel, Server};
use crate::plan::{Facts, HostFacts};
use crate::ports::{Cx, Maintenance, Proxy};

/// What became of a host.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Posted {
    pub host: HostAddress,
    /// It was not so before.
    pub changed: bool,
}

/// Brings every host that runs the proxied role into `mode`.
///
/// # Errors
/// `Config`: there is no proxy. A host that does not follow, named; the others
/// are put back (`UndoFailed`: not all of them).
pub async fn maintenance(
    cx: &Cx,
    environment: &Environment,
    facts: &Facts,
    proxy: &dyn Proxy,
    mode: Maintenance,
) -> Result<Vec<Posted>, Fault> {
    let route = refuse_without_proxy(environment)?;
    let role = &route.proxy.role;
    let hosts = environment.hosts.iter();
    let hosts: Vec<&HostFacts> = hosts
        .filter(|host| host.roles.contains(role))
        .filter_map(|host| facts.host(&host.address))
        .collect();
    cx.check()?;
    // From here on every host is seen to its end.
    let deaf = cx.uncancellable();
    let work = hosts.iter().map(|host| {
        let (deaf, route) = (deaf.on_host(&host.address), &route);
        let serving = serving(environment, facts, host);
        async move { post(&deaf, proxy, route, host, &serving, mode).await }
    });
    let results: Vec<Result<Posted, Fault>> = join_all(work).await;
    let failed = hosts.iter().zip(&results);
    let failed: Vec<(&HostAddress, &Fault)> = failed
        .filter_map(|(host, result)| Some((&host.address, result.as_ref().err()?)))
        .collect();
    if failed.is_empty() {
        return Ok(results.into_iter().flatten().collect());
    }
    let fault = refused(environment, mode, &failed);
    // One that failed may have changed all the same.
    let changed = hosts.iter().zip(&results).filter(|(host, result)| {
        was(host) != mode && result.as_ref().map_or(true, |posted| posted.changed)
    });
    let back = changed.map(|(host, result)| {
        let (cx, route) = (deaf.on_host(&host.address), &route);
        async move {
            let undone = proxy.maintenance(&cx, &host.address, route, was(host));
            (&host.address, result.is_ok(), undone.await)
        }
    });
    Err(put_back(fault, environment, mode, join_all(back).await))
}

/// The environment's route.
///
/// # Errors
/// `Config`: nothing stands between its users and its containers.
pub fn refuse_without_proxy(environment: &Environment) -> Result<Route, Fault> {
    environment.route().ok_or_else(|| {
        Fault::config(format!(
            "`{}` has no proxy that could answer instead of the application",
            environment.name
        ))
        .because("without the key `proxy` a role publishes its port itself")
        .hint(format!(
            "write `proxy: {{ hosts: [...] }}` and run `stagecraft deploy --env {}`",
            environment.name
        ))
    })
}

/// How it was when it was observed; a proxy that was not there shows no page.
fn was(host: &HostFacts) -> Maintenance {
    match &host.traffic {
        Some(traffic) if traffic.maintenance => Maintenance::On,
        Some(_) | None => Maintenance::Off,
    }
}

async fn post(
    cx: &Cx,
    proxy: &dyn Proxy,
    route: &Route,
    known: &HostFacts,
    serving: &[Server],
    mode: Maintenance,
) -> Result<Posted, Fault> {
    let host = &known.address;
    if known.traffic.is_none() {
        // It does not run, or lost what it knew.
        proxy.ensure(cx, host, route, serving).await?;
    }
    let now = proxy.look(cx, host, route).await?;
    let on = now.is_some_and(|traffic| traffic.maintenance);
    let changed = on != (mode == Maintenance::On);
    // Said again where it is so already: what a start reads is written too.
    proxy.maintenance(cx, host, route, mode).await?;
    if changed {
        cx.step(match mode {
            Maintenance::On => "every request is answered by the maintenance page",
            Maintenance::Off => "requests reach the application again",
        });
    }
    Ok(Posted {
        host: host.clone(),
        changed,
    })
}

/// The containers that a proxy made anew sends requests to: the live ones.
fn serving(environment: &Environment, facts: &Facts, known: &HostFacts) -> Vec<Server> {
    let live = facts.history.live(&environment.name);
    let Some(recorded) = live.and_then(|live| live.hosts.get(&known.address)) else {
        return vec![];
    };
    let containers = known.containers.iter();
    containers
        .filter(|container| container.running() && recorded.containers.contains(&container.name))
        .filter_map(|container| RouteLabel::of(container)?.server(container))
        .collect()
}

fn refused(
    environment: &Environment,
    mode: Maintenance,
    failed: &[(&HostAddress, &Fault)],
) -> Fault {
    let names: Vec<&str> = failed.iter().map(|(host, _)| host.as_str()).collect();
    let kind = match failed {
        [(_, only)] if only.kind == FaultKind::Refused => FaultKind::Refused,
        _ => FaultKind::Unreachable,
    };
    let word = word(mode);
    let what = format!(
        "maintenance cannot be switched {word} on {}",
        names.join(", ")
    );
    let fault = failed
        .iter()
        .fold(Fault::new(kind, what), |fault, (_, why)| {
            let fault = fault.because(why.to_string());
            why.evidence.iter().fold(fault, |fault, evidence| {
                fault.showing(evidence.title.clone(), evidence.lines.clone())
            })
        });
    fault.hint(format!(
        "when it is mended: `stagecraft maintenance {word} --env {}`",
        environment.name
    ))
}

/// `undone`: host, whether it had followed, and what came of its way back.
fn put_back(
    fault: Fault,
    environment: &Environment,
    mode: Maintenance,
    undone: Vec<(&HostAddress, bool, Result<(), Fault>)>,
) -> Fault {
    let mut fault = fault;
    let mut back = vec![];
    let mut left = vec![];
    for (host, followed, result) in undone {
        match result {
            Ok(()) => back.push(host.as_str()),
            // Whoever did not follow is as it was, as far as anybody knows.
            Err(why) if followed => left.push(format!("{host} could not be put back: {why}")),
            Err(_) => fault = fault.state(format!("{host} may have changed: it cannot be asked")),
        }
    }
    if left.is_empty() {
        return match back.is_empty() {
            true => fault.state("no other host was changed"),
            false => fault.state(format!("put back: {}", back.join(", "))),
        };
    }
    fault.kind = FaultKind::UndoFailed;
    let other = match mode {
        Maintenance::On => word(Maintenance::Off),
        Maintenance::Off => word(Maintenance::On),
    };
    let fault = left.into_iter().fold(fault, Fault::state);
    fault.hint(format!(
        "or back, everywhere: `stagecraft maintenance {other} --env {}`",
        environment.name
    ))
}

fn word(mode: Maintenance) -> &'static str {
    match mode {
        Maintenance::On => "on",
        Maintenance::Off => "off",
    }
}
