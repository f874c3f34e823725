//! The only bollard: client, build, push, transfer, containers. Imports `ports`, `model`.

pub mod auth;
pub mod client;
mod runner;

pub use runner::runner;
