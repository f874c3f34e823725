//! What a statement does to code that was written for the schema before it.
//! Pure; imports `model::compat` for its grades.
//!
//! One reading of the words serves the three dialects: SQL names what it does
//! in its first words. For PostgreSQL the statements and their tokens come out
//! of squawk's tree, and so do the bodies of `DO` and the calls of functions.
//! Invariant: what is not known here is unclear, never harmless.

mod alter;
mod body;
mod column;
mod constraint;
mod create;
mod data;
mod discard;

use crate::model::compat::Harm;
use crate::ports::Dialect;

use super::ansi::Words;
use super::cursor::{self, Cursor};
use super::lexer;

/// A thing of the schema, spelled so that one thing has one spelling.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Key(String);

impl Key {
    pub(super) fn table(name: &str) -> Self {
        Self(format!("table {name}"))
    }

    pub(super) fn column(table: &str, column: &str) -> Self {
        Self(format!("column {table}.{column}"))
    }

    pub(super) fn other(kind: &str, name: &str) -> Self {
        Self(format!("{kind} {name}"))
    }

    /// The table of a column.
    #[must_use]
    pub fn table_of_column(&self) -> Option<Self> {
        let (table, _) = self.0.strip_prefix("column ")?.rsplit_once('.')?;
        Some(Self::table(table))
    }
}

/// What has to be new for a harm to be none.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum On {
    /// One of these.
    Any(Vec<Key>),
    /// Every one of these.
    All(Vec<Key>),
    /// This one, or it was never made: `DROP … IF EXISTS` in front of the
    /// first `CREATE`, `CREATE OR REPLACE` as the first one.
    Replaced(Vec<Key>),
    /// The table, or one of the columns as long as it has no default: rows
    /// that leave it empty are never equal.
    Unique { table: Key, columns: Vec<Key> },
    /// The table; or this column has a default.
    NotNull { table: Key, column: Key },
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Hurt {
    pub harm: Harm,
    pub on: On,
    pub why: String,
    /// What is gone afterwards; one that the same file makes again may be
    /// none the worse.
    pub drops: Option<Key>,
}

/// How strict an index or constraint is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Keeps {
    /// Others may name it in `ON CONFLICT`.
    Unique,
    Nothing,
}

/// What a statement does, in its order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Effect {
    Makes(Key),
    Renames(Key, Key),
    Defaults(Key),
    LosesDefault(Key),
    MakesIndex(Key, Keeps),
    DropsIndex(Key, String),
    Hurts(Hurt),
}

impl Effect {
    fn breaks(on: On, why: impl Into<String>) -> Self {
        Self::hurts(Harm::Breaks, on, why)
    }

    fn unclear(on: On, why: impl Into<String>) -> Self {
        Self::hurts(Harm::Unclear, on, why)
    }

    fn hurts(harm: Harm, on: On, why: impl Into<String>) -> Self {
        Effect::Hurts(Hurt {
            harm,
            on,
            why: why.into(),
            drops: None,
        })
    }

    fn drops(key: Key, on: On, why: impl Into<String>) -> Self {
        Effect::Hurts(Hurt {
            harm: Harm::Breaks,
            on,
            why: why.into(),
            drops: Some(key),
        })
    }
}

/// On nothing that could be new.
fn always() -> On {
    On::Any(vec![])
}

fn on(key: Key) -> On {
    On::Any(vec![key])
}

pub(super) fn of(dialect: Dialect, words: &Words<'_>) -> Vec<Effect> {
    let cursor = Cursor::new(words, 1);
    let first = match words.word(0) {
        word if word.is_empty() => lexer::inner_word(words.raw(0))
            .map(|(_, word)| word.to_ascii_uppercase())
            .unwrap_or_default(),
        word => word,
    };
    match first.as_str() {
        "CREATE" => create::of(dialect, cursor),
        "ALTER" => alter::of(cursor),
        "DROP" => discard::of(cursor),
        "RENAME" => alter::rename_tables(cursor),
        "TRUNCATE" => discard::truncate(cursor),
        "REVOKE" => vec![Effect::breaks(always(), "takes rights away")],
        "INSERT" | "REPLACE" | "COPY" | "LOAD" => data::insert(dialect, words),
        "UPDATE" => data::update(dialect, words),
        "DELETE" => data::delete(words),
        "WITH" | "SELECT" | "VALUES" | "TABLE" | "MERGE" => data::query(dialect, words),
        "DO" if dialect == Dialect::Postgres => body::block(words),
        "DO" => data::query(dialect, words),
        "SET" if words.word(1) == "GLOBAL" || words.word(1) == "PERSIST" => vec![Effect::unclear(
            always(),
            "changes a setting of the whole server",
        )],
        "EXPLAIN" if !words.has(&["ANALYZE"]) && !words.has(&["ANALYSE"]) => vec![],
        word if harmless(word) => vec![],
        "CALL" | "EXECUTE" | "EXEC" => vec![Effect::unclear(
            always(),
            "calls a routine, which may change anything",
        )],
        _ if words.raw(0) == "(" => data::query(dialect, words),
        _ => vec![Effect::unclear(
            always(),
            "this statement is none that can be judged",
        )],
    }
}

/// Of the session, of transactions, of the server's housekeeping; and rights
/// that are given.
fn harmless(word: &str) -> bool {
    matches!(
        word,
        "SET"
            | "RESET"
            | "SHOW"
            | "USE"
            | "PRAGMA"
            | "ATTACH"
            | "DETACH"
            | "VACUUM"
            | "ANALYZE"
            | "ANALYSE"
            | "REINDEX"
            | "CLUSTER"
            | "REFRESH"
            | "CHECKPOINT"
            | "OPTIMIZE"
            | "COMMENT"
            | "LOCK"
            | "UNLOCK"
            | "BEGIN"
            | "START"
            | "COMMIT"
            | "END"
            | "ROLLBACK"
            | "SAVEPOINT"
            | "RELEASE"
            | "NOTIFY"
            | "LISTEN"
            | "UNLISTEN"
            | "DISCARD"
            | "DEALLOCATE"
            | "PREPARE"
            | "FLUSH"
            | "GRANT"
    )
}
