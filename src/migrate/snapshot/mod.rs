//! What a schema looks like, so that two looks can be compared: an object a
//! line, sorted, read from the catalogue alone. Imports `ports`, `model`.
//!
//! In it: schemas, extensions, tables, columns, constraints, indexes (INVALID
//! ones are marked), views, routines, triggers, rules, policies, sequences,
//! types, events. Not in it, because it differs between two databases of one
//! schema: data, statistics, counters, owners, privileges, comments, the order
//! of columns (SQLite apart, whose tables are the text that made them),
//! versions of extensions, and Stagecraft's own tables. Nor are collations,
//! operators, casts and text search of PostgreSQL, which migrations all but
//! never make.
//!
//! Invariant: two looks at a database that nobody changed have one fingerprint.

mod change;
mod kept;
mod mysql;
mod sqlite;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

pub use change::Change;
pub use kept::{Kept, Standing, keep, last, standing};

use crate::model::fault::Fault;
use crate::ports::{Database, Dialect};

use super::hashing;

/// Between a key and its description in what a server answers.
const SEPARATOR: char = '\u{1f}';

const POSTGRES: &str = include_str!("postgres.sql");

/// One look at a schema. Keys name an object from the outside in: `table
/// public.notes`, `table public.notes column id`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Snapshot {
    pub objects: BTreeMap<String, String>,
}

/// Looks at the database of this session. Read-only.
///
/// # Errors
/// The catalogue cannot be read.
pub async fn take(database: &mut dyn Database) -> Result<Snapshot, Fault> {
    let rows = match database.dialect() {
        Dialect::Postgres => database
            .query(POSTGRES)
            .await?
            .into_iter()
            .flatten()
            .collect(),
        Dialect::Mysql => mysql::rows(database).await?,
        Dialect::Sqlite => sqlite::rows(database).await?,
    };
    Ok(Snapshot::of(rows))
}

impl Snapshot {
    /// What comes in several rows is joined in their order.
    fn of(rows: Vec<String>) -> Self {
        let mut objects: BTreeMap<String, String> = BTreeMap::new();
        for row in rows {
            let (key, value) = row.split_once(SEPARATOR).unwrap_or((&row, ""));
            let value = value.trim();
            objects
                .entry(key.to_owned())
                .and_modify(|known| {
                    known.push_str(", ");
                    known.push_str(value);
                })
                .or_insert_with(|| value.to_owned());
        }
        Self { objects }
    }

    /// SHA-256 over every object, hexadecimal.
    #[must_use]
    pub fn fingerprint(&self) -> String {
        let parts = self
            .objects
            .iter()
            .flat_map(|(key, value)| [key, "\0", value, "\0"].map(str::to_owned));
        hashing::sha256(parts.collect::<String>().as_bytes())
    }

    /// For people and for `diff`: the same text for the same schema. What
    /// belongs to a table stands under it.
    #[must_use]
    pub fn text(&self) -> String {
        let mut text = String::new();
        let mut home = "";
        for (key, value) in &self.objects {
            let (indent, shown) = match key
                .strip_prefix(home)
                .and_then(|rest| rest.strip_prefix(' '))
            {
                Some(part) if !home.is_empty() => ("  ", part),
                _ => {
                    if !home.is_empty() {
                        text.push('\n');
                    }
                    home = key;
                    ("", key.as_str())
                }
            };
            text.push_str(indent);
            text.push_str(shown);
            match value.lines().count() {
                0 => {}
                1 => {
                    text.push_str(": ");
                    text.push_str(value);
                }
                _ => {
                    text.push(':');
                    for line in value.lines() {
                        text.push_str(&format!("\n{indent}    {line}"));
                    }
                }
            }
            text.push('\n');
        }
        text
    }

    /// What `now` has that this one has not, and the other way round.
    #[must_use]
    pub fn diff(&self, now: &Self) -> Vec<Change> {
        let mut keys: Vec<&String> = self.objects.keys().chain(now.objects.keys()).collect();
        keys.sort();
        keys.dedup();
        let each = |key: &String| {
            let object = key.clone();
            match (
                self.objects.get(key).cloned(),
                now.objects.get(key).cloned(),
            ) {
                (None, Some(now)) => Some(Change::Added { object, now }),
                (Some(was), None) => Some(Change::Removed { object, was }),
                (Some(was), Some(now)) if was != now => Some(Change::Changed { object, was, now }),
                _ => None,
            }
        };
        keys.into_iter().filter_map(each).collect()
    }
}
