//! `CREATE …`: new things hurt nobody, except those that stand in the way of
//! what older code writes.

use crate::ports::Dialect;

use super::cursor::Cursor;
use super::{Effect, Keeps, Key, On, always, column, constraint, on};

const OBJECTS: [&str; 36] = [
    "TABLE",
    "VIEW",
    "INDEX",
    "FUNCTION",
    "PROCEDURE",
    "AGGREGATE",
    "TRIGGER",
    "EVENT",
    "RULE",
    "POLICY",
    "TYPE",
    "DOMAIN",
    "SEQUENCE",
    "SCHEMA",
    "DATABASE",
    "EXTENSION",
    "ROLE",
    "USER",
    "GROUP",
    "CAST",
    "OPERATOR",
    "COLLATION",
    "STATISTICS",
    "PUBLICATION",
    "SUBSCRIPTION",
    "SERVER",
    "LANGUAGE",
    "TEXT",
    "ACCESS",
    "CONVERSION",
    "TABLESPACE",
    "PACKAGE",
    "TRANSFORM",
    "FOREIGN",
    "PROPERTY",
    "RESOURCE",
];

pub(super) fn of(dialect: Dialect, mut cursor: Cursor<'_>) -> Vec<Effect> {
    let replaces = cursor.skip(&["OR", "REPLACE"]);
    let mut unique = false;
    // Before the kind stand words like UNIQUE, TEMPORARY, DEFINER = x@y.
    while !cursor.over() && !OBJECTS.contains(&cursor.word().as_str()) {
        unique |= cursor.word() == "UNIQUE";
        cursor.at += 1;
    }
    if cursor.word() == "FOREIGN" && cursor.ahead(1) == "TABLE" {
        cursor.at += 1;
    }
    let kind = cursor.word();
    cursor.at += 1;
    match kind.as_str() {
        "TABLE" => table(cursor, replaces),
        "VIEW" => view(dialect, cursor, replaces),
        "INDEX" => index(cursor, unique),
        "FUNCTION" | "PROCEDURE" | "AGGREGATE" | "PACKAGE" => routine(cursor, replaces),
        "TRIGGER" => trigger(cursor),
        "POLICY" => policy(cursor),
        "EVENT" | "RULE" | "SUBSCRIPTION" => vec![Effect::unclear(
            always(),
            format!(
                "makes a {}, which may change what older code does",
                kind.to_ascii_lowercase()
            ),
        )],
        "TYPE" | "DOMAIN" => {
            let name = cursor.name().unwrap_or_default();
            vec![Effect::Makes(Key::other("type", &name))]
        }
        "SEQUENCE" if !replaces => {
            cursor.skip_if();
            let name = cursor.name().unwrap_or_default();
            vec![Effect::Makes(Key::table(&name))]
        }
        "" => vec![Effect::unclear(
            always(),
            "makes something that cannot be told",
        )],
        _ if replaces => vec![Effect::unclear(
            always(),
            format!("replaces a {}", kind.to_ascii_lowercase()),
        )],
        _ => {
            let kind = kind.to_ascii_lowercase();
            cursor.skip_if();
            let name = cursor.name().unwrap_or_default();
            vec![Effect::Makes(Key::other(&kind, &name))]
        }
    }
}

fn table(mut cursor: Cursor<'_>, replaces: bool) -> Vec<Effect> {
    cursor.skip_if();
    let Some(name) = cursor.name() else {
        return vec![Effect::unclear(
            always(),
            "makes a table that cannot be told",
        )];
    };
    let mut effects = vec![];
    if replaces {
        effects.push(Effect::breaks(
            on(Key::table(&name)),
            format!("replaces the table `{name}`"),
        ));
    }
    effects.push(Effect::Makes(Key::table(&name)));
    if let Some(list) = cursor.brackets() {
        effects.extend(column::of_new_table(&list, &name));
    }
    effects
}

fn view(dialect: Dialect, mut cursor: Cursor<'_>, replaces: bool) -> Vec<Effect> {
    cursor.skip_if();
    let name = cursor.name().unwrap_or_default();
    let key = Key::table(&name);
    let mut effects = vec![];
    // PostgreSQL refuses to take a column away or to change its type.
    if replaces && dialect != Dialect::Postgres {
        effects.push(Effect::unclear(
            On::Replaced(vec![key.clone()]),
            format!("replaces the view `{name}`"),
        ));
    }
    effects.push(Effect::Makes(key));
    effects
}

fn index(mut cursor: Cursor<'_>, unique: bool) -> Vec<Effect> {
    cursor.skip(&["CONCURRENTLY"]);
    cursor.skip_if();
    let name = match cursor.word().as_str() {
        "ON" => String::new(),
        _ => cursor.name().unwrap_or_default(),
    };
    let keeps = match unique {
        true => Keeps::Unique,
        false => Keeps::Nothing,
    };
    let made = Effect::MakesIndex(Key::other("index", &name), keeps);
    if !unique {
        return vec![made];
    }
    if let Some(at) = cursor.find(&["ON"]) {
        cursor.at = at + 1;
    }
    cursor.skip(&["ONLY"]);
    let table = cursor.name().unwrap_or_default();
    while !cursor.over() && cursor.raw() != "(" {
        cursor.at += 1;
    }
    let columns = cursor
        .brackets()
        .map(|list| constraint::plain_columns(&list, &table))
        .unwrap_or_default();
    let equal = cursor.has(&["NULLS", "NOT", "DISTINCT"]);
    let why =
        format!("makes the unique index `{name}` on `{table}`, which older code may write against");
    let on = On::Unique {
        table: Key::table(&table),
        columns: match equal {
            true => vec![],
            false => columns,
        },
    };
    vec![Effect::breaks(on, why), made]
}

fn routine(mut cursor: Cursor<'_>, replaces: bool) -> Vec<Effect> {
    cursor.skip_if();
    let name = cursor.name().unwrap_or_default();
    let key = Key::other("routine", &name);
    let mut effects = vec![];
    if replaces {
        effects.push(Effect::unclear(
            On::Replaced(vec![key.clone()]),
            format!("replaces the function `{name}`, which older code may rely on"),
        ));
    }
    effects.push(Effect::Makes(key));
    effects
}

fn trigger(mut cursor: Cursor<'_>) -> Vec<Effect> {
    cursor.skip_if();
    let name = cursor.name().unwrap_or_default();
    let table = cursor.find(&["ON"]).and_then(|at| {
        let mut behind = cursor;
        behind.at = at + 1;
        behind.name()
    });
    let table = table.unwrap_or_default();
    vec![
        Effect::unclear(
            on(Key::table(&table)),
            format!(
                "makes the trigger `{name}`, which may refuse or change what older code writes to `{table}`"
            ),
        ),
        Effect::Makes(Key::other("trigger", &name)),
    ]
}

fn policy(mut cursor: Cursor<'_>) -> Vec<Effect> {
    let name = cursor.part().unwrap_or_default();
    cursor.skip(&["ON"]);
    let table = cursor.name().unwrap_or_default();
    let mut effects = vec![];
    if cursor.has(&["RESTRICTIVE"]) {
        effects.push(Effect::breaks(
            on(Key::table(&table)),
            format!("makes a policy that hides rows of `{table}`"),
        ));
    }
    effects.push(Effect::Makes(Key::other("policy", &name)));
    effects
}
