//! Rows counted as near to a copy as the database allows: PostgreSQL lends the
//! copy the very view that is counted, SQLite tells whether anybody wrote
//! meanwhile, MySQL is counted just before and just after.
//!
//! Counting reads every table once more. What cannot be counted is said and
//! stops no backup.

use std::collections::BTreeMap;
use std::time::Duration;

use tokio::time::Instant;

use crate::model::backup::RowCounts;
use crate::model::fault::Fault;
use crate::ports::{Cx, Database, Dialect};

use super::{number, postgres};

/// How long it may take, unless the copy took longer.
const PATIENCE: Duration = Duration::from_secs(60);

/// One session beside the copy, from before it to after it.
pub(super) struct Census {
    pub(super) session: Box<dyn Database>,
    view: View,
}

enum View {
    /// Lent to the copy under this name.
    Shared(String),
    /// Nobody has counted yet.
    Own,
    Before {
        tables: BTreeMap<String, u64>,
        /// Changes with every write of somebody else.
        version: Option<u64>,
    },
    None(String),
}

impl Census {
    /// To be called before anything is read that has to fit to the copy.
    pub(super) async fn open(mut session: Box<dyn Database>) -> Self {
        let view = match session.dialect() {
            Dialect::Postgres => match session.hold().await {
                Ok(Some(name)) => View::Shared(name),
                Ok(None) => View::None("the server lends no view of itself".to_owned()),
                Err(fault) => View::None(fault.to_string()),
            },
            Dialect::Mysql | Dialect::Sqlite => View::Own,
        };
        Self { session, view }
    }

    /// The view that the copy has to have.
    pub(super) fn shared(&self) -> Option<&str> {
        match &self.view {
            View::Shared(name) => Some(name),
            View::Own | View::Before { .. } | View::None(_) => None,
        }
    }

    /// The copy was made without that view.
    pub(super) fn forgo(&mut self, why: &Fault) {
        self.view = View::None(why.to_string());
    }

    /// Just before the copy.
    pub(super) async fn before(&mut self, cx: &Cx) -> Result<(), Fault> {
        if !matches!(self.view, View::Own) {
            return Ok(());
        }
        let session = &mut *self.session;
        let counting = async {
            let version = version(session).await?;
            let tables = count(session, PATIENCE).await?;
            Ok::<_, Fault>(View::Before { tables, version })
        };
        self.view = match cx.or_interrupted(async { Ok(counting.await) }).await? {
            Ok(view) => view,
            Err(fault) => View::None(fault.to_string()),
        };
        Ok(())
    }

    /// Just after the copy, which took `copying`. Ends the session.
    pub(super) async fn after(mut self, cx: &Cx, copying: Duration) -> Result<RowCounts, Fault> {
        let session = &mut *self.session;
        let patience = copying.max(PATIENCE);
        let counting = async {
            Ok::<_, Fault>(match self.view {
                View::Shared(_) => RowCounts::Exactly {
                    tables: count(session, patience).await?,
                },
                View::Before {
                    tables,
                    version: then,
                } => {
                    let now = version(session).await?;
                    match then.is_some() && then == now {
                        true => RowCounts::Exactly { tables },
                        false => RowCounts::around(tables, &count(session, patience).await?),
                    }
                }
                View::Own => RowCounts::Unknown {
                    reason: "nobody counted before the copy".to_owned(),
                },
                View::None(reason) => RowCounts::Unknown { reason },
            })
        };
        let rows = match cx.or_interrupted(async { Ok(counting.await) }).await? {
            Ok(rows) => rows,
            Err(fault) => RowCounts::Unknown {
                reason: fault.to_string(),
            },
        };
        if let RowCounts::Unknown { reason } = &rows {
            cx.warn(format!("the rows were not counted: {reason}"));
        }
        Ok(rows)
    }
}

/// SQLite's counter of what others wrote.
async fn version(session: &mut dyn Database) -> Result<Option<u64>, Fault> {
    match session.dialect() {
        Dialect::Sqlite => number(session, "PRAGMA data_version").await.map(Some),
        Dialect::Postgres | Dialect::Mysql => Ok(None),
    }
}

/// The rows of every table whose rows a copy holds.
///
/// # Errors
/// A table that cannot be read; it takes longer than `patience`.
pub(super) async fn count(
    session: &mut dyn Database,
    patience: Duration,
) -> Result<BTreeMap<String, u64>, Fault> {
    let tables = match session.dialect() {
        Dialect::Postgres => postgres::ROWS_OF,
        Dialect::Mysql => {
            "SELECT table_name FROM information_schema.tables \
             WHERE table_schema = database() AND table_type = 'BASE TABLE' ORDER BY 1"
        }
        Dialect::Sqlite => {
            "SELECT name FROM sqlite_schema WHERE type = 'table' \
             AND name NOT LIKE 'sqlite\\_%' ESCAPE '\\' ORDER BY 1"
        }
    };
    let deadline = Instant::now() + patience;
    let mut counts = BTreeMap::new();
    for table in session.query(tables).await?.into_iter().flatten() {
        let sql = match session.dialect() {
            // Quoted by the server already; a partition is counted by itself.
            Dialect::Postgres => format!("SELECT count(*) FROM ONLY {table}"),
            Dialect::Mysql => format!(
                "SELECT CAST(count(*) AS CHAR) FROM `{}`",
                table.replace('`', "``")
            ),
            Dialect::Sqlite => {
                format!("SELECT count(*) FROM \"{}\"", table.replace('"', "\"\""))
            }
        };
        let rows = number(session, &sql).await?;
        counts.insert(table, rows);
        if Instant::now() > deadline {
            return Err(Fault::failed(format!(
                "counting took longer than {} s",
                patience.as_secs()
            )));
        }
    }
    Ok(counts)
}
