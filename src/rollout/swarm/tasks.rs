//! Waiting for the tasks that the engine makes of a service, and telling why
//! there are none.

use std::time::Duration;

use futures_util::future::try_join_all;
use tokio::time::Instant;

use crate::model::container::{Container, label};
use crate::model::fault::Fault;
use crate::model::host::HostAddress;
use crate::model::project::{Health, HealthCheck};
use crate::model::service::{Service, Task, TaskState};
use crate::model::slot::Manner;
use crate::ports::{Cx, RolloutPlan, ServiceStep, SwarmPlan};

use super::super::health;
use super::{Swarm, steps};

/// Between two looks: a manager tells nobody when a task is up.
const LOOK: Duration = Duration::from_millis(250);
/// What the engine may need for places, networks and starts, beyond what the
/// configuration grants.
const PLACING: Duration = Duration::from_secs(60);
/// How long the engine watches a changed task, with room.
const WATCHED: Duration = Duration::from_secs(5);
/// What an engine may need for the end of a task, beyond its own time.
const ENDING: Duration = Duration::from_secs(15);
const LOG_LINES: usize = 20;

/// A task that runs and is healthy.
pub(super) struct Up {
    /// Index of its service in the plan.
    pub(super) step: usize,
    pub(super) host: HostAddress,
    pub(super) container: Container,
}

/// Returns once every task of the new release runs and is healthy.
///
/// # Errors
/// One ended or could not begin, with the engine's words and its last lines;
/// the engine gave the update up; it took too long.
pub(super) async fn wait(
    cx: &Cx,
    on: &Swarm,
    plan: &RolloutPlan,
    swarm: &SwarmPlan,
    step: &ServiceStep,
) -> Result<Vec<Up>, Fault> {
    let running = converged(cx, on, plan, swarm, step).await?;
    let at = |candidate: &ServiceStep| candidate.new.container.name == step.new.container.name;
    let index = swarm.services.iter().position(at).unwrap_or_default();
    try_join_all(running.iter().map(|task| async move {
        let (host, container) = found(cx, on, swarm, step, task).await?;
        healthy(cx, on, &host, &container, &step.health).await?;
        Ok(Up {
            step: index,
            host,
            container,
        })
    }))
    .await
}

/// The engine has seen a command succeed before it called the task running.
async fn healthy(
    cx: &Cx,
    on: &Swarm,
    host: &HostAddress,
    container: &Container,
    health: &Health,
) -> Result<(), Fault> {
    match health.check {
        HealthCheck::Command(_) => {
            cx.on_host(host)
                .step(format!("{} is healthy", container.name));
            Ok(())
        }
        HealthCheck::Http { .. } | HealthCheck::Tcp { .. } | HealthCheck::None => {
            let (runner, probe) = (&*on.hands.runner, &*on.hands.probe);
            health::wait(cx, runner, probe, host, container, health).await
        }
    }
}

/// Waits until the engine is done and all tasks run.
async fn converged(
    cx: &Cx,
    on: &Swarm,
    plan: &RolloutPlan,
    swarm: &SwarmPlan,
    step: &ServiceStep,
) -> Result<Vec<Task>, Fault> {
    let name = &step.new.container.name;
    let deadline = Instant::now() + patience(step);
    loop {
        let all = on.services.tasks(cx, &swarm.manager, name).await?;
        let ours: Vec<Task> = all
            .into_iter()
            .filter(|task| task.release.as_deref() == Some(plan.release.as_str()))
            .collect();
        if let Some(failed) = ours.iter().find(|task| task.state == TaskState::Failed) {
            return Err(ended(cx, on, swarm, step, failed).await);
        }
        let service = match step.manner {
            Manner::Beside => None,
            Manner::InPlace => look(cx, on, swarm, name).await?,
        };
        let update = service.as_ref().and_then(|service| service.update.as_ref());
        if let Some(update) = update.filter(|update| update.gave_up()) {
            return Err(
                Fault::failed(format!("the update of the service `{name}` failed")).because(
                    format!("the engine says: {} ({})", update.message, update.state),
                ),
            );
        }
        let moves = update.is_some_and(|update| update.moves());
        let running = |task: &&Task| task.wanted && task.state == TaskState::Running;
        let up: Vec<Task> = ours.iter().filter(running).cloned().collect();
        if !moves && u64::try_from(up.len()) == Ok(step.new.replicas) {
            return Ok(up);
        }
        if Instant::now() >= deadline {
            return Err(late(step, &ours, up.len()));
        }
        pause(cx, deadline).await?;
    }
}

/// Waits until a service that was put back serves again.
///
/// # Errors
/// In words: it does not.
pub(super) async fn back(
    cx: &Cx,
    on: &Swarm,
    plan: &RolloutPlan,
    swarm: &SwarmPlan,
    step: &ServiceStep,
) -> Result<(), String> {
    let name = &step.new.container.name;
    let deadline = Instant::now() + patience(step);
    let said = |fault: Fault| fault.to_string();
    loop {
        let Some(service) = look(cx, on, swarm, name).await.map_err(said)? else {
            return Err(format!("the service {name} is gone"));
        };
        let tasks = on
            .services
            .tasks(cx, &swarm.manager, name)
            .await
            .map_err(said)?;
        let serves = |task: &&Task| {
            task.wanted
                && task.state == TaskState::Running
                && task.release.as_deref() != Some(plan.release.as_str())
        };
        let serving = tasks.iter().filter(serves).count();
        let moves = service.update.as_ref().is_some_and(|update| update.moves());
        if !moves && u64::try_from(serving) == Ok(service.replicas) {
            return Ok(());
        }
        if Instant::now() >= deadline {
            let errors: Vec<&str> = tasks
                .iter()
                .filter_map(|task| task.error.as_deref())
                .collect();
            return Err(format!(
                "{serving} of {} tasks of the old release run in {name}{}",
                service.replicas,
                errors
                    .last()
                    .map_or_else(String::new, |last| format!(": {last}"))
            ));
        }
        pause(cx, deadline).await.map_err(said)?;
    }
}

