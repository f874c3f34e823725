//! Waiting until a container is healthy, and telling why it is not.

use std::time::Duration;

use tokio::time::Instant;

use crate::model::container::{Container, ContainerState};
use crate::model::fault::{Fault, FaultKind};
use crate::model::host::HostAddress;
use crate::model::project::{Health, HealthCheck};
use crate::ports::{Answer, ContainerRunner, Cx, Probe};

/// Between the first probes; later ones wait for the check's own interval.
const FIRST_PAUSE: Duration = Duration::from_millis(40);
/// A container without a check must live this long to count as started.
const STAYS_UP: Duration = Duration::from_secs(1);
/// How long one that was restarted is awaited at its next end.
const ENDS_AGAIN: Duration = Duration::from_secs(3);
const LOG_LINES: usize = 20;

/// Returns once the container is healthy.
///
/// # Errors
/// It ended, restarts again and again, or did not get healthy in time: with
/// exit code, last answer and last log lines.
pub(super) async fn wait(
    cx: &Cx,
    runner: &dyn ContainerRunner,
    probe: &dyn Probe,
    host: &HostAddress,
    container: &Container,
    health: &Health,
) -> Result<(), Fault> {
    let begun = Instant::now();
    let deadline = begun + health.timeout;
    let stays_up = STAYS_UP.min(health.timeout);
    let mut pause = FIRST_PAUSE.min(health.interval);
    let mut last = String::from("it was not asked yet");
    loop {
        let answer = cx
            .or_interrupted(probe.ask(cx, host, container, &health.check))
            .await;
        let now = runner.inspect(cx, host, &container.name).await?;
        let answer = match answer {
            // A command has nowhere to run while its container is restarted.
            Err(fault) if fault.kind == FaultKind::Failed => Answer::Unhealthy(fault.to_string()),
            answer => answer?,
        };
        let ended = ended(container, now.as_ref());
        match answer {
            Answer::Healthy
                if ended.is_none()
                    && (health.check != HealthCheck::None || begun.elapsed() >= stays_up) =>
            {
                cx.on_host(host).step(format!(
                    "{} is healthy after {:.1} s",
                    container.name,
                    begun.elapsed().as_secs_f64()
                ));
                return Ok(());
            }
            Answer::Healthy => {}
            Answer::Unhealthy(answer) => last = answer,
        }
        if let Some(ended) = ended {
            let now = at_its_end(cx, runner, host, container, now).await?;
            return Err(explain(cx, runner, host, container, now.as_ref(), &ended, &last).await);
        }
        if Instant::now() >= deadline {
            let why = format!(
                "did not become healthy within {} s",
                health.timeout.as_secs_f64()
            );
            return Err(explain(cx, runner, host, container, now.as_ref(), &why, &last).await);
        }
        tokio::select! {
            () = cx.token().cancelled() => return Err(Fault::interrupted()),
            () = tokio::time::sleep_until((Instant::now() + pause).min(deadline)) => {}
        }
        pause = (pause * 2).min(health.interval);
    }
}

/// As it is when it has ended: while the engine restarts it, it has forgotten
/// the exit code, and that the memory ran out.
async fn at_its_end(
    cx: &Cx,
    runner: &dyn ContainerRunner,
    host: &HostAddress,
    container: &Container,
    mut now: Option<Container>,
) -> Result<Option<Container>, Fault> {
    let deadline = Instant::now() + ENDS_AGAIN;
    while now.as_ref().is_some_and(Container::running) && Instant::now() < deadline {
        tokio::select! {
            () = cx.token().cancelled() => return Err(Fault::interrupted()),
            () = tokio::time::sleep(FIRST_PAUSE) => {}
        }
        now = runner.inspect(cx, host, &container.name).await?;
    }
    Ok(now)
}

/// Why it cannot become healthy any more, in words. `then` is how it was when
/// the wait began: an old container may have been restarted long ago.
fn ended(then: &Container, now: Option<&Container>) -> Option<String> {
    let Some(now) = now else {
        return Some("is gone".to_owned());
    };
    match now.state {
        ContainerState::Running | ContainerState::Created if now.restarts <= then.restarts => None,
        // A restart is a death: the new release must stand on its own.
        ContainerState::Running | ContainerState::Created | ContainerState::Restarting => {
            Some("dies and is restarted again and again".to_owned())
        }
        ContainerState::Exited => Some("ended".to_owned()),
        ContainerState::Other => Some("is in a state that cannot become healthy".to_owned()),
    }
}

/// The fault with everything that can be known of the container, gathered
/// before anything is removed.
pub(super) async fn explain(
    cx: &Cx,
    runner: &dyn ContainerRunner,
    host: &HostAddress,
    container: &Container,
    now: Option<&Container>,
    why: &str,
    last_answer: &str,
) -> Fault {
    let cx = cx.uncancellable();
    let mut fault = Fault::failed(format!("container `{}` on {host} {why}", container.name));
    if let Some(now) = now {
        if let Some(code) = now.exit_code.filter(|_| !now.running()) {
            fault = fault.because(format!(
                "it exited with code {code}{}",
                meaning(code, now.oom_killed)
            ));
        } else if now.oom_killed {
            fault = fault.because("it ran out of memory");
        }
    }
    fault = fault.because(format!("last probe: {last_answer}"));
    match runner.logs(&cx, host, &container.name, LOG_LINES).await {
        Ok(lines) if lines.is_empty() => {
            fault.showing(format!("`{}` printed nothing", container.name), vec![])
        }
        Ok(lines) => fault.showing(
            format!("last lines from {} on {host}", container.name),
            lines,
        ),
        Err(error) => fault.because(format!("its log could not be read: {error}")),
    }
}

fn meaning(code: i64, oom_killed: bool) -> &'static str {
    match (code, oom_killed) {
        (_, true) => " (out of memory)",
        (126, _) => " (the command is not executable)",
        (127, _) => " (the command was not found)",
        (137, _) => " (killed)",
        (139, _) => " (segmentation fault)",
        (143, _) => " (terminated)",
        (0, _) => " (it ended by itself; a role's command must keep running)",
        _ => "",
    }
}
