//! A tool's rows and the files: which row speaks of which file. Pure. Imports
//! `files`. What does not fit is a finding, never guessed away.

use super::History;
use super::read::{Row, State};
use crate::migrate::files::MigrationFile;

/// A file that a tool's row says is applied.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Known {
    /// Its place among the files.
    pub file: usize,
    pub key: String,
    /// RFC 3339, UTC, where the tool keeps it.
    pub at: Option<String>,
    /// The tool's checksum, where it is not the file's.
    pub edited: Option<String>,
}

/// A row that cannot be taken as it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Finding {
    /// No file belongs to it.
    NoFile {
        key: String,
    },
    Failed {
        key: String,
        why: String,
    },
    /// Something else than the file was applied.
    Edited {
        id: String,
    },
}

#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Compared {
    /// In order of the files.
    pub known: Vec<Known>,
    pub findings: Vec<Finding>,
}

/// `same`: the files have the tool's own layout, so that its keys and checksums
/// are comparable; otherwise names and numbers have to do.
#[must_use]
pub fn compare(history: History, same: bool, files: &[MigrationFile], rows: &[Row]) -> Compared {
    let mut compared = Compared::default();
    for row in rows {
        let found: Vec<usize> = files
            .iter()
            .enumerate()
            .filter(|(_, file)| speaks_of(history, same, row, file))
            .map(|(index, _)| index)
            .collect();
        match &row.state {
            State::Failed(why) => compared.findings.push(Finding::Failed {
                key: row.key.clone(),
                why: why.clone(),
            }),
            State::UpTo => {
                // A baseline of Flyway may stand for files that never were.
                if found.is_empty() && history == History::GolangMigrate {
                    compared.findings.push(Finding::NoFile {
                        key: row.key.clone(),
                    });
                }
                let up_to = files
                    .iter()
                    .enumerate()
                    .filter(|(_, file)| numbers(&key_of(same, file)) <= numbers(&row.key));
                let up_to: Vec<usize> = up_to.map(|(index, _)| index).collect();
                let known = up_to.into_iter().map(|file| known(file, row, None));
                compared.known.extend(known);
            }
            State::Applied => match found.first() {
                Some(&index) => {
                    let file = &files[index];
                    let edited = edited(history, same, row, file);
                    if edited.is_some() {
                        compared.findings.push(Finding::Edited {
                            id: file.name.clone(),
                        });
                    }
                    compared.known.push(known(index, row, edited));
                }
                None => compared.findings.push(Finding::NoFile {
                    key: row.key.clone(),
                }),
            },
        }
    }
    compared.known.sort_by_key(|known| known.file);
    compared.known.dedup_by_key(|known| known.file);
    compared
}

fn known(file: usize, row: &Row, edited: Option<String>) -> Known {
    Known {
        file,
        key: row.key.clone(),
        at: row.at.clone(),
        edited,
    }
}

fn speaks_of(history: History, same: bool, row: &Row, file: &MigrationFile) -> bool {
    if same && history == History::Drizzle {
        let hash = row.checksum.as_deref() == Some(file.tool.checksum.as_str());
        return hash || row.key == file.tool.when.to_string();
    }
    if same {
        // Tools differ in whether they keep the zeros in front.
        let plain = |key: &str| key.trim_start_matches('0').to_owned();
        return match history {
            History::Goose | History::GolangMigrate | History::Sqlx | History::Refinery => {
                plain(&row.key) == plain(&file.tool.key)
            }
            _ => row.key == file.tool.key,
        };
    }
    let stem = file.name.strip_suffix(".sql").unwrap_or(&file.name);
    let number = row.key.parse::<i64>().ok();
    stem == row.key || (number.is_some() && number == file.version)
}

fn key_of(same: bool, file: &MigrationFile) -> String {
    match (same, file.version) {
        (false, Some(version)) => version.to_string(),
        (false, None) => file.name.clone(),
        (true, _) => file.tool.key.clone(),
    }
}

/// Versions in their order; what is no version comes last.
fn numbers(key: &str) -> Vec<u64> {
    let parts = key.split('.').map(|part| part.parse().unwrap_or(u64::MAX));
    let mut numbers: Vec<u64> = parts.collect();
    while numbers.last() == Some(&0) {
        numbers.pop();
    }
    numbers
}

fn edited(history: History, same: bool, row: &Row, file: &MigrationFile) -> Option<String> {
    let theirs = row.checksum.as_deref().filter(|_| same)?;
    let ours = &file.tool.checksum;
    let equal = match history {
        // Either width of its versions.
        History::Refinery => ours.split(' ').any(|ours| ours == theirs),
        _ => ours == theirs,
    };
    (!ours.is_empty() && !equal).then(|| theirs.to_owned())
}
