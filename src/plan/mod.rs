//! Pure: environment, history and facts become a plan; gates say whether it
//! may run. Imports `model` only; no I/O, no clock, no randomness.

mod deploy;
mod facts;
mod gate;
mod identity;
mod materialise;
mod resume;
mod retention;
mod rollback;
mod rollout;
mod safety;
mod slots;
mod swarm;
mod tolerance;
mod unbuilt;

pub use deploy::{
    BuildStep, DeployPlan, DeployRequest, MigrateStep, PlannedMigration, PushStep, Step, deploy,
};
pub use facts::{Facts, HostFacts, SourceFacts};
pub use gate::{Verdict, gate};
pub use identity::plan_id;
pub use materialise::{Recipe, role_record};
pub use resume::{
    Interrupted, abortable, interrupted, matches_today, open_release_fault, resumable,
};
pub use retention::forgettable;
pub use rollback::{
    RollbackPlan, RollbackRequest, SchemaCheck, role_of, rollback, rollback_target,
};
pub use rollout::{Again, HostOutline, ReadyRole, RolloutOutline, SlotOutline, outline};
pub use safety::{Broken, Objection, WayBack, way_back};
pub use slots::live_before;
pub use swarm::{ServiceOutline, nodes_pull};
pub use tolerance::{Question, Tolerance, tolerance};
pub use unbuilt::migrations as refuse_unbuilt_migrations;
