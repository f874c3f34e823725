//! A stagecraft with an engine of one's own, by the public API alone: `stagecraft
//! check`, `migrate plan` and everything else know `engine: folders`.
//!
//! The engine is as small as one can be: a migration is a file that names a
//! folder, and applying it makes that folder below `options.target`. What is
//! applied is what is there.

use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;

use async_trait::async_trait;
use serde::Deserialize;
use stagecraft::model::compat::Compat;
use stagecraft::model::fault::Fault;
use stagecraft::model::migration::{
    DatabaseReport, Files, Migration, MigrationFailure, MigrationOutcome, MigrationPlan,
    MigrationReport, MigrationRequest, MigrationResult, MigrationState,
};
use stagecraft::model::project::{DatabaseSpec, EngineNeeds};
use stagecraft::model::risk::{Forecast, Outlook};
use stagecraft::ports::{Begun, Claim, Cx, Ended, Engine, Job};

fn main() -> ExitCode {
    stagecraft::cli::main_with(vec![Arc::new(Folders)])
}

pub struct Folders;

/// The engine's own keys, read from `migrations.options`.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Options {
    target: PathBuf,
}

impl Options {
    fn of(database: &DatabaseSpec) -> Result<Self, String> {
        let options = serde_json::Value::Object(database.migrations.options.clone());
        serde_json::from_value(options).map_err(|error| format!("`options`: {error}"))
    }
}

/// Every file of the folder with the folder that it names, in order.
fn steps(database: &DatabaseSpec) -> Result<Vec<(String, PathBuf)>, Fault> {
    let options = Options::of(database).map_err(Fault::config)?;
    let path = database.migrations.path.clone().unwrap_or_default();
    let cannot = |error: std::io::Error| {
        Fault::config(format!("cannot read `{}`", path.display())).caused_by(&error)
    };
    let mut found = vec![];
    for entry in std::fs::read_dir(&path).map_err(cannot)? {
        let entry = entry.map_err(cannot)?;
        let text = std::fs::read_to_string(entry.path()).map_err(cannot)?;
        let id = entry.file_name().to_string_lossy().into_owned();
        found.push((id, options.target.join(text.trim())));
    }
    found.sort();
    Ok(found)
}

#[async_trait]
impl Engine for Folders {
    fn id(&self) -> &str {
        "folders"
    }

    fn needs(&self) -> EngineNeeds {
        EngineNeeds {
            path: true,
            connection: false,
        }
    }

    async fn validate(&self, database: &DatabaseSpec) -> Vec<String> {
        Options::of(database).err().into_iter().collect()
    }

    /// Looks, and changes nothing.
    fn creates(&self, _: &DatabaseSpec, _: &str) -> Option<Vec<String>> {
        None
    }

    async fn plan(
        &self,
        _: &Cx,
        job: &Job<'_>,
        request: &MigrationRequest,
    ) -> Result<MigrationPlan, Fault> {
        let strategy = job.database.migrations.strategy;
        let wanted = request.strategies.is_empty() || request.strategies.contains(&strategy);
        let migrations: Vec<Migration> = steps(job.database)?
            .into_iter()
            .map(|(id, folder)| Migration {
                id,
                state: match folder.is_dir() {
                    true => MigrationState::Applied { at: None, by: None },
                    false => MigrationState::Pending,
                },
                strategy,
                checksum: String::new(),
                statements: 1,
                transactional: true,
                note: None,
                compat: Some(Compat::Additive),
                forecast: Forecast::default(),
            })
            .collect();
        let pending = migrations.iter().filter(|one| one.state.will_run());
        Ok(MigrationPlan {
            database: job.database.name.clone(),
            engine: self.id().to_owned(),
            selected: pending
                .filter(|_| wanted)
                .map(|one| one.id.clone())
                .collect(),
            migrations,
            refusals: vec![],
            unread: None,
            files: Files::Final,
            schema_version: None,
            outlook: Outlook::default(),
            notes: vec![],
            route: "on this machine".to_owned(),
        })
    }

    /// Here an engine opens its database, takes the lock, and reads again what
    /// is pending; dropping what it returns frees the lock.
    async fn begin<'a>(
        &'a self,
        _: &Cx,
        job: &'a Job<'a>,
        plan: &'a MigrationPlan,
        _: &Claim,
    ) -> Result<Box<dyn Begun<'a> + 'a>, Fault> {
        let steps = steps(job.database)?;
        Ok(Box::new(Ready { steps, plan }))
    }
}

struct Ready<'a> {
    steps: Vec<(String, PathBuf)>,
    plan: &'a MigrationPlan,
}

#[async_trait]
impl<'a> Begun<'a> for Ready<'a> {
    /// Applies what was planned, in order, and stops at the first failure.
    async fn run(self: Box<Self>, cx: &Cx) -> Ended<'a> {
        let mut report = DatabaseReport {
            database: self.plan.database.clone(),
            results: self
                .plan
                .to_run()
                .map(|one| MigrationResult::waiting(&self.plan.database, one))
                .collect(),
            schema_before: None,
            schema_after: None,
            fingerprint: None,
            health_before: None,
            health_after: None,
        };
        let mut outcome = Ok(());
        for result in &mut report.results {
            let folder = self.steps.iter().find(|(id, _)| *id == result.id);
            let made = folder.map(|(_, folder)| std::fs::create_dir(folder));
            result.outcome = match made {
                Some(Ok(())) => MigrationOutcome::Applied,
                Some(Err(_)) | None => MigrationOutcome::Failed,
            };
            if let Some(Err(error)) = made {
                outcome = Err(Fault::failed(format!("`{}` failed", result.id)).caused_by(&error));
                break;
            }
            cx.step(format!("applied {}", result.id));
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
            kept: Box::new(()),
        }
    }
}
