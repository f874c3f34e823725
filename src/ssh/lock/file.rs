//! This machine's part of the environment lock: a plain file beside the
//! configuration, locked while a command runs from this checkout. Imports
//! `ports`, `model`.

use std::fs::{File, TryLockError};
use std::io::{Read, Write};
use std::path::Path;
use std::time::Duration;

use crate::model::fault::Fault;
use crate::ports::Holder;

/// A glance by `lock show` takes it for an instant.
const GLANCE: Duration = Duration::from_millis(30);
const ATTEMPTS: u32 = 4;

pub(super) enum Answer {
    Taken(FileLock),
    Busy(Option<Holder>),
}

/// Held until dropped. The file itself stays.
pub(super) struct FileLock(File);

impl FileLock {
    pub(super) async fn take(path: &Path, holder: &Holder) -> Result<Answer, Fault> {
        let cannot = |error: std::io::Error| {
            Fault::internal(format!("cannot lock `{}`", path.display())).caused_by(&error)
        };
        if let Some(folder) = path.parent() {
            std::fs::create_dir_all(folder).map_err(cannot)?;
        }
        let mut file = File::options()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .open(path)
            .map_err(cannot)?;
        let mut attempt = 1;
        loop {
            match file.try_lock() {
                Ok(()) => break,
                Err(TryLockError::WouldBlock) if attempt < ATTEMPTS => {
                    attempt += 1;
                    tokio::time::sleep(GLANCE).await;
                }
                Err(TryLockError::WouldBlock) => return Ok(Answer::Busy(read(&mut file))),
                Err(TryLockError::Error(error)) => return Err(cannot(error)),
            }
        }
        let text = serde_json::to_string(holder).map_err(|error| cannot(error.into()))?;
        file.set_len(0).map_err(cannot)?;
        writeln!(file, "{text}").map_err(cannot)?;
        Ok(Answer::Taken(Self(file)))
    }

    /// Who holds it now. Makes nothing.
    pub(super) fn holder(path: &Path) -> Option<Holder> {
        let mut file = File::open(path).ok()?;
        match file.try_lock_shared() {
            Err(TryLockError::WouldBlock) => read(&mut file),
            Ok(()) | Err(TryLockError::Error(_)) => None,
        }
    }
}

impl Drop for FileLock {
    fn drop(&mut self) {
        // Only for who reads the file by hand: the lock goes with the handle.
        let _ = self.0.set_len(0);
    }
}

fn read(file: &mut File) -> Option<Holder> {
    let mut text = String::new();
    file.read_to_string(&mut text).ok()?;
    serde_json::from_str(&text).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    pub(crate) fn holder(who: &str) -> Holder {
        Holder {
            who: who.to_owned(),
            machine: "laptop".to_owned(),
            since: chrono::Utc::now(),
            command: "stagecraft deploy".to_owned(),
            pid: 1,
        }
    }

    #[tokio::test]
    async fn a_second_one_in_the_same_checkout_is_told_who_came_first() {
        let dir = tempfile::tempdir().expect("a folder");
        let path = dir.path().join(".stagecraft/lock-prod");
        assert_eq!(FileLock::holder(&path), None);
        let Ok(Answer::Taken(first)) = FileLock::take(&path, &holder("ann")).await else {
            panic!("a free lock is taken");
        };
        assert_eq!(FileLock::holder(&path).map(|h| h.who), Some("ann".into()));
        let Ok(Answer::Busy(Some(known))) = FileLock::take(&path, &holder("bob")).await else {
            panic!("a held lock is busy");
        };
        assert_eq!(known.who, "ann");
        drop(first);
        assert_eq!(FileLock::holder(&path), None);
        let again = FileLock::take(&path, &holder("bob")).await;
        assert!(matches!(again, Ok(Answer::Taken(_))));
    }
}
