//! What rehearsals measured, beside the record of releases: the basis of the
//! next plan's estimate. Imports `model`.
//!
//! A file that is lost or damaged costs an estimate, nothing else.

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::model::fault::Fault;
use crate::model::names::DatabaseName;

use super::Rehearsal;

const FORMAT: u32 = 1;
/// The newest are kept.
const KEPT: usize = 1000;

#[derive(Debug, Default, Serialize, Deserialize)]
struct Times {
    format: u32,
    rehearsals: Vec<Time>,
}

#[derive(Debug, Serialize, Deserialize)]
struct Time {
    database: DatabaseName,
    checksum: String,
    ms: u64,
    /// RFC 3339, UTC.
    at: String,
    /// On a copy of the database: only then its time says something.
    copied: bool,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    rows: Option<u64>,
}

/// How long each migration took on a copy of this database the last time, by
/// checksum. `root` is the folder of the configuration file.
#[must_use]
pub fn rehearsed(root: &Path, database: &DatabaseName) -> HashMap<String, u64> {
    let of_copies = |time: &Time| time.copied && time.database == *database;
    let times = read(root).rehearsals.into_iter().filter(of_copies);
    times.map(|time| (time.checksum, time.ms)).collect()
}

/// Adds what a rehearsal measured at `at`.
///
/// # Errors
/// The file cannot be written.
pub fn remember(root: &Path, rehearsal: &Rehearsal, at: &str) -> Result<(), Fault> {
    let mut times = read(root);
    times.format = FORMAT;
    times
        .rehearsals
        .extend(rehearsal.migrations.iter().map(|one| Time {
            database: rehearsal.database.clone(),
            checksum: one.checksum.clone(),
            ms: one.ms,
            at: at.to_owned(),
            copied: rehearsal.copied,
            rows: rehearsal.rows,
        }));
    let surplus = times.rehearsals.len().saturating_sub(KEPT);
    times.rehearsals.drain(..surplus);
    write(root, &times).map_err(|error| {
        Fault::internal(format!("cannot write {}", file(root).display())).caused_by(&error)
    })
}

fn file(root: &Path) -> PathBuf {
    root.join(".stagecraft/rehearsals.json")
}

fn read(root: &Path) -> Times {
    let text = std::fs::read_to_string(file(root)).unwrap_or_default();
    let times: Times = serde_json::from_str(&text).unwrap_or_default();
    match times.format {
        FORMAT => times,
        _ => Times::default(),
    }
}

/// Whole or not at all.
fn write(root: &Path, times: &Times) -> std::io::Result<()> {
    let file = file(root);
    let folder = file.parent().unwrap_or(root);
    std::fs::create_dir_all(folder)?;
    let mut new = tempfile::NamedTempFile::new_in(folder)?;
    serde_json::to_writer_pretty(&mut new, times)?;
    new.persist(&file)?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::super::Timed;
    use super::*;

    fn rehearsal(ms: u64, copied: bool) -> Rehearsal {
        Rehearsal {
            database: "main".parse().expect("a name"),
            copied,
            backup: None,
            reason: None,
            rows: Some(7),
            migrations: vec![Timed {
                id: "1.sql".into(),
                checksum: "abc".into(),
                ms,
            }],
            differences: vec![],
            fingerprint: String::new(),
        }
    }

    #[test]
    fn the_last_time_on_a_copy_counts_and_an_empty_database_says_nothing() {
        let root = tempfile::tempdir().expect("a folder");
        let main = "main".parse().expect("a name");
        assert_eq!(rehearsed(root.path(), &main).get("abc"), None);
        for (ms, copied) in [(5, true), (900, true), (1, false)] {
            remember(root.path(), &rehearsal(ms, copied), "then").expect("written");
        }
        assert_eq!(rehearsed(root.path(), &main).get("abc"), Some(&900));
        assert_eq!(rehearsed(root.path(), &main).get("other"), None);
        let other = "stats".parse().expect("a name");
        assert_eq!(rehearsed(root.path(), &other).get("abc"), None);
    }

    #[test]
    fn a_damaged_file_costs_the_estimates_and_no_more() {
        let root = tempfile::tempdir().expect("a folder");
        std::fs::create_dir(root.path().join(".stagecraft")).expect("made");
        std::fs::write(file(root.path()), "{").expect("written");
        remember(root.path(), &rehearsal(5, true), "then").expect("written");
        let main = "main".parse().expect("a name");
        assert_eq!(rehearsed(root.path(), &main).get("abc"), Some(&5));
    }
}
