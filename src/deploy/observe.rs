//! Observing: what is true now, read-only, everything at the same time.

use std::collections::BTreeMap;

use futures_util::future::try_join_all;

use crate::model::container::label;
use crate::model::fault::Fault;
use crate::model::history::History;
use crate::model::host::HostAddress;
use crate::model::image::PinnedImage;
use crate::model::migration::{MigrationPlan, MigrationRequest};
use crate::model::project::{Environment, ImageSource};
use crate::model::route::Traffic;
use crate::plan::{Facts, HostFacts, SourceFacts};
use crate::ports::{ContainerRunner, Cx, Migrator, Proxy, Pusher};

use super::migrate::deploy_request;

/// How much a command needs to know.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Wanted {
    /// Hosts, image and migrations: a deploy.
    Everything,
    /// Hosts alone: a rollback, `status`.
    Hosts,
}

pub struct Observer<'a> {
    pub environment: &'a Environment,
    pub runner: &'a dyn ContainerRunner,
    pub pusher: &'a dyn Pusher,
    pub migrator: &'a dyn Migrator,
    pub proxy: &'a dyn Proxy,
}

impl Observer<'_> {
    /// # Errors
    /// A host, registry or database that cannot be reached.
    pub async fn observe(
        &self,
        cx: &Cx,
        history: History,
        source: SourceFacts,
        wanted: Wanted,
    ) -> Result<Facts, Fault> {
        let live_image = history
            .live(&self.environment.name)
            .and_then(|live| live.image.clone());
        let everything = async {
            let hosts = try_join_all(
                self.environment
                    .hosts
                    .iter()
                    .map(|host| self.host(cx, &host.address)),
            );
            match wanted {
                Wanted::Hosts => Ok((hosts.await?, None, vec![])),
                Wanted::Everything => {
                    tokio::try_join!(hosts, self.image(cx), self.migrations(cx, live_image))
                }
            }
        };
        let (hosts, image, migrations) = cx.or_interrupted(everything).await?;
        Ok(Facts {
            history,
            hosts,
            source,
            image,
            migrations,
        })
    }

    async fn host(&self, cx: &Cx, address: &HostAddress) -> Result<HostFacts, Fault> {
        let cx = cx.on_host(address);
        let labels = BTreeMap::from([
            (
                label::PROJECT.to_owned(),
                self.environment.project.to_string(),
            ),
            (
                label::ENVIRONMENT.to_owned(),
                self.environment.name.to_string(),
            ),
        ]);
        let (engine, containers, taken_ports, traffic) = tokio::try_join!(
            self.runner.engine(&cx, address),
            self.runner.list(&cx, address, &labels),
            self.runner.taken_ports(&cx, address),
            self.traffic(&cx, address)
        )?;
        Ok(HostFacts {
            address: address.clone(),
            engine,
            containers,
            taken_ports,
            traffic,
        })
    }

    /// A proxy that does not answer stops nothing here: what needs it will
    /// start it again, or say so.
    async fn traffic(&self, cx: &Cx, address: &HostAddress) -> Result<Option<Traffic>, Fault> {
        let Some(route) = self.environment.route() else {
            return Ok(None);
        };
        match self.proxy.look(cx, address, &route).await {
            Ok(traffic) => Ok(traffic),
            Err(fault) => {
                cx.warn(format!("the proxy of {address} does not answer: {fault}"));
                Ok(None)
            }
        }
    }

    async fn image(&self, cx: &Cx) -> Result<Option<PinnedImage>, Fault> {
        match &self.environment.source {
            ImageSource::Build(_) => Ok(None),
            ImageSource::Prebuilt(reference) => self.pusher.resolve(cx, reference).await.map(Some),
        }
    }

    /// With the live release's image as a helper, for databases that only a
    /// container can reach, where the primary host holds it.
    async fn migrations(
        &self,
        cx: &Cx,
        live: Option<PinnedImage>,
    ) -> Result<Vec<MigrationPlan>, Fault> {
        if self.environment.databases.is_empty() {
            return Ok(vec![]);
        }
        self.migrator
            .plan(
                cx,
                &MigrationRequest {
                    image: live,
                    ..deploy_request()
                },
            )
            .await
    }
}
