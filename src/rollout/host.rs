//! One host: replacing its containers, and putting them back.

use std::time::Duration;

use futures_util::future::{join_all, try_join_all};
use tokio::time::Instant;

use crate::model::container::{Container, ContainerState, StopPolicy, label};
use crate::model::fault::Fault;
use crate::model::release::ReleaseId;
use crate::ports::{ContainerRunner, Cx, HostStep, Probe, RolloutPlan, Slot};

use super::health;

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
    runner: &dyn ContainerRunner,
    probe: &dyn Probe,
    step: &HostStep,
) -> Result<Vec<String>, Stopped> {
    let cx = cx.on_host(&step.host);
    cx.check()?;
    // Every stop is seen to its end, whatever another one comes to.
    let stops =
        join_all(olds(step).map(|(old, stop)| stop_old(&cx, runner, step, old, stop))).await;
    if let Some(fault) = stops.into_iter().find_map(Result::err) {
        return Err(Stopped {
            fault,
            doubtful: true,
        });
    }
    cx.check()?;
    let started = step
        .slots
        .iter()
        .map(|slot| start_new(&cx, runner, probe, step, slot));
    Ok(try_join_all(started).await?)
}

/// What has to stop before the new containers start, and how.
fn olds(step: &HostStep) -> impl Iterator<Item = (&Container, StopPolicy)> {
    let replaced = step
        .slots
        .iter()
        .flat_map(|slot| slot.old.iter().map(|old| (old, slot.old_stop.clone())));
    let left = step
        .leftovers
        .iter()
        .map(|left| (left, StopPolicy::default()));
    replaced.chain(left)
}

async fn stop_old(
    cx: &Cx,
    runner: &dyn ContainerRunner,
    step: &HostStep,
    old: &Container,
    stop: StopPolicy,
) -> Result<(), Fault> {
    if !old.running() && old.state != ContainerState::Restarting {
        return Ok(());
    }
    // The engine stops it whether or not it is waited for: an undo that begins
    // earlier would take a container that is about to end for one that serves.
    let ended = runner
        .stop(&cx.uncancellable(), &step.host, &old.name, &stop)
        .await?;
    cx.step(match ended {
        Some(exit) if exit.code == 137 => format!(
            "stopped {} (killed: it ignored {} for {} s)",
            old.name,
            stop.signal,
            stop.timeout.as_secs_f64()
        ),
        Some(_) | None => format!("stopped {}", old.name),
    });
    Ok(())
}

async fn start_new(
    cx: &Cx,
    runner: &dyn ContainerRunner,
    probe: &dyn Probe,
    step: &HostStep,
    slot: &Slot,
) -> Result<String, Fault> {
    let container = runner.start(cx, &step.host, &slot.new).await?;
    cx.step(format!("started {}", container.name));
    health::wait(cx, runner, probe, &step.host, &container, &slot.health).await?;
    Ok(container.name)
}

/// Removes everything of the new release and starts what served before again,
/// as far as it is not running. Tries everything, whatever fails.
///
/// # Errors
/// What could not be put back, in words.
pub(super) async fn undo(
    cx: &Cx,
    runner: &dyn ContainerRunner,
    probe: &dyn Probe,
    plan: &RolloutPlan,
    step: &HostStep,
) -> Result<(), String> {
    let cx = cx.on_host(&step.host);
    // A failed new container gets no time to end in peace: the old one waits
    // for its port.
    let at_once = StopPolicy {
        signal: "SIGKILL".to_owned(),
        timeout: Duration::ZERO,
    };
    let new = step.slots.iter().map(|slot| &slot.new.name);
    let strays = step
        .leftovers
        .iter()
        .filter(|left| belongs(left, Some(&plan.release)));
    let removed = join_all(new.chain(strays.map(|left| &left.name)).map(|name| async {
        runner.stop(&cx, &step.host, name, &at_once).await?;
        runner.remove(&cx, &step.host, name).await
    }))
    .await;
    let replaced = step.slots.iter().flat_map(|slot| {
        slot.old
            .iter()
            .map(|old| start_old(&cx, runner, probe, step, slot, old))
    });
    let left = step
        .leftovers
        .iter()
        .filter(|left| left.running() && left.label(label::JOB).is_none())
        .filter(|left| belongs(left, plan.live.as_ref()))
        .map(|left| start_left(&cx, runner, step, left));
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
/// containers run, yet the engine may be about to stop them. One that has a
/// new container beside it was stopped for sure, and is not in doubt.
pub(super) async fn settle(cx: &Cx, runner: &dyn ContainerRunner, step: &HostStep) {
    let cx = cx.on_host(&step.host);
    join_all(step.slots.iter().map(|slot| async {
        let new = runner.inspect(&cx, &step.host, &slot.new.name).await;
        if matches!(new, Ok(Some(_))) {
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
                match runner.inspect(&cx, &step.host, &old.name).await {
                    Ok(Some(now)) if now.running() => tokio::time::sleep(LOOK).await,
                    Ok(_) | Err(_) => break,
                }
            }
        }
    }))
    .await;
}

async fn start_old(
    cx: &Cx,
    runner: &dyn ContainerRunner,
    probe: &dyn Probe,
    step: &HostStep,
    slot: &Slot,
    old: &Container,
) -> Result<(), Fault> {
    let mut container = running_again(cx, runner, step, old).await?;
    let mut healthy =
        health::wait(cx, runner, probe, &step.host, &container, &slot.old_health).await;
    // A stop that was still on its way may have ended it meanwhile.
    let now = runner.inspect(cx, &step.host, &old.name).await?;
    if healthy.is_err() && now.is_some_and(|now| !now.running()) {
        container = running_again(cx, runner, step, old).await?;
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
    runner: &dyn ContainerRunner,
    step: &HostStep,
    left: &Container,
) -> Result<(), Fault> {
    running_again(cx, runner, step, left).await?;
    cx.step(format!("{} runs again", left.name));
    Ok(())
}

async fn running_again(
    cx: &Cx,
    runner: &dyn ContainerRunner,
    step: &HostStep,
    old: &Container,
) -> Result<Container, Fault> {
    match runner.inspect(cx, &step.host, &old.name).await? {
        Some(container) if container.running() => Ok(container),
        Some(_) => runner.start_again(cx, &step.host, &old.name).await,
        None => Err(Fault::failed(format!("container `{}` is gone", old.name))),
    }
}
