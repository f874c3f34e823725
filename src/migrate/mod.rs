//! Migrations: what is pending, what may run, and running it.
//!
//! `files` reads a folder, `sql` understands its statements, `drift` compares
//! both with the rows of the database (pure), `engines` drive the tools, the
//! `registry` knows them by id, the `migrator` knows the databases of an
//! environment, and a `step` locks them all before it changes the first. `evidence` writes what a step did, `create` starts a new file,
//! `checksums` is the repository's ledger, `compat` judges whether older
//! code can live with a migration.
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
mod migrator;
pub mod native;
mod registry;
pub mod select;
mod siphash;
pub mod sql;
mod step;
#[cfg(test)]
mod test_support;
mod words;

pub use migrator::migrator;
pub use registry::{Registry, RegistryError};
