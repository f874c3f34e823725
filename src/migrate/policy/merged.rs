//! The files against what was merged: a migration on the main branch may be
//! applied anywhere, so it stays as it is, and a new one comes after it.

use std::collections::{BTreeMap, HashMap, HashSet};

use crate::migrate::files::{Folder, MigrationFile, leading_number};
use crate::model::complaint::{Complaint, Rule, Weight};

use super::texts::Dialects;

/// What the main branch holds of a folder.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Base {
    /// As messages name it: `origin/main`.
    pub name: String,
    /// The commit at which this checkout left it.
    pub commit: String,
    /// The files of that commit.
    pub merged: Vec<String>,
    /// Those of them that are others now, or gone, with what they were.
    pub changed: BTreeMap<String, Vec<u8>>,
    /// The files of the branch's newest commit.
    pub newest: Vec<String>,
}

#[must_use]
pub(super) fn compare(base: &Base, folder: &Folder, dialects: &Dialects) -> Vec<Complaint> {
    let files: HashMap<&str, &MigrationFile> = folder
        .files
        .iter()
        .map(|file| (file.name.as_str(), file))
        .collect();
    let mut found = vec![];
    for (name, before) in base.changed.iter().filter(|(name, _)| migration(name)) {
        match files.get(name.as_str()) {
            Some(file) => found.extend(edited(base, file, before, dialects)),
            // One that is no text is objected to already.
            None if folder.unread.contains(name) => {}
            None => found.push(gone(base, folder, name)),
        }
    }
    found.extend(behind(base, folder));
    found
}

fn migration(name: &str) -> bool {
    name.ends_with(".sql") && !name.starts_with('.')
}

fn edited(
    base: &Base,
    file: &MigrationFile,
    before: &[u8],
    dialects: &Dialects,
) -> Option<Complaint> {
    let before = String::from_utf8_lossy(before);
    if before.trim_start_matches('\u{feff}') == file.text {
        return None;
    }
    if dialects.same(&before, &file.text) {
        return Some(Complaint::new(
            Weight::Note,
            Rule::Immutable,
            &file.shown,
            format!(
                "only comments or layout changed since it was merged into `{}`",
                base.name
            ),
        ));
    }
    Some(
        Complaint::violation(
            Rule::Immutable,
            &file.shown,
            format!(
                "it was merged into `{}` and is edited: where it is applied already, the edit never runs",
                base.name
            ),
        )
        .on_line(first_difference(&before, &file.text))
        .hint(bring_back(base, &file.shown)),
    )
}

fn gone(base: &Base, folder: &Folder, name: &str) -> Complaint {
    let shown = format!("{}/{name}", folder.shown);
    let what = format!(
        "it was merged into `{}` and is deleted or renamed",
        base.name
    );
    let hint = bring_back(base, &shown);
    Complaint::violation(Rule::Immutable, shown, what).hint(hint)
}

fn bring_back(base: &Base, shown: &str) -> String {
    format!(
        "bring it back with `git checkout {} -- {shown}`, and put the change into a new migration (`stagecraft migrate create NAME`)",
        base.commit
    )
}

fn first_difference(before: &str, now: &str) -> usize {
    let same = before
        .lines()
        .zip(now.lines())
        .take_while(|(before, now)| before == now);
    same.count() + 1
}

/// New files whose number is not after all merged ones: two branches that went
/// on from the same one.
fn behind(base: &Base, folder: &Folder) -> Vec<Complaint> {
    let known: HashSet<&str> = [&base.merged, &base.newest]
        .into_iter()
        .flatten()
        .map(String::as_str)
        .collect();
    let here: HashSet<&str> = folder.files.iter().map(|file| file.name.as_str()).collect();
    let order = |a: &str, b: &str| folder.order.compare(a, b);
    let merged = || base.newest.iter().filter(|name| migration(name));
    let Some(last) = merged().max_by(|a, b| order(a, b)) else {
        return vec![];
    };
    let elsewhere: HashMap<i64, &String> = merged()
        .filter(|name| !here.contains(name.as_str()))
        .filter_map(|name| Some((leading_number(name).ok().flatten()?, name)))
        .collect();
    let mut found = vec![];
    for file in &folder.files {
        if known.contains(file.name.as_str()) {
            continue;
        }
        let twin = file.version.and_then(|version| elsewhere.get(&version));
        let complaint = match twin {
            Some(twin) => Complaint::violation(
                Rule::Number,
                &file.shown,
                format!("`{}` has `{twin}` of the same number", base.name),
            ),
            // It runs after the rollout: others may overtake it.
            None if file.header.post || order(&file.name, last).is_gt() => continue,
            None => Complaint::violation(
                Rule::Order,
                &file.shown,
                format!(
                    "it is new, and `{last}` of `{}` runs after it: where that one is applied, this one would be out of order",
                    base.name
                ),
            ),
        };
        found.push(complaint.hint("give it a number after all merged ones"));
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::migrate::files::{Order, of};
    use crate::ports::{Content, FolderEntry};

    fn folder(files: &[(&str, &str)]) -> Folder {
        let entries = files
            .iter()
            .map(|(name, text)| FolderEntry {
                name: (*name).to_owned(),
                content: Content::File(text.as_bytes().to_vec()),
            })
            .collect();
        of(entries, "db", Order::Text, None)
    }

    fn base(names: &[&str], changed: &[(&str, &str)]) -> Base {
        let names: Vec<String> = names.iter().map(ToString::to_string).collect();
        Base {
            name: "origin/main".into(),
            commit: "abc123".into(),
            merged: names.clone(),
            newest: names,
            changed: changed
                .iter()
                .map(|(name, text)| ((*name).to_owned(), text.as_bytes().to_vec()))
                .collect(),
        }
    }

    fn found(base: &Base, files: &[(&str, &str)]) -> Vec<(String, &'static str)> {
        let complaints = compare(base, &folder(files), &Dialects::Unknown);
        let of = |complaint: &Complaint| {
            let weight = complaint.weight.label();
            (
                format!("{} {}", complaint.rule.label(), complaint.place()),
                weight,
            )
        };
        complaints.iter().map(of).collect()
    }

    /// C3, C42: merged migrations are immutable.
    #[test]
    fn an_edit_of_a_merged_file_is_a_violation_at_the_first_line_that_differs() {
        let base = base(&["1_a.sql"], &[("1_a.sql", "select 1;\nselect 2;")]);
        assert_eq!(
            found(&base, &[("1_a.sql", "select 1;\nselect 3;")]),
            [("immutable db/1_a.sql:2".to_owned(), "violation")]
        );
        assert_eq!(
            found(&base, &[("1_a.sql", "-- c\nselect 1;\nselect 2;")]),
            [("immutable db/1_a.sql".to_owned(), "note")]
        );
        assert_eq!(
            found(&base, &[]),
            [("immutable db/1_a.sql".to_owned(), "violation")]
        );
    }

    /// 5.25: numbers that two branches gave at once.
    #[test]
    fn a_new_file_comes_after_all_that_were_merged_meanwhile() {
        let mut base = base(&["1_a.sql"], &[]);
        base.newest.push("2_theirs.sql".into());
        let mine = |name| [("1_a.sql", "select 1"), (name, "select 1")];
        assert_eq!(
            found(&base, &mine("2_mine.sql")),
            [("number db/2_mine.sql".to_owned(), "violation")]
        );
        assert_eq!(found(&base, &mine("3_mine.sql")), []);
        base.newest.push("4_more.sql".into());
        assert_eq!(
            found(&base, &mine("3_mine.sql")),
            [("order db/3_mine.sql".to_owned(), "violation")]
        );
    }
}
