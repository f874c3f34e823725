//! The command line of `stagecraft migrate check`.

use clap::Args;

use crate::model::names::DatabaseName;

#[derive(Debug, Args)]
pub(crate) struct MigrateCheckArgs {
    /// Only this database; may be repeated
    #[arg(long, value_name = "NAME")]
    pub(crate) database: Vec<DatabaseName>,
    /// Compare with this branch or commit [default: the main branch of the remote]
    #[arg(long, value_name = "REF")]
    pub(crate) base: Option<String>,
    /// Fail on warnings too
    #[arg(long)]
    pub(crate) strict: bool,
    /// Apply everything to an empty scratch database, twice, and drop it again
    #[arg(long)]
    pub(crate) apply: bool,
    /// The variable that holds the URL of the server for the scratch database
    /// [default: the environment's own database]
    #[arg(long, value_name = "VARIABLE", requires = "apply")]
    pub(crate) scratch_env: Option<String>,
    /// Add the entries that the ledger of checksums lacks; rewrites no other
    #[arg(long, conflicts_with = "apply")]
    pub(crate) write_ledger: bool,
    /// Rewrite the ledger's entry of this file, which is applied nowhere; may be repeated
    #[arg(long, value_name = "FILE", requires = "write_ledger")]
    pub(crate) accept: Vec<String>,
}
