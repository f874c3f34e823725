//! Whether the code that runs now may meet the schema to come: between a
//! pre-deploy migration and the switch the live release serves on it.

use crate::model::container::{Container, label};
use crate::model::host::HostAddress;
use crate::model::migration::MigrationPlan;
use crate::model::phase::Phase;
use crate::model::project::{Environment, SchemaGate};
use crate::model::release::{Release, ReleaseId};
use crate::model::schema::version_of;

use super::facts::Facts;

/// What is to be done about it before the migrations run.
#[derive(Debug, Clone)]
pub enum Tolerance {
    /// No gate, or nothing pending in its database.
    NotNeeded,
    /// Nobody has to tolerate anything, with the reason.
    NobodyServes(String),
    Ask(Question),
    /// Somebody serves and cannot be asked, with the reason: fail closed.
    CannotAsk(String),
}

/// What the live release is asked, and which of its containers.
#[derive(Debug, Clone)]
pub struct Question {
    pub live: ReleaseId,
    /// The gate, at the port that the live release was told to answer at.
    pub gate: SchemaGate,
    pub asked: Vec<(HostAddress, Container)>,
    /// Where the database will be after the last of the migrations.
    pub version: i64,
}

/// Which of a plan's migrations the live release will meet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Meets {
    /// A deploy's, until the new release serves.
    UntilTheSwitch,
    /// `migrate run`'s: no other release follows.
    All,
}

/// Judges what `plans` would run before the rollout of `release`, or without
/// one.
#[must_use]
pub fn tolerance(
    environment: &Environment,
    facts: &Facts,
    release: &ReleaseId,
    plans: &[MigrationPlan],
    meets: Meets,
) -> Tolerance {
    let Some(gate) = &environment.schema_gate else {
        return Tolerance::NotNeeded;
    };
    let pending: Vec<&str> = plans
        .iter()
        .filter(|plan| Some(&plan.database) == gate.database.as_ref())
        .flat_map(MigrationPlan::to_run)
        .filter(|migration| match meets {
            Meets::UntilTheSwitch => migration.runs_in(Phase::MigratePre),
            Meets::All => true,
        })
        .map(|migration| migration.id.as_str())
        .collect();
    if pending.is_empty() {
        return Tolerance::NotNeeded;
    }
    let live = facts.history.live(&environment.name);
    let Some(live) = live.filter(|live| live.id != *release) else {
        return Tolerance::NobodyServes("nothing is live".to_owned());
    };
    let asked = containers_of(live, gate, facts);
    if asked.is_empty() {
        return Tolerance::NobodyServes(format!("no container of {} is there", live.id));
    }
    let Some(port) = internal_port(live, gate) else {
        return Tolerance::CannotAsk(format!(
            "the live release {} was started without a schema endpoint, so it cannot say whether it tolerates `{}`: deploy once without new migrations, then with them",
            live.id,
            pending[pending.len() - 1]
        ));
    };
    // Each must have a number: the one without might be the newest.
    let versions: Result<Vec<i64>, &str> =
        pending.iter().map(|id| version_of(id).ok_or(*id)).collect();
    match versions {
        Err(id) => Tolerance::CannotAsk(format!(
            "which schema version `{id}` brings is not known: its name begins with no number of 64 bits, so {} cannot be asked whether it tolerates it",
            live.id
        )),
        Ok(versions) => Tolerance::Ask(Question {
            live: live.id.clone(),
            gate: SchemaGate {
                port,
                ..gate.clone()
            },
            asked,
            version: versions.into_iter().max().unwrap_or_default(),
        }),
    }
}

/// One that does not run is asked too, and fails: an undo would start it again.
fn containers_of(
    live: &Release,
    gate: &SchemaGate,
    facts: &Facts,
) -> Vec<(HostAddress, Container)> {
    // A rollback may have started containers of another release again.
    let of_live = |host: &HostAddress, container: &Container| {
        let recorded = live.hosts.get(host);
        recorded.is_some_and(|host| host.containers.contains(&container.name))
            || container.label(label::RELEASE) == Some(live.id.as_str())
    };
    let of_gate = |container: &Container| {
        let role = container.label(label::ROLE).map(str::parse);
        container.label(label::JOB).is_none()
            && role.is_some_and(|role| role.is_ok_and(|role| gate.asks(&role)))
    };
    let mut asked = vec![];
    for host in &facts.hosts {
        for container in host.containers.iter().filter(|one| of_gate(one)) {
            if of_live(&host.address, container) {
                asked.push((host.address.clone(), container.clone()));
            }
        }
    }
    asked
}

fn internal_port(live: &Release, gate: &SchemaGate) -> Option<u16> {
    let mut roles = live.roles.iter().filter(|(name, _)| gate.asks(name));
    roles.find_map(|(_, record)| record.internal_port)
}
