//! Making a container: the engine is told to, and what it lacks is made up
//! for: an image under another name, a network, a name that is taken.

use hyper::Method;
use serde::Deserialize;
use serde_json::json;

use super::body::{Purpose, create_body, owner, predefined};
use super::refusal::{lacks_image, lacks_network, refused};
use super::{Runner, Span, life};
use crate::docker::client::{Call, Engine, fault, status};
use crate::model::container::{Container, ContainerSpec, label};
use crate::model::fault::Fault;
use crate::model::image::PinnedImage;

/// What came of telling the engine.
pub(super) enum Made {
    New(String),
    /// There is a container of that name.
    Taken,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Created {
    id: String,
}

impl Runner {
    pub(super) async fn create(
        &self,
        engine: &Engine,
        spec: &ContainerSpec,
        purpose: Purpose,
    ) -> Result<Made, Fault> {
        let labelled;
        let spec = match &self.folders {
            None => spec,
            Some(folders) => {
                let folder = folders.folder(engine.host()).await?;
                labelled = with_label(spec, label::STATE_PATH, folder);
                &labelled
            }
        };
        let mut made_network = false;
        let references = references(&spec.image);
        let mut left = references.iter();
        let mut at = left.next();
        while let Some(reference) = at {
            let call = Call::new(Method::POST, "/containers/create")
                .query("name", spec.name.clone())
                .json(&create_body(spec, reference, purpose));
            match engine.json::<Created>(call).await {
                Ok(created) => return Ok(Made::New(created.id)),
                Err(error) if status(&error) == Some(409) => return Ok(Made::Taken),
                Err(error) if lacks_network(&error) && !made_network => {
                    made_network = true;
                    self.make_network(engine, spec).await?;
                }
                Err(error) if lacks_image(&error) => at = left.next(),
                Err(error) => return Err(refused(engine, &spec.name, &spec.ports, error).await),
            }
        }
        Err(image_missing(engine, &spec.image).because(format!("it is needed for `{}`", spec.name)))
    }

    /// Makes it, after removing a container that an earlier attempt left under
    /// its name. For work that runs once, whatever state that one is in.
    pub(super) async fn create_afresh(
        &self,
        engine: &Engine,
        spec: &ContainerSpec,
        purpose: Purpose,
    ) -> Result<String, Fault> {
        if let Made::New(id) = self.create(engine, spec, purpose).await? {
            return Ok(id);
        }
        clear(engine, spec).await?;
        match self.create(engine, spec, purpose).await? {
            Made::New(id) => Ok(id),
            Made::Taken => Err(Fault::failed(format!(
                "somebody else makes `{}` on `{}` at the same time",
                spec.name,
                engine.host()
            ))),
        }
    }

    pub(super) async fn make_network(
        &self,
        engine: &Engine,
        spec: &ContainerSpec,
    ) -> Result<(), Fault> {
        if predefined(&spec.network) {
            return Ok(());
        }
        let _one = self.networks.lock().await;
        let call = Call::post("/networks/create").json(&json!({
            "Name": spec.network,
            "CheckDuplicate": true,
            "Driver": match self.span {
                Span::Host => "bridge",
                Span::Swarm => "overlay",
            },
            "Attachable": self.span == Span::Swarm,
            "Labels": owner(spec),
        }));
        match engine.done(call).await {
            Ok(()) => Ok(()),
            // Made by somebody else meanwhile.
            Err(error) if status(&error) == Some(409) => Ok(()),
            Err(error) => Err(fault(
                engine.host(),
                format!("cannot make the network `{}`", spec.network),
                error,
            )),
        }
    }
}

fn with_label(spec: &ContainerSpec, key: &str, value: String) -> ContainerSpec {
    let mut spec = spec.clone();
    spec.labels.insert(key.to_owned(), value);
    spec
}

/// Removes what stands under the name of `spec`, when it is ours.
pub(super) async fn clear(engine: &Engine, spec: &ContainerSpec) -> Result<(), Fault> {
    match life::inspect(engine, &spec.name).await? {
        None => Ok(()),
        Some(container) if ours(spec, &container) => life::remove(engine, &container.id).await,
        Some(container) => Err(foreign(engine, &container)),
    }
}

/// It was made for the same project and environment.
pub(super) fn ours(spec: &ContainerSpec, container: &Container) -> bool {
    container
        .labels
        .keys()
        .any(|key| key.starts_with("stagecraft."))
        && [label::PROJECT, label::ENVIRONMENT]
            .iter()
            .all(|key| spec.labels.get(*key).map(String::as_str) == container.label(key))
}

pub(super) fn foreign(engine: &Engine, container: &Container) -> Fault {
    let name = &container.name;
    let whose = match (
        container.label(label::PROJECT),
        container.label(label::ENVIRONMENT),
    ) {
        (Some(project), Some(environment)) => {
            format!("it belongs to `{project}`, environment `{environment}`")
        }
        (Some(project), None) => format!("it belongs to `{project}`"),
        (None, _) => "it was not made by stagecraft".to_owned(),
    };
    Fault::failed(format!("the name `{name}` is taken on `{}`", engine.host()))
        .because(format!("there is a container of that name, and {whose}"))
        .hint(format!(
            "rename it: `docker rename {name} {name}-old`, or remove it: `docker rm -f {name}`"
        ))
}

/// The host lacks an image that it was to be given before.
pub(super) fn image_missing(engine: &Engine, image: &PinnedImage) -> Fault {
    Fault::failed(format!("`{}` lacks the image `{image}`", engine.host()))
}

/// The names under which the engine may know the image, likeliest first.
pub(super) fn references(image: &PinnedImage) -> Vec<String> {
    let mut names = vec![image.local_reference.clone(), image.reference()];
    names.extend(image.id.as_ref().map(ToString::to_string));
    names.push(image.digest.to_string());
    let mut seen = std::collections::HashSet::new();
    names.retain(|name| seen.insert(name.clone()));
    names
}
