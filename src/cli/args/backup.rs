//! The command line of `stagecraft backup`.

use clap::{Args, Subcommand};

use crate::migrate::DataLoss;
use crate::model::backup::{BackupId, Label, Way};
use crate::model::names::DatabaseName;
use crate::model::project::Environment;

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
    /// Empty and fill again the database that is there, where a new one cannot
    /// take its place; to be approved
    #[arg(long)]
    pub(crate) in_place: bool,
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

impl BackupRestoreArgs {
    pub(crate) fn way(&self) -> Way {
        match self.in_place {
            true => Way::InPlace,
            false => Way::Swap,
        }
    }
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

/// What `deploy` and `migrate run` do about backups.
#[derive(Debug, Clone, Copy, Args)]
pub(crate) struct BackupChoice {
    /// Apply migrations without the backups that the configuration asks for
    #[arg(long)]
    skip_backup: bool,
    /// Restore after a failure (`on_failure: restore`) although writes are lost; to be approved
    #[arg(long, conflicts_with = "skip_backup")]
    accept_data_loss: bool,
}

impl BackupChoice {
    /// What the flags say otherwise than the file.
    pub(crate) fn override_in(self, environment: &mut Environment) {
        if self.skip_backup {
            for database in environment.databases.values_mut() {
                database.backup_before_migrate = false;
            }
        }
    }

    pub(crate) fn loss(self) -> DataLoss {
        match self.accept_data_loss {
            true => DataLoss::Accepted,
            false => DataLoss::Refused,
        }
    }
}
