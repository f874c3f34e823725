//! SQLite keeps no numbers: rows are counted up to a bound, and beyond it the
//! size of the file stands for the table's.

use crate::migrate::lint::{Facts, Named};
use crate::model::fault::Fault;
use crate::ports::Database;

use super::{Row, facts, literal, literals, rows};

pub(super) const VERSION: &str = "SELECT sqlite_version()";

const BOUND: u64 = 100_000;
/// What one statement may put together.
const AT_ONCE: usize = 100;

pub(super) async fn read(database: &mut dyn Database, named: &Named) -> Result<Facts, Fault> {
    let names = literals(named.tables.iter().chain(&named.indexes));
    if names.is_empty() {
        return Ok(facts(named, vec![]));
    }
    let sql = format!(
        "SELECT CASE type WHEN 'index' THEN json_object('name', name, 'of', tbl_name) ELSE json_object('name', name) END \
         FROM sqlite_master WHERE type IN ('table', 'index') AND lower(name) IN ({})",
        names.to_lowercase()
    );
    let mut found: Vec<Row> = rows(database.query(&sql).await?);
    let tables: Vec<String> = found
        .iter()
        .filter(|row| row.of.is_none())
        .map(|row| row.name.clone())
        .collect();
    for names in tables.chunks(AT_ONCE) {
        let each = names.iter().map(|name| {
            let table = format!("\"{}\"", name.replace('"', "\"\""));
            format!(
                "SELECT json_object('name', {}, 'rows', (SELECT count(*) FROM (SELECT 1 FROM {table} LIMIT {})), \
                 'bytes', (SELECT page_count * page_size FROM pragma_page_count, pragma_page_size))",
                literal(name),
                BOUND + 1
            )
        });
        let sql = each.collect::<Vec<_>>().join(" UNION ALL ");
        for counted in rows::<Row>(database.query(&sql).await?) {
            for row in found.iter_mut().filter(|row| row.name == counted.name) {
                match counted.rows {
                    Some(rows) if rows <= BOUND => row.rows = Some(rows),
                    _ => row.bytes = counted.bytes,
                }
            }
        }
    }
    Ok(facts(named, found))
}
