//! The rows of a tool's table, in words that are the same for all of them.
//! Imports `ports`. Read-only.

use std::collections::BTreeMap;

use super::{History, Table};
use crate::migrate::files::layouts::flyway::version_key;
use crate::model::fault::Fault;
use crate::ports::{Database, Dialect};

/// What a tool says of one migration.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Row {
    /// Its version or name.
    pub key: String,
    pub checksum: Option<String>,
    /// RFC 3339, UTC.
    pub at: Option<String>,
    pub state: State,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum State {
    Applied,
    /// This one and all before it.
    UpTo,
    /// With why.
    Failed(String),
}

impl Table {
    /// # Errors
    /// It cannot be read, or holds what the tool does not write.
    pub async fn read(&self, database: &mut dyn Database) -> Result<Vec<Row>, Fault> {
        let lines = database.query(&self.select()).await?;
        let mut rows = vec![];
        for line in lines.into_iter().flatten() {
            let cells: Vec<Option<String>> = serde_json::from_str(&line).map_err(|error| {
                Fault::failed(format!("cannot read the table {}", self.name)).caused_by(&error)
            })?;
            let [key, checksum, at, state, more]: [Option<String>; 5] =
                cells.try_into().map_err(|_| {
                    Fault::internal(format!("the table {} gave another answer", self.name))
                })?;
            rows.push(Cells {
                key: key.unwrap_or_default(),
                checksum,
                at,
                state: state.unwrap_or_default(),
                more,
            });
        }
        Ok(self.history.judge(rows))
    }

    fn select(&self) -> String {
        let (key, checksum, at, state, more, order) = match self.history {
            History::Dbmate => ("version", None, None, None, None, "version"),
            History::Goose => (
                "version_id",
                None,
                Some("tstamp"),
                Some("is_applied"),
                None,
                "id",
            ),
            History::GolangMigrate => ("version", None, None, Some("dirty"), None, "version"),
            History::Sqlx => (
                "version",
                Some("checksum"),
                Some("installed_on"),
                Some("success"),
                None,
                "version",
            ),
            History::Refinery => ("version", Some("checksum"), None, None, None, "version"),
            History::Diesel => ("version", None, Some("run_on"), None, None, "version"),
            History::Flyway => (
                "COALESCE(version, script)",
                Some("checksum"),
                Some("installed_on"),
                Some("success"),
                Some("type"),
                "installed_rank",
            ),
            History::Prisma => (
                "migration_name",
                Some("checksum"),
                Some("finished_at"),
                Some("rolled_back_at"),
                Some("logs"),
                "started_at",
            ),
            History::Drizzle => ("created_at", Some("hash"), None, None, None, "created_at"),
            History::Knex => ("name", None, Some("migration_time"), None, None, "id"),
            History::NodePgMigrate => ("name", None, Some("run_on"), None, None, "id"),
        };
        let text = |column: Option<&str>| match (self.dialect, column) {
            (_, None) => "NULL".to_owned(),
            (Dialect::Postgres, Some(column)) => format!("({column})::text"),
            (Dialect::Mysql, Some(column)) => format!("CAST({column} AS CHAR)"),
            (Dialect::Sqlite, Some(column)) => format!("CAST({column} AS TEXT)"),
        };
        let checksum = match (self.history, self.dialect) {
            (History::Sqlx, Dialect::Postgres) => "encode(checksum, 'hex')".to_owned(),
            (History::Sqlx, Dialect::Mysql | Dialect::Sqlite) => "lower(hex(checksum))".to_owned(),
            _ => text(checksum),
        };
        let at = at.map_or_else(|| "NULL".to_owned(), |column| self.moment(column));
        let cells = [text(Some(key)), checksum, at, text(state), text(more)].join(", ");
        let line = match self.dialect {
            Dialect::Postgres => format!("json_build_array({cells})::text"),
            Dialect::Mysql => format!("JSON_ARRAY({cells})"),
            Dialect::Sqlite => format!("json_array({cells})"),
        };
        format!("SELECT {line} FROM {} ORDER BY {order}", self.name)
    }

