//! The files of one database, read and taken apart for its dialect. Imports
//! `migrate`'s pure parts.

use crate::migrate::checksums;
use crate::migrate::drift::Candidate;
use crate::migrate::files::{self, MigrationFile};
use crate::migrate::sql::{self, Mode, Script};
use crate::model::fault::Fault;
use crate::model::project::{DatabaseSpec, MigrationSpec, MigrationStrategy};
use crate::ports::Dialect;

use super::Options;

pub(super) struct Source {
    pub(super) files: Vec<MigrationFile>,
    /// One for each file.
    pub(super) scripts: Vec<Script>,
    /// One for each file.
    pub(super) candidates: Vec<Candidate>,
    /// Why nothing may run.
    pub(super) problems: Vec<String>,
}

/// The folder as messages name it.
pub(super) fn shown(spec: &MigrationSpec) -> &str {
    spec.path_written
        .as_deref()
        .or_else(|| spec.path.as_deref().and_then(|path| path.to_str()))
        .unwrap_or("migrations")
        .trim_end_matches('/')
}

impl Source {
    pub(super) fn read(database: &DatabaseSpec, dialect: Dialect) -> Result<Self, Fault> {
        let spec = &database.migrations;
        let options = Options::of(database).map_err(Fault::config)?;
        let Some(path) = &spec.path else {
            return Err(Fault::config(format!(
                "`databases.{}.migrations` has no `path`",
                database.name
            )));
        };
        let folder = files::read(path, shown(spec), options.order, spec.pattern.as_deref())?;
        let mut source = Self {
            files: folder.files,
            scripts: vec![],
            candidates: vec![],
            problems: folder.problems,
        };
        for file in &source.files {
            let script = sql::read(dialect, &file.text);
            let mode = judge(file, &script, &mut source.problems);
            source.candidates.push(Candidate {
                id: file.name.clone(),
                version: file.version,
                checksum: file.checksum.clone(),
                prefixes: prefixes(&script),
                strategy: strategy(spec.strategy, file),
                mode,
            });
            source.scripts.push(script);
        }
        if let Some(ledger) = &spec.ledger {
            let problems = checksums::check(ledger, &source.candidates)?;
            source.problems.extend(problems);
        }
        Ok(source)
    }

    /// All ids in running order.
    pub(super) fn order(&self) -> Vec<&str> {
        self.files.iter().map(|file| file.name.as_str()).collect()
    }
}

fn judge(file: &MigrationFile, script: &Script, problems: &mut Vec<String>) -> Mode {
    let mut say = |problem: &sql::Problem| {
        let place = script.place(problem.at);
        problems.push(format!("`{}:{place}`: {}", file.shown, problem.what));
    };
    script.problems.iter().for_each(&mut say);
    script
        .mode(file.header.transaction)
        .unwrap_or_else(|problem| {
            say(&problem);
            Mode::Together
        })
}

/// `phase=post` moves a file of a `pre_deploy` database behind the rollout;
/// what is `manual` never runs by itself.
fn strategy(base: MigrationStrategy, file: &MigrationFile) -> MigrationStrategy {
    match base {
        MigrationStrategy::PreDeploy if file.header.post => MigrationStrategy::PostDeploy,
        MigrationStrategy::PreDeploy
        | MigrationStrategy::PostDeploy
        | MigrationStrategy::Manual => base,
    }
}

fn prefixes(script: &Script) -> Vec<String> {
    (0..=script.statements.len())
        .map(|statements| script.prefix(statements))
        .collect()
}
