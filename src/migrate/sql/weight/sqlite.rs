//! SQLite: there is one lock, on the whole file, and it is held to the end of
//! the transaction. So only the work counts.

use crate::model::risk::{Level, Lock, Work};

use super::super::ansi::Words;
use super::super::cursor::Cursor;
use super::{Weighed, Weight, dropped, rows, verb};

pub(super) fn of(words: &Words<'_>) -> Weighed {
    let mut cursor = Cursor::new(words, 1);
    match verb(words).as_str() {
        "CREATE" => create(cursor),
        "ALTER" => alter(cursor),
        "DROP" => dropped(&mut cursor, Lock::File).unwrap_or_default(),
        "UPDATE" | "DELETE" | "WITH" => rows::of(words, Lock::File),
        "INSERT" | "REPLACE" => copied(cursor),
        "VACUUM" => Weighed::of(
            Weight::new("vacuum-full", "writes the whole file anew")
                .lock(Lock::File)
                .work(Work::Rewrites),
        ),
        "REINDEX" => {
            let name = cursor.name().unwrap_or_default();
            Weighed::of(
                Weight::new(
                    "require-concurrent-reindex",
                    format!("builds `{name}` anew"),
                )
                .on(&name)
                .lock(Lock::File)
                .work(Work::BuildsIndex),
            )
        }
        _ => Weighed::default(),
    }
}

fn create(mut cursor: Cursor<'_>) -> Weighed {
    cursor.skip_any(&["TEMP", "TEMPORARY", "UNIQUE", "VIRTUAL"]);
    let word = cursor.word();
    cursor.at += 1;
    cursor.skip_if();
    let Some(name) = cursor.name() else {
        return Weighed::default();
    };
    match word.as_str() {
        "TABLE" | "VIEW" => Weighed {
            made: vec![name],
            ..Weighed::default()
        },
        "INDEX" => {
            cursor.skip(&["ON"]);
            let table = cursor.name().unwrap_or_default();
            Weighed {
                weights: vec![
                    Weight::new(
                        "creating-an-index",
                        format!("builds the index `{name}` of `{table}`"),
                    )
                    .on(&table)
                    .lock(Lock::File)
                    .work(Work::BuildsIndex),
                ],
                indexes: vec![(name, table)],
                ..Weighed::default()
            }
        }
        _ => Weighed::default(),
    }
}

fn alter(mut cursor: Cursor<'_>) -> Weighed {
    cursor.skip(&["TABLE"]);
    let table = cursor.name().unwrap_or_default();
    let brief = |rule, why: String| Weight::new(rule, why).on(&table).lock(Lock::File);
    match cursor.word().as_str() {
        "DROP" => {
            cursor.at += 1;
            cursor.skip(&["COLUMN"]);
            let column = cursor.part().unwrap_or_default();
            Weighed::of(
                brief(
                    "ban-drop-column",
                    format!("drops the column `{table}.{column}`"),
                )
                .work(Work::Rewrites)
                .level(Level::High),
            )
        }
        "RENAME" if cursor.ahead(1) == "TO" => {
            cursor.at += 2;
            let new = cursor.name().unwrap_or_default();
            Weighed {
                weights: vec![
                    brief("renaming-table", format!("renames `{table}` to `{new}`"))
                        .level(Level::Medium),
                ],
                renamed: vec![(table.clone(), new)],
                ..Weighed::default()
            }
        }
        "RENAME" => Weighed::of(
            brief("renaming-column", format!("renames a column of `{table}`")).level(Level::Medium),
        ),
        "ADD" => Weighed::of(brief(
            "adding-a-column",
            format!("adds a column to `{table}`"),
        )),
        _ => Weighed::of(brief("altering-a-table", format!("alters `{table}`"))),
    }
}

/// `INSERT INTO t SELECT … FROM other`: how SQLite changes a table for good.
fn copied(mut cursor: Cursor<'_>) -> Weighed {
    let Some(select) = cursor.find(&["SELECT"]) else {
        return Weighed::default();
    };
    cursor.at = select;
    let Some(from) = cursor.find(&["FROM"]) else {
        return Weighed::default();
    };
    cursor.at = from + 1;
    let table = cursor.name().unwrap_or_default();
    Weighed::of(
        Weight::new("copying-rows", format!("copies the rows of `{table}`"))
            .on(&table)
            .lock(Lock::File)
            .work(Work::Rewrites),
    )
}
