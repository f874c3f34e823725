//! PostgreSQL, MySQL and SQLite: sessions by every route, the ledger table and
//! the lock. Imports `ports` and `model`.
//!
//! One adapter a dialect implements [`Database`]. Where the session has to
//! begin inside a container, the same adapters run there, and a messenger
//! speaks to them over the container's input and output.
//! Invariant: no message shows a URL's password.

mod backup;
mod claim;
mod dial;
mod ledger;
mod mysql;
mod postgres;
mod remote;
mod route;
mod sqlite;
mod url;

use std::path::Path;
use std::sync::Arc;

use async_trait::async_trait;

use crate::model::fault::Fault;
use crate::ports::{
    ContainerRunner, Cx, Database, Databases, Dialect, HostLink, Job, Route, SessionOptions, Who,
};

pub use backup::backups;
pub use remote::helper;

use dial::Dialer;
use remote::Yard;
use route::Way;
use url::{ConnectionUrl, Place};

/// The databases of an environment. `link` and `runner` outlive a job: a
/// session that is running may need a second connection, to be cancelled.
#[must_use]
pub fn databases(link: Arc<dyn HostLink>, runner: Arc<dyn ContainerRunner>) -> Arc<dyn Databases> {
    Arc::new(Opener { link, runner })
}

struct Opener {
    link: Arc<dyn HostLink>,
    runner: Arc<dyn ContainerRunner>,
}

#[async_trait]
impl Databases for Opener {
    async fn route(&self, job: &Job<'_>) -> Result<Route, Fault> {
        let url = connection(job, Who::Migrator).await?;
        Ok(route::way(job.database.via, &url, job.host)?.route(url.dialect()))
    }

    async fn open(
        &self,
        cx: &Cx,
        job: &Job<'_>,
        options: &SessionOptions,
    ) -> Result<Box<dyn Database>, Fault> {
        let url = connection(job, options.who).await?.at(&options.which);
        let way = route::way(job.database.via, &url, job.host)?;
        match (way, &url.place) {
            (Way::Direct, Place::Server(server)) if job.host.is_local() => {
                let dialer = self.named(cx, job, Dialer::straight(server)).await?;
                open_server(dialer, options).await
            }
            (Way::Direct, _) => open_here(&url, &job.environment.root, options).await,
            (Way::Host(host), Place::Server(server)) => {
                let mut dialer = Dialer::straight(server);
                dialer.through = Some((Arc::clone(&self.link), host));
                let dialer = self.named(cx, job, dialer).await?;
                open_server(dialer, options).await
            }
            (Way::Container(_), _) => {
                let yard = Yard {
                    link: &*self.link,
                    runner: &*self.runner,
                };
                yard.open(cx, job, &url, options).await
            }
            // `route::way` gives no such way.
            (Way::Host(_), Place::File(_)) => Err(Fault::internal("a file behind a host")),
        }
    }
}

impl Opener {
    /// Puts a container's address in the place of its name.
    async fn named(&self, cx: &Cx, job: &Job<'_>, mut dialer: Dialer) -> Result<Dialer, Fault> {
        let name = &dialer.server.host;
        let address = route::container_address(cx, &*self.runner, job.host, name).await?;
        if let Some(address) = address {
            dialer.target = dial::target(&dialer.server, &address);
        }
        Ok(dialer)
    }
}

/// The URL past a pooler where there is one: a lock belongs to one session.
async fn connection(job: &Job<'_>, who: Who) -> Result<ConnectionUrl, Fault> {
    let database = job.database;
    let direct = match who {
        Who::Migrator => database.direct_connection_env.as_ref(),
        Who::Application => None,
    };
    let variable = direct.or(database.connection_env.as_ref()).ok_or_else(|| {
        Fault::config(format!(
            "`databases.{}.connection_env` is not set",
            database.name
        ))
    })?;
    ConnectionUrl::parse(variable, &job.values.get(variable).await?)
}

/// Opens the database from this machine, or from this container.
async fn open_here(
    url: &ConnectionUrl,
    folder: &Path,
    options: &SessionOptions,
) -> Result<Box<dyn Database>, Fault> {
    match &url.place {
        Place::File(path) => sqlite::open(&folder.join(path), options).await,
        Place::Server(server) => open_server(Dialer::straight(server), options).await,
    }
}

async fn open_server(dialer: Dialer, options: &SessionOptions) -> Result<Box<dyn Database>, Fault> {
    match dialer.server.dialect {
        Dialect::Postgres => postgres::open(dialer, options).await,
        Dialect::Mysql => mysql::open(dialer, options).await,
        Dialect::Sqlite => Err(Fault::internal("SQLite has no server")),
    }
}
