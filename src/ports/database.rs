use std::fmt;
use std::time::Duration;

use async_trait::async_trait;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::model::fault::Fault;

use super::{Cx, Job};

/// The kinds of database that Stagecraft speaks to itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Dialect {
    Postgres,
    Mysql,
    Sqlite,
}

/// For people.
impl fmt::Display for Dialect {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Dialect::Postgres => "PostgreSQL",
            Dialect::Mysql => "MySQL",
            Dialect::Sqlite => "SQLite",
        })
    }
}

impl Dialect {
    /// A text as SQL writes it, whatever the session says about backslashes.
    #[must_use]
    pub fn literal(self, text: &str) -> String {
        // No dialect can hold a zero byte in text.
        let text = text.replace('\0', "");
        match self {
            Dialect::Postgres => {
                format!("E'{}'", text.replace('\\', r"\\").replace('\'', "''"))
            }
            Dialect::Sqlite => format!("'{}'", text.replace('\'', "''")),
            Dialect::Mysql => {
                use std::fmt::Write;
                let hex = text.bytes().fold(String::new(), |mut hex, byte| {
                    // Writing to a String cannot fail.
                    let _ = write!(hex, "{byte:02x}");
                    hex
                });
                format!("_utf8mb4 X'{hex}'")
            }
        }
    }
}

/// A row of the table `stagecraft_migrations`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct LedgerRow {
    /// The entry of `databases`: entries that share a database see only their
    /// own rows.
    pub database: String,
    /// The file's name.
    pub id: String,
    /// SHA-256 of the raw bytes, hexadecimal.
    pub checksum: String,
    /// SHA-256 of the tokens, without comments and white space.
    pub normalised: String,
    pub transactional: bool,
    /// RFC 3339, UTC.
    pub started_at: String,
    /// `None` while it is not finished.
    pub finished_at: Option<String>,
    pub duration_ms: Option<i64>,
    pub statements_total: i64,
    /// Statements that were begun: one more than `statements_done` when a run
    /// was cut off in the middle of one.
    pub statements_begun: i64,
    pub statements_done: i64,
    pub error: Option<String>,
    pub release: String,
    pub tool_version: String,
    /// No column: statements that take effect together with this row or not at
    /// all, such as the row of another tool's table.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub beside: Vec<String>,
}

/// Who takes a lock. The sessions of one step share the lock of one database,
/// so that two entries of `databases` that are one database never wait for each
/// other; two sessions of one entry exclude each other, so that the second one
/// knows that the first is over.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Claim {
    /// Random, one a step.
    pub step: Uuid,
    /// The entry of `databases`.
    pub entry: String,
}

/// Which session of a step holds the lock.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Hold {
    /// This one.
    Own,
    /// Another entry's, which has to live as long as the work goes on.
    Shared,
}

/// What a session may take.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SessionOptions {
    /// Wait for a relation lock.
    pub lock_timeout: Duration,
    pub statement_timeout: Duration,
    /// Run at the start of the session, in order.
    pub session_sql: Vec<String>,
    /// Shown by the server: `stagecraft/<release>`.
    pub application_name: String,
    /// Nothing may be written through it.
    pub read_only: bool,
    #[serde(default)]
    pub who: Who,
    #[serde(default)]
    pub which: Which,
}

/// As whom a session logs in.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Who {
    /// By `direct_connection_env` where it is set.
    #[default]
    Migrator,
    /// By `connection_env`, as the application does.
    Application,
}

/// Which database of the server.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Which {
    /// The one that the URL names.
    #[default]
    Configured,
    /// The one of this name; for SQLite the file of this name in the same
    /// folder.
    Other(String),
}

