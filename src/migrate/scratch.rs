//! An empty database of one's own, for as long as some work on it takes: on
//! the server of the configured one, or for SQLite a file in a folder of this
//! machine. Imports `ports`, `model`.
//!
//! Invariant: what is made here is dropped by [`within`] however the work ends.
//! What a killed process left is named by the next one that makes a scratch
//! database; the next check drops it, where its name says that this project
//! made it more than an hour ago ([`name`]) and nobody is connected to it.

mod file;
mod fill;
mod name;
mod server;

use std::sync::Arc;

use async_trait::async_trait;
use chrono::Utc;

use crate::model::fault::{Fault, FaultKind};
use crate::model::names::{DatabaseName, ProjectName};
use crate::model::project::{DatabaseSpec, Environment, Via};
use crate::model::secret::Secret;
use crate::ports::{Connections, Cx, Dialect, Job, Migrator, SessionOptions, Which, Who};

use super::migrator::{Tools, migrator_on};
use file::Folder;
pub use fill::{Filled, Origin, within_filled};
pub use name::named;
use server::Keeper;

/// What it is for; its name says so.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Purpose {
    Check,
    Rehearse,
}

impl Purpose {
    /// No longer than 20 characters, so that `stagecraft/` and a name fit into
    /// the 63 that PostgreSQL shows of a session.
    fn prefix(self) -> &'static str {
        match self {
            Purpose::Check => "stagecraft_check_",
            Purpose::Rehearse => "stagecraft_rehearse_",
        }
    }

    /// The beginnings of all names.
    fn prefixes() -> [&'static str; 2] {
        [Purpose::Check, Purpose::Rehearse].map(Purpose::prefix)
    }
}

/// A database that is there and empty when it is made.
pub struct Scratch {
    name: String,
    environment: Arc<Environment>,
    which: Which,
    tools: Tools,
    home: Home,
    /// The environment that it was made beside, and its values.
    beside: (Environment, Arc<dyn Connections>),
}

enum Home {
    Server(Box<Keeper>),
    File(Folder),
}

/// Which kind of database it is, as its URL says. Opens nothing.
///
/// # Errors
/// There is no URL, or none that can be read.
pub async fn dialect(
    tools: &Tools,
    environment: &Environment,
    database: &DatabaseSpec,
) -> Result<Dialect, Fault> {
    let job = job(tools, environment, database);
    Ok(tools.databases.route(&job).await?.dialect)
}

/// Makes one beside `database`, lets `work` use it, and drops it however the
/// work ends: done, failed, or stopped by the signal.
///
/// # Errors
/// It cannot be made; the work's own. That it could not be dropped is a
/// warning beside these, and the only error when the work was done.
pub async fn within<T>(
    tools: &Tools,
    cx: &Cx,
    environment: &Environment,
    database: &DatabaseName,
    purpose: Purpose,
    work: impl AsyncFnOnce(&Scratch) -> Result<T, Fault>,
) -> Result<T, Fault> {
    let scratch = create(tools, cx, environment, database, purpose).await?;
    let done = work(&scratch).await;
    ended(done, scratch.remove(cx).await)
}

fn ended<T>(done: Result<T, Fault>, dropped: Result<(), Fault>) -> Result<T, Fault> {
    match (done, dropped) {
        (done, Ok(())) => done,
        (Ok(_), Err(fault)) => Err(fault),
        (Err(fault), Err(left)) => {
            let fault = fault.state(left.to_string());
            Err(left.hints.into_iter().fold(fault, Fault::hint))
        }
    }
}

/// Makes one beside `database`. Whoever calls this has to call
/// [`Scratch::remove`]; [`within`] does.
///
/// # Errors
/// The server cannot be reached, or does not let this login make databases.
pub async fn create(
    tools: &Tools,
    cx: &Cx,
    environment: &Environment,
    database: &DatabaseName,
    purpose: Purpose,
) -> Result<Scratch, Fault> {
    cx.check()?;
    let mut alone = environment.clone();
    alone.databases.retain(|name, _| name == database);
    let spec = alone
        .databases
        .get(database)
        .cloned()
        .ok_or_else(|| Fault::config(format!("there is no database `{database}`")))?;
    let name = named(purpose, &environment.project, Utc::now());
    let sweep = Sweep {
        project: &environment.project,
        purpose,
    };
    let mut tools = tools.clone();
    let route = tools.databases.route(&job(&tools, &alone, &spec)).await?;
    let beside = (alone.clone(), Arc::clone(&tools.values));
    let (home, which) = match route.dialect {
        Dialect::Sqlite => {
            let folder = Folder::create(cx, &name, sweep)?;
            (alone, tools.values) = at(alone, &folder, &tools);
            (Home::File(folder), Which::Configured)
        }
        dialect @ (Dialect::Postgres | Dialect::Mysql) => {
            let job = job(&tools, &alone, &spec);
            let keeper = Keeper::create(&*tools.databases, cx, &job, dialect, &name, sweep).await?;
            (Home::Server(Box::new(keeper)), Which::Other(name.clone()))
        }
    };
    cx.step(format!("made the scratch database {name}"));
    Ok(Scratch {
        name,
        environment: Arc::new(alone),
        which,
        tools,
        home,
        beside,
    })
}

