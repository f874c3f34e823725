//! The folder of migration files: reading it and checking its names. Imports
//! `model::fault` and the port's words for a folder. Only `.sql` files at the
//! top level count, unless the folder has another tool's layout; whatever looks
//! like a migration and is none is said, never skipped silently.

mod header;
pub(super) mod layouts;
mod order;
mod stamp;

use std::path::Path;

use regex::Regex;

use crate::model::fault::Fault;
use crate::ports::{Content, FolderEntry};

use super::hashing;
use super::words;
pub use header::{Claim, Header};
pub use layouts::Format;
pub use order::{Order, check, leading_number};
pub use stamp::{Stamp, stamps};

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
    pub format: Format,
    /// In running order.
    pub files: Vec<MigrationFile>,
    /// Why it may not run as it is.
    pub problems: Vec<String>,
    /// What is left out rightly, and worth a word.
    pub notes: Vec<String>,
}

/// How a folder is read.
#[derive(Debug, Clone, Copy, Default)]
pub struct Way<'a> {
    /// `None`: Stagecraft's own, unless it plainly is another tool's.
    pub format: Option<Format>,
    pub order: Order,
    pub pattern: Option<&'a str>,
}

/// Reads a folder of this machine; `shown` is its name in messages.
///
/// # Errors
/// There is no such folder, or something in it cannot be read.
pub fn read(folder: &Path, shown: &str, way: &Way<'_>) -> Result<Folder, Fault> {
    let format = way.format.unwrap_or_default();
    Ok(of(all(folder, shown, format)?, shown, way))
}

/// Whether a folder plainly is another tool's, in words with the option to set.
#[must_use]
pub fn of_another_tool(folder: &Path, shown: &str) -> Option<String> {
    another(&all(folder, shown, Format::Raw).ok()?, shown)
}

/// What lies in a folder, and in its folders.
fn all(folder: &Path, shown: &str, format: Format) -> Result<Vec<FolderEntry>, Fault> {
    let mut found = entries(folder, "", shown, format)?;
    let inner: Vec<String> = found
        .iter()
        .filter(|entry| entry.content == Content::Folder && !entry.name.starts_with('.'))
        .map(|entry| entry.name.clone())
        .collect();
    for name in inner {
        match entries(&folder.join(&name), &format!("{name}/"), shown, format) {
            Ok(inside) => found.extend(inside),
            // Nothing in there would run.
            Err(_) if format == Format::Raw => {}
            Err(fault) => return Err(fault),
        }
    }
    Ok(found)
}

/// What lies in a folder and in its folders, as migrations.
#[must_use]
pub fn of(mut entries: Vec<FolderEntry>, shown: &str, way: &Way<'_>) -> Folder {
    entries.sort_by(|a, b| a.name.cmp(&b.name));
    let mut found = match way.format {
        None => {
            let hint = another(&entries, shown);
            let mut found = own(entries, shown, way.order);
            if let Some(hint) = hint {
                found.problems = vec![hint];
            }
            found
        }
        Some(Format::Raw) => own(entries, shown, way.order),
        Some(format) => layouts::read(format, &entries, shown),
    };
    found.problems.extend(unmatched(&found.files, way.pattern));
    found
}

/// Run as it is, such a folder would do what nobody meant.
fn another(entries: &[FolderEntry], shown: &str) -> Option<String> {
    let (formats, why) = layouts::guess(entries)?;
    let names: Vec<&str> = formats.iter().map(|format| format.label()).collect();
    let options: Vec<String> = names
        .iter()
        .map(|name| format!("`options: {{ format: {name} }}`"))
        .collect();
    Some(format!(
        "`{shown}` looks like the folder of {} ({why}): set {}, or `options: {{ format: raw }}` where its files are plain SQL all the same",
        names.join(" or "),
        options.join(" or "),
    ))
}

