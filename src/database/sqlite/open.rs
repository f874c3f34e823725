//! Opening a database file, without leaving a trace when only reading.

use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};

use rusqlite::{Connection, OpenFlags};

use crate::model::fault::Fault;
use crate::ports::SessionOptions;

/// Opens the file, or `None` when it is missing and may not be made.
///
/// # Errors
/// Not a database, no permission, a refused session statement.
pub(super) fn open(path: &Path, options: &SessionOptions) -> Result<Option<Connection>, Fault> {
    let fault = |error: &rusqlite::Error| {
        Fault::unreachable(format!(
            "cannot open the SQLite database {}",
            path.display()
        ))
        .caused_by(error)
    };
    let flags = OpenFlags::SQLITE_OPEN_NO_MUTEX | OpenFlags::SQLITE_OPEN_URI;
    let connection = if options.read_only {
        if !path.exists() {
            return Ok(None);
        }
        Connection::open_with_flags(
            uri(path, quiet_wal(path)),
            flags | OpenFlags::SQLITE_OPEN_READ_ONLY,
        )
    } else {
        if let Some(folder) = path
            .parent()
            .filter(|folder| !folder.as_os_str().is_empty())
            && !folder.is_dir()
        {
            return Err(Fault::unreachable(format!(
                "the folder of the SQLite database {} does not exist",
                path.display()
            )));
        }
        Connection::open_with_flags(
            uri(path, Wal::InUse),
            flags | OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_CREATE,
        )
    }
    .map_err(|error| fault(&error))?;
    connection
        .busy_timeout(options.lock_timeout)
        .map_err(|error| fault(&error))?;
    // SQLite opens lazily: only a read tells whether this is a database.
    connection
        .query_row("SELECT count(*) FROM sqlite_schema", [], |_| Ok(()))
        .map_err(|error| fault(&error))?;
    for sql in &options.session_sql {
        connection.execute_batch(sql).map_err(|error| {
            Fault::failed(format!("the `session_sql` statement `{sql}` was refused"))
                .caused_by(&error)
        })?;
    }
    Ok(Some(connection))
}

/// Whether the file's write-ahead log matters to a reader.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Wal {
    InUse,
    /// The file is in WAL mode and nobody has it open. Even a reader would
    /// make the log's files beside it, unless it promises that nobody writes.
    Quiet,
}

fn quiet_wal(path: &Path) -> Wal {
    let mut header = [0; 20];
    let wal_mode = File::open(path)
        .and_then(|mut file| file.read_exact(&mut header))
        .is_ok()
        && header[18] == 2;
    if wal_mode && !beside(path, "-wal").exists() {
        Wal::Quiet
    } else {
        Wal::InUse
    }
}

fn uri(path: &Path, wal: Wal) -> String {
    let mut uri = String::from("file:");
    for byte in path.to_string_lossy().bytes() {
        match byte {
            b'/' | b'.' | b'-' | b'_' | b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' => {
                uri.push(char::from(byte));
            }
            other => uri.push_str(&format!("%{other:02x}")),
        }
    }
    if wal == Wal::Quiet {
        uri.push_str("?immutable=1");
    }
    uri
}

/// What the file system of the file's folder has left for this user.
pub(super) fn free_bytes(path: &Path) -> Option<u64> {
    let folder = match path.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder,
        _ => Path::new("."),
    };
    let room = rustix::fs::statvfs(folder).ok()?;
    Some(room.f_bavail.saturating_mul(room.f_frsize))
}

/// The file's name with something appended.
pub(super) fn beside(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(suffix);
    PathBuf::from(name)
}
