//! MySQL and MariaDB on InnoDB, best effort: whether a change is INSTANT,
//! INPLACE or COPY depends on the version and on what the table is today. A
//! statement that says `ALGORITHM=` or `LOCK=` is believed: the server refuses
//! it where it is not so.

use crate::model::risk::{Blocks, Level, Lock, Work};

use super::super::ansi::Words;
use super::super::cursor::Cursor;
use super::super::{Product, Server};
use super::{Weighed, Weight, dropped, rows, verb};

/// How the server changes a table.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Algorithm {
    /// The dictionary alone.
    Instant,
    /// An index beside the table, others work on.
    Index,
    /// The table anew, others work on.
    Rebuild,
    /// The table anew, and nobody writes meanwhile.
    Copy,
}

const TOOL: &str =
    "change a large table with gh-ost or pt-online-schema-change, or outside of busy hours";

pub(super) fn of(server: Server, words: &Words<'_>) -> Weighed {
    let mut cursor = Cursor::new(words, 1);
    match verb(words).as_str() {
        "CREATE" => create(cursor),
        "ALTER" => {
            cursor.skip_any(&["ONLINE", "OFFLINE", "IGNORE"]);
            match cursor.skip(&["TABLE"]) {
                true => table(server, cursor),
                false => Weighed::default(),
            }
        }
        "DROP" => drop(cursor),
        "TRUNCATE" => {
            cursor.skip(&["TABLE"]);
            let name = cursor.name().unwrap_or_default();
            Weighed::of(
                Weight::new(
                    "truncating-a-table",
                    format!("deletes every row of `{name}`"),
                )
                .on(&name)
                .lock(Lock::Metadata)
                .level(Level::High),
            )
        }
        "RENAME" => {
            cursor.skip(&["TABLE"]);
            let old = cursor.name().unwrap_or_default();
            cursor.skip(&["TO"]);
            let new = cursor.name().unwrap_or_default();
            renamed(&old, &new)
        }
        "OPTIMIZE" => {
            cursor.skip_any(&["NO_WRITE_TO_BINLOG", "LOCAL", "TABLE"]);
            let name = cursor.name().unwrap_or_default();
            Weighed::of(weigh(
                "optimizing-a-table",
                format!("packs `{name}`"),
                &name,
                Algorithm::Rebuild,
            ))
        }
        "LOCK" => {
            cursor.skip_any(&["TABLES", "TABLE"]);
            let name = cursor.name().unwrap_or_default();
            Weighed::of(
                Weight::new(
                    "locking-a-table",
                    format!("locks `{name}` until the end of the file"),
                )
                .on(&name)
                .lock(Lock::Metadata),
            )
        }
        "UPDATE" | "DELETE" | "WITH" => rows::of(words, Lock::RowExclusive),
        _ => Weighed::default(),
    }
}

fn weigh(rule: &'static str, why: String, table: &str, algorithm: Algorithm) -> Weight {
    let (how, work, blocks) = match algorithm {
        Algorithm::Instant => ("INSTANT", Work::None, Blocks::ReadsAndWrites),
        Algorithm::Index => ("INPLACE", Work::BuildsIndex, Blocks::SchemaChanges),
        Algorithm::Rebuild => (
            "INPLACE, rebuilding it",
            Work::Rewrites,
            Blocks::SchemaChanges,
        ),
        Algorithm::Copy => ("COPY", Work::Rewrites, Blocks::Writes),
    };
    let weight = Weight::new(rule, format!("{why} ({how}, as far as can be told)"))
        .on(table)
        .lock(Lock::Metadata)
        .work(work)
        .blocks(blocks);
    match algorithm {
        Algorithm::Copy => weight.help(TOOL),
        Algorithm::Instant | Algorithm::Index | Algorithm::Rebuild => weight,
    }
}

fn renamed(old: &str, new: &str) -> Weighed {
    Weighed {
        weights: vec![
            Weight::new("renaming-table", format!("renames `{old}` to `{new}`"))
                .on(old)
                .lock(Lock::Metadata)
                .level(Level::Medium),
        ],
        renamed: vec![(old.to_owned(), new.to_owned())],
        ..Weighed::default()
    }
}