/// Stagecraft's own layout.
fn own(entries: Vec<FolderEntry>, shown: &str, order: Order) -> Folder {
    let mut found = Folder::default();
    let mut folders = vec![];
    for FolderEntry { name, content } in entries {
        if name.starts_with('.') || name.contains('/') {
            continue;
        }
        let path = format!("{shown}/{name}");
        if name.contains(char::REPLACEMENT_CHARACTER) {
            found.problems.push(format!(
                "`{shown}` holds a file whose name is not UTF-8: `{path}`"
            ));
            continue;
        }
        match content {
            Content::Folder => folders.push(name),
            Content::File(bytes) if name.ends_with(".sql") => one(bytes, &name, &path, &mut found),
            Content::Other if name.ends_with(".sql") => found.problems.push(format!(
                "`{path}` is a link or no regular file: put the file itself there"
            )),
            Content::File(_) | Content::Other => {
                if name.to_ascii_lowercase().ends_with(".sql") {
                    found.problems.push(format!(
                        "`{path}` does not run, because its suffix is not `.sql` in small letters: rename it"
                    ));
                }
            }
        }
    }
    if found.files.is_empty() && !folders.is_empty() {
        found.problems.push(format!(
            "`{shown}` holds only folders ({}); `.sql` files are read from its top level",
            words::list(&folders)
        ));
    }
    order.sort(&mut found.files);
    let problems = check(&found.files, order);
    found.problems.extend(problems);
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
    let mut found = vec![];
    for entry in std::fs::read_dir(folder).map_err(cannot)? {
        let path = entry.map_err(cannot)?.path();
        let name = path.file_name().unwrap_or_default();
        let name = format!("{prefix}{}", name.to_string_lossy());
        // Only what may be a migration is worth its bytes.
        let content = match (path.is_dir(), format.reads(&name)) {
            (true, _) => Content::Folder,
            (false, false) => Content::File(vec![]),
            (false, true) => Content::File(std::fs::read(&path).map_err(|error| {
                Fault::config(format!("cannot read `{shown}/{name}`")).caused_by(&error)
            })?),
        };
        found.push(FolderEntry { name, content });
    }
    Ok(found)
}

fn one(bytes: Vec<u8>, name: &str, shown: &str, found: &mut Folder) {
    let checksum = hashing::sha256(&bytes);
    let text = match utf8(&bytes, shown) {
        Ok(text) => text,
        Err(problem) => {
            found.problems.push(problem);
            return;
        }
    };
    let (header, problems) = Header::read(&text, shown);
    found.problems.extend(problems);
    let version = match leading_number(name) {
        Ok(version) => version,
        Err(problem) => {
            found.problems.push(format!("`{shown}`: {problem}"));
            None
        }
    };
    found.files.push(MigrationFile {
        name: name.to_owned(),
        shown: shown.to_owned(),
        text,
        checksum,
        version,
        header,
        tool: Tool::default(),
    });
}

/// The text of a file, without a byte order mark.
fn utf8(bytes: &[u8], shown: &str) -> Result<String, String> {
    match std::str::from_utf8(bytes) {
        Ok(text) if text.contains('\0') => {
            Err(format!("`{shown}` holds a zero byte: it is not SQL text"))
        }
        Ok(text) => Ok(text.trim_start_matches('\u{feff}').to_owned()),
        Err(error) => {
            let at = error.valid_up_to();
            let line = bytes[..at].iter().filter(|byte| **byte == b'\n').count() + 1;
            Err(format!(
                "`{shown}:{line}` is not UTF-8 (byte {at}): save it as UTF-8"
            ))
        }
    }
}

fn unmatched(files: &[MigrationFile], pattern: Option<&str>) -> Vec<String> {
    let Some(pattern) = pattern else {
        return vec![];
    };
    let regex = match Regex::new(pattern) {
        Ok(regex) => regex,
        Err(error) => {
            return vec![format!(
                "`files.pattern` is not a regular expression: {error}"
            )];
        }
    };
    files
        .iter()
        .filter(|file| !regex.is_match(&file.name))
        .map(|file| {
            format!(
                "`{}` does not match `files.pattern` `{pattern}`",
                file.shown
            )
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
        let found = read(dir.path(), "db", &Way::default()).expect("read");
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
        assert!(found.problems[0].contains("0003_c.SQL"));
    }

    #[test]
    fn an_empty_folder_has_nothing_to_run_and_a_missing_one_is_an_error() {
        let (dir, found) = folder(&[]);
        assert!(found.files.is_empty() && found.problems.is_empty());
        let missing = read(&dir.path().join("x"), "db/x", &Way::default());
        assert!(missing.is_err_and(|fault| fault.what.contains("`db/x`")));
    }

    #[test]
    fn a_byte_order_mark_is_not_sent_and_other_encodings_are_refused() {
        let (_dir, found) = folder(&[("1.sql", b"\xef\xbb\xbfselect 1"), ("2.sql", b"a\n'\xe9'")]);
        assert_eq!(found.files[0].text, "select 1");
        assert!(found.problems[0].starts_with("`db/2.sql:2` is not UTF-8"));
    }

    #[test]
    fn every_name_must_match_the_pattern() {
        let dir = tempfile::tempdir().expect("a folder");
        std::fs::write(dir.path().join("0001-A.sql"), "").expect("written");
        let found = read(
            dir.path(),
            "db",
            &Way {
                pattern: Some(r"^\d+_[a-z]+\.sql$"),
                ..Way::default()
            },
        )
        .expect("read");
        assert!(found.problems[0].contains("0001-A.sql"));
    }
}
