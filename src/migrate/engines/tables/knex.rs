//! `knex_migrations` (names) and `<table>_lock`: a row that says whether some
//! run goes on, and stays after a run that was killed.

use crate::model::fault::Fault;
use crate::ports::Database;

use super::{End, Recorded, Records, Table, number, text};

pub(in super::super) async fn read(
    database: &mut dyn Database,
    table: &Table,
) -> Result<Records, Fault> {
    let rows = table
        .rows(database, &["name", "migration_time", "id"])
        .await?;
    let lock = Table {
        schema: table.schema.clone(),
        name: format!("{}_lock", table.name),
    };
    let locks = lock.rows(database, &["is_locked"]).await?;
    Ok(Records {
        rows: rows
            .unwrap_or_default()
            .into_iter()
            .map(|row| Recorded {
                id: text(&row, 0).unwrap_or_default(),
                checksum: None,
                at: text(&row, 1),
                when: None,
                end: End::Done,
            })
            .collect(),
        locked: locks
            .unwrap_or_default()
            .iter()
            .any(|row| number(row, 0).is_some_and(|locked| locked != 0)),
    })
}
