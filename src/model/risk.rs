//! What a migration would do to a database that is in use: findings of its
//! statements, how long it may take, and how much is at stake. Imports nothing
//! of this crate.

use std::fmt;

use serde::{Deserialize, Serialize};

/// One statement, and what it would do to this database.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Remark {
    /// A stable name, such as `require-concurrent-index-creation`: squawk's
    /// where squawk finds it.
    pub rule: String,
    /// As messages name it: `db/migrations/0042_notes.sql`.
    pub file: String,
    pub line: usize,
    pub column: usize,
    /// On one line and cut short.
    pub statement: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lock: Option<Lock>,
    pub work: Work,
    pub blocks: Blocks,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub table: Option<String>,
    pub why: String,
    /// The safer way.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub help: Option<String>,
    pub grade: Grade,
    /// What of this database makes it that grade: `about 1,000,000 rows`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub because: Option<String>,
    /// A comment of the file says that its author knows.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub ignored: bool,
}

impl Remark {
    /// It counts for the gate and is printed.
    #[must_use]
    pub fn stands(&self) -> bool {
        !self.ignored && self.grade != Grade::Harmless
    }
}

/// The strongest lock that a statement takes: PostgreSQL's modes by their
/// names, and what the others have in their place.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Lock {
    #[serde(rename = "ACCESS SHARE")]
    AccessShare,
    #[serde(rename = "ROW SHARE")]
    RowShare,
    #[serde(rename = "ROW EXCLUSIVE")]
    RowExclusive,
    #[serde(rename = "SHARE UPDATE EXCLUSIVE")]
    ShareUpdateExclusive,
    #[serde(rename = "SHARE")]
    Share,
    #[serde(rename = "SHARE ROW EXCLUSIVE")]
    ShareRowExclusive,
    #[serde(rename = "EXCLUSIVE")]
    Exclusive,
    #[serde(rename = "ACCESS EXCLUSIVE")]
    AccessExclusive,
    /// MySQL: exclusive, at the beginning and the end of the statement.
    #[serde(rename = "metadata lock")]
    Metadata,
    /// SQLite: one writer at a time, for everything.
    #[serde(rename = "write lock of the file")]
    File,
}

impl Lock {
    #[must_use]
    pub fn label(self) -> &'static str {
        match self {
            Lock::AccessShare => "ACCESS SHARE",
            Lock::RowShare => "ROW SHARE",
            Lock::RowExclusive => "ROW EXCLUSIVE",
            Lock::ShareUpdateExclusive => "SHARE UPDATE EXCLUSIVE",
            Lock::Share => "SHARE",
            Lock::ShareRowExclusive => "SHARE ROW EXCLUSIVE",
            Lock::Exclusive => "EXCLUSIVE",
            Lock::AccessExclusive => "ACCESS EXCLUSIVE",
            Lock::Metadata => "metadata lock",
            Lock::File => "write lock of the file",
        }
    }

    /// Whom it keeps waiting while it is held.
    #[must_use]
    pub fn blocks(self) -> Blocks {
        match self {
            Lock::AccessShare | Lock::RowShare | Lock::RowExclusive => Blocks::Nobody,
            Lock::ShareUpdateExclusive => Blocks::SchemaChanges,
            Lock::Share | Lock::ShareRowExclusive | Lock::Exclusive | Lock::File => Blocks::Writes,
            Lock::AccessExclusive | Lock::Metadata => Blocks::ReadsAndWrites,
        }
    }
}

/// What a statement does with the rows of its table.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Work {
    /// It changes the catalogue alone.
    None,
    Scans,
    BuildsIndex,
    /// Every row that it names, or every row, one by one.
    ChangesRows,
    Rewrites,
}

