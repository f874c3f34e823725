//! The folders of other tools that migrate by plain SQL: how each names its
//! files, which part of a file goes up, and what it says about transactions.
//! Imports `files` only. A file a tool; what they share is read here.
//!
//! Invariant: the text that runs stands at the lines and columns where the file
//! has it. Whatever looks like a migration and cannot be run as its tool would
//! run it is a problem, never skipped silently.

mod dbmate;
mod diesel;
mod drizzle;
pub(in crate::migrate) mod flyway;
mod golang_migrate;
mod goose;
mod guess;
mod node_pg_migrate;
mod prisma;
mod refinery;
mod section;
mod sqlx;

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::migrate::hashing;
use crate::migrate::sql::Wish;
use crate::migrate::words;
use crate::model::complaint::{Complaint, Rule};
use crate::ports::{Content, FolderEntry};

use super::{Folder, Header, MigrationFile, Tool, leading_number, utf8};
pub(super) use guess::guess;
use section::Up;

/// Whose layout a folder has.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Format {
    /// Stagecraft's own.
    #[default]
    Raw,
    Dbmate,
    Goose,
    GolangMigrate,
    Sqlx,
    Refinery,
    Diesel,
    Flyway,
    Prisma,
    Drizzle,
    NodePgMigrate,
}

impl Format {
    /// As the configuration writes it.
    #[must_use]
    pub fn label(self) -> &'static str {
        match self {
            Format::Raw => "raw",
            Format::Dbmate => "dbmate",
            Format::Goose => "goose",
            Format::GolangMigrate => "golang-migrate",
            Format::Sqlx => "sqlx",
            Format::Refinery => "refinery",
            Format::Diesel => "diesel",
            Format::Flyway => "flyway",
            Format::Prisma => "prisma",
            Format::Drizzle => "drizzle",
            Format::NodePgMigrate => "node-pg-migrate",
        }
    }

    /// The schema version that a migration of this name stands for.
    #[must_use]
    pub fn version(self, id: &str) -> Option<i64> {
        match self.layout().map(|layout| layout.named(id)) {
            None => leading_number(id).ok().flatten(),
            Some(Named::Migration(label)) => label.version,
            Some(Named::Other | Named::Note(_) | Named::Wrong(_)) => None,
        }
    }

    /// Whether a migration of this name may run behind later ones, as its tool
    /// would run it.
    #[must_use]
    pub fn runs_late(self, id: &str) -> bool {
        self == Format::Refinery && id.starts_with('U')
    }

    /// The command that starts a new file in this layout.
    #[must_use]
    pub fn creates_with(self) -> Option<&'static str> {
        self.layout().map(|layout| layout.creates_with())
    }

    /// Whether a file's bytes matter to this layout; `path` may name a file in
    /// a folder of the folder.
    pub(super) fn reads(self, path: &str) -> bool {
        match self {
            Format::Raw => !path.contains('/') && path.ends_with(".sql"),
            Format::Diesel | Format::Prisma => path.contains('/'),
            Format::Drizzle => !path.contains('/') || path == drizzle::JOURNAL,
            Format::Dbmate
            | Format::Goose
            | Format::GolangMigrate
            | Format::Sqlx
            | Format::Refinery
            | Format::Flyway
            | Format::NodePgMigrate => !path.contains('/'),
        }
    }

    fn layout(self) -> Option<&'static dyn Layout> {
        Some(match self {
            Format::Raw => return None,
            Format::Dbmate => &dbmate::Dbmate,
            Format::Goose => &goose::Goose,
            Format::GolangMigrate => &golang_migrate::GolangMigrate,
            Format::Sqlx => &sqlx::Sqlx,
            Format::Refinery => &refinery::Refinery,
            Format::Diesel => &diesel::Diesel,
            Format::Flyway => &flyway::Flyway,
            Format::Prisma => &prisma::Prisma,
            Format::Drizzle => &drizzle::Drizzle,
            Format::NodePgMigrate => &node_pg_migrate::NodePgMigrate,
        })
    }
}

