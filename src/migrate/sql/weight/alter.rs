//! PostgreSQL's `ALTER TABLE`, action by action.

use crate::model::risk::{Level, Lock, Work};

use super::super::Product;
use super::super::cursor::Cursor;
use super::{Scales, Weighed, Weight, column};

const VALIDATE_LATER: &str = "add it as `NOT VALID`, and `VALIDATE CONSTRAINT` in a later file";
const BUILD_FIRST: &str = "build the index first with `CREATE UNIQUE INDEX CONCURRENTLY`, then `ADD CONSTRAINT … USING INDEX`";

/// Behind `ALTER TABLE`.
pub(super) fn table(scales: Scales<'_>, mut cursor: Cursor<'_>) -> Weighed {
    cursor.skip_if();
    cursor.skip(&["ONLY"]);
    let Some(name) = cursor.name() else {
        return Weighed::default();
    };
    if cursor.raw() == "*" {
        cursor.at += 1;
    }
    let mut weighed = Weighed::default();
    for action in cursor.list() {
        weighed = weighed.and(one(scales, action, &name));
    }
    weighed
}

fn one(scales: Scales<'_>, mut cursor: Cursor<'_>, table: &str) -> Weighed {
    let strong = |rule, why: String| Weight::new(rule, why).on(table).lock(Lock::AccessExclusive);
    let word = cursor.word();
    cursor.at += 1;
    let next = cursor.word();
    let weight = match word.as_str() {
        "ADD" => return add(scales, cursor, table),
        "DROP" => drop(cursor, table),
        "ALTER" if matches!(next.as_str(), "CONSTRAINT" | "INDEX") => strong(
            "altering-a-table",
            format!("alters a constraint of `{table}`"),
        ),
        "ALTER" => {
            cursor.skip(&["COLUMN"]);
            let name = cursor.part().unwrap_or_default();
            column::altered(cursor, table, &name)
        }
        "RENAME" => return rename(cursor, table),
        "VALIDATE" => {
            let name = cursor.ahead(1).to_ascii_lowercase();
            Weight::new(
                "validating-a-constraint",
                format!("reads every row of `{table}` for the constraint `{name}`"),
            )
            .on(table)
            .lock(Lock::ShareUpdateExclusive)
            .work(Work::Scans)
        }
        "SET" => set(cursor, table),
        "ATTACH" => attach(scales, cursor, table),
        "DETACH" => detach(cursor, table),
        "ENABLE" | "DISABLE" if next != "ROW" => Weight::new(
            "ban-disable-trigger",
            format!("switches a trigger or rule of `{table}`"),
        )
        .on(table)
        .lock(Lock::ShareRowExclusive),
        "CLUSTER" | "RESET" => options(table),
        "ENABLE" | "DISABLE" | "FORCE" | "NO" | "INHERIT" | "REPLICA" | "OWNER" | "OF" | "NOT" => {
            strong("altering-a-table", format!("alters `{table}`"))
        }
        _ => strong(
            "altering-a-table",
            format!("does something to `{table}` that cannot be told"),
        ),
    };
    Weighed::of(weight)
}

fn options(table: &str) -> Weight {
    Weight::new("altering-a-table", format!("sets options of `{table}`"))
        .on(table)
        .lock(Lock::ShareUpdateExclusive)
}

fn add(scales: Scales<'_>, mut cursor: Cursor<'_>, table: &str) -> Weighed {
    let constraint = matches!(
        cursor.word().as_str(),
        "CONSTRAINT" | "UNIQUE" | "PRIMARY" | "FOREIGN" | "CHECK" | "EXCLUDE"
    );
    if constraint || cursor.word() == "NOT" {
        return Weighed::of(added_constraint(cursor, table));
    }
    cursor.skip(&["COLUMN"]);
    Weighed::all(column::added(scales, cursor, table))
}

fn added_constraint(mut cursor: Cursor<'_>, table: &str) -> Weight {
    let name = match cursor.skip(&["CONSTRAINT"]) {
        true => cursor.part(),
        false => None,
    };
    let called = name.map(|name| format!(" `{name}`")).unwrap_or_default();
    let strong = |rule, why: String| Weight::new(rule, why).on(table).lock(Lock::AccessExclusive);
    let later = cursor.has(&["NOT", "VALID"]);
    let ready = cursor.has(&["USING", "INDEX"]);
    match (cursor.word().as_str(), later || ready) {
        ("FOREIGN", _) => {
            let mut behind = cursor;
            behind.at = cursor.find(&["REFERENCES"]).map_or(cursor.end, |at| at + 1);
            let target = behind.name().unwrap_or_default();
            let weight = Weight::new(
                "adding-foreign-key-constraint",
                match later {
                    true => format!("makes new rows of `{table}` refer to `{target}`"),
                    false => format!("reads every row of `{table}`, to see that it refers to `{target}`; both are locked"),
                },
            )
            .on(table)
            .on(&target)
            .lock(Lock::ShareRowExclusive)
            .level(Level::Medium);
            match later {
                true => weight,
                false => weight.work(Work::Scans).help(VALIDATE_LATER),
            }
        }
        ("CHECK" | "NOT", true) => strong(
            "adding-a-constraint",
            format!("adds the constraint{called} to `{table}` for new rows"),
        ),
        ("CHECK" | "NOT", false) => strong(
            "constraint-missing-not-valid",
            format!("reads every row of `{table}` for the new constraint{called}"),
        )
        .work(Work::Scans)
        .level(Level::Medium)
        .help(VALIDATE_LATER),
        ("UNIQUE" | "PRIMARY", true) => strong(
            "adding-a-constraint",
            format!("makes an index of `{table}` the constraint{called}"),
        ),
        ("PRIMARY", false) => strong(
            "adding-serial-primary-key-field",
            format!("builds a primary key of `{table}`"),
        )
        .work(Work::BuildsIndex)
        .level(Level::Medium)
        .help(BUILD_FIRST),
        ("UNIQUE", false) => strong(
            "disallowed-unique-constraint",
            format!("builds a unique index of `{table}`"),
        )
        .work(Work::BuildsIndex)
        .level(Level::Medium)
        .help(BUILD_FIRST),
        _ => strong(
            "adding-exclusion-constraint",
            format!("builds an index for the constraint{called} of `{table}`"),
        )
        .work(Work::BuildsIndex)
        .level(Level::Medium),
    }
}

