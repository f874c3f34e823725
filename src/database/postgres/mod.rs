//! PostgreSQL: one simple-query message a migration, the row inside it.
//!
//! Two connections: the session, which holds the lock and does the work, and
//! from the moment of locking a second one, which names whoever is in the way
//! and proves that the server gives each of us a process of our own.

mod connect;
mod error;
mod lock;
mod row;
mod run;
mod tls;
mod watch;

use std::time::Duration;

use async_trait::async_trait;
use tokio_postgres::SimpleQueryMessage;

use crate::model::fault::Fault;
use crate::ports::{
    Claim, Cx, Database, Dialect, Hold, LedgerRow, SessionOptions, SqlError, SqlErrorKind,
};

use super::dial::Dialer;
use super::ledger;
use connect::{Connector, Wire};
use run::{Answer, Failure, Lookout};

const BEGIN: &str = "BEGIN;\n";

/// The name of the prepared statement.
const ROW: &str = "stagecraft_row";

struct Postgres {
    connector: Connector,
    wire: Wire,
    options: SessionOptions,
    /// The server process that the session began with.
    pid: i32,
    second: Option<Wire>,
    /// The ledger table with its schema, once it was seen: a script may leave
    /// another `search_path` behind.
    table: Option<String>,
    /// The row's statement was prepared in this session, and nothing took it
    /// away since.
    prepared: bool,
    /// A script may have changed settings that the next one must not see.
    unsettled: bool,
    /// Another process answered than the one that holds the lock.
    pooled: bool,
    /// A transaction is open whose view every query has.
    held: bool,
}

/// # Errors
/// Unreachable or refusing server, a refused session statement.
pub(super) async fn open(
    dialer: Dialer,
    options: &SessionOptions,
) -> Result<Box<dyn Database>, Fault> {
    let connector = Connector::new(dialer, &options.application_name)?;
    let wire = connector.connect().await?;
    let mut session = Postgres {
        connector,
        wire,
        options: options.clone(),
        pid: 0,
        second: None,
        table: None,
        prepared: false,
        unsettled: false,
        pooled: false,
        held: false,
    };
    session.settle().await?;
    session.pid = session.process().await?;
    Ok(Box::new(session))
}

impl Postgres {
    /// The session's settings, as at its beginning.
    async fn settle(&mut self) -> Result<(), Fault> {
        let options = &self.options;
        let own = format!(
            "RESET SESSION AUTHORIZATION; RESET ALL; \
             SET lock_timeout = {}; SET statement_timeout = {}; \
             SET idle_in_transaction_session_timeout = 0; \
             SET default_transaction_read_only = {}",
            options.lock_timeout.as_millis(),
            options.statement_timeout.as_millis(),
            if options.read_only { "on" } else { "off" },
        );
        let setting = self.wire.client.batch_execute(&own).await;
        setting.map_err(|error| self.fault("cannot set up a session on", &error))?;
        for sql in &options.session_sql {
            let setting = self.wire.client.batch_execute(sql).await;
            setting.map_err(|error| {
                let what = format!("the `session_sql` statement `{sql}` was refused");
                error::because(Fault::failed(what), &error)
            })?;
        }
        self.unsettled = false;
        Ok(())
    }

    fn fault(&self, what: &str, error: &tokio_postgres::Error) -> Fault {
        let what = format!("{what} the database {}", self.connector.dialer.server);
        error::because(Fault::failed(what), error)
    }

    async fn texts(&self, sql: &str) -> Result<Vec<Vec<Option<String>>>, Fault> {
        let messages = self.wire.client.simple_query(sql).await;
        let messages = messages.map_err(|error| self.fault("cannot read", &error))?;
        Ok(messages
            .iter()
            .filter_map(|message| match message {
                SimpleQueryMessage::Row(row) => Some(
                    (0..row.len())
                        .map(|column| row.get(column).map(str::to_owned))
                        .collect(),
                ),
                _ => None,
            })
            .collect())
    }

    async fn text(&self, sql: &str) -> Result<Option<String>, Fault> {
        Ok(self
            .texts(sql)
            .await?
            .into_iter()
            .next()
            .and_then(|row| row.into_iter().next().flatten()))
    }

    async fn process(&self) -> Result<i32, Fault> {
        let pid = self.text("SELECT pg_backend_pid()").await?;
        Ok(pid.and_then(|pid| pid.parse().ok()).unwrap_or_default())
    }

