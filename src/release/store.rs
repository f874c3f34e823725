//! The file `releases.json`: reading it, and the two ways to write it.

use std::fs;
use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};

use chrono::Utc;

use crate::model::fault::Fault;
use crate::model::history::History;
use crate::model::names::EnvironmentName;

use super::format::{Damage, File};
use super::lock_file::LockFile;
use super::locked::LockedStore;

/// A history on disk. Two of the same path are the same store: nothing is
/// remembered between calls.
#[derive(Debug, Clone)]
pub struct Store {
    path: PathBuf,
    /// Whose releases its reader is after.
    environment: Option<EnvironmentName>,
}

/// What a reader finds.
#[derive(Debug, Clone, Default)]
pub struct Contents {
    pub history: History,
    /// What a person should know about it: a newer format, releases left out.
    pub note: Option<String>,
}

/// A store whose file was damaged, ready to be written again.
#[derive(Debug)]
pub struct Rebuild {
    pub store: LockedStore,
    /// The copy of the damaged file; `None` when it was not damaged.
    pub kept: Option<PathBuf>,
    /// Releases that could still be read out of it.
    pub salvaged: usize,
}

impl Store {
    pub fn at(path: impl Into<PathBuf>) -> Self {
        Self {
            path: path.into(),
            environment: None,
        }
    }

    /// For a command on this environment: what is wrong with the file is
    /// mended from there.
    #[must_use]
    pub fn of(self, environment: EnvironmentName) -> Self {
        Self {
            environment: Some(environment),
            ..self
        }
    }

    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Every release of every environment. Takes no lock: writes are atomic.
    /// No file is an empty history.
    ///
    /// # Errors
    /// The file cannot be read or is damaged; it is left as it is.
    pub fn read(&self) -> Result<History, Fault> {
        Ok(self.look()?.history)
    }

    /// The same, with what a person should know about it.
    ///
    /// # Errors
    /// As [`Store::read`].
    pub fn look(&self) -> Result<Contents, Fault> {
        let file = self.parse()?;
        Ok(Contents {
            note: file.note(),
            history: History::new(file.into_releases()),
        })
    }

    /// The right to write, for one write: releases of all environments are in
    /// one file, so it is not held while something is deployed. Waits up to
    /// five seconds for another writer.
    ///
    /// # Errors
    /// `Locked` by another writer; `Refused` for a newer format; the file is
    /// damaged.
    pub fn lock(&self) -> Result<LockedStore, Fault> {
        let lock = LockFile::acquire(&self.path)?;
        let file = self.parse()?;
        file.check_writable(&format!("the release history `{}`", self.path.display()))?;
        Ok(LockedStore::new(self.path.clone(), file, lock))
    }

    /// As [`Store::lock`], but takes a damaged file too: keeps a copy beside it
    /// and begins with what can still be read out of it. The file itself stays
    /// as it is until the first write.
    ///
    /// # Errors
    /// As [`Store::lock`], and a copy that cannot be made.
    pub fn rebuild(&self) -> Result<Rebuild, Fault> {
        let lock = LockFile::acquire(&self.path)?;
        let bytes = self.bytes()?;
        let (file, kept) = match parse(bytes.as_deref()) {
            Ok(file) => {
                file.check_writable(&format!("the release history `{}`", self.path.display()))?;
                (file, None)
            }
            Err(_) => {
                let kept = self.keep_aside()?;
                (File::salvage(&bytes.unwrap_or_default()), Some(kept))
            }
        };
        let salvaged = if kept.is_some() {
            file.releases().count()
        } else {
            0
        };
        Ok(Rebuild {
            store: LockedStore::new(self.path.clone(), file, lock),
            kept,
            salvaged,
        })
    }

    fn parse(&self) -> Result<File, Fault> {
        let bytes = self.bytes()?;
        parse(bytes.as_deref()).map_err(|damage| self.damaged(&damage, &bytes.unwrap_or_default()))
    }

    fn bytes(&self) -> Result<Option<Vec<u8>>, Fault> {
        match fs::read(&self.path) {
            Ok(bytes) => Ok(Some(bytes)),
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
            Err(error) => Err(Fault::internal(format!(
                "cannot read the release history `{}`",
                self.path.display()
            ))
            .caused_by(&error)
            .state("nothing was changed")),
        }
    }

    fn damaged(&self, damage: &Damage, bytes: &[u8]) -> Fault {
        let mut fault = Fault::internal(format!(
            "the release history `{}` is damaged",
            self.path.display()
        ))
        .because(damage.0.clone())
        .state("the file was left as it is, and nothing else was changed");
        let environments = match &self.environment {
            Some(environment) => vec![environment.to_string()],
            None => environments_in(bytes),
        };
        for environment in environments {
            fault = fault.hint(format!(
                "run `stagecraft releases rebuild --env {environment}` to read the history again from the hosts; the damaged file is kept beside it"
            ));
        }
        fault
    }

    fn keep_aside(&self) -> Result<PathBuf, Fault> {
        let stamp = Utc::now().format("%Y%m%dT%H%M%S%3fZ");
        let mut name = self.path.as_os_str().to_owned();
        name.push(format!(".damaged-{stamp}"));
        let aside = PathBuf::from(name);
        copy_new(&self.path, &aside).map_err(|error| {
            Fault::internal(format!(
                "cannot keep the damaged release history as `{}`",
                aside.display()
            ))
            .caused_by(&error)
            .state("the damaged file was left as it is")
        })?;
        Ok(aside)
    }
}

