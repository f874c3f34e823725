//! Running the tool, and saying what it did as far as it tells. Imports
//! `ports`, `model`.

use std::time::Instant;

use async_trait::async_trait;

use crate::model::container::Exit;
use crate::model::fault::Fault;
use crate::model::migration::{
    DatabaseReport, MigrationFailure, MigrationOutcome, MigrationPlan, MigrationReport,
    MigrationResult,
};
use crate::ports::{Begun, Cx, Ended, Job};

use super::answer::Answer;
use super::options::Options;
use super::{UNKNOWN, ask, container, unread};
use crate::migrate::engines::agreed;

/// Has the image there, and asks the tool once more.
pub(super) async fn begin<'a>(
    cx: &Cx,
    job: &'a Job<'a>,
    plan: &'a MigrationPlan,
) -> Result<Box<dyn Begun<'a> + 'a>, Fault> {
    let options = Options::of(job.database)
        .map_err(Fault::config)?
        .filled(job);
    container::refuse_second_run(cx, job).await?;
    if let Some(image) = job.image {
        job.runner.ensure_image(cx, job.host, image).await?;
    }
    let mut report = report(plan);
    let pending = match &options.plan {
        Some(command) => again(cx, job, plan, command, &mut report).await?,
        None => true,
    };
    Ok(Box::new(Ready {
        job,
        options,
        report,
        pending,
    }))
}

/// The tool said what the plan says.
struct Ready<'a> {
    job: &'a Job<'a>,
    options: Options,
    report: DatabaseReport,
    pending: bool,
}

#[async_trait]
impl<'a> Begun<'a> for Ready<'a> {
    async fn run(self: Box<Self>, cx: &Cx) -> Ended<'a> {
        let Self {
            job,
            options,
            mut report,
            pending,
        } = *self;
        let began = Instant::now();
        let outcome = match pending {
            true => go(cx, job, &options, &mut report).await,
            false => Ok(()),
        };
        let took = u64::try_from(began.elapsed().as_millis()).unwrap_or(u64::MAX);
        // The tool tells no time of a single migration: the last one has it all.
        let attempted = |r: &&mut MigrationResult| r.outcome != MigrationOutcome::NotAttempted;
        if let Some(last) = report.results.iter_mut().rev().find(attempted) {
            last.duration_ms = took;
        }
        Ended {
            outcome: match outcome {
                Ok(()) => Ok(report),
                Err(fault) => Err(MigrationFailure {
                    fault,
                    report: MigrationReport {
                        databases: vec![report],
                        backups: vec![],
                    },
                }),
            },
            // There is no lock but the container's name.
            kept: Box::new(()),
        }
    }
}

async fn go(
    cx: &Cx,
    job: &Job<'_>,
    options: &Options,
    report: &mut DatabaseReport,
) -> Result<(), Fault> {
    let exit = container::run(cx, job, container::RUN, &options.run)
        .await?
        .exit;
    if !exit.success() {
        // Which of them took effect only the tool can say.
        if let Some(command) = &options.plan {
            attribute(ask(cx, job, command).await.ok(), report);
        } else {
            all(report, MigrationOutcome::Failed);
        }
        return Err(failed(job, &exit));
    }
    all(report, MigrationOutcome::Applied);
    if let Some(command) = &options.status {
        let status = container::run(cx, job, "status", command).await?.exit;
        if !status.success() {
            return Err(Fault::failed(format!(
                "the `status` command exited with status {} after the migrations ran",
                status.code
            ))
            .showing("its last lines", status.tail));
        }
    }
    for result in &report.results {
        cx.step(match result.id.as_str() {
            UNKNOWN => "ran the migration command".to_owned(),
            id => format!("applied {id}"),
        });
    }
    Ok(())
}

/// Asks the tool once more: another answer than the plan's is refused. False
/// when nothing is left to do for a plan that could not ask.
async fn again(
    cx: &Cx,
    job: &Job<'_>,
    plan: &MigrationPlan,
    command: &[String],
    report: &mut DatabaseReport,
) -> Result<bool, Fault> {
    let answers = ask(cx, job, command).await?;
    let pending: Vec<String> = answers
        .into_iter()
        .filter_map(|answer| match answer {
            Answer::Pending(id) => Some(id),
            Answer::SomePending => Some(UNKNOWN.to_owned()),
            Answer::Applied(_) => None,
        })
        .collect();
    if plan.unread.is_some() {
        report.results = pending.iter().map(|id| result(plan, id)).collect();
        return Ok(!pending.is_empty());
    }
    agreed::still(plan, &pending, job.environment)?;
    Ok(true)
}

/// What is pending no longer was applied; the first that still is, failed.
fn attribute(answers: Option<Vec<Answer>>, report: &mut DatabaseReport) {
    let Some(answers) = answers else {
        all(report, MigrationOutcome::Failed);
        return;
    };
    let pending = |id: &str| {
        answers.iter().any(|answer| match answer {
            Answer::Pending(other) => other == id,
            Answer::SomePending => true,
            Answer::Applied(_) => false,
        })
    };
    let mut failed = false;
    for result in &mut report.results {
        result.outcome = match (pending(&result.id), failed) {
            (false, _) => MigrationOutcome::Applied,
            (true, false) => MigrationOutcome::Failed,
            (true, true) => MigrationOutcome::NotAttempted,
        };
        failed |= result.outcome == MigrationOutcome::Failed;
    }
}

fn failed(job: &Job<'_>, exit: &Exit) -> Fault {
    let environment = &job.environment.name;
    let database = &job.database.name;
    let what = format!("the migration command exited with status {}", exit.code);
    let fault = match exit.oom_killed {
        true => Fault::failed(what).because("it ran out of memory and was killed"),
        false => Fault::failed(what),
    };
    fault
        .showing(
            format!("last lines of the migration command on {}", job.host),
            exit.tail.clone(),
        )
        .state(format!(
            "how much of it took effect in `{database}` is known to the tool alone"
        ))
        .hint(format!(
            "mend the cause, then run `stagecraft migrate run --env {environment} --database {database}`; it runs what the image holds, so a file that you mend needs a deploy"
        ))
}

fn all(report: &mut DatabaseReport, outcome: MigrationOutcome) {
    for result in &mut report.results {
        result.outcome = outcome;
    }
}

fn report(plan: &MigrationPlan) -> DatabaseReport {
    DatabaseReport {
        results: plan.selected.iter().map(|id| result(plan, id)).collect(),
        ..DatabaseReport::untouched(plan)
    }
}

fn result(plan: &MigrationPlan, id: &str) -> MigrationResult {
    MigrationResult {
        database: plan.database.clone(),
        id: id.to_owned(),
        checksum: String::new(),
        duration_ms: 0,
        outcome: MigrationOutcome::NotAttempted,
        compat: Some(unread()),
    }
}
