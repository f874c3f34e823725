//! How long a file may take, from the size of the tables that it works on. A
//! band, not a promise: disks and rows differ by a factor of ten.

use std::collections::BTreeSet;

use crate::migrate::sql::Weight;
use crate::model::risk::{Basis, Estimate, Work};

use super::File;
use super::facts::{Size, Table};
use super::grade::{self, Stand};

/// What a row takes where only their number is known.
const ROW: u64 = 100;
/// A statement that works on no rows, with its way there and back.
const STATEMENT: (u64, u64) = (1, 20);

/// `None` where it works on a table whose size nobody knows.
pub(super) fn of(file: &File<'_>) -> Option<Estimate> {
    let mut low_ms = 0_u64;
    let mut high_ms = 0_u64;
    let mut sizes = BTreeSet::new();
    for (statement, weighed) in file.weighed.iter().enumerate() {
        low_ms += STATEMENT.0;
        high_ms += STATEMENT.1;
        for weight in weighed.weights.iter().filter(|w| w.work != Work::None) {
            let tables = file.world.tables(weight);
            if tables.is_empty() {
                return None;
            }
            for table in tables {
                match file.world.stand((file.at, statement), &table) {
                    Stand::New | Stand::There(Size::Absent | Size::Empty) => {}
                    Stand::There(Size::Unknown) => return None,
                    Stand::There(Size::Small(size) | Size::Large(size)) => {
                        let (low, high) = took(weight, &size);
                        low_ms = low_ms.saturating_add(low);
                        high_ms = high_ms.saturating_add(high);
                        sizes.insert(format!("`{table}` ({})", grade::size(&size)));
                    }
                }
            }
        }
        let opaque = weighed.weights.iter();
        if opaque.clone().any(|w| w.rule == "unreadable-statement") {
            return None;
        }
    }
    let words = match sizes.is_empty() {
        true => "no work on rows that are there".to_owned(),
        false => {
            let sizes: Vec<String> = sizes.into_iter().collect();
            format!("from the size of {}", sizes.join(", "))
        }
    };
    Some(Estimate {
        low_ms,
        high_ms,
        basis: Basis::Size { words },
    })
}

/// By what servers of all sizes do in a second: reading 100 to 1,000 MB,
/// building an index over 20 to 200 MB, writing 10 to 100 MB anew.
fn took(weight: &Weight, table: &Table) -> (u64, u64) {
    let bytes = table
        .bytes
        .or(table.rows.map(|rows| rows.saturating_mul(ROW)))
        .unwrap_or_default();
    let per_ms = match weight.work {
        Work::None => return (0, 0),
        Work::Scans => (1_000_000, 100_000),
        Work::BuildsIndex => (200_000, 20_000),
        Work::ChangesRows | Work::Rewrites => (100_000, 10_000),
    };
    // A condition may name one row.
    let low = match weight.rule {
        "updating-rows" | "deleting-rows" => 1,
        _ => bytes / per_ms.0,
    };
    (low, bytes / per_ms.1)
}
