//! `ALTER …`: a table action by action, everything else by its first words.

use super::cursor::Cursor;
use super::{Effect, Key, always, column, constraint, on};

pub(super) fn of(mut cursor: Cursor<'_>) -> Vec<Effect> {
    cursor.skip_any(&["ONLINE", "OFFLINE", "IGNORE", "FOREIGN"]);
    let kind = cursor.word();
    cursor.at += 1;
    match kind.as_str() {
        "TABLE" if cursor.word() == "ALL" && cursor.ahead(1) == "IN" => vec![],
        "TABLE" => table(cursor),
        "INDEX" | "STATISTICS" | "PUBLICATION" | "DEFAULT" | "TABLESPACE" => vec![],
        "MATERIALIZED" => {
            cursor.skip(&["VIEW"]);
            relation(cursor, "view")
        }
        "VIEW" => relation(cursor, "view"),
        "SEQUENCE" => relation(cursor, "sequence"),
        "TYPE" => kind_of(cursor),
        "DOMAIN" => domain(cursor),
        _ => {
            let kind = kind.to_ascii_lowercase();
            let moved = cursor.has(&["RENAME"]) || cursor.has(&["SET", "SCHEMA"]);
            let name = cursor.name().unwrap_or_default();
            let key = on(Key::other(&kind, &name));
            vec![match moved {
                true => Effect::breaks(key, format!("renames or moves the {kind} `{name}`")),
                false => Effect::unclear(
                    key,
                    format!("changes the {kind} `{name}` in a way that cannot be told"),
                ),
            }]
        }
    }
}

fn table(mut cursor: Cursor<'_>) -> Vec<Effect> {
    cursor.skip_if();
    cursor.skip(&["ONLY"]);
    let Some(name) = cursor.name() else {
        return vec![Effect::unclear(
            always(),
            "alters a table that cannot be told",
        )];
    };
    if cursor.raw() == "*" {
        cursor.at += 1;
    }
    cursor
        .list()
        .into_iter()
        .flat_map(|part| action(part, &name))
        .collect()
}

fn action(mut cursor: Cursor<'_>, table: &str) -> Vec<Effect> {
    let key = || on(Key::table(table));
    let unclear = |what: &str| vec![Effect::unclear(key(), format!("{what} `{table}`"))];
    let breaks = |what: &str| vec![Effect::breaks(key(), format!("{what} `{table}`"))];
    let word = cursor.word();
    cursor.at += 1;
    let next = cursor.word();
    match word.as_str() {
        "ADD" => add(cursor, table),
        "DROP" => drop(cursor, table),
        "ALTER" => match next.as_str() {
            "INDEX" => vec![],
            "CONSTRAINT" | "CHECK"
                if !cursor.has(&["ENFORCED"]) || cursor.has(&["NOT", "ENFORCED"]) =>
            {
                vec![]
            }
            "CONSTRAINT" | "CHECK" => breaks("enforces a constraint of"),
            _ => {
                cursor.skip(&["COLUMN"]);
                match cursor.part() {
                    Some(name) => column::altered(cursor, table, &name),
                    None => unclear("alters something of"),
                }
            }
        },
        "RENAME" => rename(cursor, table),
        "MODIFY" | "CHANGE" => redefined(cursor, table, &word),
        "SET" if next == "SCHEMA" => breaks("moves to another schema the table"),
        "NO" if next == "INHERIT" => breaks("takes from its parent the table"),
        "DETACH" => breaks("detaches a partition of"),
        "ENABLE" | "FORCE" if next == "ROW" => breaks("hides rows by policies of"),
        "DISABLE" if next == "ROW" || next == "KEYS" => vec![],
        "ENABLE" if next == "KEYS" => vec![],
        "ENABLE" | "DISABLE" => unclear("switches triggers or rules of"),
        "OWNER" => unclear("gives away, and with it rights on,"),
        "CONVERT" => unclear("converts the characters of"),
        "EXCHANGE" => unclear("exchanges a partition of"),
        "TRUNCATE" | "DISCARD" | "IMPORT" => breaks("removes rows of"),
        // Storage, statistics, options, partitions that only come to it.
        "SET" | "RESET" | "CLUSTER" | "VALIDATE" | "INHERIT" | "REPLICA" | "NO" | "ATTACH"
        | "OF" | "NOT" | "DEFAULT" | "ENGINE" | "AUTO_INCREMENT" | "COMMENT" | "ROW_FORMAT"
        | "ALGORITHM" | "LOCK" | "FORCE" | "ORDER" | "CHARACTER" | "CHARSET" | "COLLATE"
        | "PARTITION" | "REORGANIZE" | "COALESCE" | "WITH" | "WITHOUT" | "ANALYZE" | "CHECK"
        | "OPTIMIZE" | "REBUILD" | "KEY_BLOCK_SIZE" | "STATS_PERSISTENT" | "WAIT" | "NOWAIT" => {
            vec![]
        }
        _ => unclear("does something that cannot be told to"),
    }
}

