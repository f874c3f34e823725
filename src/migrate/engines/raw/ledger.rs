//! What counts as applied: the rows of Stagecraft's own table, and those of the
//! tool whose table is kept beside it. Imports `ports`, `migrate`'s pure parts.

use crate::migrate::native::{Compared, Finding, History, compare};
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
        refusals: vec![],
    };
    let Some((source, history)) = source.and_then(|source| Some((source, source.native?))) else {
        return Ok(found);
    };
    let compared = match history.find(session).await? {
        Some(table) => {
            let rows = table.read(session).await?;
            compare(history, true, &source.folder.files, &rows)
        }
        None => Compared::default(),
    };
    found.refusals = disagreements(history, source, &compared, &found.rows);
    add(&mut found.rows, name, source, &compared);
    Ok(found)
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
                "`{key}` is not done, says {tool}'s table: {why}; put that in order with {tool}"
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
