//! The only bollard: client, build, push, transfer, containers. Imports `ports`, `model`.

pub mod auth;
mod build;
pub mod client;
mod dockerignore;

pub use build::builder;

use crate::model::host::HostAddress;

/// The engine that builds and pushes.
fn this_machine() -> HostAddress {
    "local".parse().expect("`local` is an address")
}
