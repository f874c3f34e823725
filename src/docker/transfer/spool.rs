//! Images on their way, kept in the user's cache: reading a large one out of
//! an engine takes seconds, and a release may need it twice. Beside each
//! archive its pin is kept, small and for long, so that an image that every
//! host has need not be read again only to learn its name.

use std::fs;
use std::io;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use tokio::io::AsyncWriteExt as _;
use tokio_stream::StreamExt as _;

use super::archive::Archive;
use super::pin::Pin;
use crate::docker::client::{Call, Engine, fault};
use crate::model::event::Unit;
use crate::model::fault::Fault;
use crate::model::image::Digest;
use crate::ports::Cx;

/// Archives that stay.
const KEPT: usize = 3;

/// The beginning of names of archives that are not complete.
const PART: &str = ".part-";

/// A part that is older was left behind by a process that was killed.
const PART_AGE: Duration = Duration::from_secs(24 * 3600);

/// An engine may write the whole image to its own disk before it answers.
const PATIENCE: Duration = Duration::from_secs(900);

/// The cache's folder.
#[derive(Debug)]
pub(super) struct Spool {
    folder: PathBuf,
}

impl Spool {
    pub(super) fn new(folder: PathBuf) -> Self {
        Self { folder }
    }

    /// What is known of an image that was read before.
    pub(super) fn pin(&self, id: &Digest) -> Option<Pin> {
        let text = fs::read(self.file(id, "json")).ok()?;
        serde_json::from_slice(&text).ok()
    }

    /// The archive of the image `id` of an engine, which knows it as `name`.
    pub(super) async fn read(
        &self,
        cx: &Cx,
        engine: &Engine,
        id: &Digest,
        name: &str,
        size: Option<u64>,
    ) -> Result<Archive, Fault> {
        if let Some(archive) = self.kept(id) {
            return Ok(archive);
        }
        self.make_folder().map_err(|error| self.trouble(&error))?;
        let temporary =
            tempfile::NamedTempFile::new_in(&self.folder).map_err(|error| self.trouble(&error))?;
        self.export(cx, engine, name, size, temporary.path())
            .await?;
        let archive = Archive::open(temporary.path(), id).map_err(|error| {
            Fault::failed(format!(
                "cannot read the image `{name}` of {}",
                engine.host()
            ))
            .caused_by(&error)
        })?;
        let keep = || {
            temporary.persist(self.file(id, "tar"))?;
            let pin = serde_json::to_vec(&archive.pin)?;
            let mut file = self.part()?;
            io::Write::write_all(&mut file, &pin)?;
            file.persist(self.file(id, "json"))?;
            self.prune()
        };
        // The archive is open and can be served all the same.
        if let Err(error) = keep() {
            let error: io::Error = error;
            cx.warn(self.trouble(&error).to_string());
        }
        Ok(archive)
    }

    fn part(&self) -> io::Result<tempfile::NamedTempFile> {
        tempfile::Builder::new()
            .prefix(PART)
            .tempfile_in(&self.folder)
    }

    /// An archive that cannot be read any more is read anew.
    fn kept(&self, id: &Digest) -> Option<Archive> {
        let path = self.file(id, "tar");
        let archive = Archive::open(&path, id).ok()?;
        // The newest stay: this one is in use.
        let file = fs::File::open(&path).ok()?;
        let _ = file.set_modified(SystemTime::now());
        Some(archive)
    }

