//! The run: lock, look again, then one migration after the other. Imports
//! `ports`, `model` and `migrate`'s pure parts.

use std::time::Instant;

use crate::model::fault::Fault;
use crate::model::migration::{DatabaseReport, MigrationFailure, MigrationPlan};
use crate::model::project::MigrationSpec;
use crate::ports::{Cx, Database, Databases, Job, LedgerRow, SessionOptions};

use super::check::{self, Work};
use super::progress::Progress;
use super::source::Sources;
use super::{deadline, fault, plan, steps};

pub(super) async fn run(
    databases: &dyn Databases,
    sources: &Sources,
    cx: &Cx,
    job: &Job<'_>,
    plan: &MigrationPlan,
) -> Result<DatabaseReport, MigrationFailure> {
    let mut progress = Progress::new(plan);
    let token = cx.token().child_token();
    let inner = cx.under(token.clone());
    let what = format!("the migrations of `{}`", plan.database);
    let limit = job.database.migrations.timeout;
    let work = go(databases, sources, &inner, job, plan, &mut progress);
    match deadline::within(cx, &token, limit, &what, work).await {
        Ok(()) => Ok(progress.done()),
        Err(fault) => Err(progress.failure(fault)),
    }
}

/// The session of a run, and what is needed to open it again.
pub(super) struct Session<'a> {
    pub(super) database: Box<dyn Database>,
    databases: &'a dyn Databases,
    job: &'a Job<'a>,
    pub(super) release: String,
}

impl<'a> Session<'a> {
    async fn open(databases: &'a dyn Databases, cx: &Cx, job: &'a Job<'a>) -> Result<Self, Fault> {
        let release = job.release.map(ToString::to_string).unwrap_or_default();
        let spec = &job.database.migrations;
        let options = writing(spec, &release);
        let mut database = databases.open(cx, job, &options).await?;
        database.lock(cx, spec.lock_wait).await?;
        Ok(Self {
            database,
            databases,
            job,
            release,
        })
    }

    pub(super) fn database_name(&self) -> String {
        self.job.database.name.to_string()
    }

    pub(super) fn spec(&self) -> &'a MigrationSpec {
        &self.job.database.migrations
    }

    /// A new connection in the place of a lost one. Having the lock means that
    /// the old session is over, so what it did is decided.
    pub(super) async fn reopen(&mut self, cx: &Cx) -> Result<(), Fault> {
        *self = Self::open(self.databases, cx, self.job).await?;
        Ok(())
    }

    pub(super) async fn rows(&mut self) -> Result<Vec<LedgerRow>, Fault> {
        let name = self.job.database.name.as_str();
        Ok(self.database.rows(name).await?.unwrap_or_default())
    }
}

async fn go(
    databases: &dyn Databases,
    sources: &Sources,
    cx: &Cx,
    job: &Job<'_>,
    plan: &MigrationPlan,
    progress: &mut Progress,
) -> Result<(), Fault> {
    let route = databases.route(job).await?;
    let source = sources.read(job.database, route.dialect)?;
    let mut session = Session::open(databases, cx, job).await?;
    let rows = session.rows().await?;
    progress.found(plan::version(&rows));
    let work = check::agree(plan, &source, &rows, &session.release)
        .map_err(|fault| fault.hint(look_again(job)))?;
    session.database.prepare().await?;
    for (index, work) in work {
        let file = &source.folder.files[index];
        session.database.renew().await?;
        let began = Instant::now();
        let step = steps::Step {
            file,
            script: &source.scripts[index],
            candidate: &source.candidates[index],
            began,
        };
        let done = match work.clone() {
            Work::Done => Ok(()),
            Work::Fresh => steps::run(cx, &mut session, &step, None).await,
            Work::Resume(row) => steps::run(cx, &mut session, &step, Some(*row)).await,
        };
        let took = u64::try_from(began.elapsed().as_millis()).unwrap_or(u64::MAX);
        match done {
            Ok(()) => progress.applied(&file.name, file.version, took),
            Err(fault) => {
                progress.failed(&file.name, took);
                let environment = job.environment.name.as_str();
                let database = job.database.name.as_str();
                return Err(fault::next_steps(fault, environment, database, &file.shown));
            }
        }
        cx.step(match work {
            Work::Done => format!("found {} applied already", file.name),
            Work::Fresh | Work::Resume(_) => format!("applied {} ({took} ms)", file.name),
        });
    }
    Ok(())
}

fn look_again(job: &Job<'_>) -> String {
    format!(
        "look again: `stagecraft migrate plan --env {} --database {}`",
        job.environment.name, job.database.name
    )
}

fn writing(spec: &MigrationSpec, release: &str) -> SessionOptions {
    SessionOptions {
        lock_timeout: spec.lock_timeout,
        statement_timeout: spec.statement_timeout,
        session_sql: spec.session_sql.clone(),
        application_name: format!("stagecraft/{release}"),
        read_only: false,
    }
}
