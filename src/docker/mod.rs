//! The only bollard: client, build, push, transfer, containers. Imports `ports`, `model`.

pub mod auth;
mod build;
mod claim;
pub mod client;
mod dockerignore;
mod image;
mod push;
mod runner;
mod session;
mod swarm;
mod transfer;

pub use build::builder;
pub use claim::claims;
pub use push::{Delivery, pusher};
pub use runner::{Span, runner, runner_of};
pub use swarm::services;

use crate::model::host::HostAddress;

/// The engine that builds and pushes.
fn this_machine() -> HostAddress {
    "local".parse().expect("`local` is an address")
}
