//! Backups: a copy of a database in a file, and back.
//!
//! The file lies beside the environment's record on the machine that opens the
//! connection (the primary host; this one for `local` and `via: direct`), and
//! never travels. What makes it runs there too: the database's own dump program
//! in a container of the database's image (so its version always fits), or the
//! machine's own; SQLite copies itself.
//!
//! Invariants: a file without `.partial` in its name was read back whole; the
//! ledger names only such files; a password is in no argument and no message;
//! nothing is dropped that was not made by the same call.

mod alone;
mod census;
mod create;
mod hands;
mod in_place;
mod mysql;
mod nook;
mod postgres;
mod restore;
mod scratch;
mod sqlite;

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;

use crate::model::backup::{BackupOrder, BackupRecord, Contents, Restored, Way};
use crate::model::fault::Fault;
use crate::model::project::Environment;
use crate::model::schema::version_of;
use crate::ports::{
    Backups, ContainerRunner, Cx, Database, Databases, Dialect, HostLink, Job, SessionOptions,
    StateFolders, Which, Who,
};

use super::Opener;
use super::url::Place;
use nook::Nook;

/// The backups of any environment. `folders` are those of the one that it is
/// used for.
#[must_use]
pub fn backups(
    link: Arc<dyn HostLink>,
    runner: Arc<dyn ContainerRunner>,
    folders: Arc<dyn StateFolders>,
) -> Arc<dyn Backups> {
    Arc::new(Vault {
        opener: Opener {
            link: Arc::clone(&link),
            runner: Arc::clone(&runner),
        },
        link,
        runner,
        folders,
    })
}

struct Vault {
    opener: Opener,
    link: Arc<dyn HostLink>,
    runner: Arc<dyn ContainerRunner>,
    folders: Arc<dyn StateFolders>,
}

#[async_trait]
impl Backups for Vault {
    async fn place(&self, environment: &Environment) -> Result<String, Fault> {
        let nooks = self.nooks(environment).await?;
        let places: Vec<String> = nooks.iter().map(Nook::words).collect();
        Ok(places.join(" and "))
    }

    async fn list(&self, cx: &Cx, environment: &Environment) -> Result<Vec<BackupRecord>, Fault> {
        let mut all = vec![];
        for nook in self.nooks(environment).await? {
            let ledger = cx.or_interrupted(nook.ledger(&*self.link)).await?;
            all.extend(ledger.backups);
        }
        all.sort_by(|a, b| a.id.cmp(&b.id));
        Ok(all)
    }

    async fn create(
        &self,
        cx: &Cx,
        job: &Job<'_>,
        order: &BackupOrder,
    ) -> Result<BackupRecord, Fault> {
        self.take(cx, job, order).await
    }

    async fn prove(
        &self,
        cx: &Cx,
        job: &Job<'_>,
        backup: &BackupRecord,
    ) -> Result<BackupRecord, Fault> {
        self.try_out(cx, job, backup).await
    }

    async fn remove(
        &self,
        cx: &Cx,
        environment: &Environment,
        backups: &[BackupRecord],
    ) -> Result<(), Fault> {
        for nook in self.nooks(environment).await? {
            cx.check()?;
            let ours: Vec<&BackupRecord> = backups
                .iter()
                .filter(|backup| backup.host == nook.host)
                .collect();
            if !ours.is_empty() {
                nook.forget(&*self.link, &ours).await?;
            }
        }
        Ok(())
    }

    async fn restore(
        &self,
        cx: &Cx,
        job: &Job<'_>,
        backup: &BackupRecord,
        way: Way,
    ) -> Result<Restored, Fault> {
        match way {
            Way::Swap => self.put_back(cx, job, backup).await,
            Way::InPlace => self.overwrite(cx, job, backup).await,
        }
    }

    async fn pour(
        &self,
        cx: &Cx,
        job: &Job<'_>,
        backup: &BackupRecord,
        into: &str,
    ) -> Result<(), Fault> {
        let site = self.site(job, backup).await?;
        self.intact(cx, &site).await?;
        match &site.url.place {
            Place::Server(_) => self.filled(cx, &site, into).await.map(|_| ()),
            Place::File(_) => self.unpack_here(cx, &site, into).await,
        }
    }

    async fn alone(&self, cx: &Cx, job: &Job<'_>) -> Result<Option<u64>, Fault> {
        let mut session = self.session(cx, job, Which::Configured, Use::Read).await?;
        alone::sessions(&mut *session).await
    }
}

/// What a session is for.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Use {
    Read,
    Change,
}

/// What a backup's own sessions are called at the server.
const APPLICATION: &str = "stagecraft/backup";

impl Vault {
    async fn nook(&self, job: &Job<'_>) -> Result<Nook, Fault> {
        Nook::of(&*self.folders, job.environment, job.database.via).await
    }

    /// Every place where this environment's backups are, once each.
    async fn nooks(&self, environment: &Environment) -> Result<Vec<Nook>, Fault> {
        let mut nooks: Vec<Nook> = vec![];
        for database in environment.databases.values() {
            let nook = Nook::of(&*self.folders, environment, database.via).await?;
            if !nooks.contains(&nook) {
                nooks.push(nook);
            }
        }
        Ok(nooks)
    }

    async fn session(
        &self,
        cx: &Cx,
        job: &Job<'_>,
        which: Which,
        purpose: Use,
    ) -> Result<Box<dyn Database>, Fault> {
        let options = SessionOptions {
            lock_timeout: Duration::from_secs(30),
            statement_timeout: Duration::from_secs(300),
            session_sql: vec![],
            application_name: APPLICATION.to_owned(),
            read_only: purpose == Use::Read,
            who: Who::Migrator,
            which,
        };
        cx.or_interrupted(self.opener.open(cx, job, &options)).await
    }
}

/// What is in a database, for the ledger and to compare a copy with.
async fn contents(session: &mut dyn Database, job: &Job<'_>) -> Result<Contents, Fault> {
    let tables = match session.dialect() {
        Dialect::Postgres => postgres::TABLES,
        Dialect::Mysql => mysql::TABLES,
        Dialect::Sqlite => sqlite::TABLES,
    };
    let tables = number(session, tables).await?;
    let rows = session.rows(job.database.name.as_str()).await?;
    let applied = rows
        .unwrap_or_default()
        .into_iter()
        .filter(|row| row.finished_at.is_some());
    let migrations: Vec<String> = applied.map(|row| row.id).collect();
    Ok(Contents {
        tables,
        schema_version: migrations.iter().filter_map(|id| version_of(id)).max(),
        migrations,
    })
}

/// The one number that a query gives.
async fn number(session: &mut dyn Database, sql: &str) -> Result<u64, Fault> {
    let answer = session.query(sql).await?.into_iter().next().flatten();
    answer
        .and_then(|text| text.parse().ok())
        .ok_or_else(|| Fault::internal("the database answered without a number"))
}

/// One word for `sh`.
fn quoted(text: &str) -> String {
    format!("'{}'", text.replace('\'', r"'\''"))
}
