//! How the files of a folder look from outside, to tell whether they have to be
//! read again. Imports nothing of this crate.

use std::ffi::OsString;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

/// A name and what changes with the content behind it. An editor that saves
/// changes the time, one that replaces the file its number too.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Stamp {
    name: OsString,
    device: u64,
    number: u64,
    size: u64,
    /// Seconds and nanoseconds.
    modified: (i64, i64),
    changed: (i64, i64),
}

/// Of everything in a folder and in its folders, in order; `None` when
/// something cannot be looked at.
#[must_use]
pub fn stamps(folder: &Path) -> Option<Vec<Stamp>> {
    let mut stamps = vec![];
    let inner = look(folder, &mut stamps).ok()?;
    for folder in inner {
        look(&folder, &mut stamps).ok()?;
    }
    stamps.sort();
    Some(stamps)
}

/// Returns the folders in it.
fn look(folder: &Path, stamps: &mut Vec<Stamp>) -> std::io::Result<Vec<PathBuf>> {
    let mut inner = vec![];
    for entry in std::fs::read_dir(folder)? {
        let path = entry?.path();
        // Through a link: its target is what is read.
        let metadata = std::fs::metadata(&path)?;
        stamps.push(Stamp {
            name: path.clone().into_os_string(),
            device: metadata.dev(),
            number: metadata.ino(),
            size: metadata.size(),
            modified: (metadata.mtime(), metadata.mtime_nsec()),
            changed: (metadata.ctime(), metadata.ctime_nsec()),
        });
        if metadata.is_dir() {
            inner.push(path);
        }
    }
    Ok(inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_that_was_written_added_replaced_or_removed_changes_the_stamps() {
        let folder = tempfile::tempdir().expect("a folder");
        let file = folder.path().join("0001_a.sql");
        let look = || stamps(folder.path()).expect("readable");
        std::fs::write(&file, "select 1").expect("written");
        let first = look();
        assert_eq!(look(), first);
        std::fs::write(&file, "select 22").expect("written");
        let written = look();
        assert_ne!(written, first);
        let other = folder.path().join("0002_b.sql");
        std::fs::write(&other, "select 33").expect("written");
        let added = look();
        assert_ne!(added, written);
        std::fs::rename(&other, &file).expect("renamed");
        assert_ne!(look(), written, "another file of the same size");
        std::fs::remove_file(&file).expect("removed");
        assert!(look().is_empty());
        let inside = folder.path().join("0001_a");
        std::fs::create_dir(&inside).expect("made");
        std::fs::write(inside.join("up.sql"), "select 1").expect("written");
        let first = look();
        std::fs::write(inside.join("up.sql"), "select 22").expect("written");
        assert_ne!(look(), first, "in a folder of the folder");
    }

    #[test]
    fn a_folder_that_cannot_be_looked_at_has_none() {
        assert_eq!(stamps(Path::new("/nowhere/at/all")), None);
        let folder = tempfile::tempdir().expect("a folder");
        std::os::unix::fs::symlink("nowhere", folder.path().join("0001_a.sql")).expect("linked");
        assert_eq!(stamps(folder.path()), None);
    }
}
