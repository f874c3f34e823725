//! The builder: BuildKit through the engine's own API, without a Docker
//! client. Imports `ports`, `model`.
//!
//! We open a session, which lets BuildKit call us for files, secrets and
//! credentials, and then ask for the build in its name. Only what the engine
//! lacks travels. The cache is BuildKit's. Dropping the work ends both
//! connections, and the engine ends the build.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bollard::errors::Error;
use bollard_buildkit_proto::moby::buildkit::v1::StatusResponse;
use prost::Message as _;
use serde::Deserialize;
use tokio_stream::StreamExt as _;

use self::filesync::Folders;
use self::recipe::Recipe;
use self::redact::Redactor;
use self::services::{BaseImages, BuildSecrets};
use self::session::{Offers, Session};
use self::trace::Trace;
use super::auth::Auth;
use super::client::{Call, Engine, Engines, fault};
use super::this_machine;
use crate::model::fault::Fault;
use crate::model::image::{BuiltImage, Digest};
use crate::model::project::BuildSpec;
use crate::model::secret::Secret;
use crate::ports::{Builder, Connections, Cx};

mod filesync;
mod follow;
mod meta;
mod recipe;
mod redact;
mod services;
mod session;
mod support;
mod trace;
mod walk;

/// How long the engine may take to begin.
const BEGINNING: Duration = Duration::from_secs(120);

/// A builder on this machine's engine. `values` gives the build's secrets.
#[must_use]
pub fn builder(
    engines: Arc<Engines>,
    values: Arc<dyn Connections>,
    auth: Arc<Auth>,
) -> Arc<dyn Builder> {
    Arc::new(BuildKit {
        engines,
        values,
        auth,
    })
}

struct BuildKit {
    engines: Arc<Engines>,
    values: Arc<dyn Connections>,
    auth: Arc<Auth>,
}

/// One build, complete.
struct Job<'a> {
    recipe: Recipe,
    spec: &'a BuildSpec,
    platform: Option<&'a str>,
    reference: &'a str,
    secrets: HashMap<String, Secret>,
}

#[async_trait]
impl Builder for BuildKit {
    async fn build(
        &self,
        cx: &Cx,
        spec: &BuildSpec,
        platform: Option<&str>,
        reference: &str,
    ) -> Result<BuiltImage, Fault> {
        cx.check()?;
        let job = Job {
            recipe: Recipe::check(spec)?,
            spec,
            platform: platform.or(spec.platform.as_deref()),
            reference,
            secrets: self.secrets(&spec.secrets).await?,
        };
        let engine = self.engines.engine(&this_machine())?;
        cx.or_interrupted(async {
            support::check(&engine).await?;
            let id = self.run(cx, &engine, job).await?;
            let id = stored_id(&engine, &id, reference).await?;
            cx.step(format!("built {reference} ({})", id.short()));
            Ok(BuiltImage {
                reference: reference.to_owned(),
                id,
            })
        })
        .await
    }
}

impl BuildKit {
    async fn secrets(&self, names: &[String]) -> Result<HashMap<String, Secret>, Fault> {
        let mut secrets = HashMap::new();
        for name in names {
            let value = self.values.get(name).await.map_err(|mut fault| {
                fault.hints.push(format!(
                    "the build mounts `{name}`: it is named in `build.secrets`"
                ));
                fault
            })?;
            secrets.insert(name.clone(), value);
        }
        Ok(secrets)
    }

    async fn run(&self, cx: &Cx, engine: &Engine, job: Job<'_>) -> Result<Digest, Fault> {
        let folders = Folders::new(&job.recipe.context, &job.recipe.dockerfile_folder);
        let mut trace = Trace::new(Redactor::new(job.secrets.values()));
        let call = call(&job);
        let offers = Offers {
            folders: folders.clone(),
            secrets: BuildSecrets(job.secrets),
            base_images: BaseImages(Arc::clone(&self.auth)),
        };
        let session = Session::open(engine, &job.recipe.context, offers).await?;
        let call = call.query("session", &session.id);
        let failed = |trace: &Trace, error: Error| {
            folders.problem().unwrap_or_else(|| match error {
                Error::DockerStreamError { error } => trace.failure(&error),
                Error::DockerResponseServerError { message, .. } => trace.failure(&message),
                error => fault(engine.host(), "the build was cut off", error),
            })
        };
        let mut lines = engine
            .lines::<Line>(call)
            .await
            .map_err(|error| failed(&trace, error))?;
        let mut id = None;
        while let Some(line) = lines.next().await {
            match line.map_err(|error| failed(&trace, error))?.said()? {
                Said::Trace(status) => trace.hear(cx, status),
                Said::Image(image) => id = Some(image),
                Said::Nothing => {}
            }
        }
        id.ok_or_else(|| {
            folders.problem().unwrap_or_else(|| {
                Fault::failed("the build ended without an image")
                    .hint("the engine's own log says why: `journalctl -u docker`")
            })
        })
    }
}

fn call(job: &Job<'_>) -> Call {
    let args = serde_json::json!(job.spec.args).to_string();
    let mut call = Call::post("/build")
        .query("version", "2")
        .query("remote", "client-session")
        .query("dockerfile", &job.recipe.dockerfile_name)
        .query("t", job.reference)
        .query("buildargs", args)
        .within(BEGINNING);
    if let Some(target) = &job.spec.target {
        call = call.query("target", target);
    }
    if let Some(platform) = job.platform {
        call = call.query("platform", platform);
    }
    call
}

/// A line of the engine's answer.
#[derive(Deserialize)]
struct Line {
    id: Option<String>,
    aux: Option<serde_json::Value>,
}

enum Said {
    Trace(StatusResponse),
    Image(Digest),
    Nothing,
}

impl Line {
    fn said(self) -> Result<Said, Fault> {
        let unreadable = || Fault::failed("the engine's answer to the build cannot be read");
        match (self.id.as_deref(), self.aux) {
            (Some("moby.buildkit.trace"), Some(aux)) => {
                let bytes = aux.as_str().and_then(|text| STANDARD.decode(text).ok());
                let status = bytes.and_then(|bytes| StatusResponse::decode(&*bytes).ok());
                Ok(Said::Trace(status.ok_or_else(unreadable)?))
            }
            (Some("moby.image.id"), Some(aux)) => {
                let id = aux.get("ID").and_then(serde_json::Value::as_str);
                let id = id.and_then(|id| id.parse().ok());
                Ok(Said::Image(id.ok_or_else(unreadable)?))
            }
            _ => Ok(Said::Nothing),
        }
    }
}

/// The id under which the engine keeps the image: with the containerd store
/// it may name the image by another digest than the build did.
async fn stored_id(engine: &Engine, built: &Digest, reference: &str) -> Result<Digest, Fault> {
    #[derive(Deserialize)]
    struct Image {
        #[serde(rename = "Id")]
        id: Digest,
    }
    let by_id = engine
        .json(Call::get(format!("/images/{built}/json")))
        .await;
    let image: Image = match by_id {
        Ok(image) => image,
        Err(_) => engine
            .json(Call::get(format!("/images/{reference}/json")))
            .await
            .map_err(|error| fault(engine.host(), "cannot find the built image", error))?,
    };
    Ok(image.id)
}
