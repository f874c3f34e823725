//! Releases that were cut off: where they stand, and whether they can be
//! finished or undone.

use std::collections::HashSet;

use crate::model::fault::Fault;
use crate::model::history::History;
use crate::model::migration::{AppliedBy, MigrationPlan, MigrationState};
use crate::model::names::DatabaseName;
use crate::model::phase::{Phase, Status};
use crate::model::project::Environment;
use crate::model::release::{Outcome, Release, ReleaseKind};

use super::deploy::{DeployPlan, MigrateStep, PlannedMigration, Step};

/// A release that did not come to its end.
#[derive(Debug, Clone)]
pub struct Interrupted {
    pub release: Release,
    /// The first phase that is neither completed nor skipped.
    pub at: Phase,
}

/// The open deploy or rollback of an environment, if any. A `migrate run` that
/// was cut off needs neither way out: the database knows where it stands.
#[must_use]
pub fn interrupted(history: &History, environment: &Environment) -> Option<Interrupted> {
    let release = history
        .of(&environment.name)
        .rev()
        .find(|release| {
            release.outcome == Outcome::Open
                && matches!(release.kind, ReleaseKind::Deploy | ReleaseKind::Rollback)
        })?
        .clone();
    let at = release.first_unfinished().unwrap_or(Phase::Finalize);
    Some(Interrupted { release, at })
}

/// Why no new release may begin beside an open one, with both ways out.
#[must_use]
pub fn open_release_fault(environment: &Environment, found: &Interrupted) -> Fault {
    let env = &environment.name;
    let release = &found.release;
    let mut fault = Fault::refused(format!(
        "release `{}` ({} {}) {}",
        release.id,
        release.label(),
        release.version,
        match release.phase(found.at).status {
            Status::Failed => "is not at its end",
            Status::Running | Status::Pending | Status::Completed | Status::Skipped =>
                "was cut off",
        }
    ))
    .because(match release.phase(found.at).status {
        Status::Running => format!("it was cut off in {}", found.at),
        Status::Failed => format!("{} failed, and not every host could be put back", found.at),
        Status::Pending | Status::Completed | Status::Skipped => {
            format!("it ended before {}", found.at)
        }
    });
    for line in standing(release) {
        fault = fault.state(line);
    }
    fault = fault.hint(format!(
        "finish it: `stagecraft deploy --env {env} --resume`"
    ));
    if release.phase(Phase::Rollout).status != Status::Completed {
        fault = fault.hint(format!("undo it: `stagecraft deploy --env {env} --abort`"));
    } else {
        fault = fault.hint(format!("go back: `stagecraft deploy --env {env} --resume`, then `stagecraft rollback --env {env}`"));
    }
    fault
}

/// Where a cut-off release left the world, from its record.
fn standing(release: &Release) -> Vec<String> {
    let mut lines = vec![];
    let status = |phase| release.phase(phase).status;
    lines.push(match status(Phase::Rollout) {
        Status::Completed => format!("the new release ({}) serves", release.version),
        Status::Running | Status::Failed => {
            "some hosts may run the new release, others the old one".to_owned()
        }
        Status::Pending | Status::Skipped => match &release.previous_id {
            Some(previous) => format!("{previous} is still live"),
            None => "nothing was live before, and nothing of it serves".to_owned(),
        },
    });
    if status(Phase::MigratePre) == Status::Running || status(Phase::MigratePost) == Status::Running
    {
        lines.push("some of its migrations may be applied".to_owned());
    }
    lines
}

/// The release that `--resume` takes up: an open one, or the newest one when
/// it failed in migrations or finalize.
///
/// # Errors
/// `Refused` when there is none.
pub fn resumable(history: &History, environment: &Environment) -> Result<Interrupted, Fault> {
    if let Some(found) = interrupted(history, environment) {
        return Ok(found);
    }
    let newest = history
        .of(&environment.name)
        .rev()
        .find(|release| matches!(release.kind, ReleaseKind::Deploy | ReleaseKind::Rollback));
    if let Some(release) = newest.filter(|release| release.outcome == Outcome::Failed) {
        let failed = Phase::ALL
            .into_iter()
            .find(|phase| release.phase(*phase).status == Status::Failed);
        if let Some(at @ (Phase::MigratePre | Phase::MigratePost | Phase::Finalize)) = failed {
            return Ok(Interrupted {
                release: release.clone(),
                at,
            });
        }
    }
    Err(Fault::refused(format!(
        "there is nothing to resume in `{}`",
        environment.name
    ))
    .because("no release is open, and the newest one did not fail in migrations or finalize")
    .state("nothing was changed")
    .hint(format!(
        "run `stagecraft deploy --env {}`",
        environment.name
    )))
}

