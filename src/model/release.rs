//! Releases: one attempt each to put an image into an environment, and the
//! questions one asks of all of them.

use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;

use chrono::{DateTime, Duration, Utc};
use indexmap::IndexMap;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::backup::BackupTaken;
use super::container::{PortBinding, StopPolicy};
use super::host::HostAddress;
use super::image::PinnedImage;
use super::migration::{MigrationResult, Risk};
use super::names::{DatabaseName, EnvironmentName, ProjectName, RoleName};
use super::phase::{Mark, Phase, Status};
use super::project::{Health, Volume};

/// `rel-YYYYMMDD-HHMMSSmmm`, UTC: text order is time order.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct ReleaseId(String);

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is not a release id: expected `rel-YYYYMMDD-HHMMSSmmm`")]
pub struct NotAReleaseId(pub String);

const ID_FORMAT: &str = "rel-%Y%m%d-%H%M%S%3f";

impl ReleaseId {
    /// The id of this moment, or one millisecond after `newest` where the
    /// clock is behind it: a new id is greater than every known one.
    #[must_use]
    pub fn next(now: DateTime<Utc>, newest: Option<&ReleaseId>) -> Self {
        let id = Self(now.format(ID_FORMAT).to_string());
        match newest {
            Some(newest) if *newest >= id => Self(
                (newest.time() + Duration::milliseconds(1))
                    .format(ID_FORMAT)
                    .to_string(),
            ),
            _ => id,
        }
    }

    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The moment that the id names.
    #[must_use]
    pub fn time(&self) -> DateTime<Utc> {
        parse_time(&self.0).unwrap_or_default()
    }
}

/// chrono reads `%S%3f` only with a dot between, so one is put in.
fn parse_time(text: &str) -> Option<DateTime<Utc>> {
    let rest = text.strip_prefix("rel-")?;
    if rest.len() != 18 || !rest.is_ascii() {
        return None;
    }
    let dotted = format!("{}.{}", &rest[..15], &rest[15..]);
    chrono::NaiveDateTime::parse_from_str(&dotted, "%Y%m%d-%H%M%S%.3f")
        .ok()
        .map(|naive| naive.and_utc())
}

impl FromStr for ReleaseId {
    type Err = NotAReleaseId;
    fn from_str(text: &str) -> Result<Self, NotAReleaseId> {
        match parse_time(text) {
            Some(_) => Ok(Self(text.to_owned())),
            None => Err(NotAReleaseId(text.to_owned())),
        }
    }
}

impl TryFrom<String> for ReleaseId {
    type Error = NotAReleaseId;
    fn try_from(text: String) -> Result<Self, NotAReleaseId> {
        text.parse()
    }
}

impl From<ReleaseId> for String {
    fn from(id: ReleaseId) -> String {
        id.0
    }
}

impl fmt::Display for ReleaseId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ReleaseKind {
    Deploy,
    Rollback,
    /// `migrate run`: recorded, never live, never a target.
    Migrate,
    /// `backup restore`: the same.
    Restore,
}

impl ReleaseKind {
    #[must_use]
    pub fn label(self) -> &'static str {
        match self {
            ReleaseKind::Deploy => "deploy",
            ReleaseKind::Rollback => "rollback",
            ReleaseKind::Migrate => "migrate",
            ReleaseKind::Restore => "restore",
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// Still going on, or cut off.
    Open,
    Done,
    Failed,
    /// Ended by `deploy --abort`.
    Aborted,
}

impl Outcome {
    #[must_use]
    pub fn label(self) -> &'static str {
        match self {
            Outcome::Open => "open",
            Outcome::Done => "done",
            Outcome::Failed => "failed",
            Outcome::Aborted => "aborted",
        }
    }
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct PhaseRecord {
    pub status: Status,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub started_at: Option<DateTime<Utc>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub finished_at: Option<DateTime<Utc>>,
    /// What a resumed release gets back instead of doing the phase again.
    #[serde(default, skip_serializing_if = "serde_json::Value::is_null")]
    pub output: serde_json::Value,
}

impl Default for PhaseRecord {
    fn default() -> Self {
        Self {
            status: Status::Pending,
            reason: None,
            started_at: None,
            finished_at: None,
            output: serde_json::Value::Null,
        }
    }
}

/// What a host runs of a release.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct HostRecord {
    pub digest: String,
    pub containers: Vec<String>,
    pub slot: String,
}

/// The whole specification of a role's containers: what a rollback makes them
/// from again, with values from today's sources.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RoleRecord {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub command: Option<Vec<String>>,
    pub replicas: u16,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub port: Option<u16>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub publish: Option<u16>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub internal_port: Option<u16>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub ports: Vec<PortBinding>,
    pub volumes: Vec<Volume>,
    pub health: Health,
    pub stop: StopPolicy,
    pub overlap: bool,
    /// As written, before expansion.
    pub env_clear: IndexMap<String, String>,
    /// Names; the value is a keyed fingerprint, or empty where there is none.
    pub env_secret: IndexMap<String, String>,
}

#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct SchemaRecord {
    pub before: Option<i64>,
    pub after: Option<i64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fingerprint: Option<String>,
}

/// What a release set out to do, for `--resume` to compare with today.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct PlanRecord {
    /// The plan's id: the hash of what it would change, without times.
    pub id: String,
    /// Database → the migrations it would run, `id` and `checksum`.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub migrations: BTreeMap<DatabaseName, Vec<(String, String)>>,
    /// Databases whose migrations were not known when the plan was made: their
    /// files were in an image that was not there.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub awaited: Vec<DatabaseName>,
    /// A restart of these roles alone; none: of all.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub roles: Vec<RoleName>,
}

