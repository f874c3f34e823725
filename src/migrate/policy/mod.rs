//! What a folder of migrations has to be like, pure over what was read.
//! Imports `model` and `migrate`'s pure parts.
//!
//! One path: a check objects to everything at once; a plan and a run to what
//! stands in the way of running ([`texts::judge`], [`ledger::compare`] and the
//! problems of the [`Folder`]), which is part of what a check objects to.
//! Without a database's URL its dialect is not known: then only what no dialect
//! allows is a violation.

pub mod ledger;
pub mod merged;
mod read;
mod risks;
mod strays;
pub mod texts;

use std::collections::HashSet;

use crate::model::complaint::{Complaint, Rule, Weight};
use crate::model::project::MigrationSpec;

use super::checksums::Stored;
use super::files::{Folder, Format, MigrationFile};
pub use merged::Base;
pub use read::read;
pub use risks::new_files;
pub use texts::{Dialects, Text};

/// A folder, its texts and its ledger, as a check needs them.
pub struct Read {
    pub folder: Folder,
    /// One for each file.
    pub texts: Vec<Text>,
    /// `None`: the folder has none. `Err`: why it cannot be read.
    pub ledger: Option<Result<Stored, Complaint>>,
}

/// All that is wrong with a folder by itself.
#[must_use]
pub fn alone(read: &Read, spec: &MigrationSpec, dialects: &Dialects) -> Vec<Complaint> {
    let folder = &read.folder;
    let mut all = folder.problems.clone();
    all.extend(strays::find(folder, spec));
    for (file, text) in folder.files.iter().zip(&read.texts) {
        all.extend(text.problems.iter().cloned());
        all.extend(texts::empty(file, text));
    }
    all.extend(match &read.ledger {
        None => vec![ledger::none(&folder.shown)],
        Some(Err(unreadable)) => vec![unreadable.clone()],
        Some(Ok(stored)) => {
            let normalised = |index: usize| dialects.normalised(&folder.files[index]);
            ledger::compare(stored, &folder.files, normalised)
        }
    });
    all
}

/// The hash of a file's tokens, in the dialect that it was read as.
#[must_use]
pub fn normalised(file: &MigrationFile, text: &Text) -> String {
    file.script(text.dialect).normalised()
}

/// A ledger's way out is none where the edit of a merged file is the trouble.
pub fn without_false_ways_out(complaints: &mut [Complaint]) {
    let merged: HashSet<String> = complaints
        .iter()
        .filter(|complaint| complaint.is_violation() && complaint.rule == Rule::Immutable)
        .map(|complaint| complaint.file.clone())
        .collect();
    for complaint in complaints {
        if complaint.rule == Rule::Ledger && merged.contains(&complaint.file) {
            complaint.hint = None;
        }
    }
}

/// All that is wrong with it beside what was merged.
#[must_use]
pub fn beside(read: &Read, base: &Base, dialects: &Dialects) -> Vec<Complaint> {
    let folder = &read.folder;
    if folder.format != Format::Raw {
        let what = format!(
            "files in the layout of {} are not compared with what was merged",
            folder.format.label()
        );
        return vec![Complaint::new(
            Weight::Note,
            Rule::Unchecked,
            &folder.shown,
            what,
        )];
    }
    merged::compare(base, folder, dialects)
}
