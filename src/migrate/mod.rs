//! Migrations: what is pending, what may run, and running it.
//!
//! `files` reads a folder, `sql` understands its statements, `drift` compares
//! both with the rows of the database (pure), `engines` drive the tools, the
//! `registry` knows them by id, the `migrator` knows the databases of an
//! environment, and a `step` locks them all before it changes the first; `health`
//! looks at them before and after, a `safeguard` backs them up. `evidence` writes what a step did, `create`
//! starts a new file, `checksums` is the repository's ledger, `policy` judges a
//! folder without any database, `scratch` makes an empty database to try it on,
//! `compat` judges whether older code can live with a migration, `lint` what it
//! would do to a database in use, whose sizes `tables` reads, `snapshot`
//! describes a schema so that two looks at it can be compared.
//!
//! Imports `ports` and `model` only. Pending always comes from the database
//! and the files, never from a diff or a tool's prose.

pub mod checksums;
pub mod compat;
mod crc32;
pub mod create;
pub mod drift;
pub mod engines;
pub mod evidence;
pub mod files;
mod hashing;
mod health;
pub mod lint;
mod migrator;
pub mod native;
mod parallel;
pub mod policy;
mod registry;
pub mod rehearse;
pub mod reset;
mod safeguard;
pub mod scratch;
pub mod select;
mod siphash;
pub mod snapshot;
pub mod sql;
mod step;
pub mod tables;
#[cfg(test)]
mod test_support;
mod words;

pub use migrator::{Tools, migrator};
pub use registry::{Registry, RegistryError};
pub use safeguard::{DataLoss, Safeguard};
