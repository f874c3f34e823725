//! MySQL's and MariaDB's `information_schema`. Its numbers may be a day old
//! there, so a table that it calls empty is looked into.

use crate::migrate::lint::{Facts, Named};
use crate::model::fault::Fault;
use crate::ports::Database;

use super::{Row, facts, literals, rows, sessions};

pub(super) const VERSION: &str = "SELECT VERSION()";

/// Only who may see others' work sees something here.
const OPEN: &str = "SELECT JSON_OBJECT('who', CONCAT('a session of ', p.USER, ', in a transaction since ', \
 DATE_FORMAT(CONVERT_TZ(t.trx_started, @@session.time_zone, '+00:00'), '%Y-%m-%d %H:%i:%s'), ' UTC')) \
 FROM information_schema.INNODB_TRX t JOIN information_schema.PROCESSLIST p ON p.ID = t.trx_mysql_thread_id \
 WHERE t.trx_mysql_thread_id <> CONNECTION_ID() AND t.trx_started < NOW() - INTERVAL 5 SECOND \
 ORDER BY t.trx_started LIMIT 10";

pub(super) async fn read(database: &mut dyn Database, named: &Named) -> Result<Facts, Fault> {
    let mut found: Vec<Row> = vec![];
    if !named.tables.is_empty() {
        // Backslashes mean themselves in no name that this could find.
        let names = literals(named.tables.iter().filter(|name| !name.contains('\\')));
        let sql = format!(
            "SELECT JSON_OBJECT('name', TABLE_NAME, 'rows', TABLE_ROWS, 'bytes', DATA_LENGTH) \
             FROM information_schema.TABLES WHERE TABLE_SCHEMA = DATABASE() AND TABLE_TYPE = 'BASE TABLE' \
             AND LOWER(TABLE_NAME) IN ({})",
            names.to_lowercase()
        );
        found = rows(database.query(&sql).await?);
        look_into(database, &mut found).await?;
    }
    // Without the right to see them they are not known, and nothing is lost.
    let open = database.query(OPEN).await.unwrap_or_default();
    Ok(Facts {
        open: sessions(open),
        ..facts(named, found)
    })
}

async fn look_into(database: &mut dyn Database, found: &mut [Row]) -> Result<(), Fault> {
    let empty: Vec<String> = found
        .iter()
        .filter(|row| row.rows == Some(0))
        .map(|row| row.name.clone())
        .collect();
    for names in empty.chunks(100) {
        let each = names.iter().map(|name| {
            let table = format!("`{}`", name.replace('`', "``"));
            format!(
                "SELECT {} FROM DUAL WHERE EXISTS (SELECT 1 FROM {table})",
                super::literal(name)
            )
        });
        let sql = each.collect::<Vec<_>>().join(" UNION ALL ");
        for name in database.query(&sql).await?.into_iter().flatten() {
            for row in found.iter_mut().filter(|row| row.name == name) {
                row.rows = None;
                row.bytes = None;
            }
        }
    }
    Ok(())
}
