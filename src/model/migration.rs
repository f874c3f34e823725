//! Migrations: what is pending, what a run did, and where they stand.

mod risk;

use std::collections::HashMap;
use std::fmt;

use serde::{Deserialize, Serialize};

use super::backup::BackupTaken;
use super::compat::Compat;
use super::fault::Fault;
use super::health::Health;
use super::image::PinnedImage;
use super::names::DatabaseName;
use super::phase::Phase;
use super::project::MigrationStrategy;
use super::release::ReleaseId;
use super::risk::{Detail, Forecast, Outlook};

pub use risk::Risk;

/// Where one migration stands: files, ledger and database compared.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "state", rename_all = "snake_case")]
pub enum MigrationState {
    Pending,
    Applied {
        at: Option<String>,
        /// Who did it, where the engine keeps a row that says so.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        by: Option<AppliedBy>,
    },
    /// Applied, and the file's content is another one now.
    Edited {
        applied_checksum: String,
    },
    /// Applied, and there is no such file.
    Missing,
    /// Pending, and a later one is applied already.
    OutOfOrder {
        after: String,
    },
    /// Begun and not finished: `done` of `total` statements are confirmed.
    Failed {
        done: u64,
        total: u64,
        error: Option<String>,
    },
}

/// The release that applied a migration, and how long it took.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AppliedBy {
    pub release: String,
    pub duration_ms: u64,
}

impl MigrationState {
    #[must_use]
    pub fn label(&self) -> &'static str {
        match self {
            MigrationState::Pending => "pending",
            MigrationState::Applied { .. } => "applied",
            MigrationState::Edited { .. } => "edited",
            MigrationState::Missing => "missing",
            MigrationState::OutOfOrder { .. } => "out of order",
            MigrationState::Failed { .. } => "failed",
        }
    }

    /// It would run now.
    #[must_use]
    pub fn will_run(&self) -> bool {
        matches!(
            self,
            MigrationState::Pending
                | MigrationState::OutOfOrder { .. }
                | MigrationState::Failed { .. }
        )
    }
}

/// One migration of a plan.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Migration {
    /// The file's name, or whatever the engine's tool calls it.
    pub id: String,
    #[serde(flatten)]
    pub state: MigrationState,
    /// When it runs; a file's `-- stagecraft: phase=post` overrules its
    /// database's strategy.
    pub strategy: MigrationStrategy,
    /// SHA-256 of the raw bytes, hexadecimal; empty where the engine's tool
    /// keeps its files to itself.
    pub checksum: String,
    pub statements: u64,
    /// Runs as one transaction together with its row.
    pub transactional: bool,
    /// Why it does not, or what else is worth knowing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub note: Option<String>,
    /// Whether older code can live with it; nothing where there is no file.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub compat: Option<Compat>,
    /// What it would do to this database; of one that would run.
    #[serde(flatten, default)]
    pub forecast: Forecast,
}

/// What an engine calls a migration when its tool says only that something is
/// pending, or was done.
pub const UNNAMED: &str = "command";
/// Whether the files of a plan are those that will run.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Files {
    #[default]
    Final,
    /// Those of the checkout, while the image whose files will run is not
    /// there: they are compared before anything runs.
    Provisional,
    /// They are in an image that the primary host does not hold yet.
    Awaited,
}

impl Files {
    #[must_use]
    pub fn are_final(&self) -> bool {
        *self == Files::Final
    }
}

impl Migration {
    /// Whether a deploy runs it in this phase.
    #[must_use]
    pub fn runs_in(&self, phase: Phase) -> bool {
        match phase {
            Phase::MigratePre => self.strategy == MigrationStrategy::PreDeploy,
            Phase::MigratePost => self.strategy == MigrationStrategy::PostDeploy,
            Phase::Build | Phase::Push | Phase::Rollout | Phase::Finalize => false,
        }
    }
}

/// Everything known of one database's migrations at one moment.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct MigrationPlan {
    pub database: DatabaseName,
    pub engine: String,
    /// In running order: applied, then pending.
    pub migrations: Vec<Migration>,
    /// The ids among `migrations` that this plan would run, in order, after
    /// every filter.
    pub selected: Vec<String>,
    /// Reasons why nothing may run: edited, missing, duplicate, out of order.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub refusals: Vec<String>,
    /// What else a person should know before it runs.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub notes: Vec<String>,
    /// Why the database was not read (`no release yet, database not read`).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub unread: Option<String>,
    #[serde(default, skip_serializing_if = "Files::are_final")]
    pub files: Files,
    /// The newest applied version: leading digits of its file name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub schema_version: Option<i64>,
    /// How the database is reached, in words: `directly`, `through 10.0.0.4`,
    /// `in a container on 10.0.0.4`.
    pub route: String,
    #[serde(flatten, default)]
    pub outlook: Outlook,
}

