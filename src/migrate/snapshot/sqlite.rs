//! What SQLite keeps of a schema: the statements that made it. Comments and
//! layout are taken out of them, so that a table made anew from a tidied file
//! looks the same. Imports `ports` and `migrate::sql`.

use crate::migrate::sql;
use crate::model::fault::Fault;
use crate::ports::{Database, Dialect};

/// An index that a constraint made has no statement; it is the table's.
const ALL: &str = "SELECT type || char(31) || name || char(31) || tbl_name || char(31) || sql \
     FROM sqlite_master WHERE sql IS NOT NULL AND name NOT LIKE 'sqlite\\_%' ESCAPE '\\' \
     AND tbl_name NOT IN ('stagecraft_migrations', 'stagecraft_schema') ORDER BY 1";

pub(super) async fn rows(database: &mut dyn Database) -> Result<Vec<String>, Fault> {
    let rows = database.query(ALL).await?;
    Ok(rows
        .iter()
        .flatten()
        .filter_map(|row| object(row))
        .collect())
}

fn object(row: &str) -> Option<String> {
    let mut cells = row.splitn(4, super::SEPARATOR);
    let (kind, name, table, sql) = (cells.next()?, cells.next()?, cells.next()?, cells.next()?);
    let key = match kind {
        "index" | "trigger" => format!("table {table} {kind} {name}"),
        _ => format!("{kind} {name}"),
    };
    let text = match kind {
        "table" => sql::read(Dialect::Sqlite, sql).outline().join("\n"),
        _ => sql::read(Dialect::Sqlite, sql).outline().join(" "),
    };
    Some(format!("{key}{}{text}", super::SEPARATOR))
}
