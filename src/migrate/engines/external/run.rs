//! Running what was planned, under Stagecraft's own lock where it can open the
//! database. Imports `ports`, `model` and `migrate`'s pure parts.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use async_trait::async_trait;

use crate::migrate::engines::agreed;
use crate::migrate::words;
use crate::model::fault::{Fault, FaultKind};
use crate::model::migration::{
    DatabaseReport, Migration, MigrationFailure, MigrationOutcome, MigrationPlan, MigrationReport,
    MigrationResult, MigrationState,
};
use crate::model::project::{DatabaseSpec, Via};
use crate::ports::{Begun, Claim, Cx, Database, Ended, Job, Kept, SessionOptions, Which, Who};

use super::answer::Wrong;
use super::plan::said;
use super::protocol::{Applied, Call, Done, Plan, State};
use super::{External, ask, question, subject, url};

pub(super) async fn begin<'a>(
    engine: &'a External,
    cx: &Cx,
    job: &'a Job<'a>,
    plan: &'a MigrationPlan,
    claim: &Claim,
) -> Result<Box<dyn Begun<'a> + 'a>, Fault> {
    let began = Instant::now();
    let session = locked(engine, cx, job, claim).await?;
    let late = |one: &Migration| matches!(one.state, MigrationState::OutOfOrder { .. });
    let gaps = plan.to_run().any(late);
    let now = said(engine, cx, job, gaps).await;
    let now = now.map_err(|wrong| wrong.fault(&engine.name()))?;
    agree(plan, &now, job)?;
    let work = Work {
        engine,
        job,
        plan,
        began,
    };
    Ok(Box::new(Ready { work, session }))
}

/// What was approved is still what would run, with the same contents.
fn agree(plan: &MigrationPlan, now: &Plan, job: &Job<'_>) -> Result<(), Fault> {
    let planned: HashMap<&str, &str> = plan
        .to_run()
        .map(|one| (one.id.as_str(), one.checksum.as_str()))
        .collect();
    let runs = |state| matches!(state, State::Pending | State::OutOfOrder | State::Failed);
    let pending: Vec<String> = now
        .migrations
        .iter()
        .filter(|one| runs(one.state) && planned.contains_key(one.id.as_str()))
        .map(|one| one.id.clone())
        .collect();
    agreed::still(plan, &pending, job.environment)?;
    let changed = now.migrations.iter().find(|one| {
        let then = planned.get(one.id.as_str());
        then.is_some_and(|then| *then != one.checksum)
    });
    let mut fault = Fault::refused(format!(
        "the migrations of `{}` are not what the plan says any more",
        plan.database
    ))
    .state("nothing was changed");
    if let Some(one) = changed {
        fault = fault.because(format!("`{}` was changed since the plan was made", one.id));
    }
    for refusal in &now.refusals {
        fault = fault.because(refusal.clone());
    }
    match fault.causes.is_empty() {
        true => Ok(()),
        false => Err(fault),
    }
}

/// Stagecraft's lock of the database, opened from where the engine runs; or a
/// warning that there is none.
async fn locked(
    engine: &External,
    cx: &Cx,
    job: &Job<'_>,
    claim: &Claim,
) -> Result<Option<Box<dyn Database>>, Fault> {
    let alone = |why: &str| {
        cx.warn(format!(
            "no database lock is taken for `{}` ({why}): only the environment lock keeps two runs apart",
            job.database.name
        ));
    };
    if url(job).await?.is_none() {
        alone("it has no `connection_env`");
        return Ok(None);
    }
    let databases = &engine.databases;
    let route = match databases.route(job).await {
        Err(fault) if fault.kind == FaultKind::Config => {
            alone("its URL is of no kind that stagecraft opens itself");
            return Ok(None);
        }
        route => route?,
    };
    let here = DatabaseSpec {
        via: match route.needs_image {
            // Not in a container: the engine's file is the one of this machine.
            true => Via::Direct,
            false => job.database.via,
        },
        ..job.database.clone()
    };
    let spec = &job.database.migrations;
    let options = SessionOptions {
        lock_timeout: spec.lock_timeout,
        statement_timeout: spec.statement_timeout,
        session_sql: vec![],
        application_name: format!(
            "stagecraft/{}",
            job.release.map(ToString::to_string).unwrap_or_default()
        ),
        read_only: false,
        who: Who::Migrator,
        which: Which::Configured,
    };
    let mut session = databases.open(cx, &with(job, &here), &options).await?;
    session.lock(cx, claim, spec.lock_wait).await?;
    Ok(Some(session))
}

fn with<'b>(job: &'b Job<'_>, database: &'b DatabaseSpec) -> Job<'b> {
    Job {
        environment: job.environment,
        database,
        which: job.which.clone(),
        host: job.host,
        image: job.image,
        files: job.files,
        release: job.release,
        values: job.values,
        runner: job.runner,
        link: job.link,
    }
}

/// Locked, and as its plan says.
struct Ready<'a> {
    work: Work<'a>,
    session: Option<Box<dyn Database>>,
}

struct Work<'a> {
    engine: &'a External,
    job: &'a Job<'a>,
    plan: &'a MigrationPlan,
    began: Instant,
}

#[async_trait]
impl<'a> Begun<'a> for Ready<'a> {
    async fn run(self: Box<Self>, cx: &Cx) -> Ended<'a> {
        let Self { work, session } = *self;
        let outcome = work.go(cx).await;
        let kept: Kept<'a> = Box::new(session);
        Ended { outcome, kept }
    }
}

