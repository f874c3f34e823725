//! MySQL and MariaDB: statements that define commit by themselves, so only
//! scripts that change data alone share a transaction with their row.
//!
//! `statement_timeout` is kept from here (by `KILL QUERY`): MySQL's own covers
//! only SELECT. `lock_timeout` counts in whole seconds there, one at least.

mod connect;
mod error;
mod lock;
mod run;
mod split;
mod watch;

use std::time::Duration;

use async_trait::async_trait;
use mysql_async::prelude::Queryable;
use mysql_async::{Conn, Row, Value};

use crate::model::fault::Fault;
use crate::ports::{
    Claim, Cx, Database, Dialect, Hold, LedgerRow, SessionOptions, SqlError, SqlErrorKind,
};

use super::dial::Dialer;
use super::ledger;
use connect::Connector;

struct Mysql {
    connector: Connector,
    connection: Conn,
    options: SessionOptions,
    /// With its database: a script may `USE` another.
    table: String,
    /// In the server's own spelling: two URLs may differ in case.
    name: String,
    unsettled: bool,
    /// A transaction is open whose view every query has.
    held: bool,
}

/// # Errors
/// Unreachable or refusing server, a refused session statement.
pub(super) async fn open(
    dialer: Dialer,
    options: &SessionOptions,
) -> Result<Box<dyn Database>, Fault> {
    let name = dialer.server.database.clone();
    let connector = Connector::new(dialer, &options.application_name)?;
    let mut session = Mysql {
        connection: connector.connect().await?,
        connector,
        options: options.clone(),
        table: format!("{}.{}", quoted(&name), ledger::TABLE),
        name: String::new(),
        unsettled: false,
        held: false,
    };
    session.settle().await?;
    session.name = session.text("SELECT DATABASE()").await?.unwrap_or(name);
    Ok(Box::new(session))
}

fn quoted(name: &str) -> String {
    format!("`{}`", name.replace('`', "``"))
}

impl Mysql {
    async fn settle(&mut self) -> Result<(), Fault> {
        let seconds = self.options.lock_timeout.as_millis().div_ceil(1000).max(1);
        let database = quoted(&self.connector.dialer.server.database);
        let mut own = vec![
            format!("USE {database}"),
            format!(
                "SET SESSION lock_wait_timeout = {seconds}, \
                 innodb_lock_wait_timeout = {seconds}, autocommit = 1"
            ),
        ];
        if self.unsettled {
            own.push(
                "SET SESSION foreign_key_checks = DEFAULT, unique_checks = DEFAULT, \
                 sql_mode = DEFAULT, time_zone = DEFAULT"
                    .to_owned(),
            );
            own.push("SET NAMES utf8mb4".to_owned());
        }
        if self.options.read_only {
            own.push("SET SESSION TRANSACTION READ ONLY".to_owned());
        }
        for sql in own {
            self.change(&sql, "cannot set up a session on").await?;
        }
        for sql in self.options.session_sql.clone() {
            let set = self.connection.query_drop(&sql).await;
            set.map_err(|error| {
                let what = format!("the `session_sql` statement `{sql}` was refused");
                error::because(Fault::failed(what), &error)
            })?;
        }
        self.unsettled = false;
        Ok(())
    }

    fn fault(&self, what: &str, error: &mysql_async::Error) -> Fault {
        let what = format!("{what} the database {}", self.connector.dialer.server);
        error::because(Fault::failed(what), error)
    }

    async fn change(&mut self, sql: &str, what: &str) -> Result<(), Fault> {
        let changed = self.connection.query_drop(sql).await;
        changed.map_err(|error| self.fault(what, &error))
    }

    async fn texts(&mut self, sql: &str) -> Result<Vec<Vec<Option<String>>>, Fault> {
        let rows: Result<Vec<Row>, _> = self.connection.query(sql).await;
        let rows = rows.map_err(|error| self.fault("cannot read", &error))?;
        Ok(rows
            .into_iter()
            .map(|row| {
                row.unwrap_raw()
                    .into_iter()
                    .map(|value| value.and_then(text))
                    .collect()
            })
            .collect())
    }

