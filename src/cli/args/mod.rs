//! The command line as types. The doc comment of each struct is its help.

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueEnum};

use crate::model::names::{EnvironmentName, RoleName};
use crate::model::release::ReleaseId;

mod adopt;
mod backup;
mod life;
mod migrate;
mod migrate_check;

pub(crate) use adopt::MigrateAdoptArgs;
pub(crate) use backup::{
    BackupArgs, BackupChoice, BackupCommand, BackupCreateArgs, BackupListArgs, BackupPruneArgs,
    BackupRestoreArgs,
};
pub(crate) use life::{
    BaselineArgs, DriftArgs, RehearseArgs, RepairArgs, SchemaCommand, SchemaDumpArgs,
};
pub(crate) use migrate::{
    Filters, MigrateArgs, MigrateCommand, MigrateCreateArgs, MigratePlanArgs, MigrateResetArgs,
    MigrateRunArgs, MigrateStatusArgs,
};
pub(crate) use migrate_check::MigrateCheckArgs;

/// Take an application from a checkout to running containers, with its
/// database migrations, and back again
#[derive(Debug, Parser)]
#[command(
    name = "stagecraft",
    version,
    propagate_version = false,
    max_term_width = 100,
    disable_help_subcommand = true
)]
pub(crate) struct Cli {
    #[command(flatten)]
    pub(crate) globals: Globals,
    #[command(subcommand)]
    pub(crate) command: Command,
}

#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Global options")]
pub(crate) struct Globals {
    /// Configuration file [default: stagecraft.yml here or in a folder above]
    #[arg(
        short,
        long,
        global = true,
        env = "STAGECRAFT_CONFIG",
        value_name = "FILE",
        hide_env_values = true
    )]
    pub(crate) config: Option<PathBuf>,
    /// Environment to act on; never assumed
    #[arg(
        short,
        long,
        global = true,
        env = "STAGECRAFT_ENV",
        value_name = "NAME",
        hide_env_values = true
    )]
    pub(crate) env: Option<EnvironmentName>,
    /// How results are written: for people, as one JSON document, or a JSON object a line
    #[arg(long, global = true, value_enum, default_value_t = Format::Text, value_name = "FORMAT")]
    pub(crate) format: Format,
    /// Print results and errors only
    #[arg(short, long, global = true, conflicts_with = "verbose")]
    pub(crate) quiet: bool,
    /// Print the output of every step
    #[arg(short, long, global = true)]
    pub(crate) verbose: bool,
    /// Print without colour (also: the variable NO_COLOR)
    #[arg(long, global = true)]
    pub(crate) no_color: bool,
    /// Wait up to 15 minutes for somebody else's environment lock
    #[arg(long, global = true)]
    pub(crate) wait_lock: bool,
    /// Answer the question of a protected environment with yes
    #[arg(short, long, global = true)]
    pub(crate) yes: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
// No help of their own: it would stretch the help of every command.
pub(crate) enum Format {
    Text,
    Json,
    // Every event, then the result.
    Ndjson,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    Init(InitArgs),
    Check(CheckArgs),
    Config(ConfigArgs),
    Deploy(DeployArgs),
    Migrate(MigrateArgs),
    Releases(ReleasesArgs),
    Rollback(RollbackArgs),
    Backup(BackupArgs),
    Restart(RestartArgs),
    Maintenance(MaintenanceArgs),
    Status(StatusArgs),
    Logs(LogsArgs),
    Exec(ExecArgs),
    Lock(LockArgs),
    Completions(CompletionsArgs),
    Man(ManArgs),
    #[command(hide = true)]
    Helper(HelperArgs),
}

/// Write a commented stagecraft.yml fitted to what is found here
#[derive(Debug, Args)]
pub(crate) struct InitArgs {
    /// Name of the project [default: the folder's name]
    #[arg(long, value_name = "NAME")]
    pub(crate) name: Option<String>,
}

/// Check the configuration of every environment; connects to nothing
#[derive(Debug, Args)]
pub(crate) struct CheckArgs {}

/// Show the configuration or its schema
#[derive(Debug, Args)]
pub(crate) struct ConfigArgs {
    #[command(subcommand)]
    pub(crate) command: ConfigCommand,
}

#[derive(Debug, Subcommand)]
pub(crate) enum ConfigCommand {
    /// Print the merged configuration of one environment, secrets masked
    Show,
    /// Print the JSON Schema of stagecraft.yml
    Schema,
}

/// Build, push, migrate, roll out and record one release
#[derive(Debug, Args)]
pub(crate) struct DeployArgs {
    /// Print the plan and change nothing at all
    #[arg(long, conflicts_with_all = ["resume", "abort"])]
    pub(crate) dry_run: bool,
    /// Deploy this image instead of building one: REPOSITORY@sha256:DIGEST, or a tag
    #[arg(long, value_name = "REF", conflicts_with_all = ["resume", "abort"])]
    pub(crate) image: Option<String>,
    /// Version of the release [default: the commit, else the time]
    #[arg(long, value_name = "VERSION", conflicts_with_all = ["resume", "abort"])]
    pub(crate) version: Option<String>,
    /// Do not look at the databases before and after their migrations
    #[arg(long, conflicts_with = "abort")]
    pub(crate) skip_health_check: bool,
    /// Finish a release that was cut off, or failed in migrations or finalize
    #[arg(long, conflicts_with = "abort")]
    pub(crate) resume: bool,
    /// Undo the rollout of a release that was cut off
    #[arg(long)]
    pub(crate) abort: bool,
    #[command(flatten)]
    pub(crate) backup: BackupChoice,
    /// Approve the plan of this id with its risks; printed by `--dry-run`
    #[arg(long, value_name = "PLAN_ID", conflicts_with_all = ["abort", "dry_run"])]
    pub(crate) approve: Option<String>,
}

