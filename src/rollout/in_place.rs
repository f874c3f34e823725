//! Containers of one host that take the place of others: the old one ends
//! before the new one starts. And putting them back.

use std::time::Duration;

use futures_util::future::{join_all, try_join_all};
use tokio::time::Instant;

use crate::model::container::{Container, ContainerState, StopPolicy, label};
use crate::model::fault::Fault;
use crate::model::release::ReleaseId;
use crate::model::slot::{Arrival, Manner};
use crate::ports::{Cx, HostStep, RolloutPlan, Slot};

use super::{Hands, beside, health, traffic};

/// Between two looks at a container that may be about to end.
const LOOK: Duration = Duration::from_millis(250);
/// How long a killed container may take to be gone.
const AFTER_A_KILL: Duration = Duration::from_secs(1);

/// Why a host could not be changed.
pub(super) struct Stopped {
    pub(super) fault: Fault,
    /// An old container was told to stop and nobody saw it end: it may look
    /// as if it served, and be gone a moment later.
    pub(super) doubtful: bool,
}

impl From<Fault> for Stopped {
    fn from(fault: Fault) -> Self {
        Self {
            fault,
            doubtful: false,
        }
    }
}

/// Stops the old containers, starts the new ones in their place and waits
/// until they are healthy. Looks before it acts: what is done already is left.
///
/// # Errors
/// The first failure; nothing is undone here.
pub(super) async fn change(
    cx: &Cx,
    hands: &Hands,
    plan: &RolloutPlan,
    step: &HostStep,
) -> Result<(), Stopped> {
    let cx = cx.on_host(&step.host);
    cx.check()?;
    // Every stop is seen to its end, whatever another one comes to.
    let stops = join_all(olds(step).map(|(old, stop)| stop_old(&cx, hands, step, old, stop))).await;
    if let Some(fault) = stops.into_iter().find_map(Result::err) {
        return Err(Stopped {
            fault,
            doubtful: true,
        });
    }
    cx.check()?;
    let started = slots(step).map(|slot| beside::start_one(&cx, hands, step, slot));
    try_join_all(started).await?;
    // Behind the proxy without overlap: nobody answered for a moment.
    if slots(step).any(|slot| slot.behind_proxy.is_some()) {
        traffic::forward(&cx.uncancellable(), hands, plan, step).await?;
    }
    Ok(())
}

pub(super) fn slots(step: &HostStep) -> impl Iterator<Item = &Slot> {
    let slots = step.slots.iter();
    slots.filter(|slot| slot.manner == Manner::InPlace)
}

/// Nobody but the containers that go publishes a port that a new one needs.
///
/// # Errors
/// Somebody does: who.
pub(super) async fn ports_are_free(cx: &Cx, hands: &Hands, step: &HostStep) -> Result<(), Fault> {
    let wanted =
        slots(step).flat_map(|slot| slot.new.ports.iter().map(move |port| (slot, port.host)));
    try_join_all(wanted.map(|(slot, port)| async move {
        let Some(holder) = hands.runner.publisher_of(cx, &step.host, port).await? else {
            return Ok(());
        };
        let goes = holder == slot.new.name
            || slots(step)
                .flat_map(|slot| &slot.old)
                .chain(&step.leftovers)
                .any(|old| old.name == holder);
        if goes {
            return Ok(());
        }
        Err(
            Fault::failed(format!("port {port} of `{}` is in use", step.host))
                .because(format!(
                    "the container `{holder}` publishes it, and `{}` is to",
                    slot.new.name
                ))
                .hint(format!(
                    "see what it is: `{}`",
                    step.host.command(&format!("docker inspect {holder}"))
                )),
        )
    }))
    .await?;
    Ok(())
}

/// What has to stop before the new containers start, and how.
fn olds(step: &HostStep) -> impl Iterator<Item = (&Container, StopPolicy)> {
    let replaced =
        slots(step).flat_map(|slot| slot.old.iter().map(|old| (old, slot.old_stop.clone())));
    let left = step
        .leftovers
        .iter()
        // The proxy may still send requests to them.
        .filter(|left| {
            let mut serving = step.old_servers.iter();
            !serving.any(|server| server.name == left.name)
        })
        .map(|left| (left, StopPolicy::default()));
    replaced.chain(left)
}

async fn stop_old(
    cx: &Cx,
    hands: &Hands,
    step: &HostStep,
    old: &Container,
    stop: StopPolicy,
) -> Result<(), Fault> {
    if !old.running() && old.state != ContainerState::Restarting {
        return Ok(());
    }
    // The engine stops it whether or not it is waited for: an undo that begins
    // earlier would take a container that is about to end for one that serves.
    let ended = hands
        .runner
        .stop(&cx.uncancellable(), &step.host, &old.name, &stop)
        .await?;
    cx.step(match ended {
        // What was asked to be killed ignored nothing.
        Some(exit) if exit.code == 137 && !stop.kills() => format!(
            "stopped {} (killed: it ignored {} for {} s)",
            old.name,
            stop.signal,
            stop.timeout.as_secs_f64()
        ),
        Some(_) | None => format!("stopped {}", old.name),
    });
    Ok(())
}