fn drop(mut cursor: Cursor<'_>, table: &str) -> Weight {
    let strong = |rule, why: String| Weight::new(rule, why).on(table).lock(Lock::AccessExclusive);
    if cursor.skip(&["CONSTRAINT"]) {
        cursor.skip_if();
        let name = cursor.part().unwrap_or_default();
        return strong(
            "ban-drop-constraint",
            format!("drops the constraint `{name}` of `{table}`"),
        )
        .level(Level::Medium);
    }
    cursor.skip(&["COLUMN"]);
    cursor.skip_if();
    let name = cursor.part().unwrap_or_default();
    strong(
        "ban-drop-column",
        format!("drops the column `{table}.{name}`"),
    )
    .level(Level::High)
}

fn rename(mut cursor: Cursor<'_>, table: &str) -> Weighed {
    let strong = |rule, why: String| {
        Weight::new(rule, why)
            .on(table)
            .lock(Lock::AccessExclusive)
            .level(Level::Medium)
    };
    if cursor.skip(&["TO"]) {
        let new = cursor.name().unwrap_or_default();
        let weight = strong("renaming-table", format!("renames `{table}` to `{new}`"));
        // The new name is in the same schema.
        let new = match table.rsplit_once('.') {
            Some((schema, _)) => format!("{schema}.{new}"),
            None => new,
        };
        return Weighed {
            weights: vec![weight],
            renamed: vec![(table.to_owned(), new)],
            ..Weighed::default()
        };
    }
    let (rule, what) = match cursor.skip(&["CONSTRAINT"]) {
        true => ("renaming-object", "constraint"),
        false => ("renaming-column", "column"),
    };
    cursor.skip(&["COLUMN"]);
    let name = cursor.part().unwrap_or_default();
    Weighed::of(strong(rule, format!("renames the {what} `{table}.{name}`")))
}

fn set(cursor: Cursor<'_>, table: &str) -> Weight {
    let strong = |rule, why: String| Weight::new(rule, why).on(table).lock(Lock::AccessExclusive);
    match cursor.word().as_str() {
        "TABLESPACE" => strong(
            "setting-tablespace",
            format!("moves `{table}` to another tablespace"),
        )
        .work(Work::Rewrites),
        "LOGGED" | "UNLOGGED" => {
            strong("setting-logged", format!("writes `{table}` anew")).work(Work::Rewrites)
        }
        "ACCESS" => {
            strong("setting-access-method", format!("writes `{table}` anew")).work(Work::Rewrites)
        }
        "WITHOUT" if cursor.has(&["OIDS"]) => {
            strong("altering-a-table", format!("writes `{table}` anew")).work(Work::Rewrites)
        }
        "SCHEMA" => strong(
            "ban-set-schema",
            format!("moves `{table}` to another schema"),
        )
        .level(Level::Medium),
        "(" => options(table),
        _ => match cursor.raw() {
            "(" => options(table),
            _ => strong("altering-a-table", format!("alters `{table}`")),
        },
    }
}

fn attach(scales: Scales<'_>, mut cursor: Cursor<'_>, table: &str) -> Weight {
    cursor.skip(&["PARTITION"]);
    let part = cursor.name().unwrap_or_default();
    let lock = match scales.server.is(Product::Postgres, (12, 0)) {
        true => Lock::ShareUpdateExclusive,
        false => Lock::AccessExclusive,
    };
    Weight::new(
        "attaching-a-partition",
        format!(
            "reads every row of `{part}`, which is locked, and makes it a partition of `{table}`"
        ),
    )
    .on(&part)
    .on(table)
    .lock(lock)
    .work(Work::Scans)
    .help("give it a CHECK constraint with the partition's bounds first: nothing is read then")
}

fn detach(cursor: Cursor<'_>, table: &str) -> Weight {
    let weight = |rule, rest: &str| {
        Weight::new(rule, format!("detaches a partition of `{table}`{rest}"))
            .on(table)
            .level(Level::Medium)
    };
    match cursor.has(&["CONCURRENTLY"]) {
        true => weight("detached-apart", "; runs by itself, outside a transaction")
            .lock(Lock::ShareUpdateExclusive),
        false => weight("require-concurrent-partition-detach", "")
            .lock(Lock::AccessExclusive)
            .help("write `DETACH PARTITION … CONCURRENTLY`"),
    }
}