impl Work {
    #[must_use]
    pub fn label(self) -> &'static str {
        match self {
            Work::None => "no work on the rows",
            Work::Scans => "scans the table",
            Work::BuildsIndex => "builds an index",
            Work::ChangesRows => "changes rows",
            Work::Rewrites => "rewrites the table",
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Blocks {
    Nobody,
    SchemaChanges,
    Writes,
    ReadsAndWrites,
}

impl Blocks {
    #[must_use]
    pub fn label(self) -> &'static str {
        match self {
            Blocks::Nobody => "blocks nobody",
            Blocks::SchemaChanges => "blocks other schema changes",
            Blocks::Writes => "blocks writes",
            Blocks::ReadsAndWrites => "blocks reads and writes",
        }
    }
}

/// What a finding means for this database.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Grade {
    /// The table is new, empty or small.
    Harmless,
    /// For a moment, or for nobody but other schema changes.
    Caution,
    /// Somebody waits for as long as the work takes.
    Blocking,
}

impl Grade {
    #[must_use]
    pub fn label(self) -> &'static str {
        match self {
            Grade::Harmless => "harmless",
            Grade::Caution => "caution",
            Grade::Blocking => "blocking",
        }
    }
}

/// How long something may take.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Estimate {
    pub low_ms: u64,
    pub high_ms: u64,
    pub basis: Basis,
}

/// Where an estimate comes from, the best first.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Basis {
    /// It was measured on a copy of this database.
    Rehearsal,
    /// The same file took this long where it ran before.
    History { environment: String },
    /// From the size of the tables, in words.
    Size { words: String },
}

impl Basis {
    #[must_use]
    pub fn words(&self) -> String {
        match self {
            Basis::Rehearsal => "measured by a rehearsal".to_owned(),
            Basis::History { environment } => format!("as it took in {environment}"),
            Basis::Size { words } => words.clone(),
        }
    }
}

impl Estimate {
    /// One after the other; as good as the weakest of them. `None` for none.
    #[must_use]
    pub fn total<'a>(each: impl Iterator<Item = &'a Estimate>) -> Option<Estimate> {
        each.cloned().reduce(|sum, next| Estimate {
            low_ms: sum.low_ms.saturating_add(next.low_ms),
            high_ms: sum.high_ms.saturating_add(next.high_ms),
            basis: sum.basis.max(next.basis),
        })
    }
}

/// How much is at stake, by what the statements are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Level {
    Low,
    Medium,
    High,
    /// A whole database or schema goes.
    Critical,
}

impl fmt::Display for Level {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Level::Low => "low",
            Level::Medium => "medium",
            Level::High => "high",
            Level::Critical => "critical",
        })
    }
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Risk {
    pub level: Level,
    /// What makes it that level: `DROP TABLE notes`, in the file's order.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub operations: Vec<String>,
}

/// One statement as it would be sent.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PlannedStatement {
    pub line: usize,
    /// In one transaction with the rest of its file; else by itself.
    pub transactional: bool,
    pub sql: String,
}

/// What is expected of one migration.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Forecast {
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub remarks: Vec<Remark>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub estimate: Option<Estimate>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub risk: Option<Risk>,
    /// Only where it was asked for.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub sql: Vec<PlannedStatement>,
}

/// What stands in the way in the database itself.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Outlook {
    /// Of everything that would run.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub estimate: Option<Estimate>,
    /// Kind and version of the server: `PostgreSQL 15.18`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub server: Option<String>,
    /// Transactions that were open for long, and that locks will wait for.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub open: Vec<String>,
    /// Why the sizes of tables are not known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub unsized_because: Option<String>,
}

/// What a plan tells beside the names.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Detail {
    /// Where each migration stands, and no more.
    States,
    #[default]
    Forecast,
    /// The SQL too.
    Sql,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_total_is_as_good_as_its_weakest_part() {
        let size = Basis::Size {
            words: "from the size of its tables".to_owned(),
        };
        let part = |low_ms, high_ms, basis: &Basis| Estimate {
            low_ms,
            high_ms,
            basis: basis.clone(),
        };
        let parts = [part(1, 2, &Basis::Rehearsal), part(10, 20, &size)];
        assert_eq!(Estimate::total(parts.iter()), Some(part(11, 22, &size)));
        assert_eq!(Estimate::total([].iter()), None);
    }
}
