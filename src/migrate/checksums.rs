//! The repository's ledger of checksums: found, read, and written. Imports
//! `model`. An entry is only ever written by name: adding one never touches
//! another, so nothing blesses an edit by the way.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Deserializer, Serialize, de};

use crate::model::complaint::{Complaint, Rule};
use crate::model::fault::Fault;
use crate::model::project::{MigrationSource, MigrationSpec};

const SCHEMA: &str = "1";
const ALGORITHM: &str = "sha256";
/// Where it is when the configuration does not say.
const NAME: &str = "checksums.json";

/// The file as it is stored; names sorted.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Ledger {
    schema_version: String,
    algorithm: String,
    /// File name to the hash of its raw bytes.
    #[serde(deserialize_with = "unique")]
    files: BTreeMap<String, String>,
    /// File name to the hash of its tokens.
    #[serde(
        default,
        skip_serializing_if = "BTreeMap::is_empty",
        deserialize_with = "unique"
    )]
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

impl Ledger {
    fn render(&self) -> Result<String, Fault> {
        let text = serde_json::to_string_pretty(self).map_err(|error| {
            Fault::internal("cannot write the ledger as JSON").caused_by(&error)
        })?;
        Ok(text + "\n")
    }
}

/// A ledger that was read.
#[derive(Debug, Clone)]
pub struct Stored {
    /// As messages name it.
    pub shown: String,
    text: String,
    ledger: Ledger,
}

/// What an entry says of a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    pub name: String,
    /// SHA-256 of the raw bytes.
    pub checksum: String,
    /// SHA-256 of the tokens.
    pub normalised: String,
}

/// The ledger of a folder: the one that is configured, or one that lies in the
/// folder all the same.
#[must_use]
pub fn path(spec: &MigrationSpec) -> Option<PathBuf> {
    if spec.ledger.is_some() {
        return spec.ledger.clone();
    }
    // An image's folder is not this one.
    let here = spec.source == MigrationSource::Checkout;
    future_path(spec).filter(|path| here && path.is_file())
}

/// Where one would begin.
#[must_use]
pub fn future_path(spec: &MigrationSpec) -> Option<PathBuf> {
    let beside = || spec.path.as_ref().map(|folder| folder.join(NAME));
    spec.ledger.clone().or_else(beside)
}

/// As messages name it.
#[must_use]
pub fn shown(spec: &MigrationSpec, path: &Path) -> String {
    let inside = spec.path.as_ref().zip(spec.path_written.as_ref());
    match inside.and_then(|(folder, written)| {
        let rest = path.strip_prefix(folder).ok()?;
        Some(Path::new(written).join(rest))
    }) {
        Some(written) => written.display().to_string(),
        None => path.display().to_string(),
    }
}

/// # Errors
/// It is missing, cannot be read, or is of another kind.
pub fn read(path: &Path, shown: &str) -> Result<Stored, Complaint> {
    let text = std::fs::read_to_string(path).map_err(|error| {
        let complaint = unreadable(shown, &error.to_string());
        match error.kind() {
            std::io::ErrorKind::NotFound => {
                complaint.hint("begin it with `stagecraft migrate check --write-ledger`")
            }
            _ => complaint,
        }
    })?;
    Stored::parse(&text, shown)
}

fn unreadable(shown: &str, why: &str) -> Complaint {
    let what = format!("the ledger cannot be read: {why}");
    Complaint::violation(Rule::Ledger, shown, what)
}

impl Stored {
    /// # Errors
    /// Not a ledger, or one of another version.
    pub fn parse(text: &str, shown: &str) -> Result<Self, Complaint> {
        let ledger: Ledger = serde_json::from_str(text).map_err(|error| {
            let complaint = unreadable(shown, &error.to_string());
            complaint.at(error.line().max(1), error.column().max(1))
        })?;
        if ledger.schema_version != SCHEMA || ledger.algorithm != ALGORITHM {
            let why = format!(
                "it has schemaVersion `{}` and algorithm `{}`, expected `{SCHEMA}` and `{ALGORITHM}`",
                ledger.schema_version, ledger.algorithm
            );
            return Err(unreadable(shown, &why));
        }
        Ok(Self {
            shown: shown.to_owned(),
            text: text.to_owned(),
            ledger,
        })
    }

    #[must_use]
    pub fn checksum(&self, name: &str) -> Option<&str> {
        self.ledger.files.get(name).map(String::as_str)
    }

    #[must_use]
    pub fn normalised(&self, name: &str) -> Option<&str> {
        self.ledger.normalised.get(name).map(String::as_str)
    }

    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.ledger.files.keys().map(String::as_str)
    }

    /// Where an entry stands.
    #[must_use]
    pub fn line(&self, name: &str) -> Option<usize> {
        let quoted = serde_json::to_string(name).ok()?;
        let at = self.text.lines().position(|line| line.contains(&quoted));
        at.map(|index| index + 1)
    }

    /// It is what Stagecraft would write.
    #[must_use]
    pub fn is_canonical(&self) -> bool {
        self.ledger.render().is_ok_and(|text| text == self.text)
    }
}

