//! Releases: one attempt each to put an image into an environment, and the
//! questions one asks of all of them.

use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;

use chrono::{DateTime, Duration, Utc};
use indexmap::IndexMap;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::container::{PortBinding, StopPolicy};
use super::host::HostAddress;
use super::image::PinnedImage;
use super::migration::MigrationResult;
use super::names::{DatabaseName, EnvironmentName, RoleName};
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
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Release {
    pub id: ReleaseId,
    pub uuid: Uuid,
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

/// Past releases of one project, oldest first, and the questions one asks.
#[derive(Debug, Clone, Default)]
pub struct History {
    releases: Vec<Release>,
}

impl History {
    #[must_use]
    pub fn new(mut releases: Vec<Release>) -> Self {
        releases.sort_by(|a, b| (&a.id, &a.uuid).cmp(&(&b.id, &b.uuid)));
        Self { releases }
    }

    #[must_use]
    pub fn all(&self) -> &[Release] {
        &self.releases
    }

    /// The releases of one environment, oldest first.
    pub fn of(
        &self,
        environment: &EnvironmentName,
    ) -> impl DoubleEndedIterator<Item = &Release> + use<'_> {
        let environment = environment.clone();
        self.releases
            .iter()
            .filter(move |release| release.environment == environment)
    }

    #[must_use]
    pub fn find(&self, id: &ReleaseId) -> Option<&Release> {
        self.releases.iter().find(|release| release.id == *id)
    }

    #[must_use]
    pub fn newest_id(&self) -> Option<&ReleaseId> {
        self.releases.iter().map(|release| &release.id).max()
    }

    /// The last release whose rollout completed and was not undone, whatever
    /// came after.
    #[must_use]
    pub fn live(&self, environment: &EnvironmentName) -> Option<&Release> {
        self.of(environment)
            .rev()
            .find(|release| release.rolled_out())
    }

    /// A release that was cut off.
    #[must_use]
    pub fn open(&self, environment: &EnvironmentName) -> Option<&Release> {
        self.of(environment)
            .rev()
            .find(|release| release.outcome == Outcome::Open)
    }

    /// Where `rollback` without a target goes: from the live release (for a
    /// rollback, from its target) along `previous_id` to the first good one,
    /// never one that was rolled back from.
    #[must_use]
    pub fn rollback_target(&self, environment: &EnvironmentName) -> Option<&Release> {
        let live = self.live(environment)?;
        let left: Vec<&ReleaseId> = self
            .of(environment)
            .filter(|release| release.kind == ReleaseKind::Rollback && release.rolled_out())
            .filter_map(|release| release.previous_id.as_ref())
            .collect();
        let mut at = self.image_release(live);
        let mut steps = 0;
        loop {
            let previous = self.find(at.previous_id.as_ref()?)?;
            // A rollback stands for the release whose image it brought back.
            let candidate = self.image_release(previous);
            if candidate.id != self.image_release(live).id
                && candidate.good()
                && !left.contains(&&candidate.id)
            {
                return Some(candidate);
            }
            at = previous;
            steps += 1;
            if steps > self.releases.len() {
                return None;
            }
        }
    }

    /// For a rollback the release whose image it brought back, else itself.
    #[must_use]
    pub fn image_release<'a>(&'a self, release: &'a Release) -> &'a Release {
        let mut at = release;
        for _ in 0..self.releases.len() {
            match at.target_id.as_ref().and_then(|id| self.find(id)) {
                Some(target) => at = target,
                None => break,
            }
        }
        at
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn release(
        id: &str,
        kind: ReleaseKind,
        previous: Option<&str>,
        target: Option<&str>,
    ) -> Release {
        let id: ReleaseId = id.parse().expect("an id");
        let mut phases = IndexMap::new();
        for phase in Phase::ALL {
            phases.insert(
                phase,
                PhaseRecord {
                    status: Status::Completed,
                    ..PhaseRecord::default()
                },
            );
        }
        Release {
            timestamp: id.time(),
            id,
            uuid: Uuid::now_v7(),
            environment: "prod".parse().expect("a name"),
            kind,
            version: "v".into(),
            commit_sha: None,
            dirty: false,
            actor: "me".into(),
            image: None,
            previous_id: previous.map(|id| id.parse().expect("an id")),
            target_id: target.map(|id| id.parse().expect("an id")),
            config_hash: String::new(),
            phases,
            hosts: IndexMap::new(),
            migrations: vec![],
            known_migrations: IndexMap::new(),
            schema: IndexMap::new(),
            roles: IndexMap::new(),
            plan: PlanRecord::default(),
            rollback_safe: None,
            rollback_reasons: vec![],
            outcome: Outcome::Done,
            bad: false,
            undone: false,
            revision: 1,
            extra: serde_json::Map::new(),
        }
    }

    const A: &str = "rel-20260101-000000001";
    const B: &str = "rel-20260101-000000002";
    const C: &str = "rel-20260101-000000003";
    const D: &str = "rel-20260101-000000004";

    fn prod() -> EnvironmentName {
        "prod".parse().expect("a name")
    }

    #[test]
    fn a_new_id_is_greater_than_every_known_one_even_when_the_clock_is_behind() {
        let newest: ReleaseId = "rel-20990101-000000999".parse().expect("an id");
        let next = ReleaseId::next(Utc::now(), Some(&newest));
        assert_eq!(next.as_str(), "rel-20990101-000001000");
    }

    #[test]
    fn a_second_rollback_goes_further_back_not_forth() {
        let history = History::new(vec![
            release(A, ReleaseKind::Deploy, None, None),
            release(B, ReleaseKind::Deploy, Some(A), None),
            release(C, ReleaseKind::Deploy, Some(B), None),
            release(D, ReleaseKind::Rollback, Some(C), Some(B)),
        ]);
        assert_eq!(
            history.rollback_target(&prod()).map(|r| r.id.as_str()),
            Some(A)
        );
    }

    #[test]
    fn a_release_marked_bad_is_never_a_target() {
        let mut bad = release(B, ReleaseKind::Deploy, Some(A), None);
        bad.bad = true;
        let history = History::new(vec![
            release(A, ReleaseKind::Deploy, None, None),
            bad,
            release(C, ReleaseKind::Deploy, Some(B), None),
        ]);
        assert_eq!(
            history.rollback_target(&prod()).map(|r| r.id.as_str()),
            Some(A)
        );
    }

    #[test]
    fn a_failed_release_does_not_become_live() {
        let mut failed = release(B, ReleaseKind::Deploy, Some(A), None);
        failed.outcome = Outcome::Failed;
        failed.phases.insert(
            Phase::Rollout,
            PhaseRecord {
                status: Status::Failed,
                ..PhaseRecord::default()
            },
        );
        let history = History::new(vec![release(A, ReleaseKind::Deploy, None, None), failed]);
        assert_eq!(history.live(&prod()).map(|r| r.id.as_str()), Some(A));
    }
}
