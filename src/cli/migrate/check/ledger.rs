//! `--write-ledger`: entries that are missing are added; an entry that is
//! there is rewritten only where its file was named with `--accept`.

use std::collections::BTreeSet;
use std::path::Path;

use serde::Serialize;

use crate::migrate::checksums::{self, Entry, Stored};
use crate::migrate::files::MigrationFile;
use crate::migrate::policy::{self, Base, Dialects, Read};
use crate::model::complaint::Rule;
use crate::model::fault::Fault;
use crate::model::project::MigrationSpec;
use crate::ui::words;

/// What was done with the ledgers.
#[derive(Debug, Default, Serialize)]
pub(super) struct Written {
    pub(super) added: Vec<String>,
    pub(super) rewritten: Vec<String>,
    pub(super) removed: Vec<String>,
    #[serde(skip)]
    ledgers: BTreeSet<String>,
    #[serde(skip)]
    wanted: Vec<String>,
    #[serde(skip)]
    found: BTreeSet<String>,
}

impl Written {
    /// A path means its last part: names are unique in a folder.
    pub(super) fn new(accept: &[String]) -> Self {
        let name = |path: &String| {
            let name = Path::new(path).file_name();
            name.map_or_else(|| path.clone(), |name| name.to_string_lossy().into_owned())
        };
        Self {
            wanted: accept.iter().map(name).collect(),
            ..Self::default()
        }
    }

    pub(super) fn write(
        &mut self,
        spec: &MigrationSpec,
        read: &Read,
        base: Option<&Base>,
        dialects: Dialects,
    ) -> Result<(), Fault> {
        let Some(path) = checksums::future_path(spec) else {
            return Ok(());
        };
        let shown = checksums::shown(spec, &path);
        let stored = match &read.ledger {
            Some(Ok(stored)) => Some(stored),
            Some(Err(unreadable)) if path.exists() => {
                return Err(Fault::refused(unreadable.to_string())
                    .state("no entry was written")
                    .hint(format!("mend `{shown}` by hand first")));
            }
            Some(Err(_)) | None => None,
        };
        let entries = self.entries(read, stored, base, dialects)?;
        let gone = self.gone(read, stored);
        let canonical = stored.is_some_and(Stored::is_canonical);
        if !(entries.is_empty() && gone.is_empty() && canonical) {
            checksums::write(&path, &shown, &entries, &gone)?;
            self.ledgers.insert(shown);
        }
        Ok(())
    }

    fn entries(
        &mut self,
        read: &Read,
        stored: Option<&Stored>,
        base: Option<&Base>,
        dialects: Dialects,
    ) -> Result<Vec<Entry>, Fault> {
        let mut entries = vec![];
        for (index, file) in read.folder.files.iter().enumerate() {
            let known = stored.and_then(|stored| stored.checksum(&file.name));
            let wanted = self.wanted.contains(&file.name);
            if wanted {
                refuse_merged(file, read, base, dialects)?;
                self.found.insert(file.name.clone());
            }
            match known {
                None => self.added.push(file.name.clone()),
                Some(known) if wanted && known != file.checksum => {
                    self.rewritten.push(file.name.clone());
                }
                Some(_) => continue,
            }
            entries.push(Entry {
                name: file.name.clone(),
                checksum: file.checksum.clone(),
                normalised: policy::normalised(file, &read.texts[index]),
            });
        }
        Ok(entries)
    }

    /// Entries of files that are not there any more.
    fn gone(&mut self, read: &Read, stored: Option<&Stored>) -> Vec<String> {
        let files = &read.folder.files;
        let wanted = self.wanted.iter().filter(|name| {
            stored.is_some_and(|stored| stored.checksum(name).is_some())
                && !files.iter().any(|file| file.name == **name)
        });
        let gone: Vec<String> = wanted.cloned().collect();
        self.found.extend(gone.iter().cloned());
        self.removed.extend(gone.iter().cloned());
        gone
    }

    /// # Errors
    /// A file was accepted that no folder and no ledger has.
    pub(super) fn all_known(&self) -> Result<(), Fault> {
        let unknown = self.wanted.iter().find(|name| !self.found.contains(*name));
        match unknown {
            None => Ok(()),
            Some(name) => Err(
                Fault::config(format!("there is no migration `{name}` to accept"))
                    .hint("name a file of the folder, or an entry of the ledger, after `--accept`"),
            ),
        }
    }

    /// For people.
    pub(super) fn lines(&self) -> Vec<String> {
        let ledgers = words::and_list(&self.ledgers);
        let done = [
            ("added", "to", &self.added),
            ("rewrote", "in", &self.rewritten),
            ("took", "out of", &self.removed),
        ];
        let done = done.into_iter().filter(|(.., names)| !names.is_empty());
        done.map(|(verb, where_to, names)| {
            let entries = match names.len() {
                1 => "1 entry".to_owned(),
                more => format!("{more} entries"),
            };
            format!("{verb} {entries} {where_to} {ledgers}")
        })
        .collect()
    }
}

/// What was merged may be applied anywhere: accepting an edit of it would hide
/// that it never runs there.
fn refuse_merged(
    file: &MigrationFile,
    read: &Read,
    base: Option<&Base>,
    dialects: Dialects,
) -> Result<(), Fault> {
    let Some(base) = base else { return Ok(()) };
    let complaints = policy::beside(read, base, &dialects);
    let merged = complaints.iter().find(|complaint| {
        complaint.is_violation()
            && complaint.rule == Rule::Immutable
            && complaint.file == file.shown
    });
    match merged {
        None => Ok(()),
        Some(complaint) => {
            let fault = Fault::refused(format!("an edit of `{}` is not accepted", file.shown))
                .because(&complaint.what)
                .state("no entry was written");
            Err(complaint
                .hint
                .iter()
                .fold(fault, |fault, hint| fault.hint(hint)))
        }
    }
}
