//! PostgreSQL's columns: added to a table that is there, and altered.

use crate::model::risk::{Level, Lock, Work};

use super::super::Product;
use super::super::cursor::Cursor;
use super::{Scales, Weight, calls_other_than};

/// Calls that give one value for all rows: no row has to be written.
const STABLE: [&str; 12] = [
    "NOW",
    "STATEMENT_TIMESTAMP",
    "TRANSACTION_TIMESTAMP",
    "CURRENT_TIMESTAMP",
    "CURRENT_SETTING",
    "TIMEZONE",
    "LOWER",
    "UPPER",
    "VARCHAR",
    "NUMERIC",
    "TO_JSONB",
    "DATE_TRUNC",
];

const SERIALS: [&str; 6] = [
    "SERIAL",
    "BIGSERIAL",
    "SMALLSERIAL",
    "SERIAL2",
    "SERIAL4",
    "SERIAL8",
];

const FILL_LATER: &str = "add the column without it, fill the rows in batches, then add the rest";
const BUILD_FIRST: &str = "build the index first with `CREATE UNIQUE INDEX CONCURRENTLY`, then `ADD CONSTRAINT … USING INDEX`";

/// `ADD COLUMN name type …`, behind `COLUMN`.
pub(super) fn added(scales: Scales<'_>, mut cursor: Cursor<'_>, table: &str) -> Vec<Weight> {
    cursor.skip_if();
    let name = cursor.part().unwrap_or_default();
    let column = format!("`{table}.{name}`");
    let strong = |rule, why: String| Weight::new(rule, why).on(table).lock(Lock::AccessExclusive);
    let mut weights = vec![];
    let serial = SERIALS.contains(&cursor.word().as_str()) || cursor.has(&["IDENTITY"]);
    let generated = cursor.has(&["GENERATED"]) && !cursor.has(&["IDENTITY"]);
    if serial {
        weights.push(
            strong(
                "adding-serial-field",
                format!("adds {column}, which numbers every row"),
            )
            .work(Work::Rewrites)
            .level(Level::Medium)
            .help(FILL_LATER),
        );
    } else if generated && !virtual_column(scales, &cursor) {
        weights.push(
            strong(
                "adding-field-with-default",
                format!("adds {column}, which is computed for every row"),
            )
            .work(Work::Rewrites)
            .level(Level::Medium)
            .help("make it a plain column that a trigger fills, and fill the rows in batches"),
        );
    } else if let Some(why) = rewriting_default(scales, &cursor) {
        weights.push(
            strong(
                "adding-field-with-default",
                format!("adds {column} with a default that {why}"),
            )
            .work(Work::Rewrites)
            .level(Level::Medium)
            .help(FILL_LATER),
        );
    } else {
        weights.push(strong("adding-a-column", format!("adds {column}")));
    }
    weights.extend(constraints(&cursor, table, &column, serial || generated));
    weights
}

/// From 18 on a generated column is virtual unless it says `STORED`.
fn virtual_column(scales: Scales<'_>, cursor: &Cursor<'_>) -> bool {
    cursor.has(&["VIRTUAL"])
        || scales.server.is(Product::Postgres, (18, 0)) && !cursor.has(&["STORED"])
}

fn rewriting_default(scales: Scales<'_>, cursor: &Cursor<'_>) -> Option<&'static str> {
    let mut default = *cursor;
    default.at = cursor.find(&["DEFAULT"])? + 1;
    if default.word() == "NULL" {
        return None;
    }
    if !scales.server.is(Product::Postgres, (11, 0)) {
        return Some("is written into every row before PostgreSQL 11");
    }
    for word in [
        "NOT",
        "CHECK",
        "REFERENCES",
        "UNIQUE",
        "PRIMARY",
        "CONSTRAINT",
    ] {
        if let Some(at) = default.find(&[word]) {
            default.end = at;
        }
    }
    calls_other_than(&default, &STABLE).then_some("is computed for every row")
}

