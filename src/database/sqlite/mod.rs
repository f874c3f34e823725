//! SQLite: a file, opened where it lies.
//!
//! SQLite calls block, so each runs on a blocking thread while this side
//! listens for the signal and the statement's deadline and interrupts it.

pub(in crate::database) mod files;
mod lock;
mod open;
mod work;

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use rusqlite::{Connection, InterruptHandle};
use tokio::sync::watch;
use tokio::time::Instant;

use crate::model::fault::Fault;
use crate::ports::{
    Claim, Cx, Database, Dialect, Hold, LedgerRow, SessionOptions, SqlError, SqlErrorKind,
};

use super::ledger;
use lock::Lock;

/// An interruption that comes between two statements is lost, so it is said
/// again until the work ends.
const INSIST: Duration = Duration::from_millis(50);

struct Sqlite {
    connection: Arc<Mutex<Connection>>,
    interrupt: InterruptHandle,
    path: PathBuf,
    options: SessionOptions,
    lock: Option<Lock>,
}

/// Opens a session on the file. A missing one is made, unless the session may
/// only read: then it is as an empty database.
///
/// # Errors
/// Not a database, no permission, a refused session statement.
pub(super) async fn open(
    path: &Path,
    options: &SessionOptions,
) -> Result<Box<dyn Database>, Fault> {
    let (file, wanted) = (path.to_owned(), options.clone());
    let connection = blocking(move || open::open(&file, &wanted)).await??;
    match connection {
        Some(connection) => Ok(session(connection, path, options)),
        None => empty(path, options),
    }
}

/// A session on nothing: what a database that is not there yet looks like.
///
/// # Errors
/// SQLite itself cannot start.
pub(super) fn empty(path: &Path, options: &SessionOptions) -> Result<Box<dyn Database>, Fault> {
    let connection = Connection::open_in_memory()
        .map_err(|error| Fault::internal("cannot start SQLite").caused_by(&error))?;
    Ok(session(connection, path, options))
}

fn session(connection: Connection, path: &Path, options: &SessionOptions) -> Box<dyn Database> {
    Box::new(Sqlite {
        interrupt: connection.get_interrupt_handle(),
        connection: Arc::new(Mutex::new(connection)),
        path: path.to_owned(),
        options: options.clone(),
        lock: None,
    })
}

async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> T + Send + 'static,
) -> Result<T, Fault> {
    tokio::task::spawn_blocking(work)
        .await
        .map_err(|error| Fault::internal("the SQLite thread ended early").caused_by(&error))
}

impl Sqlite {
    /// Runs `work` with the connection on a blocking thread.
    async fn with<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Connection) -> T + Send + 'static,
    ) -> Result<T, Fault> {
        let connection = Arc::clone(&self.connection);
        blocking(move || {
            // A panic in another call says nothing about the connection.
            let connection = connection
                .lock()
                .unwrap_or_else(|poisoned| poisoned.into_inner());
            work(&connection)
        })
        .await
    }

    async fn batch(&self, sql: String, what: &str) -> Result<(), Fault> {
        self.with(move |connection| connection.execute_batch(&sql))
            .await?
            .map_err(|error| self.fault(what, &error))
    }

    async fn texts(&self, sql: String) -> Result<Vec<Vec<Option<String>>>, Fault> {
        self.with(move |connection| work::texts(connection, &sql))
            .await?
            .map_err(|error| self.fault("cannot read", &error))
    }

    fn fault(&self, what: &str, error: &rusqlite::Error) -> Fault {
        Fault::failed(format!(
            "{what} the SQLite database {}",
            self.path.display()
        ))
        .caused_by(error)
    }

    /// Runs scripts, and interrupts them at the signal or when one statement
    /// takes too long.
    async fn watched(
        &self,
        cx: &Cx,
        work: impl FnOnce(&Connection, &watch::Sender<u64>) -> Result<(), SqlError> + Send + 'static,
    ) -> Result<(), SqlError> {
        if cx.token().is_cancelled() {
            return Err(cut(SqlErrorKind::Cancelled));
        }
        let (sender, mut progress) = watch::channel(0);
        let work = self.with(move |connection| work(connection, &sender));
        tokio::pin!(work);
        let limit = self.options.statement_timeout;
        let mut deadline = Instant::now() + limit;
        let mut insist = tokio::time::interval(INSIST);
        let mut why = None;
        let mut running = true;
        loop {
            tokio::select! {
                done = &mut work => {
                    let done = done.unwrap_or_else(|fault| Err(SqlError {
                        message: fault.to_string(),
                        kind: SqlErrorKind::ConnectionLost,
                        ..SqlError::default()
                    }));
                    return done.map_err(|error| match (error.kind, why) {
                        (SqlErrorKind::Cancelled, Some(kind)) => SqlError {
                            statement: error.statement,
                            ..cut(kind)
                        },
                        _ => error,
                    });
                }
                changed = progress.changed(), if running => {
                    running = changed.is_ok();
                    deadline = Instant::now() + limit;
                }
                () = cx.token().cancelled(), if why.is_none() => {
                    why = Some(SqlErrorKind::Cancelled);
                }
                () = tokio::time::sleep_until(deadline), if why.is_none() && !limit.is_zero() => {
                    why = Some(SqlErrorKind::StatementTimeout);
                }
                _ = insist.tick(), if why.is_some() && running => self.interrupt.interrupt(),
            }
        }
    }
}

