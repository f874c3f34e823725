//! Everything on real machines: hosts with their own sshd and Docker engine,
//! registries, databases. The lab must be up: `tests/lab/up`.
//!
//! `build` to `runner` try one adapter each, `load` tries the load itself. The others drive the program
//! itself, as its user would.

#![expect(clippy::unwrap_used, reason = "tests")]
#![allow(
    dead_code,
    unreachable_pub,
    reason = "support is shared with other test binaries, which use other parts of it"
)]
#![allow(
    clippy::wrong_self_convention,
    reason = "verbs of the tests read as sentences"
)]

#[macro_use]
#[path = "../support/sandbox.rs"]
mod sandbox;

mod auto_restore;
mod backfill;
mod backups;
mod bad_days;
mod bad_hosts;
mod bad_proxies;
mod bad_switches;
mod blue_green;
mod build;
mod check_apply;
mod cli_local;
mod cut_off;
mod database;
mod deploys;
mod edge;
mod engine_deploys;
mod engine_dev;
mod engine_kinds;
mod engines;
mod fingerprints;
mod fleets;
mod full_disk;
mod health;
mod image_files;
mod killed_runs;
mod link;
mod lint;
mod load;
mod migrate;
mod migrations;
mod npm;
mod other_tools;
mod places;
mod proxy;
mod push;
mod recipes;
mod registries;
mod resets;
mod restores;
mod runner;
mod safety;
mod schema_gate;
mod scratch;
mod secrets;
mod snapshot;
mod swarm;
mod switches;
mod takeovers;
mod transcripts;
mod two_users;
mod verbs;

#[path = "../support"]
mod support {
    pub(crate) mod build;
    pub(crate) mod conformance;
    pub(crate) mod database;
    pub(crate) mod lab;
    pub(crate) mod load;
    pub(crate) mod migrations;
    pub(crate) mod no_runner;
    pub(crate) mod prisma;
    pub(crate) mod proxied;
    pub(crate) mod runner;
}
