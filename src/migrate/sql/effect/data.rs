//! Statements that change rows: what older code reads is another thing then.

use crate::ports::Dialect;

use super::super::ansi::Words;
use super::cursor::Cursor;
use super::{Effect, Key, On, always, body, on};

/// New rows hurt nobody; rows that were there are changed by an upsert.
pub(super) fn insert(dialect: Dialect, words: &Words<'_>) -> Vec<Effect> {
    let mut cursor = Cursor::new(words, 1);
    let verb = words.word(0);
    let upsert = verb == "REPLACE"
        || verb == "LOAD" && words.has(&["REPLACE"])
        || cursor.skip(&["OR", "REPLACE"])
        || words.has(&["DO", "UPDATE"])
        || words.has(&["DUPLICATE", "KEY", "UPDATE"]);
    let mut effects = changes_inside(words);
    if upsert {
        cursor.skip_any(&["OR", "IGNORE", "LOW_PRIORITY", "INTO"]);
        let table = cursor.name().unwrap_or_default();
        effects.push(Effect::unclear(
            on(Key::table(&table)),
            format!("changes rows of `{table}` that older code reads"),
        ));
    }
    effects.extend(body::calls(dialect, words));
    effects
}

/// Columns that older code does not know may be filled in.
pub(super) fn update(dialect: Dialect, words: &Words<'_>) -> Vec<Effect> {
    let mut cursor = Cursor::new(words, 1);
    cursor.skip_any(&["ONLY", "LOW_PRIORITY", "IGNORE", "OR", "ROLLBACK", "ABORT"]);
    let unclear = |what: &str| vec![Effect::unclear(always(), what)];
    let Some(table) = cursor.name() else {
        return unclear("changes rows");
    };
    let Some(set) = cursor.find(&["SET"]) else {
        return unclear("changes rows");
    };
    let between = cursor.over_range(cursor.at..set);
    if between.has(&["JOIN"]) || (between.at..between.end).any(|at| words.raw(at) == ",") {
        return unclear("changes rows of several tables");
    }
    cursor.at = set + 1;
    for word in ["WHERE", "FROM", "RETURNING", "ORDER", "LIMIT"] {
        if let Some(at) = cursor.find(&[word]) {
            cursor.end = at;
        }
    }
    let mut columns = vec![];
    for mut one in cursor.list() {
        match one.brackets() {
            Some(list) => columns.extend(list.list().into_iter().filter_map(|mut c| c.part())),
            None => columns.extend(one.name().map(|name| {
                let last = name.rsplit('.').next().unwrap_or_default();
                last.to_owned()
            })),
        }
    }
    let named = columns.join("`, `");
    let keys = columns.iter().map(|c| Key::column(&table, c)).collect();
    let mut effects = vec![Effect::unclear(
        On::All(keys),
        format!("changes `{named}` of rows of `{table}` that older code reads"),
    )];
    effects.extend(body::calls(dialect, words));
    effects
}

pub(super) fn delete(words: &Words<'_>) -> Vec<Effect> {
    let mut cursor = Cursor::new(words, 1);
    cursor.skip_any(&["LOW_PRIORITY", "QUICK", "IGNORE", "FROM", "ONLY"]);
    let table = cursor.name().unwrap_or_default();
    vec![Effect::breaks(
        on(Key::table(&table)),
        format!("removes rows of `{table}` that older code may read"),
    )]
}

/// A query by itself; `WITH` may hide a change, and a function may do one.
pub(super) fn query(dialect: Dialect, words: &Words<'_>) -> Vec<Effect> {
    let mut effects = changes_inside(words);
    effects.extend(body::calls(dialect, words));
    effects
}

fn changes_inside(words: &Words<'_>) -> Vec<Effect> {
    let changes = |at: usize| {
        let before = match at {
            0 => "(",
            _ => words.raw(at - 1),
        };
        // Not `ON DELETE`, `FOR UPDATE`, `DO UPDATE`.
        let verb = matches!(words.word(at).as_str(), "UPDATE" | "DELETE" | "MERGE");
        verb && (before == "(" || before == ")")
    };
    match (0..words.len()).any(changes) {
        true => vec![Effect::unclear(
            always(),
            "changes rows that older code reads",
        )],
        false => vec![],
    }
}
