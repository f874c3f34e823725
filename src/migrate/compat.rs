//! Judging the files of a folder: does a migration break code that runs on the
//! schema before it? Pure; imports `migrate::sql` and `model::compat`.
//!
//! All files are judged together, in their order, because it matters what made
//! the thing that a statement changes: what a file made itself hurts nobody,
//! and what an earlier file made hurts only code that knows that file.

use std::collections::{HashMap, HashSet};

use crate::model::compat::{Compat, Finding, Harm};

use super::files::{Claim, MigrationFile};
use super::sql::{Effect, Hurt, Keeps, Key, On, Script};

/// The longest text of a statement that is kept.
const SHOWN: usize = 120;

/// One judgement for each file.
#[must_use]
pub fn judge(files: &[MigrationFile], scripts: &[Script]) -> Vec<Compat> {
    let mut schema = Schema::default();
    files
        .iter()
        .zip(scripts)
        .enumerate()
        .map(|(at, (file, script))| one(&mut schema, files, at, file, script))
        .collect()
}

/// What the files have made so far, and which of them.
#[derive(Default)]
struct Schema {
    made: HashMap<Key, usize>,
    defaults: HashSet<Key>,
    indexes: HashMap<Key, (Keeps, usize)>,
}

/// A hurt that is one, with the file that made what it is done to.
struct Hit {
    statement: usize,
    hurt: Hurt,
    made_by: Option<usize>,
}

fn one(
    schema: &mut Schema,
    files: &[MigrationFile],
    at: usize,
    file: &MigrationFile,
    script: &Script,
) -> Compat {
    let mut hits: Vec<Hit> = vec![];
    let mut again: HashSet<Key> = HashSet::new();
    for (index, statement) in script.statements.iter().enumerate() {
        for effect in script.effects(statement) {
            if let Effect::Makes(key) | Effect::Renames(_, key) = &effect {
                again.insert(key.clone());
            }
            if let Some((hurt, made_by)) = schema.take(effect, at) {
                hits.push(Hit {
                    statement: index,
                    hurt,
                    made_by,
                });
            }
        }
    }
    let mut findings: Vec<Finding> = hits
        .into_iter()
        .map(|hit| finding(hit, files, file, script, &again))
        .collect();
    findings.extend(script.doubts.first().map(|doubt| Finding {
        harm: Harm::Unclear,
        file: file.shown.clone(),
        line: script.place(doubt.at).line,
        statement: String::new(),
        why: doubt.what.clone(),
        made_by: None,
        further: 0,
    }));
    let findings = gathered(findings);
    match file.header.compat {
        Some(Claim::Additive) => Compat::Declared { findings },
        Some(Claim::Breaking) => Compat::Breaking {
            findings: vec![Finding {
                harm: Harm::Breaks,
                file: file.shown.clone(),
                line: claimed_at(&file.text),
                statement: String::new(),
                why: "says of itself `compat=breaking`".to_owned(),
                made_by: None,
                further: 0,
            }],
        },
        None => Compat::of(findings),
    }
}

impl Schema {
    /// Follows an effect; a hurt comes back unless the file only hurts itself.
    fn take(&mut self, effect: Effect, at: usize) -> Option<(Hurt, Option<usize>)> {
        match effect {
            Effect::Makes(key) => {
                self.made.entry(key).or_insert(at);
                None
            }
            Effect::Renames(old, new) => {
                if let Some(by) = self.made.remove(&old) {
                    self.made.insert(new, by);
                }
                None
            }
            Effect::Defaults(key) => {
                self.defaults.insert(key);
                None
            }
            Effect::LosesDefault(key) => {
                self.defaults.remove(&key);
                None
            }
            Effect::MakesIndex(key, keeps) => {
                self.indexes.insert(key, (keeps, at));
                None
            }
            Effect::DropsIndex(key, name) => self.index_dropped(&key, &name, at),
            Effect::Hurts(hurt) => {
                let made_by = self.hit(&hurt.on, at);
                if let Some(key) = &hurt.drops
                    && self.made.get(key) != Some(&at)
                {
                    self.made.remove(key);
                }
                made_by.map(|made_by| (hurt, made_by))
            }
        }
    }

