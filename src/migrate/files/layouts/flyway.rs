//! Flyway: `V<version>__<name>.sql`; a version is numbers between dots or
//! underscores. CRC-32 of the lines, as a signed number.

use super::section::{Up, Wrong};
use super::{Beside, Label, Layout, Named};
use crate::migrate::crc32;

pub(super) struct Flyway;

impl Layout for Flyway {
    fn named(&self, name: &str) -> Named {
        let Some(stem) = name.strip_suffix(".sql") else {
            return Named::Other;
        };
        let (left, description) = stem.split_once("__").unwrap_or((stem, ""));
        match left.split_at_checked(1) {
            Some(("V", version)) => match numbers(version) {
                Some(order) => {
                    let single = match order.as_slice() {
                        [] => Some(0),
                        [one] => i64::try_from(*one).ok(),
                        _ => None,
                    };
                    Named::Migration(Label {
                        key: key(&order),
                        order: (order, String::new()),
                        version: single,
                        description: description.replace('_', " "),
                        when: 0,
                    })
                }
                None => Named::Wrong(format!("has a version that is no number: `{version}`")),
            },
            Some(("R", "")) => Named::Wrong(
                "is repeatable, and only Flyway runs those: make it a versioned migration, and a new one at each change".to_owned(),
            ),
            Some(("B", version)) if numbers(version).is_some() => Named::Wrong(
                "is a baseline, in the place of the migrations up to its version, and only Flyway runs those: move it out of the folder".to_owned(),
            ),
            Some(("U", version)) if numbers(version).is_some() => {
                Named::Note("undoes a migration: it is never run".to_owned())
            }
            _ => Named::Wrong(
                "is not named `V<version>__<name>.sql`: no migration, and callbacks are not run"
                    .to_owned(),
            ),
        }
    }

    fn inside(&self) -> Option<&'static str> {
        None
    }

    fn up(&self, text: &str) -> Result<Up, Wrong> {
        let placeholder = text.lines().enumerate().find_map(|(index, line)| {
            let code = line.split("--").next().unwrap_or_default();
            let (_, rest) = code.split_once("${")?;
            let (name, _) = rest.split_once('}')?;
            Some((index, name.to_owned()))
        });
        match placeholder {
            Some((index, name)) => Wrong::at(
                index,
                format!(
                    "has a placeholder, `${{{name}}}`, and placeholders are not filled in here: write the value into the file"
                ),
            ),
            None => Ok(Up::whole(text)),
        }
    }

    fn beside(&self, name: &str) -> Option<Beside> {
        Some((format!("{name}.conf"), without_transaction))
    }

    fn checksum(&self, _: &Label, bytes: &[u8]) -> String {
        let text = String::from_utf8_lossy(bytes);
        let text = text.strip_prefix('\u{feff}').unwrap_or(&text);
        let lines: String = text.split(['\n', '\r']).collect();
        crc32::crc32(lines.as_bytes()).cast_signed().to_string()
    }

    fn creates_with(&self) -> &'static str {
        "$EDITOR V<version>__NAME.sql"
    }
}

/// `1_02.0` as 1, 2: zeros at the end mean nothing.
fn numbers(version: &str) -> Option<Vec<u64>> {
    let parts = version.split(['.', '_']).map(|part| part.parse().ok());
    let mut numbers: Vec<u64> = parts.collect::<Option<_>>()?;
    while numbers.last() == Some(&0) {
        numbers.pop();
    }
    Some(numbers)
}

fn key(numbers: &[u64]) -> String {
    match numbers {
        [] => "0".to_owned(),
        numbers => numbers
            .iter()
            .map(u64::to_string)
            .collect::<Vec<_>>()
            .join("."),
    }
}

/// The version as Flyway writes it into its table: with its zeros.
pub(in crate::migrate) fn written(name: &str) -> String {
    let left = name.split_once("__").map_or(name, |(left, _)| left);
    left.strip_prefix('V').unwrap_or(left).replace('_', ".")
}

/// A version out of Flyway's table, as the keys of files are written.
pub(in crate::migrate) fn version_key(version: &str) -> String {
    numbers(version).map_or_else(|| version.to_owned(), |numbers| key(&numbers))
}

fn without_transaction(text: &str) -> Option<&'static str> {
    text.lines()
        .filter_map(|line| line.split_once('='))
        .any(|(key, value)| key.trim() == "executeInTransaction" && value.trim() == "false")
        .then_some("`executeInTransaction=false` beside the file")
}
