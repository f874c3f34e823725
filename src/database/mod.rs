//! PostgreSQL, MySQL and SQLite: sessions by every route, the ledger table and
//! the lock. Imports `ports` and `model`.
//!
//! One adapter a dialect implements [`Database`]. Where the session has to
//! begin inside a container, the same adapters run there, and a messenger
//! speaks to them over the container's input and output.
//! Invariant: no message shows a URL's password.

mod dial;
mod ledger;
mod route;
mod sqlite;
mod url;

use std::path::Path;
use std::sync::Arc;

use async_trait::async_trait;

use crate::model::fault::Fault;
use crate::ports::{
    ContainerRunner, Cx, Database, Databases, HostLink, Job, Route, SessionOptions,
};

use dial::Dialer;
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
        let url = connection(job).await?;
        Ok(route::way(job.database.via, &url, job.host)?.route(url.dialect()))
    }

    async fn open(
        &self,
        cx: &Cx,
        job: &Job<'_>,
        options: &SessionOptions,
    ) -> Result<Box<dyn Database>, Fault> {
        let url = connection(job).await?;
        match (route::way(job.database.via, &url, job.host)?, &url.place) {
            (Way::Direct, _) => open_here(cx, &url, &job.environment.root, options).await,
            _ => Err(Fault::internal("this route is not there yet")),
        }
    }
}

/// The URL past a pooler where there is one: a lock belongs to one session.
async fn connection(job: &Job<'_>) -> Result<ConnectionUrl, Fault> {
    let database = job.database;
    let variable = database
        .direct_connection_env
        .as_ref()
        .or(database.connection_env.as_ref())
        .ok_or_else(|| {
            Fault::config(format!(
                "`databases.{}.connection_env` is not set",
                database.name
            ))
        })?;
    ConnectionUrl::parse(variable, &job.values.get(variable).await?)
}

/// Opens the database from this machine, or from this container.
async fn open_here(
    cx: &Cx,
    url: &ConnectionUrl,
    folder: &Path,
    options: &SessionOptions,
) -> Result<Box<dyn Database>, Fault> {
    match &url.place {
        Place::File(path) => sqlite::open(&folder.join(path), options).await,
        Place::Server(server) => {
            let dialer = Dialer::straight(server);
            dialer.dial().await?;
            cx.check()?;
            Err(Fault::internal("servers are not there yet"))
        }
    }
}
