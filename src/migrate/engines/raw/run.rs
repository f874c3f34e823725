//! The run: lock and look again; then, when the caller says so, one migration
//! after the other. Imports
//! `ports`, `model` and `migrate`'s pure parts.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::{Duration, Instant};

use async_trait::async_trait;

use crate::migrate::words;
use crate::model::event::Unit;
use crate::model::fault::Fault;
use crate::model::migration::{Files, MigrationPlan};
use crate::model::project::{MigrationSource, MigrationSpec};
use crate::ports::{
    Begun, Claim, Cx, Database, Databases, Ended, Hold, Job, LedgerRow, SessionOptions, SqlError,
    Who,
};

use crate::migrate::snapshot;
use crate::migrate::sql::Mode;

use super::check::{self, Work};
use super::progress::Progress;
use super::source::{Read, Source, Sources};
use super::{fault, ledger, plan, steps};
use crate::migrate::engines::deadline::{self, Limit};

/// For a look at the catalogue after the work.
const LOOKING: Duration = Duration::from_secs(30);

/// Opens, locks and looks again.
pub(super) async fn begin<'a>(
    databases: &'a dyn Databases,
    sources: &Sources,
    cx: &Cx,
    job: &'a Job<'a>,
    plan: &'a MigrationPlan,
    claim: &Claim,
) -> Result<Box<dyn Begun<'a> + 'a>, Fault> {
    let began = Instant::now();
    let limit = Limit {
        whole: job.database.migrations.timeout,
        spent: Duration::ZERO,
    };
    let looking = async |cx: &Cx| {
        let route = databases.route(job).await?;
        if let Some(image) = job.image.filter(|_| from_image(job)) {
            job.runner.ensure_image(cx, job.host, image).await?;
        }
        let Read::Known(source, Files::Final) = sources.read(cx, job, route.dialect).await? else {
            let what = format!(
                "the image with the migrations of `{}` is not there",
                plan.database
            );
            return Err(Fault::refused(what)
                .state("nothing was changed")
                .hint("name one with `--image` or `--release`"));
        };
        let mut session = Session::open(databases, cx, job, claim).await?;
        let rows = session.found(&source).await?;
        let work = agree(plan, &source, &rows, &session)?;
        let mut progress = Progress::new(plan);
        progress.found(plan::version(source.folder.format, &rows));
        Ok(Ready {
            source,
            session,
            plan,
            work,
            progress,
            limit,
            changed: false,
        })
    };
    let what = format!("locking `{}`", plan.database);
    let mut ready = deadline::within(cx, limit, &what, looking).await?;
    ready.limit.spent = began.elapsed();
    Ok(Box::new(ready))
}

fn from_image(job: &Job<'_>) -> bool {
    job.database.migrations.source == MigrationSource::Image
}

/// A database that is locked and was as its plan says.
struct Ready<'a> {
    source: Arc<Source>,
    session: Session<'a>,
    plan: &'a MigrationPlan,
    work: Vec<(usize, Work)>,
    progress: Progress,
    limit: Limit,
    /// Something of this run took effect.
    changed: bool,
}

#[async_trait]
impl<'a> Begun<'a> for Ready<'a> {
    async fn run(self: Box<Self>, cx: &Cx) -> Ended<'a> {
        let mut ready = *self;
        let what = format!("the migrations of `{}`", ready.plan.database);
        let limit = ready.limit;
        let done = deadline::within(cx, limit, &what, async |cx: &Cx| ready.go(cx).await).await;
        if ready.changed {
            ready.keep_look(cx).await;
        }
        let outcome = match done {
            Ok(()) => Ok(ready.progress.done()),
            Err(fault) => Err(ready.progress.failure(fault)),
        };
        Ended {
            outcome,
            kept: Box::new(ready.session),
        }
    }
}

/// The session of a run, and what is needed to open it again.
pub(super) struct Session<'a> {
    pub(super) database: Box<dyn Database>,
    databases: &'a dyn Databases,
    job: &'a Job<'a>,
    claim: Claim,
    hold: Hold,
    pub(super) release: String,
    /// How long the session waits for a lock now.
    waits: Duration,
}

