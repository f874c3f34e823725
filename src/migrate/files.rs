//! The folder of migration files: reading it and checking its names. Imports
//! `model` and the port's words for a folder. Only `.sql` files at the top
//! level count, unless the folder has another tool's layout; whatever looks like
//! a migration and is none is said, never skipped silently.

mod header;
pub(super) mod layouts;
mod order;
mod stamp;
mod way;

use std::path::Path;

use regex::Regex;

use crate::model::complaint::{Complaint, Rule};
use crate::model::fault::Fault;
use crate::model::project::MigrationSpec;
use crate::ports::{Content, Dialect, FolderEntry};

use super::sql::{self, Script, Wish};
use super::{hashing, parallel, words};
pub use header::{Claim, Header};
pub use layouts::Format;
pub use order::{Order, check, leading_number};
pub use stamp::{Stamp, stamps};
pub use way::{Options, Table, Way, of_another_tool};

/// One migration file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MigrationFile {
    /// Its name, which is its id.
    pub name: String,
    /// As messages name it: `db/migrations/0042_notes.sql`.
    pub shown: String,
    /// Without a byte order mark.
    pub text: String,
    /// SHA-256 of the raw bytes.
    pub checksum: String,
    pub version: Option<i64>,
    pub header: Header,
    pub tool: Tool,
}

impl MigrationFile {
    /// What runs, taken apart. Where the whole file is one transaction of its
    /// own and does not ask to run apart, the transaction that it runs in
    /// anyway takes the place of that.
    #[must_use]
    pub fn script(&self, dialect: Dialect) -> Script {
        let script = sql::read(dialect, &self.text);
        match self.header.transaction {
            Some(Wish::Apart) => script,
            Some(Wish::Together) | None => script.unwrapped(),
        }
    }
}

/// What another tool keeps of a migration; empty for Stagecraft's own.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Tool {
    /// Its version or name in the tool's table.
    pub key: String,
    pub description: String,
    /// As the tool writes it.
    pub checksum: String,
    /// Drizzle's time of the file, in milliseconds.
    pub when: i64,
}

/// What a folder holds.
#[derive(Debug, Clone, Default)]
pub struct Folder {
    /// As messages name it.
    pub shown: String,
    pub order: Order,
    pub format: Format,
    /// In running order.
    pub files: Vec<MigrationFile>,
    /// Why it may not run as it is.
    pub problems: Vec<Complaint>,
    /// `.sql` files that are no text; a problem says so of each.
    pub unread: Vec<String>,
    /// What else lies in it, by name.
    pub strays: Vec<String>,
    pub folders: Vec<String>,
    /// What is left out rightly, and worth a word.
    pub notes: Vec<String>,
}

/// A database's folder as messages name it.
#[must_use]
pub fn shown(spec: &MigrationSpec) -> &str {
    spec.path_written
        .as_deref()
        .or_else(|| spec.path.as_deref().and_then(|path| path.to_str()))
        .unwrap_or("migrations")
        .trim_end_matches('/')
}

/// Reads a folder of this machine; `shown` is its name in messages.
///
/// # Errors
/// There is no such folder, or something in it cannot be read.
pub fn read(
    folder: &Path,
    shown: &str,
    order: Order,
    pattern: Option<&str>,
) -> Result<Folder, Fault> {
    let entries = entries(folder, "", shown, Format::Raw)?;
    Ok(of(entries, shown, order, pattern))
}

