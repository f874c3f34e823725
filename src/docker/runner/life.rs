//! Looking at containers, stopping and removing them. One that is gone is an
//! answer, not an error.

use std::collections::BTreeMap;
use std::time::Duration;

use futures_util::future::try_join_all;
use serde::Deserialize;

use super::body::whole_seconds;
use super::seen::Seen;
use super::{container_path, logs};
use crate::docker::client::{Call, Engine, fault, status};
use crate::model::container::{Container, Exit, StopPolicy};
use crate::model::fault::Fault;

/// The lines that a container leaves behind when it did not end well.
const LAST_WORDS: usize = 40;

/// How long a removal that somebody else began may take.
const GONE: Duration = Duration::from_secs(30);

pub(super) async fn look(engine: &Engine, name: &str) -> Result<Option<Seen>, Fault> {
    match engine.json(Call::get(container_path(name, "/json"))).await {
        Ok(seen) => Ok(Some(seen)),
        Err(error) if status(&error) == Some(404) => Ok(None),
        Err(error) => Err(fault(
            engine.host(),
            format!("cannot look at `{name}`"),
            error,
        )),
    }
}

pub(super) async fn inspect(engine: &Engine, name: &str) -> Result<Option<Container>, Fault> {
    Ok(look(engine, name).await?.map(Seen::into_container))
}

/// In order of their names.
pub(super) async fn list(
    engine: &Engine,
    labels: &BTreeMap<String, String>,
) -> Result<Vec<Container>, Fault> {
    #[derive(Deserialize)]
    #[serde(rename_all = "PascalCase")]
    struct Listed {
        id: String,
    }
    let labels: Vec<String> = labels
        .iter()
        .map(|(key, value)| format!("{key}={value}"))
        .collect();
    let call = Call::get("/containers/json").query("all", "1").query(
        "filters",
        serde_json::json!({ "label": labels }).to_string(),
    );
    let listed: Vec<Listed> = engine
        .json(call)
        .await
        .map_err(|error| fault(engine.host(), "cannot list containers", error))?;
    // The list knows no exit codes, and no ports of a stopped container.
    let looks = listed.iter().map(|listed| inspect(engine, &listed.id));
    let mut containers: Vec<Container> = try_join_all(looks).await?.into_iter().flatten().collect();
    containers.sort_by(|a, b| a.name.cmp(&b.name));
    Ok(containers)
}

pub(super) async fn stop(
    engine: &Engine,
    name: &str,
    stop: &StopPolicy,
) -> Result<Option<Exit>, Fault> {
    let seconds = whole_seconds(stop.timeout);
    // Engines before API 1.42 take the signal from the container's own
    // specification, and pass over the one in the query.
    let call = Call::post(container_path(name, "/stop"))
        .query("t", seconds.to_string())
        .query("signal", stop.signal.clone())
        .within(Duration::from_secs(seconds + 60));
    match engine.done(call).await {
        Ok(()) => {}
        Err(error) if status(&error) == Some(404) => return Ok(None),
        Err(error) => return Err(fault(engine.host(), format!("cannot stop `{name}`"), error)),
    }
    let Some(container) = inspect(engine, name).await? else {
        return Ok(None);
    };
    let code = container.exit_code.unwrap_or_default();
    Ok(Some(Exit {
        code,
        oom_killed: container.oom_killed,
        tail: match code {
            0 => vec![],
            // It did stop; that its log cannot be read changes nothing.
            _ => logs::last(engine, name, LAST_WORDS)
                .await
                .unwrap_or_default(),
        },
    }))
}

pub(super) async fn let_go(engine: &Engine, name: &str, signal: &str) -> Result<(), Fault> {
    let failed = |error| fault(engine.host(), format!("cannot let `{name}` go"), error);
    let call = Call::post(container_path(name, "/update"))
        .json(&serde_json::json!({ "RestartPolicy": { "Name": "no" } }));
    match engine.done(call).await {
        Ok(()) => {}
        Err(error) if status(&error) == Some(404) => return Ok(()),
        Err(error) => return Err(failed(error)),
    }
    let call = Call::post(container_path(name, "/kill")).query("signal", signal);
    match engine.done(call).await {
        Ok(()) => Ok(()),
        // It does not run, or is gone.
        Err(error) if matches!(status(&error), Some(404 | 409)) => Ok(()),
        Err(error) => Err(failed(error)),
    }
}

pub(super) async fn rename(engine: &Engine, name: &str, to: &str) -> Result<(), Fault> {
    let call = Call::post(container_path(name, "/rename")).query("name", to);
    engine.done(call).await.map_err(|error| {
        let what = format!("cannot rename `{name}` to `{to}`");
        fault(engine.host(), what, error)
    })
}

/// Kills it when it runs; its anonymous volumes go with it.
pub(super) async fn remove(engine: &Engine, name: &str) -> Result<(), Fault> {
    let call = Call::delete(container_path(name, ""))
        .query("force", "1")
        .query("v", "1");
    match engine.done(call).await {
        Ok(()) => Ok(()),
        Err(error) => match status(&error) {
            Some(404) => Ok(()),
            // Somebody else is removing it already.
            Some(409) => gone(engine, name).await,
            _ => Err(fault(
                engine.host(),
                format!("cannot remove `{name}`"),
                error,
            )),
        },
    }
}

async fn gone(engine: &Engine, name: &str) -> Result<(), Fault> {
    let call = Call::post(container_path(name, "/wait"))
        .query("condition", "removed")
        .within(GONE);
    match engine.done(call).await {
        Ok(()) => Ok(()),
        Err(error) if status(&error) == Some(404) => Ok(()),
        Err(error) => Err(fault(
            engine.host(),
            format!("`{name}` is being removed and does not go"),
            error,
        )),
    }
}

pub(super) async fn volume_exists(engine: &Engine, name: &str) -> Result<bool, Fault> {
    let name_in_path: String = url::form_urlencoded::byte_serialize(name.as_bytes()).collect();
    match engine
        .done(Call::get(format!("/volumes/{name_in_path}")))
        .await
    {
        Ok(()) => Ok(true),
        Err(error) if status(&error) == Some(404) => Ok(false),
        Err(error) => Err(fault(
            engine.host(),
            format!("cannot look for the volume `{name}`"),
            error,
        )),
    }
}
