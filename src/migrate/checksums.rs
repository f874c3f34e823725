//! The repository's ledger of checksums: read, compared, and added to. Imports
//! `model::fault`. Adding an entry never touches another one, so creating a
//! migration cannot bless an edit of an old one.

use std::collections::BTreeMap;
use std::path::Path;

use serde::{Deserialize, Serialize};

use crate::model::fault::Fault;

use super::drift::Candidate;

const SCHEMA: &str = "1";
const ALGORITHM: &str = "sha256";

/// The file as it is stored; keys sorted.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Ledger {
    schema_version: String,
    algorithm: String,
    /// File name to the hash of its raw bytes.
    files: BTreeMap<String, String>,
    /// File name to the hash of its tokens.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    normalised: BTreeMap<String, String>,
}

impl Default for Ledger {
    fn default() -> Self {
        Self {
            schema_version: SCHEMA.to_owned(),
            algorithm: ALGORITHM.to_owned(),
            files: BTreeMap::new(),
            normalised: BTreeMap::new(),
        }
    }
}

/// Where ledger and files differ.
///
/// # Errors
/// The ledger is missing, cannot be read, or is of another kind.
pub fn check(path: &Path, files: &[Candidate]) -> Result<Vec<String>, Fault> {
    let ledger = read(path)?;
    let mut problems = vec![];
    for file in files {
        match ledger.files.get(&file.id) {
            None => problems.push(format!(
                "`{}` has no entry in the ledger `{}`: add it with {}",
                file.id,
                path.display(),
                file.checksum
            )),
            Some(known) if *known == file.checksum => {}
            Some(_)
                if ledger
                    .normalised
                    .get(&file.id)
                    .is_some_and(|hash| hash == file.normalised()) => {}
            Some(known) => problems.push(format!(
                "`{}` is not what the ledger `{}` says: expected {known}, found {}",
                file.id,
                path.display(),
                file.checksum
            )),
        }
    }
    for name in ledger.files.keys() {
        if !files.iter().any(|file| file.id == *name) {
            problems.push(format!(
                "the ledger `{}` names `{name}`, which does not exist",
                path.display()
            ));
        }
    }
    Ok(problems)
}

/// Adds one entry; an existing one of that name is an error.
///
/// # Errors
/// The ledger cannot be read or written, or names the file already.
pub fn add(path: &Path, name: &str, checksum: &str, normalised: &str) -> Result<(), Fault> {
    let mut ledger = match path.exists() {
        true => read(path)?,
        false => Ledger::default(),
    };
    if ledger.files.contains_key(name) {
        return Err(Fault::refused(format!(
            "the ledger `{}` names `{name}` already",
            path.display()
        )));
    }
    ledger.files.insert(name.to_owned(), checksum.to_owned());
    ledger
        .normalised
        .insert(name.to_owned(), normalised.to_owned());
    let mut text = serde_json::to_string_pretty(&ledger)
        .map_err(|error| Fault::internal("cannot write the ledger as JSON").caused_by(&error))?;
    text.push('\n');
    super::evidence::write_atomically(path, text.as_bytes())
}

fn read(path: &Path) -> Result<Ledger, Fault> {
    let cannot = || Fault::config(format!("cannot read the ledger `{}`", path.display()));
    let text = std::fs::read_to_string(path).map_err(|error| cannot().caused_by(&error))?;
    let ledger: Ledger = serde_json::from_str(&text).map_err(|error| cannot().caused_by(&error))?;
    if ledger.schema_version != SCHEMA || ledger.algorithm != ALGORITHM {
        return Err(cannot().because(format!(
            "it has schemaVersion `{}` and algorithm `{}`, expected `{SCHEMA}` and `{ALGORITHM}`",
            ledger.schema_version, ledger.algorithm
        )));
    }
    Ok(ledger)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::migrate::sql::Mode;
    use crate::model::project::MigrationStrategy;

    fn file(id: &str, checksum: &str) -> Candidate {
        Candidate {
            id: id.into(),
            version: None,
            checksum: checksum.into(),
            prefixes: vec!["n".into()],
            strategy: MigrationStrategy::PreDeploy,
            mode: Mode::Together,
            compat: crate::model::compat::Compat::Additive,
        }
    }

    #[test]
    fn missing_stale_and_edited_entries_are_all_named() {
        let dir = tempfile::tempdir().expect("a folder");
        let path = dir.path().join("checksums.json");
        let text =
            r#"{"schemaVersion":"1","algorithm":"sha256","files":{"a":"1","b":"2","z":"3"}}"#;
        std::fs::write(&path, text).expect("written");
        let problems =
            check(&path, &[file("a", "1"), file("b", "x"), file("c", "4")]).expect("read");
        assert_eq!(problems.len(), 3);
        assert!(
            problems[0].starts_with("`b` is not") && problems[0].contains("expected 2, found x")
        );
        assert!(problems[1].starts_with("`c` has no entry"));
        assert!(problems[2].contains("`z`, which does not exist"));
    }

    #[test]
    fn a_new_entry_leaves_the_others_as_they_are() {
        let dir = tempfile::tempdir().expect("a folder");
        let path = dir.path().join("checksums.json");
        add(&path, "b", "2", "n").expect("added");
        add(&path, "a", "1", "n").expect("added");
        assert!(add(&path, "a", "9", "n").is_err());
        let text = std::fs::read_to_string(&path).expect("there");
        assert!(text.ends_with("}\n") && text.find("\"a\"") < text.find("\"b\""));
        assert!(
            check(&path, &[file("a", "1"), file("b", "2")])
                .expect("read")
                .is_empty()
        );
    }

    #[test]
    fn a_ledger_of_another_kind_is_not_guessed_at() {
        let dir = tempfile::tempdir().expect("a folder");
        let path = dir.path().join("checksums.json");
        let text = r#"{"schemaVersion":"1","algorithm":"md5","files":{}}"#;
        std::fs::write(&path, text).expect("written");
        assert!(
            check(&path, &[])
                .expect_err("refused")
                .to_string()
                .contains("md5")
        );
    }
}
