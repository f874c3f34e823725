//! The store while its lock is held: the only thing that can write.

use std::path::PathBuf;

use crate::model::fault::Fault;
use crate::model::history::History;
use crate::model::release::Release;

use super::format::File;
use super::lock_file::LockFile;
use super::merge::{MergeReport, Source, decide};
use super::{durable, guard};

/// The right to write the history. Dropping it gives the right back. What is
/// in memory changes only after the disk did.
#[derive(Debug)]
pub struct LockedStore {
    path: PathBuf,
    file: File,
    _lock: LockFile,
}

impl LockedStore {
    pub(super) fn new(path: PathBuf, file: File, lock: LockFile) -> Self {
        Self {
            path,
            file,
            _lock: lock,
        }
    }

    /// The history as it is on disk.
    #[must_use]
    pub fn history(&self) -> History {
        History::new(self.file.releases().cloned().collect())
    }

    /// Adds the release, or replaces its own copy of a lower revision.
    ///
    /// # Errors
    /// `Internal` for a change that a record never makes, `Refused` for an id
    /// that another release has; a disk that did not take it. What is on disk
    /// is the old state.
    pub fn save(&mut self, release: &Release) -> Result<(), Fault> {
        let known: Vec<&Release> = self.file.by_id(&release.id).collect();
        if let Some(old) = known.iter().find(|known| known.uuid == release.uuid) {
            guard::check(old, release)?;
            if *old == release {
                return Ok(());
            }
        } else if !known.is_empty() {
            return Err(Fault::refused(format!(
                "another release got the id {} at the same moment",
                release.id
            ))
            .state("nothing was written")
            .hint("run the same command again"));
        }
        let mut file = self.file.clone();
        file.put(release.clone());
        self.write(file)
    }

    /// Takes over what another copy of the history knows better; see
    /// [`super::merge`] for the rules.
    ///
    /// # Errors
    /// A disk that did not take it. What is on disk is the old state.
    pub fn merge(&mut self, remote: Vec<Release>, source: Source) -> Result<MergeReport, Fault> {
        let ours: Vec<Release> = self.file.releases().cloned().collect();
        let (changes, report) = decide(&ours, remote, source);
        if !changes.is_empty() {
            let mut file = self.file.clone();
            for change in changes {
                file.put(change);
            }
            self.write(file)?;
        }
        Ok(report)
    }

    /// Writes the history whether it changed or not: what a rebuild found takes
    /// the damaged file's place even where no copy adds anything.
    ///
    /// # Errors
    /// A disk that did not take it. What is on disk is the old state.
    pub fn write_whole(&mut self) -> Result<(), Fault> {
        self.write(self.file.clone())
    }

    fn write(&mut self, file: File) -> Result<(), Fault> {
        durable::replace(&self.path, &file.render())?;
        self.file = file;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::super::samples::{at, release};
    use super::super::store::Store;
    use super::*;
    use crate::model::phase::{Phase, Status};

    fn store() -> (tempfile::TempDir, Store) {
        let folder = tempfile::tempdir().expect("a folder");
        let store = Store::at(folder.path().join("releases.json"));
        (folder, store)
    }

    #[test]
    fn a_release_is_added_once_and_then_moves_on() {
        let (_folder, store) = store();
        let begun = release(1);
        let further = at(&begun, Phase::Build, Status::Running);
        for release in [&begun, &further, &further] {
            store.lock().expect("free").save(release).expect("saved");
        }
        assert_eq!(store.read().expect("readable").all(), [further]);
    }

    #[test]
    fn a_save_that_would_rewrite_the_past_leaves_the_file_untouched() {
        let (_folder, store) = store();
        let done = at(&release(1), Phase::Build, Status::Completed);
        let mut locked = store.lock().expect("free");
        locked.save(&done).expect("saved");
        let before = std::fs::read(store.path()).expect("there");
        assert!(
            locked
                .save(&at(&done, Phase::Build, Status::Failed))
                .is_err()
        );
        assert!(locked.save(&release(1)).is_err(), "an older revision");
        assert_eq!(std::fs::read(store.path()).expect("there"), before);
    }

    #[test]
    fn a_new_release_with_a_taken_id_is_refused() {
        let (_folder, store) = store();
        let mut locked = store.lock().expect("free");
        locked.save(&release(1)).expect("saved");
        let mut twin = release(1);
        twin.uuid = uuid::Uuid::from_u128(77);
        assert!(locked.save(&twin).is_err());
        assert_eq!(locked.history().all(), [release(1)]);
    }

    #[test]
    fn a_merge_that_brings_nothing_new_does_not_touch_the_file() {
        let (_folder, store) = store();
        let report = store
            .lock()
            .expect("free")
            .merge(vec![], Source::PrimaryHost)
            .expect("merged");
        assert_eq!(report, MergeReport::default());
        assert!(!store.path().exists());
    }

    #[test]
    fn two_threads_that_save_at_once_lose_nothing() {
        let (_folder, store) = store();
        std::thread::scope(|scope| {
            for thread in 0..4 {
                let store = store.clone();
                scope.spawn(move || {
                    for n in 0..5 {
                        let release = release(thread * 10 + n);
                        store
                            .lock()
                            .expect("in time")
                            .save(&release)
                            .expect("saved");
                    }
                });
            }
        });
        assert_eq!(store.read().expect("readable").all().len(), 20);
    }

    #[test]
    fn memory_does_not_run_ahead_of_a_disk_that_failed() {
        let (folder, store) = store();
        let mut locked = store.lock().expect("free");
        locked.save(&release(1)).expect("saved");
        // Nothing can be renamed over a folder.
        std::fs::remove_file(store.path()).expect("removed");
        std::fs::create_dir(store.path()).expect("made");
        assert!(locked.save(&release(2)).is_err());
        assert_eq!(locked.history().all(), [release(1)]);
        drop(folder);
    }
}
