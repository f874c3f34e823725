//! `knex_migrations` (names) and `<table>_lock`: a row that says whether some
//! run goes on, and stays after a run that was killed.

use crate::model::fault::Fault;
use crate::ports::Database;

use super::{Column, End, Recorded, Records, Table, number, text, utc};

pub(in super::super) async fn read(
    database: &mut dyn Database,
    table: &Table,
) -> Result<Records, Fault> {
    let columns = [
        Column::Plain("name"),
        Column::Stamp("migration_time"),
        Column::Plain("id"),
    ];
    let rows = table.rows(database, &columns).await?;
    let lock = Table {
        schema: table.schema.clone(),
        name: format!("{}_lock", table.name),
    };
    let locks = lock.rows(database, &[Column::Plain("is_locked")]).await?;
    Ok(Records {
        rows: rows
            .unwrap_or_default()
            .into_iter()
            .map(|row| Recorded {
                id: text(&row, 0).unwrap_or_default(),
                checksum: None,
                at: utc(&row, 1),
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
