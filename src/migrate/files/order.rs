//! The order of files by name, and where it would surprise. Imports
//! `model::complaint`.

use std::cmp::Ordering;
use std::collections::BTreeMap;

use serde::Deserialize;

use super::MigrationFile;
use crate::migrate::words;
use crate::model::complaint::{Complaint, Rule};

/// What decides the order of the files.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Order {
    /// The names, byte by byte.
    #[default]
    #[serde(rename = "lexicographic")]
    Text,
    /// Their leading numbers, then the names.
    Numeric,
}

impl Order {
    pub(super) fn sort(self, files: &mut [MigrationFile]) {
        files.sort_by(|a, b| match self {
            Order::Text => a.name.cmp(&b.name),
            Order::Numeric => numeric(a, b),
        });
    }

    /// Which of two names runs first.
    #[must_use]
    pub fn compare(self, a: &str, b: &str) -> Ordering {
        let key = |name: &str| {
            let number = leading_number(name).ok().flatten();
            (number.is_none(), number)
        };
        match self {
            Order::Text => a.cmp(b),
            Order::Numeric => key(a).cmp(&key(b)).then_with(|| a.cmp(b)),
        }
    }
}

fn numeric(a: &MigrationFile, b: &MigrationFile) -> Ordering {
    (a.version.is_none(), a.version, &a.name).cmp(&(b.version.is_none(), b.version, &b.name))
}

/// The digits that a name begins with.
///
/// # Errors
/// More than a 64-bit integer holds.
pub fn leading_number(name: &str) -> Result<Option<i64>, String> {
    let digits: &str = &name[..name.bytes().take_while(u8::is_ascii_digit).count()];
    if digits.is_empty() {
        return Ok(None);
    }
    digits
        .parse()
        .map(Some)
        .map_err(|_| format!("its number {digits} does not fit in 64 bits"))
}

/// Numbers that stand twice, and text order that is not the order of the
/// numbers.
#[must_use]
pub fn check(files: &[MigrationFile], order: Order) -> Vec<Complaint> {
    let mut problems = twice(files);
    if order == Order::Text {
        let swapped = files
            .windows(2)
            .find(|pair| pair[0].version > pair[1].version && pair[1].version.is_some());
        if let Some([first, second]) = swapped {
            let what = format!(
                "by name `{}` runs before `{}`, by number it would be the other way round",
                first.name, second.name
            );
            problems.push(
                Complaint::violation(Rule::Order, &first.shown, what)
                    .hint("give all numbers the same width, or set `options: { order: numeric }`"),
            );
        }
    }
    problems
}

fn twice(files: &[MigrationFile]) -> Vec<Complaint> {
    let mut numbers: BTreeMap<i64, Vec<&MigrationFile>> = BTreeMap::new();
    for file in files {
        if let Some(version) = file.version {
            numbers.entry(version).or_default().push(file);
        }
    }
    numbers
        .into_iter()
        .filter_map(|(number, files)| {
            let (last, _) = files
                .split_last()
                .filter(|(_, others)| !others.is_empty())?;
            let names: Vec<&str> = files.iter().map(|file| file.name.as_str()).collect();
            let what = format!(
                "the number {number} stands {} times ({})",
                names.len(),
                words::list(&names)
            );
            Some(
                Complaint::violation(Rule::Number, &last.shown, what)
                    .hint("give the newer one that is not applied anywhere the next free number"),
            )
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn files(names: &[&str], order: Order) -> Vec<MigrationFile> {
        let mut files: Vec<MigrationFile> = names
            .iter()
            .map(|name| MigrationFile {
                name: (*name).to_owned(),
                shown: (*name).to_owned(),
                text: String::new(),
                checksum: String::new(),
                version: leading_number(name).expect("fits"),
                header: crate::migrate::files::Header::default(),
                tool: crate::migrate::files::Tool::default(),
            })
            .collect();
        order.sort(&mut files);
        files
    }

    #[test]
    fn numbers_of_different_width_are_refused_unless_numeric_order_is_asked_for() {
        let names = ["9_a.sql", "10_b.sql", "zz.sql"];
        let text = files(&names, Order::Text);
        assert_eq!(text[0].name, "10_b.sql");
        let found = check(&text, Order::Text).remove(0);
        assert!(found.to_string().contains("order: numeric"), "{found}");
        let numeric = files(&names, Order::Numeric);
        assert_eq!(numeric[0].name, "9_a.sql");
        assert!(check(&numeric, Order::Numeric).is_empty());
    }

    #[test]
    fn a_number_that_stands_twice_is_refused_in_any_order() {
        let found = files(&["0042_a.sql", "42_b.sql", "0043_c.sql"], Order::Numeric);
        let problems = check(&found, Order::Numeric);
        assert_eq!(problems.len(), 1);
        assert!(problems[0].what.contains("the number 42 stands 2 times"));
    }

    #[test]
    fn two_names_compare_as_their_files_are_sorted() {
        assert!(Order::Text.compare("9_a.sql", "10_b.sql").is_gt());
        assert!(Order::Numeric.compare("9_a.sql", "10_b.sql").is_lt());
        assert!(Order::Numeric.compare("zz.sql", "10_b.sql").is_gt());
    }

    #[test]
    fn a_number_may_have_as_many_digits_as_64_bits_hold() {
        assert_eq!(
            leading_number("20260101123456789_x.sql"),
            Ok(Some(20_260_101_123_456_789))
        );
        assert!(leading_number("99999999999999999999_x.sql").is_err());
        assert_eq!(leading_number("x1.sql"), Ok(None));
    }
}
