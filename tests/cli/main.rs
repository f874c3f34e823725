//! The real binary, from the outside: what it prints and how it ends, where no
//! Docker engine is needed. The tests that need one are in `tests/lab`.

#![expect(clippy::unwrap_used, reason = "tests")]

#[macro_use]
#[path = "../support/sandbox.rs"]
mod sandbox;

mod adopt;
mod backups;
mod config;
mod forecasts;
mod help;
mod history;
mod life;
mod lock;
mod migrate_check;
mod migration_runs;
mod migrations;
mod refusals;
