//! Migrations from the files to the database: the migrator and its engines
//! over a real SQLite database, which runs everywhere. PostgreSQL and MySQL
//! are in `tests/lab`.

#![expect(clippy::unwrap_used, reason = "tests")]

mod app;
mod command;
mod conformance;
#[path = "../support/conformance.rs"]
mod contest;
mod external;
mod formats;
mod lint;
mod raw;
mod snapshot;
#[path = "../support/migrations.rs"]
mod support;