    /// `None`: nobody is hurt. Else the file without which nobody is.
    fn hit(&self, on: &On, at: usize) -> Option<Option<usize>> {
        let newest = |keys: &[Key]| keys.iter().filter_map(|key| self.maker(key)).max();
        let made_by = match on {
            On::Any(keys) => newest(keys),
            On::All(keys) => {
                let makers: Option<Vec<usize>> = keys.iter().map(|key| self.maker(key)).collect();
                makers.and_then(|makers| makers.into_iter().min())
            }
            On::Replaced(keys) => Some(newest(keys)?),
            On::Unique { table, columns } => {
                let empty = columns.iter().filter(|key| !self.defaults.contains(key));
                empty
                    .filter_map(|key| self.maker(key))
                    .chain(self.maker(table))
                    .max()
            }
            On::NotNull { column, .. } if self.defaults.contains(column) => return None,
            On::NotNull { table, .. } => self.maker(table),
        };
        (made_by != Some(at)).then_some(made_by)
    }

    /// A column that no file added came with its table.
    fn maker(&self, key: &Key) -> Option<usize> {
        let own = self.made.get(key).copied();
        own.or_else(|| self.made.get(&key.table_of_column()?).copied())
    }

    /// Rows are still found without an index; but what names its columns in
    /// `ON CONFLICT` needs a unique one.
    fn index_dropped(&mut self, key: &Key, name: &str, at: usize) -> Option<(Hurt, Option<usize>)> {
        let hurt = |harm, why: String| Hurt {
            harm,
            on: On::Any(vec![]),
            why,
            drops: None,
        };
        match self.indexes.remove(key) {
            Some((Keeps::Nothing, _)) => None,
            Some((Keeps::Unique, by)) if by == at => None,
            Some((Keeps::Unique, by)) => Some((
                hurt(
                    Harm::Breaks,
                    format!("drops `{name}`, which keeps values unique: older code may rely on it"),
                ),
                Some(by),
            )),
            None if loose(name) => None,
            None => Some((
                hurt(
                    Harm::Unclear,
                    format!("drops `{name}`, which may keep values unique"),
                ),
                None,
            )),
        }
    }
}

/// The names that servers and tools give to what only restricts writes. Those
/// of indexes say nothing: PostgreSQL itself ends a unique one in `_idx`.
fn loose(name: &str) -> bool {
    let name = name.to_ascii_lowercase();
    ["_fkey", "_fk", "_foreign", "_check", "_chk", "_not_null"]
        .iter()
        .any(|end| name.ends_with(end))
        || ["fk_", "chk_", "ck_"]
            .iter()
            .any(|start| name.starts_with(start))
}

fn finding(
    hit: Hit,
    files: &[MigrationFile],
    file: &MigrationFile,
    script: &Script,
    again: &HashSet<Key>,
) -> Finding {
    let Hurt {
        mut harm,
        mut why,
        drops,
        ..
    } = hit.hurt;
    if drops.is_some_and(|key| again.contains(&key)) {
        harm = Harm::Unclear;
        why += " and makes it anew; what changed cannot be told";
    }
    let statement = &script.statements[hit.statement];
    Finding {
        harm,
        file: file.shown.clone(),
        line: script.place(statement.range.start).line,
        statement: shown(script, hit.statement),
        why,
        made_by: hit.made_by.map(|by| files[by].name.clone()),
        further: 0,
    }
}

/// On one line, cut short, and without values where one could be a password.
pub(super) fn shown(script: &Script, index: usize) -> String {
    let text = script.one_line(&script.statements[index]);
    match text.char_indices().nth(SHOWN) {
        None => text,
        Some((end, _)) => format!("{} …", text[..end].trim_end()),
    }
}

/// The first of each kind stands for the rest.
fn gathered(findings: Vec<Finding>) -> Vec<Finding> {
    let mut kept: Vec<Finding> = vec![];
    for finding in findings {
        let same =
            |other: &&mut Finding| (other.harm, &other.made_by) == (finding.harm, &finding.made_by);
        match kept.iter_mut().find(same) {
            Some(first) => first.further += 1,
            None => kept.push(finding),
        }
    }
    kept
}

fn claimed_at(text: &str) -> usize {
    let line = text
        .lines()
        .position(|line| line.contains("compat=breaking"));
    line.unwrap_or_default() + 1
}

#[cfg(test)]
mod tests;
