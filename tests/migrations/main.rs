//! Migrations from the files to the database: the migrator and its engines
//! over a real SQLite database, which runs everywhere. PostgreSQL and MySQL
//! are in `tests/lab`.

#![expect(clippy::unwrap_used, reason = "tests")]

mod app;
mod command;
mod conformance;
#[path = "../support/conformance.rs"]
mod contest;
mod custom;
mod external;
mod formats;
mod lint;
mod raw;
mod snapshot;
#[path = "../support/migrations.rs"]
#[allow(
    dead_code,
    reason = "shared with `tests/lab`, which uses other parts of it"
)]
mod support;
use support as migrations;