impl MigrationPlan {
    /// The migrations that would run, in order.
    pub fn to_run(&self) -> impl Iterator<Item = &Migration> {
        let by_id: HashMap<&str, &Migration> = self
            .migrations
            .iter()
            .map(|migration| (migration.id.as_str(), migration))
            .collect();
        self.selected
            .iter()
            .filter_map(move |id| by_id.get(id.as_str()).copied())
    }

    /// The files, by id and checksum, applied or not.
    pub fn known_files(&self) -> impl Iterator<Item = (&str, &str)> {
        self.migrations
            .iter()
            .filter(|migration| migration.state != MigrationState::Missing)
            .map(|migration| (migration.id.as_str(), migration.checksum.as_str()))
    }

    /// Those of one phase of a deploy.
    pub fn in_phase(&self, phase: Phase) -> impl Iterator<Item = &Migration> {
        self.to_run()
            .filter(move |migration| migration.runs_in(phase))
    }

    /// What the database says a release did, with how long it took.
    pub fn done_by(&self, release: &ReleaseId) -> impl Iterator<Item = (&Migration, u64)> {
        self.migrations
            .iter()
            .filter_map(|migration| match &migration.state {
                MigrationState::Applied { by: Some(by), .. } if by.release == release.as_str() => {
                    Some((migration, by.duration_ms))
                }
                _ => None,
            })
    }
}

/// What to plan.
#[derive(Debug, Clone, Default)]
pub struct MigrationRequest {
    /// Empty: all.
    pub databases: Vec<DatabaseName>,
    /// Empty: all three.
    pub strategies: Vec<MigrationStrategy>,
    /// Up to and including this one.
    pub to: Option<String>,
    /// At most this many for each database.
    pub steps: Option<usize>,
    pub allow_out_of_order: bool,
    /// An image that is on the primary host already, for databases that are
    /// read in a container and engines that run in one.
    pub image: Option<PinnedImage>,
    /// The image that is to run, for `source: image`; `None` while it is to be
    /// built.
    pub files: Option<PinnedImage>,
    pub detail: Detail,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum MigrationOutcome {
    Applied,
    Failed,
    NotAttempted,
}

impl fmt::Display for MigrationOutcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            MigrationOutcome::Applied => "applied",
            MigrationOutcome::Failed => "failed",
            MigrationOutcome::NotAttempted => "not attempted",
        })
    }
}

/// What a run did with one migration.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct MigrationResult {
    pub database: DatabaseName,
    pub id: String,
    pub checksum: String,
    pub duration_ms: u64,
    pub outcome: MigrationOutcome,
    /// As judged when it ran; absent in records of versions that did not.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub compat: Option<Compat>,
}

impl MigrationResult {
    /// One that was not attempted.
    #[must_use]
    pub fn waiting(database: &DatabaseName, migration: &Migration) -> Self {
        Self {
            database: database.clone(),
            id: migration.id.clone(),
            checksum: migration.checksum.clone(),
            duration_ms: 0,
            outcome: MigrationOutcome::NotAttempted,
            compat: migration.compat.clone(),
        }
    }
}

/// What a run did with one database.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DatabaseReport {
    pub database: DatabaseName,
    pub results: Vec<MigrationResult>,
    pub schema_before: Option<i64>,
    pub schema_after: Option<i64>,
    /// Of the schema that the run left; nothing where it was not looked at.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fingerprint: Option<String>,
    /// Before the first change; nothing where it was not looked at.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub health_before: Option<Health>,
    /// After the last change, as the application connects.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub health_after: Option<Health>,
}

impl DatabaseReport {
    /// Of a database that nothing was done with yet.
    #[must_use]
    pub fn untouched(plan: &MigrationPlan) -> Self {
        let results = plan
            .to_run()
            .map(|migration| MigrationResult::waiting(&plan.database, migration));
        Self {
            database: plan.database.clone(),
            results: results.collect(),
            schema_before: plan.schema_version,
            schema_after: plan.schema_version,
            fingerprint: None,
            health_before: None,
            health_after: None,
        }
    }
}

/// What a run did, over all its databases.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct MigrationReport {
    pub databases: Vec<DatabaseReport>,
    /// Taken before the first database was changed.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub backups: Vec<BackupTaken>,
}

impl MigrationReport {
    pub fn results(&self) -> impl Iterator<Item = &MigrationResult> {
        self.databases.iter().flat_map(|database| &database.results)
    }

    #[must_use]
    pub fn count(&self, outcome: MigrationOutcome) -> usize {
        self.results()
            .filter(|result| result.outcome == outcome)
            .count()
    }
}

/// A run that failed, and what it had done by then.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MigrationFailure {
    pub fault: Fault,
    pub report: MigrationReport,
}

impl fmt::Display for MigrationFailure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.fault.fmt(f)
    }
}

impl std::error::Error for MigrationFailure {}
