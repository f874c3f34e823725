//! The tables in which other tools keep what they applied: read, never written.
//! A file a tool: the query, and what its rows mean. Imports `ports`, `model`.
//!
//! A row is asked for as one JSON array, since a session answers in texts.

pub(super) mod drizzle;
pub(super) mod knex;
pub(super) mod node_pg_migrate;
pub(super) mod prisma;

use chrono::{DateTime, NaiveDateTime, SecondsFormat};
use serde_json::Value;

use crate::model::fault::Fault;
use crate::ports::{Database, Dialect};

/// What a tool says of one migration.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Recorded {
    /// The tool's name for it; Drizzle has none, and its hash stands here.
    pub(super) id: String,
    /// Of the file as it was applied, where the tool keeps one.
    pub(super) checksum: Option<String>,
    /// RFC 3339 where the zone is known, else as the database writes it.
    pub(super) at: Option<String>,
    /// Drizzle's time of the file, which it compares.
    pub(super) when: Option<i64>,
    pub(super) end: End,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum End {
    Done,
    /// Begun and not finished: so many steps are confirmed.
    Failed {
        steps: u64,
        error: Option<String>,
    },
}

/// Everything that a tool's tables say.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Records {
    /// In the order in which they were applied.
    pub(super) rows: Vec<Recorded>,
    /// The tool's own lock is taken.
    pub(super) locked: bool,
}

/// What is asked of a row.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Column {
    Plain(&'static str),
    /// A column of type `timestamp`, which MySQL writes in the session's zone
    /// without saying which: it is asked for as a number.
    Stamp(&'static str),
}

/// A table by its name, in a schema or wherever the session looks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Table {
    pub(super) schema: Option<String>,
    pub(super) name: String,
}

impl Table {
    /// The rows, each with these columns, ordered by the last of them; `None`
    /// while there is no table.
    pub(super) async fn rows(
        &self,
        database: &mut dyn Database,
        columns: &[Column],
    ) -> Result<Option<Vec<Vec<Value>>>, Fault> {
        let dialect = database.dialect();
        if database
            .query(&self.lookup(dialect))
            .await?
            .iter()
            .all(Option::is_none)
        {
            return Ok(None);
        }
        let found = database.query(&self.select(dialect, columns)).await?;
        let rows = found.into_iter().flatten().map(|text| {
            serde_json::from_str(&text).map_err(|error| {
                Fault::failed(format!("a row of `{}` cannot be read", self.name)).caused_by(&error)
            })
        });
        rows.collect::<Result<_, _>>().map(Some)
    }

    fn lookup(&self, dialect: Dialect) -> String {
        let name = literal(&self.name);
        match dialect {
            Dialect::Postgres => {
                format!(
                    "SELECT to_regclass({})::text",
                    literal(&self.quoted(dialect))
                )
            }
            Dialect::Mysql => {
                let schema = self
                    .schema
                    .as_deref()
                    .map_or("DATABASE()".to_owned(), literal);
                format!(
                    "SELECT table_name FROM information_schema.tables WHERE table_schema = {schema} AND table_name = {name}"
                )
            }
            Dialect::Sqlite => {
                format!("SELECT name FROM sqlite_master WHERE type = 'table' AND name = {name}")
            }
        }
    }

    fn select(&self, dialect: Dialect, columns: &[Column]) -> String {
        let asked = |column: &Column| match (column, dialect) {
            (Column::Stamp(name), Dialect::Mysql) => {
                format!("UNIX_TIMESTAMP({})", quoted(dialect, name))
            }
            (Column::Plain(name) | Column::Stamp(name), _) => quoted(dialect, name),
        };
        let columns: Vec<String> = columns.iter().map(asked).collect();
        let list = columns.join(", ");
        let last = columns.last().map_or("1", String::as_str);
        let row = match dialect {
            Dialect::Postgres => format!("json_build_array({list})::text"),
            Dialect::Mysql => format!("JSON_ARRAY({list})"),
            Dialect::Sqlite => format!("json_array({list})"),
        };
        format!("SELECT {row} FROM {} ORDER BY {last}", self.quoted(dialect))
    }