/// What lies in a folder, as migrations.
#[must_use]
pub fn of(
    mut entries: Vec<FolderEntry>,
    shown: &str,
    order: Order,
    pattern: Option<&str>,
) -> Folder {
    let mut found = Folder {
        shown: shown.to_owned(),
        order,
        ..Folder::default()
    };
    entries.sort_by(|a, b| a.name.cmp(&b.name));
    let mut texts = vec![];
    for FolderEntry { name, content } in entries {
        if name.contains('/') {
            continue;
        }
        let path = format!("{shown}/{name}");
        let refuse = |what: &str| Complaint::violation(Rule::Name, &path, what);
        let hidden = name.starts_with('.');
        if !hidden && name.contains(char::REPLACEMENT_CHARACTER) {
            found
                .problems
                .push(refuse("the file's name is not UTF-8").hint("rename it"));
            continue;
        }
        match content {
            Content::Folder => found.folders.push(name),
            Content::File(_) | Content::Other if hidden => found.strays.push(name),
            Content::File(bytes) if name.ends_with(".sql") => texts.push((name, bytes)),
            Content::Other if name.ends_with(".sql") => found
                .problems
                .push(refuse("it is a link or no regular file").hint("put the file itself there")),
            Content::File(_) | Content::Other if name.to_ascii_lowercase().ends_with(".sql") => {
                found.problems.push(
                    refuse("it does not run, because its suffix is not `.sql` in small letters")
                        .hint("rename it"),
                );
            }
            Content::File(_) | Content::Other => found.strays.push(name),
        }
    }
    for read in parallel::map(&texts, |(name, bytes)| one(bytes, name, shown)) {
        match read {
            Ok((file, problems)) => {
                found.problems.extend(problems);
                found.files.push(file);
            }
            Err((name, problem)) => {
                found.problems.push(problem);
                found.unread.push(name);
            }
        }
    }
    if found.files.is_empty() && found.folders.iter().any(|name| !name.starts_with('.')) {
        let folders = words::list(&found.folders);
        found.problems.push(
            Complaint::violation(
                Rule::SubFolder,
                shown,
                format!("it holds only folders ({folders})"),
            )
            .hint("`.sql` files are read from its top level: move them there"),
        );
    }
    order.sort(&mut found.files);
    let problems = check(&found.files, order);
    found.problems.extend(problems);
    found.problems.extend(unmatched(&found, pattern));
    found
}

/// `prefix` goes before each name.
fn entries(
    folder: &Path,
    prefix: &str,
    shown: &str,
    format: Format,
) -> Result<Vec<FolderEntry>, Fault> {
    let cannot = |error: std::io::Error| {
        Fault::config(format!("cannot read the migrations in `{shown}`"))
            .caused_by(&error)
            .hint("check `migrations.path` in the configuration")
    };
    let paths = std::fs::read_dir(folder)
        .map_err(cannot)?
        .map(|entry| entry.map_err(cannot))
        .collect::<Result<Vec<_>, Fault>>()?;
    parallel::map(&paths, |entry| {
        let path = entry.path();
        let name = path.file_name().unwrap_or_default();
        let name = format!("{prefix}{}", name.to_string_lossy());
        // A link counts as what it leads to.
        let is_folder = match entry.file_type() {
            Ok(kind) if !kind.is_symlink() => kind.is_dir(),
            Ok(_) | Err(_) => path.is_dir(),
        };
        // Only what may be a migration is worth its bytes.
        let content = match (is_folder, format.reads(&name)) {
            (true, _) => Content::Folder,
            (false, false) => Content::File(vec![]),
            (false, true) => Content::File(std::fs::read(&path).map_err(|error| {
                Fault::config(format!("cannot read `{shown}/{name}`")).caused_by(&error)
            })?),
        };
        Ok(FolderEntry { name, content })
    })
    .into_iter()
    .collect()
}

/// The file with what is wrong in it, or why it is none.
fn one(
    bytes: &[u8],
    name: &str,
    folder: &str,
) -> Result<(MigrationFile, Vec<Complaint>), (String, Complaint)> {
    let shown = format!("{folder}/{name}");
    let text = utf8(bytes, &shown).map_err(|problem| (name.to_owned(), problem))?;
    let (header, mut problems) = Header::read(&text, &shown);
    let version = match leading_number(name) {
        Ok(version) => version,
        Err(problem) => {
            problems.push(Complaint::violation(Rule::Name, &shown, problem));
            None
        }
    };
    let file = MigrationFile {
        name: name.to_owned(),
        checksum: hashing::sha256(bytes),
        shown,
        text,
        version,
        header,
        tool: Tool::default(),
    };
    Ok((file, problems))
}

