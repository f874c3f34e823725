//! Past releases, and the questions one asks of all of them.

use super::names::EnvironmentName;
use super::release::{Outcome, Release, ReleaseId, ReleaseKind};

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
        let left = self.left(environment);
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

    /// Every release that may be gone back to, newest first: good ones that
    /// do not run now and were not rolled back from.
    #[must_use]
    pub fn targets(&self, environment: &EnvironmentName) -> Vec<&Release> {
        let left = self.left(environment);
        let runs = self
            .live(environment)
            .map(|live| &self.image_release(live).id);
        self.of(environment)
            .rev()
            .filter(|release| release.kind == ReleaseKind::Deploy && release.good())
            .filter(|release| Some(&release.id) != runs && !left.contains(&&release.id))
            .collect()
    }

    /// Rolled back from. A restart leaves nothing.
    fn left(&self, environment: &EnvironmentName) -> Vec<&ReleaseId> {
        self.of(environment)
            .filter(|release| release.kind == ReleaseKind::Rollback && release.rolled_out())
            .filter(|release| !release.restarts())
            .filter_map(|release| release.previous_id.as_ref())
            .collect()
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
    use indexmap::IndexMap;
    use uuid::Uuid;

    use super::super::phase::{Phase, Status};
    use super::super::release::{PhaseRecord, PlanRecord};
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
            project: None,
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
            backups: vec![],
            known_migrations: IndexMap::new(),
            schema: IndexMap::new(),
            roles: IndexMap::new(),
            plan: PlanRecord::default(),
            rollback_safe: None,
            rollback_reasons: vec![],
            forced: None,
            approved: None,
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
    fn a_restart_leaves_nothing_and_stands_for_what_it_restarted() {
        let history = History::new(vec![
            release(A, ReleaseKind::Deploy, None, None),
            release(B, ReleaseKind::Rollback, Some(A), Some(A)),
            release(C, ReleaseKind::Rollback, Some(B), Some(B)),
            release(D, ReleaseKind::Deploy, Some(C), None),
        ]);
        let target = history.rollback_target(&prod());
        assert_eq!(target.map(|release| release.id.as_str()), Some(A));
        assert_eq!(history.targets(&prod()).len(), 1);
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