    fn moment(&self, column: &str) -> String {
        match self.dialect {
            Dialect::Postgres => format!(
                "to_char({column}::timestamptz AT TIME ZONE 'UTC', 'YYYY-MM-DD\"T\"HH24:MI:SS.MS\"Z\"')"
            ),
            Dialect::Mysql => format!(
                "DATE_FORMAT(FROM_UNIXTIME(UNIX_TIMESTAMP({column}) - UNIX_TIMESTAMP() + UNIX_TIMESTAMP(UTC_TIMESTAMP())), '%Y-%m-%dT%H:%i:%s.000Z')"
            ),
            Dialect::Sqlite => format!("strftime('%Y-%m-%dT%H:%M:%fZ', {column})"),
        }
    }
}

struct Cells {
    key: String,
    checksum: Option<String>,
    at: Option<String>,
    state: String,
    more: Option<String>,
}

impl Cells {
    fn row(self, state: State) -> Row {
        Row {
            key: self.key,
            checksum: self.checksum,
            at: self.at,
            state,
        }
    }

    fn is_true(&self) -> bool {
        matches!(self.state.as_str(), "true" | "t" | "1")
    }
}

impl History {
    /// The rows that say something about what is applied now.
    fn judge(self, cells: Vec<Cells>) -> Vec<Row> {
        match self {
            History::Dbmate
            | History::Refinery
            | History::Diesel
            | History::Drizzle
            | History::NodePgMigrate => all(cells),
            History::Knex => all(cells)
                .into_iter()
                .map(|row| Row {
                    key: stem(&row.key),
                    ..row
                })
                .collect(),
            History::Goose => goose(cells),
            History::GolangMigrate => cells
                .into_iter()
                .map(|cells| match cells.is_true() {
                    true => cells.row(State::Failed(
                        "golang-migrate marks it `dirty`: it stopped in the middle".to_owned(),
                    )),
                    false => cells.row(State::UpTo),
                })
                .collect(),
            History::Sqlx => cells
                .into_iter()
                .map(|cells| match cells.is_true() {
                    true => cells.row(State::Applied),
                    false => cells.row(State::Failed("sqlx marks it as not done".to_owned())),
                })
                .collect(),
            History::Flyway => flyway(cells),
            History::Prisma => prisma(cells),
        }
    }
}

fn all(cells: Vec<Cells>) -> Vec<Row> {
    let rows = cells.into_iter();
    rows.map(|cells| cells.row(State::Applied)).collect()
}

fn stem(name: &str) -> String {
    name.rsplit_once('.')
        .map_or(name, |(stem, _)| stem)
        .to_owned()
}

/// The last word about a version counts; 0 is no migration.
fn goose(cells: Vec<Cells>) -> Vec<Row> {
    let mut last: BTreeMap<i64, Cells> = BTreeMap::new();
    for cells in cells {
        last.insert(cells.key.parse().unwrap_or_default(), cells);
    }
    let applied = last
        .into_iter()
        .filter(|(version, cells)| *version > 0 && cells.is_true());
    applied
        .map(|(_, cells)| cells.row(State::Applied))
        .collect()
}

/// The last word about a version counts.
fn flyway(cells: Vec<Cells>) -> Vec<Row> {
    let mut rows: Vec<Row> = vec![];
    for mut cells in cells {
        cells.key = version_key(&cells.key);
        let kind = cells.more.take().unwrap_or_default();
        let state = match (kind.as_str(), cells.is_true()) {
            ("SCHEMA", _) => continue,
            ("BASELINE", _) => State::UpTo,
            (_, false) => State::Failed("Flyway marks it as failed".to_owned()),
            ("DELETE", true) => {
                rows.retain(|row| row.key != cells.key);
                continue;
            }
            (kind, true) if kind.starts_with("UNDO") => {
                rows.retain(|row| row.key != cells.key);
                continue;
            }
            (_, true) => State::Applied,
        };
        rows.retain(|row| row.key != cells.key);
        rows.push(cells.row(state));
    }
    rows
}

/// A row that was rolled back says nothing any more.
fn prisma(cells: Vec<Cells>) -> Vec<Row> {
    let mut rows: Vec<Row> = vec![];
    for mut cells in cells.into_iter().filter(|cells| cells.state.is_empty()) {
        let logs = cells.more.take();
        let state = match cells.at.is_some() {
            true => State::Applied,
            false => {
                let logs = logs.as_deref().unwrap_or_default();
                let first = logs.lines().find(|line| !line.trim().is_empty());
                State::Failed(format!(
                    "Prisma marks it as failed{}",
                    first.map(|line| format!(" ({line})")).unwrap_or_default()
                ))
            }
        };
        rows.push(cells.row(state));
    }
    rows
}
