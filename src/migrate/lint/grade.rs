//! What a weight means for this database: nothing on a table that is new,
//! empty or small, a moment's lock, or somebody who waits as long as it takes.

use std::collections::HashMap;

use crate::migrate::sql::{Weighed, Weight};
use crate::migrate::words;
use crate::model::risk::{Blocks, Grade, Level, Work};

use super::First;
use super::facts::{Facts, Size, Table};

/// The database, and what the plan makes of it on the way.
pub(super) struct World<'a> {
    pub(super) facts: &'a Facts,
    /// Where in the plan a table is made.
    made: First,
    /// Renamed tables, and what they are called today.
    today: HashMap<&'a str, &'a str>,
    indexes: HashMap<&'a str, &'a str>,
}

pub(super) struct Verdict {
    pub(super) grade: Grade,
    pub(super) because: Option<String>,
}

/// How a table stands when a statement comes to it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Stand {
    New,
    There(Size),
}

impl<'a> World<'a> {
    pub(super) fn of(files: &'a [Vec<Weighed>], facts: &'a Facts) -> Self {
        let mut world = Self {
            facts,
            made: First::new(),
            today: HashMap::new(),
            indexes: HashMap::new(),
        };
        let there = facts.indexes.iter();
        world.indexes = there.map(|(i, t)| (i.as_str(), t.as_str())).collect();
        for (file, statements) in files.iter().enumerate() {
            for (statement, weighed) in statements.iter().enumerate() {
                let at = (file, statement);
                for table in &weighed.made {
                    // It may have been there, and `IF NOT EXISTS` left it so.
                    let tables = facts.tables.as_ref();
                    if !tables.is_some_and(|tables| tables.contains_key(table)) {
                        world.made.entry(table.clone()).or_insert(at);
                    }
                }
                for (index, table) in &weighed.indexes {
                    world.indexes.insert(index, table);
                }
                for (old, new) in &weighed.renamed {
                    if world.made.contains_key(old) {
                        world.made.entry(new.clone()).or_insert(at);
                    } else {
                        let first = world.today.get(old.as_str()).copied();
                        world.today.insert(new, first.unwrap_or(old));
                    }
                }
            }
        }
        world
    }

    pub(super) fn tables(&self, weight: &Weight) -> Vec<String> {
        let of_index = weight.index.as_deref();
        let of_index = of_index.and_then(|index| self.indexes.get(index).copied());
        let mut tables = weight.tables.clone();
        tables.extend(of_index.map(str::to_owned));
        tables
    }

    pub(super) fn stand(&self, at: (usize, usize), table: &str) -> Stand {
        if self.made.get(table).is_some_and(|made| *made <= at) {
            return Stand::New;
        }
        let today = self.today.get(table).copied().unwrap_or(table);
        Stand::There(self.facts.size(today))
    }

    pub(super) fn is_new(&self, at: (usize, usize), weight: &Weight) -> bool {
        let tables = self.tables(weight);
        !tables.is_empty()
            && tables
                .iter()
                .all(|table| self.stand(at, table) == Stand::New)
    }

    pub(super) fn judge(&self, at: (usize, usize), weight: &Weight) -> Verdict {
        let tables = self.tables(weight);
        let stands = tables.iter().map(|table| self.stand(at, table));
        let Some(largest) = stands.max_by_key(Stand::rank) else {
            return Verdict {
                grade: of_no_table(weight),
                because: None,
            };
        };
        let mut verdict = Verdict {
            grade: largest.grade(weight),
            because: Some(largest.words()),
        };
        if weight.blocks >= Blocks::Writes
            && let Some(open) = self.in_the_way(&tables)
        {
            verdict.grade = verdict.grade.max(Grade::Caution);
            verdict.because = Some(format!("{}; waits for {open}", largest.words()));
        }
        verdict
    }

    /// Somebody's long transaction that has one of the tables open.
    fn in_the_way(&self, tables: &[String]) -> Option<&str> {
        let today = |table: &String| {
            let name = self.today.get(table.as_str()).copied();
            name.unwrap_or(table).to_owned()
        };
        let tables: Vec<String> = tables.iter().map(today).collect();
        let mut open = self.facts.open.iter();
        let found = open.find(|open| open.tables.iter().any(|table| tables.contains(table)));
        found.map(|open| open.who.as_str())
    }
}

fn of_no_table(weight: &Weight) -> Grade {
    let told = weight.lock.is_some() || weight.rule == "unreadable-statement";
    match (told, weight.work) {
        (true, Work::None) => Grade::Caution,
        (true, _) => Grade::Blocking,
        (false, _) if weight.level >= Level::High => Grade::Caution,
        (false, _) => Grade::Harmless,
    }
}

impl Stand {
    fn rank(&self) -> u8 {
        match self {
            Stand::New => 0,
            Stand::There(Size::Absent) => 1,
            Stand::There(Size::Empty) => 2,
            Stand::There(Size::Small(_)) => 3,
            Stand::There(Size::Unknown) => 4,
            Stand::There(Size::Large(_)) => 5,
        }
    }

    pub(super) fn holds_rows(&self) -> bool {
        self.rank() > 2
    }

    fn grade(&self, weight: &Weight) -> Grade {
        match self {
            Stand::New | Stand::There(Size::Absent | Size::Empty) => Grade::Harmless,
            Stand::There(_) if weight.needs_empty => Grade::Caution,
            Stand::There(Size::Small(_)) => Grade::Harmless,
            Stand::There(Size::Unknown | Size::Large(_)) => {
                match (weight.blocks >= Blocks::Writes, weight.work) {
                    // How many rows it names cannot be told.
                    (true, Work::ChangesRows) if weight.level < Level::High => Grade::Caution,
                    (true, Work::None) => Grade::Caution,
                    (true, _) => Grade::Blocking,
                    (false, Work::None) => Grade::Harmless,
                    (false, _) => Grade::Caution,
                }
            }
        }
    }

    fn words(&self) -> String {
        match self {
            Stand::New => "the table is made in this plan".to_owned(),
            Stand::There(Size::Absent) => "there is no such table yet".to_owned(),
            Stand::There(Size::Empty) => "the table is empty".to_owned(),
            Stand::There(Size::Unknown) => "the size of the table is not known".to_owned(),
            Stand::There(Size::Small(table) | Size::Large(table)) => size(table),
        }
    }
}

/// `about 1,000,000 rows, 42 MB`.
pub(super) fn size(table: &Table) -> String {
    let rows = table.rows.map(|rows| match rows {
        rows if rows < 100 => words::plural(usize::try_from(rows).unwrap_or(usize::MAX), "row"),
        rows => format!("about {} rows", words::thousands(rounded(rows))),
    });
    let bytes = table.bytes.map(words::bytes);
    let parts: Vec<String> = rows.into_iter().chain(bytes).collect();
    parts.join(", ")
}

/// Two digits say as much as an estimate knows.
fn rounded(number: u64) -> u64 {
    let unit = 10_u64.pow(number.max(1).ilog10().saturating_sub(1));
    (number + unit / 2) / unit * unit
}