impl<'a> Session<'a> {
    pub(super) async fn open(
        databases: &'a dyn Databases,
        cx: &Cx,
        job: &'a Job<'a>,
        claim: &Claim,
    ) -> Result<Self, Fault> {
        let release = job.release.map(ToString::to_string).unwrap_or_default();
        let spec = &job.database.migrations;
        let dialect = databases.route(job).await?.dialect;
        let waits = steps::retry::first(spec, dialect);
        let options = writing(job, &release, waits);
        let mut database = databases.open(cx, job, &options).await?;
        let hold = database.lock(cx, claim, spec.lock_wait).await?;
        Ok(Self {
            database,
            databases,
            job,
            claim: claim.clone(),
            hold,
            release,
            waits,
        })
    }

    pub(super) fn database_name(&self) -> String {
        self.job.database.name.to_string()
    }

    /// A command of `migrate` on this database.
    pub(super) fn command(&self, verb: &str) -> String {
        let (environment, database) = (&self.job.environment.name, &self.job.database.name);
        format!("stagecraft migrate {verb} --env {environment} --database {database}")
    }

    pub(super) fn spec(&self) -> &'a MigrationSpec {
        &self.job.database.migrations
    }

    /// A new connection in the place of a lost one. Having the lock means that
    /// the old session is over, so what it did is decided.
    pub(super) async fn reopen(&mut self, cx: &Cx) -> Result<(), Fault> {
        *self = Self::open(self.databases, cx, self.job, &self.claim).await?;
        Ok(())
    }

    /// The session as it began, for the next migration.
    async fn renew(&mut self) -> Result<(), Fault> {
        self.database.renew().await?;
        // Where it was another one, that was a setting to be taken back.
        self.waits = steps::retry::first(self.spec(), self.database.dialect());
        Ok(())
    }

    /// The longest that it waits for one lock from here on.
    pub(super) async fn wait_for_locks(&mut self, cx: &Cx, wait: Duration) -> Result<(), SqlError> {
        let setting = steps::retry::setting(self.database.dialect(), wait);
        if let Some(sql) = setting.filter(|_| wait != self.waits) {
            self.database.execute(cx, &sql).await?;
            self.waits = wait;
        }
        Ok(())
    }

    /// Whether the lock was lost between locking and now: another session held
    /// it for this one, and is gone. It is taken again then.
    async fn lock_was_lost(&mut self, cx: &Cx) -> Result<bool, Fault> {
        if self.hold == Hold::Own {
            // Its end is this session's end, which the next statement tells.
            return Ok(false);
        }
        let wait = self.spec().lock_wait;
        self.hold = self.database.lock(cx, &self.claim, wait).await?;
        Ok(self.hold == Hold::Own)
    }

    pub(super) async fn rows(&mut self) -> Result<Vec<LedgerRow>, Fault> {
        let name = self.job.database.name.as_str();
        Ok(self.database.rows(name).await?.unwrap_or_default())
    }
}

impl Session<'_> {
    /// What counts as applied, in the tool's own table too.
    async fn found(&mut self, source: &Source) -> Result<Vec<LedgerRow>, Fault> {
        let name = self.job.database.name.as_str();
        let found = ledger::read(self.database.as_mut(), name, Some(source)).await?;
        let refused = Fault::refused(format!("the migrations of `{name}` may not run"));
        match found.refusals.is_empty() {
            true => Ok(found.rows),
            false => Err(found.refusals.into_iter().fold(refused, Fault::because)),
        }
    }
}

