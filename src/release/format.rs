//! The bytes of `releases.json` and of its copies on hosts:
//! `{ "format": 1, "releases": [ … ] }`, oldest first, two spaces of indent.
//!
//! Later minor versions may add fields to the file and to a release, not
//! inside a release's parts: those are kept when an older version writes. What
//! a write does not touch goes back as it was read. A newer `format` is read
//! as far as it can be understood.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::model::fault::Fault;
use crate::model::release::{Release, ReleaseId};

/// The newest format that this version writes.
pub(super) const FORMAT: u64 = 1;

/// One environment's releases as the bytes that a host keeps.
#[must_use]
pub fn encode(releases: &[Release]) -> Vec<u8> {
    let mut file = File::default();
    for release in releases {
        file.put(release.clone());
    }
    file.render()
}

/// The releases of a host's copy.
///
/// # Errors
/// The copy is damaged.
pub fn decode(bytes: &[u8]) -> Result<Vec<Release>, Fault> {
    match File::parse(bytes) {
        Ok(file) => Ok(file.into_releases()),
        Err(damage) => Err(
            Fault::internal("the host's copy of the release history is damaged").because(damage.0),
        ),
    }
}

/// Whether this version may write over a copy with these bytes.
///
/// # Errors
/// `Refused` for a newer format; a damaged copy.
pub fn check_writable(bytes: &[u8]) -> Result<(), Fault> {
    match File::parse(bytes) {
        Ok(file) => file.check_writable("the host's copy of the release history"),
        Err(_) => decode(bytes).map(|_| ()),
    }
}

/// Why bytes are not a history.
#[derive(Debug)]
pub(super) struct Damage(pub(super) String);

/// A release and, while nobody changed it, how it was written.
#[derive(Debug, Clone)]
struct Entry {
    release: Release,
    raw: Option<Value>,
}

#[derive(Debug, Clone)]
pub(super) struct File {
    format: u64,
    entries: Vec<Entry>,
    /// Releases of a newer format that this version cannot read.
    unread: usize,
    extra: Map<String, Value>,
}

impl Default for File {
    fn default() -> Self {
        Self {
            format: FORMAT,
            entries: vec![],
            unread: 0,
            extra: Map::new(),
        }
    }
}

#[derive(Deserialize)]
struct Read {
    format: u64,
    releases: Vec<Value>,
    #[serde(flatten)]
    extra: Map<String, Value>,
}

/// The same, read strictly: only for the place of what is wrong.
#[derive(Deserialize)]
struct Typed {
    #[serde(rename = "releases")]
    _releases: Vec<Release>,
}

#[derive(Serialize)]
struct Write<'a> {
    format: u64,
    releases: Vec<Item<'a>>,
    #[serde(flatten)]
    extra: &'a Map<String, Value>,
}