fn add(mut cursor: Cursor<'_>, table: &str) -> Vec<Effect> {
    match cursor.word().as_str() {
        "INDEX" | "KEY" | "FULLTEXT" | "SPATIAL" => {
            cursor.skip_any(&["INDEX", "KEY", "FULLTEXT", "SPATIAL"]);
            cursor.skip_if();
            let name = cursor.part();
            name.map(|name| Effect::MakesIndex(Key::other("index", &name), super::Keeps::Nothing))
                .into_iter()
                .collect()
        }
        "PARTITION" => vec![],
        "SYSTEM" | "PERIOD" => vec![Effect::unclear(
            on(Key::table(table)),
            format!("makes `{table}` keep its history"),
        )],
        "CONSTRAINT" | "UNIQUE" | "PRIMARY" | "FOREIGN" | "CHECK" | "EXCLUDE" => {
            constraint::added(cursor, table)
        }
        "NOT" if cursor.ahead(1) == "NULL" => constraint::added(cursor, table),
        _ => {
            cursor.skip(&["COLUMN"]);
            match cursor.brackets() {
                Some(list) => list
                    .list()
                    .into_iter()
                    .flat_map(|one| column::added(one, table))
                    .collect(),
                None => column::added(cursor, table),
            }
        }
    }
}

fn drop(mut cursor: Cursor<'_>, table: &str) -> Vec<Effect> {
    let key = || on(Key::table(table));
    match cursor.word().as_str() {
        "CONSTRAINT" | "INDEX" | "KEY" => {
            cursor.at += 1;
            cursor.skip_if();
            let name = cursor.part().unwrap_or_default();
            vec![Effect::DropsIndex(Key::other("index", &name), name)]
        }
        "FOREIGN" | "CHECK" => vec![],
        "PRIMARY" => vec![Effect::breaks(
            key(),
            format!("drops the primary key of `{table}`"),
        )],
        "PARTITION" => vec![Effect::breaks(
            key(),
            format!("drops a partition of `{table}` with its rows"),
        )],
        "SYSTEM" | "PERIOD" => vec![Effect::breaks(
            key(),
            format!("drops the history of `{table}`"),
        )],
        _ => {
            cursor.skip(&["COLUMN"]);
            cursor.skip_if();
            match cursor.part() {
                Some(name) => vec![Effect::breaks(
                    on(Key::column(table, &name)),
                    format!("drops the column `{table}.{name}`"),
                )],
                None => vec![Effect::unclear(
                    key(),
                    format!("drops something of `{table}` that cannot be told"),
                )],
            }
        }
    }
}

fn rename(mut cursor: Cursor<'_>, table: &str) -> Vec<Effect> {
    if cursor.skip(&["CONSTRAINT"]) || cursor.skip(&["INDEX"]) || cursor.skip(&["KEY"]) {
        return vec![];
    }
    if cursor.skip(&["TO"]) || cursor.skip(&["AS"]) || cursor.end - cursor.at == 1 {
        let new = cursor.name().unwrap_or_default();
        // PostgreSQL keeps the schema.
        let new = match table.rsplit_once('.') {
            Some((schema, _)) if !new.contains('.') => format!("{schema}.{new}"),
            _ => new,
        };
        return renamed(table, &new);
    }
    cursor.skip(&["COLUMN"]);
    let old = cursor.part().unwrap_or_default();
    cursor.skip(&["TO"]);
    let new = cursor.part().unwrap_or_default();
    column_renamed(table, &old, &new)
}

