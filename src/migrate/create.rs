//! A new migration file, named in the style of its folder. Imports `model`.
//! An existing file is never overwritten, nothing is created in a folder that
//! is in violation already, and of the ledger only the new file's own entry is
//! written: so an edit of an old one is not blessed by the way.

use std::io::Write;
use std::path::{Path, PathBuf};

use chrono::{DateTime, Utc};

use crate::model::fault::Fault;
use crate::model::project::{MigrationSource, MigrationSpec};

use crate::model::complaint::{Complaint, Rule};
use crate::ports::Dialect;

use super::checksums::{self, Entry};
use super::engines::raw;
use super::files::Format;
use super::hashing;
use super::policy::{self, Dialects};
use super::sql;

/// Creates the file and returns its path.
///
/// # Errors
/// A name without letters or digits, a folder that cannot be written, a name
/// that the pattern does not allow; a folder that is in violation.
pub fn create(spec: &MigrationSpec, name: &str, now: DateTime<Utc>) -> Result<PathBuf, Fault> {
    let folder = folder(spec)?;
    foreign(spec)?;
    let words = slug(name)?;
    std::fs::create_dir_all(folder).map_err(|error| cannot(folder, &error))?;
    in_order(spec)?;
    let number = next(folder, now)?;
    let file = format!("{number}_{words}.sql");
    allowed(spec, &file)?;
    let path = folder.join(&file);
    let text = format!("-- {}\n\n", name.trim());
    let mut opened = std::fs::File::create_new(&path).map_err(|error| cannot(&path, &error))?;
    opened
        .write_all(text.as_bytes())
        .and_then(|()| opened.sync_all())
        .map_err(|error| cannot(&path, &error))?;
    if let Some(ledger) = checksums::path(spec) {
        let entry = Entry {
            name: file,
            checksum: hashing::sha256(text.as_bytes()),
            // A file of comments has the same hash in every dialect.
            normalised: sql::read(Dialect::Sqlite, &text).normalised(),
        };
        checksums::write(&ledger, &checksums::shown(spec, &ledger), &[entry], &[])?;
    }
    Ok(path)
}

/// The folder of the checkout that a new file belongs into.
///
/// # Errors
/// There is none.
pub fn folder(spec: &MigrationSpec) -> Result<&Path, Fault> {
    let Some(folder) = &spec.path else {
        return Err(Fault::config(format!(
            "engine `{}` has no folder of migration files",
            spec.engine
        )));
    };
    match spec.source {
        MigrationSource::Checkout => Ok(folder),
        MigrationSource::Image => Err(Fault::config(
            "the migrations are read out of the image: create the file where the image is built",
        )),
    }
}

/// A file of another tool's layout is begun by that tool.
fn foreign(spec: &MigrationSpec) -> Result<(), Fault> {
    let format = spec.options.get("format").cloned().unwrap_or_default();
    let format: Format = serde_json::from_value(format).unwrap_or_default();
    match format.creates_with() {
        None => Ok(()),
        Some(command) => Err(Fault::config(format!(
            "`migrate create` writes files of Stagecraft's own layout, and the folder has that of {}",
            format.label()
        ))
        .state("nothing was created")
        .hint(format!("begin the file with `{command}`"))),
    }
}

/// What another engine's files have to be like is that engine's to say.
fn in_order(spec: &MigrationSpec) -> Result<(), Fault> {
    if spec.engine != raw::ID {
        return Ok(());
    }
    let dialects = Dialects::Unknown;
    let read = policy::read(spec, dialects)?;
    // A file that waits for its statements is no reason, nor is the first one.
    let first = read.folder.files.is_empty();
    let stands = |complaint: &Complaint| {
        let waits = complaint.rule == Rule::Empty || (first && complaint.rule == Rule::Ledger);
        complaint.is_violation() && !waits
    };
    let all = policy::alone(&read, spec, &dialects);
    let mut violations = all.iter().filter(|complaint| stands(complaint)).peekable();
    if violations.peek().is_none() {
        return Ok(());
    }
    let what = format!("`{}` is in violation already", read.folder.shown);
    let fault = violations.fold(Fault::refused(what), |fault, complaint| {
        fault.because(complaint.to_string())
    });
    Err(fault
        .state("nothing was created")
        .hint("mend that first; see everything with `stagecraft migrate check`"))
}

fn cannot(path: &Path, error: &std::io::Error) -> Fault {
    Fault::config(format!("cannot create `{}`", path.display())).caused_by(error)
}

/// Small letters, digits and single underscores.
///
/// # Errors
/// There are no letters or digits.
pub fn slug(name: &str) -> Result<String, Fault> {
    let slug = name
        .to_lowercase()
        .split(|c: char| !c.is_ascii_alphanumeric())
        .filter(|part| !part.is_empty())
        .collect::<Vec<_>>()
        .join("_");
    match slug.is_empty() {
        true => Err(Fault::config(format!(
            "`{name}` is no name for a migration: it needs letters or digits, such as `add_notes`"
        ))),
        false => Ok(slug),
    }
}

