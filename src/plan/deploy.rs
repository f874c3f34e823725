//! The plan of a deploy: one field a phase, reading order = running order.

use serde::Serialize;

use crate::model::compat::Compat;
use crate::model::fault::Fault;
use crate::model::migration::{Files, Migration, MigrationPlan};
use crate::model::names::{DatabaseName, EnvironmentName, ProjectName};
use crate::model::phase::Phase;
use crate::model::project::Environment;
use crate::model::release::ReleaseId;
use crate::model::risk::Forecast;

use super::backup::backup_notes;
use super::facts::Facts;
use super::identity::plan_id;
use super::image::{BuildStep, PushStep, image_steps};
use super::recall::recall;
use super::rollout::{RolloutOutline, outline};
use super::safety::{Broken, Objection};
use super::tolerance::{Meets, Tolerance, tolerance};

/// A phase's work, or why there is none.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Step<T> {
    Do(T),
    Skip(String),
}

#[derive(Debug, Clone, Serialize)]
pub struct PlannedMigration {
    pub database: DatabaseName,
    pub id: String,
    pub checksum: String,
    pub statements: u64,
    pub transactional: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub note: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub compat: Option<Compat>,
    #[serde(flatten)]
    pub forecast: Forecast,
}

#[derive(Debug, Clone, Serialize)]
pub struct MigrateStep {
    pub migrations: Vec<PlannedMigration>,
    /// Databases whose pending list could not be read yet, with the reason.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub unread: Vec<(DatabaseName, String)>,
    /// What comes before the first of them, in words.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub notes: Vec<String>,
    /// Databases whose files are in an image that is not there yet.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub files: Vec<(DatabaseName, Files)>,
}

impl MigrateStep {
    /// Those that it changes, or may change.
    fn databases(&self) -> Vec<DatabaseName> {
        let files = self.files.iter().map(|(database, _)| database);
        let migrations = self.migrations.iter().map(|one| &one.database);
        let mut all: Vec<DatabaseName> = migrations.chain(files).cloned().collect();
        all.sort();
        all.dedup();
        all
    }
}

/// Everything a deploy would do, complete before anything is changed.
#[must_use]
#[derive(Debug, Clone, Serialize)]
pub struct DeployPlan {
    pub id: String,
    pub project: ProjectName,
    pub environment: EnvironmentName,
    #[serde(skip)]
    pub release: ReleaseId,
    pub version: String,
    pub commit_sha: Option<String>,
    pub dirty: bool,
    /// The release that is live now.
    pub previous_id: Option<ReleaseId>,
    pub config_hash: String,
    pub build: Step<BuildStep>,
    pub push: Step<PushStep>,
    pub migrate_pre: Step<MigrateStep>,
    pub rollout: RolloutOutline,
    pub migrate_post: Step<MigrateStep>,
    /// Migrations that this deploy leaves alone: `manual` ones.
    pub left_manual: Vec<PlannedMigration>,
    /// What breaks the release that is live now, so that no rollback goes back
    /// to it afterwards.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub breaking: Vec<Objection>,
    /// What keeps users of a database waiting.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub blocking: Vec<Objection>,
    /// Those of both that somebody has to approve.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub risks: Vec<String>,
    /// Reasons why nothing may run.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub refusals: Vec<String>,
    pub warnings: Vec<String>,
    /// Everything known of the databases, for the migrator.
    #[serde(skip)]
    pub migrations: Vec<MigrationPlan>,
}

#[derive(Debug, Clone)]
pub struct DeployRequest {
    pub release: ReleaseId,
    pub version: Option<String>,
}

/// Makes the plan.
///
/// # Errors
/// What the configuration asks for and this version cannot do yet, and hosts
/// that do not fit together (`Config`).
pub fn deploy(
    environment: &Environment,
    facts: &Facts,
    request: &DeployRequest,
) -> Result<DeployPlan, Fault> {
    let reference = format!("stagecraft/{}:{}", environment.project, request.release);
    let version = version(facts, request);
    let (build, push) = image_steps(environment, facts, &reference, &version)?;
    let live = facts.history.live(&environment.name);
    let mut migrations = facts.migrations.clone();
    recall(&facts.history, &mut migrations);
    let mut plan = DeployPlan {
        id: String::new(),
        project: environment.project.clone(),
        environment: environment.name.clone(),
        release: request.release.clone(),
        version,
        commit_sha: facts.source.commit.clone(),
        dirty: facts.source.dirty,
        previous_id: live.map(|release| release.id.clone()),
        config_hash: environment.config_hash.clone(),
        build,
        push,
        migrate_pre: migrate_step(&migrations, Phase::MigratePre),
        rollout: outline(
            environment,
            &environment.roles,
            facts,
            &request.release,
            None,
        )?,
        migrate_post: migrate_step(&migrations, Phase::MigratePost),
        left_manual: facts
            .migrations
            .iter()
            .flat_map(|plan| {
                plan.migrations
                    .iter()
                    .filter(|migration| {
                        migration.state.will_run() && !plan.selected.contains(&migration.id)
                    })
                    .map(|migration| planned(plan, migration))
            })
            .collect(),
        refusals: facts
            .migrations
            .iter()
            .flat_map(|plan| {
                plan.refusals
                    .iter()
                    .map(|reason| format!("database `{}`: {reason}", plan.database))
            })
            .collect(),
        breaking: vec![],
        blocking: vec![],
        risks: vec![],
        warnings: warnings(environment, facts),
        migrations,
    };
    ask_live(&mut plan, environment, facts);
    for step in [&mut plan.migrate_pre, &mut plan.migrate_post] {
        if let Step::Do(step) = step {
            step.notes
                .extend(backup_notes(environment, &step.databases()));
        }
    }
    let broken = Broken::of(environment, &facts.history, &facts.migrations);
    plan.refusals.extend(broken.refusals);
    plan.warnings.extend(broken.warnings);
    plan.risks = broken.risks;
    plan.breaking = broken.objections;
    plan.blocking = broken.blocking;
    plan.id = plan_id(
        &(
            &plan.environment,
            (
                &request.version,
                &plan.commit_sha,
                plan.dirty,
                &plan.config_hash,
            ),
            &plan.previous_id,
            &facts.image,
            essence(&plan.migrate_pre),
            &plan.rollout,
            essence(&plan.migrate_post),
            &plan.risks,
        ),
        Some(&request.release),
    );
    Ok(plan)
}

