//! A release's record as it begins.

use indexmap::IndexMap;
use uuid::Uuid;

use crate::model::backup::{AutoRestore, BackupRecord, BackupTaken};
use crate::model::fault::Fault;
use crate::model::migration::{Files, MigrationPlan};
use crate::model::phase::{Mark, Phase, Status};
use crate::model::project::Environment;
use crate::model::release::{Outcome, PhaseRecord, PlanRecord, Release, ReleaseId, ReleaseKind};
use crate::plan::{
    DeployPlan, MigrateStep, PushStep, RollbackPlan, SourceFacts, Step, role_record,
};

/// Who begins a release.
#[derive(Debug, Clone)]
pub struct Origin {
    /// Such as `ada@laptop`.
    pub actor: String,
}

#[must_use]
pub fn new_deploy(environment: &Environment, plan: &DeployPlan, origin: &Origin) -> Release {
    let mut release = blank(
        environment,
        plan.release.clone(),
        ReleaseKind::Deploy,
        origin,
    );
    release.version.clone_from(&plan.version);
    release.commit_sha.clone_from(&plan.commit_sha);
    release.dirty = plan.dirty;
    release.previous_id.clone_from(&plan.previous_id);
    // A prebuilt image is known from the start: a resumed release needs it.
    if let Step::Do(PushStep::Pinned(image)) = &plan.push {
        release.image = Some(image.clone());
    }
    release.roles = environment
        .roles
        .iter()
        .map(|(name, role)| (name.clone(), role_record(environment, role)))
        .collect();
    release.plan.id.clone_from(&plan.id);
    let awaited = |plan: &&MigrationPlan| plan.files == Files::Awaited;
    release.plan.awaited = plan
        .migrations
        .iter()
        .filter(awaited)
        .map(|plan| plan.database.clone())
        .collect();
    for step in [&plan.migrate_pre, &plan.migrate_post] {
        let Step::Do(MigrateStep { migrations, .. }) = step else {
            continue;
        };
        for migration in migrations {
            let planned = release
                .plan
                .migrations
                .entry(migration.database.clone())
                .or_default();
            planned.push((migration.id.clone(), migration.checksum.clone()));
        }
    }
    // From the start: a process that is killed leaves the databases changed.
    for database in &plan.migrations {
        if release.plan.migrations.contains_key(&database.database) {
            let record = release.schema.entry(database.database.clone()).or_default();
            record.before = database.schema_version;
            record.after = database.schema_version;
        }
    }
    release
}

#[must_use]
pub fn new_rollback(environment: &Environment, plan: &RollbackPlan, origin: &Origin) -> Release {
    let mut release = blank(
        environment,
        plan.release.clone(),
        ReleaseKind::Rollback,
        origin,
    );
    release.version.clone_from(&plan.version);
    release.commit_sha.clone_from(&plan.commit_sha);
    release.dirty = plan.dirty;
    release.previous_id = Some(plan.from.clone());
    release.target_id = Some(plan.target.clone());
    release.image = Some(plan.image.clone());
    release.roles.clone_from(&plan.records);
    // Its containers are told today's port.
    for record in release.roles.values_mut() {
        let gate = environment.schema_gate.as_ref();
        record.internal_port = gate.map(|gate| gate.port);
    }
    release.plan.id.clone_from(&plan.id);
    release.plan.roles.clone_from(&plan.only);
    release
}

/// `migrate run` is recorded too; it is never live and never a target.
#[must_use]
pub fn new_migration(
    environment: &Environment,
    id: ReleaseId,
    source: &SourceFacts,
    live: Option<&ReleaseId>,
    origin: &Origin,
) -> Release {
    let mut release = blank(environment, id, ReleaseKind::Migrate, origin);
    release.version = source.commit.as_ref().map_or_else(
        || "-".to_owned(),
        |commit| commit.chars().take(12).collect(),
    );
    release.commit_sha.clone_from(&source.commit);
    release.dirty = source.dirty;
    release.previous_id = live.cloned();
    for phase in [
        Phase::Build,
        Phase::Push,
        Phase::Rollout,
        Phase::MigratePost,
    ] {
        let record = release.phases.entry(phase).or_default();
        record.status = Status::Skipped;
        record.reason = Some("migrations alone".to_owned());
    }
    release
}

/// `backup restore` is recorded the same way; it has no phases of its own.
#[must_use]
pub fn new_restore(
    environment: &Environment,
    id: ReleaseId,
    source: &SourceFacts,
    live: Option<&ReleaseId>,
    backup: &BackupRecord,
    origin: &Origin,
) -> Release {
    let mut release = new_migration(environment, id, source, live, origin);
    release.kind = ReleaseKind::Restore;
    release.version = backup.id.to_string();
    for record in release.phases.values_mut() {
        record.status = Status::Skipped;
        record.reason = Some("a restore alone".to_owned());
    }
    release.backups = vec![BackupTaken {
        database: backup.database.clone(),
        id: backup.id.clone(),
        host: backup.host.clone(),
        path: backup.path.clone(),
        restore: AutoRestore::None,
    }];
    let before = backup.contents.schema_version;
    let schema = release.schema.entry(backup.database.clone()).or_default();
    schema.before = before;
    schema.after = before;
    release
}

fn blank(environment: &Environment, id: ReleaseId, kind: ReleaseKind, origin: &Origin) -> Release {
    Release {
        timestamp: id.time(),
        id,
        uuid: Uuid::now_v7(),
        project: Some(environment.project.clone()),
        environment: environment.name.clone(),
        kind,
        version: String::new(),
        commit_sha: None,
        dirty: false,
        actor: origin.actor.clone(),
        image: None,
        previous_id: None,
        target_id: None,
        config_hash: environment.config_hash.clone(),
        phases: Phase::ALL
            .into_iter()
            .map(|phase| (phase, PhaseRecord::default()))
            .collect(),
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
        revision: 0,
        extra: serde_json::Map::new(),
    }
}

/// Takes up a release that was cut off or failed: every phase that did not
/// complete is pending again, except those skipped for a reason of their own.
///
/// # Errors
/// The record does not allow it.
pub fn reopen(release: &mut Release) -> Result<(), Fault> {
    let now = chrono::Utc::now();
    let from = release.first_unfinished();
    for phase in Phase::ALL
        .into_iter()
        .filter(|phase| from.is_some_and(|from| *phase >= from))
    {
        match release.phase(phase).status {
            Status::Pending | Status::Completed => {}
            Status::Running | Status::Failed | Status::Skipped => release
                .mark(phase, Mark::Resume, now, None)
                .map_err(|illegal| {
                    Fault::internal("the record does not allow this").caused_by(&illegal)
                })?,
        }
    }
    release.outcome = Outcome::Open;
    Ok(())
}

/// Closes a `migrate run` that was cut off. The database knows what it did, and
/// the next run takes up there: nothing has to be resumed or aborted.
///
/// # Errors
/// The record does not allow it.
pub fn close_cut_off(release: &mut Release) -> Result<(), Fault> {
    let now = chrono::Utc::now();
    for phase in Phase::ALL {
        let (mark, reason) = match release.phase(phase).status {
            Status::Running => (Mark::Fail, "cut off"),
            Status::Pending => (Mark::Skip, "not reached: cut off"),
            Status::Completed | Status::Failed | Status::Skipped => continue,
        };
        release
            .mark(phase, mark, now, Some(reason.to_owned()))
            .map_err(|illegal| {
                Fault::internal("the record does not allow this").caused_by(&illegal)
            })?;
    }
    release.outcome = Outcome::Failed;
    release.revision += 1;
    Ok(())
}
