//! The plan of a restart: the containers of the live release made anew, of the
//! same image and specification, with today's values.
//!
//! A restart is a rollback onto the release that is live already
//! (`target_id` = `previous_id`), rolled out as any other. So behind the proxy
//! nothing is lost, on a single host with a single replica too: the new
//! containers prove themselves beside the old ones before any traffic moves.
//! And whatever happens in between, the journal knows of it: the next command
//! says so, `--resume` finishes it, `--abort` puts the old containers back.
//! Restarting containers where they stand would lose requests where a host has
//! one replica, and leave no record when it is cut off. Databases have no part
//! in it: the schema that the live release serves on is the one it goes on with.
//!
//! Containers that are replaced are removed, not kept: they are no other way
//! back than the new ones. History counts no restart as a release that was
//! rolled back from.

use indexmap::IndexMap;

use crate::model::container::label;
use crate::model::fault::Fault;
use crate::model::host::HostAddress;
use crate::model::names::RoleName;
use crate::model::project::{Environment, Role};
use crate::model::release::{Release, ReleaseId};
use crate::model::slot::OldOnes;

use super::facts::Facts;
use super::identity::plan_id;
use super::rollback::{RollbackPlan, live, role_of};
use super::rollout::{Again, outline};

#[derive(Debug, Clone)]
pub struct RestartRequest {
    pub release: ReleaseId,
    /// None: all.
    pub only: Vec<RoleName>,
}

/// # Errors
/// `Refused`: nothing is live, or it does not have the role.
pub fn restart(
    environment: &Environment,
    facts: &Facts,
    request: &RestartRequest,
) -> Result<RollbackPlan, Fault> {
    let live = restarted(environment, facts, &request.release)?;
    let image = live.image.clone().ok_or_else(|| {
        Fault::refused(format!("release `{}` has no recorded image", live.id))
            .state("nothing was changed")
            .hint(format!(
                "run `stagecraft deploy --env {}`",
                environment.name
            ))
    })?;
    let roles = roles(live, &request.only)?;
    // None of what is kept is started again.
    let ready = IndexMap::new();
    let again = Again {
        target: live,
        ready: &ready,
    };
    let limited = facts.limited_to(&request.only);
    let mut rollout = outline(environment, &roles, &limited, &request.release, Some(again))?;
    for host in rollout.batches.iter_mut().flatten() {
        host.old_ones = OldOnes::Removed;
    }
    let mut plan = RollbackPlan {
        id: String::new(),
        project: environment.project.clone(),
        environment: environment.name.clone(),
        release: request.release.clone(),
        from: live.id.clone(),
        from_version: live.version.clone(),
        target: live.id.clone(),
        version: live.version.clone(),
        commit_sha: live.commit_sha.clone(),
        dirty: live.dirty,
        image,
        config_hash: environment.config_hash.clone(),
        rollout,
        roles,
        records: live.roles.clone(),
        overruled: vec![],
        warnings: facts.in_maintenance(environment).into_iter().collect(),
        only: request.only.clone(),
        stays: IndexMap::new(),
    };
    plan.stays = stays(&plan, facts, live);
    let changes = (
        &plan.environment,
        &plan.target,
        &plan.image,
        &plan.rollout,
        &plan.only,
    );
    plan.id = plan_id(&changes, Some(&request.release));
    Ok(plan)
}

/// The live release; when a restart is resumed that is live itself by now, the
/// one that it restarted.
fn restarted<'a>(
    environment: &Environment,
    facts: &'a Facts,
    release: &ReleaseId,
) -> Result<&'a Release, Fault> {
    let live = live(environment, facts)?;
    let before = live.previous_id.as_ref().filter(|_| live.id == *release);
    Ok(before.and_then(|id| facts.history.find(id)).unwrap_or(live))
}

fn roles(live: &Release, only: &[RoleName]) -> Result<IndexMap<RoleName, Role>, Fault> {
    if let Some(unknown) = only.iter().find(|name| !live.roles.contains_key(*name)) {
        let known: Vec<String> = live.roles.keys().map(|name| format!("`{name}`")).collect();
        return Err(Fault::refused(format!(
            "the live release {} ({}) has no role `{unknown}`",
            live.id, live.version
        ))
        .because(format!("it has {}", known.join(", ")))
        .state("nothing was changed")
        .hint(format!(
            "restart all of it: `stagecraft restart --env {}`",
            live.environment
        )));
    }
    let chosen = live.roles.iter();
    let chosen = chosen.filter(|(name, _)| only.is_empty() || only.contains(name));
    Ok(chosen
        .map(|(name, record)| (name.clone(), role_of(name, record)))
        .collect())
}

/// The containers of roles that are not restarted.
fn stays(plan: &RollbackPlan, facts: &Facts, live: &Release) -> IndexMap<HostAddress, Vec<String>> {
    let mut all = IndexMap::new();
    if plan.only.is_empty() {
        return all;
    }
    for (host, record) in &live.hosts {
        let other = |name: &&String| {
            let known = facts.host(host).map_or(&[][..], |host| &host.containers);
            known.iter().any(|container| {
                let role = container.label(label::ROLE).unwrap_or_default();
                container.name == **name && plan.only.iter().all(|only| only.as_str() != role)
            })
        };
        let names: Vec<String> = record.containers.iter().filter(other).cloned().collect();
        if !names.is_empty() {
            all.insert(host.clone(), names);
        }
    }
    all
}
