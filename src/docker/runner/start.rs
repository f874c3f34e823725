//! Containers that stay: made and started, or started again.

use std::time::Duration;

use super::body::Purpose;
use super::create::{Made, foreign, ours};
use super::refusal::{lacks_network, refused};
use super::{Runner, container_path, life};
use crate::docker::client::{Call, Engine, fault};
use crate::model::container::{Container, ContainerSpec, ContainerState, label};
use crate::model::fault::Fault;

/// Mounting volumes and setting up the network can take a while under load.
const PATIENCE: Duration = Duration::from_secs(120);

/// What came of starting a container that was made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Began {
    Running,
    /// It does not run: its network was missing, and is there now.
    NetworkMade,
}

/// What stands under the name of a container that is to start.
enum Standing {
    Runs(Container),
    /// By this process, a moment ago, and not started.
    MadeHere(String),
    /// One that may be made anew, or none any more.
    Stale,
}

impl Runner {
    pub(super) async fn start_service(
        &self,
        engine: &Engine,
        spec: &ContainerSpec,
    ) -> Result<Container, Fault> {
        let id = match self.create(engine, spec, Purpose::Service).await? {
            Made::New(id) => id,
            Made::Taken => match self.standing(engine, spec).await? {
                Standing::Runs(container) => return Ok(container),
                Standing::MadeHere(id) => id,
                Standing::Stale => self.create_afresh(engine, spec, Purpose::Service).await?,
            },
        };
        match self.begin_and_confirm(engine, spec, &id).await {
            Ok(container) => Ok(container),
            Err(fault) => {
                // Best effort: the failure that is being told comes first.
                let _ = life::remove(engine, &id).await;
                Err(fault)
            }
        }
    }

    /// The container under that name, when it is the one that is wanted.
    async fn standing(&self, engine: &Engine, spec: &ContainerSpec) -> Result<Standing, Fault> {
        let Some(container) = life::inspect(engine, &spec.name).await? else {
            return Ok(Standing::Stale);
        };
        if !ours(spec, &container) {
            return Err(foreign(engine, &container));
        }
        let release = spec.labels.get(label::RELEASE).map(String::as_str);
        if container.label(label::RELEASE) != release {
            return Err(Fault::failed(format!(
                "`{}` on `{}` belongs to {}",
                container.name,
                engine.host(),
                container.label(label::RELEASE).unwrap_or("no release"),
            ))
            .because(format!(
                "it was to be made for {}",
                release.unwrap_or("no release")
            )));
        }
        if container.state == ContainerState::Created && self.made_here(&container.id) {
            return Ok(Standing::MadeHere(container.id));
        }
        if !container.running() {
            return Ok(Standing::Stale);
        }
        self.confirm_running(engine, spec, &container).await?;
        Ok(Standing::Runs(container))
    }

    async fn begin_and_confirm(
        &self,
        engine: &Engine,
        spec: &ContainerSpec,
        id: &str,
    ) -> Result<Container, Fault> {
        if self.begin(engine, spec, id).await? == Began::NetworkMade
            && self.begin(engine, spec, id).await? == Began::NetworkMade
        {
            return Err(no_network(engine, spec));
        }
        let container = life::inspect(engine, id).await?.ok_or_else(|| {
            Fault::failed(format!(
                "`{}` on `{}` was removed as soon as it started",
                spec.name,
                engine.host()
            ))
        })?;
        self.confirm_running(engine, spec, &container).await?;
        Ok(container)
    }

    /// Starts what was made. Engines look for the network only now; what was
    /// attached to the container by then is lost with that first try, and so
    /// is a container that the engine removes by itself.
    pub(super) async fn begin(
        &self,
        engine: &Engine,
        spec: &ContainerSpec,
        id: &str,
    ) -> Result<Began, Fault> {
        match start(engine, id).await {
            Ok(()) => Ok(Began::Running),
            Err(error) if lacks_network(&error) => {
                self.make_network(engine, spec).await?;
                Ok(Began::NetworkMade)
            }
            Err(error) => Err(refused(engine, &spec.name, &spec.ports, error).await),
        }
    }

    pub(super) async fn start_stopped(
        &self,
        engine: &Engine,
        name: &str,
    ) -> Result<Container, Fault> {
        let missing = || {
            Fault::failed(format!(
                "there is no container `{name}` on `{}` to start",
                engine.host()
            ))
        };
        if let Err(error) = start(engine, name).await {
            let Some(seen) = life::look(engine, name).await? else {
                return Err(missing());
            };
            if lacks_network(&error) {
                let network = seen.network().to_owned();
                return Err(
                    fault(engine.host(), format!("cannot start `{name}`"), error).because(format!(
                        "its network `{network}` was removed after it was made"
                    )),
                );
            }
            let ports = seen.into_container().ports;
            return Err(refused(engine, name, &ports, error).await);
        }
        life::inspect(engine, name).await?.ok_or_else(missing)
    }

    async fn confirm_running(
        &self,
        engine: &Engine,
        spec: &ContainerSpec,
        container: &Container,
    ) -> Result<(), Fault> {
        if self
            .confirm_image(engine, &spec.image, &container.image_id)
            .await?
        {
            return Ok(());
        }
        Err(Fault::failed(format!(
            "`{}` on `{}` does not run the pinned image",
            container.name,
            engine.host()
        ))
        .because(format!(
            "it runs `{}`, the release is `{}`",
            container.image_id, spec.image
        )))
    }
}

/// It was made, and the engine does not find it.
pub(super) fn no_network(engine: &Engine, spec: &ContainerSpec) -> Fault {
    let (name, host) = (&spec.network, engine.host());
    Fault::failed(format!("cannot start `{}` on `{host}`", spec.name))
        .because(format!("the network `{name}` was made and is not found"))
        .hint(format!("look at it: `docker network inspect {name}`"))
}

async fn start(engine: &Engine, name: &str) -> Result<(), bollard::errors::Error> {
    let call = Call::post(container_path(name, "/start")).within(PATIENCE);
    engine.done(call).await
}
