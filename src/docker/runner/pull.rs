//! Pulling an image by digest, with its progress, once more after trouble
//! that passes.

use std::time::Duration;

use bollard::errors::Error;
use hyper::header::HeaderValue;
use indexmap::IndexMap;
use serde::Deserialize;

use crate::docker::auth::{REGISTRY_AUTH, registry_of};
use crate::docker::client::{Call, Engine, SILENCE, fault, next_within};
use crate::model::event::Unit;
use crate::model::fault::{Fault, FaultKind};
use crate::ports::Cx;

/// The engine says nothing before the registry has answered it.
const FIRST_WORD: Duration = Duration::from_secs(120);

const ATTEMPTS: u32 = 2;
const PAUSE: Duration = Duration::from_secs(1);

/// What the engine is asked for.
pub(super) struct Asked {
    pub(super) repository: String,
    /// Or a digest.
    pub(super) tag: String,
    /// For progress.
    pub(super) short: String,
}

impl std::fmt::Display for Asked {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let between = if self.tag.contains(':') { '@' } else { ':' };
        write!(f, "{}{between}{}", self.repository, self.tag)
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Line {
    #[serde(default)]
    status: String,
    #[serde(default)]
    id: String,
    progress_detail: Option<Detail>,
}

#[derive(Deserialize)]
struct Detail {
    current: Option<u64>,
    total: Option<u64>,
}

pub(super) async fn pull(
    cx: &Cx,
    engine: &Engine,
    image: &Asked,
    auth: Option<HeaderValue>,
) -> Result<(), Fault> {
    let mut attempt = 1;
    loop {
        let error = match once(cx, engine, image, auth.clone()).await {
            Ok(()) => return Ok(()),
            Err(error) => error,
        };
        if attempt == ATTEMPTS || !passes(&error) {
            return Err(explained(engine, image, auth.is_some(), error));
        }
        attempt += 1;
        let what = format!("pull `{image}`");
        cx.retry(what, attempt, ATTEMPTS, error.to_string());
        // Nothing announces that a registry is well again.
        tokio::time::sleep(PAUSE).await;
    }
}

async fn once(
    cx: &Cx,
    engine: &Engine,
    image: &Asked,
    auth: Option<HeaderValue>,
) -> Result<(), Error> {
    let mut call = Call::post("/images/create")
        .query("fromImage", image.repository.clone())
        .query("tag", image.tag.clone())
        .within(FIRST_WORD);
    if let Some(auth) = auth {
        call = call.header(REGISTRY_AUTH, auth);
    }
    let mut lines = engine.lines::<Line>(call).await?;
    let what = format!("pull {}", image.short);
    let mut layers: IndexMap<String, (u64, u64)> = IndexMap::new();
    loop {
        let Some(line) = next_within(SILENCE, &mut lines).await? else {
            return Ok(());
        };
        if let Some(Detail {
            current: Some(current),
            total: Some(total),
        }) = line.progress_detail
            && line.status == "Downloading"
        {
            layers.insert(line.id, (current, total));
            let done = layers.values().map(|(current, _)| current).sum();
            let total = layers.values().map(|(_, total)| total).sum();
            cx.progress(&what, done, Some(total), Unit::Bytes);
        }
    }
}

/// Trouble of the network between host and registry, or here and the host.
fn passes(error: &Error) -> bool {
    let message = match error {
        Error::DockerResponseServerError { message, .. } => message,
        Error::DockerStreamError { error } => error,
        Error::HyperLegacyError { .. }
        | Error::HyperResponseError { .. }
        | Error::IOError { .. } => return true,
        _ => return false,
    };
    let message = message.to_lowercase();
    [
        "timeout",
        "timed out",
        "connection refused",
        "connection reset",
        "eof",
        "temporary failure",
        "bad gateway",
        "service unavailable",
        "broken pipe",
        "unexpected http status: 5",
    ]
    .iter()
    .any(|words| message.contains(words))
}

fn explained(engine: &Engine, image: &Asked, logged_in: bool, error: Error) -> Fault {
    let registry = registry_of(&image.repository);
    let from_registry = matches!(
        error,
        Error::DockerResponseServerError { .. } | Error::DockerStreamError { .. }
    );
    let unreached = from_registry && passes(&error);
    let mut fault = fault(engine.host(), format!("cannot pull `{image}`"), error);
    if unreached {
        fault.kind = FaultKind::Unreachable;
        return fault.hint(format!(
            "see whether `{}` reaches the registry: `curl -i https://{registry}/v2/`",
            engine.host()
        ));
    }
    let text = fault.causes.join(" ").to_lowercase();
    let has = |words: &[&str]| words.iter().any(|word| text.contains(word));
    if has(&[
        "unauthorized",
        "no basic auth",
        "denied",
        "authentication required",
    ]) {
        let hint = match logged_in {
            true => format!(
                "the login for `{registry}` was not accepted; log in again: `docker login {registry}`"
            ),
            false => format!(
                "log in: `docker login {registry}`, or name the login in stagecraft.yml: \
                 `registry_username_env` and `registry_password_env`"
            ),
        };
        return fault.hint(hint);
    }
    if has(&["http response to https client"]) {
        return fault.hint(format!(
            "the registry speaks plain HTTP: add \"{registry}\" to `insecure-registries` in \
             `/etc/docker/daemon.json` of `{}`",
            engine.host()
        ));
    }
    if has(&["manifest unknown", "not found", "no matching manifest"]) {
        return fault.hint(match image.tag.contains(':') {
            true => {
                "the registry does not have this digest for the host's platform: it may \
                         have been removed there; deploy a release that it has"
            }
            false => "the registry does not have this image for the host's platform",
        });
    }
    if has(&["no space left"]) {
        return fault.hint("make room on the host: `docker system df`, `docker image prune`");
    }
    fault
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_trouble_of_the_network_is_tried_again() {
        let said = |error: &str| Error::DockerStreamError {
            error: error.into(),
        };
        assert!(passes(&said(
            "dial tcp 10.0.0.1:5000: connect: connection refused"
        )));
        assert!(passes(&said("net/http: TLS handshake timeout")));
        assert!(!passes(&said("unauthorized: authentication required")));
        assert!(!passes(&said("manifest unknown: manifest unknown")));
    }
}
