//! PostgreSQL, statement by statement.

use crate::model::risk::{Blocks, Level, Lock, Work};

use super::super::ansi::Words;
use super::super::cursor::Cursor;
use super::{Scales, Weighed, Weight, alter, block, create, dropped, rows, verb};

pub(super) fn of(scales: Scales<'_>, words: &Words<'_>) -> Weighed {
    let mut cursor = Cursor::new(words, 1);
    match verb(words).as_str() {
        "CREATE" => match words.has(&["AS"]) && words.word(1) != "VIEW" {
            true => create::of(cursor).and(block::called(scales, words)),
            false => create::of(cursor),
        },
        "ALTER" => altered(scales, cursor),
        "DROP" => drop(cursor),
        "TRUNCATE" => truncate(cursor),
        "UPDATE" | "DELETE" => {
            rows::of(words, Lock::RowExclusive).and(block::called(scales, words))
        }
        "WITH" => rows::of(words, Lock::RowExclusive).and(block::called(scales, words)),
        "SELECT" | "CALL" | "INSERT" | "PERFORM" => block::called(scales, words),
        "DO" => block::of(scales, words),
        "LOCK" => lock(cursor),
        "REFRESH" => refresh(cursor),
        "REINDEX" => reindex(cursor),
        "CLUSTER" => {
            let table = cursor.name().unwrap_or_default();
            Weighed::of(rewritten("cluster", "sorts the rows of", &table))
        }
        "VACUUM" if words.has(&["FULL"]) => {
            cursor.brackets();
            cursor.skip_any(&["FULL", "FREEZE", "VERBOSE", "ANALYZE"]);
            let table = cursor.name().unwrap_or_default();
            Weighed::of(rewritten("vacuum-full", "packs", &table))
        }
        _ => Weighed::default(),
    }
}

fn rewritten(rule: &'static str, what: &str, table: &str) -> Weight {
    let (weight, table) = match table {
        "" => (
            Weight::new(rule, format!("{what} every table of the database")),
            None,
        ),
        table => (Weight::new(rule, format!("{what} `{table}`")), Some(table)),
    };
    let weight = weight
        .lock(Lock::AccessExclusive)
        .work(Work::Rewrites)
        .help("do it outside of migrations, with a tool that lets others work (pg_repack)");
    match table {
        Some(table) => weight.on(table),
        None => weight,
    }
}

fn altered(scales: Scales<'_>, mut cursor: Cursor<'_>) -> Weighed {
    let kind = cursor.word();
    cursor.at += 1;
    match kind.as_str() {
        "TABLE" if cursor.word() == "ALL" => Weighed::of(
            Weight::new(
                "setting-tablespace",
                "moves every table of a tablespace to another one",
            )
            .lock(Lock::AccessExclusive)
            .work(Work::Rewrites),
        ),
        "TABLE" => alter::table(scales, cursor),
        "INDEX" if cursor.has(&["SET", "TABLESPACE"]) => {
            cursor.skip_if();
            let name = cursor.name().unwrap_or_default();
            Weighed::of(
                Weight::new(
                    "setting-tablespace",
                    format!("moves the index `{name}` to another tablespace"),
                )
                .index(&name)
                .lock(Lock::AccessExclusive)
                .work(Work::Rewrites),
            )
        }
        "TYPE" => {
            let name = cursor.name().unwrap_or_default();
            let weight = match cursor.has(&["ADD", "VALUE"]) {
                true => Weight::new(
                    "ban-add-enum-value",
                    format!("adds a value to the type `{name}`"),
                ),
                false => Weight::new(
                    "altering-a-type",
                    format!("alters the type `{name}`: whatever is of it waits meanwhile"),
                )
                .lock(Lock::AccessExclusive)
                .blocks(Blocks::SchemaChanges)
                .level(Level::Medium),
            };
            Weighed::of(weight)
        }
        "DOMAIN"
            if cursor.has(&["ADD"]) && !cursor.has(&["NOT", "VALID"])
                || cursor.has(&["SET", "NOT", "NULL"]) =>
        {
            let name = cursor.name().unwrap_or_default();
            Weighed::of(
                Weight::new(
                    "ban-alter-domain-with-add-constraint",
                    format!("reads every row of every table with a column of `{name}`"),
                )
                .lock(Lock::Share)
                .work(Work::Scans)
                .level(Level::Medium),
            )
        }
        "MATERIALIZED" => {
            cursor.skip(&["VIEW"]);
            view(cursor)
        }
        "VIEW" => view(cursor),
        _ => Weighed::default(),
    }
}

fn view(mut cursor: Cursor<'_>) -> Weighed {
    cursor.skip_if();
    let name = cursor.name().unwrap_or_default();
    Weighed::of(
        Weight::new("altering-a-view", format!("alters the view `{name}`"))
            .on(&name)
            .lock(Lock::AccessExclusive),
    )
}

