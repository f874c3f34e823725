//! The `command` engine: any tool, run in a container of the release's image
//! on the primary host, with the release's environment. Imports `ports` and
//! `model`.
//!
//! It takes no database lock: Stagecraft opens no connection here, and two
//! deployers are kept apart by the environment lock and by the container's
//! name, which an engine gives only once. What is pending is what the tool's
//! `plan` command says; without one it is known to the tool alone.

mod answer;
mod options;
mod run;

use async_trait::async_trait;

use crate::model::compat::Compat;
use crate::model::fault::Fault;
use crate::model::migration::{
    Files, Migration, MigrationPlan, MigrationRequest, MigrationState, UNNAMED,
};
use crate::model::project::{DatabaseSpec, EngineNeeds, MigrationStrategy};
use crate::model::risk::{Forecast, Outlook};
use crate::ports::{Begun, Claim, Cx, Engine, ImageCheck, Job};

use super::super::select;
use super::container;
use answer::Answer;
use options::Options;
pub(super) use options::Words;

/// The id of the one migration of a tool that cannot say what is pending.
pub const UNKNOWN: &str = UNNAMED;

pub struct Command;

#[async_trait]
impl Engine for Command {
    fn id(&self) -> &str {
        "command"
    }

    /// The tool may find its own database.
    fn needs(&self) -> EngineNeeds {
        EngineNeeds {
            path: false,
            connection: false,
        }
    }

    async fn validate(&self, database: &DatabaseSpec) -> Vec<String> {
        Options::of(database).err().into_iter().collect()
    }

    fn creates(&self, _: &DatabaseSpec, _: &str) -> Option<Vec<String>> {
        None
    }

    async fn plan(
        &self,
        cx: &Cx,
        job: &Job<'_>,
        request: &MigrationRequest,
    ) -> Result<MigrationPlan, Fault> {
        let options = Options::of(job.database)
            .map_err(Fault::config)?
            .filled(job);
        let strategy = job.database.migrations.strategy;
        let mut unread = None;
        let migrations = match &options.plan {
            None => vec![unknown(
                strategy,
                "what is pending is known to the tool alone",
            )],
            Some(plan) => match readable(cx, job).await? {
                Ok(()) => migrations(strategy, ask(cx, job, plan).await?),
                Err(why) => {
                    unread = Some(why);
                    vec![unknown(strategy, "what is pending is asked for later")]
                }
            },
        };
        let order: Vec<&str> = migrations.iter().map(|m| m.id.as_str()).collect();
        let selection = select::select(&migrations, &order, request);
        let mut refusals = selection.refusals;
        if request.to.is_some() || request.steps.is_some() {
            refusals.push(format!(
                "engine `command` of `{}` runs all that is pending: `--to` and `--steps` cannot be used with it",
                job.database.name
            ));
        }
        Ok(MigrationPlan {
            database: job.database.name.clone(),
            engine: self.id().to_owned(),
            migrations,
            selected: selection.selected,
            refusals,
            notes: vec![],
            unread,
            files: Files::Final,
            schema_version: None,
            route: format!("in a container on {}", job.host),
            outlook: Outlook::default(),
        })
    }

    async fn begin<'a>(
        &'a self,
        cx: &Cx,
        job: &'a Job<'a>,
        plan: &'a MigrationPlan,
        _: &Claim,
    ) -> Result<Box<dyn Begun<'a> + 'a>, Fault> {
        run::begin(cx, job, plan).await
    }
}

/// Whether the tool can be asked without changing anything on the host.
async fn readable(cx: &Cx, job: &Job<'_>) -> Result<Result<(), String>, Fault> {
    let Some(image) = job.image else {
        return Ok(Err("no release yet, database not read".to_owned()));
    };
    if job.runner.has_image(cx, job.host, image).await? == ImageCheck::Absent {
        return Ok(Err(format!(
            "{} does not hold the image yet, database not read",
            job.host
        )));
    }
    for volume in container::volumes(job)? {
        if !job.runner.volume_exists(cx, job.host, &volume).await? {
            return Ok(Err(format!(
                "the volume `{volume}` does not exist yet, database not read"
            )));
        }
    }
    Ok(Ok(()))
}

async fn ask(cx: &Cx, job: &Job<'_>, plan: &[String]) -> Result<Vec<Answer>, Fault> {
    let ended = container::run(cx, job, "plan", plan).await?;
    answer::read(&ended.lines, &ended.exit).map_err(|fault| {
        fault.hint("the `plan` command answers 0 (nothing pending) or 3 (pending), or prints a JSON line `{\"id\": …, \"state\": \"pending\" or \"applied\"}` for each migration")
    })
}

fn migrations(strategy: MigrationStrategy, answers: Vec<Answer>) -> Vec<Migration> {
    answers
        .into_iter()
        .map(|answer| match answer {
            Answer::Pending(id) => one(id, MigrationState::Pending, strategy, None),
            Answer::Applied(id) => one(
                id,
                MigrationState::Applied { at: None, by: None },
                strategy,
                None,
            ),
            Answer::SomePending => unknown(strategy, "the tool says that something is pending"),
        })
        .collect()
}

/// The tool keeps its statements to itself.
fn unread() -> Compat {
    Compat::unread("was run by engine `command`, whose statements cannot be read")
}

fn unknown(strategy: MigrationStrategy, note: &str) -> Migration {
    one(
        UNKNOWN.to_owned(),
        MigrationState::Pending,
        strategy,
        Some(note.to_owned()),
    )
}

fn one(
    id: String,
    state: MigrationState,
    strategy: MigrationStrategy,
    note: Option<String>,
) -> Migration {
    Migration {
        id,
        state,
        strategy,
        checksum: String::new(),
        statements: 0,
        // The tool decides; nothing is promised for it.
        transactional: false,
        note,
        compat: Some(unread()),
        forecast: Forecast::default(),
    }
}
