//! Whether a release can live with the schema that is there now: every
//! migration that it does not know is judged. Pure.
//!
//! What is applied comes from the database where it answered, else from the
//! records. What was never judged counts as breaking.

use std::fmt;

use serde::Serialize;

use crate::model::compat::{Compat, Finding, Harm};
use crate::model::history::History;
use crate::model::migration::{
    Migration, MigrationOutcome, MigrationPlan, MigrationResult, MigrationState, UNNAMED,
};
use crate::model::names::DatabaseName;
use crate::model::project::{Environment, Safety};
use crate::model::release::{Outcome, Release, ReleaseId};
use crate::model::risk::{Grade, Remark};

use super::facts::Facts;

/// A migration that is applied, or begun.
#[derive(Debug, Clone)]
pub(super) struct Applied {
    pub database: DatabaseName,
    pub id: String,
    pub compat: Option<Compat>,
    /// The release that applied it, where a record says so.
    pub release: Option<ReleaseId>,
    /// When, as text.
    pub at: Option<String>,
}

/// What speaks against a release: one migration.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Objection {
    pub database: DatabaseName,
    pub migration: String,
    pub findings: Vec<Finding>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub release: Option<ReleaseId>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub at: Option<String>,
}

impl fmt::Display for Objection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "`{}` of `{}`", self.migration, self.database)?;
        match (&self.release, &self.at) {
            (None, None) => {}
            (None, Some(at)) => write!(f, " (applied {at})")?,
            (Some(release), None) => write!(f, " (applied by {release})")?,
            (Some(release), Some(at)) => write!(f, " (applied {at} by {release})")?,
        }
        let mut findings = self.findings.iter();
        if let Some(first) = findings.next() {
            write!(f, ": {first}")?;
        }
        match findings.len() {
            0 => Ok(()),
            more => write!(f, "; and {more} more in that file"),
        }
    }
}

/// What is applied now.
#[must_use]
pub(super) fn applied(facts: &Facts, environment: &Environment) -> Vec<Applied> {
    let recorded = recorded(&facts.history, environment);
    let read: Vec<&MigrationPlan> = facts
        .migrations
        .iter()
        .filter(|plan| plan.unread.is_none())
        .collect();
    let mut applied: Vec<Applied> = read
        .iter()
        .flat_map(|plan| {
            let there = plan.migrations.iter().filter(|one| one.id != UNNAMED);
            there.filter_map(|one| standing(plan, one, &recorded))
        })
        .collect();
    applied.extend(
        recorded.into_iter().filter(|one| {
            one.id == UNNAMED || !read.iter().any(|plan| plan.database == one.database)
        }),
    );
    applied
}

fn standing(plan: &MigrationPlan, one: &Migration, recorded: &[Applied]) -> Option<Applied> {
    let record = recorded
        .iter()
        .rfind(|record| record.database == plan.database && record.id == one.id);
    let judged = record.and_then(|record| record.compat.clone());
    let mut release = record.and_then(|record| record.release.clone());
    let (compat, at) = match &one.state {
        MigrationState::Pending | MigrationState::OutOfOrder { .. } => return None,
        // The file is the one that was applied, except for its comments.
        MigrationState::Applied { at, by } => {
            release = release.or_else(|| by.as_ref()?.release.parse().ok());
            (one.compat.clone().or(judged), at.clone())
        }
        MigrationState::Failed { .. } => (one.compat.clone().or(judged), None),
        MigrationState::Edited { .. } | MigrationState::Missing => (judged, None),
    };
    Some(Applied {
        database: plan.database.clone(),
        id: one.id.clone(),
        compat,
        release,
        at: record.and_then(|record| record.at.clone()).or(at),
    })
}

/// From every record of the environment. One that failed may be there in part.
fn recorded(history: &History, environment: &Environment) -> Vec<Applied> {
    history
        .of(&environment.name)
        .flat_map(|release| {
            release
                .migrations
                .iter()
                .filter(|result| result.outcome != MigrationOutcome::NotAttempted)
                .map(|result| ran(release, result))
        })
        .collect()
}

