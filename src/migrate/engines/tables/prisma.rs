//! `_prisma_migrations`: a row an attempt. An attempt that was rolled back
//! (`prisma migrate resolve --rolled-back`) counts as none.

use serde_json::Value;

use crate::model::fault::Fault;
use crate::ports::Database;

use super::{Column, End, Recorded, Records, Table, number, text, utc};

const COLUMNS: [&str; 7] = [
    "migration_name",
    "checksum",
    "finished_at",
    "rolled_back_at",
    "logs",
    "applied_steps_count",
    "started_at",
];

pub(in super::super) async fn read(
    database: &mut dyn Database,
    table: &Table,
) -> Result<Records, Fault> {
    let rows = table.rows(database, &COLUMNS.map(Column::Plain)).await?;
    let rows = rows.unwrap_or_default();
    Ok(Records {
        rows: attempts(&rows),
        locked: false,
    })
}

/// The attempt that counts, of each migration.
fn attempts(rows: &[Vec<Value>]) -> Vec<Recorded> {
    let mut found: Vec<Recorded> = vec![];
    for row in rows {
        let (Some(id), None) = (text(row, 0), text(row, 3)) else {
            continue;
        };
        let finished = utc(row, 2);
        let recorded = Recorded {
            checksum: text(row, 1),
            end: match finished {
                Some(_) => End::Done,
                None => End::Failed {
                    steps: number(row, 5)
                        .and_then(|n| u64::try_from(n).ok())
                        .unwrap_or(0),
                    error: text(row, 4).filter(|logs| !logs.is_empty()),
                },
            },
            at: finished,
            when: None,
            id,
        };
        match found.iter_mut().find(|known| known.id == recorded.id) {
            Some(known) => *known = recorded,
            None => found.push(recorded),
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn row(name: &str, finished: Option<&str>, rolled_back: Option<&str>) -> Vec<Value> {
        let logs = finished.is_none().then_some("ERROR: no");
        let row = json!([
            name,
            format!("sum of {name}"),
            finished,
            rolled_back,
            logs,
            1,
            "then"
        ]);
        row.as_array().expect("a row").clone()
    }

    #[test]
    fn an_attempt_that_was_rolled_back_is_none_and_a_later_one_counts() {
        let rows = [
            row("1_a", Some("then"), None),
            row("2_b", None, Some("later")),
            row("2_b", Some("then"), None),
            row("3_c", None, Some("later")),
            row("4_d", None, None),
        ];
        let found = attempts(&rows);
        let ends: Vec<(&str, bool)> = found
            .iter()
            .map(|row| (row.id.as_str(), row.end == End::Done))
            .collect();
        assert_eq!(ends, [("1_a", true), ("2_b", true), ("4_d", false)]);
        assert_eq!(
            found[2].end,
            End::Failed {
                steps: 1,
                error: Some("ERROR: no".into())
            }
        );
    }
}
