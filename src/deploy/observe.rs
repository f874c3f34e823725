//! Observing: what is true now, read-only, everything at the same time.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use futures_util::future::{join_all, try_join_all};

use crate::model::container::{Container, label};
use crate::model::fault::Fault;
use crate::model::history::History;
use crate::model::host::{HostAddress, TakenPorts};
use crate::model::image::PinnedImage;
use crate::model::migration::{MigrationPlan, MigrationRequest};
use crate::model::names::DatabaseName;
use crate::model::project::{DatabaseSpec, Environment, ImageSource, MigrationSource};
use crate::model::route::Traffic;
use crate::plan::{Facts, HostFacts, SourceFacts};
use crate::ports::{ContainerRunner, Cx, Migrator, Proxy, Pusher, StateFolders};

use super::migrate::deploy_request;

/// How much a command needs to know.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Wanted {
    /// Hosts, image and migrations: a deploy.
    Everything,
    /// Hosts alone: `status`, an abort.
    Hosts,
    /// Hosts, and which migrations are applied, from the databases that answer
    /// soon: a rollback must not wait for one that is down.
    Rollback,
}

pub struct Observer<'a> {
    pub environment: &'a Environment,
    pub runner: &'a dyn ContainerRunner,
    pub pusher: &'a dyn Pusher,
    pub migrator: &'a dyn Migrator,
    pub folders: &'a dyn StateFolders,
    pub proxy: &'a dyn Proxy,
}

