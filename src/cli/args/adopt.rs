//! The command line of `stagecraft migrate adopt`.

use clap::{Args, ValueEnum};

use crate::migrate::native::History;
use crate::model::names::DatabaseName;

#[derive(Debug, Args)]
pub(crate) struct MigrateAdoptArgs {
    /// The database whose history it is [default: the only one]
    #[arg(long, value_name = "NAME")]
    pub(crate) database: Option<DatabaseName>,
    /// The tool that kept it [default: the one whose table is there]
    #[arg(long, value_enum, value_name = "TOOL")]
    pub(crate) from: Option<FromArg>,
    /// Take this file as applied although the tool applied another text; may be
    /// repeated
    #[arg(long, value_name = "FILE")]
    pub(crate) accept_edited: Vec<String>,
    /// Leave out what the tool applied under this version or name, whose file
    /// is gone for good; may be repeated
    #[arg(long, value_name = "VERSION")]
    pub(crate) without_file: Vec<String>,
    /// Print what would be taken over and change nothing at all
    #[arg(long)]
    pub(crate) dry_run: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum FromArg {
    Dbmate,
    Diesel,
    Drizzle,
    Flyway,
    GolangMigrate,
    Goose,
    Knex,
    NodePgMigrate,
    Prisma,
    Refinery,
    Sqlx,
}

impl From<FromArg> for History {
    fn from(arg: FromArg) -> Self {
        match arg {
            FromArg::Dbmate => History::Dbmate,
            FromArg::Diesel => History::Diesel,
            FromArg::Drizzle => History::Drizzle,
            FromArg::Flyway => History::Flyway,
            FromArg::GolangMigrate => History::GolangMigrate,
            FromArg::Goose => History::Goose,
            FromArg::Knex => History::Knex,
            FromArg::NodePgMigrate => History::NodePgMigrate,
            FromArg::Prisma => History::Prisma,
            FromArg::Refinery => History::Refinery,
            FromArg::Sqlx => History::Sqlx,
        }
    }
}