#[derive(Serialize)]
#[serde(untagged)]
enum Item<'a> {
    AsItWas(&'a Value),
    Changed(&'a Release),
}

impl File {
    pub(super) fn parse(bytes: &[u8]) -> Result<Self, Damage> {
        if bytes.is_empty() {
            return Err(Damage("the file is empty".to_owned()));
        }
        let read: Read =
            serde_json::from_slice(bytes).map_err(|error| Damage(error.to_string()))?;
        if read.format == 0 {
            return Err(Damage("there is no format 0".to_owned()));
        }
        let mut file = Self {
            format: read.format,
            extra: read.extra,
            ..Self::default()
        };
        for raw in read.releases {
            match Release::deserialize(&raw) {
                Ok(release) => file.entries.push(Entry {
                    release,
                    raw: Some(raw),
                }),
                Err(_) if read.format > FORMAT => file.unread += 1,
                Err(error) => return Err(place_of(bytes, &raw, &error)),
            }
        }
        file.sort();
        Ok(file)
    }

    /// The releases that can still be read out of a damaged file.
    pub(super) fn salvage(bytes: &[u8]) -> Self {
        let mut file = Self::default();
        let text = String::from_utf8_lossy(bytes);
        let Some(mut rest) = text
            .split_once("\"releases\"")
            .and_then(|(_, rest)| rest.split_once('['))
            .map(|(_, rest)| rest)
        else {
            return file;
        };
        loop {
            rest = rest.trim_start_matches([' ', '\n', '\r', '\t', ',']);
            let mut items = serde_json::Deserializer::from_str(rest).into_iter::<Value>();
            let Some(Ok(raw)) = items.next() else {
                break;
            };
            rest = &rest[items.byte_offset()..];
            if let Ok(release) = Release::deserialize(&raw) {
                file.put(release);
            }
        }
        file
    }

    pub(super) fn render(&self) -> Vec<u8> {
        let write = Write {
            format: self.format,
            releases: self.entries.iter().map(Entry::item).collect(),
            extra: &self.extra,
        };
        let mut bytes = serde_json::to_vec_pretty(&write)
            .expect("a release has text keys only, so it can always be written as JSON");
        bytes.push(b'\n');
        bytes
    }

    /// Adds the release or takes it for the one of the same id and uuid.
    pub(super) fn put(&mut self, release: Release) {
        let place = self
            .entries
            .iter()
            .position(|entry| entry.release.id == release.id && entry.release.uuid == release.uuid);
        let entry = Entry { release, raw: None };
        match place {
            Some(place) => self.entries[place] = entry,
            None => self.entries.push(entry),
        }
        self.sort();
    }

    pub(super) fn releases(&self) -> impl Iterator<Item = &Release> {
        self.entries.iter().map(|entry| &entry.release)
    }

    pub(super) fn into_releases(self) -> Vec<Release> {
        self.entries
            .into_iter()
            .map(|entry| entry.release)
            .collect()
    }

    pub(super) fn by_id(&self, id: &ReleaseId) -> impl Iterator<Item = &Release> {
        self.releases().filter(move |release| release.id == *id)
    }

    /// What a reader should know: a newer format, releases left out.
    pub(super) fn note(&self) -> Option<String> {
        (self.format > FORMAT).then(|| {
            let left_out = match self.unread {
                0 => String::new(),
                1 => "; 1 release cannot be read by this version and is left out".to_owned(),
                more => {
                    format!("; {more} releases cannot be read by this version and are left out")
                }
            };
            format!(
                "the release history has format {}, this version knows {FORMAT}{left_out}",
                self.format
            )
        })
    }

    pub(super) fn check_writable(&self, place: &str) -> Result<(), Fault> {
        if self.format <= FORMAT {
            return Ok(());
        }
        Err(Fault::refused(format!(
            "{place} was written by a newer version of stagecraft"
        ))
        .because(format!(
            "it has format {}, this version writes format {FORMAT}",
            self.format
        ))
        .state("the history was read, nothing was written")
        .hint(
            "install the newer stagecraft here too: `stagecraft --version` shows which one this is",
        ))
    }

    fn sort(&mut self) {
        self.entries.sort_by(|a, b| {
            (&a.release.id, &a.release.uuid).cmp(&(&b.release.id, &b.release.uuid))
        });
    }
}

impl Entry {
    fn item(&self) -> Item<'_> {
        match &self.raw {
            Some(raw) => Item::AsItWas(raw),
            None => Item::Changed(&self.release),
        }
    }
}

fn place_of(bytes: &[u8], raw: &Value, error: &serde_json::Error) -> Damage {
    let reason = match serde_json::from_slice::<Typed>(bytes) {
        Err(placed) => placed.to_string(),
        Ok(_) => error.to_string(),
    };
    Damage(match raw.get("id").and_then(Value::as_str) {
        Some(id) => format!("release {id}: {reason}"),
        None => reason,
    })
}

#[cfg(test)]
mod tests {
    use super::super::samples;
    use super::*;

    #[test]
    fn what_was_encoded_is_decoded_again() {
        let releases = vec![samples::release(1), samples::release(2)];
        assert_eq!(decode(&encode(&releases)).expect("readable"), releases);
    }