    async fn text(&mut self, sql: &str) -> Result<Option<String>, Fault> {
        let first = self.texts(sql).await?.into_iter().next();
        Ok(first.and_then(|row| row.into_iter().next().flatten()))
    }

    fn ready(&mut self, cx: &Cx, text: &str) -> Result<(), SqlError> {
        if cx.token().is_cancelled() {
            return Err(stopped(SqlErrorKind::Cancelled));
        }
        let text = text.to_ascii_lowercase();
        self.unsettled |= ["set ", "set\t", "set\n", "use "]
            .iter()
            .any(|word| text.contains(word));
        Ok(())
    }

    async fn send(&mut self, cx: &Cx, message: &str) -> Result<(), SqlError> {
        let limit = self.options.statement_timeout;
        let answer = run::run(cx, &mut self.connection, &self.connector, message, limit).await;
        let mut error = match answer.outcome {
            Some(Ok(())) => return Ok(()),
            Some(Err(error)) => error::describe(&error),
            None => SqlError {
                message: "stopped, but the server did not confirm it".to_owned(),
                kind: SqlErrorKind::ConnectionLost,
                ..SqlError::default()
            },
        };
        error.statement = Some(answer.statement);
        match (error.kind, answer.stopped) {
            (SqlErrorKind::Cancelled, Some(kind)) => {
                error = SqlError {
                    code: error.code,
                    statement: error.statement,
                    ..stopped(kind)
                };
            }
            // Somebody else's KILL QUERY.
            (SqlErrorKind::Cancelled, None) => error.kind = SqlErrorKind::Statement,
            (SqlErrorKind::LockTimeout, _) => {
                let id = self.connection.id();
                if let Ok(mut second) = self.connector.connect().await {
                    error.blocker = watch::blockers(&mut second, id).await;
                }
            }
            _ => {}
        }
        Err(error)
    }
}

fn text(value: Value) -> Option<String> {
    match value {
        Value::NULL => None,
        Value::Bytes(bytes) => Some(String::from_utf8_lossy(&bytes).into_owned()),
        other => Some(other.as_sql(true).trim_matches('\'').to_owned()),
    }
}

