//! Backups: copies of a database that were read back before they were recorded.

mod rows;

use std::fmt;
use std::str::FromStr;

use chrono::{DateTime, Duration, Utc};
use serde::{Deserialize, Serialize};

use super::host::HostAddress;
use super::names::{DatabaseName, EnvironmentName};
use super::release::ReleaseId;

pub use rows::RowCounts;

/// `backup-YYYYMMDD-HHMMSS[-label]`, UTC: text order is time order. Databases
/// that were copied together share it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct BackupId(String);

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is not a backup id: expected `backup-YYYYMMDD-HHMMSS[-label]`")]
pub struct NotABackupId(pub String);

/// Lower-case letters, digits and hyphens: it becomes part of a file's name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Label(String);

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is not a label: use lower-case letters, digits and hyphens, at most 40 characters")]
pub struct NotALabel(pub String);

impl FromStr for Label {
    type Err = NotALabel;
    fn from_str(text: &str) -> Result<Self, NotALabel> {
        let plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
        match (1..=40).contains(&text.len()) && text.chars().all(plain) {
            true => Ok(Self(text.to_owned())),
            false => Err(NotALabel(text.to_owned())),
        }
    }
}

const TIME: &str = "%Y%m%d-%H%M%S";
const PREFIX: &str = "backup-";
/// Of the time in an id.
const TIME_LENGTH: usize = 15;

impl BackupId {
    /// The id of this moment, or a second after the newest of `known` where
    /// the clock is not past it.
    #[must_use]
    pub fn next<'a>(
        now: DateTime<Utc>,
        label: Option<&Label>,
        known: impl Iterator<Item = &'a BackupId>,
    ) -> Self {
        let newest = known.map(BackupId::time).max();
        let now = match newest {
            Some(newest) if newest.timestamp() >= now.timestamp() => newest + Duration::seconds(1),
            _ => now,
        };
        let label = label.map_or_else(String::new, |label| format!("-{}", label.0));
        Self(format!("{PREFIX}{}{label}", now.format(TIME)))
    }

    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The moment that the id names.
    #[must_use]
    pub fn time(&self) -> DateTime<Utc> {
        time_of(&self.0).unwrap_or_default()
    }
}

fn time_of(text: &str) -> Option<DateTime<Utc>> {
    let rest = text.strip_prefix(PREFIX)?;
    let (time, label) = rest.split_at_checked(TIME_LENGTH)?;
    let labelled = label.strip_prefix('-').map(str::parse::<Label>);
    if !label.is_empty() && !matches!(labelled, Some(Ok(_))) {
        return None;
    }
    let time = chrono::NaiveDateTime::parse_from_str(time, TIME).ok()?;
    Some(time.and_utc())
}

impl FromStr for BackupId {
    type Err = NotABackupId;
    fn from_str(text: &str) -> Result<Self, NotABackupId> {
        match time_of(text) {
            Some(_) => Ok(Self(text.to_owned())),
            None => Err(NotABackupId(text.to_owned())),
        }
    }
}

impl TryFrom<String> for BackupId {
    type Error = NotABackupId;
    fn try_from(text: String) -> Result<Self, NotABackupId> {
        text.parse()
    }
}

impl From<BackupId> for String {
    fn from(id: BackupId) -> String {
        id.0
    }
}

impl fmt::Display for BackupId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Why a backup was taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum BackupReason {
    /// `backup create`.
    Asked,
    BeforeMigrate,
    BeforeRestore,
}

impl BackupReason {
    #[must_use]
    pub fn label(self) -> &'static str {
        match self {
            BackupReason::Asked => "asked for",
            BackupReason::BeforeMigrate => "before migrations",
            BackupReason::BeforeRestore => "before a restore",
        }
    }
}

/// What is to be copied, and for whom.
#[derive(Debug, Clone)]
pub struct BackupOrder {
    pub id: BackupId,
    pub reason: BackupReason,
    /// Such as `ada@laptop`.
    pub by: String,
    /// The release whose migrations follow.
    pub before: Option<ReleaseId>,
    /// The release that was live, where that is known.
    pub live: Option<ReleaseId>,
}

/// What was found in a database: what a copy of it must hold too.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Contents {
    pub tables: u64,
    /// Migrations that its own table says are applied, in order.
    pub migrations: Vec<String>,
    /// The newest applied version.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub schema_version: Option<i64>,
}

/// A backup as the ledger keeps it. One that failed is in no ledger.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct BackupRecord {
    pub id: BackupId,
    pub environment: EnvironmentName,
    pub database: DatabaseName,
    /// `postgres`, `mysql` or `sqlite`.
    pub dialect: String,
    /// What the server calls the database; an SQLite file's path.
    pub source: String,
    pub created_at: DateTime<Utc>,
    pub created_by: String,
    pub reason: BackupReason,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub before: Option<ReleaseId>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub live: Option<ReleaseId>,
    /// Where the file lies.
    pub host: HostAddress,
    pub path: String,
    /// Of the database, in bytes.
    pub size: u64,
    /// Of the file, in bytes.
    pub compressed: u64,
    /// What the file needs of the database's size, 0 to 1 and more.
    pub ratio: f64,
    /// `custom` (pg_restore), `sql.gz` or `sqlite.gz`.
    pub format: String,
    /// How it was made, in words.
    pub method: String,
    /// SHA-256 of the file, hexadecimal.
    pub checksum: String,
    #[serde(flatten)]
    pub contents: Contents,
    #[serde(default)]
    pub rows: RowCounts,
    /// How many backups of the database were to be kept.
    pub keep: u16,
    /// The whole file was read back.
    pub verified_at: DateTime<Utc>,
    /// It was restored into a scratch database.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub proved_at: Option<DateTime<Utc>>,
}

