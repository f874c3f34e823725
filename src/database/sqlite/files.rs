//! Copies of an SQLite file, made where it lies: in the helper's container, or
//! on this machine.
//!
//! A copy is taken by `VACUUM INTO`, which is one read transaction: the
//! application may go on writing. A copy takes the place of a file that others
//! have open by SQLite's own backup interface, in one write transaction: they
//! see the old content or the new one. (A rename would leave them writing to
//! the old file.)

use std::os::unix::fs::{MetadataExt, PermissionsExt, chown};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use rusqlite::backup::{Backup, StepResult};
use rusqlite::{Connection, OpenFlags};
use serde::{Deserialize, Serialize};

use crate::model::fault::Fault;

use super::blocking;
use super::open::beside;

/// How long others may hold the file's lock.
const PATIENCE: Duration = Duration::from_secs(30);
const PAUSE: Duration = Duration::from_millis(50);

/// What is done with a file. Names are of files in its own folder.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(in crate::database) enum FileWork {
    /// Copies it, and checks the copy whole.
    CopyOut { to: PathBuf },
    /// Makes `name` of a copy, and checks it whole.
    CopyIn { from: PathBuf, name: String },
    /// `name` takes its place; what was there stays as `keep`.
    Swap { name: String, keep: String },
    /// Removes a file that `CopyIn` made.
    Drop { name: String },
}

#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(in crate::database) struct FileReport {
    /// Of the file that was made, in bytes.
    pub(in crate::database) size: u64,
}

pub(in crate::database) async fn perform(path: &Path, work: FileWork) -> Result<FileReport, Fault> {
    let path = path.to_owned();
    blocking(move || match work {
        FileWork::CopyOut { to } => copy_out(&path, &to),
        FileWork::CopyIn { from, name } => copy_in(&path, &from, &path.with_file_name(name)),
        FileWork::Swap { name, keep } => swap(
            &path,
            &path.with_file_name(name),
            &path.with_file_name(keep),
        ),
        FileWork::Drop { name } => remove(&path.with_file_name(name)),
    })
    .await?
}

fn copy_out(path: &Path, to: &Path) -> Result<FileReport, Fault> {
    if !path.exists() {
        return Err(Fault::failed(format!(
            "there is no SQLite database {} to copy",
            path.display()
        )));
    }
    let failed = |error: &rusqlite::Error| {
        Fault::failed(format!(
            "cannot copy the SQLite database {}",
            path.display()
        ))
        .caused_by(error)
    };
    let connection = open(path).map_err(|error| failed(&error))?;
    let target = to.to_string_lossy().into_owned();
    connection
        .execute("VACUUM INTO ?1", [target])
        .map_err(|error| failed(&error))?;
    // The helper may be another user than the folder's.
    let folder = to.parent().unwrap_or(Path::new("/"));
    as_of(folder, to, 0o660 & mode(folder))?;
    check(to)
}

fn copy_in(live: &Path, from: &Path, to: &Path) -> Result<FileReport, Fault> {
    std::fs::copy(from, to).map_err(|error| disk("copy the backup to", to, &error))?;
    let (like, mode) = match live.exists() {
        true => (live, mode(live) & 0o777),
        false => (to.parent().unwrap_or(Path::new("/")), 0o660),
    };
    as_of(like, to, mode)?;
    check(to)
}

fn swap(live: &Path, new: &Path, keep: &Path) -> Result<FileReport, Fault> {
    let failed = |error: &rusqlite::Error| {
        Fault::failed(format!("cannot restore {}", live.display())).caused_by(error)
    };
    if live.exists() {
        let old = open(live).map_err(|error| failed(&error))?;
        let kept = keep.to_string_lossy().into_owned();
        old.execute("VACUUM INTO ?1", [kept])
            .map_err(|error| failed(&error))?;
        drop(old);
        as_of(live, keep, mode(live) & 0o777)?;
        check(keep)?;
    }
    let source = open(new).map_err(|error| failed(&error))?;
    let mut target = Connection::open(live).map_err(|error| failed(&error))?;
    fill(&source, &mut target, live)?;
    drop((source, target));
    let report = check(live)?;
    remove(new)?;
    Ok(report)
}

/// All pages in one step, so that nobody sees half of them.
fn fill(source: &Connection, target: &mut Connection, live: &Path) -> Result<(), Fault> {
    let failed = || Fault::failed(format!("cannot restore {}", live.display()));
    let deadline = Instant::now() + PATIENCE;
    let backup = Backup::new(source, target).map_err(|error| failed().caused_by(&error))?;
    loop {
        match backup
            .step(-1)
            .map_err(|error| failed().caused_by(&error))?
        {
            StepResult::Done => return Ok(()),
            _ if Instant::now() >= deadline => {
                return Err(failed()
                    .because(format!(
                        "somebody else holds its lock for more than {} s",
                        PATIENCE.as_secs()
                    ))
                    .state("the database is as it was"));
            }
            _ => std::thread::sleep(PAUSE),
        }
    }
}