/// The next number in the style of the newest file: a counter of the same
/// width, or this moment as 14 digits; always greater than every number there.
fn next(folder: &Path, now: DateTime<Utc>) -> Result<String, Fault> {
    let entries = std::fs::read_dir(folder).map_err(|error| cannot(folder, &error))?;
    let mut newest: Option<(i64, usize)> = None;
    for entry in entries {
        let entry = entry.map_err(|error| cannot(folder, &error))?;
        let name = entry.file_name();
        let Some(name) = name.to_str().filter(|name| name.ends_with(".sql")) else {
            continue;
        };
        let width = name.bytes().take_while(u8::is_ascii_digit).count();
        if let Ok(Some(number)) = super::files::leading_number(name) {
            newest = newest.max(Some((number, width)));
        }
    }
    let moment = |millis: bool| match millis {
        true => now.timestamp_millis(),
        false => now.format("%Y%m%d%H%M%S").to_string().parse().unwrap_or(0),
    };
    Ok(match newest {
        None => format!("{:014}", moment(false)),
        Some((number, width)) => {
            let number = match width {
                13 => moment(true).max(number + 1),
                14 => moment(false).max(number + 1),
                _ => number + 1,
            };
            format!("{number:0width$}")
        }
    })
}

fn allowed(spec: &MigrationSpec, file: &str) -> Result<(), Fault> {
    let Some(pattern) = &spec.pattern else {
        return Ok(());
    };
    let regex = regex::Regex::new(pattern).map_err(|error| {
        Fault::config("`files.pattern` is not a regular expression").caused_by(&error)
    })?;
    match regex.is_match(file) {
        true => Ok(()),
        false => Err(Fault::config(format!(
            "`{file}` would not match `files.pattern` `{pattern}`"
        ))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::migrate::test_support::spec;

    fn now() -> DateTime<Utc> {
        "2026-03-04T05:06:07Z".parse().expect("a time")
    }

    fn created(existing: &[&str], name: &str) -> Result<String, Fault> {
        let dir = tempfile::tempdir().expect("a folder");
        for file in existing {
            std::fs::write(dir.path().join(file), "").expect("written");
        }
        let path = create(&spec(dir.path()), name, now())?;
        let name = path.file_name().and_then(|name| name.to_str());
        Ok(name.expect("a name").to_owned())
    }

    #[test]
    fn a_new_file_follows_the_style_of_the_folder() {
        let name = |existing: &[&str]| created(existing, "Add  notes!").expect("created");
        assert_eq!(name(&[]), "20260304050607_add_notes.sql");
        assert_eq!(name(&["0041_a.sql", "0009_b.sql"]), "0042_add_notes.sql");
        assert_eq!(
            name(&["1700000000000_a.sql"]),
            "1772600767000_add_notes.sql"
        );
    }

    #[test]
    fn a_new_number_is_greater_than_every_other_even_when_the_clock_is_behind() {
        assert_eq!(
            created(&["20990101000000_a.sql"], "b").expect("created"),
            "20990101000001_b.sql"
        );
    }

    #[test]
    fn a_file_of_another_tools_layout_is_left_to_that_tool() {
        let dir = tempfile::tempdir().expect("a folder");
        let mut spec = spec(dir.path());
        spec.options.insert("format".into(), "goose".into());
        let fault = create(&spec, "b", now()).expect_err("refused");
        assert_eq!(fault.hints, ["begin the file with `goose create NAME sql`"]);
        assert!(
            std::fs::read_dir(dir.path())
                .expect("there")
                .next()
                .is_none()
        );
    }

    #[test]
    fn a_name_without_letters_is_refused() {
        assert!(created(&[], " -!- ").is_err());
    }

    /// C13: existing entries are compared first, and none is rewritten.
    #[test]
    fn an_edit_of_an_old_file_is_refused_and_not_blessed() {
        let dir = tempfile::tempdir().expect("a folder");
        let mut spec = spec(dir.path());
        let ledger = dir.path().join("checksums.json");
        spec.ledger = Some(ledger.clone());
        create(&spec, "a", now()).expect("created");
        let old = std::fs::read_to_string(&ledger).expect("there");
        let first = dir.path().join("20260304050607_a.sql");
        std::fs::write(&first, "select 'edited'").expect("written");
        let fault = create(&spec, "b", now()).expect_err("refused");
        assert_eq!(fault.kind, crate::model::fault::FaultKind::Refused);
        assert!(
            fault.causes[0].contains("20260304050607_a.sql"),
            "{fault:?}"
        );
        assert_eq!(std::fs::read_to_string(&ledger).expect("there"), old);
        assert_eq!(std::fs::read_dir(dir.path()).expect("a folder").count(), 2);
    }

    /// C10, C13.
    #[test]
    fn the_ledger_gets_one_entry_and_keeps_the_others() {
        let dir = tempfile::tempdir().expect("a folder");
        let mut spec = spec(dir.path());
        let ledger = dir.path().join("checksums.json");
        spec.ledger = Some(ledger.clone());
        create(&spec, "a", now()).expect("created");
        let old = std::fs::read_to_string(&ledger).expect("there");
        spec.ledger = None;
        create(&spec, "b", now()).expect("created: the ledger is there");
        let text = std::fs::read_to_string(&ledger).expect("there");
        assert!(text.contains("20260304050608_b.sql"), "{text}");
        let entry = old
            .lines()
            .find(|line| line.contains("_a.sql"))
            .expect("there");
        assert!(text.contains(entry.trim_end_matches(',')), "{text}");
    }
}
