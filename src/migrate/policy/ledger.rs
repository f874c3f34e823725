//! The ledger against the files. Only a command that names the file rewrites
//! an entry, so every difference here is somebody's doing.

use std::collections::HashSet;

use crate::migrate::checksums::Stored;
use crate::migrate::files::MigrationFile;
use crate::model::complaint::{Complaint, Rule, Weight};

/// Where ledger and files differ. `normalised` is asked only where a file's
/// bytes are not the entry's: the hashes that the file of this index may have.
#[must_use]
pub fn compare(
    stored: &Stored,
    files: &[MigrationFile],
    normalised: impl Fn(usize) -> Vec<String>,
) -> Vec<Complaint> {
    let mut found: Vec<Complaint> = files
        .iter()
        .enumerate()
        .filter_map(|(index, file)| one(stored, file, || normalised(index)))
        .collect();
    let there: HashSet<&str> = files.iter().map(|file| file.name.as_str()).collect();
    let gone = stored.names().filter(|name| !there.contains(name));
    found.extend(gone.map(|name| stale(stored, name)));
    if !stored.is_canonical() {
        found.push(
            Complaint::new(
                Weight::Warning,
                Rule::Ledger,
                &stored.shown,
                "it is not in the form that Stagecraft writes: entries in order, a line each, a newline at the end",
            )
            .hint("write it so with `stagecraft migrate check --write-ledger`"),
        );
    }
    found
}

fn one(
    stored: &Stored,
    file: &MigrationFile,
    normalised: impl Fn() -> Vec<String>,
) -> Option<Complaint> {
    let ledger = &stored.shown;
    let accept = format!(
        "`stagecraft migrate check --write-ledger --accept {}`",
        file.name
    );
    let Some(known) = stored.checksum(&file.name) else {
        return Some(
            Complaint::violation(
                Rule::Ledger,
                &file.shown,
                format!("it has no entry in the ledger `{ledger}`"),
            )
            .hint("add it with `stagecraft migrate check --write-ledger`"),
        );
    };
    if known == file.checksum {
        return None;
    }
    let touched = stored
        .normalised(&file.name)
        .is_some_and(|known| normalised().iter().any(|hash| hash == known));
    Some(if touched {
        Complaint::new(
            Weight::Note,
            Rule::Ledger,
            &file.shown,
            format!("only comments or layout are not what the ledger `{ledger}` says"),
        )
        .hint(format!("refresh its entry with {accept}"))
    } else {
        Complaint::violation(
            Rule::Ledger,
            &file.shown,
            format!(
                "it is not what the ledger `{ledger}` says: expected {known}, found {}",
                file.checksum
            ),
        )
        .hint(format!(
            "bring it back as it was; or, where it was never applied, rewrite its entry with {accept}"
        ))
    })
}

fn stale(stored: &Stored, name: &str) -> Complaint {
    let what = format!("it names `{name}`, which does not exist");
    let complaint = Complaint::violation(Rule::Ledger, &stored.shown, what).hint(format!(
        "bring the file back; or, where it was never applied, take its entry out with `stagecraft migrate check --write-ledger --accept {name}`"
    ));
    match stored.line(name) {
        Some(line) => complaint.on_line(line),
        None => complaint,
    }
}

/// There is no ledger at all.
pub(super) fn none(folder: &str) -> Complaint {
    Complaint::new(
        Weight::Note,
        Rule::Ledger,
        folder,
        "no ledger of checksums is kept: an edit shows only beside what was merged",
    )
    .hint("begin one with `stagecraft migrate check --write-ledger`")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::migrate::files::Header;

    fn file(name: &str, checksum: &str) -> MigrationFile {
        MigrationFile {
            name: name.into(),
            shown: format!("db/{name}"),
            text: String::new(),
            checksum: checksum.into(),
            version: None,
            header: Header::default(),
            tool: crate::migrate::files::Tool::default(),
        }
    }

    fn stored(text: &str) -> Stored {
        Stored::parse(text, "db/checksums.json").expect("a ledger")
    }

    /// C10, C11: missing entry, drift with expected and actual, stale entry.
    #[test]
    fn missing_stale_and_edited_entries_are_all_named() {
        let ledger = stored(
            "{\"schemaVersion\":\"1\",\"algorithm\":\"sha256\",\n\"files\":{\"a\":\"1\",\"b\":\"2\",\n\"z\":\"3\"}}",
        );
        let files = [file("a", "1"), file("b", "x"), file("c", "4")];
        let found = compare(&ledger, &files, |_| vec!["n".into()]);
        let places: Vec<String> = found.iter().map(Complaint::place).collect();
        assert_eq!(
            places,
            ["db/b", "db/c", "db/checksums.json:3", "db/checksums.json"]
        );
        assert!(found[0].what.contains("expected 2, found x"));
        assert!(found[1].what.contains("no entry"));
        assert!(found[2].what.contains("`z`, which does not exist"));
        assert_eq!(found[3].weight, Weight::Warning);
    }

    /// 5.12: what only touches comments or line endings is no edit.
    #[test]
    fn a_changed_comment_is_a_note_with_the_command_that_refreshes_it() {
        let ledger = stored(
            r#"{"schemaVersion":"1","algorithm":"sha256","files":{"a":"1"},"normalised":{"a":"n"}}"#,
        );
        let found = compare(&ledger, &[file("a", "2")], |_| vec!["m".into(), "n".into()]);
        assert_eq!(found[0].weight, Weight::Note);
        assert!(
            found[0]
                .hint
                .as_deref()
                .is_some_and(|hint| hint.contains("--accept a"))
        );
        let edited = compare(&ledger, &[file("a", "2")], |_| vec!["m".into()]);
        assert!(edited[0].is_violation());
    }
}
