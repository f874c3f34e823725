//! `__drizzle_migrations`: the hash of a file and its time in the journal. There
//! is no name: the time finds the file, and the hash tells whether it is still
//! that file.

use crate::model::fault::Fault;
use crate::ports::Database;

use super::{Column, End, Recorded, Records, Table, number, text};

pub(in super::super) async fn read(
    database: &mut dyn Database,
    table: &Table,
) -> Result<Records, Fault> {
    let columns = [Column::Plain("hash"), Column::Plain("created_at")];
    let rows = table.rows(database, &columns).await?;
    let rows = rows.unwrap_or_default().into_iter();
    Ok(Records {
        rows: rows
            .map(|row| Recorded {
                id: text(&row, 0).unwrap_or_default(),
                checksum: text(&row, 0),
                at: None,
                when: number(&row, 1),
                end: End::Done,
            })
            .collect(),
        locked: false,
    })
}
