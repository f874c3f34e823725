//! The lock of an SQLite database: a file beside it, held by the operating
//! system, so that it is free when its holder is gone however it ended.
//!
//! A lock of SQLite itself would not do: it ends with each transaction.

use std::fs::{File, OpenOptions, TryLockError};
use std::io::{Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use std::time::Duration;

use chrono::Utc;
use tokio::time::Instant;

use crate::model::fault::{Fault, FaultKind};
use crate::ports::Cx;

use super::open::beside;

const POLL: Duration = Duration::from_millis(200);

/// Polls for the lock of the database file. The returned file holds it until
/// it is dropped.
///
/// # Errors
/// `Locked` after `wait`, with what the holder wrote into the file.
pub(super) async fn acquire(
    cx: &Cx,
    database: &Path,
    who: &str,
    wait: Duration,
) -> Result<File, Fault> {
    let path = beside(&real(database), ".stagecraft-lock");
    let broken = |error: &std::io::Error| {
        Fault::unreachable(format!("cannot lock {}", path.display())).caused_by(error)
    };
    let mut file = OpenOptions::new()
        .read(true)
        .write(true)
        .create(true)
        .truncate(false)
        .open(&path)
        .map_err(|error| broken(&error))?;
    let deadline = Instant::now() + wait;
    loop {
        match file.try_lock() {
            Ok(()) => {
                sign(&mut file, who).map_err(|error| broken(&error))?;
                return Ok(file);
            }
            Err(TryLockError::Error(error)) => return Err(broken(&error)),
            Err(TryLockError::WouldBlock) if Instant::now() >= deadline => {
                let mut holder = String::new();
                // The name is a courtesy: without it the lock is still held.
                let _ = file.read_to_string(&mut holder);
                return Err(Fault::new(
                    FaultKind::Locked,
                    format!("the database {} is locked", database.display()),
                )
                .because(format!("held by {}", holder.trim())));
            }
            Err(TryLockError::WouldBlock) => {
                let next = deadline.min(Instant::now() + POLL);
                cx.or_interrupted(async {
                    tokio::time::sleep_until(next).await;
                    Ok(())
                })
                .await?;
            }
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

fn sign(file: &mut File, who: &str) -> std::io::Result<()> {
    file.set_len(0)?;
    file.seek(SeekFrom::Start(0))?;
    writeln!(
        file,
        "{who} (process {}, since {})",
        std::process::id(),
        Utc::now().format("%Y-%m-%d %H:%M:%S UTC")
    )
}
