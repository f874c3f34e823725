//! The plan of a rollback. It has no migration field: a rollback cannot
//! migrate. A target that cannot live with today's schema is refused, unless
//! somebody forces it; what speaks against it then stands in the plan.

use indexmap::IndexMap;
use serde::Serialize;

use crate::model::fault::Fault;
use crate::model::history::History;
use crate::model::host::HostAddress;
use crate::model::image::PinnedImage;
use crate::model::names::{EnvironmentName, ProjectName, RoleName};
use crate::model::project::{Environment, Role};
use crate::model::release::{Release, ReleaseId, RoleRecord};

use super::facts::Facts;
use super::identity::plan_id;
use super::rollout::{Again, ReadyRole, RolloutOutline, outline};
use super::safety::{self, Applied, Objection};
use super::slots::live_before;

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
    /// What is overruled by `--force-schema`.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub overruled: Vec<Objection>,
    pub warnings: Vec<String>,
    /// A restart of these roles alone; none: of all.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub only: Vec<RoleName>,
    /// What of the target runs on, as it is.
    #[serde(skip_serializing_if = "IndexMap::is_empty")]
    pub stays: IndexMap<HostAddress, Vec<String>>,
}

impl RollbackPlan {
    /// The containers of the live release are made anew: see
    /// [`restart`](super::restart::restart).
    #[must_use]
    pub fn restarts(&self) -> bool {
        self.from == self.target
    }

    /// Why nothing is built, pushed or migrated.
    #[must_use]
    pub fn reason(&self) -> String {
        let what = if self.restarts() {
            "restart of"
        } else {
            "rollback to"
        };
        format!("{what} {}", self.target)
    }
}

#[derive(Debug, Clone)]
pub struct RollbackRequest {
    pub release: ReleaseId,
    pub to: Option<ReleaseId>,
    pub schema: SchemaCheck,
}

/// What to do with a target that today's schema speaks against.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SchemaCheck {
    Refuse,
    /// `--force-schema`: plan it, for somebody to approve.
    Force,
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

/// # Errors
/// `Refused`: nothing is.
pub(super) fn live<'a>(environment: &Environment, facts: &'a Facts) -> Result<&'a Release, Fault> {
    let live = facts.history.live(&environment.name);
    live.ok_or_else(|| nothing_live(environment))
}

fn nothing_live(environment: &Environment) -> Fault {
    Fault::refused(format!("nothing is live in `{}`", environment.name))
        .because("no release of this environment has completed its rollout")
        .state("nothing was changed")
        .hint(format!(
            "run `stagecraft deploy --env {}`",
            environment.name
        ))
}

/// Lays the chosen target out. `ready` are its roles with today's values.
///
/// # Errors
/// `Refused`: it cannot be brought back, or cannot live with the schema.
pub fn rollback(
    environment: &Environment,
    facts: &Facts,
    request: &RollbackRequest,
    target: &Release,
    ready: &IndexMap<RoleName, ReadyRole>,
) -> Result<RollbackPlan, Fault> {
    // The rollback itself may be live by now, when it is resumed.
    let live = live_before(&facts.history, environment, &request.release)
        .ok_or_else(|| nothing_live(environment))?;
    let Some(image) = target.image.clone() else {
        return Err(
            Fault::refused(format!("release `{}` has no recorded image", target.id))
                .state("nothing was changed"),
        );
    };
    let applied = safety::applied(facts, environment);
    let (said, overruled): (Vec<_>, Vec<_>) = safety::objections(target, &applied)
        .into_iter()
        .partition(|objection| safety::gated(environment) == Some(&objection.database));
    if request.schema == SchemaCheck::Refuse && !overruled.is_empty() {
        let safe = safer(&facts.history, environment, target, &applied);
        return Err(refused(environment, live, target, &overruled, safe));
    }
    let mut warnings = warnings(environment, facts, target);
    warnings.extend(
        said.iter()
            .map(|objection| format!("the schema gate decides, and the files say: {objection}")),
    );
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
        overruled,
        warnings,
        only: vec![],
        stays: IndexMap::new(),
    };
    plan.id = plan_id(
        &(
            &plan.environment,
            &plan.from,
            &plan.target,
            &plan.image,
            &plan.rollout,
            &plan.overruled,
        ),
        Some(&request.release),
    );
    Ok(plan)
}

/// The target of a rollback that was cut off: chosen then, and brought back as
/// far as it came.
///
/// # Errors
/// `Refused`: the record does not have it any more.
pub fn resumed_target<'a>(facts: &'a Facts, release: &Release) -> Result<&'a Release, Fault> {
    let target = release.target_id.as_ref();
    target.and_then(|id| facts.history.find(id)).ok_or_else(|| {
        Fault::refused(format!(
            "the target of `{}` is in no record any more",
            release.id
        ))
        .hint(format!(
            "undo it: `stagecraft deploy --env {} --abort`",
            release.environment
        ))
    })
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

/// A target between the refused one and the live one that can.
fn safer<'a>(
    history: &'a History,
    environment: &Environment,
    target: &Release,
    applied: &[Applied],
) -> Option<&'a Release> {
    let mut targets = history.targets(&environment.name).into_iter();
    targets.find(|other| {
        other.id > target.id
            && safety::objections(other, applied)
                .iter()
                .all(|objection| safety::gated(environment) == Some(&objection.database))
    })
}

fn refused(
    environment: &Environment,
    live: &Release,
    target: &Release,
    objections: &[Objection],
    safe: Option<&Release>,
) -> Fault {
    let name = &environment.name;
    let mut fault = Fault::refused(format!(
        "release {} ({}) cannot be rolled back to: its code does not know today's schema",
        target.id, target.version
    ));
    for objection in objections {
        fault = fault.because(objection.to_string());
    }
    fault = fault
        .state(format!(
            "nothing was changed; {} ({}) is still live",
            live.id, live.version
        ))
        .hint(format!(
            "go forward: mend the code and run `stagecraft deploy --env {name}`"
        ));
    if let Some(safe) = safe {
        fault = fault.hint(format!(
            "or go back less far, to {}, which can live with it: `stagecraft rollback --env {name} --to {}`",
            safe.version, safe.id
        ));
    }
    fault.hint(format!(
        "or, when you know that {0} works on this schema, see the plan with `stagecraft rollback --env {name} --to {1} --force-schema --dry-run`, and run it with `--approve` and its id",
        target.version, target.id
    ))
}

fn warnings(environment: &Environment, facts: &Facts, target: &Release) -> Vec<String> {
    let mut warnings: Vec<String> = facts.in_maintenance(environment).into_iter().collect();
    for (database, why) in &facts.unread {
        warnings.push(format!(
            "`{database}` was not read ({why}): what is applied comes from the records of earlier releases"
        ));
    }
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
