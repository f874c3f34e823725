//! A small history for the tests of this folder: one release done, one failed,
//! one cut off, and another environment.

use chrono::Duration;
use indexmap::IndexMap;
use uuid::Uuid;

use crate::model::compat::{Compat, Finding, Harm};
use crate::model::history::History;
use crate::model::image::{Carriage, PinnedImage};
use crate::model::migration::{MigrationOutcome, MigrationResult};
use crate::model::phase::{Phase, Status};
use crate::model::release::{
    HostRecord, Outcome, PhaseRecord, PlanRecord, Release, ReleaseId, ReleaseKind, SchemaRecord,
};

const DONE: &str = "rel-20260114-101502001";
const FAILED: &str = "rel-20260115-090000000";
const OPEN: &str = "rel-20260116-120000500";
const STAGING: &str = "rel-20260116-130000000";

pub(super) fn history() -> History {
    History::new(vec![done(), failed(), open(), staging()])
}

fn done() -> Release {
    let mut release = begun(DONE, 1);
    release.outcome = Outcome::Done;
    release.rollback_safe = Some(false);
    release.rollback_reasons = vec!["`0042_drop.sql` drops a column".to_owned()];
    for phase in Phase::ALL {
        mark(&mut release, phase, Status::Completed, None);
    }
    release.schema.insert(
        "main".parse().expect("a name"),
        SchemaRecord {
            before: Some(41),
            after: Some(42),
            fingerprint: None,
        },
    );
    release.migrations.push(MigrationResult {
        database: "main".parse().expect("a name"),
        id: "0042_drop.sql".to_owned(),
        checksum: "aa".to_owned(),
        duration_ms: 95,
        outcome: MigrationOutcome::Applied,
        compat: Some(Compat::of(vec![Finding {
            harm: Harm::Breaks,
            file: "db/migrations/0042_drop.sql".to_owned(),
            line: 3,
            statement: "ALTER TABLE notes DROP COLUMN body".to_owned(),
            why: "drops the column `notes.body`".to_owned(),
            made_by: None,
            further: 0,
        }])),
    });
    for address in ["deploy@10.0.0.10", "web2"] {
        release.hosts.insert(
            address.parse().expect("an address"),
            HostRecord {
                digest: String::new(),
                containers: vec![format!("shop-prod-web-1-{DONE}")],
                slot: DONE.to_owned(),
            },
        );
    }
    release
}

fn failed() -> Release {
    let mut release = begun(FAILED, 2);
    release.outcome = Outcome::Failed;
    release.dirty = true;
    release.bad = true;
    release.previous_id = Some(DONE.parse().expect("an id"));
    for phase in [Phase::Build, Phase::Push, Phase::MigratePre] {
        mark(&mut release, phase, Status::Completed, None);
    }
    let reason = "`web` on web2 did not become healthy within 30 s";
    mark(&mut release, Phase::Rollout, Status::Failed, Some(reason));
    for phase in Phase::Rollout.later() {
        mark(&mut release, phase, Status::Skipped, Some("rollout failed"));
    }
    release
}

fn open() -> Release {
    let mut release = begun(OPEN, 3);
    release.previous_id = Some(DONE.parse().expect("an id"));
    mark(&mut release, Phase::Build, Status::Completed, None);
    mark(&mut release, Phase::Push, Status::Running, None);
    release
}

fn staging() -> Release {
    let mut release = begun(STAGING, 4);
    release.environment = "staging".parse().expect("a name");
    release.kind = ReleaseKind::Rollback;
    release.outcome = Outcome::Done;
    release.target_id = Some(DONE.parse().expect("an id"));
    for phase in [Phase::Build, Phase::Push, Phase::MigratePre] {
        mark(&mut release, phase, Status::Skipped, Some("rollback"));
    }
    mark(&mut release, Phase::Rollout, Status::Completed, None);
    mark(
        &mut release,
        Phase::MigratePost,
        Status::Skipped,
        Some("rollback"),
    );
    mark(&mut release, Phase::Finalize, Status::Completed, None);
    release
}

fn begun(id: &str, n: u128) -> Release {
    let id: ReleaseId = id.parse().expect("an id");
    Release {
        timestamp: id.time(),
        id,
        uuid: Uuid::from_u128(n),
        project: None,
        environment: "prod".parse().expect("a name"),
        kind: ReleaseKind::Deploy,
        version: format!("v1.{n}"),
        commit_sha: Some("4f2a9c10".to_owned()),
        dirty: false,
        actor: "ann@laptop".to_owned(),
        image: Some(PinnedImage {
            repository: "ghcr.io/acme/shop".to_owned(),
            digest: format!("sha256:{}", "0123456789abcdef".repeat(4))
                .parse()
                .expect("a digest"),
            id: None,
            carriage: Carriage::Registry,
            local_reference: String::new(),
        }),
        previous_id: None,
        target_id: None,
        config_hash: String::new(),
        phases: IndexMap::new(),
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

/// The phases begin a second and a half apart; each takes a bit longer.
fn mark(release: &mut Release, phase: Phase, status: Status, reason: Option<&str>) {
    let n = i32::try_from(release.phases.len()).expect("few");
    let started = release.timestamp + Duration::milliseconds(1_500) * n;
    let ran = matches!(status, Status::Running | Status::Completed | Status::Failed);
    let finished = started + Duration::milliseconds(700) * (n + 1);
    release.phases.insert(
        phase,
        PhaseRecord {
            status,
            reason: reason.map(str::to_owned),
            started_at: ran.then_some(started),
            finished_at: (status != Status::Running).then_some(finished),
            output: serde_json::Value::Null,
        },
    );
}
