//! The deployer: the only thing that runs a plan. Talks to `ports` only;
//! imports `plan`, `ports`, `model`.
//!
//! [`Journal`] is the only writer of phase marks: mark on disk, work, mark on
//! disk together with the next phase's first, emit the events. If a mark cannot
//! be saved the deploy stops. Inside a
//! phase the hosts are the record: every port looks before it acts, so a
//! phase that was cut off is simply run again.

mod abort;
mod deployer;
mod fleet;
mod journal;
mod maintenance;
mod migrate;
mod observe;
mod record;
mod safety;
mod standing;
mod swarm;
mod tolerance;
mod unrouted;

pub use deployer::Deployer;
pub use journal::{Journal, Stopped};
pub use maintenance::{Posted, maintenance, refuse_without_proxy};
pub use migrate::{recall, record_run};
pub use observe::{Observer, Wanted, one_history, ours};
pub use record::{
    Origin, close_cut_off, new_deploy, new_migration, new_restore, new_rollback, reopen,
};
pub use tolerance::live_tolerates_all;