    /// The ledger table where the session finds it.
    async fn find_table(&mut self) -> Result<Option<String>, Fault> {
        if self.table.is_none() {
            let sql = format!(
                "SELECT quote_ident(n.nspname) FROM pg_catalog.pg_class c \
                 JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace \
                 WHERE c.oid = to_regclass('{}')",
                ledger::TABLE
            );
            let schema = self.text(&sql).await?;
            self.table = schema.map(|schema| format!("{schema}.{}", ledger::TABLE));
        }
        Ok(self.table.clone())
    }

    async fn send(&mut self, cx: &Cx, message: &str) -> Answer {
        let lookout = Lookout {
            connector: &self.connector,
            second: self.second.as_ref().map(|wire| (&wire.client, self.pid)),
            lock_timeout: self.options.lock_timeout,
        };
        run::run(cx, &mut self.wire, message, &lookout).await
    }

    /// What must be right before a text is sent.
    fn ready(&mut self, cx: &Cx, text: &str) -> Result<(), SqlError> {
        if cx.token().is_cancelled() {
            return Err(SqlError {
                message: "cancelled".to_owned(),
                kind: SqlErrorKind::Cancelled,
                ..SqlError::default()
            });
        }
        let refuse = |fault: Fault| SqlError {
            hint: fault.hints.first().cloned(),
            message: fault.to_string(),
            ..SqlError::default()
        };
        if self.pooled {
            return Err(refuse(self.pooler()));
        }
        let text = text.to_ascii_lowercase();
        self.unsettled |= ["set ", "set\t", "set\n", "set_config", "reset"]
            .iter()
            .any(|word| text.contains(word));
        Ok(())
    }

    /// The failure of a message in the port's words. `before`: characters sent
    /// ahead of `text`; `own`: completed statements that were not the text's.
    fn describe(&self, answer: &Answer, text: &str, before: u64, own: u64) -> Option<SqlError> {
        let length = u64::try_from(text.chars().count()).unwrap_or(u64::MAX);
        let mut error = match answer.failure.as_ref()? {
            Failure::Sql(error) if error.as_db_error().is_some() => {
                error::describe(error, before, length)
            }
            Failure::Sql(error) if self.wire.client.is_closed() => {
                error::describe(error, before, length)
            }
            Failure::Sql(error) => {
                // The server waits for something that no text can give.
                self.wire.cut();
                SqlError {
                    message: format!("{error}: does the text hold `COPY … FROM STDIN`?"),
                    hint: Some("write the data as INSERT statements".to_owned()),
                    ..SqlError::default()
                }
            }
            Failure::Silent => {
                self.wire.cut();
                SqlError {
                    message: "cancelled, but the server did not confirm it".to_owned(),
                    kind: SqlErrorKind::ConnectionLost,
                    ..SqlError::default()
                }
            }
        };
        error.statement = answer.completed.checked_sub(own);
        match error.kind {
            SqlErrorKind::LockTimeout => error.blocker = answer.blocker.clone(),
            SqlErrorKind::Cancelled if !answer.cancelled => {
                let limit = self.options.statement_timeout;
                error.kind = if !limit.is_zero() && answer.elapsed >= limit {
                    SqlErrorKind::StatementTimeout
                } else {
                    SqlErrorKind::Statement
                };
            }
            _ => {}
        }
        Some(error)
    }
}

#[async_trait]
impl Database for Postgres {
    fn dialect(&self) -> Dialect {
        Dialect::Postgres
    }

    async fn rows(&mut self, database: &str) -> Result<Option<Vec<LedgerRow>>, Fault> {
        let Some(table) = self.find_table().await? else {
            return Ok(None);
        };
        let rows = self
            .texts(&ledger::select(Dialect::Postgres, &table, database))
            .await?;
        Ok(Some(rows.into_iter().map(ledger::row).collect()))
    }

    async fn lock(&mut self, cx: &Cx, claim: &Claim, wait: Duration) -> Result<Hold, Fault> {
        self.poll_lock(cx, claim, wait).await
    }

    async fn prepare(&mut self) -> Result<(), Fault> {
        if self.find_table().await?.is_some() {
            return Ok(());
        }
        let schema = self.text("SELECT quote_ident(current_schema())").await?;
        let schema = schema.ok_or_else(|| {
            Fault::failed("no schema of the `search_path` exists")
                .hint("create the schema, or set another `search_path` in `session_sql`")
        })?;
        let table = format!("{schema}.{}", ledger::TABLE);
        let sql = ledger::create(Dialect::Postgres, &table);
        let made = self.wire.client.batch_execute(&sql).await;
        made.map_err(|error| self.fault("cannot make the table of migrations in", &error))?;
        self.table = Some(table);
        Ok(())
    }

