//! New containers that start beside the old ones, and their undo.

use futures_util::future::{join_all, try_join_all};

use crate::model::container::{Container, StopPolicy};
use crate::model::fault::Fault;
use crate::model::slot::{Arrival, Manner};
use crate::ports::{Answer, Cx, HostStep, RolloutPlan, Slot};

use super::traffic::{self, Had};
use super::{Hands, health, in_place};

/// Starts this host's new containers and waits until they are healthy.
/// Nothing else changes. What runs already is left.
///
/// # Errors
/// The first failure; nothing is undone here.
pub(super) async fn start(cx: &Cx, hands: &Hands, step: &HostStep) -> Result<(), Fault> {
    let cx = cx.on_host(&step.host);
    let slots = slots(step).map(|slot| start_one(&cx, hands, step, slot));
    try_join_all(slots).await?;
    Ok(())
}

fn slots(step: &HostStep) -> impl Iterator<Item = &Slot> {
    let slots = step.slots.iter();
    slots.filter(|slot| slot.manner == Manner::Beside)
}

/// Makes or starts one container and waits until it is healthy.
///
/// # Errors
/// It does not start, or does not get healthy.
pub(super) async fn start_one(
    cx: &Cx,
    hands: &Hands,
    step: &HostStep,
    slot: &Slot,
) -> Result<Container, Fault> {
    let container = match slot.arrival {
        Arrival::Made => {
            let container = hands.runner.start(cx, &step.host, &slot.new).await?;
            cx.step(format!("started {}", container.name));
            container
        }
        Arrival::StartedAgain => {
            let runner = &hands.runner;
            let container = runner.start_again(cx, &step.host, &slot.new.name).await?;
            cx.step(format!("started {} again", container.name));
            container
        }
    };
    let (runner, probe) = (&*hands.runner, &*hands.probe);
    health::wait(cx, runner, probe, &step.host, &container, &slot.health).await?;
    Ok(container)
}

/// Asks each new container once.
///
/// # Errors
/// It is not healthy any more: with all that is known of it.
pub(super) async fn still_ready(cx: &Cx, hands: &Hands, step: &HostStep) -> Result<(), Fault> {
    let cx = &cx.on_host(&step.host);
    let (runner, probe, host) = (&*hands.runner, &*hands.probe, &step.host);
    try_join_all(slots(step).map(|slot| async move {
        let name = &slot.new.name;
        let found = runner.inspect(cx, host, name).await?;
        let found = found.ok_or_else(|| Fault::failed(format!("container `{name}` is gone")))?;
        let (answer, why) = match found.running() {
            true => (
                probe.ask(cx, host, &found, &slot.health.check).await?,
                "was healthy, and is not any more",
            ),
            false => (
                Answer::Unhealthy("healthy".to_owned()),
                "ended after it was healthy",
            ),
        };
        match answer {
            Answer::Healthy => Ok(()),
            Answer::Unhealthy(said) => {
                Err(health::explain(cx, runner, host, &found, Some(&found), why, &said).await)
            }
        }
    }))
    .await?;
    Ok(())
}

/// Gives this host's traffic back to the old containers, which mostly still
/// run, and then ends the new ones: they finish what they are answering.
///
/// # Errors
/// What could not be put back, in words. The new ones stay then: they may be
/// the only ones that answer.
pub(super) async fn undo(
    cx: &Cx,
    hands: &Hands,
    plan: &RolloutPlan,
    step: &HostStep,
) -> Result<(), String> {
    let said = |fault: Fault| fault.to_string();
    let olds = slots(step).flat_map(|slot| slot.old.iter().map(move |old| (slot, old)));
    let restarts = olds.map(|(slot, old)| wake(cx, hands, step, slot, old));
    let failures: Vec<String> = join_all(restarts)
        .await
        .into_iter()
        .filter_map(Result::err)
        .map(|fault| fault.to_string())
        .collect();
    if !failures.is_empty() {
        return Err(failures.join("; "));
    }
    let had = traffic::back(cx, hands, plan, step).await.map_err(said)?;
    match had {
        Had::Users | Had::Nobody => finish_answers(cx, hands, plan, step).await.map_err(said)?,
        // What it still knows of the new ones is forgotten by the next switch.
        Had::NobodyItSeems => {}
    }
    let ends = slots(step).map(|slot| end(cx, hands, step, slot, had));
    try_join_all(ends).await.map_err(said)?;
    Ok(())
}