fn ran(release: &Release, result: &MigrationResult) -> Applied {
    Applied {
        database: result.database.clone(),
        id: result.id.clone(),
        compat: result.compat.clone(),
        release: Some(release.id.clone()),
        at: Some(release.timestamp.format("%Y-%m-%d %H:%M UTC").to_string()),
    }
}

/// What speaks against running `target` on these migrations.
#[must_use]
pub(super) fn objections(target: &Release, applied: &[Applied]) -> Vec<Objection> {
    let mut objections: Vec<Objection> = vec![];
    for one in applied.iter().filter(|one| !knows(target, one)) {
        let findings: Vec<Finding> = match &one.compat {
            Some(compat) => {
                let known = |id: &str| holds(target, &one.database, id);
                compat.against(known).cloned().collect()
            }
            None => unjudged(),
        };
        let same =
            |other: &Objection| (&other.database, &other.migration) == (&one.database, &one.id);
        // Of one that failed and ran again the later record counts.
        objections.retain(|other| one.id == UNNAMED || !same(other));
        if findings.is_empty() {
            continue;
        }
        objections.push(Objection {
            database: one.database.clone(),
            migration: one.id.clone(),
            findings,
            release: one.release.clone(),
            at: one.at.clone(),
        });
    }
    objections
}

fn unjudged() -> Vec<Finding> {
    let unread = Compat::unread(
        "was never judged: there is no file of it here, and no record says what it does",
    );
    unread.against(|_| true).cloned().collect()
}

/// A tool that names nothing is known by what ran before the target was live.
fn knows(target: &Release, one: &Applied) -> bool {
    match one.id.as_str() {
        UNNAMED => one.release.as_ref().is_some_and(|by| *by <= target.id),
        id => holds(target, &one.database, id),
    }
}

fn holds(target: &Release, database: &DatabaseName, id: &str) -> bool {
    target
        .known_migrations
        .get(database)
        .is_some_and(|known| known.iter().any(|known| known == id))
}

/// The database whose version the application's own endpoint reports: that
/// decides, and what is computed here is only said.
#[must_use]
pub(super) fn gated(environment: &Environment) -> Option<&DatabaseName> {
    let gate = environment.schema_gate.as_ref()?;
    gate.database
        .as_ref()
        .or_else(|| environment.databases.keys().next())
}

/// What pending migrations would break in the release that runs now, and that
/// a rollback would bring back, and whom they would keep waiting: graded as
/// `databases.*.safety` says.
#[derive(Debug, Clone, Default)]
pub struct Broken {
    pub objections: Vec<Objection>,
    /// What keeps users of a database waiting, graded by `safety.blocking`.
    pub blocking: Vec<Objection>,
    /// Reasons why nothing may run.
    pub refusals: Vec<String>,
    /// What somebody has to approve.
    pub risks: Vec<String>,
    pub warnings: Vec<String>,
}

impl Broken {
    #[must_use]
    pub fn of(environment: &Environment, history: &History, plans: &[MigrationPlan]) -> Self {
        let mut broken = Self::default();
        broken.hold_ups(environment, plans);
        let Some(live) = history.live(&environment.name) else {
            return broken;
        };
        // Its code, and the migrations that this knows, are the target's.
        let code = history.image_release(live);
        let pending: Vec<Applied> = plans
            .iter()
            .flat_map(|plan| plan.to_run().map(|one| pending(plan, one)))
            .collect();
        for objection in objections(code, &pending) {
            let database = environment.databases.get(&objection.database);
            let grade = database.map_or(Safety::Warn, |database| database.safety_breaking);
            match grade {
                Safety::Off => continue,
                Safety::Warn => {}
                Safety::Approve => broken.risks.push(objection.to_string()),
                Safety::Block => broken.refusals.push(format!(
                    "it breaks {}, and `databases.{}.safety.breaking` is `block`: {objection}",
                    code.version, objection.database
                )),
            }
            broken.objections.push(objection);
        }
        if !broken.objections.is_empty() {
            broken
                .warnings
                .push(after(environment, code, &broken.objections));
        }
        broken
    }