fn parse(bytes: Option<&[u8]>) -> Result<File, Damage> {
    match bytes {
        Some(bytes) => File::parse(bytes),
        None => Ok(File::default()),
    }
}

/// Copies into a file that is not there yet, and syncs it.
fn copy_new(from: &Path, to: &Path) -> io::Result<()> {
    let mut target = fs::File::create_new(to)?;
    io::copy(&mut fs::File::open(from)?, &mut target)?;
    target.sync_all()
}

/// The names that the damaged text still mentions, so that the command to type
/// is the exact one; a placeholder where there are none.
fn environments_in(bytes: &[u8]) -> Vec<String> {
    let text = String::from_utf8_lossy(bytes);
    let mut names: Vec<String> = text
        .split("\"environment\"")
        .skip(1)
        .filter_map(|after| after.split('"').nth(1))
        .filter(|name| name.parse::<EnvironmentName>().is_ok())
        .map(str::to_owned)
        .collect();
    names.sort();
    names.dedup();
    if names.is_empty() {
        names.push("ENVIRONMENT".to_owned());
    }
    names
}

#[cfg(test)]
mod tests {
    use super::super::samples::release;
    use super::*;

    fn store() -> (tempfile::TempDir, Store) {
        let folder = tempfile::tempdir().expect("a folder");
        let store = Store::at(folder.path().join(".stagecraft/releases.json"));
        (folder, store)
    }

    #[test]
    fn a_damaged_file_is_mended_from_the_environment_that_the_command_is_on() {
        let (_folder, store) = store();
        fs::create_dir_all(store.path().parent().expect("a parent")).expect("a folder");
        fs::write(store.path(), "garbage").expect("written");
        let store = store.of("prod".parse().expect("a name"));
        let fault = store.read().expect_err("damaged");
        assert!(fault.hints[0].contains("`stagecraft releases rebuild --env prod`"));
    }

    #[test]
    fn no_file_is_an_empty_history_and_reading_makes_none() {
        let (folder, store) = store();
        assert!(store.read().expect("readable").all().is_empty());
        assert_eq!(fs::read_dir(folder.path()).expect("there").count(), 0);
    }

    #[test]
    fn a_damaged_file_is_reported_with_its_place_and_the_command_and_left_alone() {
        let (_folder, store) = store();
        store
            .lock()
            .expect("free")
            .save(&release(1))
            .expect("saved");
        let mut bytes = fs::read(store.path()).expect("there");
        bytes.truncate(bytes.len() - 10);
        fs::write(store.path(), &bytes).expect("written");
        for fault in [
            store.read().expect_err("damaged"),
            store.lock().expect_err("damaged"),
        ] {
            assert!(fault.causes[0].contains("line "), "{fault}");
            assert!(
                fault.hints[0].contains("`stagecraft releases rebuild --env prod`"),
                "{fault:?}"
            );
        }
        assert_eq!(fs::read(store.path()).expect("there"), bytes);
    }

    #[test]
    fn a_rebuild_keeps_the_damaged_file_and_begins_with_what_is_readable() {
        let (_folder, store) = store();
        store
            .lock()
            .expect("free")
            .save(&release(1))
            .expect("saved");
        let mut bytes = fs::read(store.path()).expect("there");
        bytes.truncate(bytes.len() - 3);
        fs::write(store.path(), &bytes).expect("written");

        let mut rebuild = store.rebuild().expect("possible");
        let kept = rebuild.kept.expect("a copy");
        assert_eq!(fs::read(&kept).expect("there"), bytes);
        assert_eq!(rebuild.salvaged, 1);
        assert_eq!(
            fs::read(store.path()).expect("there"),
            bytes,
            "not written yet"
        );
        rebuild.store.save(&release(2)).expect("saved");
        drop(rebuild.store);
        assert_eq!(
            store.read().expect("readable").all(),
            [release(1), release(2)]
        );
    }

    #[test]
    fn a_rebuild_that_no_copy_adds_to_can_be_written_all_the_same() {
        let (_folder, store) = store();
        let begun = release(1);
        store.lock().expect("free").save(&begun).expect("saved");
        let bytes = fs::read(store.path()).expect("there");
        fs::write(store.path(), &bytes[..bytes.len() - 3]).expect("written");

        let mut rebuild = store.rebuild().expect("possible");
        rebuild.store.write_whole().expect("written");
        assert_eq!(store.read().expect("sound again").all(), [begun]);
    }

    #[test]
    fn a_rebuild_of_a_sound_file_keeps_nothing_aside() {
        let (_folder, store) = store();
        store
            .lock()
            .expect("free")
            .save(&release(1))
            .expect("saved");
        let rebuild = store.rebuild().expect("possible");
        assert_eq!((rebuild.kept, rebuild.salvaged), (None, 0));
    }

    #[test]
    fn a_newer_format_is_read_but_no_lock_is_given_for_it() {
        let (_folder, store) = store();
        fs::create_dir_all(store.path().parent().expect("a folder")).expect("made");
        let newer = r#"{ "format": 2, "releases": [] }"#;
        fs::write(store.path(), newer).expect("written");
        assert!(store.look().expect("readable").note.is_some());
        let fault = store.lock().expect_err("newer");
        assert_eq!(fault.kind, crate::model::fault::FaultKind::Refused);
        assert!(store.rebuild().is_err());
        assert_eq!(fs::read_to_string(store.path()).expect("there"), newer);
    }
}
