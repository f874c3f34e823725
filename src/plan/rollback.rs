//! The plan of a rollback. It has no migration field: a rollback cannot
//! migrate.

use indexmap::IndexMap;
use serde::Serialize;

use crate::model::fault::Fault;
use crate::model::image::PinnedImage;
use crate::model::names::{EnvironmentName, ProjectName, RoleName};
use crate::model::project::{Environment, Role};
use crate::model::release::{Release, ReleaseId, RoleRecord};

use super::facts::Facts;
use super::identity::plan_id;
use super::rollout::{Again, ReadyRole, RolloutOutline, outline};

#[must_use]
#[derive(Debug, Clone, Serialize)]
pub struct RollbackPlan {
    pub id: String,
    pub project: ProjectName,
    pub environment: EnvironmentName,
    #[serde(skip)]
    pub release: ReleaseId,
    /// The release that is live now, which this one leaves.
    pub from: ReleaseId,
    pub from_version: String,
    /// The release whose image comes back.
    pub target: ReleaseId,
    pub version: String,
    pub commit_sha: Option<String>,
    pub dirty: bool,
    pub image: PinnedImage,
    pub config_hash: String,
    pub rollout: RolloutOutline,
    /// From the target's record.
    #[serde(skip)]
    pub roles: IndexMap<RoleName, Role>,
    #[serde(skip)]
    pub records: IndexMap<RoleName, RoleRecord>,
    pub warnings: Vec<String>,
}

#[derive(Debug, Clone)]
pub struct RollbackRequest {
    pub release: ReleaseId,
    pub to: Option<ReleaseId>,
}

/// Chooses the target.
///
/// # Errors
/// `Refused`: nothing is live, no such release, or one that is no target.
pub fn rollback_target<'a>(
    environment: &Environment,
    facts: &'a Facts,
    request: &RollbackRequest,
) -> Result<&'a Release, Fault> {
    let live = live(environment, facts)?;
    match &request.to {
        Some(id) => chosen(environment, facts, live, id),
        None => facts
            .history
            .rollback_target(&environment.name)
            .ok_or_else(|| no_target(environment, live)),
    }
}

fn live<'a>(environment: &Environment, facts: &'a Facts) -> Result<&'a Release, Fault> {
    facts.history.live(&environment.name).ok_or_else(|| {
        Fault::refused(format!("nothing is live in `{}`", environment.name))
            .because("no release of this environment has completed its rollout")
            .state("nothing was changed")
            .hint(format!(
                "run `stagecraft deploy --env {}`",
                environment.name
            ))
    })
}

/// Lays the chosen target out. `ready` are its roles with today's values.
///
/// # Errors
/// `Refused`: it cannot be brought back.
pub fn rollback(
    environment: &Environment,
    facts: &Facts,
    request: &RollbackRequest,
    target: &Release,
    ready: &IndexMap<RoleName, ReadyRole>,
) -> Result<RollbackPlan, Fault> {
    let live = live(environment, facts)?;
    let Some(image) = target.image.clone() else {
        return Err(
            Fault::refused(format!("release `{}` has no recorded image", target.id))
                .state("nothing was changed"),
        );
    };
    let roles: IndexMap<RoleName, Role> = target
        .roles
        .iter()
        .map(|(name, record)| (name.clone(), role_of(name, record)))
        .collect();
    let mut plan = RollbackPlan {
        id: String::new(),
        project: environment.project.clone(),
        environment: environment.name.clone(),
        release: request.release.clone(),
        from: live.id.clone(),
        from_version: live.version.clone(),
        target: target.id.clone(),
        version: target.version.clone(),
        commit_sha: target.commit_sha.clone(),
        dirty: target.dirty,
        image,
        config_hash: environment.config_hash.clone(),
        rollout: outline(
            environment,
            &roles,
            facts,
            &request.release,
            Some(Again { target, ready }),
        )?,
        roles,
        records: target.roles.clone(),
        warnings: warnings(environment, target),
    };
    plan.id = plan_id(&(
        &plan.environment,
        &plan.from,
        &plan.target,
        &plan.image,
        &plan.rollout,
    ));
    Ok(plan)
}

fn chosen<'a>(
    environment: &Environment,
    facts: &'a Facts,
    live: &Release,
    id: &ReleaseId,
) -> Result<&'a Release, Fault> {
    let refuse = |what: String, why: &str| {
        Fault::refused(what)
            .because(why)
            .state(format!("nothing was changed; {} is still live", live.id))
            .hint(format!(
                "see `stagecraft releases list --env {}`",
                environment.name
            ))
    };
    let release = facts
        .history
        .of(&environment.name)
        .find(|release| release.id == *id)
        .ok_or_else(|| {
            refuse(
                format!("there is no release `{id}` in `{}`", environment.name),
                "",
            )
        })?;
    if release.id == live.id {
        return Err(refuse(format!("release `{id}` is live already"), ""));
    }
    if facts.history.image_release(release).id == facts.history.image_release(live).id {
        return Err(refuse(
            format!("what release `{id}` brought is live already"),
            "the live release is a rollback to it",
        ));
    }
    if release.bad {
        return Err(refuse(
            format!("release `{id}` is marked bad"),
            "a release marked bad is never a target",
        ));
    }
    if !release.good() {
        return Err(refuse(
            format!("release `{id}` cannot be rolled back to"),
            "a target was live once and nothing of it failed",
        ));
    }
    // A rollback stands for the release whose image it brought back.
    Ok(facts.history.image_release(release))
}

fn no_target(environment: &Environment, live: &Release) -> Fault {
    Fault::refused(format!("there is no release to roll back to in `{}`", environment.name))
        .because("no good release came before the live one: one that was live, did not fail, is not marked bad, and was not rolled back from")
        .state(format!("nothing was changed; {} ({}) is still live", live.id, live.version))
        .hint(format!("choose one yourself: `stagecraft rollback --env {0} --to ID`, from `stagecraft releases list --env {0}`", environment.name))
}

/// A role as a release's record has it.
#[must_use]
pub fn role_of(name: &RoleName, record: &RoleRecord) -> Role {
    Role {
        name: name.clone(),
        port: record.port,
        publish: record.publish,
        command: record.command.clone(),
        health: record.health.clone(),
        replicas: record.replicas,
        volumes: record.volumes.clone(),
        stop: record.stop.clone(),
        overlap: record.overlap,
    }
}

fn warnings(environment: &Environment, target: &Release) -> Vec<String> {
    let mut warnings = vec![];
    if !environment.databases.is_empty() {
        warnings.push("databases are not rolled back: the older code will run against today's schema and data".to_owned());
    }
    for host in &environment.hosts {
        for role in &host.roles {
            if !target.roles.contains_key(role) {
                warnings.push(format!(
                    "release {} had no role `{role}`: it will not run on {}",
                    target.id, host.address
                ));
            }
        }
    }
    warnings
}
