//! The command line of `stagecraft backup`.

use clap::{Args, Subcommand};

use crate::model::backup::{BackupId, Label};
use crate::model::names::DatabaseName;

/// Copy databases, and restore them
#[derive(Debug, Args)]
pub(crate) struct BackupArgs {
    #[command(subcommand)]
    pub(crate) command: BackupCommand,
}

#[derive(Debug, Subcommand)]
pub(crate) enum BackupCommand {
    /// Copy databases into files beside the environment's record, and read them back
    Create(BackupCreateArgs),
    /// List the backups, newest first
    List(BackupListArgs),
    /// Restore a backup into a new database, and put that in the place of the one there
    Restore(BackupRestoreArgs),
    /// Remove backups beyond the newest ones of each database (`backup.keep`)
    Prune(BackupPruneArgs),
}

#[derive(Debug, Args)]
pub(crate) struct BackupCreateArgs {
    /// Only this database; may be repeated [default: all]
    #[arg(long, value_name = "NAME")]
    pub(crate) database: Vec<DatabaseName>,
    /// Becomes part of the id, such as `before-import`
    #[arg(long, value_name = "LABEL")]
    pub(crate) label: Option<Label>,
    /// Restore it into a scratch database too, and drop that again
    #[arg(long)]
    pub(crate) prove: bool,
}

#[derive(Debug, Args)]
pub(crate) struct BackupListArgs {
    /// Only of this database; may be repeated [default: all]
    #[arg(long, value_name = "NAME")]
    pub(crate) database: Vec<DatabaseName>,
}

#[derive(Debug, Args)]
pub(crate) struct BackupRestoreArgs {
    /// The backup's id
    #[arg(value_name = "ID")]
    pub(crate) id: BackupId,
    /// Which database, where the backup is of several
    #[arg(long, value_name = "NAME")]
    pub(crate) database: Option<DatabaseName>,
    /// Go on although every write since the backup is lost; to be approved
    #[arg(long)]
    pub(crate) accept_data_loss: bool,
    /// Do not back up first what is there now
    #[arg(long)]
    pub(crate) skip_backup: bool,
    /// Print the plan and change nothing at all
    #[arg(long)]
    pub(crate) dry_run: bool,
    /// Approve the plan of this id with its risks; printed by `--dry-run`
    #[arg(long, value_name = "PLAN_ID", conflicts_with = "dry_run")]
    pub(crate) approve: Option<String>,
}

#[derive(Debug, Args)]
pub(crate) struct BackupPruneArgs {
    /// Only of this database; may be repeated [default: all]
    #[arg(long, value_name = "NAME")]
    pub(crate) database: Vec<DatabaseName>,
    /// Print what would be removed, and remove nothing
    #[arg(long)]
    pub(crate) dry_run: bool,
}