/// Why the server refused a text.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct SqlError {
    pub message: String,
    /// SQLSTATE, or the database's own code.
    pub code: Option<String>,
    pub detail: Option<String>,
    pub hint: Option<String>,
    /// 1-based, in characters of the text that was sent.
    pub position: Option<u64>,
    /// 0-based index of the failing statement in the text that was sent,
    /// where the protocol tells.
    pub statement: Option<u64>,
    /// PostgreSQL's context (`PL/pgSQL function … line 3`).
    pub context: Option<String>,
    pub kind: SqlErrorKind,
    /// Who held the lock that was waited for, in words.
    pub blocker: Option<String>,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SqlErrorKind {
    #[default]
    Statement,
    /// `lock_timeout` ran out: nothing was changed, may be tried again.
    LockTimeout,
    /// `statement_timeout` ran out.
    StatementTimeout,
    /// Cancelled by us: the signal, or the deadline of the whole step.
    Cancelled,
    /// The connection was lost: whether the text took effect is unknown.
    ConnectionLost,
}

/// One session on a database, and the ledger table in it.
///
/// Dropping it ends the session, which frees the lock.
#[async_trait]
pub trait Database: Send {
    fn dialect(&self) -> Dialect;

    /// The rows of one entry of `databases`, in order of `id`; `None` while
    /// there is no table. Read-only.
    async fn rows(&mut self, database: &str) -> Result<Option<Vec<LedgerRow>>, Fault>;

    /// Takes the lock that every migrator of this database takes, by polling,
    /// never by waiting inside the server. The sessions of a step are locked
    /// one after the other. Asked again, it says whether the lock still stands,
    /// and takes it where the session that it was shared with is gone.
    ///
    /// # Errors
    /// `Locked` after `wait`, naming the holder.
    async fn lock(&mut self, cx: &Cx, claim: &Claim, wait: Duration) -> Result<Hold, Fault>;

    /// Makes the table when it is missing.
    async fn prepare(&mut self) -> Result<(), Fault>;

    /// Takes back what an earlier migration left in the session (settings, a
    /// role): called before each migration, never between its statements.
    async fn renew(&mut self) -> Result<(), Fault>;

    /// Runs `script` and saves `row` in one transaction: both or neither.
    /// The signal and `cx`'s cancellation cancel the work in the server.
    /// NOTICE lines go out as output events.
    ///
    /// # Errors
    /// Nothing of the script took effect, except where the kind says that the
    /// outcome is unknown.
    async fn apply(&mut self, cx: &Cx, script: &str, row: &LedgerRow) -> Result<(), SqlError>;

    /// Runs one statement outside any transaction.
    async fn execute(&mut self, cx: &Cx, statement: &str) -> Result<(), SqlError>;

    /// Saves a row (and what is beside it), durably: inserted, or updated when
    /// one with its `database` and `id` is there.
    async fn save(&mut self, row: &LedgerRow) -> Result<(), Fault>;

    /// Runs a query that returns one text column; for looking into the
    /// catalogue. Read-only.
    async fn query(&mut self, sql: &str) -> Result<Vec<Option<String>>, Fault>;

    /// From now on every [`Database::query`] of this session sees the database
    /// as it is at this moment, until the session ends. The answer names that
    /// view where the server lends it to other programs. For a session that
    /// only reads.
    async fn hold(&mut self) -> Result<Option<String>, Fault>;

    /// The bytes that are free where the database lies; `None` where its server
    /// does not tell.
    async fn free_bytes(&mut self) -> Result<Option<u64>, Fault>;
}

/// Opens sessions by the route that the configuration asks for.
#[async_trait]
pub trait Databases: Send + Sync {
    /// The route in words: `directly`, `through 10.0.0.4`, `in a container on
    /// 10.0.0.4`; and whether an image is needed for it.
    async fn route(&self, job: &Job<'_>) -> Result<Route, Fault>;

    /// # Errors
    /// Missing variable, unknown scheme, unreachable or refusing server.
    async fn open(
        &self,
        cx: &Cx,
        job: &Job<'_>,
        options: &SessionOptions,
    ) -> Result<Box<dyn Database>, Fault>;
}

/// See [`Databases::route`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Route {
    pub dialect: Dialect,
    pub words: String,
    /// The session runs in a container of [`Job::image`].
    pub needs_image: bool,
}