    /// Whoever uses a table waits, whether or not a release of ours is live.
    fn hold_ups(&mut self, environment: &Environment, plans: &[MigrationPlan]) {
        let held = plans
            .iter()
            .flat_map(|plan| plan.to_run().filter_map(|one| hold_up(plan, one)));
        for objection in held {
            let name = &objection.database;
            let database = environment.databases.get(name);
            match database.map_or(Safety::Warn, |database| database.safety_blocking) {
                Safety::Off => continue,
                Safety::Warn => self
                    .warnings
                    .push(format!("users of `{name}` may have to wait: {objection}")),
                Safety::Approve => self.risks.push(objection.to_string()),
                Safety::Block => self.refusals.push(format!(
                    "it keeps users of `{name}` waiting, and `databases.{name}.safety.blocking` is `block`: {objection}"
                )),
            }
            self.blocking.push(objection);
        }
    }
}

/// The remarks that count, in words that stay the same while rows come and go.
fn hold_up(plan: &MigrationPlan, one: &Migration) -> Option<Objection> {
    let counts = |remark: &&Remark| remark.stands() && remark.grade == Grade::Blocking;
    let findings: Vec<Finding> = one
        .forecast
        .remarks
        .iter()
        .filter(counts)
        .map(|remark| Finding {
            harm: Harm::Breaks,
            file: remark.file.clone(),
            line: remark.line,
            statement: remark.statement.clone(),
            why: format!("{}, and {} meanwhile", remark.why, remark.blocks.label()),
            made_by: None,
            further: 0,
        })
        .collect();
    (!findings.is_empty()).then(|| Objection {
        database: plan.database.clone(),
        migration: one.id.clone(),
        findings,
        release: None,
        at: None,
    })
}

fn after(environment: &Environment, code: &Release, objections: &[Objection]) -> String {
    let named: Vec<String> = objections
        .iter()
        .map(|o| format!("`{}`", o.migration))
        .collect();
    let gate = objections
        .iter()
        .all(|objection| gated(environment) == Some(&objection.database));
    let what = match gate {
        true => "may be refused by its schema gate",
        false => "will be refused",
    };
    format!(
        "after {}, a rollback to {} ({}) {what}",
        named.join(", "),
        code.version,
        code.id
    )
}

fn pending(plan: &MigrationPlan, one: &Migration) -> Applied {
    Applied {
        database: plan.database.clone(),
        id: one.id.clone(),
        compat: one.compat.clone(),
        release: None,
        at: None,
    }
}

/// Whether a rollback from a release would go through.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WayBack {
    /// Nothing where there is no release to go back to.
    pub safe: Option<bool>,
    pub reasons: Vec<String>,
}

/// For the record of `release`, which serves by now: `facts` are those of its
/// plan, and what it applied itself comes to them.
#[must_use]
pub fn way_back(environment: &Environment, facts: &Facts, release: &Release) -> WayBack {
    let mut served = release.clone();
    served.outcome = Outcome::Done;
    let mut releases: Vec<Release> = facts.history.all().to_vec();
    releases.retain(|known| known.uuid != release.uuid);
    releases.push(served);
    let history = History::new(releases);
    let Some(target) = history.rollback_target(&environment.name) else {
        return WayBack {
            safe: None,
            reasons: vec![],
        };
    };
    let mut there = applied(facts, environment);
    let own = release.migrations.iter();
    there.extend(
        own.filter(|result| result.outcome != MigrationOutcome::NotAttempted)
            .map(|result| ran(release, result)),
    );
    let reasons: Vec<String> = objections(target, &there)
        .iter()
        .filter(|objection| gated(environment) != Some(&objection.database))
        .map(|objection| format!("to {} ({}): {objection}", target.id, target.version))
        .collect();
    WayBack {
        safe: Some(reasons.is_empty()),
        reasons,
    }
}
