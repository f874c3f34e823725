//! What a statement weighs on a server that is in use: the lock it takes, the
//! work it does under it, whom that keeps waiting. Pure; imports `model::risk`
//! for its words.
//!
//! It is said as if the table held many rows: whether it does is not known
//! here. Invariant: a statement that is not known here weighs nothing only
//! where it touches no table that was there before; else it says that it
//! cannot be told.

mod alter;
mod block;
mod column;
mod create;
mod mysql;
mod postgres;
mod rows;
mod sqlite;

use std::collections::HashMap;

use crate::model::risk::{Blocks, Level, Lock, Work};
use crate::ports::Dialect;

use super::ansi::Words;
use super::cursor::Cursor;
use super::lexer;
use super::{Script, Server, TokenKind};

/// One thing that a statement does.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Weight {
    /// squawk's name for it where it has one.
    pub rule: &'static str,
    /// What it does, without numbers: `adds the column `x` to `t``.
    pub why: String,
    /// The tables that it locks, the one that it is about first; empty where
    /// that cannot be told.
    pub tables: Vec<String>,
    /// An index that it is about, where that is all that is known.
    pub index: Option<String>,
    pub lock: Option<Lock>,
    pub work: Work,
    pub blocks: Blocks,
    pub help: Option<&'static str>,
    pub level: Level,
    /// It fails where the table holds a row.
    pub needs_empty: bool,
}

/// What one statement of a script comes to.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Weighed {
    pub weights: Vec<Weight>,
    /// Tables that it makes: nobody uses them yet.
    pub made: Vec<String>,
    /// Indexes that it makes, and their tables.
    pub indexes: Vec<(String, String)>,
    /// Tables that have another name afterwards.
    pub renamed: Vec<(String, String)>,
}

impl Weight {
    fn new(rule: &'static str, why: impl Into<String>) -> Self {
        Self {
            rule,
            why: why.into(),
            tables: vec![],
            index: None,
            lock: None,
            work: Work::None,
            blocks: Blocks::Nobody,
            help: None,
            level: Level::Low,
            needs_empty: false,
        }
    }

    fn on(mut self, table: &str) -> Self {
        self.tables.push(table.to_owned());
        self
    }

    fn index(mut self, name: &str) -> Self {
        self.index = Some(name.to_owned());
        self
    }

    /// Whom it blocks goes with it.
    fn lock(mut self, lock: Lock) -> Self {
        self.lock = Some(lock);
        self.blocks = lock.blocks();
        self
    }

    fn work(mut self, work: Work) -> Self {
        self.work = work;
        self
    }

    /// Where the lock is only held at the edges of the work.
    fn blocks(mut self, blocks: Blocks) -> Self {
        self.blocks = blocks;
        self
    }

    fn help(mut self, help: &'static str) -> Self {
        self.help = Some(help);
        self
    }

    fn level(mut self, level: Level) -> Self {
        self.level = level;
        self
    }

    fn needs_empty(mut self) -> Self {
        self.needs_empty = true;
        self
    }
}

impl Weighed {
    fn of(weight: Weight) -> Self {
        Self {
            weights: vec![weight],
            ..Self::default()
        }
    }

    fn all(weights: Vec<Weight>) -> Self {
        Self {
            weights,
            ..Self::default()
        }
    }

    fn and(mut self, other: Self) -> Self {
        self.weights.extend(other.weights);
        self.made.extend(other.made);
        self.indexes.extend(other.indexes);
        self.renamed.extend(other.renamed);
        self
    }
}

/// Functions that the script made so far, with their bodies.
type Routines = HashMap<String, String>;

/// What weighing one statement needs beside its words.
#[derive(Clone, Copy)]
struct Scales<'a> {
    server: Server,
    routines: &'a Routines,
    /// How deep in blocks and functions it stands: they may call each other.
    depth: usize,
}

/// One entry for each statement.
pub(super) fn of(script: &Script, server: Server) -> Vec<Weighed> {
    let mut routines = Routines::new();
    let statements = script.statements.iter();
    let weigh = |statement| {
        let words = script.words(statement);
        let scales = Scales {
            server,
            routines: &routines,
            depth: 0,
        };
        let weighed = one(script.dialect, scales, &words);
        if script.dialect == Dialect::Postgres {
            routines.extend(block::routine(&words));
        }
        weighed
    };
    statements.map(weigh).collect()
}

fn one(dialect: Dialect, scales: Scales<'_>, words: &Words<'_>) -> Weighed {
    match dialect {
        Dialect::Postgres => postgres::of(scales, words),
        Dialect::Mysql => mysql::of(scales.server, words),
        Dialect::Sqlite => sqlite::of(words),
    }
}

/// The first word, in MySQL's executable comments too.
fn verb(words: &Words<'_>) -> String {
    match words.word(0) {
        word if word.is_empty() => lexer::inner_word(words.raw(0))
            .map(|(_, word)| word.to_ascii_uppercase())
            .unwrap_or_default(),
        word => word,
    }
}

/// `DROP DATABASE`, `DROP SCHEMA`, `DROP TABLE`, views: alike everywhere.
fn dropped(cursor: &mut Cursor<'_>, lock: Lock) -> Option<Weighed> {
    let kind = cursor.word();
    cursor.at += 1;
    let word = kind.to_ascii_lowercase();
    let (rule, level) = match kind.as_str() {
        "DATABASE" => ("ban-drop-database", Level::Critical),
        "SCHEMA" => ("ban-drop-schema", Level::Critical),
        "TABLE" => ("ban-drop-table", Level::High),
        "VIEW" => ("ban-drop-view", Level::Medium),
        "TYPE" => ("ban-drop-type", Level::Medium),
        "DOMAIN" => ("ban-drop-domain", Level::Medium),
        "SEQUENCE" => ("ban-drop-sequence", Level::Medium),
        "EXTENSION" => ("ban-drop-extension", Level::Medium),
        _ => return None,
    };
    cursor.skip_if();
    let one = |name: String| {
        let weight = Weight::new(rule, format!("drops the {word} `{name}`")).level(level);
        match kind.as_str() {
            "TABLE" | "VIEW" => weight.on(&name).lock(lock),
            _ => weight,
        }
    };
    Some(Weighed::all(cursor.names().into_iter().map(one).collect()))
}

/// The columns that a list in brackets names.
fn named(list: &Cursor<'_>) -> String {
    let parts: Vec<String> = list
        .list()
        .into_iter()
        .map(|part| {
            let tokens = (part.at..part.end).map(|at| part.words.raw(at));
            tokens.collect::<Vec<_>>().join(" ")
        })
        .collect();
    parts.join(", ")
}

/// Whether a call stands in these words that is none of `known`.
fn calls_other_than(cursor: &Cursor<'_>, known: &[&str]) -> bool {
    (cursor.at..cursor.end.saturating_sub(1)).any(|at| {
        let called = cursor.words.raw(at + 1) == "("
            && cursor
                .words
                .tokens
                .get(at)
                .is_some_and(|token| token.kind == TokenKind::Word);
        called && !known.contains(&cursor.words.word(at).as_str())
    })
}

#[cfg(test)]
mod tests;