impl Work<'_> {
    async fn go(&self, cx: &Cx) -> Result<DatabaseReport, MigrationFailure> {
        let mut report = DatabaseReport {
            database: self.plan.database.clone(),
            results: self
                .plan
                .to_run()
                .map(|one| MigrationResult::waiting(&self.plan.database, one))
                .collect(),
            schema_before: self.plan.schema_version,
            schema_after: self.plan.schema_version,
            fingerprint: None,
            health_before: None,
            health_after: None,
        };
        let fault = match self.call(cx).await {
            Ok(done) => {
                took(&mut report, &done.applied);
                match self.unfinished(cx, &mut report).await {
                    None => return Ok(report),
                    Some(fault) => fault,
                }
            }
            Err(wrong) => self.failed(cx, wrong, &mut report).await,
        };
        Err(MigrationFailure {
            fault,
            report: MigrationReport {
                databases: vec![report],
                backups: vec![],
            },
        })
    }

    async fn call(&self, cx: &Cx) -> Result<Done, Wrong> {
        let job = self.job;
        let limit = job.database.migrations.timeout;
        let patience = limit.saturating_sub(self.began.elapsed());
        let url = url(job).await.map_err(Wrong::Broken)?;
        let mut caller = self.engine.caller(patience.max(Duration::from_millis(1)));
        caller.folder = Some(&job.environment.root);
        caller.url = url.as_ref();
        caller.cx = Some(cx);
        let mut subject = subject(job.database, Some(job.environment), patience);
        subject.release = job.release.map(ToString::to_string);
        let mut question = question(Call::Run, Some(subject));
        question.migrations.clone_from(&self.plan.selected);
        ask(&caller, &question).await
    }

    /// It says that all is done: so says the database too, or it is a failure.
    async fn unfinished(&self, cx: &Cx, report: &mut DatabaseReport) -> Option<Fault> {
        let name = self.engine.name();
        let now = match said(self.engine, cx, self.job, false).await {
            Ok(now) => now,
            Err(wrong) => {
                all(report, MigrationOutcome::Failed);
                return Some(wrong.fault(&name).state(format!(
                    "`{name}` said that everything was applied to `{}`, and could not be asked again",
                    self.plan.database
                )));
            }
        };
        attribute(&now, report);
        report.schema_after = now.schema_version;
        let open: Vec<&str> = report
            .results
            .iter()
            .filter(|result| result.outcome != MigrationOutcome::Applied)
            .map(|result| result.id.as_str())
            .collect();
        if open.is_empty() {
            for result in &report.results {
                cx.step(format!("applied {} ({} ms)", result.id, result.duration_ms));
            }
            return None;
        }
        Some(
            Fault::failed(format!("`{name}` contradicts itself")).because(format!(
                "it said that everything was applied, and its plan still has {} as not applied",
                words::list(&open)
            )),
        )
    }

    async fn failed(&self, cx: &Cx, wrong: Wrong, report: &mut DatabaseReport) -> Fault {
        let database = &self.plan.database;
        if let Wrong::Failed(failure) = &wrong {
            took(report, &failure.applied);
        }
        let named = match &wrong {
            Wrong::Failed(failure) => failure.migration.clone(),
            Wrong::Broken(_) => None,
        };
        // What took effect only it can say; it is asked even after a signal.
        let now = said(self.engine, &cx.uncancellable(), self.job, false).await;
        let mut fault = wrong.fault(&self.engine.name());
        if let Some(id) = &named {
            fault = fault.because(format!("in `{id}`"));
        }
        match now {
            Ok(now) => {
                attribute(&now, report);
                report.schema_after = now.schema_version;
                let of = |outcome| -> Vec<&str> {
                    let results = report.results.iter().filter(|r| r.outcome == outcome);
                    results.map(|result| result.id.as_str()).collect()
                };
                let applied = of(MigrationOutcome::Applied);
                if !applied.is_empty() {
                    let list = words::list(&applied);
                    fault = fault.state(format!("applied to `{database}` and kept: {list}"));
                }
                let waiting = of(MigrationOutcome::NotAttempted);
                if !waiting.is_empty() {
                    fault = fault.state(format!("not attempted: {}", words::list(&waiting)));
                }
            }
            Err(_) => {
                all(report, MigrationOutcome::Failed);
                fault = fault.state(format!(
                    "how much of it took effect in `{database}` is not known: the engine could not be asked"
                ));
            }
        }
        fault.hint(format!(
            "mend the cause, then run `stagecraft migrate run --env {} --database {database}`",
            self.job.environment.name
        ))
    }
}

fn took(report: &mut DatabaseReport, applied: &[Applied]) {
    for one in applied {
        let mut results = report.results.iter_mut();
        if let Some(result) = results.find(|result| result.id == one.id) {
            result.duration_ms = one.duration_ms;
        }
    }
}

/// What is applied now was applied; the first that is not, failed.
fn attribute(now: &Plan, report: &mut DatabaseReport) {
    let applied = |id: &str| {
        let mut all = now.migrations.iter();
        all.any(|one| one.id == id && one.state == State::Applied)
    };
    let mut failed = false;
    for result in &mut report.results {
        result.outcome = match (applied(&result.id), failed) {
            (true, _) => MigrationOutcome::Applied,
            (false, false) => MigrationOutcome::Failed,
            (false, true) => MigrationOutcome::NotAttempted,
        };
        failed |= result.outcome == MigrationOutcome::Failed;
    }
}

fn all(report: &mut DatabaseReport, outcome: MigrationOutcome) {
    for result in &mut report.results {
        result.outcome = outcome;
    }
}
