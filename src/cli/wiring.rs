//! Joins adapters to ports: the only reader of their constructors.

use std::sync::{Arc, OnceLock};

use crate::database;
use crate::docker::auth::Auth;
use crate::docker::client::Engines;
use crate::docker::{Delivery, Span, builder, claims, pusher, runner, runner_of, services};
use crate::http::Prober;
use crate::migrate::{self, DataLoss, Registry, Safeguard};
use crate::model::fault::Fault;
use crate::model::project::{Environment, Strategy};
use crate::model::release::Approved;
use crate::ports::{
    Backups, Builder, Connections, ContainerRunner, Databases, Fetch, HostLink, Migrator, Probe,
    Proxy, Pusher, RolloutStrategy, Services, StateFolders,
};
use crate::proxy;
use crate::rollout::{self, Hands};
use crate::ssh::{EnvironmentLock, Folders, HostFiles, Links};

use super::acme;
use super::evidence::Witnessed;
use super::secrets::Masker;
use super::session::actor;

/// Everything a command on one environment works with.
pub(crate) struct House {
    pub(crate) link: Arc<dyn HostLink>,
    pub(crate) engines: Arc<Engines>,
    pub(crate) values: Arc<dyn Connections>,
    pub(crate) runner: Arc<dyn ContainerRunner>,
    pub(crate) builder: Arc<dyn Builder>,
    pub(crate) pusher: Arc<dyn Pusher>,
    pub(crate) databases: Arc<dyn Databases>,
    pub(crate) registry: Arc<Registry>,
    pub(crate) migrator: Arc<dyn Migrator>,
    /// Told by whoever asked, and written into the evidence.
    pub(crate) approved: Arc<OnceLock<Approved>>,
    /// Told by whoever asked, before migrations run.
    pub(crate) loss: Arc<OnceLock<DataLoss>>,
    pub(crate) backups: Arc<dyn Backups>,
    pub(crate) strategy: Arc<dyn RolloutStrategy>,
    pub(crate) services: Arc<dyn Services>,
    pub(crate) folders: Arc<dyn StateFolders>,
    pub(crate) proxy: Arc<dyn Proxy>,
    pub(crate) fetch: Arc<dyn Fetch>,
    pub(crate) probe: Arc<dyn Probe>,
    /// Itself, not as the port: `lock release` is beyond the port.
    pub(crate) lock: EnvironmentLock,
}

/// This version's engines, for what needs no environment: their ids, and what
/// they say of a configuration. Connects to nothing.
///
/// # Errors
/// This machine's private folder for connections cannot be made.
pub(crate) fn registry() -> Result<Registry, Fault> {
    let link: Arc<dyn HostLink> = Links::new()?;
    let runner = runner(Engines::new(Arc::clone(&link)), Arc::new(Auth::of_docker()));
    let prober = Arc::new(Prober::new(Arc::clone(&link), Arc::clone(&runner)));
    Ok(engines(database::databases(link, runner), prober))
}

/// Those that come with Stagecraft, and those on this machine's search path.
fn engines(databases: Arc<dyn Databases>, fetch: Arc<dyn Fetch>) -> Registry {
    let builtin = Registry::builtin(Arc::clone(&databases), fetch);
    match std::env::var_os("PATH") {
        Some(path) => builtin.on_path(&path, &databases),
        None => builtin,
    }
}

/// # Errors
/// This machine's private folder for connections cannot be made, or its
/// variables name no ACME server.
pub(crate) fn house(
    environment: &Arc<Environment>,
    values: Arc<dyn Connections>,
    mask: Masker,
) -> Result<(House, HostFiles), Fault> {
    let link: Arc<dyn HostLink> = Links::new()?;
    let engines = Engines::new(Arc::clone(&link));
    let auth = Arc::new(auth(environment, &values));
    let folders: Arc<dyn StateFolders> = Arc::new(Folders::new(
        Arc::clone(&link),
        &environment.project,
        &environment.name,
    ));
    let runner = runner_of(
        Arc::clone(&engines),
        Arc::clone(&auth),
        Arc::clone(&folders),
        match environment.rollout.strategy {
            Strategy::Swarm => Span::Swarm,
            Strategy::BlueGreen | Strategy::Rolling | Strategy::Recreate => Span::Host,
        },
    );
    let prober = Arc::new(Prober::new(Arc::clone(&link), Arc::clone(&runner)));
    let fetch = Arc::clone(&prober) as Arc<dyn Fetch>;
    let acme = acme::acme(environment)?;
    let proxy = proxy::proxies(
        Arc::clone(&link),
        Arc::clone(&runner),
        Arc::clone(&fetch),
        acme,
    );
    let delivery = Delivery {
        registry: environment.registry.clone(),
        hosts: environment
            .hosts
            .iter()
            .map(|host| host.address.clone())
            .collect(),
        project: environment.project.clone(),
        environment: environment.name.clone(),
        cache: Delivery::default_cache(),
    };
    let databases = database::databases(Arc::clone(&link), Arc::clone(&runner));
    let backups = database::backups(Arc::clone(&link), Arc::clone(&runner), Arc::clone(&folders));
    let registry = Arc::new(self::engines(Arc::clone(&databases), fetch));
    let loss = Arc::default();
    let migrator = migrate::migrator(
        Arc::clone(environment),
        migrate::Tools {
            databases: Arc::clone(&databases),
            registry: Arc::clone(&registry),
            values: Arc::clone(&values),
            runner: Arc::clone(&runner),
            link: Arc::clone(&link),
            safeguard: Some(Arc::new(Safeguard {
                backups: Arc::clone(&backups),
                loss: Arc::clone(&loss),
                actor: actor(),
            })),
        },
    );
    let hands = Hands {
        runner: Arc::clone(&runner),
        probe: Arc::clone(&prober) as Arc<dyn Probe>,
        fetch: Arc::clone(&prober) as Arc<dyn Fetch>,
        proxy: Arc::clone(&proxy),
    };
    let services = services(Arc::clone(&engines), Arc::clone(&auth));
    let state = environment.root.join(".stagecraft");
    let approved = Arc::default();
    let house = House {
        builder: builder(Arc::clone(&engines), Arc::clone(&values), Arc::clone(&auth)),
        lock: EnvironmentLock::new(
            Arc::clone(&link),
            claims(Arc::clone(&engines)),
            environment,
            &state,
        ),
        pusher: pusher(Arc::clone(&engines), Arc::clone(&link), auth, delivery),
        databases,
        registry,
        migrator: Arc::new(Witnessed {
            inner: migrator,
            environment: Arc::clone(environment),
            mask,
            approved: Arc::clone(&approved),
        }),
        approved,
        strategy: match environment.rollout.strategy {
            Strategy::Swarm => rollout::swarm(hands, Arc::clone(&services)),
            Strategy::BlueGreen | Strategy::Rolling | Strategy::Recreate => rollout::fleet(hands),
        },
        backups,
        loss,
        services,
        proxy,
        probe: Arc::clone(&prober) as Arc<dyn Probe>,
        fetch: prober,
        runner,
        folders,
        values,
        engines,
        link: Arc::clone(&link),
    };
    let files = HostFiles::new(link, &environment.project, &environment.name);
    Ok((house, files))
}

fn auth(environment: &Environment, values: &Arc<dyn Connections>) -> Auth {
    let auth = Auth::of_docker();
    match &environment.registry {
        Some(registry) => match (&registry.username_env, &registry.password_env) {
            (Some(username), Some(password)) => {
                auth.named(&registry.repository, Arc::clone(values), username, password)
            }
            _ => auth,
        },
        None => auth,
    }
}