/// One that still runs gets its traffic back at once; one that was stopped
/// proves itself first.
async fn wake(
    cx: &Cx,
    hands: &Hands,
    step: &HostStep,
    slot: &Slot,
    old: &Container,
) -> Result<(), Fault> {
    match hands.runner.inspect(cx, &step.host, &old.name).await? {
        Some(now) if now.running() => Ok(()),
        Some(_) | None => in_place::start_old(cx, hands, step, slot, old).await,
    }
}

/// Old ones that were left running may have come back with their host a
/// moment ago: they are waited for.
///
/// # Errors
/// One is not healthy.
pub(super) async fn olds_answer(cx: &Cx, hands: &Hands, step: &HostStep) -> Result<(), Fault> {
    let cx = &cx.on_host(&step.host);
    let olds = slots(step).flat_map(|slot| slot.old.iter().map(move |old| (slot, old)));
    try_join_all(olds.map(|(slot, old)| async move {
        let (runner, probe, host) = (&*hands.runner, &*hands.probe, &step.host);
        match runner.inspect(cx, host, &old.name).await? {
            Some(now) => health::wait(cx, runner, probe, host, &now, &slot.old_health).await,
            None => Err(Fault::failed(format!("container `{}` is gone", old.name))),
        }
    }))
    .await?;
    Ok(())
}

/// The new ones get no requests any more; those that run may end.
pub(super) async fn finish_answers(
    cx: &Cx,
    hands: &Hands,
    plan: &RolloutPlan,
    step: &HostStep,
) -> Result<(), Fault> {
    let Some(route) = traffic::route(plan, step) else {
        return Ok(());
    };
    // Those that are gone, or never came up, answer nobody.
    let mut answering = vec![];
    let mut patience = std::time::Duration::ZERO;
    for slot in slots(step).filter(|slot| slot.behind_proxy.is_some()) {
        let found = hands.runner.inspect(cx, &step.host, &slot.new.name).await?;
        let Some(found) = found.filter(Container::running) else {
            continue;
        };
        if let Some(port) = slot.behind_proxy.and_then(|port| found.host_port(port)) {
            answering.push(crate::model::route::Server {
                name: found.name,
                port,
            });
            patience = patience.max(slot.new.stop.timeout);
        }
    }
    if !answering.is_empty() {
        traffic::drain(cx, hands, route, step, &answering, patience).await?;
    }
    let proxy = &hands.proxy;
    let known = proxy.look(cx, &step.host, route).await?.is_some();
    if known {
        proxy
            .forget_others(cx, &step.host, route, &step.old_servers)
            .await?;
    }
    Ok(())
}

/// A kept container goes back to sleep; one that was made for this is removed.
/// What had users gets the time to finish that it asks for.
async fn end(cx: &Cx, hands: &Hands, step: &HostStep, slot: &Slot, had: Had) -> Result<(), Fault> {
    let (runner, name) = (&hands.runner, &slot.new.name);
    let stop = match (slot.arrival, had) {
        (Arrival::Made, Had::Nobody | Had::NobodyItSeems) => at_once(),
        (Arrival::StartedAgain, _) | (_, Had::Users) => slot.new.stop.clone(),
    };
    runner.stop(cx, &step.host, name, &stop).await?;
    match slot.arrival {
        Arrival::StartedAgain => Ok(()),
        Arrival::Made => runner.remove(cx, &step.host, name).await,
    }
}

/// A failed new container gets no time to end in peace.
pub(super) fn at_once() -> StopPolicy {
    StopPolicy {
        signal: "SIGKILL".to_owned(),
        timeout: std::time::Duration::ZERO,
    }
}

/// The old containers beside which new ones start, and how they stop.
pub(super) fn olds(step: &HostStep) -> impl Iterator<Item = (&Container, &StopPolicy)> {
    slots(step).flat_map(|slot| slot.old.iter().map(|old| (old, &slot.old_stop)))
}
