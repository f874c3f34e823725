//! The table `stagecraft_migrations` as SQL text, the same for all dialects.
//!
//! Values travel inside the text, because a migration and its row go to the
//! server as one message. Every literal is written so that no setting of the
//! session (`standard_conforming_strings`, `sql_mode`) changes its meaning.

use crate::ports::{Dialect, LedgerRow};

pub(super) const TABLE: &str = "stagecraft_migrations";

/// In the order of [`cells`] and [`row`].
const COLUMNS: [&str; 14] = [
    "database_name",
    "id",
    "checksum",
    "normalised",
    "transactional",
    "started_at",
    "finished_at",
    "duration_ms",
    "statements_total",
    "statements_begun",
    "statements_done",
    "error",
    "release_id",
    "tool_version",
];

/// How many of the columns are the key.
const KEY: usize = 2;

enum Cell<'a> {
    Text(Option<&'a str>),
    Number(Option<i64>),
    Truth(bool),
}

pub(super) fn create(dialect: Dialect, table: &str) -> String {
    let (name, id, text, tail) = match dialect {
        Dialect::Postgres | Dialect::Sqlite => ("text", "text", "text", ""),
        Dialect::Mysql => (
            "varchar(64)",
            "varchar(255)",
            "text",
            " ENGINE=InnoDB DEFAULT CHARACTER SET utf8mb4 COLLATE utf8mb4_bin",
        ),
    };
    format!(
        "CREATE TABLE IF NOT EXISTS {table} (\
         database_name {name} NOT NULL, \
         id {id} NOT NULL, \
         checksum {text} NOT NULL, \
         normalised {text} NOT NULL, \
         transactional boolean NOT NULL, \
         started_at {text} NOT NULL, \
         finished_at {text}, \
         duration_ms bigint, \
         statements_total bigint NOT NULL, \
         statements_begun bigint NOT NULL, \
         statements_done bigint NOT NULL, \
         error {text}, \
         release_id {text} NOT NULL, \
         tool_version {text} NOT NULL, \
         PRIMARY KEY (database_name, id)){tail}"
    )
}

/// Every column as text, the rows of one entry.
pub(super) fn select(dialect: Dialect, table: &str, database: &str) -> String {
    let columns = COLUMNS.join(", ");
    let database = literal(dialect, database);
    // Byte order, whatever the database's collation is.
    let order = match dialect {
        Dialect::Postgres => "id COLLATE \"C\"",
        Dialect::Mysql | Dialect::Sqlite => "id",
    };
    format!("SELECT {columns} FROM {table} WHERE database_name = {database} ORDER BY {order}")
}

pub(super) fn upsert(dialect: Dialect, table: &str, row: &LedgerRow) -> String {
    upsert_values(dialect, table, &values(dialect, row))
}

/// PostgreSQL plans a prepared statement once, not once a migration.
pub(super) fn prepare(name: &str, table: &str) -> String {
    let places: Vec<String> = (1..=COLUMNS.len())
        .map(|place| format!("${place}"))
        .collect();
    let insert = upsert_values(Dialect::Postgres, table, &places.join(", "));
    format!("PREPARE {name} AS {insert} RETURNING pg_backend_pid()")
}

pub(super) fn execute(name: &str, row: &LedgerRow) -> String {
    format!("EXECUTE {name}({})", values(Dialect::Postgres, row))
}

fn values(dialect: Dialect, row: &LedgerRow) -> String {
    cells(row)
        .map(|cell| match cell {
            Cell::Text(Some(text)) => literal(dialect, text),
            Cell::Number(Some(number)) => number.to_string(),
            Cell::Truth(truth) => if truth { "true" } else { "false" }.to_owned(),
            Cell::Text(None) | Cell::Number(None) => "NULL".to_owned(),
        })
        .join(", ")
}

fn upsert_values(dialect: Dialect, table: &str, values: &str) -> String {
    let columns = COLUMNS.join(", ");
    let conflict = match dialect {
        Dialect::Postgres | Dialect::Sqlite => "ON CONFLICT (database_name, id) DO UPDATE SET",
        Dialect::Mysql => "ON DUPLICATE KEY UPDATE",
    };
    let update = |column: &&str| match dialect {
        Dialect::Postgres | Dialect::Sqlite => format!("{column} = excluded.{column}"),
        Dialect::Mysql => format!("{column} = VALUES({column})"),
    };
    let updates: Vec<String> = COLUMNS[KEY..].iter().map(update).collect();
    format!(
        "INSERT INTO {table} ({columns}) VALUES ({values}) {conflict} {}",
        updates.join(", ")
    )
}

fn cells(row: &LedgerRow) -> [Cell<'_>; COLUMNS.len()] {
    [
        Cell::Text(Some(&row.database)),
        Cell::Text(Some(&row.id)),
        Cell::Text(Some(&row.checksum)),
        Cell::Text(Some(&row.normalised)),
        Cell::Truth(row.transactional),
        Cell::Text(Some(&row.started_at)),
        Cell::Text(row.finished_at.as_deref()),
        Cell::Number(row.duration_ms),
        Cell::Number(Some(row.statements_total)),
        Cell::Number(Some(row.statements_begun)),
        Cell::Number(Some(row.statements_done)),
        Cell::Text(row.error.as_deref()),
        Cell::Text(Some(&row.release)),
        Cell::Text(Some(&row.tool_version)),
    ]
}

/// A row from the texts of [`select`].
pub(super) fn row(cells: impl IntoIterator<Item = Option<String>>) -> LedgerRow {
    let mut cells = cells.into_iter();
    let mut next = || cells.next().flatten();
    LedgerRow {
        database: next().unwrap_or_default(),
        id: next().unwrap_or_default(),
        checksum: next().unwrap_or_default(),
        normalised: next().unwrap_or_default(),
        transactional: next().is_some_and(|text| matches!(text.as_str(), "t" | "true" | "1")),
        started_at: next().unwrap_or_default(),
        finished_at: next(),
        duration_ms: next().and_then(|text| text.parse().ok()),
        statements_total: number(next()),
        statements_begun: number(next()),
        statements_done: number(next()),
        error: next(),
        release: next().unwrap_or_default(),
        tool_version: next().unwrap_or_default(),
        beside: vec![],
    }
}

fn number(text: Option<String>) -> i64 {
    text.and_then(|text| text.parse().ok()).unwrap_or_default()
}

pub(super) fn literal(dialect: Dialect, text: &str) -> String {
    dialect.literal(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_literal_means_the_same_whatever_the_session_says_about_backslashes() {
        let text = "it's a \\ path";
        assert_eq!(literal(Dialect::Postgres, text), r"E'it''s a \\ path'");
        assert_eq!(literal(Dialect::Sqlite, text), r"'it''s a \ path'");
        assert_eq!(literal(Dialect::Mysql, "a'\\"), "_utf8mb4 X'61275c'");
    }

    #[test]
    fn a_key_is_never_updated() {
        let sql = upsert(Dialect::Postgres, TABLE, &LedgerRow::default());
        let (_, updates) = sql.split_once("DO UPDATE SET").expect("an upsert");
        assert!(updates.contains("finished_at = excluded.finished_at"));
        assert!(!updates.contains("database_name ="));
    }
}