/// What a tool makes of a name at the top of its folder.
pub(super) enum Named {
    Migration(Label),
    /// Nothing that the tool would run on the way up.
    Other,
    /// Nothing that runs, and worth saying so.
    Note(String),
    /// Something that would have to run and cannot.
    Wrong(String),
}

/// A migration as its tool sees it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Label {
    /// What stands in the tool's table.
    pub(super) key: String,
    /// The running order: numbers first, then the text.
    pub(super) order: (Vec<u64>, String),
    pub(super) version: Option<i64>,
    pub(super) description: String,
    /// Drizzle's time of the file, in milliseconds.
    pub(super) when: i64,
}

/// A file, and the words in it by which a migration runs without a transaction.
pub(super) type Beside = (String, fn(&str) -> Option<&'static str>);

/// One tool's way with files.
pub(super) trait Layout: Sync {
    fn named(&self, name: &str) -> Named;

    /// The file to run, where each migration is a folder.
    fn inside(&self) -> Option<&'static str>;

    /// The part of a file that goes up.
    ///
    /// # Errors
    /// The file is not as the tool wants it: a line and what is wrong there.
    fn up(&self, text: &str) -> Result<Up, section::Wrong>;

    /// The file beside a migration that may speak about transactions, and the
    /// words by which it says that it runs without one.
    fn beside(&self, name: &str) -> Option<Beside>;

    /// What the tool keeps to tell an edited file; empty where it keeps nothing.
    fn checksum(&self, label: &Label, bytes: &[u8]) -> String;

    fn creates_with(&self) -> &'static str;
}

/// What lies in a folder, as the migrations of a tool, in running order.
pub(super) fn read(format: Format, entries: &[FolderEntry], shown: &str) -> Folder {
    let mut found = Folder {
        shown: shown.to_owned(),
        format,
        ..Folder::default()
    };
    let Some(layout) = format.layout() else {
        return found;
    };
    let contents: BTreeMap<&str, &Content> = entries
        .iter()
        .map(|entry| (entry.name.as_str(), &entry.content))
        .collect();
    let listed = match format {
        Format::Drizzle => drizzle::journal(&contents, shown, &mut found.problems),
        _ => labelled(layout, &contents, shown, &mut found),
    };
    for (name, label) in listed {
        let place = match layout.inside() {
            Some(inside) => format!("{name}/{inside}"),
            None => name.clone(),
        };
        match contents.get(place.as_str()) {
            Some(Content::File(bytes)) => {
                one(
                    layout, &name, label, &place, bytes, shown, &contents, &mut found,
                );
            }
            Some(Content::Folder | Content::Other) => found.problems.push(
                Complaint::violation(
                    Rule::Name,
                    format!("{shown}/{place}"),
                    "is a link or no regular file",
                )
                .hint("put the file itself there"),
            ),
            None => found.problems.push(Complaint::violation(
                Rule::Name,
                format!("{shown}/{place}"),
                "is missing: bring it back",
            )),
        }
    }
    found.problems.extend(twice(&found.files));
    found
}

fn labelled(
    layout: &dyn Layout,
    contents: &BTreeMap<&str, &Content>,
    shown: &str,
    found: &mut Folder,
) -> Vec<(String, Label)> {
    let mut listed = vec![];
    for (name, content) in contents {
        let folder = matches!(content, Content::Folder);
        if name.starts_with('.') || name.contains('/') {
            continue;
        }
        if folder != layout.inside().is_some() {
            if folder && below(contents, name) {
                found.problems.push(Complaint::violation(
                    Rule::SubFolder,
                    format!("{shown}/{name}"),
                    "is a folder with `.sql` files: migrations are read from the top level",
                ));
            } else if !folder && name.ends_with(".sql") {
                found.notes.push(format!(
                    "`{shown}/{name}` never runs: in this layout each migration is a folder"
                ));
            }
            continue;
        }
        match layout.named(name) {
            Named::Migration(label) => listed.push(((*name).to_owned(), label)),
            Named::Other => {}
            Named::Note(note) => found.notes.push(format!("`{shown}/{name}` {note}")),
            Named::Wrong(why) => {
                let file = format!("{shown}/{name}");
                found
                    .problems
                    .push(Complaint::violation(Rule::Name, file, why));
            }
        }
    }
    listed.sort_by(|(_, a), (_, b)| a.order.cmp(&b.order));
    listed
}

fn below(contents: &BTreeMap<&str, &Content>, folder: &str) -> bool {
    contents.keys().any(|path| {
        path.strip_prefix(folder)
            .is_some_and(|rest| rest.starts_with('/') && rest.ends_with(".sql"))
    })
}

#[expect(clippy::too_many_arguments, reason = "all of it is one file's")]
fn one(
    layout: &dyn Layout,
    name: &str,
    label: Label,
    place: &str,
    bytes: &[u8],
    shown: &str,
    contents: &BTreeMap<&str, &Content>,
    found: &mut Folder,
) {
    let path = format!("{shown}/{place}");
    let text = match utf8(bytes, &path) {
        Ok(text) => text,
        Err(problem) => return found.problems.push(problem),
    };
    let up = match layout.up(&text) {
        Ok(up) => up,
        Err(wrong) => {
            let problem = Complaint::violation(Rule::Directive, &path, wrong.what);
            return found.problems.push(problem.on_line(wrong.line));
        }
    };
    let (mut header, problems) = Header::read(&up.text, &path);
    found.problems.extend(problems);
    let said = up.apart.or_else(|| {
        let (beside, says) = layout.beside(name)?;
        let Content::File(bytes) = contents.get(beside.as_str())? else {
            return None;
        };
        says(&String::from_utf8_lossy(bytes))
    });
    if let (None, Some(said)) = (header.transaction, said) {
        header.transaction = Some(Wish::Apart);
        header.said = Some(said);
    }
    found.files.push(MigrationFile {
        name: name.to_owned(),
        shown: path,
        text: up.text,
        checksum: hashing::sha256(bytes),
        version: label.version,
        header,
        tool: Tool {
            checksum: layout.checksum(&label, bytes),
            when: label.when,
            key: label.key,
            description: label.description,
        },
    });
}

fn twice(files: &[MigrationFile]) -> Vec<Complaint> {
    let mut keys: BTreeMap<&str, Vec<&MigrationFile>> = BTreeMap::new();
    for file in files {
        keys.entry(&file.tool.key).or_default().push(file);
    }
    let twice = keys.into_iter().filter(|(_, files)| files.len() > 1);
    let told = twice.filter_map(|(key, files)| {
        let names: Vec<&str> = files.iter().map(|file| file.name.as_str()).collect();
        let what = format!(
            "the version {key} stands {} times ({})",
            files.len(),
            words::list(&names)
        );
        let hint = "give the newer one that is not applied anywhere the next free one";
        let last = files.last()?;
        Some(Complaint::violation(Rule::Number, &last.shown, what).hint(hint))
    });
    told.collect()
}

/// The digits at the beginning of a name that go before an underscore.
fn number_of(name: &str) -> Option<(&str, &str)> {
    let (digits, rest) = name.split_once('_')?;
    let all = !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit());
    all.then_some((digits, rest))
}

/// A label whose key is a number, without leading zeros.
fn numbered(digits: &str, description: &str) -> Named {
    match digits.parse::<i64>() {
        Ok(number) => Named::Migration(Label {
            key: number.to_string(),
            order: (vec![number.unsigned_abs()], String::new()),
            version: Some(number),
            description: description.to_owned(),
            when: 0,
        }),
        Err(_) => Named::Wrong(format!(
            "has the number {digits}, which does not fit in 64 bits"
        )),
    }
}

#[cfg(test)]
mod tests;