/// What a step does: forecasts change with every row that somebody writes.
fn essence(step: &Step<MigrateStep>) -> Step<MigrateStep> {
    let mut step = step.clone();
    if let Step::Do(step) = &mut step {
        for migration in &mut step.migrations {
            migration.forecast = Forecast::default();
        }
    }
    step
}

fn version(facts: &Facts, request: &DeployRequest) -> String {
    if let Some(version) = &request.version {
        return version.clone();
    }
    match &facts.source.commit {
        Some(commit) => {
            let short: String = commit.chars().take(12).collect();
            if facts.source.dirty {
                format!("{short}-dirty")
            } else {
                short
            }
        }
        None => request.release.time().format("%Y%m%d%H%M%S").to_string(),
    }
}

fn planned(plan: &MigrationPlan, migration: &Migration) -> PlannedMigration {
    PlannedMigration {
        database: plan.database.clone(),
        id: migration.id.clone(),
        checksum: migration.checksum.clone(),
        statements: migration.statements,
        transactional: migration.transactional,
        note: migration.note.clone(),
        compat: migration.compat.clone(),
        forecast: migration.forecast.clone(),
    }
}

fn migrate_step(plans: &[MigrationPlan], phase: Phase) -> Step<MigrateStep> {
    let migrations: Vec<_> = plans
        .iter()
        .flat_map(|plan| {
            plan.in_phase(phase)
                .map(|migration| planned(plan, migration))
        })
        .collect();
    let unread: Vec<_> = plans
        .iter()
        .filter(|plan| plan.in_phase(phase).next().is_some())
        .filter_map(|plan| {
            plan.unread
                .clone()
                .map(|reason| (plan.database.clone(), reason))
        })
        .collect();
    // What is provisional is compared once, before anything runs.
    let files: Vec<_> = plans
        .iter()
        .filter(|plan| match plan.files {
            Files::Final => false,
            Files::Provisional => phase == Phase::MigratePre,
            Files::Awaited => true,
        })
        .map(|plan| (plan.database.clone(), plan.files))
        .collect();
    if migrations.is_empty() && files.is_empty() {
        Step::Skip(if plans.is_empty() {
            "no databases".to_owned()
        } else {
            "nothing pending".to_owned()
        })
    } else {
        Step::Do(MigrateStep {
            migrations,
            unread,
            notes: vec![],
            files,
        })
    }
}

/// The live release must tolerate what the migrations make of the schema.
fn ask_live(plan: &mut DeployPlan, environment: &Environment, facts: &Facts) {
    let note = match tolerance(
        environment,
        facts,
        &plan.release,
        &facts.migrations,
        Meets::UntilTheSwitch,
    ) {
        Tolerance::NotNeeded => return,
        Tolerance::NobodyServes(why) => {
            format!("no running code has to tolerate the new schema: {why}")
        }
        Tolerance::Ask(question) => format!(
            "the live release {} is asked first whether it tolerates schema version {}",
            question.live, question.version
        ),
        Tolerance::CannotAsk(why) => {
            // What is pending may not be known yet: asked again before it runs.
            let gate = environment.schema_gate.as_ref();
            let database = gate.and_then(|gate| gate.database.as_ref());
            let unread = facts
                .migrations
                .iter()
                .any(|plan| Some(&plan.database) == database && plan.unread.is_some());
            if !unread {
                plan.refusals.push(why);
                return;
            }
            why
        }
    };
    if let Step::Do(step) = &mut plan.migrate_pre {
        step.notes.push(note);
    }
}

fn warnings(environment: &Environment, facts: &Facts) -> Vec<String> {
    let mut warnings: Vec<String> = facts.in_maintenance(environment).into_iter().collect();
    if facts.source.dirty {
        warnings.push("the working tree has changes that are in no commit".to_owned());
    }
    warnings
}
