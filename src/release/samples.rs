//! Releases for the tests of this folder.

use indexmap::IndexMap;
use uuid::Uuid;

use crate::model::phase::{Phase, Status};
use crate::model::release::{Outcome, PhaseRecord, PlanRecord, Release, ReleaseId, ReleaseKind};

/// The release number `n`, with the uuid that belongs to the number.
pub(super) fn release(n: u32) -> Release {
    let id: ReleaseId = format!("rel-20260114-101502{n:03}").parse().expect("an id");
    Release {
        timestamp: id.time(),
        id,
        uuid: Uuid::from_u128(u128::from(n)),
        project: None,
        environment: "prod".parse().expect("a name"),
        kind: ReleaseKind::Deploy,
        version: format!("v{n}"),
        commit_sha: None,
        dirty: false,
        actor: "ann".to_owned(),
        image: None,
        previous_id: None,
        target_id: None,
        config_hash: String::new(),
        phases: Phase::ALL
            .into_iter()
            .map(|phase| (phase, PhaseRecord::default()))
            .collect::<IndexMap<_, _>>(),
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
        outcome: Outcome::Open,
        bad: false,
        undone: false,
        revision: 1,
        extra: serde_json::Map::new(),
    }
}

/// The next revision, with one phase at a status.
pub(super) fn at(release: &Release, phase: Phase, status: Status) -> Release {
    let mut next = release.clone();
    next.revision += 1;
    next.phases.entry(phase).or_default().status = status;
    next
}