impl Observer<'_> {
    /// What runs on the hosts; needs no history, so both can be read at the
    /// same time.
    ///
    /// # Errors
    /// A host that cannot be reached.
    pub async fn hosts(&self, cx: &Cx) -> Result<Vec<HostFacts>, Fault> {
        let hosts = self.environment.hosts.iter();
        let looks = try_join_all(hosts.map(|host| self.host(cx, &host.address)));
        cx.or_interrupted(looks).await
    }

    /// # Errors
    /// A registry or database that cannot be reached.
    pub async fn observe(
        &self,
        cx: &Cx,
        history: History,
        source: SourceFacts,
        hosts: Vec<HostFacts>,
        wanted: Wanted,
    ) -> Result<Facts, Fault> {
        let live_image = history
            .live(&self.environment.name)
            .and_then(|live| live.image.clone());
        let everything = async {
            match wanted {
                Wanted::Hosts => Ok((None, vec![], vec![])),
                Wanted::Everything => {
                    let (image, migrations) = self.image_and_migrations(cx, live_image).await?;
                    Ok((image, migrations, vec![]))
                }
                Wanted::Rollback => {
                    let (migrations, unread) = self.answers(cx, live_image).await;
                    Ok((None, migrations, unread))
                }
            }
        };
        let (image, migrations, unread) = cx.or_interrupted(everything).await?;
        Ok(Facts {
            history,
            hosts,
            source,
            image,
            migrations,
            unread,
        })
    }

    async fn host(&self, cx: &Cx, address: &HostAddress) -> Result<HostFacts, Fault> {
        let cx = cx.on_host(address);
        let labels = ours(self.environment);
        let (engine, containers, taken_ports, traffic, _) = tokio::try_join!(
            self.runner.engine(&cx, address),
            self.runner.list(&cx, address, &labels),
            self.taken_ports(&cx, address),
            self.traffic(&cx, address),
            // Asked for now, known when it is compared.
            self.folders.folder(address)
        )?;
        one_history(self.folders, address, &containers).await?;
        Ok(HostFacts {
            address: address.clone(),
            engine,
            containers,
            taken_ports,
            traffic,
        })
    }

    /// Asked only where a port is to be chosen: it costs a command on the host.
    async fn taken_ports(&self, cx: &Cx, address: &HostAddress) -> Result<TakenPorts, Fault> {
        match self.environment.chooses_ports() {
            true => self.runner.taken_ports(cx, address).await,
            false => Ok(TakenPorts::default()),
        }
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

    /// At the same time, unless the migrations are files of the image.
    async fn image_and_migrations(
        &self,
        cx: &Cx,
        live: Option<PinnedImage>,
    ) -> Result<(Option<PinnedImage>, Vec<MigrationPlan>), Fault> {
        let mut databases = self.environment.databases.values();
        let from_image =
            |database: &DatabaseSpec| database.migrations.source == MigrationSource::Image;
        if !databases.any(from_image) {
            return tokio::try_join!(self.image(cx), self.migrations(cx, live, None));
        }
        let image = self.image(cx).await?;
        let migrations = self.migrations(cx, live, image.clone()).await?;
        Ok((image, migrations))
    }

    /// With the live release's image as a helper, for databases that only a
    /// container can reach, where the primary host holds it.
    async fn migrations(
        &self,
        cx: &Cx,
        live: Option<PinnedImage>,
        files: Option<PinnedImage>,
    ) -> Result<Vec<MigrationPlan>, Fault> {
        if self.environment.databases.is_empty() {
            return Ok(vec![]);
        }
        self.migrator
            .plan(
                cx,
                &MigrationRequest {
                    image: live,
                    files,
                    ..deploy_request()
                },
            )
            .await
    }

    /// Each database by itself, and none for longer than [`PATIENCE`].
    async fn answers(
        &self,
        cx: &Cx,
        live: Option<PinnedImage>,
    ) -> (Vec<MigrationPlan>, Vec<(DatabaseName, String)>) {
        let asked = self.environment.databases.keys().map(|name| {
            let request = MigrationRequest {
                databases: vec![name.clone()],
                image: live.clone(),
                ..MigrationRequest::default()
            };
            async move { (name, self.answer(cx, &request).await) }
        });
        let mut plans = vec![];
        let mut unread = vec![];
        for (name, answer) in join_all(asked).await {
            match answer {
                Ok(answered) => {
                    for plan in answered {
                        unread.extend(plan.unread.clone().map(|why| (name.clone(), why)));
                        plans.push(plan);
                    }
                }
                Err(why) => unread.push((name.clone(), why)),
            }
        }
        (plans, unread)
    }

    /// The question is cancelled at the deadline, so that no session and no
    /// helper container stays behind; only then is it let go.
    async fn answer(
        &self,
        cx: &Cx,
        request: &MigrationRequest,
    ) -> Result<Vec<MigrationPlan>, String> {
        let token = cx.token().child_token();
        let inner = cx.under(token.clone());
        let asked = self.migrator.plan(&inner, request);
        tokio::pin!(asked);
        let late = format!("no answer within {} seconds", PATIENCE.as_secs());
        match tokio::time::timeout(PATIENCE, &mut asked).await {
            Ok(answer) => answer.map_err(|fault| fault.to_string()),
            Err(_) => {
                token.cancel();
                let _ = tokio::time::timeout(GRACE, asked).await;
                Err(late)
            }
        }
    }
}

/// The labels of everything that belongs to this environment.
#[must_use]
pub fn ours(environment: &Environment) -> BTreeMap<String, String> {
    BTreeMap::from([
        (label::PROJECT.to_owned(), environment.project.to_string()),
        (label::ENVIRONMENT.to_owned(), environment.name.to_string()),
    ])
}

/// What the containers of a host say of the folder with its record.
///
/// # Errors
/// `Unreachable` when it is not the folder that this user's commands use.
pub async fn one_history(
    folders: &dyn StateFolders,
    host: &HostAddress,
    containers: &[Container],
) -> Result<(), Fault> {
    let found: BTreeSet<String> = containers
        .iter()
        .filter_map(|container| container.label(label::STATE_PATH))
        .map(str::to_owned)
        .collect();
    if found.is_empty() {
        return Ok(());
    }
    folders.confirm(host, &found).await
}

/// How long a rollback waits for a database to say what is applied.
const PATIENCE: Duration = Duration::from_secs(5);
/// How long a cancelled question may take to end.
const GRACE: Duration = Duration::from_secs(3);