fn cut(kind: SqlErrorKind) -> SqlError {
    let message = match kind {
        SqlErrorKind::StatementTimeout => "statement_timeout ran out",
        _ => "cancelled",
    };
    SqlError {
        message: message.to_owned(),
        kind,
        ..SqlError::default()
    }
}

/// The row, and what takes effect together with it.
fn with_beside(row: &LedgerRow) -> String {
    let mut sql = ledger::upsert(Dialect::Sqlite, ledger::TABLE, row);
    for beside in &row.beside {
        sql.push_str(";\n");
        sql.push_str(beside);
    }
    sql
}

#[async_trait]
impl Database for Sqlite {
    fn dialect(&self) -> Dialect {
        Dialect::Sqlite
    }

    async fn rows(&mut self, database: &str) -> Result<Option<Vec<LedgerRow>>, Fault> {
        let there = format!(
            "SELECT 1 FROM sqlite_schema WHERE type = 'table' AND name = '{}'",
            ledger::TABLE
        );
        if self.texts(there).await?.is_empty() {
            return Ok(None);
        }
        let rows = self
            .texts(ledger::select(Dialect::Sqlite, ledger::TABLE, database))
            .await?;
        Ok(Some(rows.into_iter().map(ledger::row).collect()))
    }

    async fn lock(&mut self, cx: &Cx, claim: &Claim, wait: Duration) -> Result<Hold, Fault> {
        if !matches!(
            self.lock,
            Some(Lock {
                hold: Hold::Own,
                ..
            })
        ) {
            // What it had shared is looked for anew.
            self.lock = None;
            let who = &self.options.application_name;
            self.lock = Some(lock::acquire(cx, &self.path, who, claim, wait).await?);
        }
        Ok(self.lock.as_ref().map_or(Hold::Own, |lock| lock.hold))
    }

    async fn prepare(&mut self) -> Result<(), Fault> {
        let sql = ledger::create(Dialect::Sqlite, ledger::TABLE);
        self.batch(sql, "cannot make the table of migrations in")
            .await
    }

    async fn renew(&mut self) -> Result<(), Fault> {
        // Settings of a connection are pragmas, which a file sets on purpose
        // and for its own statements only where it says so.
        Ok(())
    }

    async fn apply(&mut self, cx: &Cx, script: &str, row: &LedgerRow) -> Result<(), SqlError> {
        let script = script.to_owned();
        let row = with_beside(row);
        self.watched(cx, move |connection, progress| {
            work::apply(connection, &script, &row, progress)
        })
        .await
    }

    async fn execute(&mut self, cx: &Cx, statement: &str) -> Result<(), SqlError> {
        let statement = statement.to_owned();
        self.watched(cx, move |connection, progress| {
            work::execute(connection, &statement, progress)
        })
        .await
    }

    async fn save(&mut self, row: &LedgerRow) -> Result<(), Fault> {
        let sql = with_beside(row);
        if row.beside.is_empty() {
            return self.batch(sql, "cannot save a migration's row in").await;
        }
        let (sender, _) = watch::channel(0);
        let saved = self
            .with(move |connection| work::apply(connection, "", &sql, &sender))
            .await?;
        saved.map_err(|error| {
            Fault::failed(format!(
                "cannot save a migration's row in the SQLite database {}",
                self.path.display()
            ))
            .because(error.message)
        })
    }

    async fn query(&mut self, sql: &str) -> Result<Vec<Option<String>>, Fault> {
        let rows = self.texts(sql.to_owned()).await?;
        Ok(rows
            .into_iter()
            .map(|row| row.into_iter().next().flatten())
            .collect())
    }

    async fn hold(&mut self) -> Result<Option<String>, Fault> {
        // A transaction's view begins with its first reading.
        let begin = "BEGIN; SELECT count(*) FROM sqlite_schema";
        self.batch(begin.to_owned(), "cannot read").await?;
        Ok(None)
    }

    async fn free_bytes(&mut self) -> Result<Option<u64>, Fault> {
        let path = self.path.clone();
        blocking(move || open::free_bytes(&path)).await
    }
}

#[cfg(test)]
mod tests;