/// The text of a file, without a byte order mark.
fn utf8(bytes: &[u8], shown: &str) -> Result<String, Complaint> {
    let line_of = |at: usize| bytes[..at].iter().filter(|byte| **byte == b'\n').count() + 1;
    let bad = |what: String, at: usize| {
        Complaint::violation(Rule::Encoding, shown, what).on_line(line_of(at))
    };
    match std::str::from_utf8(bytes) {
        Ok(text) => match text.find('\0') {
            Some(at) => Err(bad(
                "it holds a zero byte: it is not SQL text".to_owned(),
                at,
            )),
            None => Ok(text.trim_start_matches('\u{feff}').to_owned()),
        },
        Err(error) => {
            let at = error.valid_up_to();
            Err(bad(format!("it is not UTF-8 (byte {at})"), at).hint("save it as UTF-8"))
        }
    }
}

fn unmatched(folder: &Folder, pattern: Option<&str>) -> Vec<Complaint> {
    let Some(pattern) = pattern else {
        return vec![];
    };
    let regex = match Regex::new(pattern) {
        Ok(regex) => regex,
        Err(error) => {
            let what = format!("`files.pattern` is not a regular expression: {error}");
            return vec![Complaint::violation(Rule::Name, &folder.shown, what)];
        }
    };
    folder
        .files
        .iter()
        .filter(|file| !regex.is_match(&file.name))
        .map(|file| {
            let what = format!("its name does not match `files.pattern` `{pattern}`");
            Complaint::violation(Rule::Name, &file.shown, what)
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn folder(files: &[(&str, &[u8])]) -> (tempfile::TempDir, Folder) {
        let dir = tempfile::tempdir().expect("a folder");
        for (name, bytes) in files {
            std::fs::write(dir.path().join(name), bytes).expect("written");
        }
        let found = read(dir.path(), "db", Order::Text, None).expect("read");
        (dir, found)
    }

    #[test]
    fn only_sql_files_count_and_lookalikes_are_named() {
        let (_dir, found) = folder(&[
            ("0001_a.sql", b"select 1"),
            ("README.md", b""),
            (".0002_b.sql.swp", b""),
            ("0003_c.SQL", b""),
        ]);
        assert_eq!(found.files.len(), 1);
        assert_eq!(found.files[0].shown, "db/0001_a.sql");
        assert_eq!(found.problems.len(), 1);
        assert!(found.problems[0].file.contains("0003_c.SQL"));
        assert_eq!(found.strays, [".0002_b.sql.swp", "README.md"]);
    }

    #[test]
    fn an_empty_folder_has_nothing_to_run_and_a_missing_one_is_an_error() {
        let (dir, found) = folder(&[]);
        assert!(found.files.is_empty() && found.problems.is_empty());
        let missing = read(&dir.path().join("x"), "db/x", Order::Text, None);
        assert!(missing.is_err_and(|fault| fault.what.contains("`db/x`")));
    }

    #[test]
    fn a_byte_order_mark_is_not_sent_and_other_encodings_are_refused() {
        let (_dir, found) = folder(&[("1.sql", b"\xef\xbb\xbfselect 1"), ("2.sql", b"a\n'\xe9'")]);
        assert_eq!(found.files[0].text, "select 1");
        assert_eq!(
            found.problems[0].to_string(),
            "`db/2.sql:2`: it is not UTF-8 (byte 3); save it as UTF-8"
        );
        assert_eq!(found.unread, ["2.sql"]);
    }

    #[test]
    fn every_name_must_match_the_pattern() {
        let dir = tempfile::tempdir().expect("a folder");
        std::fs::write(dir.path().join("0001-A.sql"), "").expect("written");
        let found = read(dir.path(), "db", Order::Text, Some(r"^\d+_[a-z]+\.sql$")).expect("read");
        assert_eq!(found.problems[0].file, "db/0001-A.sql");
    }
}
