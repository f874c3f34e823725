//! The walk over a folder that BuildKit asked for: which entries it gets, in
//! the order that it insists on (a folder before its entries, entries by
//! name). Imports `dockerignore`.
//!
//! Folders that hold nothing wanted are not sent, and not even read where
//! that is certain. Stagecraft's own folders never enter a context.

use std::fs;
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{FileTypeExt, MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};

use bollard_buildkit_proto::fsutil::types::Stat;

use super::follow;
use crate::docker::dockerignore::{BadPattern, Matched, Patterns};

/// Folders that Stagecraft writes beside the configuration.
const OWN_FOLDERS: [&str; 2] = [".stagecraft", ".artifacts"];

/// What BuildKit wants to see of a folder.
#[derive(Debug, Default)]
pub(super) struct Wanted {
    include: Patterns,
    exclude: Patterns,
}

impl Wanted {
    /// `follow` are the sources of COPY and ADD: they stand for themselves and
    /// for what their symbolic links lead to, inside `root`.
    pub(super) fn new(
        root: &Path,
        include: &[String],
        exclude: &[String],
        follow: &[String],
    ) -> Result<Self, BadPattern> {
        let followed = follow::resolve(root, follow);
        let include = include.iter().chain(&followed).map(String::as_str);
        let mut include: Vec<&str> = include.collect();
        if include.contains(&".") {
            include.clear();
        }
        Ok(Self {
            include: Patterns::parse(include)?,
            exclude: Patterns::parse(exclude.iter().map(String::as_str))?,
        })
    }
}

/// An entry that cannot be read, and why.
#[derive(Debug, thiserror::Error)]
#[error("cannot read `{}`", path.display())]
pub(super) struct Unreadable {
    pub(super) path: PathBuf,
    #[source]
    pub(super) source: io::Error,
}

/// Calls `visit` for each wanted entry; it says whether to go on.
pub(super) fn walk(
    root: &Path,
    wanted: &Wanted,
    visit: &mut dyn FnMut(Stat) -> Going,
) -> Result<(), Unreadable> {
    let mut walk = Walk {
        root,
        wanted,
        visit,
        unsent: vec![],
    };
    walk.folder("", &Matched::default(), &Matched::default())
        .map(|_| ())
}

/// Whether the walk goes on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Going {
    On,
    Over,
}

struct Walk<'a> {
    root: &'a Path,
    wanted: &'a Wanted,
    visit: &'a mut dyn FnMut(Stat) -> Going,
    /// Folders on the way here that are sent only if something below is.
    unsent: Vec<Stat>,
}

impl Walk<'_> {
    fn folder(
        &mut self,
        folder: &str,
        included: &Matched,
        excluded: &Matched,
    ) -> Result<Going, Unreadable> {
        let path = self.root.join(folder);
        let unreadable = |source| Unreadable {
            path: path.clone(),
            source,
        };
        let mut names = vec![];
        for entry in fs::read_dir(&path).map_err(unreadable)? {
            names.push(entry.map_err(unreadable)?.file_name());
        }
        names.sort_by(|a, b| a.as_bytes().cmp(b.as_bytes()));
        for name in names {
            // BuildKit's own paths are text.
            let name = name.to_string_lossy();
            if OWN_FOLDERS.contains(&&*name) {
                continue;
            }
            let path = match folder {
                "" => name.into_owned(),
                folder => format!("{folder}/{name}"),
            };
            if self.entry(path, included, excluded)? == Going::Over {
                return Ok(Going::Over);
            }
        }
        Ok(Going::On)
    }

    fn entry(
        &mut self,
        path: String,
        included: &Matched,
        excluded: &Matched,
    ) -> Result<Going, Unreadable> {
        let (in_list, included) = self.wanted.include.check(&path, included);
        let (left_out, excluded) = self.wanted.exclude.check(&path, excluded);
        let asked_for = in_list || self.wanted.include.is_empty();
        let sent = asked_for && !left_out;
        let full = self.root.join(&path);
        let stat = match stat(&full, &path) {
            Ok(Some(stat)) => stat,
            Ok(None) => return Ok(Going::On),
            // Gone since the folder was read, as a temporary file may be.
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Going::On),
            Err(source) => return Err(Unreadable { path: full, source }),
        };
        if stat.mode & go_mode::DIRECTORY == 0 {
            return Ok(if sent { self.send(stat) } else { Going::On });
        }
        if !sent {
            let worth = (asked_for || self.wanted.include.may_match_below(&path))
                && (!left_out || self.wanted.exclude.may_bring_back_below(&path));
            if !worth {
                return Ok(Going::On);
            }
            let depth = self.unsent.len();
            self.unsent.push(stat);
            let going = self.folder(&path, &included, &excluded)?;
            self.unsent.truncate(depth);
            return Ok(going);
        }
        match self.send(stat) {
            Going::On => self.folder(&path, &included, &excluded),
            Going::Over => Ok(Going::Over),
        }
    }

    fn send(&mut self, stat: Stat) -> Going {
        for parent in self.unsent.drain(..) {
            if (self.visit)(parent) == Going::Over {
                return Going::Over;
            }
        }
        (self.visit)(stat)
    }
}

