//! Pure: environment, history and facts become a plan; gates say whether it
//! may run. Imports `model` only; no I/O, no clock, no randomness.

mod amiss;
mod backup;
mod deploy;
mod facts;
mod gate;
mod identity;
mod image;
mod materialise;
mod recall;
mod restart;
mod resume;
mod retention;
mod rollback;
mod rollout;
mod safety;
mod slots;
mod standing;
mod status;
mod swarm;
mod tolerance;

pub use amiss::Amiss;
pub use backup::{backup_notes, loss_risks};
pub use deploy::{DeployPlan, DeployRequest, MigrateStep, PlannedMigration, Step, deploy};
pub use facts::{Facts, HostFacts, SourceFacts};
pub use gate::{Verdict, gate};
pub use identity::plan_id;
pub use image::PushStep;
pub use materialise::{Recipe, role_record};
pub use recall::recall;
pub use restart::{RestartRequest, restart};
pub use resume::{
    Interrupted, abortable, credit, interrupted, matches_today, open_release_fault, resumable,
};
pub use retention::forgettable;
pub use rollback::{
    RollbackPlan, RollbackRequest, SchemaCheck, resumed_target, role_of, rollback, rollback_target,
};
pub use rollout::{Again, AtProxy, HostOutline, ReadyRole, RolloutOutline, SlotOutline, outline};
pub use safety::{Broken, Objection, WayBack, way_back};
pub use slots::live_before;
pub use standing::{Standing, standing};
pub use status::{
    Asked, ContainerStatus, FleetStatus, Health, HostStatus, Page, ProxyState, ProxyStatus, Served,
    status,
};
pub use swarm::{ServiceOutline, nodes_pull};
pub use tolerance::{Meets, Question, Tolerance, tolerance};
