//! Constraints that a table gets after it was made: what old code writes may
//! break them.

use super::cursor::Cursor;
use super::{Effect, Keeps, Key, On, on};

/// `[CONSTRAINT name] UNIQUE …`, behind `ADD`.
pub(super) fn added(mut cursor: Cursor<'_>, table: &str) -> Vec<Effect> {
    let key = Key::table(table);
    let name = match cursor.skip(&["CONSTRAINT"]) {
        // MySQL lets the name out.
        true if !kind(&cursor.word()) => cursor.part(),
        true | false => None,
    };
    let called = name
        .as_ref()
        .map(|name| format!(" `{name}`"))
        .unwrap_or_default();
    let constraint = |keeps| {
        name.as_ref()
            .map(|name| Effect::MakesIndex(Key::other("index", name), keeps))
    };
    let word = cursor.word();
    cursor.at += 1;
    match word.as_str() {
        "UNIQUE" | "PRIMARY" => {
            let mut columns = cursor;
            while !columns.over() && columns.raw() != "(" {
                columns.at += 1;
            }
            let columns = columns.brackets().map(|list| plain_columns(&list, table));
            let what = match word.as_str() {
                "PRIMARY" => "adds a primary key".to_owned(),
                _ => format!("adds the unique constraint{called}"),
            };
            let mut effects = vec![Effect::breaks(
                On::Unique {
                    table: key,
                    columns: match word.as_str() {
                        "PRIMARY" => vec![],
                        _ => columns.unwrap_or_default(),
                    },
                },
                format!("{what} to `{table}`, which older code may write against"),
            )];
            effects.extend(constraint(Keeps::Unique));
            effects
        }
        "FOREIGN" => {
            let mut columns = cursor;
            while !columns.over() && columns.raw() != "(" {
                columns.at += 1;
            }
            let mut keys = vec![key];
            if let Some(list) = columns.brackets() {
                keys.extend(plain_columns(&list, table));
            }
            let mut effects = vec![Effect::breaks(
                On::Any(keys),
                format!(
                    "adds the foreign key{called} to `{table}`, which older code may write against"
                ),
            )];
            effects.extend(constraint(Keeps::Nothing));
            effects
        }
        "CHECK" => {
            let why =
                format!("adds the check{called} to `{table}`, which older code may write against");
            let mut effects = vec![match cursor.brackets() {
                Some(list) => Effect::breaks(checked(&list, table), why),
                None => Effect::breaks(on(key), why),
            }];
            effects.extend(constraint(Keeps::Nothing));
            effects
        }
        _ => vec![Effect::breaks(
            on(key),
            format!("adds a constraint{called} to `{table}`, which older code may write against"),
        )],
    }
}

fn kind(word: &str) -> bool {
    matches!(
        word,
        "UNIQUE" | "PRIMARY" | "FOREIGN" | "CHECK" | "EXCLUDE" | "NOT"
    )
}

/// The columns of a list of columns; none of a list with an expression.
pub(super) fn plain_columns(list: &Cursor<'_>, table: &str) -> Vec<Key> {
    let mut columns = vec![];
    for mut item in list.list() {
        let Some(column) = item.part() else {
            return vec![];
        };
        if item.raw() == "(" || item.raw() == "." || item.raw() == "::" {
            return vec![];
        }
        columns.push(Key::column(table, &column));
    }
    columns
}

/// A check that looks only at new columns, and lets them be empty, is passed
/// by older code.
pub(super) fn checked(list: &Cursor<'_>, table: &str) -> On {
    let mut columns = vec![];
    let mut at = *list;
    while !at.over() {
        if at.skip(&["NOT", "NULL"]) || at.skip(&["COALESCE"]) {
            return on(Key::table(table));
        }
        // What follows `::` is a type.
        if at.raw() == ":" || at.raw() == "::" {
            at.at += 1;
            while at.raw() == ":" {
                at.at += 1;
            }
            let _ = at.name();
            continue;
        }
        let word = at.word();
        let called = at.words.raw(at.at + 1) == "(";
        match at.part() {
            Some(_) if KEYWORDS.contains(&word.as_str()) || called => {}
            Some(column) => columns.push(Key::column(table, &column)),
            None => at.at += 1,
        }
    }
    let mut keys = On::All(columns);
    if let On::All(columns) = &keys
        && columns.is_empty()
    {
        keys = on(Key::table(table));
    }
    keys
}

const KEYWORDS: [&str; 22] = [
    "AND", "OR", "IN", "IS", "NULL", "NOT", "LIKE", "ILIKE", "BETWEEN", "TRUE", "FALSE", "ANY",
    "ALL", "ARRAY", "CASE", "WHEN", "THEN", "ELSE", "END", "SIMILAR", "TO", "DISTINCT",
];