fn constraints(cursor: &Cursor<'_>, table: &str, column: &str, filled: bool) -> Vec<Weight> {
    let mut weights = vec![];
    let strong = |rule, why: String| Weight::new(rule, why).on(table).lock(Lock::AccessExclusive);
    let filled = filled || cursor.has(&["DEFAULT"]) && !cursor.has(&["DEFAULT", "NULL"]);
    if cursor.has(&["PRIMARY", "KEY"]) {
        weights.push(
            strong(
                "adding-serial-primary-key-field",
                format!("builds a primary key of {column}"),
            )
            .work(Work::BuildsIndex)
            .help(BUILD_FIRST),
        );
    } else if cursor.has(&["UNIQUE"]) {
        weights.push(
            strong(
                "disallowed-unique-constraint",
                format!("builds a unique index of {column}"),
            )
            .work(Work::BuildsIndex)
            .help(BUILD_FIRST),
        );
    }
    if cursor.has(&["NOT", "NULL"]) && !filled {
        weights.push(
            strong(
                "adding-required-field",
                format!("adds {column}, which may not be empty, without a default: it fails where there is a row"),
            )
            .level(Level::Medium)
            .needs_empty()
            .help("give it a default, or add it without NOT NULL and fill it first"),
        );
    }
    if cursor.has(&["CHECK"]) {
        weights.push(
            strong(
                "constraint-missing-not-valid",
                format!("checks {column} in every row"),
            )
            .work(Work::Scans)
            .help("add the constraint by itself as `NOT VALID`, and `VALIDATE` it in a later file"),
        );
    }
    if let Some(at) = cursor.find(&["REFERENCES"]) {
        let mut behind = *cursor;
        behind.at = at + 1;
        let target = behind.name().unwrap_or_default();
        let work = match filled {
            true => Work::Scans,
            // Rows that are empty refer to nothing.
            false => Work::None,
        };
        let weight = strong(
            "adding-foreign-key-constraint",
            format!("makes {column} refer to `{target}`, which is locked too"),
        );
        weights.push(weight.on(&target).work(work).help(
            "add the constraint by itself as `NOT VALID`, and `VALIDATE` it in a later file",
        ));
    }
    weights
}

/// `ALTER [COLUMN] name …`, behind the name.
pub(super) fn altered(mut cursor: Cursor<'_>, table: &str, name: &str) -> Weight {
    let column = format!("`{table}.{name}`");
    let strong = |rule, why: String| Weight::new(rule, why).on(table).lock(Lock::AccessExclusive);
    if cursor.skip(&["TYPE"]) || cursor.skip(&["SET", "DATA", "TYPE"]) {
        return strong(
            "changing-column-type",
            format!("changes the type of {column}, which writes every row anew unless the old type is as good"),
        )
        .work(Work::Rewrites)
        .level(Level::Medium)
        .help("add a column of the new type, fill it in batches, and let the code move over");
    }
    if cursor.skip(&["SET", "NOT", "NULL"]) {
        return strong(
            "adding-not-nullable-field",
            format!("reads every row to see that {column} is never empty"),
        )
        .work(Work::Scans)
        .level(Level::Medium)
        .help("first `ADD CONSTRAINT … CHECK (… IS NOT NULL) NOT VALID`, `VALIDATE` it in a later file, then SET NOT NULL reads nothing");
    }
    let second = cursor.ahead(1);
    match (cursor.word().as_str(), second.as_str()) {
        ("DROP", "NOT") => strong("ban-drop-not-null", format!("lets {column} be empty")),
        ("SET", "DEFAULT") => strong("ban-set-default", format!("sets the default of {column}")),
        ("DROP", "DEFAULT") => strong(
            "ban-drop-default",
            format!("takes the default of {column} away"),
        ),
        ("DROP", "EXPRESSION") => strong(
            "ban-drop-generated-expression",
            format!("makes {column} a plain column"),
        ),
        ("SET", "EXPRESSION") => strong(
            "ban-alter-generated-expression",
            format!("computes {column} anew in every row"),
        )
        .work(Work::Rewrites)
        .level(Level::Medium),
        ("SET", "STATISTICS" | "(") | ("RESET", _) => {
            Weight::new("altering-a-column", format!("sets options of {column}"))
                .on(table)
                .lock(Lock::ShareUpdateExclusive)
        }
        _ => strong("altering-a-column", format!("alters {column}")),
    }
}
