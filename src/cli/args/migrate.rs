//! The command line of `stagecraft migrate`.

use clap::builder::RangedU64ValueParser;
use clap::{Args, Subcommand, ValueEnum};

use crate::model::names::DatabaseName;
use crate::model::project::MigrationStrategy;
use crate::model::release::ReleaseId;

use super::life::{BaselineArgs, DriftArgs, RehearseArgs, RepairArgs, SchemaArgs};
use super::{BackupChoice, MigrateAdoptArgs, MigrateCheckArgs};

/// Plan and run database migrations by themselves
#[derive(Debug, Args)]
pub(crate) struct MigrateArgs {
    #[command(subcommand)]
    pub(crate) command: MigrateCommand,
}

#[derive(Debug, Subcommand)]
pub(crate) enum MigrateCommand {
    /// Show what is pending, read from the database; changes nothing
    Plan(MigratePlanArgs),
    /// Apply what is pending
    Run(MigrateRunArgs),
    /// Show every migration and where it stands; changes nothing
    Status(MigrateStatusArgs),
    /// Drop everything in a database and apply all migrations again; `mode: dev` only
    Reset(MigrateResetArgs),
    /// Create a new migration file
    Create(MigrateCreateArgs),
    /// What a database's schema looks like
    Schema(SchemaArgs),
    /// Compare the schema with what the last run left; 12 when it differs
    Drift(DriftArgs),
    /// Apply what is pending to a copy, time it, and prove that it is settled
    Rehearse(RehearseArgs),
    /// Take in a database that was made without Stagecraft: mark migrations as
    /// applied without running them
    Baseline(BaselineArgs),
    /// Say what a failed migration left half-done, and mend its record
    Repair(RepairArgs),
    /// Check the files against the rules, the ledger and what was merged; for CI
    Check(MigrateCheckArgs),
    /// Take over the history that another migration tool kept
    Adopt(MigrateAdoptArgs),
}

#[derive(Debug, Clone, Args)]
pub(crate) struct Filters {
    /// Only this database; may be repeated
    #[arg(long, value_name = "NAME")]
    pub(crate) database: Vec<DatabaseName>,
    /// Only migrations of this strategy; may be repeated [default: all three]
    #[arg(long, value_enum, value_name = "STRATEGY")]
    pub(crate) strategy: Vec<StrategyArg>,
    /// Up to and including this migration
    #[arg(long, value_name = "ID")]
    pub(crate) to: Option<String>,
    /// Run migrations in this image instead of the newest release's
    #[arg(long, value_name = "REF", conflicts_with = "release")]
    pub(crate) image: Option<String>,
    /// Run migrations in the image of this release
    #[arg(long, value_name = "ID")]
    pub(crate) release: Option<ReleaseId>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
#[value(rename_all = "snake_case")]
pub(crate) enum StrategyArg {
    PreDeploy,
    PostDeploy,
    Manual,
}

impl From<StrategyArg> for MigrationStrategy {
    fn from(arg: StrategyArg) -> Self {
        match arg {
            StrategyArg::PreDeploy => MigrationStrategy::PreDeploy,
            StrategyArg::PostDeploy => MigrationStrategy::PostDeploy,
            StrategyArg::Manual => MigrationStrategy::Manual,
        }
    }
}

#[derive(Debug, Args)]
pub(crate) struct MigratePlanArgs {
    #[command(flatten)]
    pub(crate) filters: Filters,
    /// Print the SQL of each pending file, statement by statement
    #[arg(long)]
    pub(crate) sql: bool,
    /// Exit with 3 when something is pending, 4 on drift
    #[arg(long)]
    pub(crate) exit_code: bool,
}

#[derive(Debug, Args)]
pub(crate) struct MigrateRunArgs {
    #[command(flatten)]
    pub(crate) filters: Filters,
    /// At most this many for each database
    #[arg(long, value_name = "N", value_parser = RangedU64ValueParser::<usize>::new().range(1..))]
    pub(crate) steps: Option<usize>,
    /// Print the plan and change nothing at all
    #[arg(long)]
    pub(crate) dry_run: bool,
    /// Apply files that sort before one that is applied already
    #[arg(long)]
    pub(crate) allow_out_of_order: bool,
    /// Do not look at the databases before and after
    #[arg(long)]
    pub(crate) skip_health_check: bool,
    #[command(flatten)]
    pub(crate) backup: BackupChoice,
    /// Approve the plan of this id with its risks; printed by `--dry-run`
    #[arg(long, value_name = "PLAN_ID", conflicts_with = "dry_run")]
    pub(crate) approve: Option<String>,
}

#[derive(Debug, Args)]
pub(crate) struct MigrateResetArgs {
    /// Only this database; may be repeated
    #[arg(long, value_name = "NAME")]
    pub(crate) database: Vec<DatabaseName>,
    /// Print what would be dropped and change nothing at all
    #[arg(long)]
    pub(crate) dry_run: bool,
    /// Do not look at the databases before and after
    #[arg(long)]
    pub(crate) skip_health_check: bool,
}

#[derive(Debug, Args)]
pub(crate) struct MigrateStatusArgs {
    /// Only this database; may be repeated
    #[arg(long, value_name = "NAME")]
    pub(crate) database: Vec<DatabaseName>,
}

#[derive(Debug, Args)]
pub(crate) struct MigrateCreateArgs {
    /// What it does, such as `add notes`
    #[arg(value_name = "NAME")]
    pub(crate) name: String,
    /// The database it is for [default: the only one]
    #[arg(long, value_name = "NAME")]
    pub(crate) database: Option<DatabaseName>,
}