/// The ledger's file, beside the backups.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct BackupLedger {
    pub format: u32,
    /// In the order in which they were taken.
    pub backups: Vec<BackupRecord>,
}

impl BackupLedger {
    pub const FORMAT: u32 = 1;
}

impl Default for BackupLedger {
    fn default() -> Self {
        Self {
            format: Self::FORMAT,
            backups: vec![],
        }
    }
}

/// The backups of one database that are beyond its newest `keep`, oldest
/// first. The newest one always stays.
#[must_use]
pub fn beyond<'a>(
    backups: &'a [BackupRecord],
    database: &DatabaseName,
    keep: u16,
) -> Vec<&'a BackupRecord> {
    let mut of: Vec<_> = backups
        .iter()
        .filter(|backup| backup.database == *database)
        .collect();
    of.sort_by(|a, b| a.id.cmp(&b.id));
    of.truncate(of.len().saturating_sub(usize::from(keep.max(1))));
    of
}

/// What a restore made of a database.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Restored {
    pub database: DatabaseName,
    pub from: BackupId,
    /// The database that was there before; nothing where it was overwritten.
    #[serde(flatten)]
    pub before: Option<Kept>,
    pub contents: Contents,
}

/// A database that another one took the place of.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Kept {
    /// Its name now.
    pub kept: String,
    /// How it is removed when nobody needs it any more.
    pub remove: String,
}

/// How a copy comes into the place of the database that is there.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Way {
    /// Into a new database, which is verified and takes its name.
    Swap,
    /// The database itself is emptied and filled again.
    InPlace,
}

/// What came of a backup that was taken before migrations, once they failed.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "status", rename_all = "snake_case")]
pub enum AutoRestore {
    /// Nothing had to be undone, or nobody asked for it.
    #[default]
    None,
    Restored {
        kept: String,
        /// Migrations that were applied before the failure, and are not now.
        undone: Vec<String>,
    },
    Refused {
        reason: String,
    },
    Failed {
        reason: String,
    },
}

impl AutoRestore {
    #[must_use]
    pub fn label(&self) -> &'static str {
        match self {
            AutoRestore::None => "none",
            AutoRestore::Restored { .. } => "restored",
            AutoRestore::Refused { .. } => "refused",
            AutoRestore::Failed { .. } => "failed",
        }
    }
}

/// A backup that a run of migrations took first.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct BackupTaken {
    pub database: DatabaseName,
    pub id: BackupId,
    pub host: HostAddress,
    pub path: String,
    #[serde(default)]
    pub restore: AutoRestore,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id(text: &str) -> BackupId {
        text.parse().expect("an id")
    }

    /// D83, the id.
    #[test]
    fn an_id_is_its_time_and_a_label_and_never_comes_twice() {
        let now: DateTime<Utc> = "2026-11-21T14:13:16Z".parse().expect("a time");
        let label: Label = "before-import".parse().expect("a label");
        let first = BackupId::next(now, Some(&label), [].into_iter());
        assert_eq!(first.as_str(), "backup-20261121-141316-before-import");
        assert_eq!(id(first.as_str()).time(), now);
        let second = BackupId::next(now, None, [&first].into_iter());
        assert_eq!(second.as_str(), "backup-20261121-141317");
        for bad in [
            "backup-2026",
            "backup-20261121-141316-",
            "backup-20261121-141316-../x",
            "backup-20261121-141316-A B",
            "rel-20261121-141316",
            "backup-20261121-1413é",
        ] {
            assert!(bad.parse::<BackupId>().is_err(), "{bad}");
        }
    }

    #[test]
    fn the_newest_ones_of_each_database_stay_and_the_last_one_always() {
        let record = |id: &str, database: &str| BackupRecord {
            id: id.parse().expect("an id"),
            environment: "prod".parse().expect("a name"),
            database: database.parse().expect("a name"),
            dialect: "postgres".into(),
            source: "shop".into(),
            created_at: Utc::now(),
            created_by: "ada@laptop".into(),
            reason: BackupReason::Asked,
            before: None,
            live: None,
            host: "local".parse().expect("an address"),
            path: "/x".into(),
            size: 1,
            compressed: 1,
            ratio: 1.0,
            format: "custom".into(),
            method: "pg_dump".into(),
            checksum: String::new(),
            contents: Contents::default(),
            rows: RowCounts::default(),
            keep: 5,
            verified_at: Utc::now(),
            proved_at: None,
        };
        let main: DatabaseName = "main".parse().expect("a name");
        let all = [
            record("backup-20260103-000000", "main"),
            record("backup-20260101-000000", "main"),
            record("backup-20260101-000000", "other"),
            record("backup-20260102-000000", "main"),
        ];
        let gone = |keep| -> Vec<String> {
            let beyond = beyond(&all, &main, keep);
            beyond.iter().map(|one| one.id.to_string()).collect()
        };
        assert_eq!(gone(2), ["backup-20260101-000000"]);
        assert_eq!(gone(5), [""; 0]);
        assert_eq!(
            gone(0),
            ["backup-20260101-000000", "backup-20260102-000000"]
        );
    }
}
