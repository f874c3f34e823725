//! Drizzle: `meta/_journal.json` lists the files and their order; `-->
//! statement-breakpoint` ends a statement; SHA-256 of the whole file.

use std::collections::BTreeMap;

use serde::Deserialize;

use super::section::{Up, Wrong};
use super::{Beside, Label, Layout, Named, leading_number};
use crate::migrate::hashing;
use crate::model::complaint::{Complaint, Rule};
use crate::ports::Content;

pub(super) const JOURNAL: &str = "meta/_journal.json";
const BREAKPOINT: &str = "--> statement-breakpoint";

pub(super) struct Drizzle;

#[derive(Deserialize)]
struct Journal {
    entries: Vec<Entry>,
}

#[derive(Deserialize)]
struct Entry {
    /// Milliseconds; Drizzle runs what is newer than the newest it ran.
    when: i64,
    tag: String,
}

impl Layout for Drizzle {
    fn named(&self, name: &str) -> Named {
        let tag = name.strip_suffix(".sql").unwrap_or(name);
        Named::Migration(Label {
            key: tag.to_owned(),
            order: (vec![], name.to_owned()),
            version: leading_number(tag).ok().flatten(),
            description: String::new(),
            when: 0,
        })
    }

    fn inside(&self) -> Option<&'static str> {
        None
    }

    /// A piece between two breakpoints is a statement, with a semicolon or
    /// without.
    fn up(&self, text: &str) -> Result<Up, Wrong> {
        let mut pieces = text.split(BREAKPOINT);
        let mut whole = pieces.next().unwrap_or_default().to_owned();
        for piece in pieces {
            let ended = whole.trim_end().is_empty() || whole.trim_end().ends_with(';');
            whole.push(if ended { ' ' } else { ';' });
            whole.extend(std::iter::repeat_n(' ', BREAKPOINT.len() - 1));
            whole.push_str(piece);
        }
        Ok(Up::whole(&whole))
    }

    fn beside(&self, _: &str) -> Option<Beside> {
        None
    }

    fn checksum(&self, _: &Label, bytes: &[u8]) -> String {
        hashing::sha256(bytes)
    }

    fn creates_with(&self) -> &'static str {
        "drizzle-kit generate --custom --name NAME"
    }
}

/// The files that the journal lists; problems are its own, and what it would
/// make Drizzle skip.
pub(super) fn journal(
    contents: &BTreeMap<&str, &Content>,
    shown: &str,
    problems: &mut Vec<Complaint>,
) -> Vec<(String, Label)> {
    let place = format!("{shown}/{JOURNAL}");
    let bad = |what: String| Complaint::violation(Rule::Order, &place, what);
    let Some(Content::File(bytes)) = contents.get(JOURNAL) else {
        problems.push(bad("is missing: it lists the migrations".to_owned()));
        return vec![];
    };
    let journal: Journal = match serde_json::from_slice(bytes) {
        Ok(journal) => journal,
        Err(error) => {
            problems.push(bad(format!("is no journal of Drizzle: {error}")));
            return vec![];
        }
    };
    for pair in journal.entries.windows(2) {
        if pair[0].when >= pair[1].when {
            problems.push(bad(format!(
                "gives `{}` an earlier time (`when`) than `{}` before it, so Drizzle would never run it: correct the number",
                pair[1].tag, pair[0].tag
            )));
        }
    }
    let known = |name: &str| {
        journal
            .entries
            .iter()
            .any(|entry| name.strip_suffix(".sql") == Some(&entry.tag))
    };
    for name in contents.keys() {
        if name.ends_with(".sql") && !name.contains('/') && !name.starts_with('.') && !known(name) {
            let file = format!("{shown}/{name}");
            let what = format!("does not stand in `{place}`");
            problems.push(Complaint::violation(Rule::StrayFile, file, what));
        }
    }
    let listed = journal.entries.iter().enumerate().map(|(index, entry)| {
        let label = Label {
            key: entry.tag.clone(),
            order: (vec![index as u64], String::new()),
            version: leading_number(&entry.tag).ok().flatten(),
            description: String::new(),
            when: entry.when,
        };
        (format!("{}.sql", entry.tag), label)
    });
    listed.collect()
}
