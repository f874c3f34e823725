//! A scratch database that holds what a real one holds: copied by the server,
//! by SQLite itself, or restored from a backup. Imports `ports`, `model`.

use std::sync::Arc;

use crate::model::backup::BackupRecord;
use crate::model::fault::Fault;
use crate::model::names::DatabaseName;
use crate::model::project::Environment;
use crate::ports::{Backups, Cx, Database, Databases, SessionOptions};

use super::super::migrator::Tools;
use super::{Home, Purpose, Scratch, alone, create, ended, job, session};

/// What it is filled from.
#[derive(Clone, Copy)]
pub enum Origin<'a> {
    /// The configured database itself.
    Database,
    Backup(&'a dyn Backups, &'a BackupRecord),
}

/// Whether a scratch database holds what the configured one holds.
#[derive(Debug, Clone, PartialEq)]
pub enum Filled {
    Copied,
    /// As it was when this backup was taken.
    Restored(Box<BackupRecord>),
    /// It could not be copied, for this reason.
    Empty(String),
}

/// As [`super::within`], on a copy of `database` where one can be made, or on
/// what a backup of it holds.
///
/// # Errors
/// As [`super::within`]; a backup that cannot be restored.
pub async fn within_filled<T>(
    tools: &Tools,
    cx: &Cx,
    environment: &Environment,
    database: &DatabaseName,
    purpose: Purpose,
    origin: Origin<'_>,
    work: impl AsyncFnOnce(&Scratch, Filled) -> Result<T, Fault>,
) -> Result<T, Fault> {
    let mut scratch = create(tools, cx, environment, database, purpose).await?;
    let filled = match origin {
        Origin::Database => scratch.fill(cx).await,
        Origin::Backup(backups, backup) => scratch.restore(cx, backups, backup).await,
    };
    let done = match filled {
        Ok(filled) => work(&scratch, filled).await,
        Err(fault) => Err(fault),
    };
    ended(done, scratch.remove(cx).await)
}

impl Scratch {
    /// Copies the configured database into it.
    async fn fill(&mut self, cx: &Cx) -> Result<Filled, Fault> {
        let reason = match &mut self.home {
            Home::Server(keeper) => keeper.copy(cx).await?,
            Home::File(folder) => {
                let into = folder.url();
                self.copy_file(cx, &into).await?
            }
        };
        Ok(reason.map_or(Filled::Copied, Filled::Empty))
    }

    /// SQLite copies itself, as it stands at one moment.
    async fn copy_file(&self, cx: &Cx, into: &str) -> Result<Option<String>, Fault> {
        let (environment, values) = &self.beside;
        let tools = Tools {
            values: Arc::clone(values),
            ..self.tools.clone()
        };
        let spec = alone(environment)?;
        let job = job(&tools, environment, spec);
        if tools.databases.route(&job).await?.needs_image {
            return Ok(Some("the file lies in a container's volume".to_owned()));
        }
        let options = SessionOptions {
            read_only: true,
            ..session(spec, &self.name)
        };
        let mut original = tools.databases.open(cx, &job, &options).await?;
        let copy = format!("VACUUM INTO '{}'", into.replace('\'', "''"));
        match original.execute(cx, &copy).await {
            Ok(()) => Ok(None),
            Err(error) => Ok(Some(error.message)),
        }
    }

    /// Restores a backup into it.
    async fn restore(
        &self,
        cx: &Cx,
        backups: &dyn Backups,
        backup: &BackupRecord,
    ) -> Result<Filled, Fault> {
        let (environment, values) = &self.beside;
        let tools = Tools {
            values: Arc::clone(values),
            ..self.tools.clone()
        };
        let job = job(&tools, environment, alone(environment)?);
        let into = match &self.home {
            Home::Server(_) => self.name.clone(),
            Home::File(folder) => folder.url(),
        };
        backups.pour(cx, &job, backup, &into).await?;
        cx.step(format!("restored {} into {}", backup.id, self.name));
        Ok(Filled::Restored(Box::new(backup.clone())))
    }

    /// A session that reads the database that this one was made beside.
    ///
    /// # Errors
    /// It cannot be reached.
    pub async fn original(
        &self,
        databases: &Arc<dyn Databases>,
        cx: &Cx,
    ) -> Result<Box<dyn Database>, Fault> {
        let (environment, values) = &self.beside;
        let tools = Tools {
            values: Arc::clone(values),
            ..self.tools.clone()
        };
        let spec = alone(environment)?;
        let options = SessionOptions {
            read_only: true,
            ..session(spec, &self.name)
        };
        let job = job(&tools, environment, spec);
        databases.open(cx, &job, &options).await
    }
}
