//! One host: replacing its containers, and putting them back.

use std::time::Duration;

use futures_util::future::{join_all, try_join_all};
use tokio::time::Instant;

use crate::model::container::{Container, StopPolicy};
use crate::model::fault::Fault;
use crate::ports::{ContainerRunner, Cx, HostStep, Probe, Slot};

use super::health;

/// Between two looks at a container that may be about to end.
const LOOK: Duration = Duration::from_millis(250);
/// How long a killed container may take to be gone.
const AFTER_A_KILL: Duration = Duration::from_secs(1);

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
) -> Result<Vec<String>, Fault> {
    let cx = cx.on_host(&step.host);
    cx.check()?;
    try_join_all(step.slots.iter().flat_map(|slot| {
        slot.old
            .iter()
            .map(|old| stop_old(&cx, runner, step, slot, old))
    }))
    .await?;
    cx.check()?;
    try_join_all(
        step.slots
            .iter()
            .map(|slot| start_new(&cx, runner, probe, step, slot)),
    )
    .await
}

async fn stop_old(
    cx: &Cx,
    runner: &dyn ContainerRunner,
    step: &HostStep,
    slot: &Slot,
    old: &Container,
) -> Result<(), Fault> {
    if !old.running()
        && !matches!(
            old.state,
            crate::model::container::ContainerState::Restarting
        )
    {
        return Ok(());
    }
    // The engine stops it whether or not it is waited for: an undo that begins
    // earlier would take a container that is about to end for one that serves.
    let ended = runner
        .stop(&cx.uncancellable(), &step.host, &old.name, &slot.new.stop)
        .await?;
    cx.step(match ended {
        Some(exit) if exit.code == 137 => {
            format!(
                "stopped {} (killed: it ignored {} for {} s)",
                old.name,
                slot.new.stop.signal,
                slot.new.stop.timeout.as_secs_f64()
            )
        }
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

/// Removes the new containers and starts the old ones again, as far as they
/// are not running. Tries everything, whatever fails.
///
/// # Errors
/// What could not be put back, in words.
pub(super) async fn undo(
    cx: &Cx,
    runner: &dyn ContainerRunner,
    probe: &dyn Probe,
    step: &HostStep,
) -> Result<(), String> {
    let cx = cx.on_host(&step.host);
    // A failed new container gets no time to end in peace: the old one waits
    // for its port.
    let at_once = StopPolicy {
        signal: "SIGKILL".to_owned(),
        timeout: std::time::Duration::ZERO,
    };
    let removed = join_all(step.slots.iter().map(|slot| async {
        let name = &slot.new.name;
        runner.stop(&cx, &step.host, name, &at_once).await?;
        runner.remove(&cx, &step.host, name).await
    }))
    .await;
    let started = join_all(step.slots.iter().flat_map(|slot| {
        slot.old
            .iter()
            .map(|old| start_old(&cx, runner, probe, step, slot, old))
    }))
    .await;
    let failures: Vec<String> = removed
        .into_iter()
        .chain(started)
        .filter_map(Result::err)
        .map(|fault| fault.to_string())
        .collect();
    if failures.is_empty() {
        Ok(())
    } else {
        Err(failures.join("; "))
    }
}

/// Waits out what a deployer that is gone may have asked for: its old
/// containers run, yet the engine may be about to stop them. One that has a
/// new container beside it was stopped for sure, and is not in doubt.
pub(super) async fn settle(cx: &Cx, runner: &dyn ContainerRunner, step: &HostStep) {
    let cx = cx.on_host(&step.host);
    join_all(step.slots.iter().map(|slot| async {
        let new = runner.inspect(&cx, &step.host, &slot.new.name).await;
        if matches!(new, Ok(Some(_))) {
            return;
        }
        let over = Instant::now() + slot.new.stop.timeout + AFTER_A_KILL;
        for old in slot.old.iter().filter(|old| old.running()) {
            cx.step(format!(
                "waiting for at most {} s: {} may have been told to stop",
                slot.new.stop.timeout.as_secs_f64(),
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
    let container = match runner.inspect(cx, &step.host, &old.name).await? {
        Some(container) if container.running() => container,
        Some(_) => runner.start_again(cx, &step.host, &old.name).await?,
        None => return Err(Fault::failed(format!("container `{}` is gone", old.name))),
    };
    health::wait(cx, runner, probe, &step.host, &container, &slot.health).await?;
    cx.step(format!("{} serves again", old.name));
    Ok(())
}