fn create(mut cursor: Cursor<'_>) -> Weighed {
    cursor.skip(&["OR", "REPLACE"]);
    let unique = cursor.skip(&["UNIQUE"]);
    let word = cursor.word();
    cursor.at += 1;
    match word.as_str() {
        "TABLE" | "TEMPORARY" => {
            cursor.skip(&["TABLE"]);
            cursor.skip_if();
            Weighed {
                made: cursor.name().into_iter().collect(),
                ..Weighed::default()
            }
        }
        "INDEX" | "FULLTEXT" | "SPATIAL" => {
            cursor.skip(&["INDEX"]);
            cursor.skip_if();
            let name = cursor.name().unwrap_or_default();
            let algorithm = match (word.as_str(), unique) {
                ("INDEX", _) => Algorithm::Index,
                _ => Algorithm::Copy,
            };
            cursor.at = cursor.find(&["ON"]).map_or(cursor.end, |at| at + 1);
            let table = cursor.name().unwrap_or_default();
            let why = format!("builds the index `{name}` of `{table}`");
            Weighed {
                weights: vec![weigh(
                    "creating-an-index",
                    why,
                    &table,
                    asked(&cursor, algorithm),
                )],
                indexes: vec![(name, table)],
                ..Weighed::default()
            }
        }
        _ => match cursor
            .find(&["TRIGGER"])
            .or((word == "TRIGGER").then_some(cursor.at))
        {
            Some(at) => {
                cursor.at = at;
                cursor.at = cursor.find(&["ON"]).map_or(cursor.end, |at| at + 1);
                let table = cursor.name().unwrap_or_default();
                Weighed::of(
                    Weight::new(
                        "creating-a-trigger",
                        format!("makes a trigger on `{table}`"),
                    )
                    .on(&table)
                    .lock(Lock::Metadata),
                )
            }
            None => Weighed::default(),
        },
    }
}

fn drop(mut cursor: Cursor<'_>) -> Weighed {
    cursor.skip(&["TEMPORARY"]);
    let mut behind = cursor;
    if behind.skip(&["INDEX"]) {
        behind.skip_if();
        let name = behind.name().unwrap_or_default();
        behind.skip(&["ON"]);
        let table = behind.name().unwrap_or_default();
        return Weighed::of(weigh(
            "ban-drop-index",
            format!("drops the index `{name}` of `{table}`"),
            &table,
            Algorithm::Instant,
        ));
    }
    dropped(&mut cursor, Lock::Metadata).unwrap_or_default()
}

/// Behind `ALTER TABLE`.
fn table(server: Server, mut cursor: Cursor<'_>) -> Weighed {
    cursor.skip_if();
    let name = cursor.name().unwrap_or_default();
    let whole = cursor;
    let parts = cursor.list().into_iter();
    parts.fold(Weighed::default(), |sum, part| {
        sum.and(action(server, part, &name, &whole))
    })
}

/// What the statement asks for goes before what is usual.
fn asked(whole: &Cursor<'_>, usual: Algorithm) -> Algorithm {
    let says = |words: [&str; 2]| {
        (whole.at..whole.end).any(|at| {
            whole.words.word(at) == words[0]
                && (whole.words.word(at + 1) == words[1]
                    || whole.words.raw(at + 1) == "=" && whole.words.word(at + 2) == words[1])
        })
    };
    if says(["ALGORITHM", "COPY"]) || says(["LOCK", "SHARED"]) || says(["LOCK", "EXCLUSIVE"]) {
        Algorithm::Copy
    } else if says(["ALGORITHM", "INSTANT"]) {
        Algorithm::Instant
    } else if usual == Algorithm::Copy && (says(["ALGORITHM", "INPLACE"]) || says(["LOCK", "NONE"]))
    {
        Algorithm::Rebuild
    } else {
        usual
    }
}