/// Removes everything of the new release and starts what served before again,
/// as far as it is not running. Tries everything, whatever fails.
///
/// # Errors
/// What could not be put back, in words.
pub(super) async fn undo(
    cx: &Cx,
    hands: &Hands,
    plan: &RolloutPlan,
    step: &HostStep,
) -> Result<(), String> {
    let runner = &*hands.runner;
    let new = slots(step).map(|slot| (&slot.new.name, slot.arrival));
    let strays = step
        .leftovers
        .iter()
        .filter(|left| belongs(left, Some(&plan.release)));
    let strays = strays.map(|left| (&left.name, Arrival::Made));
    // The old one waits for its port.
    let removed = join_all(new.chain(strays).map(|(name, arrival)| async move {
        runner
            .stop(cx, &step.host, name, &beside::at_once())
            .await?;
        match arrival {
            Arrival::Made => runner.remove(cx, &step.host, name).await,
            Arrival::StartedAgain => Ok(()),
        }
    }))
    .await;
    let replaced = slots(step).flat_map(|slot| {
        let olds = slot.old.iter();
        olds.map(move |old| start_old(cx, hands, step, slot, old))
    });
    let left = step
        .leftovers
        .iter()
        .filter(|left| left.running() && left.label(label::JOB).is_none())
        .filter(|left| belongs(left, plan.live.as_ref()))
        .map(|left| start_left(cx, hands, step, left));
    let (replaced, left) = tokio::join!(join_all(replaced), join_all(left));
    let failures: Vec<String> = removed
        .into_iter()
        .chain(replaced)
        .chain(left)
        .filter_map(Result::err)
        .map(|fault| fault.to_string())
        .collect();
    if failures.is_empty() {
        Ok(())
    } else {
        Err(failures.join("; "))
    }
}

fn belongs(container: &Container, release: Option<&ReleaseId>) -> bool {
    release.is_some_and(|release| container.label(label::RELEASE) == Some(release.as_str()))
}

/// Waits out what may have been asked for without anybody seeing its end: old
/// containers run, yet the engine may be about to stop them. One whose
/// new container was started was stopped for sure, and is not in doubt.
pub(super) async fn settle(cx: &Cx, hands: &Hands, step: &HostStep) {
    let (cx, runner) = (cx.on_host(&step.host), &*hands.runner);
    join_all(slots(step).map(|slot| async {
        let cx = &cx;
        let new = runner.inspect(cx, &step.host, &slot.new.name).await;
        if new.is_ok_and(|new| new.is_some_and(|new| new.state != ContainerState::Created)) {
            return;
        }
        let over = Instant::now() + slot.old_stop.timeout + AFTER_A_KILL;
        for old in slot.old.iter().filter(|old| old.running()) {
            cx.step(format!(
                "waiting for at most {} s: {} may have been told to stop",
                slot.old_stop.timeout.as_secs_f64(),
                old.name
            ));
            while Instant::now() < over {
                match runner.inspect(cx, &step.host, &old.name).await {
                    Ok(Some(now)) if now.running() => tokio::time::sleep(LOOK).await,
                    Ok(_) | Err(_) => break,
                }
            }
        }
    }))
    .await;
}

/// The old container runs and is healthy, whatever it takes.
///
/// # Errors
/// It is gone, or not healthy.
pub(super) async fn start_old(
    cx: &Cx,
    hands: &Hands,
    step: &HostStep,
    slot: &Slot,
    old: &Container,
) -> Result<(), Fault> {
    let (runner, probe) = (&*hands.runner, &*hands.probe);
    let mut container = running_again(cx, hands, step, old).await?;
    let mut healthy =
        health::wait(cx, runner, probe, &step.host, &container, &slot.old_health).await;
    // A stop that was still on its way may have ended it meanwhile.
    let now = runner.inspect(cx, &step.host, &old.name).await?;
    if healthy.is_err() && now.is_some_and(|now| !now.running()) {
        container = running_again(cx, hands, step, old).await?;
        healthy = health::wait(cx, runner, probe, &step.host, &container, &slot.old_health).await;
    }
    healthy?;
    cx.step(format!("{} serves again", old.name));
    Ok(())
}

/// A role that the new release does not have: it runs again, nobody knows more
/// of its health.
async fn start_left(
    cx: &Cx,
    hands: &Hands,
    step: &HostStep,
    left: &Container,
) -> Result<(), Fault> {
    running_again(cx, hands, step, left).await?;
    cx.step(format!("{} runs again", left.name));
    Ok(())
}

async fn running_again(
    cx: &Cx,
    hands: &Hands,
    step: &HostStep,
    old: &Container,
) -> Result<Container, Fault> {
    let runner = &hands.runner;
    match runner.inspect(cx, &step.host, &old.name).await? {
        Some(container) if container.running() => Ok(container),
        Some(_) => runner.start_again(cx, &step.host, &old.name).await,
        None => Err(Fault::failed(format!("container `{}` is gone", old.name))),
    }
}