    #[test]
    fn the_newest_release_stands_last_whatever_the_order_given() {
        let bytes = encode(&[samples::release(2), samples::release(1)]);
        let ids: Vec<_> = decode(&bytes)
            .expect("readable")
            .into_iter()
            .map(|release| release.id)
            .collect();
        assert_eq!(ids, [samples::release(1).id, samples::release(2).id]);
    }

    #[test]
    fn fields_of_a_later_version_survive_a_write_of_another_release() {
        let mut value: Value =
            serde_json::from_slice(&encode(&[samples::release(1)])).expect("JSON");
        value["written_by"] = "9.9".into();
        value["releases"][0]["signature"] = "abc".into();
        value["releases"][0]["phases"]["build"]["cache"] = "warm".into();
        let mut file = File::parse(value.to_string().as_bytes()).expect("readable");
        file.put(samples::release(2));
        let after: Value = serde_json::from_slice(&file.render()).expect("JSON");
        assert_eq!(after["written_by"], "9.9");
        assert_eq!(after["releases"][0], value["releases"][0]);
    }

    #[test]
    fn a_changed_release_keeps_the_fields_of_a_later_version() {
        let mut value: Value =
            serde_json::from_slice(&encode(&[samples::release(1)])).expect("JSON");
        value["releases"][0]["signature"] = "abc".into();
        let mut file = File::parse(value.to_string().as_bytes()).expect("readable");
        let mut release = file.releases().next().expect("one").clone();
        release.bad = true;
        file.put(release);
        let after: Value = serde_json::from_slice(&file.render()).expect("JSON");
        assert_eq!(after["releases"][0]["signature"], "abc");
        assert_eq!(after["releases"][0]["bad"], true);
    }

    #[test]
    fn a_newer_format_is_read_as_far_as_it_is_understood_and_never_written() {
        let mut value: Value =
            serde_json::from_slice(&encode(&[samples::release(1), samples::release(2)]))
                .expect("JSON");
        value["format"] = 2.into();
        value["releases"][1]["kind"] = "teleport".into();
        let bytes = value.to_string();
        assert_eq!(decode(bytes.as_bytes()).expect("readable").len(), 1);
        let fault = check_writable(bytes.as_bytes()).expect_err("newer");
        insta::assert_snapshot!(fault.to_string(), @"the host's copy of the release history was written by a newer version of stagecraft: it has format 2, this version writes format 1");
        let note = File::parse(bytes.as_bytes()).expect("readable").note();
        insta::assert_snapshot!(note.expect("a note"), @"the release history has format 2, this version knows 1; 1 release cannot be read by this version and is left out");
    }

    #[test]
    fn a_damaged_copy_says_where() {
        let cut = r#"{ "format": 1, "releases": [ {"id": "#;
        insta::assert_snapshot!(decode(cut.as_bytes()).expect_err("cut"), @"the host's copy of the release history is damaged: EOF while parsing a value at line 1 column 36");
        let mut value: Value =
            serde_json::from_slice(&encode(&[samples::release(1)])).expect("JSON");
        value["releases"][0]["outcome"] = "splendid".into();
        let bytes = serde_json::to_vec_pretty(&value).expect("JSON");
        insta::assert_snapshot!(decode(&bytes).expect_err("not an outcome"), @"the host's copy of the release history is damaged: release rel-20260114-101502001: unknown variant `splendid`, expected one of `open`, `done`, `failed`, `aborted` at line 45 column 27");
        assert!(decode(b"").is_err());
        assert!(check_writable(b"").is_err());
    }

    #[test]
    fn whole_releases_are_salvaged_from_a_file_that_was_cut() {
        let bytes = encode(&[
            samples::release(1),
            samples::release(2),
            samples::release(3),
        ]);
        let third = String::from_utf8_lossy(&bytes)
            .find(samples::release(3).id.as_str())
            .expect("the third release");
        let file = File::salvage(&bytes[..third + 30]);
        assert_eq!(
            file.into_releases(),
            [samples::release(1), samples::release(2)]
        );
        assert_eq!(File::salvage(b"\0\0\0").into_releases(), []);
    }
}
