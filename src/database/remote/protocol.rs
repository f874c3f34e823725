//! What travels between the two ends of a session in a container: one JSON
//! value a line, both ends the same program.

use serde::{Deserialize, Serialize};
use tokio::io::{AsyncWrite, AsyncWriteExt};

use super::super::sqlite::files::{FileReport, FileWork};
use crate::model::event::EventKind;
use crate::model::fault::Fault;
use crate::ports::{Claim, Hold, LedgerRow, SessionOptions, SqlError};

pub(super) const VERSION: &str = env!("CARGO_PKG_VERSION");

/// A call of the port. The first one is `Open`.
#[derive(Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Request {
    Open {
        /// The other end's: both must be one version.
        version: String,
        variable: String,
        /// The whole URL. It is in no argument and no variable of the container.
        url: String,
        options: SessionOptions,
    },
    Rows {
        database: String,
    },
    Lock {
        claim: Claim,
        wait_ms: u64,
    },
    Prepare,
    Renew,
    Apply {
        script: String,
        row: LedgerRow,
    },
    Execute {
        statement: String,
    },
    Save {
        row: LedgerRow,
    },
    Query {
        sql: String,
    },
    Hold,
    FreeBytes,
    /// Instead of `Open`: work on the file itself.
    Files {
        version: String,
        variable: String,
        url: String,
        work: FileWork,
    },
    /// Stops the call that is running; has no reply of its own.
    Cancel,
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Reply {
    /// Comes while a call runs. All others end it.
    Event(EventKind),
    Done,
    Locked(Hold),
    Rows(Option<Vec<LedgerRow>>),
    Texts(Vec<Option<String>>),
    /// A view's name, where it has one.
    Held(Option<String>),
    Bytes(Option<u64>),
    Files(FileReport),
    Fault(Fault),
    Sql(SqlError),
}

pub(super) async fn write(
    output: &mut (impl AsyncWrite + Unpin),
    message: &impl Serialize,
) -> std::io::Result<()> {
    let mut line = serde_json::to_vec(message)?;
    line.push(b'\n');
    output.write_all(&line).await?;
    output.flush().await
}
