//! How many rows each table had when a database was copied, and how sure that
//! is.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

/// As the ledger keeps it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "counted", rename_all = "snake_case")]
pub enum RowCounts {
    /// In the very view of the database that was copied.
    Exactly {
        tables: BTreeMap<String, u64>,
    },
    /// Just before and just after the copy: `tables` had the same count both
    /// times, `moving` had not.
    Around {
        tables: BTreeMap<String, u64>,
        moving: Vec<String>,
    },
    Unknown {
        reason: String,
    },
}

impl Default for RowCounts {
    fn default() -> Self {
        Self::Unknown {
            reason: "it was taken by a version that did not count".to_owned(),
        }
    }
}

impl RowCounts {
    #[must_use]
    pub fn around(before: BTreeMap<String, u64>, after: &BTreeMap<String, u64>) -> Self {
        let names: BTreeSet<&String> = before.keys().chain(after.keys()).collect();
        let moving = names.into_iter();
        let moving: Vec<String> = moving
            .filter(|name| before.get(*name) != after.get(*name))
            .cloned()
            .collect();
        let mut tables = before;
        tables.retain(|name, _| !moving.contains(name));
        Self::Around { tables, moving }
    }

    /// All rows together, where that is known.
    #[must_use]
    pub fn total(&self) -> Option<u64> {
        match self {
            Self::Exactly { tables } => Some(tables.values().sum()),
            Self::Around { tables, moving } if moving.is_empty() => Some(tables.values().sum()),
            Self::Around { .. } | Self::Unknown { .. } => None,
        }
    }

    /// Where a copy holds other rows than were counted; a line a table.
    #[must_use]
    pub fn against(&self, found: &BTreeMap<String, u64>) -> Vec<String> {
        let (tables, moving): (_, &[String]) = match self {
            Self::Exactly { tables } => (tables, &[]),
            Self::Around { tables, moving } => (tables, moving),
            Self::Unknown { .. } => return vec![],
        };
        let names: BTreeSet<&String> = tables.keys().chain(found.keys()).collect();
        let still = names.into_iter().filter(|name| !moving.contains(name));
        let lines = still.filter_map(|name| match (found.get(name), tables.get(name)) {
            (Some(now), Some(then)) if now != then => {
                Some(format!("`{name}` has {now} rows, counted were {then}"))
            }
            (None, Some(then)) => Some(format!("`{name}` is missing, counted were {then} rows")),
            (Some(now), None) => Some(format!("`{name}` was not there, and has {now} rows")),
            _ => None,
        });
        lines.collect()
    }

    /// What a comparison with it proves, in words.
    #[must_use]
    pub fn words(&self) -> String {
        let tables = |count: usize| match count {
            1 => "1 table has".to_owned(),
            count => format!("{count} tables have"),
        };
        match self {
            Self::Exactly { tables: all } => format!(
                "{} the rows that the database had at the moment of the copy",
                tables(all.len())
            ),
            Self::Around {
                tables: all,
                moving,
            } => {
                let mut words = format!(
                    "{} the rows that were counted just before and just after the copy",
                    tables(all.len())
                );
                if !moving.is_empty() {
                    words += &format!(
                        "; not compared, because it was written to meanwhile: {}",
                        moving.join(", ")
                    );
                }
                words
            }
            Self::Unknown { reason } => format!("its rows were not compared: {reason}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn counts(counts: &[(&str, u64)]) -> BTreeMap<String, u64> {
        let counts = counts.iter();
        counts
            .map(|(name, count)| ((*name).to_owned(), *count))
            .collect()
    }

    #[test]
    fn a_table_that_was_written_to_while_it_was_copied_is_not_compared() {
        let before = counts(&[("gone", 1), ("queue", 4), ("still", 7)]);
        let after = counts(&[("come", 2), ("queue", 5), ("still", 7)]);
        let rows = RowCounts::around(before, &after);
        assert_eq!(
            rows,
            RowCounts::Around {
                tables: counts(&[("still", 7)]),
                moving: ["come", "gone", "queue"].map(str::to_owned).to_vec(),
            }
        );
        assert_eq!(rows.total(), None);
        let copy = counts(&[("queue", 9), ("still", 7)]);
        assert_eq!(rows.against(&copy), [""; 0]);
        let copy = counts(&[("still", 6)]);
        assert_eq!(rows.against(&copy), ["`still` has 6 rows, counted were 7"]);
        assert!(rows.words().contains("not compared"), "{}", rows.words());
    }

    #[test]
    fn a_table_too_few_or_too_many_is_a_difference() {
        let rows = RowCounts::Exactly {
            tables: counts(&[("a", 0), ("b", 2)]),
        };
        assert_eq!(
            rows.against(&counts(&[("b", 2), ("c", 0)])),
            [
                "`a` is missing, counted were 0 rows",
                "`c` was not there, and has 0 rows"
            ]
        );
        assert_eq!(rows.total(), Some(2));
        let unknown = RowCounts::default();
        assert_eq!(unknown.against(&counts(&[("a", 1)])), [""; 0]);
    }

    #[test]
    fn the_ledger_says_how_they_were_counted() {
        let rows = RowCounts::Exactly {
            tables: counts(&[("a", 1)]),
        };
        let json = serde_json::to_value(&rows).expect("JSON");
        assert_eq!(json["counted"], "exactly");
        assert_eq!(json["tables"]["a"], 1);
    }
}