fn renamed(old: &str, new: &str) -> Vec<Effect> {
    let key = Key::table(old);
    vec![
        Effect::drops(
            key.clone(),
            on(key.clone()),
            format!("renames `{old}` to `{new}`"),
        ),
        Effect::Renames(key, Key::table(new)),
    ]
}

fn column_renamed(table: &str, old: &str, new: &str) -> Vec<Effect> {
    let key = Key::column(table, old);
    vec![
        Effect::breaks(
            on(key.clone()),
            format!("renames the column `{table}.{old}` to `{new}`"),
        ),
        Effect::Renames(key, Key::column(table, new)),
    ]
}

/// MySQL: a column is written anew, and only the database knows how it was.
fn redefined(mut cursor: Cursor<'_>, table: &str, word: &str) -> Vec<Effect> {
    cursor.skip(&["COLUMN"]);
    cursor.skip_if();
    let old = cursor.part().unwrap_or_default();
    if word == "CHANGE" {
        let new = cursor.part().unwrap_or_default();
        if new != old {
            return column_renamed(table, &old, &new);
        }
    }
    vec![Effect::unclear(
        on(Key::column(table, &old)),
        format!("defines the column `{table}.{old}` anew"),
    )]
}

/// MySQL's `RENAME TABLE a TO b, c TO d`.
pub(super) fn rename_tables(mut cursor: Cursor<'_>) -> Vec<Effect> {
    if !cursor.skip(&["TABLE"]) && !cursor.skip(&["TABLES"]) {
        return vec![Effect::breaks(always(), "renames something")];
    }
    cursor.skip_if();
    cursor
        .list()
        .into_iter()
        .flat_map(|mut one| {
            let old = one.name().unwrap_or_default();
            one.skip(&["TO"]);
            renamed(&old, &one.name().unwrap_or_default())
        })
        .collect()
}

/// Views and sequences share their names with tables.
fn relation(mut cursor: Cursor<'_>, kind: &str) -> Vec<Effect> {
    cursor.skip_if();
    let name = cursor.name().unwrap_or_default();
    let key = on(Key::table(&name));
    if cursor.has(&["RENAME"]) || cursor.has(&["SET", "SCHEMA"]) {
        return vec![Effect::breaks(
            key,
            format!("renames or moves the {kind} `{name}`"),
        )];
    }
    match (kind, cursor.word().as_str()) {
        (_, "OWNER") | ("view", "SET" | "RESET" | "AS") => vec![Effect::unclear(
            key,
            format!("changes the {kind} `{name}` in a way that cannot be told"),
        )],
        _ => vec![],
    }
}

fn kind_of(mut cursor: Cursor<'_>) -> Vec<Effect> {
    let name = cursor.name().unwrap_or_default();
    let key = on(Key::other("type", &name));
    match (cursor.word().as_str(), cursor.ahead(1).as_str()) {
        ("ADD", "VALUE") => vec![],
        ("RENAME", "VALUE") => vec![Effect::breaks(
            key,
            format!("renames a value of the type `{name}`"),
        )],
        ("RENAME", _) | ("SET", "SCHEMA") => vec![Effect::breaks(
            key,
            format!("renames or moves the type `{name}` or a part of it"),
        )],
        ("ADD" | "DROP" | "ALTER", "ATTRIBUTE") => vec![Effect::breaks(
            key,
            format!("changes the attributes of the type `{name}`"),
        )],
        _ => vec![Effect::unclear(
            key,
            format!("changes the type `{name}` in a way that cannot be told"),
        )],
    }
}

fn domain(mut cursor: Cursor<'_>) -> Vec<Effect> {
    let name = cursor.name().unwrap_or_default();
    let key = on(Key::other("type", &name));
    match (cursor.word().as_str(), cursor.ahead(1).as_str()) {
        ("VALIDATE", _) | ("DROP", "NOT" | "CONSTRAINT") | ("SET", "DEFAULT") => vec![],
        ("RENAME", "CONSTRAINT") => vec![],
        _ => vec![Effect::breaks(key, format!("changes the domain `{name}`"))],
    }
}
