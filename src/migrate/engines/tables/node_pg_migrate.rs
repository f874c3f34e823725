//! `pgmigrations`: the names of files, without their suffix.

use crate::model::fault::Fault;
use crate::ports::Database;

use super::{Column, End, Recorded, Records, Table, text};

pub(in super::super) async fn read(
    database: &mut dyn Database,
    table: &Table,
) -> Result<Records, Fault> {
    let columns = ["name", "run_on", "id"].map(Column::Plain);
    let rows = table.rows(database, &columns).await?;
    let rows = rows.unwrap_or_default().into_iter();
    Ok(Records {
        rows: rows
            .map(|row| Recorded {
                id: text(&row, 0).unwrap_or_default(),
                checksum: None,
                at: text(&row, 1),
                when: None,
                end: End::Done,
            })
            .collect(),
        locked: false,
    })
}
