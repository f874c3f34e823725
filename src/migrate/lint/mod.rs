//! What each pending migration would do to this database: its locks, its work,
//! whom that blocks, how long it may take. Pure; imports `migrate::sql`,
//! `model::risk` and, for PostgreSQL, squawk's linter.
//!
//! The own rules know what squawk's do not: what stands in `DO` blocks and in
//! functions that are called, what an earlier pending file made, and how large
//! a table is today. Where both find a thing it has squawk's name and one
//! remark. squawk's rules of style, and those about what Stagecraft does by
//! itself (timeouts, transactions), are left out.

mod estimate;
mod facts;
mod grade;
mod ignore;
mod mixed;
mod squawk;

use std::collections::{BTreeSet, HashMap};

use crate::model::risk::{Forecast, Level, Remark, Risk};
use crate::ports::Dialect;

use super::compat::shown;
use super::parallel;
use super::sql::{Mode, Script, Server, Weighed, Weight};
pub use facts::{Facts, Open, Table};
use grade::World;
use ignore::Ignores;

/// One file that would run.
#[derive(Debug, Clone, Copy)]
pub struct Pending<'a> {
    /// As messages name it.
    pub shown: &'a str,
    pub script: &'a Script,
    pub mode: &'a Mode,
}

/// What the database has to be asked for.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Named {
    pub tables: BTreeSet<String>,
    pub indexes: BTreeSet<String>,
}

/// The statements of each file, weighed for a server.
#[derive(Debug, Clone, Default)]
pub struct Heavy(Vec<Vec<Weighed>>);

/// The first half, which needs to know no more than the server.
#[must_use]
pub fn weigh(pending: &[Pending<'_>], server: Server) -> Heavy {
    Heavy(parallel::map(pending, |one| one.script.weights(server)))
}

impl Heavy {
    /// The tables and indexes that it depends on.
    #[must_use]
    pub fn named(&self) -> Named {
        let mut named = Named::default();
        for weighed in self.0.iter().flatten() {
            for weight in &weighed.weights {
                named.tables.extend(weight.tables.iter().cloned());
                named.indexes.extend(weight.index.clone());
            }
            let old = weighed.renamed.iter().map(|(old, _)| old.clone());
            named.tables.extend(old);
            // `IF NOT EXISTS` makes nothing where there is one.
            named.tables.extend(weighed.made.iter().cloned());
        }
        named.tables.remove("");
        named
    }
}

/// The second half: one forecast for each file, in their order.
#[must_use]
pub fn lint(pending: &[Pending<'_>], heavy: &Heavy, facts: &Facts) -> Vec<Forecast> {
    let world = World::of(&heavy.0, facts);
    let numbered: Vec<(usize, &Pending<'_>)> = pending.iter().enumerate().collect();
    parallel::map(&numbered, |(at, one)| {
        let file = File {
            at: *at,
            pending: **one,
            weighed: &heavy.0[*at],
            world: &world,
        };
        file.forecast()
    })
}

/// One file with all that is known.
struct File<'a> {
    at: usize,
    pending: Pending<'a>,
    weighed: &'a [Weighed],
    world: &'a World<'a>,
}

impl File<'_> {
    fn forecast(&self) -> Forecast {
        let mut remarks = vec![];
        for (statement, weighed) in self.weighed.iter().enumerate() {
            let each = weighed.weights.iter();
            remarks.extend(each.map(|weight| self.remark(statement, weight)));
        }
        if self.pending.script.dialect == Dialect::Postgres {
            remarks.extend(squawk::remarks(self));
        }
        remarks.extend(mixed::remark(self));
        Ignores::of(self.pending.script).apply(&mut remarks);
        remarks.sort_by_key(|remark| (remark.line, remark.column));
        Forecast {
            estimate: estimate::of(self),
            risk: Some(self.risk()),
            remarks,
            sql: vec![],
        }
    }

    fn remark(&self, statement: usize, weight: &Weight) -> Remark {
        let verdict = self.world.judge((self.at, statement), weight);
        let place = self.place(statement);
        Remark {
            rule: weight.rule.to_owned(),
            file: self.pending.shown.to_owned(),
            line: place.line,
            column: place.column,
            statement: shown(self.pending.script, statement),
            lock: weight.lock,
            work: weight.work,
            blocks: weight.blocks,
            table: self.world.tables(weight).first().cloned(),
            why: weight.why.clone(),
            help: weight.help.map(str::to_owned),
            grade: verdict.grade,
            because: verdict.because,
            ignored: false,
        }
    }

    fn place(&self, statement: usize) -> super::sql::Place {
        let script = self.pending.script;
        script.place(script.statements[statement].range.start)
    }

    /// What is done to a thing that the plan itself made puts nothing at stake.
    fn risk(&self) -> Risk {
        let mut risk = Risk {
            level: Level::Low,
            operations: vec![],
        };
        for (statement, weighed) in self.weighed.iter().enumerate() {
            for weight in &weighed.weights {
                if weight.level == Level::Low || self.world.is_new((self.at, statement), weight) {
                    continue;
                }
                risk.level = risk.level.max(weight.level);
                if !risk.operations.contains(&weight.why) {
                    risk.operations.push(weight.why.clone());
                }
            }
        }
        risk
    }
}

/// Which of some things comes first wherever it is looked up.
type First = HashMap<String, (usize, usize)>;

#[cfg(test)]
mod tests;
