//! What counts as applied: the rows of Stagecraft's own table, and those of the
//! tool whose table is kept beside it. Imports `ports`, `migrate`'s pure parts.

use std::collections::HashSet;

use chrono::{SecondsFormat, Utc};

use crate::migrate::native::{Compared, Finding, History, Known, compare};
use crate::migrate::sql::Mode;
use crate::model::fault::Fault;
use crate::ports::{Database, LedgerRow};

use super::source::Source;

#[derive(Default)]
pub(super) struct Found {
    /// There is a table of Stagecraft's own.
    pub(super) own: bool,
    pub(super) rows: Vec<LedgerRow>,
    /// Why nothing may run.
    pub(super) refusals: Vec<String>,
    /// Applied ones whose files the tool itself would call edited.
    pub(super) unlike: Vec<String>,
}

pub(super) async fn read(
    session: &mut dyn Database,
    name: &str,
    source: Option<&Source>,
) -> Result<Found, Fault> {
    let rows = session.rows(name).await?;
    let mut found = Found {
        own: rows.is_some(),
        rows: rows.unwrap_or_default(),
        ..Found::default()
    };
    let Some((source, history)) = source.and_then(|source| Some((source, source.native?))) else {
        return Ok(found);
    };
    let compared = theirs(session, source, history, &found.rows).await?;
    found.refusals = disagreements(history, source, &compared, &found.rows);
    found.unlike = unlike(source, &compared, &found.rows);
    add(&mut found.rows, name, source, &compared);
    Ok(found)
}

/// golang-migrate's one number stands for every file up to it, and so for one
/// that comes later with a smaller number too. What it says today is kept, so
/// that such a file is seen.
pub(super) async fn keep(
    session: &mut dyn Database,
    name: &str,
    source: &Source,
) -> Result<(), Fault> {
    let Some(history @ History::GolangMigrate) = source.native else {
        return Ok(());
    };
    let rows = session.rows(name).await?.unwrap_or_default();
    let compared = theirs(session, source, history, &rows).await?;
    for known in &compared.known {
        let id = &source.folder.files[known.file].name;
        if !rows.iter().any(|row| row.id == *id) {
            session.save(&adopted(name, source, history, known)).await?;
        }
    }
    Ok(())
}

/// The row of a migration that another tool applied.
pub(super) fn adopted(name: &str, source: &Source, history: History, known: &Known) -> LedgerRow {
    let file = &source.folder.files[known.file];
    let candidate = &source.candidates[known.file];
    let now = Utc::now().to_rfc3339_opts(SecondsFormat::Millis, true);
    let at = known.at.clone().unwrap_or(now);
    let statements = i64::try_from(candidate.statements()).unwrap_or(i64::MAX);
    LedgerRow {
        database: name.to_owned(),
        id: file.name.clone(),
        checksum: file.checksum.clone(),
        normalised: candidate.normalised().to_owned(),
        transactional: candidate.mode == Mode::Together,
        started_at: at.clone(),
        finished_at: Some(at),
        statements_total: statements,
        statements_begun: statements,
        statements_done: statements,
        tool_version: format!("{} (adopted)", history.label()),
        ..LedgerRow::default()
    }
}

/// What the tool's table says of the files; `rows` are Stagecraft's own.
async fn theirs(
    session: &mut dyn Database,
    source: &Source,
    history: History,
    rows: &[LedgerRow],
) -> Result<Compared, Fault> {
    let Some(table) = history.find(session).await? else {
        return Ok(Compared::default());
    };
    let files = &source.folder.files;
    let mut compared = compare(history, true, files, &table.read(session).await?);
    if history == History::GolangMigrate {
        let own: HashSet<&str> = rows
            .iter()
            .filter(|row| row.finished_at.is_some())
            .map(|row| row.id.as_str())
            .collect();
        let own = |index: usize| own.contains(files[index].name.as_str());
        let last = (0..files.len()).rev().find(|index| own(*index));
        compared
            .known
            .retain(|known| own(known.file) || Some(known.file) > last);
    }
    Ok(compared)
}

fn unlike(source: &Source, compared: &Compared, rows: &[LedgerRow]) -> Vec<String> {
    let edited = compared.known.iter().filter(|known| known.edited.is_some());
    let candidates = edited.map(|known| &source.candidates[known.file]);
    let same = candidates.filter(|candidate| {
        let own = rows.iter().find(|row| row.id == candidate.id);
        own.is_some_and(|row| row.finished_at.is_some() && candidate.is(row))
    });
    same.map(|candidate| candidate.id.clone()).collect()
}

/// Where both tables speak of one migration and differ.
fn disagreements(
    history: History,
    source: &Source,
    compared: &Compared,
    rows: &[LedgerRow],
) -> Vec<String> {
    let tool = history.label();
    let mut refusals = vec![];
    for finding in &compared.findings {
        if let Finding::Failed { key, why } = finding {
            refusals.push(format!(
                "`{key}` is not done, says {tool}'s table: {why}; {}",
                history.settles(key)
            ));
        }
    }
    for row in rows.iter().filter(|row| row.finished_at.is_some()) {
        let files = &source.folder.files;
        let there = files.iter().any(|file| file.name == row.id);
        let theirs = compared
            .known
            .iter()
            .any(|known| files[known.file].name == row.id);
        if there && !theirs {
            refusals.push(format!(
                "`{}` is applied by `stagecraft_migrations`, and not by {tool}'s table. Where {tool} undid it: `DELETE FROM stagecraft_migrations WHERE database_name = '{}' AND id = '{}'`. Where it was applied without `options.table: native`: let {tool} mark it as applied",
                row.id,
                row.database,
                row.id.replace('\'', "''")
            ));
        }
    }
    refusals
}

/// Adds what the tool knows and Stagecraft does not.
fn add(rows: &mut Vec<LedgerRow>, name: &str, source: &Source, compared: &Compared) {
    for known in &compared.known {
        let file = &source.folder.files[known.file];
        if rows.iter().any(|row| row.id == file.name) {
            continue;
        }
        let candidate = &source.candidates[known.file];
        let (checksum, normalised) = match &known.edited {
            Some(theirs) => (theirs.clone(), String::new()),
            None => (file.checksum.clone(), candidate.normalised().to_owned()),
        };
        rows.push(LedgerRow {
            database: name.to_owned(),
            id: file.name.clone(),
            checksum,
            normalised,
            transactional: true,
            started_at: known.at.clone().unwrap_or_default(),
            // Where the tool keeps no time, there is none to tell.
            finished_at: Some(known.at.clone().unwrap_or_default()),
            ..LedgerRow::default()
        });
    }
    for finding in &compared.findings {
        if let Finding::NoFile { key } = finding {
            rows.push(LedgerRow {
                database: name.to_owned(),
                id: key.clone(),
                finished_at: Some(String::new()),
                ..LedgerRow::default()
            });
        }
    }
}
