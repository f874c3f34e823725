//! The push to a registry, through this machine's engine. The digest is the
//! registry's own answer, and is looked up a second time before it is
//! believed.

use std::collections::HashMap;
use std::time::Duration;

use bollard::errors::Error;
use hyper::header::HeaderValue;
use serde::Deserialize;

use super::Push;
use super::refusal::Refusal;
use crate::docker::auth::{LoginFrom, REGISTRY_AUTH, registry_of};
use crate::docker::client::{Call, Engine, SILENCE, fault, next_within};
use crate::docker::{image, this_machine};
use crate::model::event::Unit;
use crate::model::fault::Fault;
use crate::model::image::{BuiltImage, Carriage, Digest, PinnedImage};
use crate::model::project::Registry;
use crate::ports::Cx;

/// How long the engine may take to begin.
const BEGINNING: Duration = Duration::from_secs(120);

/// `{}`: the engine insists on the header, with or without a login.
const NO_LOGIN: &str = "e30=";

impl Push {
    pub(super) async fn to_registry(
        &self,
        cx: &Cx,
        registry: &Registry,
        built: &BuiltImage,
        tag: &str,
    ) -> Result<PinnedImage, Fault> {
        let engine = self.engines.engine(&this_machine())?;
        let repository = &registry.repository;
        let reference = format!("{repository}:{tag}");
        image::tag(&engine, built.id.as_str(), &reference).await?;
        let login = self.auth.header(repository).await?;
        let login = login.unwrap_or_else(|| HeaderValue::from_static(NO_LOGIN));
        let call = Call::post(format!("/images/{repository}/push"))
            .query("tag", tag)
            .header(REGISTRY_AUTH, login)
            .within(BEGINNING);
        let from = self.auth.login_from(repository);
        let refused = |error| refused(&engine, &reference, repository, &from, error);
        let mut lines = engine.lines::<Line>(call).await.map_err(refused)?;
        let mut pushed = Layers::default();
        let mut digest = None;
        let stood_still = |error| match error {
            Error::RequestTimeoutError => stood_still(&reference, repository),
            error => refused(error),
        };
        while let Some(line) = next_within(SILENCE, &mut lines)
            .await
            .map_err(stood_still)?
        {
            digest = line.digest().or(digest);
            pushed.hear(cx, line);
        }
        let digest = digest.ok_or_else(|| {
            Fault::failed(format!("cannot push `{reference}`"))
                .because("the registry gave no digest for it")
        })?;
        self.verify(&engine, &reference, &digest).await?;
        cx.step(format!("pushed {reference}@{digest}{}", pushed.summary()));
        Ok(PinnedImage {
            repository: repository.clone(),
            digest,
            id: Some(built.id.clone()),
            carriage: Carriage::Registry,
            local_reference: built.reference.clone(),
        })
    }

    /// The engine's own record of the push must hold the digest; where it
    /// keeps none, the registry is asked what the tag stands for.
    async fn verify(&self, engine: &Engine, reference: &str, digest: &Digest) -> Result<(), Fault> {
        let suffix = format!("@{digest}");
        let stored = image::find(engine, reference).await?;
        if stored.is_some_and(|image| image.repo_digests.iter().any(|d| d.ends_with(&suffix))) {
            return Ok(());
        }
        let found = self.distribution(engine, reference).await?;
        if found == *digest {
            return Ok(());
        }
        Err(Fault::failed(format!("cannot push `{reference}`"))
            .because(format!("the registry answered {digest} and holds {found}"))
            .hint("somebody else pushes the same tag: run the command again"))
    }
}

fn refused(
    engine: &Engine,
    reference: &str,
    repository: &str,
    login: &LoginFrom,
    error: Error,
) -> Fault {
    let doing = format!("push `{reference}`");
    match &error {
        Error::DockerStreamError { error: message }
        | Error::DockerResponseServerError { message, .. } => {
            Refusal::of(message).fault(&doing, repository, message, login)
        }
        _ => fault(engine.host(), format!("cannot {doing}"), error),
    }
}

fn stood_still(reference: &str, repository: &str) -> Fault {
    let registry = registry_of(repository);
    Fault::unreachable(format!("cannot push `{reference}`"))
        .because(format!(
            "it began, and then nothing moved for {}s: the registry `{registry}` or the way to it does not go on",
            SILENCE.as_secs()
        ))
        .hint(format!(
            "see whether it answers: `curl -i https://{registry}/v2/`, then run the command again: layers that arrived stay there"
        ))
}

/// A line of the engine's answer.
#[derive(Debug, Deserialize)]
struct Line {
    id: Option<String>,
    #[serde(default)]
    status: String,
    #[serde(rename = "progressDetail", default)]
    progress: Progress,
    aux: Option<serde_json::Value>,
}

#[derive(Debug, Default, Deserialize)]
struct Progress {
    #[serde(default)]
    current: u64,
    #[serde(default)]
    total: u64,
}

impl Line {
    fn digest(&self) -> Option<Digest> {
        let aux = self.aux.as_ref()?.get("Digest")?;
        aux.as_str()?.parse().ok()
    }
}

/// The layers of one push, by the engine's short ids.
#[derive(Default)]
struct Layers {
    sent: HashMap<String, (u64, u64)>,
    there: usize,
}

impl Layers {
    fn hear(&mut self, cx: &Cx, line: Line) {
        let Some(id) = line.id else { return };
        match line.status.as_str() {
            "Layer already exists" => self.there += 1,
            "Pushing" | "Pushed" => {
                let (done, total) = self.sent.entry(id).or_default();
                // The last word on a layer has no numbers.
                *done = (*done).max(line.progress.current);
                *total = (*total).max(line.progress.total);
                let done = self.sent.values().map(|(done, _)| done).sum();
                let total = self.sent.values().map(|(_, total)| total).sum();
                cx.progress("pushed", done, Some(total), Unit::Bytes);
            }
            _ => {}
        }
    }

    fn summary(&self) -> String {
        match self.there {
            0 => String::new(),
            there => format!(
                " ({} of {} layers were there)",
                there,
                there + self.sent.len()
            ),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_digest_is_read_from_the_registrys_own_answer() {
        let digest = format!("sha256:{}", "b".repeat(64));
        let line = format!(
            r#"{{"progressDetail":{{}},"aux":{{"Tag":"1","Digest":"{digest}","Size":528}}}}"#
        );
        let line: Line = serde_json::from_str(&line).unwrap();
        assert_eq!(line.digest().unwrap().as_str(), digest);
        let other: Line = serde_json::from_str(r#"{"status":"Preparing","id":"a1"}"#).unwrap();
        assert!(other.digest().is_none());
    }
}