/// Whether `--abort` may undo it.
///
/// # Errors
/// `Refused` when there is nothing open, or its rollout completed.
pub fn abortable(history: &History, environment: &Environment) -> Result<Interrupted, Fault> {
    let env = &environment.name;
    let found = interrupted(history, environment).ok_or_else(|| {
        Fault::refused(format!("there is nothing to abort in `{env}`"))
            .because("no release is open")
            .state("nothing was changed")
            .hint(format!("see `stagecraft releases list --env {env}`"))
    })?;
    if found.release.phase(Phase::Rollout).status == Status::Completed {
        return Err(Fault::refused(format!("release `{}` cannot be aborted", found.release.id))
            .because("its rollout completed: its code serves")
            .state(format!("{} serves", found.release.version))
            .hint(format!("finish it with `stagecraft deploy --env {env} --resume`, then `stagecraft rollback --env {env}`")));
    }
    Ok(found)
}

/// Whether a plan made today is still the one that the release set out with.
///
/// # Errors
/// `Refused`, with every difference.
pub fn matches_today(release: &Release, today: &DeployPlan) -> Result<(), Fault> {
    let mut differences = vec![];
    let live_before = if release.rolled_out() {
        Some(&release.id)
    } else {
        release.previous_id.as_ref()
    };
    if today.previous_id.as_ref() != live_before {
        differences.push(format!(
            "the live release is {}, it was {} then",
            today.previous_id.as_ref().map_or("none", |id| id.as_str()),
            live_before.map_or("none", |id| id.as_str()),
        ));
    }
    if today.config_hash != release.config_hash {
        differences.push("the configuration is another one now".to_owned());
    }
    if unfinished_from_checkout(release) {
        if today.commit_sha != release.commit_sha {
            differences.push(format!(
                "the checkout is at {}, it was at {} then",
                today.commit_sha.as_deref().unwrap_or("no commit"),
                release.commit_sha.as_deref().unwrap_or("no commit"),
            ));
        } else if today.dirty != release.dirty {
            differences.push("the working tree has other changes now".to_owned());
        }
    }
    for plan in &today.migrations {
        let planned = release.plan.migrations.get(&plan.database);
        for (id, _) in planned.into_iter().flatten() {
            if !plan.migrations.iter().any(|migration| migration.id == *id) {
                differences.push(format!(
                    "`{id}` of `{}` was in the plan and is gone",
                    plan.database
                ));
            }
        }
    }
    let databases = today.migrations.iter().map(|plan| &plan.database);
    let known = |database: &&DatabaseName| !release.plan.awaited.contains(database);
    for database in databases.filter(known) {
        let then = release
            .plan
            .migrations
            .get(database)
            .map_or(&[][..], Vec::as_slice);
        let now: Vec<&PlannedMigration> = [&today.migrate_pre, &today.migrate_post]
            .into_iter()
            .flat_map(pending)
            .filter(|migration| migration.database == *database)
            .collect();
        for migration in &now {
            if !then
                .iter()
                .any(|(id, checksum)| *id == migration.id && *checksum == migration.checksum)
            {
                differences.push(format!(
                    "`{}` of `{database}` was not in the plan, or was edited since",
                    migration.id
                ));
            }
        }
    }
    if differences.is_empty() {
        return Ok(());
    }
    let mut fault = Fault::refused(format!("release `{}` cannot be resumed", release.id));
    for difference in differences {
        fault = fault.because(difference);
    }
    let env = &release.environment;
    Err(fault
        .state("nothing was changed by this command")
        .hint(match release.outcome {
            Outcome::Open => {
                format!("undo it: `stagecraft deploy --env {env} --abort`, then deploy again")
            }
            // It is over: nothing stands in the way of another one.
            Outcome::Failed | Outcome::Done | Outcome::Aborted => {
                format!("deploy what is here now: `stagecraft deploy --env {env}`")
            }
        }))
}

/// Notes on what is applied that a release did it: what it set out to run,
/// where the table is a tool's own, which does not tell by whom.
pub fn credit(release: &Release, plans: &mut [MigrationPlan]) {
    for plan in plans {
        let Some(planned) = release.plan.migrations.get(&plan.database) else {
            continue;
        };
        let planned: HashSet<(&str, &str)> = planned
            .iter()
            .map(|(id, checksum)| (id.as_str(), checksum.as_str()))
            .collect();
        for migration in &mut plan.migrations {
            if let MigrationState::Applied { by: by @ None, .. } = &mut migration.state
                && planned.contains(&(migration.id.as_str(), migration.checksum.as_str()))
            {
                *by = Some(AppliedBy {
                    release: release.id.to_string(),
                    duration_ms: 0,
                });
            }
        }
    }
}

/// Whether something that comes from the checkout is still to be done.
fn unfinished_from_checkout(release: &Release) -> bool {
    [Phase::Build, Phase::MigratePre, Phase::MigratePost]
        .into_iter()
        .any(|phase| {
            match release.phase(phase).status {
                Status::Pending | Status::Running | Status::Failed => true,
                // Skipped for a reason of its own, or because of an earlier failure.
                Status::Skipped => {
                    phase != Phase::Build
                        && release
                            .plan
                            .migrations
                            .values()
                            .any(|planned| !planned.is_empty())
                }
                Status::Completed => false,
            }
        })
}

fn pending(step: &Step<MigrateStep>) -> impl Iterator<Item = &PlannedMigration> {
    match step {
        Step::Do(step) => step.migrations.as_slice(),
        Step::Skip(_) => &[],
    }
    .iter()
}
