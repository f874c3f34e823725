//! What runs on the blocking thread: scripts, statement by statement.

use rusqlite::fallible_iterator::FallibleIterator;
use rusqlite::types::ValueRef;
use rusqlite::{Batch, Connection, Error, ErrorCode};
use tokio::sync::watch;

use crate::ports::{SqlError, SqlErrorKind};

/// Runs `script` and `row` in one transaction; the count of statements that
/// ended goes to `progress`.
pub(super) fn apply(
    connection: &Connection,
    script: &str,
    row: &str,
    progress: &watch::Sender<u64>,
) -> Result<(), SqlError> {
    let done = begin_to_commit(connection, script, row, progress);
    let mut tries = 0;
    while done.is_err() && !connection.is_autocommit() && tries < 5 {
        // An interruption may hit this too. At the worst the transaction ends
        // with the connection.
        let _ = connection.execute_batch("ROLLBACK");
        tries += 1;
    }
    done
}

fn begin_to_commit(
    connection: &Connection,
    script: &str,
    row: &str,
    progress: &watch::Sender<u64>,
) -> Result<(), SqlError> {
    let own = |sql: &str| {
        connection
            .execute_batch(sql)
            .map_err(|error| describe(error, None))
    };
    own("BEGIN IMMEDIATE")?;
    statements(connection, script, progress, |index| {
        if connection.is_autocommit() {
            return Err(SqlError {
                message: "the statement ended the transaction of its migration".to_owned(),
                hint: Some(
                    "take COMMIT and ROLLBACK out of the file: what ran before them stays"
                        .to_owned(),
                ),
                statement: Some(index),
                ..SqlError::default()
            });
        }
        Ok(())
    })?;
    own(row)?;
    own("COMMIT")
}

/// Runs every statement of `script` to its end.
pub(super) fn execute(
    connection: &Connection,
    script: &str,
    progress: &watch::Sender<u64>,
) -> Result<(), SqlError> {
    statements(connection, script, progress, |_| Ok(()))
}

fn statements(
    connection: &Connection,
    script: &str,
    progress: &watch::Sender<u64>,
    after: impl Fn(u64) -> Result<(), SqlError>,
) -> Result<(), SqlError> {
    let mut batch = Batch::new(connection, script);
    let mut index = 0;
    let locate = |error, index| describe(error, Some((script, index)));
    while let Some(mut statement) = batch.next().map_err(|error| locate(error, index))? {
        let mut rows = statement.raw_query();
        while rows.next().map_err(|error| locate(error, index))?.is_some() {}
        after(index)?;
        index += 1;
        progress.send_replace(index);
    }
    Ok(())
}

/// The first column of a reading query, as text.
pub(super) fn texts(connection: &Connection, sql: &str) -> Result<Vec<Vec<Option<String>>>, Error> {
    let mut statement = connection.prepare(sql)?;
    if !statement.readonly() {
        return Err(Error::InvalidQuery);
    }
    let columns = statement.column_count();
    let mut rows = statement.raw_query();
    let mut texts = vec![];
    while let Some(row) = rows.next()? {
        let cells: Result<Vec<_>, Error> = (0..columns)
            .map(|column| row.get_ref(column).map(text))
            .collect();
        texts.push(cells?);
    }
    Ok(texts)
}

fn text(value: ValueRef<'_>) -> Option<String> {
    match value {
        ValueRef::Null => None,
        ValueRef::Integer(number) => Some(number.to_string()),
        ValueRef::Real(number) => Some(number.to_string()),
        ValueRef::Text(bytes) | ValueRef::Blob(bytes) => {
            Some(String::from_utf8_lossy(bytes).into_owned())
        }
    }
}

/// `at`: the text that was running, and its failing statement.
fn describe(error: Error, at: Option<(&str, u64)>) -> SqlError {
    let statement = at.map(|(_, index)| index);
    match error {
        Error::SqlInputError {
            error,
            msg,
            sql,
            offset,
        } => {
            // The text in the error is the tail that began at the statement.
            let position = at.and_then(|(script, _)| {
                let byte = script.len().checked_sub(sql.len())? + usize::try_from(offset).ok()?;
                Some(u64::try_from(script.get(..byte)?.chars().count()).ok()? + 1)
            });
            SqlError {
                message: msg,
                code: Some(error.extended_code.to_string()),
                position,
                statement,
                ..SqlError::default()
            }
        }
        Error::SqliteFailure(error, message) => SqlError {
            message: message.unwrap_or_else(|| error.to_string()),
            code: Some(error.extended_code.to_string()),
            statement,
            kind: match error.code {
                ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked => SqlErrorKind::LockTimeout,
                ErrorCode::OperationInterrupted => SqlErrorKind::Cancelled,
                _ => SqlErrorKind::Statement,
            },
            ..SqlError::default()
        },
        other => SqlError {
            message: other.to_string(),
            statement,
            ..SqlError::default()
        },
    }
}