/// Who overruled the judgement of the schema, and what it said.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Forced {
    pub by: String,
    pub at: DateTime<Utc>,
    /// How it was approved: `--approve 1f2e3d4c5b6a`, `typed prod`.
    pub approval: String,
    pub overruled: Vec<String>,
}

/// Who agreed to a plan, how, and to what.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Approved {
    /// Such as `ada@laptop`, or the CI's actor.
    pub by: String,
    pub at: DateTime<Utc>,
    /// `--yes`, `--approve 1f2e3d4c5b6a`, `prod` typed at the prompt.
    pub how: String,
    /// Of its migrations.
    pub risk: Risk,
    /// What had to be approved beside the plan itself.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub risks: Vec<String>,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Release {
    pub id: ReleaseId,
    pub uuid: Uuid,
    /// Several projects may keep one file; absent in none that this version
    /// writes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub project: Option<ProjectName>,
    pub environment: EnvironmentName,
    pub kind: ReleaseKind,
    pub version: String,
    #[serde(default)]
    pub commit_sha: Option<String>,
    #[serde(default)]
    pub dirty: bool,
    pub timestamp: DateTime<Utc>,
    pub actor: String,
    #[serde(default)]
    pub image: Option<PinnedImage>,
    /// The release that was live when this one began.
    #[serde(default)]
    pub previous_id: Option<ReleaseId>,
    /// The release whose image a rollback brings back.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub target_id: Option<ReleaseId>,
    pub config_hash: String,
    pub phases: IndexMap<Phase, PhaseRecord>,
    #[serde(default)]
    pub hosts: IndexMap<HostAddress, HostRecord>,
    #[serde(default)]
    pub migrations: Vec<MigrationResult>,
    /// Taken before migrations, with what came of them.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub backups: Vec<BackupTaken>,
    #[serde(default)]
    pub known_migrations: IndexMap<DatabaseName, Vec<String>>,
    #[serde(default)]
    pub schema: IndexMap<DatabaseName, SchemaRecord>,
    #[serde(default)]
    pub roles: IndexMap<RoleName, RoleRecord>,
    #[serde(default)]
    pub plan: PlanRecord,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rollback_safe: Option<bool>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub rollback_reasons: Vec<String>,
    /// A person overruled what speaks against the target of this rollback.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub forced: Option<Forced>,
    /// Who agreed to the plan, where somebody had to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub approved: Option<Approved>,
    pub outcome: Outcome,
    #[serde(default)]
    pub bad: bool,
    /// The rollout completed and was taken back afterwards.
    #[serde(default)]
    pub undone: bool,
    /// Raised by every write; of two copies the higher one wins.
    pub revision: u64,
    /// Fields of a later minor version, kept as they are.
    #[serde(flatten)]
    pub extra: serde_json::Map<String, serde_json::Value>,
}

impl Release {
    #[must_use]
    pub fn phase(&self, phase: Phase) -> PhaseRecord {
        self.phases.get(&phase).cloned().unwrap_or_default()
    }

    /// Moves one phase by the transition table.
    ///
    /// # Errors
    /// A mark that may not follow the phase's status.
    pub fn mark(
        &mut self,
        phase: Phase,
        mark: Mark,
        at: DateTime<Utc>,
        reason: Option<String>,
    ) -> Result<(), super::phase::IllegalMark> {
        let record = self.phases.entry(phase).or_default();
        record.status = record.status.after(mark)?;
        match mark {
            Mark::Start => {
                record.started_at = Some(at);
                record.finished_at = None;
                record.reason = reason;
            }
            Mark::Complete | Mark::Fail | Mark::Skip => {
                record.finished_at = Some(at);
                record.reason = reason;
            }
            Mark::Resume => {
                *record = PhaseRecord::default();
            }
        }
        Ok(())
    }

    /// The first phase that has not completed or been skipped for good.
    #[must_use]
    pub fn first_unfinished(&self) -> Option<Phase> {
        Phase::ALL.into_iter().find(|phase| {
            matches!(
                self.phase(*phase).status,
                Status::Pending | Status::Running | Status::Failed
            )
        })
    }

    /// New code of this release reached all its hosts and stayed.
    #[must_use]
    pub fn rolled_out(&self) -> bool {
        matches!(self.kind, ReleaseKind::Deploy | ReleaseKind::Rollback)
            && self.phase(Phase::Rollout).status == Status::Completed
            && !self.undone
    }

    /// The live release with its containers made anew: a rollback onto what was
    /// live already.
    #[must_use]
    pub fn restarts(&self) -> bool {
        self.kind == ReleaseKind::Rollback
            && self.target_id.is_some()
            && self.target_id == self.previous_id
    }

    /// What people call it.
    #[must_use]
    pub fn label(&self) -> &'static str {
        if self.restarts() {
            "restart"
        } else {
            self.kind.label()
        }
    }

    /// May be a rollback's target: live once, nothing failed, not marked bad.
    #[must_use]
    pub fn good(&self) -> bool {
        self.rolled_out()
            && !self.bad
            && self.outcome == Outcome::Done
            && self
                .phases
                .values()
                .all(|record| record.status != Status::Failed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_new_id_is_greater_than_every_known_one_even_when_the_clock_is_behind() {
        let newest: ReleaseId = "rel-20990101-000000999".parse().expect("an id");
        let next = ReleaseId::next(Utc::now(), Some(&newest));
        assert_eq!(next.as_str(), "rel-20990101-000001000");
    }
}