fn remove(path: &Path) -> Result<FileReport, Fault> {
    for suffix in ["", "-wal", "-shm", "-journal"] {
        let file = beside(path, suffix);
        match std::fs::remove_file(&file) {
            Ok(()) => {}
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {}
            Err(error) => return Err(disk("remove", &file, &error)),
        }
    }
    Ok(FileReport::default())
}

/// Reads every page, and asks SQLite whether they fit together.
fn check(path: &Path) -> Result<FileReport, Fault> {
    let wrong = || Fault::failed(format!("{} is no sound SQLite database", path.display()));
    let said: String = open(path)
        .and_then(|copy| copy.query_row("PRAGMA integrity_check", [], |row| row.get(0)))
        .map_err(|error| wrong().caused_by(&error))?;
    if said != "ok" {
        return Err(wrong().because(said));
    }
    let size = std::fs::metadata(path).map_err(|error| disk("look at", path, &error))?;
    Ok(FileReport { size: size.len() })
}

/// With the locks that everybody else takes, so that it is read as a whole.
fn open(path: &Path) -> rusqlite::Result<Connection> {
    let writing = Connection::open_with_flags(path, OpenFlags::SQLITE_OPEN_READ_WRITE);
    let connection = match writing {
        Ok(connection) => connection,
        Err(_) => Connection::open_with_flags(path, OpenFlags::SQLITE_OPEN_READ_ONLY)?,
    };
    connection.busy_timeout(PATIENCE)?;
    Ok(connection)
}

fn mode(path: &Path) -> u32 {
    std::fs::metadata(path).map_or(0o600, |found| found.permissions().mode())
}

/// The owner of `like`, where this user may give files away.
fn as_of(like: &Path, file: &Path, mode: u32) -> Result<(), Fault> {
    let failed = |error: &std::io::Error| disk("set the owner of", file, error);
    let owner = std::fs::metadata(like).map_err(|error| failed(&error))?;
    let ours = std::fs::metadata(file).map_err(|error| failed(&error))?;
    if (owner.uid(), owner.gid()) != (ours.uid(), ours.gid()) {
        chown(file, Some(owner.uid()), Some(owner.gid())).map_err(|error| failed(&error))?;
    }
    std::fs::set_permissions(file, PermissionsExt::from_mode(mode)).map_err(|error| failed(&error))
}

fn disk(what: &str, path: &Path, error: &std::io::Error) -> Fault {
    Fault::failed(format!("cannot {what} {}", path.display())).caused_by(error)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn database(path: &Path, sql: &str) -> Connection {
        let connection = Connection::open(path).expect("a file");
        connection.execute_batch(sql).expect("SQL");
        connection
    }

    fn notes(connection: &Connection) -> i64 {
        connection
            .query_row("SELECT count(*) FROM notes", [], |row| row.get(0))
            .expect("a count")
    }

    /// D86: the application is connected and sees the restored rows; what was
    /// there is kept.
    #[tokio::test]
    async fn a_copy_takes_the_place_of_a_file_that_others_have_open() {
        for journal in ["wal", "delete"] {
            let folder = tempfile::tempdir().expect("a folder");
            let live = folder.path().join("app.db");
            let app = database(
                &live,
                &format!(
                    "PRAGMA journal_mode={journal}; CREATE TABLE notes (id int); INSERT INTO notes VALUES (1)"
                ),
            );
            let to = folder.path().join("copy");
            let copied = perform(&live, FileWork::CopyOut { to: to.clone() }).await;
            assert!(copied.expect("copied").size > 0);
            app.execute_batch("INSERT INTO notes VALUES (2), (3)")
                .expect("written");
            let (name, keep) = ("app.db_new".to_owned(), "app.db_old".to_owned());
            let work = FileWork::CopyIn {
                from: to,
                name: name.clone(),
            };
            perform(&live, work).await.expect("copied in");
            assert_eq!(notes(&app), 3, "{journal}: nothing is restored yet");
            let work = FileWork::Swap {
                name: name.clone(),
                keep: keep.clone(),
            };
            perform(&live, work).await.expect("swapped");
            assert_eq!(notes(&app), 1, "{journal}");
            app.execute_batch("INSERT INTO notes VALUES (9)")
                .expect("the application goes on");
            let kept = Connection::open(live.with_file_name(keep)).expect("kept");
            assert_eq!(notes(&kept), 3);
            assert!(!live.with_file_name(name).exists());
        }
    }

    #[tokio::test]
    async fn a_damaged_copy_is_not_taken() {
        let folder = tempfile::tempdir().expect("a folder");
        let live = folder.path().join("app.db");
        drop(database(&live, "CREATE TABLE notes (id int)"));
        let from = folder.path().join("copy");
        std::fs::write(&from, vec![7; 8192]).expect("written");
        let name = "app.db_new".to_owned();
        let fault = perform(&live, FileWork::CopyIn { from, name }).await;
        let fault = fault.expect_err("damaged");
        assert!(fault.what.contains("no sound SQLite database"), "{fault}");
    }
}
