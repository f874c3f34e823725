//! The lock of an SQLite database: a file beside it, held by the operating
//! system, so that it is free when its holder is gone however it ended.
//!
//! A lock of SQLite itself would not do: it ends with each transaction.

use std::fs::{File, OpenOptions, TryLockError};
use std::io::{Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use std::time::Duration;

use chrono::Utc;

use crate::model::fault::Fault;
use crate::ports::{Claim, Cx, Hold};

use super::super::claim::{self, Patience};
use super::open::beside;

/// A lock that is held, or shared with another session of the step.
pub(super) struct Lock {
    pub(super) hold: Hold,
    /// Holds it until it is closed.
    _file: File,
}

/// Polls for the lock of the database file.
///
/// # Errors
/// `Locked` after `wait`, with what the holder wrote into the file.
pub(super) async fn acquire(
    cx: &Cx,
    database: &Path,
    who: &str,
    claim: &Claim,
    wait: Duration,
) -> Result<Lock, Fault> {
    let patience = Patience::new(wait);
    let own = beside(&real(database), ".stagecraft-lock");
    loop {
        let holder = match attempt(&own, who, claim)? {
            Attempt::Taken(file) => {
                return Ok(Lock {
                    hold: Hold::Own,
                    _file: file,
                });
            }
            Attempt::Held(holder) => holder,
        };
        // Of this step: one of the same entry is an earlier session that is not
        // over yet. Beside the holder's lock there is one for each other entry,
        // for the same reason.
        let mut waits_for = holder.who;
        if holder.step == claim.step.to_string() && holder.entry != claim.entry {
            let suffix = format!(".stagecraft-lock-{}", claim.entry);
            match attempt(&beside(&real(database), &suffix), who, claim)? {
                Attempt::Taken(file) => {
                    return Ok(Lock {
                        hold: Hold::Shared,
                        _file: file,
                    });
                }
                Attempt::Held(other) => waits_for = other.who,
            }
        }
        if patience.is_over() {
            return Err(claim::locked(database.display(), Some(waits_for.trim())));
        }
        patience.pause(cx).await?;
    }
}

enum Attempt {
    Taken(File),
    Held(Signature),
}

/// What the holder wrote: a courtesy, and to which step it belongs.
#[derive(Default)]
struct Signature {
    who: String,
    step: String,
    entry: String,
}

fn attempt(path: &Path, who: &str, claim: &Claim) -> Result<Attempt, Fault> {
    let broken = |error: std::io::Error| {
        Fault::unreachable(format!("cannot lock {}", path.display())).caused_by(&error)
    };
    let mut file = OpenOptions::new()
        .read(true)
        .write(true)
        .create(true)
        .truncate(false)
        .open(path)
        .map_err(broken)?;
    match file.try_lock() {
        Ok(()) => {
            sign(&mut file, who, claim).map_err(broken)?;
            Ok(Attempt::Taken(file))
        }
        Err(TryLockError::Error(error)) => Err(broken(error)),
        Err(TryLockError::WouldBlock) => {
            let mut text = String::new();
            // The name is a courtesy: without it the lock is still held.
            let _ = file.read_to_string(&mut text);
            let mut lines = text.lines().map(str::to_owned);
            let mut next = || lines.next().unwrap_or_default();
            Ok(Attempt::Held(Signature {
                who: next(),
                step: next(),
                entry: next(),
            }))
        }
    }
}

/// Two spellings of one file share one lock.
fn real(database: &Path) -> PathBuf {
    let Some(name) = database.file_name() else {
        return database.to_owned();
    };
    let folder = match database.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder,
        _ => Path::new("."),
    };
    std::fs::canonicalize(database)
        .or_else(|_| std::fs::canonicalize(folder).map(|folder| folder.join(name)))
        .unwrap_or_else(|_| database.to_owned())
}

fn sign(file: &mut File, who: &str, claim: &Claim) -> std::io::Result<()> {
    file.set_len(0)?;
    file.seek(SeekFrom::Start(0))?;
    writeln!(
        file,
        "{who} (process {}, since {})\n{}\n{}",
        std::process::id(),
        Utc::now().format("%Y-%m-%d %H:%M:%S UTC"),
        claim.step,
        claim.entry
    )
}