impl Scratch {
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The environment with this database alone.
    #[must_use]
    pub fn environment(&self) -> &Environment {
        &self.environment
    }

    /// What [`SessionOptions`] say, to open a session on it with
    /// [`Scratch::job`].
    #[must_use]
    pub fn which(&self) -> &Which {
        &self.which
    }

    /// A job on it.
    ///
    /// # Errors
    /// A defect: the environment has no database.
    pub fn job(&self) -> Result<Job<'_>, Fault> {
        let spec = self.environment.databases.values().next();
        let spec = spec.ok_or_else(|| Fault::internal("a scratch database of none"))?;
        let mut job = job(&self.tools, &self.environment, spec);
        job.which = self.which.clone();
        Ok(job)
    }

    /// Plans and runs the migrations of the database in this one.
    #[must_use]
    pub fn migrator(&self) -> Arc<dyn Migrator> {
        migrator_on(
            self.which.clone(),
            Arc::clone(&self.environment),
            self.tools.clone(),
        )
    }

    /// Drops it, after an interruption too.
    ///
    /// # Errors
    /// It is still there, and how to drop it by hand.
    pub async fn remove(self, cx: &Cx) -> Result<(), Fault> {
        let cx = cx.uncancellable();
        let dropped = match self.home {
            Home::File(folder) => folder.remove(),
            Home::Server(keeper) => {
                let spec = self.environment.databases.values().next();
                let spec = spec.ok_or_else(|| Fault::internal("a scratch database of none"))?;
                let job = job(&self.tools, &self.environment, spec);
                keeper.remove(&*self.tools.databases, &cx, &job).await
            }
        };
        if dropped.is_ok() {
            cx.step(format!("dropped the scratch database {}", self.name));
        }
        dropped
    }
}

/// The one database of an environment that has no other.
fn alone(environment: &Environment) -> Result<&DatabaseSpec, Fault> {
    let first = environment.databases.values().next();
    first.ok_or_else(|| Fault::internal("a scratch database of none"))
}

fn job<'a>(tools: &'a Tools, environment: &'a Environment, spec: &'a DatabaseSpec) -> Job<'a> {
    Job {
        environment,
        database: spec,
        host: &environment.primary().address,
        image: None,
        files: None,
        release: None,
        which: Which::Configured,
        values: tools.values.as_ref(),
        runner: tools.runner.as_ref(),
        link: tools.link.as_ref(),
    }
}

/// A session that works on the server itself.
fn session(spec: &DatabaseSpec, name: &str) -> SessionOptions {
    SessionOptions {
        lock_timeout: spec.migrations.lock_timeout,
        statement_timeout: spec.migrations.statement_timeout,
        session_sql: vec![],
        // What tells others that this scratch database is in use.
        application_name: format!("stagecraft/{name}"),
        read_only: false,
        who: Who::Migrator,
        which: Which::Configured,
    }
}

/// The environment with its database in a file of this machine, whatever
/// route the configured one takes.
fn at(
    mut environment: Environment,
    folder: &Folder,
    tools: &Tools,
) -> (Environment, Arc<dyn Connections>) {
    const VARIABLE: &str = "the scratch database's URL";
    for spec in environment.databases.values_mut() {
        spec.via = Via::Direct;
        spec.connection_env = Some(VARIABLE.to_owned());
        spec.direct_connection_env = None;
    }
    let values = Instead {
        name: VARIABLE,
        value: Secret::new(folder.url()),
        others: Arc::clone(&tools.values),
    };
    (environment, Arc::new(values))
}

/// The values of the environment, one of them another.
struct Instead {
    name: &'static str,
    value: Secret,
    others: Arc<dyn Connections>,
}

#[async_trait]
impl Connections for Instead {
    async fn get(&self, name: &str) -> Result<Secret, Fault> {
        match name == self.name {
            true => Ok(self.value.clone()),
            false => self.others.get(name).await,
        }
    }
}

/// It is still there: the kind is that of an undo that failed.
fn left(name: &str, by_hand: &str, cause: &Fault) -> Fault {
    let fault = Fault::new(
        FaultKind::UndoFailed,
        format!("cannot drop the scratch database `{name}`"),
    );
    let fault = fault.because(&cause.what);
    cause
        .causes
        .iter()
        .fold(fault, Fault::because)
        .hint(format!("drop it by hand: `{by_hand}`"))
}

/// What is done about what killed processes left behind.
#[derive(Clone, Copy)]
struct Sweep<'a> {
    project: &'a ProjectName,
    purpose: Purpose,
}

impl Sweep<'_> {
    /// Only a check drops anything, and only what its own project made.
    fn drops(&self, name: &str) -> bool {
        self.purpose == Purpose::Check && name::is_stale(name, self.project, Utc::now())
    }
}

/// Says what a killed process left behind.
fn found(cx: &Cx, name: &str, by_hand: &str) {
    cx.warn(format!(
        "`{name}` is the scratch database of a command that was killed: drop it with `{by_hand}`; `migrate check --apply` drops those of its own project that are older than an hour"
    ));
}

fn swept(cx: &Cx, name: &str) {
    cx.step(format!(
        "dropped `{name}`, the scratch database of a command of this project that was killed"
    ));
}