    async fn export(
        &self,
        cx: &Cx,
        engine: &Engine,
        name: &str,
        size: Option<u64>,
        into: &Path,
    ) -> Result<(), Fault> {
        let failed = |error| {
            fault(
                engine.host(),
                format!("cannot read the image `{name}`"),
                error,
            )
        };
        let call = Call::get(format!("/images/{name}/get")).within(PATIENCE);
        let mut bytes = engine.bytes(call).await.map_err(failed)?;
        let file = tokio::fs::File::create(into).await;
        let mut file = file.map_err(|error| self.trouble(&error))?;
        let mut done = 0;
        while let Some(piece) = bytes.next().await {
            let piece = piece.map_err(failed)?;
            let written = file.write_all(&piece).await;
            written.map_err(|error| self.trouble(&error))?;
            done += piece.len() as u64;
            cx.progress("reading the image", done, size, Unit::Bytes);
        }
        file.flush().await.map_err(|error| self.trouble(&error))
    }

    fn file(&self, id: &Digest, kind: &str) -> PathBuf {
        let hex = id.as_str().trim_start_matches("sha256:");
        self.folder.join(format!("{hex}.{kind}"))
    }

    /// Images may hold what is nobody else's business.
    fn make_folder(&self) -> io::Result<()> {
        fs::DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(&self.folder)
    }

    /// Removes all but the newest. One that somebody reads stays readable:
    /// its file is open.
    fn prune(&self) -> io::Result<()> {
        let mut archives = vec![];
        for entry in fs::read_dir(&self.folder)? {
            let entry = entry?;
            let Ok(modified) = entry.metadata().and_then(|meta| meta.modified()) else {
                // Another process was faster.
                continue;
            };
            let path = entry.path();
            let age = modified.elapsed().unwrap_or_default();
            if entry.file_name().to_string_lossy().starts_with(PART) {
                if age > PART_AGE {
                    let _ = fs::remove_file(path);
                }
            } else if path.extension().is_some_and(|kind| kind == "tar") {
                archives.push((modified, path));
            }
        }
        archives.sort();
        let old = archives.len().saturating_sub(KEPT);
        for (_, path) in archives.into_iter().take(old) {
            let _ = fs::remove_file(path);
        }
        Ok(())
    }

    fn trouble(&self, error: &io::Error) -> Fault {
        Fault::internal(format!(
            "cannot keep an image in `{}` on its way to the hosts",
            self.folder.display()
        ))
        .caused_by(error)
        .hint("the folder must be writable and have room for the image; `XDG_CACHE_HOME` names another place")
    }
}

/// `${XDG_CACHE_HOME:-~/.cache}/stagecraft/images`.
pub(in crate::docker) fn default_folder() -> PathBuf {
    let absolute = |name| {
        let path = PathBuf::from(std::env::var_os(name)?);
        path.is_absolute().then_some(path)
    };
    absolute("XDG_CACHE_HOME")
        .or_else(|| Some(absolute("HOME")?.join(".cache")))
        .unwrap_or_else(std::env::temp_dir)
        .join("stagecraft/images")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_newest_archives_stay_and_forgotten_parts_go() {
        let folder = tempfile::tempdir().unwrap();
        let spool = Spool::new(folder.path().to_owned());
        let old = SystemTime::now() - Duration::from_secs(48 * 3600);
        for (name, minutes) in [("a.tar", 5), ("b.tar", 4), ("c.tar", 3), ("d.tar", 2)] {
            let file = fs::File::create(folder.path().join(name)).unwrap();
            let age = Duration::from_secs(minutes * 60);
            file.set_modified(SystemTime::now() - age).unwrap();
        }
        for name in [".part-old", "a.json"] {
            let file = fs::File::create(folder.path().join(name)).unwrap();
            file.set_modified(old).unwrap();
        }
        let fresh = spool.part().unwrap();
        spool.prune().unwrap();
        let mut left: Vec<String> = fs::read_dir(folder.path())
            .unwrap()
            .map(|entry| entry.unwrap().file_name().to_string_lossy().into_owned())
            .collect();
        left.retain(|name| !name.starts_with(PART));
        left.sort();
        assert_eq!(left, ["a.json", "b.tar", "c.tar", "d.tar"]);
        assert!(fresh.path().exists());
        assert!(!folder.path().join(".part-old").exists());
    }
}
