//! What the lint has to know of the database that a migration is for. Plain
//! data; `migrate::tables` reads it.

use std::collections::HashMap;

use crate::migrate::sql::Server;
use crate::ports::Dialect;

/// One database as it stands.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Facts {
    pub server: Option<Server>,
    /// `None`: nobody looked, so every table may be a large one.
    pub tables: Option<HashMap<String, Table>>,
    /// The table of each index that was asked for.
    pub indexes: HashMap<String, String>,
    /// Transactions that were open for long when this was read.
    pub open: Vec<Open>,
}

/// A table that is there. Names are as the statements spell them: in small
/// letters, `public` left out.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Table {
    /// `None` where the server has no idea.
    pub rows: Option<u64>,
    pub bytes: Option<u64>,
}

/// A transaction that locks will wait for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Open {
    /// Who, and since when, in words.
    pub who: String,
    /// What it has touched.
    pub tables: Vec<String>,
}

impl Facts {
    #[must_use]
    pub fn server(&self, dialect: Dialect) -> Server {
        self.server.unwrap_or_else(|| Server::assumed(dialect))
    }

    pub(super) fn size(&self, table: &str) -> Size {
        let Some(tables) = &self.tables else {
            return Size::Unknown;
        };
        let Some(table) = tables.get(table) else {
            return Size::Absent;
        };
        match (table.rows, table.bytes) {
            (Some(0), _) | (None, Some(0)) => Size::Empty,
            (None, None) => Size::Unknown,
            (rows, bytes) if rows.is_none_or(few) && bytes.is_none_or(light) => {
                Size::Small(table.clone())
            }
            _ => Size::Large(table.clone()),
        }
    }
}

/// Work on it is over before anybody minds.
fn few(rows: u64) -> bool {
    rows < 10_000
}

fn light(bytes: u64) -> bool {
    bytes <= 4 * 1024 * 1024
}

/// How much there is of a table.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Size {
    Absent,
    Empty,
    Small(Table),
    Large(Table),
    Unknown,
}
