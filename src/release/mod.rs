//! `releases.json`: the durable record of every release, and its copies on
//! the hosts. Imports `model` only.
//!
//! Reading takes no lock and changes nothing. Writing needs a [`LockedStore`],
//! which only [`Store::lock`] and [`Store::rebuild`] hand out. A release is
//! never removed, a completed phase never changes, and a file that cannot be
//! understood is never overwritten.

mod durable;
mod format;
mod guard;
mod lock_file;
mod locked;
mod merge;
mod store;

#[cfg(test)]
mod properties;
#[cfg(test)]
mod samples;

use std::ffi::OsString;
use std::path::{Path, PathBuf};

pub use format::{check_writable, decode, encode};
pub use locked::LockedStore;
pub use merge::{Conflict, Kept, MergeReport, Source, merge};
pub use store::{Contents, Rebuild, Store};

/// Names the file that keeps the record.
pub const STATE_FILE_VARIABLE: &str = "STAGECRAFT_STATE_FILE";

/// Where the record is: `state_file` (the variable's value) where it says
/// something, else `.stagecraft/releases.json` beside the configuration file.
#[must_use]
pub fn path(config_root: &Path, state_file: Option<OsString>) -> PathBuf {
    match state_file {
        Some(named) if !named.is_empty() => PathBuf::from(named),
        Some(_) | None => config_root.join(".stagecraft").join("releases.json"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_variable_names_the_file_and_an_empty_one_names_nothing() {
        let root = Path::new("/srv/shop");
        assert_eq!(
            path(root, Some("/state/r.json".into())),
            Path::new("/state/r.json")
        );
        for unset in [None, Some(OsString::new())] {
            assert_eq!(
                path(root, unset),
                Path::new("/srv/shop/.stagecraft/releases.json")
            );
        }
    }
}