/// Show past releases and keep their record
#[derive(Debug, Args)]
pub(crate) struct ReleasesArgs {
    #[command(subcommand)]
    pub(crate) command: ReleasesCommand,
}

#[derive(Debug, Subcommand)]
pub(crate) enum ReleasesCommand {
    /// List releases, newest first
    List,
    /// Show one release and the timeline of its phases
    Show {
        /// The release's id
        #[arg(value_name = "ID")]
        id: ReleaseId,
    },
    /// Mark a release bad, so that no rollback goes back to it
    MarkBad {
        /// The release's id
        #[arg(value_name = "ID")]
        id: ReleaseId,
    },
    /// Write a damaged record again, from what is readable in it and the hosts' copies
    Rebuild,
}

/// Bring back the image of an earlier release; databases are not rolled back
#[derive(Debug, Args)]
pub(crate) struct RollbackArgs {
    /// The release to go back to [default: the last good one before the live one]
    #[arg(long, value_name = "ID")]
    pub(crate) to: Option<ReleaseId>,
    /// Print the plan and change nothing at all
    #[arg(long)]
    pub(crate) dry_run: bool,
    /// Go back although the older code does not know today's schema; to be approved
    #[arg(long)]
    pub(crate) force_schema: bool,
    /// Approve the plan of this id with its risks; printed by `--dry-run`
    #[arg(long, value_name = "PLAN_ID", conflicts_with = "dry_run")]
    pub(crate) approve: Option<String>,
}

/// Make the live release's containers anew; behind the proxy no request is lost
#[derive(Debug, Args)]
pub(crate) struct RestartArgs {
    /// Only this role; may be repeated [default: all]
    #[arg(long, value_name = "NAME")]
    pub(crate) role: Vec<RoleName>,
    /// Print the plan and change nothing at all
    #[arg(long)]
    pub(crate) dry_run: bool,
}

/// Answer every request with a page, or let them reach the application again
#[derive(Debug, Args)]
pub(crate) struct MaintenanceArgs {
    #[command(subcommand)]
    pub(crate) command: MaintenanceCommand,
}

#[derive(Debug, Clone, Copy, Subcommand)]
pub(crate) enum MaintenanceCommand {
    /// Answer every request with a page; containers go on running
    On,
    /// Let requests reach the application again
    Off,
}

/// Show what runs where, who gets the traffic, and what is amiss
#[derive(Debug, Args)]
pub(crate) struct StatusArgs {}

/// Show the containers' logs
#[derive(Debug, Args)]
pub(crate) struct LogsArgs {
    /// Only this role
    #[arg(long, value_name = "NAME")]
    pub(crate) role: Option<RoleName>,
    /// Only this host, as the configuration writes it
    #[arg(long, value_name = "ADDRESS")]
    pub(crate) host: Option<String>,
    /// How many lines of each container
    #[arg(short = 'n', long, value_name = "N", default_value_t = 100)]
    pub(crate) lines: usize,
    /// Go on until interrupted
    #[arg(short, long)]
    pub(crate) follow: bool,
}

/// Run a command in a running container
#[derive(Debug, Args)]
pub(crate) struct ExecArgs {
    /// In a container of this role [default: the first role]
    #[arg(long, value_name = "NAME")]
    pub(crate) role: Option<RoleName>,
    /// On this host, as the configuration writes it [default: the first that runs the role]
    #[arg(long, value_name = "ADDRESS")]
    pub(crate) host: Option<String>,
    /// End the command after this many seconds
    #[arg(long, value_name = "SECONDS", default_value_t = 3600)]
    pub(crate) timeout: u64,
    /// The command and its arguments
    #[arg(
        value_name = "COMMAND",
        required = true,
        trailing_var_arg = true,
        allow_hyphen_values = true
    )]
    pub(crate) command: Vec<String>,
}

/// Show who holds the environment lock, or end it
#[derive(Debug, Args)]
pub(crate) struct LockArgs {
    #[command(subcommand)]
    pub(crate) command: LockCommand,
}

#[derive(Debug, Subcommand)]
pub(crate) enum LockCommand {
    /// Show who holds it, on which hosts and since when
    Show,
    /// Take it from whoever holds it; that command stops what it is doing
    Release,
}

/// Print a completion script for a shell
#[derive(Debug, Args)]
pub(crate) struct CompletionsArgs {
    #[arg(value_enum)]
    pub(crate) shell: clap_complete::Shell,
}

/// Print the manual page, or write those of all commands into a folder
#[derive(Debug, Args)]
pub(crate) struct ManArgs {
    /// Write a page for each command into this folder: stagecraft.1, stagecraft-deploy.1 …
    #[arg(value_name = "DIR")]
    pub(crate) folder: Option<PathBuf>,
}

/// What this program runs of itself inside containers
#[derive(Debug, Args)]
pub(crate) struct HelperArgs {
    #[arg(value_name = "WHAT")]
    pub(crate) what: String,
}
