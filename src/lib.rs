//! Stagecraft takes an application from a checkout to running containers.

pub mod cli;
pub mod config;
pub mod database;
pub mod deploy;
pub mod docker;
pub mod http;
pub mod migrate;
pub mod model;
pub mod plan;
pub mod ports;
pub mod proxy;
pub mod release;
pub mod rollout;
pub mod ssh;
pub mod ui;