    async fn renew(&mut self) -> Result<(), Fault> {
        if self.unsettled {
            self.settle().await?;
        }
        Ok(())
    }

    async fn apply(&mut self, cx: &Cx, script: &str, row: &LedgerRow) -> Result<(), SqlError> {
        self.ready(cx, script)?;
        let table = self
            .table
            .clone()
            .unwrap_or_else(|| ledger::TABLE.to_owned());
        self.prepare_row(&table, script).await?;
        // The row comes last: it tells which process answered.
        let beside: String = row.beside.iter().map(|sql| format!("{sql};\n")).collect();
        let row = match self.prepared {
            true => ledger::execute(ROW, row),
            false => {
                let insert = ledger::upsert(Dialect::Postgres, &table, row);
                format!("{insert} RETURNING pg_backend_pid()")
            }
        };
        // The line break ends a last comment, the semicolon a last statement.
        let script = format!("{script}\n;");
        let message = format!("{BEGIN}{script}\n{beside}{row};\nCOMMIT");
        let mut answer = self.send(cx, &message).await;
        let before = u64::try_from(BEGIN.len()).unwrap_or_default();
        if let Some(mut error) = self.describe(&answer, &script, before, 1) {
            if answer.completed > 0 && !self.wire.client.is_closed() {
                let undo = self.send(&cx.uncancellable(), "ROLLBACK").await;
                answer.nesting |= undo.nesting;
                if undo.failure.is_some() {
                    self.wire.cut();
                }
            }
            if answer.nesting {
                error.hint = Some(NESTING.to_owned());
            }
            // A deadlock undid the whole transaction: as good as a timeout.
            if error.code.as_deref() == Some("40P01") {
                error.kind = SqlErrorKind::LockTimeout;
            }
            return Err(error);
        }
        self.pooled = answer.last != Some(self.pid.to_string());
        if answer.nesting {
            return Err(SqlError {
                message: "the script ends or begins a transaction of its own".to_owned(),
                hint: Some(NESTING.to_owned()),
                ..SqlError::default()
            });
        }
        Ok(())
    }

    async fn execute(&mut self, cx: &Cx, statement: &str) -> Result<(), SqlError> {
        self.ready(cx, statement)?;
        let answer = self.send(cx, statement).await;
        self.describe(&answer, statement, 0, 0).map_or(Ok(()), Err)
    }

    async fn save(&mut self, row: &LedgerRow) -> Result<(), Fault> {
        let table = self.find_table().await?;
        let table = table.unwrap_or_else(|| ledger::TABLE.to_owned());
        // One message of several statements is one transaction.
        let mut sql = ledger::upsert(Dialect::Postgres, &table, row);
        for beside in &row.beside {
            sql.push_str(";\n");
            sql.push_str(beside);
        }
        let saved = self.wire.client.batch_execute(&sql).await;
        saved.map_err(|error| self.fault("cannot save a migration's row in", &error))
    }

    async fn query(&mut self, sql: &str) -> Result<Vec<Option<String>>, Fault> {
        let first = |row: Vec<Option<String>>| row.into_iter().next().flatten();
        if self.held {
            return Ok(self.texts(sql).await?.into_iter().map(first).collect());
        }
        let rows = self
            .texts(&format!("BEGIN READ ONLY;\n{sql}\n;\nROLLBACK"))
            .await;
        if rows.is_err() && !self.wire.client.is_closed() {
            // The error that is told is the query's.
            let _ = self.wire.client.batch_execute("ROLLBACK").await;
        }
        Ok(rows?.into_iter().map(first).collect())
    }

    async fn hold(&mut self) -> Result<Option<String>, Fault> {
        let begin = "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY";
        let begun = self.wire.client.batch_execute(begin).await;
        begun.map_err(|error| self.fault("cannot read", &error))?;
        let name = self.text("SELECT pg_export_snapshot()").await;
        self.held = name.is_ok();
        if !self.held {
            // The error that is told is the first one.
            let _ = self.wire.client.batch_execute("ROLLBACK").await;
        }
        name
    }

    async fn free_bytes(&mut self) -> Result<Option<u64>, Fault> {
        Ok(None)
    }
}

const NESTING: &str = "take BEGIN, COMMIT and ROLLBACK out of the file: \
                       what ran before them is not undone with the rest";
