//! Joins adapters to ports: the only reader of their constructors.

use std::sync::Arc;

use crate::database;
use crate::docker::auth::Auth;
use crate::docker::client::Engines;
use crate::docker::{builder, pusher, runner};
use crate::http::Prober;
use crate::migrate::{self, Registry};
use crate::model::fault::Fault;
use crate::model::project::Environment;
use crate::ports::{Builder, Connections, ContainerRunner, HostLink, Lock, Migrator, Pusher, RolloutStrategy};
use crate::rollout;
use crate::ssh::{EnvironmentLock, HostFiles, Links};

/// Everything a command on one environment works with.
pub(crate) struct House {
    pub(crate) link: Arc<dyn HostLink>,
    pub(crate) values: Arc<dyn Connections>,
    pub(crate) runner: Arc<dyn ContainerRunner>,
    pub(crate) builder: Arc<dyn Builder>,
    pub(crate) pusher: Arc<dyn Pusher>,
    pub(crate) migrator: Arc<dyn Migrator>,
    pub(crate) strategy: Arc<dyn RolloutStrategy>,
    pub(crate) lock: Arc<dyn Lock>,
}

/// The engines of this version.
///
/// # Errors
/// Two engines of one id: a defect.
pub(crate) fn registry() -> Result<Registry, Fault> {
    Registry::builtin(database::databases()).map_err(|error| Fault::internal("the engines cannot be registered").caused_by(&error))
}

/// # Errors
/// This machine's private folder for connections cannot be made.
pub(crate) fn house(environment: &Arc<Environment>, values: Arc<dyn Connections>) -> Result<(House, HostFiles), Fault> {
    let link: Arc<dyn HostLink> = Links::new()?;
    let engines = Engines::new(Arc::clone(&link));
    let auth = Arc::new(auth(environment, &values));
    let runner = runner(Arc::clone(&engines), Arc::clone(&auth));
    let probe = Arc::new(Prober::new(Arc::clone(&link), Arc::clone(&runner)));
    let hosts = environment.hosts.iter().map(|host| host.address.clone()).collect();
    let house = House {
        builder: builder(Arc::clone(&engines), Arc::clone(&values), Arc::clone(&auth)),
        pusher: pusher(engines, Arc::clone(&link), environment.registry.clone(), auth, hosts, environment.project.clone()),
        migrator: migrate::migrator(
            Arc::clone(environment),
            Arc::new(registry()?),
            Arc::clone(&values),
            Arc::clone(&runner),
            Arc::clone(&link),
        ),
        strategy: rollout::in_place(Arc::clone(&runner), probe),
        lock: Arc::new(EnvironmentLock::of(environment, Arc::clone(&link))),
        runner,
        values,
        link: Arc::clone(&link),
    };
    let files = HostFiles::new(link, environment.project.clone(), environment.name.clone());
    Ok((house, files))
}

fn auth(environment: &Environment, values: &Arc<dyn Connections>) -> Auth {
    let auth = Auth::of_docker();
    match &environment.registry {
        Some(registry) => match (&registry.username_env, &registry.password_env) {
            (Some(username), Some(password)) => auth.named(&registry.repository, Arc::clone(values), username, password),
            _ => auth,
        },
        None => auth,
    }
}