    fn quoted(&self, dialect: Dialect) -> String {
        let name = quoted(dialect, &self.name);
        match (&self.schema, dialect) {
            (Some(schema), Dialect::Postgres | Dialect::Mysql) => {
                format!("{}.{name}", quoted(dialect, schema))
            }
            (_, Dialect::Sqlite) | (None, _) => name,
        }
    }
}

fn quoted(dialect: Dialect, name: &str) -> String {
    match dialect {
        Dialect::Postgres | Dialect::Sqlite => format!("\"{}\"", name.replace('"', "\"\"")),
        Dialect::Mysql => format!("`{}`", name.replace('`', "``")),
    }
}

/// Names come from the configuration, which allows no backslash in them.
fn literal(text: &str) -> String {
    format!("'{}'", text.replace('\'', "''"))
}

fn text(row: &[Value], at: usize) -> Option<String> {
    match row.get(at)? {
        Value::Null => None,
        Value::String(text) => Some(text.clone()),
        other => Some(other.to_string()),
    }
}

/// A number, which some drivers hand out as a text.
fn number(row: &[Value], at: usize) -> Option<i64> {
    match row.get(at)? {
        Value::String(text) => text.parse().ok(),
        value => value.as_i64(),
    }
}

/// A moment that is kept in UTC: a text with its zone or without, or a number
/// of milliseconds (SQLite has no type for it) or seconds.
fn utc(row: &[Value], at: usize) -> Option<String> {
    const MILLISECONDS: i64 = 100_000_000_000;
    let written = text(row, at)?;
    let known = match written.parse::<i64>() {
        Ok(number) if number.abs() < MILLISECONDS => DateTime::from_timestamp(number, 0),
        Ok(number) => DateTime::from_timestamp_millis(number),
        Err(_) => NaiveDateTime::parse_from_str(&written, "%Y-%m-%d %H:%M:%S%.f")
            .ok()
            .map(|time| time.and_utc()),
    };
    Some(known.map_or(written, |time| {
        time.to_rfc3339_opts(SecondsFormat::AutoSi, true)
    }))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_moment_in_utc_reads_the_same_however_it_is_kept() {
        let kept = [
            json!("2026-11-21 17:48:19.657000"),
            json!(1_795_283_299_657_i64),
            json!(1_795_283_299),
            json!("2026-11-21T17:48:19.657+00:00"),
            json!(null),
        ];
        let read = [0, 1, 2, 3, 4].map(|at| utc(&kept, at));
        assert_eq!(
            read.each_ref().map(Option::as_deref),
            [
                Some("2026-11-21T17:48:19.657Z"),
                Some("2026-11-21T17:48:19.657Z"),
                Some("2026-11-21T17:48:19Z"),
                Some("2026-11-21T17:48:19.657+00:00"),
                None
            ]
        );
    }

    #[test]
    fn names_are_quoted_as_each_dialect_does_it() {
        use Column::{Plain, Stamp};
        let table = Table {
            schema: Some("app".into()),
            name: "o'x\"y`z".into(),
        };
        assert_eq!(
            table.select(Dialect::Postgres, &[Plain("a"), Stamp("b")]),
            r#"SELECT json_build_array("a", "b")::text FROM "app"."o'x""y`z" ORDER BY "b""#
        );
        assert_eq!(
            table.select(Dialect::Mysql, &[Stamp("b"), Plain("a")]),
            "SELECT JSON_ARRAY(UNIX_TIMESTAMP(`b`), `a`) FROM `app`.`o'x\"y``z` ORDER BY `a`"
        );
        assert_eq!(
            table.lookup(Dialect::Postgres),
            r#"SELECT to_regclass('"app"."o''x""y`z"')::text"#
        );
        assert!(
            table
                .lookup(Dialect::Sqlite)
                .ends_with("name = 'o''x\"y`z'")
        );
    }

    #[test]
    fn a_number_may_come_as_a_text() {
        let row = [Value::from("17"), Value::from(18), Value::Null];
        assert_eq!(
            [0, 1, 2].map(|at| number(&row, at)),
            [Some(17), Some(18), None]
        );
        assert_eq!(text(&row, 1).as_deref(), Some("18"));
    }
}