fn stopped(kind: SqlErrorKind) -> SqlError {
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

/// Statements after which the server has committed, whatever was asked.
fn commits(statement: &str) -> bool {
    let word = split::first_word(statement);
    if matches!(word.as_str(), "CREATE" | "DROP") {
        return !statement.to_ascii_uppercase().contains("TEMPORARY");
    }
    matches!(
        word.as_str(),
        "ALTER"
            | "ANALYZE"
            | "BEGIN"
            | "COMMIT"
            | "FLUSH"
            | "GRANT"
            | "LOCK"
            | "OPTIMIZE"
            | "RENAME"
            | "REPAIR"
            | "REVOKE"
            | "ROLLBACK"
            | "START"
            | "TRUNCATE"
            | "UNLOCK"
    )
}

#[async_trait]
impl Database for Mysql {
    fn dialect(&self) -> Dialect {
        Dialect::Mysql
    }

    async fn rows(&mut self, database: &str) -> Result<Option<Vec<LedgerRow>>, Fault> {
        let name = &self.connector.dialer.server.database;
        let there = format!(
            "SELECT 1 FROM information_schema.tables WHERE table_schema = {} AND table_name = '{}'",
            ledger::literal(Dialect::Mysql, name),
            ledger::TABLE
        );
        if self.texts(&there).await?.is_empty() {
            return Ok(None);
        }
        let sql = ledger::select(Dialect::Mysql, &self.table, database);
        let rows = self.texts(&sql).await?;
        Ok(Some(rows.into_iter().map(ledger::row).collect()))
    }

    async fn lock(&mut self, cx: &Cx, claim: &Claim, wait: Duration) -> Result<Hold, Fault> {
        self.poll_lock(cx, claim, wait).await
    }

    async fn prepare(&mut self) -> Result<(), Fault> {
        let sql = ledger::create(Dialect::Mysql, &self.table);
        self.change(&sql, "cannot make the table of migrations in")
            .await
    }

    async fn renew(&mut self) -> Result<(), Fault> {
        if self.unsettled {
            self.settle().await?;
        }
        Ok(())
    }

    async fn apply(&mut self, cx: &Cx, script: &str, row: &LedgerRow) -> Result<(), SqlError> {
        let statements = split::statements(script);
        if let Some(index) = statements.iter().position(|sql| commits(sql)) {
            return Err(SqlError {
                message: "MySQL commits with this statement: it cannot share a transaction"
                    .to_owned(),
                hint: Some("write `-- stagecraft: transaction=off` into the file".to_owned()),
                statement: u64::try_from(index).ok(),
                ..SqlError::default()
            });
        }
        self.ready(cx, script)?;
        let beside = row.beside.join(";\n");
        let row = ledger::upsert(Dialect::Mysql, &self.table, row);
        let mut message = "START TRANSACTION;\n".to_owned();
        for statement in &statements {
            message.push_str(statement);
            message.push_str("\n;\n");
        }
        if !beside.is_empty() {
            message.push_str(&beside);
            message.push_str(";\n");
        }
        message.push_str(&row);
        message.push_str(";\nCOMMIT");
        let Err(mut error) = self.send(cx, &message).await else {
            return Ok(());
        };
        let own = |index: &u64| usize::try_from(*index).is_ok_and(|at| at < statements.len());
        let index = error.statement.and_then(|index| index.checked_sub(1));
        error.statement = index.filter(own);
        if error.kind != SqlErrorKind::ConnectionLost {
            let undone = self.connection.query_drop("ROLLBACK").await;
            if let Err(lost) = undone {
                return Err(error::describe(&lost));
            }
        }
        Err(error)
    }

    async fn execute(&mut self, cx: &Cx, statement: &str) -> Result<(), SqlError> {
        self.ready(cx, statement)?;
        self.send(cx, statement).await
    }

    async fn save(&mut self, row: &LedgerRow) -> Result<(), Fault> {
        const WHAT: &str = "cannot save a migration's row in";
        let sql = ledger::upsert(Dialect::Mysql, &self.table, row);
        if row.beside.is_empty() {
            return self.change(&sql, WHAT).await;
        }
        let all = format!(
            "START TRANSACTION;\n{};\n{sql};\nCOMMIT",
            row.beside.join(";\n")
        );
        let saved = self.change(&all, WHAT).await;
        if saved.is_err() {
            // The error that is told is the row's.
            let _ = self.connection.query_drop("ROLLBACK").await;
        }
        saved
    }

    async fn query(&mut self, sql: &str) -> Result<Vec<Option<String>>, Fault> {
        let first = |row: Vec<Option<String>>| row.into_iter().next().flatten();
        if self.held {
            return Ok(self.texts(sql).await?.into_iter().map(first).collect());
        }
        self.change("START TRANSACTION READ ONLY", "cannot read")
            .await?;
        let rows = self.texts(sql).await;
        self.change("ROLLBACK", "cannot read").await?;
        Ok(rows?.into_iter().map(first).collect())
    }

    async fn hold(&mut self) -> Result<Option<String>, Fault> {
        let level = "SET SESSION TRANSACTION ISOLATION LEVEL REPEATABLE READ";
        self.change(level, "cannot read").await?;
        let begin = "START TRANSACTION WITH CONSISTENT SNAPSHOT";
        self.change(begin, "cannot read").await?;
        self.held = true;
        Ok(None)
    }

    async fn free_bytes(&mut self) -> Result<Option<u64>, Fault> {
        Ok(None)
    }
}
