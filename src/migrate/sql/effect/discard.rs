//! `DROP …` and `TRUNCATE`: what is gone, older code misses.

use super::cursor::Cursor;
use super::{Effect, Key, On, always, on};

pub(super) fn of(mut cursor: Cursor<'_>) -> Vec<Effect> {
    if cursor.skip(&["TEMPORARY"]) {
        return vec![];
    }
    cursor.skip_any(&["MATERIALIZED", "FOREIGN", "EVENT"]);
    let kind = cursor.word();
    cursor.at += 1;
    let word = kind.to_ascii_lowercase();
    match kind.as_str() {
        "TABLE" | "VIEW" | "SEQUENCE" => {
            cursor.skip_if();
            let gone = |name: String| {
                let key = Key::table(&name);
                Effect::drops(key.clone(), on(key), format!("drops the {word} `{name}`"))
            };
            cursor.names().into_iter().map(gone).collect()
        }
        "INDEX" => {
            cursor.skip(&["CONCURRENTLY"]);
            cursor.skip_if();
            let gone = |name: String| Effect::DropsIndex(Key::other("index", &name), name);
            cursor.names().into_iter().map(gone).collect()
        }
        "FUNCTION" | "PROCEDURE" | "ROUTINE" | "AGGREGATE" | "PACKAGE" => {
            guarded(cursor, "routine", "function")
        }
        "TRIGGER" => trigger(cursor),
        "POLICY" => guarded(cursor, "policy", "policy"),
        "RULE" => guarded(cursor, "rule", "rule"),
        "TYPE" | "DOMAIN" => {
            cursor.skip_if();
            let gone = |name: String| {
                let key = Key::other("type", &name);
                Effect::drops(key.clone(), on(key), format!("drops the {word} `{name}`"))
            };
            cursor.names().into_iter().map(gone).collect()
        }
        "STATISTICS" => vec![],
        "" => vec![Effect::breaks(always(), "drops something")],
        _ => {
            cursor.skip_if();
            let name = cursor.name().unwrap_or_default();
            vec![Effect::breaks(
                on(Key::other(&word, &name)),
                format!("drops the {word} `{name}`"),
            )]
        }
    }
}

/// `IF EXISTS` in front of the first `CREATE` drops nothing.
fn guarded(mut cursor: Cursor<'_>, kind: &str, word: &str) -> Vec<Effect> {
    let guarded = cursor.skip_if();
    let mut effects = vec![];
    for mut one in cursor.list() {
        let Some(name) = one.name() else { continue };
        let key = Key::other(kind, &name);
        let hit = match guarded {
            true => On::Replaced(vec![key.clone()]),
            false => on(key.clone()),
        };
        effects.push(Effect::drops(
            key,
            hit,
            format!("drops the {word} `{name}`"),
        ));
    }
    effects
}

fn trigger(mut cursor: Cursor<'_>) -> Vec<Effect> {
    let guarded = cursor.skip_if();
    let name = cursor.name().unwrap_or_default();
    let key = Key::other("trigger", &name);
    let mut keys = vec![key.clone()];
    if cursor.skip(&["ON"]) {
        keys.extend(cursor.name().map(|table| Key::table(&table)));
    }
    let hit = match guarded {
        true => On::Replaced(vec![key.clone()]),
        false => On::Any(keys),
    };
    vec![Effect::drops(
        key,
        hit,
        format!("drops the trigger `{name}`, which older code may rely on"),
    )]
}

pub(super) fn truncate(mut cursor: Cursor<'_>) -> Vec<Effect> {
    cursor.skip(&["TABLE"]);
    cursor.skip(&["ONLY"]);
    let names = cursor.names();
    if names.is_empty() {
        return vec![Effect::breaks(always(), "empties a table")];
    }
    let emptied = |name: String| {
        Effect::breaks(
            on(Key::table(&name)),
            format!("removes all rows of `{name}`"),
        )
    };
    names.into_iter().map(emptied).collect()
}
