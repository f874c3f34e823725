//! The words that everything shares: plain data, no I/O, imports nothing of
//! this crate.

pub mod backup;
pub mod command_line;
pub mod compat;
pub mod complaint;
pub mod container;
pub mod event;
pub mod fault;
pub mod health;
pub mod history;
pub mod host;
pub mod image;
pub mod migration;
pub mod names;
pub mod phase;
pub mod project;
pub mod release;
pub mod risk;
pub mod route;
pub mod schema;
pub mod secret;
pub mod service;
pub mod slot;