fn action(server: Server, mut cursor: Cursor<'_>, table: &str, whole: &Cursor<'_>) -> Weighed {
    let word = cursor.word();
    cursor.at += 1;
    let (rule, why, algorithm, level) = match word.as_str() {
        "ADD" => add(server, cursor, table),
        "DROP" => match cursor.word().as_str() {
            "INDEX" | "KEY" => (
                "ban-drop-index",
                format!("drops an index of `{table}`"),
                Algorithm::Instant,
                Level::Low,
            ),
            "FOREIGN" | "CONSTRAINT" | "CHECK" => (
                "ban-drop-constraint",
                format!("drops a constraint of `{table}`"),
                Algorithm::Instant,
                Level::Medium,
            ),
            "PRIMARY" => (
                "ban-drop-constraint",
                format!("drops the primary key of `{table}`"),
                Algorithm::Copy,
                Level::High,
            ),
            _ => {
                cursor.skip(&["COLUMN"]);
                cursor.skip_if();
                let column = cursor.part().unwrap_or_default();
                let instant =
                    server.is(Product::Mysql, (8, 1)) || server.is(Product::Mariadb, (10, 4));
                (
                    "ban-drop-column",
                    format!("drops the column `{table}.{column}`"),
                    if instant {
                        Algorithm::Instant
                    } else {
                        Algorithm::Rebuild
                    },
                    Level::High,
                )
            }
        },
        "MODIFY" | "CHANGE" => (
            "changing-column-type",
            format!("defines a column of `{table}` anew"),
            Algorithm::Copy,
            Level::Medium,
        ),
        "RENAME" if matches!(cursor.word().as_str(), "COLUMN" | "INDEX" | "KEY") => (
            "renaming-column",
            format!("renames a column or an index of `{table}`"),
            Algorithm::Instant,
            Level::Medium,
        ),
        "RENAME" => {
            cursor.skip_any(&["TO", "AS"]);
            return renamed(table, &cursor.name().unwrap_or_default());
        }
        "CONVERT" => (
            "converting-characters",
            format!("converts every text of `{table}`"),
            Algorithm::Copy,
            Level::Medium,
        ),
        "ENGINE" | "FORCE" | "ROW_FORMAT" | "KEY_BLOCK_SIZE" => (
            "altering-a-table",
            format!("writes `{table}` anew"),
            Algorithm::Rebuild,
            Level::Medium,
        ),
        "ALGORITHM" | "LOCK" | "WAIT" | "NOWAIT" => return Weighed::default(),
        "PARTITION" | "REORGANIZE" | "COALESCE" | "ORDER" | "TABLESPACE" => (
            "altering-a-table",
            format!("writes `{table}` anew"),
            Algorithm::Copy,
            Level::Medium,
        ),
        _ => (
            "altering-a-table",
            format!("alters `{table}`"),
            Algorithm::Instant,
            Level::Low,
        ),
    };
    Weighed::of(weigh(rule, why, table, asked(whole, algorithm)).level(level))
}

type Action = (&'static str, String, Algorithm, Level);

fn add(server: Server, mut cursor: Cursor<'_>, table: &str) -> Action {
    if cursor.skip(&["CONSTRAINT"]) && !cursor.word().is_empty() {
        let kind = ["PRIMARY", "UNIQUE", "FOREIGN", "CHECK"];
        if !kind.contains(&cursor.word().as_str()) {
            cursor.part();
        }
    }
    let word = cursor.word();
    match word.as_str() {
        "INDEX" | "KEY" | "UNIQUE" => (
            "creating-an-index",
            format!("builds an index of `{table}`"),
            Algorithm::Index,
            Level::Low,
        ),
        "FULLTEXT" | "SPATIAL" => (
            "creating-an-index",
            format!("builds an index of `{table}`"),
            Algorithm::Copy,
            Level::Low,
        ),
        "PRIMARY" => (
            "adding-serial-primary-key-field",
            format!("sorts `{table}` by its new primary key"),
            Algorithm::Rebuild,
            Level::Medium,
        ),
        "FOREIGN" => (
            "adding-foreign-key-constraint",
            format!("reads every row of `{table}` for a foreign key"),
            Algorithm::Copy,
            Level::Medium,
        ),
        "CHECK" => (
            "constraint-missing-not-valid",
            format!("reads every row of `{table}` for a check"),
            Algorithm::Copy,
            Level::Medium,
        ),
        "PARTITION" => (
            "altering-a-table",
            format!("adds a partition to `{table}`"),
            Algorithm::Instant,
            Level::Low,
        ),
        _ => {
            cursor.skip(&["COLUMN"]);
            cursor.skip_if();
            let name = cursor.part().unwrap_or_default();
            let placed = cursor.has(&["AFTER"]) || cursor.has(&["FIRST"]);
            let instant = match server.product {
                Product::Mariadb => server.version >= (10, 4),
                _ => server.version >= (8, 1) || server.version >= (8, 0) && !placed,
            };
            let (algorithm, what) = if cursor.has(&["STORED"]) || cursor.has(&["PERSISTENT"]) {
                (Algorithm::Copy, ", which is computed for every row")
            } else if cursor.has(&["AUTO_INCREMENT"]) {
                (Algorithm::Copy, ", which numbers every row")
            } else if instant {
                (Algorithm::Instant, "")
            } else {
                (Algorithm::Rebuild, "")
            };
            (
                "adding-a-column",
                format!("adds `{table}.{name}`{what}"),
                algorithm,
                Level::Low,
            )
        }
    }
}
