//! The files of one database, read and taken apart for its dialect. Imports
//! `migrate`'s pure parts.

use std::sync::{Arc, Mutex, PoisonError};

use crate::migrate::checksums;
use crate::migrate::compat;
use crate::migrate::drift::Candidate;
use crate::migrate::files::{self, Folder, MigrationFile};
use crate::migrate::sql::{self, Mode, Script};
use crate::model::compat::Compat;
use crate::model::fault::Fault;
use crate::model::names::DatabaseName;
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

/// What was read and taken apart already: a plan is followed by its run, on
/// the same files. They are read again each time, and taken apart again only
/// where a checksum is another one.
#[derive(Default)]
pub(super) struct Sources(Mutex<Vec<(DatabaseName, Dialect, Arc<Source>)>>);

impl Sources {
    pub(super) fn read(
        &self,
        database: &DatabaseSpec,
        dialect: Dialect,
    ) -> Result<Arc<Source>, Fault> {
        let folder = Source::folder(database)?;
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let same = |source: &Source| {
            let name = |file: &MigrationFile| (file.name.clone(), file.checksum.clone());
            let now = folder.files.iter().map(name);
            // Without a ledger the files are all that is read.
            database.migrations.ledger.is_none() && now.eq(source.files.iter().map(name))
        };
        let found = known
            .iter()
            .find(|(name, of, source)| *name == database.name && *of == dialect && same(source));
        if let Some((.., source)) = found {
            return Ok(Arc::clone(source));
        }
        let source = Arc::new(Source::of(folder, database, dialect)?);
        known.retain(|(name, ..)| *name != database.name);
        known.push((database.name.clone(), dialect, Arc::clone(&source)));
        Ok(source)
    }
}

impl Source {
    fn folder(database: &DatabaseSpec) -> Result<Folder, Fault> {
        let spec = &database.migrations;
        let options = Options::of(database).map_err(Fault::config)?;
        let Some(path) = &spec.path else {
            return Err(Fault::config(format!(
                "`databases.{}.migrations` has no `path`",
                database.name
            )));
        };
        files::read(path, shown(spec), options.order, spec.pattern.as_deref())
    }

    fn of(folder: Folder, database: &DatabaseSpec, dialect: Dialect) -> Result<Self, Fault> {
        let spec = &database.migrations;
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
                compat: Compat::Additive,
            });
            source.scripts.push(script);
        }
        let judged = compat::judge(&source.files, &source.scripts);
        for (candidate, compat) in source.candidates.iter_mut().zip(judged) {
            candidate.compat = compat;
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
