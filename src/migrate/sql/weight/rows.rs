//! `UPDATE` and `DELETE`: every row that they change stays locked until the
//! end of the transaction. Alike in the three dialects.

use crate::model::risk::{Blocks, Level, Lock, Work};

use super::super::ansi::Words;
use super::super::cursor::Cursor;
use super::{Weighed, Weight};

const BATCHES: &str = "change rows in batches, each in a transaction of its own, in a file that runs after the rollout (`-- stagecraft: phase=post`)";

/// `WITH … UPDATE` too: the verb stands outside brackets.
pub(super) fn of(words: &Words<'_>, lock: Lock) -> Weighed {
    let cursor = Cursor::new(words, 0);
    let verb = |word: &str| match words.word(0) == word {
        true => Some(0),
        false if words.word(0) == "WITH" => cursor.find(&[word]),
        false => None,
    };
    if let Some(at) = verb("UPDATE") {
        return changed(words, at + 1, lock, &UPDATE);
    }
    if let Some(at) = verb("DELETE") {
        return changed(words, at + 1, lock, &DELETE);
    }
    Weighed::default()
}

struct Verb {
    all: &'static str,
    some: &'static str,
    every: &'static str,
    rows: &'static str,
}

const UPDATE: Verb = Verb {
    all: "updating-every-row",
    some: "updating-rows",
    every: "changes every row of",
    rows: "changes rows of",
};
const DELETE: Verb = Verb {
    all: "deleting-every-row",
    some: "deleting-rows",
    every: "deletes every row of",
    rows: "deletes rows of",
};

fn changed(words: &Words<'_>, at: usize, lock: Lock, verb: &Verb) -> Weighed {
    let mut cursor = Cursor::new(words, at);
    cursor.skip_any(&[
        "LOW_PRIORITY",
        "QUICK",
        "IGNORE",
        "OR",
        "ROLLBACK",
        "ABORT",
        "REPLACE",
        "FROM",
        "ONLY",
    ]);
    let table = cursor.name().unwrap_or_default();
    let weight = match cursor.has(&["WHERE"]) || cursor.has(&["LIMIT"]) {
        true => Weight::new(verb.some, format!("{} `{table}`", verb.rows)).level(Level::Medium),
        false => Weight::new(verb.all, format!("{} `{table}`", verb.every)).level(Level::High),
    };
    let weight = weight
        .on(&table)
        .lock(lock)
        .blocks(Blocks::Writes)
        .work(Work::ChangesRows)
        .help(BATCHES);
    Weighed::of(weight)
}