fn drop(mut cursor: Cursor<'_>) -> Weighed {
    cursor.skip_any(&["MATERIALIZED", "FOREIGN"]);
    let mut behind = cursor;
    match behind.word().as_str() {
        "INDEX" => {
            behind.at += 1;
            let concurrently = behind.skip(&["CONCURRENTLY"]);
            behind.skip_if();
            let one = |name: String| match concurrently {
                true => Weight::new(
                    "index-dropped-apart",
                    format!("drops the index `{name}`; runs by itself, outside a transaction"),
                )
                .index(&name)
                .lock(Lock::ShareUpdateExclusive),
                false => Weight::new(
                    "require-concurrent-index-deletion",
                    format!("drops the index `{name}`"),
                )
                .index(&name)
                .lock(Lock::AccessExclusive)
                .help("write `DROP INDEX CONCURRENTLY`: it runs by itself, outside a transaction"),
            };
            Weighed::all(behind.names().into_iter().map(one).collect())
        }
        "TRIGGER" | "POLICY" | "RULE" => {
            let kind = behind.word().to_ascii_lowercase();
            behind.at += 1;
            behind.skip_if();
            let name = behind.part().unwrap_or_default();
            behind.skip(&["ON"]);
            let table = behind.name().unwrap_or_default();
            let rule = match kind.as_str() {
                "policy" => "ban-drop-policy",
                _ => "ban-drop-trigger",
            };
            Weighed::of(
                Weight::new(rule, format!("drops the {kind} `{name}` of `{table}`"))
                    .on(&table)
                    .lock(Lock::AccessExclusive),
            )
        }
        _ => dropped(&mut cursor, Lock::AccessExclusive).unwrap_or_default(),
    }
}

fn truncate(mut cursor: Cursor<'_>) -> Weighed {
    cursor.skip(&["TABLE"]);
    cursor.skip(&["ONLY"]);
    let rule = match cursor.has(&["CASCADE"]) {
        true => "ban-truncate-cascade",
        false => "truncating-a-table",
    };
    let one = |name: String| {
        Weight::new(rule, format!("deletes every row of `{name}`"))
            .on(&name)
            .lock(Lock::AccessExclusive)
            .level(Level::High)
    };
    Weighed::all(cursor.names().into_iter().map(one).collect())
}

fn lock(mut cursor: Cursor<'_>) -> Weighed {
    cursor.skip(&["TABLE"]);
    cursor.skip(&["ONLY"]);
    let names = cursor.names();
    let modes = [
        (["ACCESS", "SHARE"].as_slice(), Lock::AccessShare),
        (&["ROW", "SHARE"], Lock::RowShare),
        (&["SHARE", "ROW", "EXCLUSIVE"], Lock::ShareRowExclusive),
        (
            &["SHARE", "UPDATE", "EXCLUSIVE"],
            Lock::ShareUpdateExclusive,
        ),
        (&["ROW", "EXCLUSIVE"], Lock::RowExclusive),
        (&["ACCESS", "EXCLUSIVE"], Lock::AccessExclusive),
        (&["SHARE"], Lock::Share),
        (&["EXCLUSIVE"], Lock::Exclusive),
    ];
    let mode = modes
        .into_iter()
        .find(|(words, _)| cursor.has(&["IN"]) && cursor.has(words))
        .map_or(Lock::AccessExclusive, |(_, mode)| mode);
    let one = |name: String| {
        Weight::new(
            "locking-a-table",
            format!("locks `{name}` until the end of the file"),
        )
        .on(&name)
        .lock(mode)
    };
    Weighed::all(names.into_iter().map(one).collect())
}

fn refresh(mut cursor: Cursor<'_>) -> Weighed {
    cursor.skip(&["MATERIALIZED", "VIEW"]);
    let concurrently = cursor.skip(&["CONCURRENTLY"]);
    let name = cursor.name().unwrap_or_default();
    let weight = Weight::new(
        "refreshing-a-materialized-view",
        format!("computes the view `{name}` anew"),
    )
    .on(&name)
    .work(Work::Rewrites);
    Weighed::of(match concurrently {
        true => weight.lock(Lock::Exclusive).blocks(Blocks::SchemaChanges),
        false => weight.lock(Lock::AccessExclusive).help(
            "write `REFRESH MATERIALIZED VIEW CONCURRENTLY`, which needs a unique index on it",
        ),
    })
}

fn reindex(mut cursor: Cursor<'_>) -> Weighed {
    cursor.brackets();
    let concurrently = cursor.has(&["CONCURRENTLY"]);
    let kind = cursor.word();
    cursor.at += 1;
    cursor.skip(&["CONCURRENTLY"]);
    let name = cursor.name().unwrap_or_default();
    let what = format!(
        "builds the indexes of the {} `{name}` anew",
        kind.to_ascii_lowercase()
    );
    let weight = match concurrently {
        true => Weight::new(
            "index-built-apart",
            format!("{what}; runs by itself, outside a transaction"),
        )
        .lock(Lock::ShareUpdateExclusive),
        false => Weight::new("require-concurrent-reindex", what)
            .lock(Lock::Share)
            .blocks(Blocks::ReadsAndWrites)
            .help("write `REINDEX … CONCURRENTLY`"),
    };
    let weight = weight.work(Work::BuildsIndex);
    Weighed::of(match kind.as_str() {
        "TABLE" => weight.on(&name),
        "INDEX" => weight.index(&name),
        _ => weight,
    })
}