/// Writes `entries`, takes out those of the names in `gone`, and leaves every
/// other one as it is. Makes the ledger where there is none.
///
/// # Errors
/// It cannot be read or written.
pub fn write(path: &Path, shown: &str, entries: &[Entry], gone: &[String]) -> Result<(), Fault> {
    let mut ledger = match path.exists() {
        true => {
            let stored = read(path, shown);
            let stored = stored.map_err(|complaint| Fault::refused(complaint.to_string()))?;
            stored.ledger
        }
        false => Ledger::default(),
    };
    for name in gone {
        ledger.files.remove(name);
        ledger.normalised.remove(name);
    }
    for entry in entries {
        let Entry {
            name,
            checksum,
            normalised,
        } = entry.clone();
        ledger.normalised.insert(name.clone(), normalised);
        ledger.files.insert(name, checksum);
    }
    super::evidence::write_atomically(path, ledger.render()?.as_bytes())
}

/// A map in which no name stands twice: of two entries that a merge left, JSON
/// would take the last.
fn unique<'de, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<BTreeMap<String, String>, D::Error> {
    struct Entries;

    impl<'de> de::Visitor<'de> for Entries {
        type Value = BTreeMap<String, String>;

        fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
            f.write_str("an object of file names and hashes")
        }

        fn visit_map<M: de::MapAccess<'de>>(self, mut map: M) -> Result<Self::Value, M::Error> {
            let mut entries = BTreeMap::new();
            while let Some((name, hash)) = map.next_entry::<String, String>()? {
                if entries.contains_key(&name) {
                    return Err(de::Error::custom(format!("`{name}` stands twice")));
                }
                entries.insert(name, hash);
            }
            Ok(entries)
        }
    }

    deserializer.deserialize_map(Entries)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(name: &str, checksum: &str) -> Entry {
        Entry {
            name: name.into(),
            checksum: checksum.into(),
            normalised: "n".into(),
        }
    }

    /// C10: the shape, names sorted, a newline at the end.
    #[test]
    fn a_new_entry_leaves_the_others_as_they_are() {
        let dir = tempfile::tempdir().expect("a folder");
        let path = dir.path().join("checksums.json");
        write(&path, "l", &[entry("b", "2")], &[]).expect("written");
        write(&path, "l", &[entry("a", "1")], &[]).expect("written");
        let text = std::fs::read_to_string(&path).expect("there");
        assert_eq!(
            text,
            "{\n  \"schemaVersion\": \"1\",\n  \"algorithm\": \"sha256\",\n  \"files\": {\n    \"a\": \"1\",\n    \"b\": \"2\"\n  },\n  \"normalised\": {\n    \"a\": \"n\",\n    \"b\": \"n\"\n  }\n}\n"
        );
        let stored = read(&path, "l").expect("read");
        assert!(stored.is_canonical());
        assert_eq!(stored.line("b"), Some(6));
        write(&path, "l", &[], &["a".into()]).expect("written");
        let stored = read(&path, "l").expect("read");
        assert_eq!(stored.names().collect::<Vec<_>>(), ["b"]);
    }

    /// C11: unreadable, wrong schemaVersion, wrong algorithm, files no object.
    #[test]
    fn a_ledger_of_another_kind_is_not_guessed_at() {
        for (text, why) in [
            (
                r#"{"schemaVersion":"1","algorithm":"md5","files":{}}"#,
                "md5",
            ),
            (
                r#"{"schemaVersion":"2","algorithm":"sha256","files":{}}"#,
                "`2`",
            ),
            (
                r#"{"schemaVersion":"1","algorithm":"sha256","files":[]}"#,
                "object",
            ),
            (
                r#"{"schemaVersion":"1","algorithm":"sha256","files":{"a":"1","a":"2"}}"#,
                "`a` stands twice",
            ),
            ("<<<<<<< HEAD", "expected value"),
        ] {
            let complaint = Stored::parse(text, "l").expect_err("refused");
            assert!(complaint.what.contains(why), "{complaint}");
        }
        let missing = read(Path::new("/nowhere/l"), "l").expect_err("missing");
        assert!(missing.to_string().contains("--write-ledger"));
    }

    #[test]
    fn a_ledger_that_lies_in_the_folder_counts_without_being_configured() {
        let dir = tempfile::tempdir().expect("a folder");
        let spec = crate::migrate::test_support::spec(dir.path());
        assert_eq!(path(&spec), None);
        let beside = dir.path().join("checksums.json");
        std::fs::write(&beside, "").expect("written");
        assert_eq!(path(&spec), Some(beside.clone()));
        assert_eq!(shown(&spec, &beside), "db/migrations/checksums.json");
    }
}
