//! A scratch SQLite database: a file in a temporary folder of this machine.
//! The folder's lock tells others that it is in use.

use std::fs::File;
use std::path::{Path, PathBuf};

use crate::model::fault::Fault;
use crate::ports::Cx;

use super::{Purpose, Sweep, found, left, swept};

const LOCK: &str = "in-use";
const DATABASE: &str = "scratch.db";

pub(super) struct Folder {
    folder: tempfile::TempDir,
    /// Freed when the process ends, however it ends.
    _lock: File,
}

impl Folder {
    pub(super) fn create(cx: &Cx, name: &str, sweep: Sweep<'_>) -> Result<Self, Fault> {
        let parent = std::env::temp_dir();
        for left in leftovers(&parent) {
            let name = left.file_name().unwrap_or_default().to_string_lossy();
            let shown = left.display().to_string();
            // A folder of somebody else's cannot be removed.
            match sweep.drops(&name) && std::fs::remove_dir_all(&left).is_ok() {
                true => swept(cx, &shown),
                false => found(cx, &shown, &by_hand(&left)),
            }
        }
        let cannot = |error: std::io::Error| {
            Fault::internal(format!(
                "cannot make a scratch database in {}",
                parent.display()
            ))
            .caused_by(&error)
        };
        let folder = tempfile::Builder::new()
            .prefix(name)
            .rand_bytes(0)
            .tempdir_in(&parent)
            .map_err(cannot)?;
        let lock = File::create(folder.path().join(LOCK)).map_err(cannot)?;
        lock.lock().map_err(cannot)?;
        Ok(Self {
            folder,
            _lock: lock,
        })
    }

    pub(super) fn url(&self) -> String {
        self.folder.path().join(DATABASE).display().to_string()
    }

    pub(super) fn remove(self) -> Result<(), Fault> {
        let path = self.folder.path().to_owned();
        self.folder.close().map_err(|error| {
            let cause = Fault::internal(error.to_string());
            left(&path.display().to_string(), &by_hand(&path), &cause)
        })
    }
}

/// Folders of scratch databases that no process holds.
fn leftovers(parent: &Path) -> Vec<PathBuf> {
    let Ok(entries) = std::fs::read_dir(parent) else {
        return vec![];
    };
    let mut left: Vec<PathBuf> = entries
        .filter_map(|entry| Some(entry.ok()?.path()))
        .filter(|path| {
            let name = path.file_name().unwrap_or_default().to_string_lossy();
            Purpose::prefixes()
                .iter()
                .any(|prefix| name.starts_with(prefix))
        })
        // What has no lock yet is being made.
        .filter(|path| File::open(path.join(LOCK)).is_ok_and(|lock| lock.try_lock().is_ok()))
        .collect();
    left.sort();
    left
}

fn by_hand(path: &Path) -> String {
    format!("rm -r {}", path.display())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_that_nobody_holds_is_left_over_and_one_in_use_is_not() {
        let parent = tempfile::tempdir().expect("a folder");
        let dead = parent.path().join("stagecraft_check_1");
        let live = parent.path().join("stagecraft_rehearse_2");
        for folder in [&dead, &live, &parent.path().join("other")] {
            std::fs::create_dir(folder).expect("made");
            std::fs::write(folder.join(LOCK), "").expect("written");
        }
        let held = File::create(live.join(LOCK)).expect("made");
        held.lock().expect("locked");
        assert_eq!(leftovers(parent.path()), [dead]);
    }
}
