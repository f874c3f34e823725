//! A file that is there whole or not at all. Imports `model::fault`.

use std::io::Write;
use std::path::Path;

use crate::model::fault::Fault;

/// Temporary file, fsync, rename, fsync of the folder. Makes the folder.
///
/// # Errors
/// The file cannot be written; what was there stays.
pub fn write_atomically(path: &Path, bytes: &[u8]) -> Result<(), Fault> {
    let folder = match path.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder,
        _ => Path::new("."),
    };
    let write = || -> std::io::Result<()> {
        std::fs::create_dir_all(folder)?;
        let mut file = tempfile::Builder::new()
            .prefix(".stagecraft-")
            .tempfile_in(folder)?;
        readable_by_others(file.as_file())?;
        file.write_all(bytes)?;
        file.as_file().sync_all()?;
        file.persist(path).map_err(|error| error.error)?;
        std::fs::File::open(folder)?.sync_all()
    };
    write().map_err(|error| {
        Fault::internal(format!("cannot write `{}`", path.display())).caused_by(&error)
    })
}

/// Temporary files are private; these are meant to be committed or uploaded.
fn readable_by_others(file: &std::fs::File) -> std::io::Result<()> {
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        file.set_permissions(std::fs::Permissions::from_mode(0o644))?;
    }
    Ok(())
}
