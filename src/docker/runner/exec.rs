//! A command inside a running container.

use std::time::Duration;

use serde::Deserialize;
use serde_json::json;

use super::container_path;
use super::lines::{Tail, clean};
use super::logs::each_line;
use crate::docker::client::{Call, Engine, fault, status};
use crate::model::command_line::CommandLine;
use crate::model::container::Exit;
use crate::model::fault::Fault;
use crate::ports::Cx;

/// What a shell answers for a program that cannot be run.
const NOT_RUN: i64 = 127;

/// Between the end of the output and the exit code lies an instant.
const CODE_COMES: Duration = Duration::from_secs(5);
const LOOK_AGAIN: Duration = Duration::from_millis(20);

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Made {
    id: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct State {
    #[serde(default)]
    running: bool,
    exit_code: Option<i64>,
}

pub(super) async fn exec(
    cx: &Cx,
    engine: &Engine,
    name: &str,
    command: &CommandLine,
    deadline: Duration,
) -> Result<Exit, Fault> {
    let mut tail = Tail::default();
    let work = work(cx, engine, name, command, &mut tail);
    let ended = tokio::time::timeout(deadline, work).await;
    let lines = tail.into_lines();
    match ended {
        Ok(code) => Ok(Exit {
            code: code?,
            oom_killed: false,
            tail: lines,
        }),
        Err(_) => Err(Fault::failed(format!(
            "`{command}` in `{name}` on `{}` did not end within {deadline:?}",
            engine.host()
        ))
        .because("the engine has no way to end it: it may still run in the container")
        .showing(format!("last lines of `{command}`"), lines)),
    }
}

async fn work(
    cx: &Cx,
    engine: &Engine,
    name: &str,
    command: &CommandLine,
    tail: &mut Tail,
) -> Result<i64, Fault> {
    let failed = |error| {
        fault(
            engine.host(),
            format!("cannot run `{command}` in `{name}`"),
            error,
        )
    };
    let call = Call::post(container_path(name, "/exec")).json(&json!({
        "AttachStdout": true,
        "AttachStderr": true,
        "Cmd": command.reveal(),
    }));
    let made: Made = engine.json(call).await.map_err(failed)?;
    let call = Call::post(format!("/exec/{}/start", made.id))
        .json(&json!({ "Detach": false, "Tty": false }));
    let stream = match engine.bytes(call).await {
        Ok(stream) => stream,
        // Some engines tell so here, others through the exit code.
        Err(bollard::errors::Error::DockerResponseServerError {
            status_code: 400,
            message,
        }) => {
            let line = clean(message.as_bytes());
            cx.output(line.clone());
            tail.push(line);
            return Ok(NOT_RUN);
        }
        Err(error) => return Err(failed(error)),
    };
    each_line(stream, |line| {
        cx.output(line.clone());
        tail.push(line);
    })
    .await
    .map_err(failed)?;
    exit_code(engine, name, &made.id, command).await
}

async fn exit_code(
    engine: &Engine,
    name: &str,
    id: &str,
    command: &CommandLine,
) -> Result<i64, Fault> {
    let begun = tokio::time::Instant::now();
    loop {
        let state: Result<State, _> = engine.json(Call::get(format!("/exec/{id}/json"))).await;
        match state {
            Ok(State {
                running: false,
                exit_code: Some(code),
            }) => return Ok(code),
            Ok(_) if begun.elapsed() < CODE_COMES => tokio::time::sleep(LOOK_AGAIN).await,
            Ok(_) => {
                return Err(Fault::failed(format!(
                    "`{command}` in `{name}` on `{}` closed its output and goes on",
                    engine.host()
                )));
            }
            Err(error) => {
                let what = match status(&error) {
                    Some(404) => format!("`{name}` ended while `{command}` ran in it"),
                    _ => format!("the exit code of `{command}` in `{name}` cannot be read"),
                };
                return Err(fault(engine.host(), what, error));
            }
        }
    }
}