/// The bits of a mode as Go writes them, which is what travels.
pub(super) mod go_mode {
    pub(crate) const DIRECTORY: u32 = 1 << 31;
    pub(crate) const SYMLINK: u32 = 1 << 27;
    pub(crate) const NAMED_PIPE: u32 = 1 << 25;
    pub(crate) const SETUID: u32 = 1 << 23;
    pub(crate) const SETGID: u32 = 1 << 22;
    pub(crate) const STICKY: u32 = 1 << 20;
    /// Any of these: not a file whose bytes can be asked for.
    pub(crate) const NOT_A_FILE: u32 = DIRECTORY | SYMLINK | NAMED_PIPE;
}

/// `None` for sockets and devices: an image cannot use them. Owners are not
/// sent: a context belongs to root.
fn stat(full: &Path, path: &str) -> io::Result<Option<Stat>> {
    let meta = fs::symlink_metadata(full)?;
    let kind = meta.file_type();
    let (bits, linkname) = if kind.is_dir() {
        (go_mode::DIRECTORY, String::new())
    } else if kind.is_symlink() {
        let target = fs::read_link(full)?;
        (go_mode::SYMLINK, target.to_string_lossy().into_owned())
    } else if kind.is_fifo() {
        (go_mode::NAMED_PIPE, String::new())
    } else if kind.is_file() {
        (0, String::new())
    } else {
        return Ok(None);
    };
    let unix = meta.permissions().mode();
    let mut mode = (unix & 0o777) | bits;
    for (bit, go) in [
        (0o4000, go_mode::SETUID),
        (0o2000, go_mode::SETGID),
        (0o1000, go_mode::STICKY),
    ] {
        if unix & bit != 0 {
            mode |= go;
        }
    }
    Ok(Some(Stat {
        path: path.to_owned(),
        mode,
        size: if kind.is_dir() {
            0
        } else {
            meta.size().cast_signed()
        },
        mod_time: meta.mtime() * 1_000_000_000 + meta.mtime_nsec(),
        linkname,
        ..Stat::default()
    }))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tree(files: &[&str]) -> tempfile::TempDir {
        let dir = tempfile::tempdir().expect("a folder");
        for file in files {
            let path = dir.path().join(file);
            fs::create_dir_all(path.parent().expect("a parent")).expect("folders");
            fs::write(path, file).expect("a file");
        }
        dir
    }

    fn seen(root: &Path, exclude: &[&str], follow: &[&str]) -> Vec<String> {
        let own = |list: &[&str]| list.iter().map(|s| (*s).to_owned()).collect::<Vec<_>>();
        let wanted = Wanted::new(root, &[], &own(exclude), &own(follow)).expect("patterns");
        let mut paths = vec![];
        walk(root, &wanted, &mut |stat| {
            paths.push(stat.path);
            Going::On
        })
        .expect("readable");
        paths
    }

    #[test]
    fn entries_come_sorted_with_each_folder_before_its_own() {
        let dir = tree(&["b/2", "b/1", "a.txt", "b.txt", ".git/HEAD"]);
        assert_eq!(
            seen(dir.path(), &[], &[]),
            [".git", ".git/HEAD", "a.txt", "b", "b/1", "b/2", "b.txt"]
        );
    }

    #[test]
    fn stagecrafts_own_folders_never_enter() {
        let dir = tree(&[".stagecraft/releases.json", ".artifacts/x", "app"]);
        assert_eq!(seen(dir.path(), &["!.stagecraft"], &[]), ["app"]);
    }

    #[test]
    fn a_folder_is_sent_only_when_something_in_it_is() {
        let dir = tree(&["src/a/main.rs", "src/b/skip.txt", "docs/x.md", "top"]);
        assert_eq!(
            seen(dir.path(), &[], &["src/*/main.rs"]),
            ["src", "src/a", "src/a/main.rs"]
        );
        assert_eq!(
            seen(dir.path(), &["*", "!src/a"], &[]),
            ["src", "src/a", "src/a/main.rs"]
        );
    }

    #[test]
    fn copying_everything_asks_for_everything() {
        let dir = tree(&["a", "b/c"]);
        assert_eq!(seen(dir.path(), &[], &["."]), ["a", "b", "b/c"]);
        assert_eq!(seen(dir.path(), &["b"], &[]), ["a"]);
    }

    #[test]
    fn links_travel_as_links_and_bring_their_target() {
        let dir = tree(&["real/data", "other"]);
        std::os::unix::fs::symlink("real", dir.path().join("link")).expect("a link");
        assert_eq!(
            seen(dir.path(), &[], &["link/data"]),
            ["link", "real", "real/data"]
        );
        let full = dir.path().join("link");
        let link = stat(&full, "link").expect("readable").expect("a link");
        assert_eq!(link.mode & go_mode::NOT_A_FILE, go_mode::SYMLINK);
        assert_eq!(link.linkname, "real");
    }

    #[test]
    fn modes_are_written_as_go_writes_them() {
        let dir = tree(&["run"]);
        let path = dir.path().join("run");
        fs::set_permissions(&path, fs::Permissions::from_mode(0o4755)).expect("a mode");
        let file = stat(&path, "run").expect("readable").expect("a file");
        assert_eq!(file.mode, 0o755 | go_mode::SETUID);
        assert_eq!(file.size, 3);
    }
}
