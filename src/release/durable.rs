//! Bytes that are either wholly on disk or not at all.

use std::ffi::{OsStr, OsString};
use std::fs::{self, File};
use std::io::{self, ErrorKind, Write};
use std::path::{Path, PathBuf};

use crate::model::fault::Fault;

/// Replaces the file's content: written beside it, synced, renamed over it,
/// and the folder synced. The temporary file goes away on every failure.
///
/// # Errors
/// What is on disk is the old state, and the fault says so.
pub(super) fn replace(path: &Path, bytes: &[u8]) -> Result<(), Fault> {
    let target = resolve(path);
    write(&target, bytes).map_err(|error| {
        Fault::internal(format!(
            "cannot write the release history `{}`",
            path.display()
        ))
        .caused_by(&error)
        .state("the history on disk is the one from before this write")
        .hint(hint_for(&error, &target))
    })?;
    sync_folder(&target).map_err(|error| {
        Fault::internal(format!(
            "cannot confirm that the release history `{}` is on disk",
            path.display()
        ))
        .caused_by(&error)
        .state("the file holds the new history, but a power cut could bring back the old one")
    })
}

/// A rename over a symbolic link would replace the link, not its file.
pub(super) fn resolve(path: &Path) -> PathBuf {
    fs::canonicalize(path).unwrap_or_else(|_| path.to_path_buf())
}

fn write(target: &Path, bytes: &[u8]) -> io::Result<()> {
    let folder = folder_of(target);
    make_folder(folder)?;
    let prefix = temporary_prefix(target);
    sweep(folder, &prefix);
    let mut builder = tempfile::Builder::new();
    builder.prefix(&prefix).suffix(SUFFIX);
    let mut file = builder
        .permissions(permissions(target))
        .tempfile_in(folder)?;
    file.write_all(bytes)?;
    file.as_file().sync_all()?;
    file.persist(target).map_err(|error| error.error)?;
    Ok(())
}

const SUFFIX: &str = ".tmp";

fn temporary_prefix(target: &Path) -> OsString {
    let mut prefix = OsString::from(".");
    prefix.push(target.file_name().unwrap_or_default());
    prefix.push("-");
    prefix
}

/// Removes what a killed writer left. The caller holds the lock of this file,
/// so nobody else is writing it.
fn sweep(folder: &Path, prefix: &OsStr) {
    for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
        let name = entry.file_name();
        let name = name.as_encoded_bytes();
        if name.starts_with(prefix.as_encoded_bytes()) && name.ends_with(SUFFIX.as_bytes()) {
            // What cannot be removed is in nobody's way.
            let _ = fs::remove_file(entry.path());
        }
    }
}

/// Makes the folder so that it outlasts a power cut.
pub(super) fn make_folder(folder: &Path) -> io::Result<()> {
    if folder.is_dir() {
        return Ok(());
    }
    fs::create_dir_all(folder)?;
    sync_folder(folder)
}

/// Those of the file that is replaced; a new one is readable by all, for it
/// holds no secret.
fn permissions(target: &Path) -> fs::Permissions {
    use std::os::unix::fs::PermissionsExt;
    match fs::metadata(target) {
        Ok(metadata) => metadata.permissions(),
        Err(_) => fs::Permissions::from_mode(0o644),
    }
}

fn sync_folder(target: &Path) -> io::Result<()> {
    match File::open(folder_of(target)).and_then(|folder| folder.sync_all()) {
        // Some file systems cannot sync a folder; then a rename is all there is.
        Err(error)
            if matches!(
                error.kind(),
                ErrorKind::InvalidInput | ErrorKind::Unsupported
            ) =>
        {
            Ok(())
        }
        done => done,
    }
}

pub(super) fn folder_of(path: &Path) -> &Path {
    match path.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder,
        Some(_) | None => Path::new("."),
    }
}

fn hint_for(error: &io::Error, target: &Path) -> String {
    let folder = folder_of(target).display();
    match error.kind() {
        ErrorKind::StorageFull | ErrorKind::QuotaExceeded => {
            format!("make room on the disk (`df -h {folder}`) and run the same command again")
        }
        ErrorKind::PermissionDenied | ErrorKind::ReadOnlyFilesystem => format!(
            "make `{folder}` writable for this user, or name another file with {}",
            super::STATE_FILE_VARIABLE
        ),
        _ => format!(
            "look at `{folder}`, or name another file with {}",
            super::STATE_FILE_VARIABLE
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_write_replaces_the_content_and_leaves_nothing_else_behind() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("deep/er/releases.json");
        replace(&path, b"one").expect("written");
        replace(&path, b"two").expect("written");
        assert_eq!(fs::read(&path).expect("there"), b"two");
        assert_eq!(fs::read_dir(folder_of(&path)).expect("there").count(), 1);
    }

    #[test]
    fn a_failed_write_leaves_the_old_state_and_no_temporary_file() {
        let folder = tempfile::tempdir().expect("a folder");
        // A folder cannot be replaced by a file.
        let path = folder.path().join("releases.json");
        fs::create_dir(&path).expect("a folder");
        let fault = replace(&path, b"new").expect_err("a folder stands there");
        assert_eq!(
            fault.state,
            ["the history on disk is the one from before this write"]
        );
        assert_eq!(fs::read_dir(folder.path()).expect("there").count(), 1);
    }

    #[test]
    fn what_a_killed_writer_left_goes_away_with_the_next_write() {
        let folder = tempfile::tempdir().expect("a folder");
        let ours = folder.path().join(".releases.json-x1y2.tmp");
        let others = folder.path().join(".other.json-x1y2.tmp");
        fs::write(&ours, "half").expect("written");
        fs::write(&others, "half").expect("written");
        replace(&folder.path().join("releases.json"), b"new").expect("written");
        assert!(!ours.exists());
        assert!(others.exists());
    }

    #[test]
    fn a_place_that_cannot_be_written_is_named_with_a_way_out() {
        let path = Path::new("/proc/stagecraft/releases.json");
        let fault = replace(path, b"new").expect_err("proc takes no files");
        assert!(fault.what.contains("`/proc/stagecraft/releases.json`"));
        assert!(
            fault.hints[0].contains("STAGECRAFT_STATE_FILE"),
            "{fault:?}"
        );
    }

    #[test]
    fn a_link_stays_a_link_and_a_mode_stays_a_mode() {
        use std::os::unix::fs::PermissionsExt;
        let folder = tempfile::tempdir().expect("a folder");
        let file = folder.path().join("real.json");
        let link = folder.path().join("releases.json");
        fs::write(&file, "old").expect("written");
        fs::set_permissions(&file, fs::Permissions::from_mode(0o600)).expect("set");
        std::os::unix::fs::symlink(&file, &link).expect("linked");
        replace(&link, b"new").expect("written");
        assert!(link.is_symlink());
        assert_eq!(fs::read(&file).expect("there"), b"new");
        let mode = fs::metadata(&file).expect("there").permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
    }
}