/// Removes a service and sees its tasks end: until then they hold their ports
/// and their names.
///
/// # Errors
/// The engine's refusal; tasks that still run after their time.
pub(super) async fn end(
    cx: &Cx,
    on: &Swarm,
    plan: &RolloutPlan,
    swarm: &SwarmPlan,
    name: &str,
    patience: Duration,
) -> Result<(), Fault> {
    on.services.remove(cx, &swarm.manager, name).await?;
    let deadline = Instant::now() + patience + ENDING;
    let mut labels = swarm.labels.clone();
    labels.insert(label::SWARM_SERVICE.to_owned(), name.to_owned());
    loop {
        let lists = steps(plan).map(|step| on.hands.runner.list(cx, &step.host, &labels));
        let left = try_join_all(lists).await?.concat();
        let Some(runs) = left.iter().find(|container| container.running()) else {
            cx.step(format!("removed the service {name}"));
            return Ok(());
        };
        if Instant::now() >= deadline {
            return Err(Fault::failed(format!(
                "the service {name} is removed, and its task {} still runs",
                runs.name
            )));
        }
        pause(cx, deadline).await?;
    }
}

/// The service as it is now.
///
/// # Errors
/// The manager cannot be asked.
pub(super) async fn look(
    cx: &Cx,
    on: &Swarm,
    swarm: &SwarmPlan,
    name: &str,
) -> Result<Option<Service>, Fault> {
    let services = on.services.list(cx, &swarm.manager, &swarm.labels).await?;
    Ok(services.into_iter().find(|service| service.name == name))
}

async fn pause(cx: &Cx, deadline: Instant) -> Result<(), Fault> {
    tokio::select! {
        () = cx.token().cancelled() => Err(Fault::interrupted()),
        () = tokio::time::sleep_until((Instant::now() + LOOK).min(deadline)) => Ok(()),
    }
}

fn patience(step: &ServiceStep) -> Duration {
    let update = &step.new.update;
    let rounds = match update.parallelism {
        0 => 1,
        at_once => step.new.replicas.div_ceil(at_once),
    };
    let stop = step.new.container.stop.timeout.max(step.old_stop.timeout);
    let round = step.health.timeout + stop + update.pause + WATCHED;
    PLACING + round * u32::try_from(rounds.max(1)).unwrap_or(u32::MAX)
}

/// Where a task runs, and its container.
async fn found(
    cx: &Cx,
    on: &Swarm,
    swarm: &SwarmPlan,
    step: &ServiceStep,
    task: &Task,
) -> Result<(HostAddress, Container), Fault> {
    let name = &step.new.container.name;
    let host = host_of(swarm, task).ok_or_else(|| {
        Fault::failed(format!("a task of `{name}` runs on a node that is no host"))
    })?;
    let id = task.container.as_deref().unwrap_or_default();
    match on.hands.runner.inspect(cx, host, id).await? {
        Some(container) => Ok((host.clone(), container)),
        None => Err(Fault::failed(format!(
            "a task of `{name}` on {host} is gone after it started"
        ))),
    }
}

fn host_of<'a>(swarm: &'a SwarmPlan, task: &Task) -> Option<&'a HostAddress> {
    let mut nodes = swarm.nodes.iter();
    let found = nodes.find(|(node, _)| task.node.as_ref() == Some(node))?;
    Some(&found.1)
}

/// The fault of a task that ended or could not begin: the engine's words and
/// what it printed.
async fn ended(cx: &Cx, on: &Swarm, swarm: &SwarmPlan, step: &ServiceStep, task: &Task) -> Fault {
    let cx = &cx.uncancellable();
    let name = &step.new.container.name;
    let host = host_of(swarm, task);
    let place = host.map_or_else(String::new, |host| format!(" on {host}"));
    let mut fault = Fault::failed(format!(
        "task {} of the service `{name}`{place} failed",
        task.replica
    ));
    if let Some(error) = &task.error {
        fault = fault.because(error);
    }
    let lines = match (host, &task.container) {
        (Some(host), Some(id)) => on.hands.runner.logs(cx, host, id, LOG_LINES).await,
        _ => return fault,
    };
    match lines {
        Ok(lines) if lines.is_empty() => fault.showing("it printed nothing", vec![]),
        Ok(lines) => fault.showing(format!("last lines of the task{place}"), lines),
        // Its container may be gone with it.
        Err(_) => match on.services.logs(cx, &swarm.manager, name, LOG_LINES).await {
            Ok(lines) => fault.showing(format!("last lines of the service {name}"), lines),
            Err(error) => fault.because(format!("its log could not be read: {error}")),
        },
    }
}

fn late(step: &ServiceStep, tasks: &[Task], up: usize) -> Fault {
    let name = &step.new.container.name;
    let mut fault = Fault::failed(format!(
        "{up} of {} tasks of the service `{name}` run after {} s",
        step.new.replicas,
        patience(step).as_secs()
    ));
    let mut errors: Vec<&String> = tasks
        .iter()
        .filter_map(|task| task.error.as_ref())
        .collect();
    errors.dedup();
    for error in errors {
        fault = fault.because(error);
    }
    fault.hint(format!(
        "see its tasks, on a manager, while it is tried: `docker service ps --no-trunc {name}`"
    ))
}
