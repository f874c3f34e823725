//! The only openssh: one connection a host, forwards over it, the environment
//! lock, and the small files a host keeps. Imports `ports`, `model`.
//!
//! `control` (the private folder) → `master` (one connection) → `links` (all of
//! them, and `local` beside them) → `lock` and `state`, which need only the port.

mod control;
mod docker_here;
mod engine;
mod engine_absence;
mod folders;
mod here;
mod links;
mod lock;
#[cfg(test)]
mod machines;
mod master;
mod pipes;
mod refusal;
mod reverse;
mod state;
mod state_key;
mod stream;

pub use folders::Folders;
pub use links::Links;
pub use lock::EnvironmentLock;
pub use state::{HostFiles, host_state_dir};
