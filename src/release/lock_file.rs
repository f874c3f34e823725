//! The lock that a writer of the history holds: a file beside it, because the
//! history itself is replaced by every write. The operating system frees it
//! when its process ends, so it cannot go stale.

use std::fs::{self, File, TryLockError};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use chrono::{SecondsFormat, Utc};

use crate::model::fault::{Fault, FaultKind};

use super::durable::{folder_of, make_folder, resolve};

/// Another writer holds the lock for one write, so this is plenty.
const PATIENCE: Duration = Duration::from_secs(5);
const PAUSE: Duration = Duration::from_millis(20);

/// Dropping it frees the lock.
#[derive(Debug)]
pub(super) struct LockFile {
    _file: File,
}

impl LockFile {
    /// # Errors
    /// `Locked` names the file and its holder; a place that cannot be written.
    pub(super) fn acquire(history: &Path) -> Result<Self, Fault> {
        Self::acquire_within(history, PATIENCE)
    }

    fn acquire_within(history: &Path, patience: Duration) -> Result<Self, Fault> {
        let path = path_for(&resolve(history));
        let failed = |error: &io::Error| {
            Fault::internal(format!(
                "cannot lock the release history `{}`",
                history.display()
            ))
            .because(format!("lock file `{}`", path.display()))
            .caused_by(error)
            .state("nothing was written")
            .hint(format!(
                "make `{}` writable for this user, or name another file with {}",
                folder_of(history).display(),
                super::STATE_FILE_VARIABLE
            ))
        };
        let file = open(&path).map_err(|error| failed(&error))?;
        let deadline = Instant::now() + patience;
        loop {
            match file.try_lock() {
                Ok(()) => break,
                // No event tells when an advisory lock becomes free.
                Err(TryLockError::WouldBlock) if Instant::now() < deadline => {
                    std::thread::sleep(PAUSE);
                }
                Err(TryLockError::WouldBlock) => return Err(held(history, &path, patience)),
                Err(TryLockError::Error(error)) => return Err(failed(&error)),
            }
        }
        // A courtesy to those who wait: a full disk is the write's to report.
        let _ = sign(&file);
        Ok(Self { _file: file })
    }
}

fn path_for(history: &Path) -> PathBuf {
    let mut name = history.as_os_str().to_owned();
    name.push(".lock");
    PathBuf::from(name)
}

/// A lock file of another user can be locked without being written.
fn open(path: &Path) -> io::Result<File> {
    make_folder(folder_of(path))?;
    let opened = File::options()
        .create(true)
        .write(true)
        .truncate(false)
        .open(path);
    match opened {
        Err(error) if error.kind() == io::ErrorKind::PermissionDenied => {
            File::open(path).map_err(|_| error)
        }
        opened => opened,
    }
}

/// Leaves word of who holds it.
fn sign(mut file: &File) -> io::Result<()> {
    let now = Utc::now().to_rfc3339_opts(SecondsFormat::Secs, true);
    file.set_len(0)?;
    writeln!(file, "process {} since {now}", std::process::id())
}

fn held(history: &Path, path: &Path, patience: Duration) -> Fault {
    let holder = fs::read_to_string(path).unwrap_or_default();
    let holder = match holder.trim() {
        "" => "another process",
        named => named,
    };
    Fault::new(
        FaultKind::Locked,
        format!(
            "the release history `{}` is being written by somebody else",
            history.display()
        ),
    )
    .because(format!(
        "`{}` has been held for {} s by {holder}",
        path.display(),
        patience.as_secs()
    ))
    .state("nothing was written")
    .hint("wait for that process to end, then run the same command again")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_second_writer_waits_and_is_then_told_who_holds_the_lock() {
        let folder = tempfile::tempdir().expect("a folder");
        let history = folder.path().join("releases.json");
        let first = LockFile::acquire(&history).expect("free");
        let fault =
            LockFile::acquire_within(&history, Duration::from_millis(50)).expect_err("it is held");
        assert_eq!(fault.kind, FaultKind::Locked);
        let holder = format!("process {}", std::process::id());
        assert!(fault.causes[0].contains(&holder), "{fault}");
        drop(first);
        LockFile::acquire_within(&history, Duration::ZERO).expect("free again");
    }

    #[test]
    fn a_file_with_two_names_has_one_lock() {
        let folder = tempfile::tempdir().expect("a folder");
        let file = folder.path().join("real.json");
        let link = folder.path().join("releases.json");
        fs::write(&file, "").expect("written");
        std::os::unix::fs::symlink(&file, &link).expect("linked");
        let _held = LockFile::acquire(&file).expect("free");
        assert!(LockFile::acquire_within(&link, Duration::ZERO).is_err());
    }

    #[test]
    fn a_second_writer_goes_on_as_soon_as_the_first_is_done() {
        let folder = tempfile::tempdir().expect("a folder");
        let history = folder.path().join("releases.json");
        let first = LockFile::acquire(&history).expect("free");
        std::thread::scope(|scope| {
            let second = scope.spawn(|| LockFile::acquire(&history));
            drop(first);
            second.join().expect("no panic").expect("the lock");
        });
    }
}
