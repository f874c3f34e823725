//! One-off containers: made, followed to their end, removed, whatever happens.

use std::time::Duration;

use bollard::errors::Error;
use bytes::Bytes;
use futures_util::Stream;
use serde::Deserialize;
use tokio::time::Instant;

use super::body::Purpose;
use super::create::clear;
use super::lines::{TAIL, Tail};
use super::logs::each_line;
use super::start::{Began, no_network};
use super::{Runner, container_path, life, logs, settled};
use crate::docker::client::{Call, Engine, fault};
use crate::model::container::{ContainerSpec, Exit, StopPolicy};
use crate::model::fault::{Fault, FaultKind};
use crate::ports::Cx;

/// What a job gets to end by itself after the signal or the deadline: a tool
/// that takes its transaction back leaves a cleaner database than a kill.
const GRACE: Duration = Duration::from_secs(3);

/// The rest of the output after the end.
const LAST_OUTPUT: Duration = Duration::from_secs(5);

/// A job under way.
struct Begun<S> {
    id: String,
    output: S,
    /// The answer of the engine's wait call, whose headers have come.
    end: hyper::Response<hyper::body::Incoming>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Ended {
    status_code: i64,
}

/// What ended the following of a job.
enum Outcome {
    Ended(Result<i64, Error>),
    Interrupted,
    Late,
}

impl Runner {
    pub(super) async fn run_job(
        &self,
        cx: &Cx,
        engine: &Engine,
        spec: &ContainerSpec,
        deadline: Duration,
    ) -> Result<Exit, Fault> {
        let until = Instant::now() + deadline;
        let begun = match settled(cx, self.begin_job(engine, spec)).await {
            Ok(begun) => begun,
            Err(fault) => {
                if fault.kind == FaultKind::Interrupted {
                    // Best effort: the next run clears what stays.
                    let _ = clear(engine, spec).await;
                }
                return Err(fault);
            }
        };
        let id = begun.id.clone();
        let mut tail = Tail::default();
        let outcome = tokio::select! {
            biased;
            () = cx.token().cancelled() => Outcome::Interrupted,
            () = tokio::time::sleep_until(until) => Outcome::Late,
            ended = follow(cx, begun, &mut tail) => Outcome::Ended(ended),
        };
        let ended = match outcome {
            Outcome::Ended(Ok(code)) => exit(engine, &id, code, tail).await,
            Outcome::Ended(Err(error)) => look_again(engine, &spec.name, &id, until, error).await,
            Outcome::Interrupted => {
                end(engine, spec, &id).await;
                Err(Fault::interrupted())
            }
            Outcome::Late => {
                end(engine, spec, &id).await;
                Err(Fault::failed(format!(
                    "`{}` on `{}` did not end within {deadline:?} and was stopped",
                    spec.name,
                    engine.host()
                ))
                .showing(last_lines(&spec.name, engine), tail.into_lines()))
            }
        };
        if let Err(fault) = life::remove(engine, &id).await {
            cx.warn(format!("{fault}; remove it: `docker rm -f {}`", spec.name));
        }
        ended
    }

    async fn begin_job(
        &self,
        engine: &Engine,
        spec: &ContainerSpec,
    ) -> Result<Begun<impl Stream<Item = Result<Bytes, Error>> + Send + Unpin + use<>>, Fault> {
        for _ in 0..2 {
            let id = self.create_afresh(engine, spec, Purpose::Job).await?;
            match self.follow_and_start(engine, spec, id.clone()).await {
                Ok(Some(begun)) => return Ok(begun),
                // Its network is there now: the next one finds it.
                Ok(None) => life::remove(engine, &id).await?,
                Err(fault) => {
                    let _ = life::remove(engine, &id).await;
                    return Err(fault);
                }
            }
        }
        Err(no_network(engine, spec))
    }

    /// Attached and waited for before it starts: nothing is missed, whatever
    /// the engine does with logs.
    async fn follow_and_start(
        &self,
        engine: &Engine,
        spec: &ContainerSpec,
        id: String,
    ) -> Result<Option<Begun<impl Stream<Item = Result<Bytes, Error>> + Send + Unpin + use<>>>, Fault>
    {
        let attach = Call::post(container_path(&id, "/attach"))
            .query("stream", "1")
            .query("stdout", "1")
            .query("stderr", "1");
        let wait = Call::post(container_path(&id, "/wait")).query("condition", "next-exit");
        let (output, end) =
            tokio::try_join!(engine.bytes(attach), engine.send(wait)).map_err(|error| {
                fault(
                    engine.host(),
                    format!("cannot follow `{}`", spec.name),
                    error,
                )
            })?;
        Ok(match self.begin(engine, spec, &id).await? {
            Began::Running => Some(Begun { id, output, end }),
            Began::NetworkMade => None,
        })
    }
}

/// Shows the output until the end, and returns the exit code.
async fn follow(
    cx: &Cx,
    begun: Begun<impl Stream<Item = Result<Bytes, Error>> + Unpin>,
    tail: &mut Tail,
) -> Result<i64, Error> {
    let mut output = std::pin::pin!(each_line(begun.output, |line| {
        cx.output(line.clone());
        tail.push(line);
    }));
    let mut end = std::pin::pin!(ended(begun.end));
    tokio::select! {
        shown = &mut output => {
            shown?;
            end.await
        }
        code = &mut end => {
            // A process of it that outlives it may hold the output open.
            let _ = tokio::time::timeout(LAST_OUTPUT, output).await;
            code
        }
    }
}

async fn ended(response: hyper::Response<hyper::body::Incoming>) -> Result<i64, Error> {
    let body = http_body_util::BodyExt::collect(response.into_body())
        .await?
        .to_bytes();
    let ended: Ended = serde_json::from_slice(&body)?;
    Ok(ended.status_code)
}

async fn exit(engine: &Engine, id: &str, code: i64, tail: Tail) -> Result<Exit, Fault> {
    // Only a failure can have been a lack of memory.
    let oom_killed = match code {
        0 => false,
        _ => life::inspect(engine, id)
            .await?
            .is_some_and(|seen| seen.oom_killed),
    };
    Ok(Exit {
        code,
        oom_killed,
        tail: tail.into_lines(),
    })
}

/// The connection was lost while it ran, which need not be its end: asked
/// again over a new one.
async fn look_again(
    engine: &Engine,
    name: &str,
    id: &str,
    until: Instant,
    error: Error,
) -> Result<Exit, Fault> {
    let lost = |error| {
        fault(engine.host(), format!("lost `{name}` while it ran"), error)
            .state(format!("whether `{name}` did its work is not known"))
    };
    let wait = Call::post(container_path(id, "/wait"))
        .within(until.saturating_duration_since(Instant::now()) + LAST_OUTPUT);
    let Ok(Ended { status_code }) = engine.json(wait).await else {
        return Err(lost(error));
    };
    let mut tail = Tail::default();
    for line in logs::last(engine, id, TAIL).await.unwrap_or_default() {
        tail.push(line);
    }
    exit(engine, id, status_code, tail).await
}

/// Asks it to end, then kills it. It is removed afterwards in any case.
async fn end(engine: &Engine, spec: &ContainerSpec, id: &str) {
    let stop = StopPolicy {
        signal: spec.stop.signal.clone(),
        timeout: GRACE.min(spec.stop.timeout),
    };
    let _ = life::stop(engine, id, &stop).await;
}

fn last_lines(name: &str, engine: &Engine) -> String {
    format!("last lines from {name} on {}", engine.host())
}
