//! The command line of the everyday life of migrations: `migrate schema`,
//! `drift`, `rehearse`, `baseline`, `repair`.

use std::path::PathBuf;

use clap::{Args, Subcommand};

use crate::model::backup::BackupId;
use crate::model::names::DatabaseName;

#[derive(Debug, Args)]
pub(crate) struct SchemaArgs {
    #[command(subcommand)]
    pub(crate) command: SchemaCommand,
}

#[derive(Debug, Subcommand)]
pub(crate) enum SchemaCommand {
    /// Print the schema of a database, sorted and without data; changes nothing
    Dump(SchemaDumpArgs),
}

#[derive(Debug, Args)]
pub(crate) struct SchemaDumpArgs {
    /// The database [default: the only one]
    #[arg(long, value_name = "NAME")]
    pub(crate) database: Option<DatabaseName>,
    /// Write it to this file instead
    #[arg(long, value_name = "FILE")]
    pub(crate) output: Option<PathBuf>,
}

#[derive(Debug, Args)]
pub(crate) struct DriftArgs {
    /// Only this database; may be repeated
    #[arg(long, value_name = "NAME")]
    pub(crate) database: Vec<DatabaseName>,
}

#[derive(Debug, Args)]
pub(crate) struct RehearseArgs {
    /// Only this database; may be repeated
    #[arg(long, value_name = "NAME")]
    pub(crate) database: Vec<DatabaseName>,
    /// Start from an empty database and its applied files, even where the
    /// database could be copied
    #[arg(long)]
    pub(crate) empty: bool,
    /// Start from what this backup holds, restored beside the database
    #[arg(long, value_name = "ID", conflicts_with = "empty")]
    pub(crate) backup: Option<BackupId>,
}

#[derive(Debug, Args)]
pub(crate) struct BaselineArgs {
    /// The newest migration whose changes the database has already
    #[arg(long, value_name = "ID")]
    pub(crate) to: String,
    /// The database [default: the only one]
    #[arg(long, value_name = "NAME")]
    pub(crate) database: Option<DatabaseName>,
    /// Print what would be marked and change nothing
    #[arg(long)]
    pub(crate) dry_run: bool,
}

#[derive(Debug, Args)]
pub(crate) struct RepairArgs {
    /// The database [default: the only one]
    #[arg(long, value_name = "NAME")]
    pub(crate) database: Option<DatabaseName>,
    /// The statement that was cut off did take effect
    #[arg(long, conflicts_with = "not_done")]
    pub(crate) done: bool,
    /// The statement that was cut off did not take effect
    #[arg(long)]
    pub(crate) not_done: bool,
    /// Take over the text of this migration, which was edited after it was
    /// applied; may be repeated
    #[arg(long, value_name = "ID")]
    pub(crate) accept_edit: Vec<String>,
    /// Print what is wrong and change nothing
    #[arg(long)]
    pub(crate) dry_run: bool,
}
