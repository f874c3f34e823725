//! PostgreSQL's `CREATE …`: new things block nobody, except what they are
//! hung on.

use crate::model::risk::{Blocks, Lock, Work};

use super::super::cursor::Cursor;
use super::{Weighed, Weight, named};

const KINDS: [&str; 9] = [
    "TABLE",
    "INDEX",
    "VIEW",
    "TRIGGER",
    "RULE",
    "POLICY",
    "FUNCTION",
    "PROCEDURE",
    "SEQUENCE",
];

pub(super) fn of(mut cursor: Cursor<'_>) -> Weighed {
    let replaces = cursor.skip(&["OR", "REPLACE"]);
    let mut kind = cursor;
    while !kind.over() && !KINDS.contains(&kind.word().as_str()) && kind.raw() != "(" {
        kind.at += 1;
    }
    let materialized = cursor.word() == "MATERIALIZED";
    let word = kind.word();
    kind.at += 1;
    match word.as_str() {
        "TABLE" => table(kind),
        "INDEX" => index(kind),
        "VIEW" => view(kind, replaces && !materialized),
        "TRIGGER" => trigger(kind),
        "POLICY" => policy(kind),
        "RULE" => rule(kind),
        _ => Weighed::default(),
    }
}

fn table(mut cursor: Cursor<'_>) -> Weighed {
    cursor.skip_if();
    let Some(name) = cursor.name() else {
        return Weighed::default();
    };
    let mut weighed = Weighed {
        made: vec![name.clone()],
        ..Weighed::default()
    };
    if cursor.skip(&["PARTITION", "OF"]) {
        let parent = cursor.name().unwrap_or_default();
        weighed.weights.push(
            Weight::new(
                "creating-a-partition",
                format!("makes `{name}` a partition of `{parent}`"),
            )
            .on(&parent)
            .lock(Lock::AccessExclusive)
            .help(
                "make the table by itself, then `ALTER TABLE … ATTACH PARTITION`, which locks less",
            ),
        );
    }
    let mut at = cursor;
    while let Some(found) = next(&at, "REFERENCES") {
        at.at = found + 1;
        let target = at.name().unwrap_or_default();
        // To itself, or twice to the same table.
        let known = |weight: &Weight| weight.tables.contains(&target);
        if target == name || weighed.weights.iter().any(known) {
            continue;
        }
        weighed.weights.push(
            Weight::new(
                "adding-foreign-key-constraint",
                format!("makes the new `{name}` refer to `{target}`"),
            )
            .on(&target)
            .lock(Lock::ShareRowExclusive),
        );
    }
    weighed
}

/// In brackets too.
fn next(cursor: &Cursor<'_>, word: &str) -> Option<usize> {
    (cursor.at..cursor.end).find(|at| cursor.words.word(*at) == word)
}

fn index(mut cursor: Cursor<'_>) -> Weighed {
    let concurrently = cursor.skip(&["CONCURRENTLY"]);
    cursor.skip_if();
    let name = match cursor.word().as_str() {
        "ON" => String::new(),
        _ => cursor.name().unwrap_or_default(),
    };
    cursor.skip(&["ON"]);
    cursor.skip(&["ONLY"]);
    let table = cursor.name().unwrap_or_default();
    if cursor.skip(&["USING"]) {
        cursor.part();
    }
    let columns = cursor
        .brackets()
        .map(|list| named(&list))
        .unwrap_or_default();
    let weight = match concurrently {
        true => Weight::new(
            "index-built-apart",
            format!(
                "builds an index of `{table}` ({columns}); runs by itself, outside a transaction"
            ),
        )
        .lock(Lock::ShareUpdateExclusive),
        false => Weight::new(
            "require-concurrent-index-creation",
            format!("builds an index of `{table}` ({columns})"),
        )
        .lock(Lock::Share)
        .help("write `CREATE INDEX CONCURRENTLY`: it runs by itself, outside a transaction"),
    };
    Weighed {
        weights: vec![weight.on(&table).work(Work::BuildsIndex)],
        indexes: match name.as_str() {
            "" => vec![],
            _ => vec![(name, table)],
        },
        ..Weighed::default()
    }
}

fn view(mut cursor: Cursor<'_>, replaces: bool) -> Weighed {
    cursor.skip_if();
    let name = cursor.name().unwrap_or_default();
    match replaces {
        true => Weighed::of(
            Weight::new(
                "ban-replace-view-function",
                format!("replaces the view `{name}`"),
            )
            .on(&name)
            .lock(Lock::AccessExclusive),
        ),
        false => Weighed {
            made: vec![name],
            ..Weighed::default()
        },
    }
}

fn behind_on(mut cursor: Cursor<'_>) -> String {
    cursor.at = cursor.find(&["ON"]).map_or(cursor.end, |at| at + 1);
    cursor.name().unwrap_or_default()
}

fn trigger(mut cursor: Cursor<'_>) -> Weighed {
    cursor.skip_if();
    let table = behind_on(cursor);
    let name = cursor.name().unwrap_or_default();
    Weighed::of(
        Weight::new(
            "creating-a-trigger",
            format!("makes the trigger `{name}` on `{table}`"),
        )
        .on(&table)
        .lock(Lock::ShareRowExclusive),
    )
}

fn policy(mut cursor: Cursor<'_>) -> Weighed {
    let table = behind_on(cursor);
    let name = cursor.part().unwrap_or_default();
    Weighed::of(
        Weight::new(
            "ban-create-policy",
            format!("makes the policy `{name}` on `{table}`"),
        )
        .on(&table)
        .lock(Lock::AccessExclusive),
    )
}

fn rule(mut cursor: Cursor<'_>) -> Weighed {
    cursor.at = cursor.find(&["TO"]).map_or(cursor.end, |at| at + 1);
    let table = cursor.name().unwrap_or_default();
    Weighed::of(
        Weight::new("creating-a-rule", format!("makes a rule on `{table}`"))
            .on(&table)
            .lock(Lock::AccessExclusive)
            .blocks(Blocks::ReadsAndWrites),
    )
}