impl Ready<'_> {
    /// Keeps what the schema looks like now, after a failure that changed
    /// something too: the next look compares with it. Worth a warning where it
    /// cannot be, never a failure.
    async fn keep_look(&mut self, cx: &Cx) {
        let release = self.session.release.clone();
        let database = self.session.database.as_mut();
        let keep = async {
            database.renew().await?;
            snapshot::keep(database, &release).await
        };
        let why = match tokio::time::timeout(LOOKING, keep).await {
            Ok(Ok(fingerprint)) => {
                self.progress.looks(fingerprint);
                return;
            }
            Ok(Err(fault)) => fault.to_string(),
            Err(_) => "the database did not answer".to_owned(),
        };
        cx.warn(format!(
            "what the schema of `{}` looks like now was not kept for `migrate drift`: {why}",
            self.plan.database
        ));
    }

    async fn go(&mut self, cx: &Cx) -> Result<(), Fault> {
        if self.session.lock_was_lost(cx).await? {
            let rows = self.session.found(&self.source).await?;
            self.work = agree(self.plan, &self.source, &rows, &self.session)?;
        }
        let (session, progress, source) = (&mut self.session, &mut self.progress, &self.source);
        let job = session.job;
        session.database.prepare().await?;
        let native = match source.native {
            Some(history) => {
                let files = &source.folder.files;
                let database = session.database.as_mut();
                ledger::keep(database, job.database.name.as_str(), source).await?;
                Some(history.prepare(cx, database, files).await?)
            }
            None => None,
        };
        let all = self.work.len();
        for (number, (index, work)) in (1..).zip(&self.work) {
            let index = *index;
            let file = &source.folder.files[index];
            let before = u64::try_from(number - 1).unwrap_or_default();
            let total = u64::try_from(all).ok();
            cx.progress(file.name.as_str(), before, total, Unit::Items);
            session.renew().await?;
            let began = Instant::now();
            let step = steps::Step {
                file,
                script: &source.scripts[index],
                candidate: &source.candidates[index],
                native: native.as_ref(),
                began,
            };
            let done = match work.clone() {
                Work::Done => Ok(()),
                Work::Fresh => steps::run(cx, session, &step, None).await,
                Work::Resume(row) => steps::run(cx, session, &step, Some(*row)).await,
            };
            let apart = step.candidate.mode != Mode::Together;
            self.changed |= *work != Work::Done && (done.is_ok() || apart);
            let took = u64::try_from(began.elapsed().as_millis()).unwrap_or(u64::MAX);
            match done {
                Ok(()) => progress.applied(&file.name, file.version, took),
                Err(fault) => {
                    progress.failed(&file.name, took);
                    let environment = job.environment.name.as_str();
                    let database = job.database.name.as_str();
                    let first = self.plan.schema_version.is_none() && number == 1;
                    let fault = match first {
                        true => fault::there_already(fault, environment, database),
                        false => fault,
                    };
                    return Err(fault::next_steps(fault, environment, database, &file.shown));
                }
            }
            let place = match all {
                1 => String::new(),
                all => format!(", {number} of {all}"),
            };
            cx.step(match work {
                Work::Done => format!("found {} applied already{place}", file.name),
                Work::Fresh | Work::Resume(_) => {
                    format!("applied {} ({took} ms){place}", file.name)
                }
            });
        }
        let rows = session.rows().await?;
        confirmed(self.plan, &rows, session)
    }
}

/// The rows once more, at the end: everything that was to run is there, and
/// whole.
fn confirmed(plan: &MigrationPlan, rows: &[LedgerRow], session: &Session<'_>) -> Result<(), Fault> {
    let whole: HashSet<&str> = rows
        .iter()
        .filter(|row| row.finished_at.is_some())
        .map(|row| row.id.as_str())
        .collect();
    let lacking = plan
        .selected
        .iter()
        .filter(|id| !whole.contains(id.as_str()));
    let lacking: Vec<&String> = lacking.collect();
    if lacking.is_empty() {
        return Ok(());
    }
    Err(Fault::failed(format!(
        "the table of migrations in `{}` does not hold what was applied",
        plan.database
    ))
    .because(format!("no finished row: {}", words::list(&lacking)))
    .state("every statement was confirmed by the server, and what it did stays")
    .hint("look into `stagecraft_migrations` by hand: somebody or something removes its rows")
    .hint(look_again(session.job)))
}

/// Refuses what is not as the plan says.
fn agree(
    plan: &MigrationPlan,
    source: &Source,
    rows: &[LedgerRow],
    session: &Session<'_>,
) -> Result<Vec<(usize, Work)>, Fault> {
    check::agree(plan, source, rows, &session.release)
        .map_err(|fault| fault.hint(look_again(session.job)))
}

pub(super) fn look_again(job: &Job<'_>) -> String {
    format!(
        "look again: `stagecraft migrate plan --env {} --database {}`",
        job.environment.name, job.database.name
    )
}

pub(super) fn writing(job: &Job<'_>, release: &str, waits: Duration) -> SessionOptions {
    let spec = &job.database.migrations;
    SessionOptions {
        lock_timeout: waits,
        statement_timeout: spec.statement_timeout,
        session_sql: spec.session_sql.clone(),
        application_name: format!("stagecraft/{release}"),
        read_only: false,
        who: Who::Migrator,
        which: job.which.clone(),
    }
}
