//! Taking over the history that another tool wrote: its rows become rows of
//! `stagecraft_migrations`. Imports `ports`, `model` and `migrate`'s pure
//! parts. No SQL of any file runs, and the tool's table stays as it is.

use serde::Serialize;
use uuid::Uuid;

use crate::migrate::native::{Finding, History, Known, Table, compare};
use crate::migrate::words;
use crate::model::fault::Fault;
use crate::ports::{Claim, Cx, Database, Databases, Job};

use super::ledger;
use super::plan::reading;
use super::run::writing;
use super::source::{Read, Sources};

/// What to take over.
#[derive(Debug, Clone, Default)]
pub struct Adoption {
    /// `None`: whose table is there.
    pub from: Option<History>,
    /// Files that are taken as applied although the tool applied another text.
    pub edited: Vec<String>,
    /// Versions or names in the tool's table that need no file any more.
    pub gone: Vec<String>,
    pub write: Writing,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Writing {
    /// Look only.
    #[default]
    Nothing,
    /// Under the database's lock.
    Rows,
}

/// What a tool's table says about the files.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Adopted {
    pub from: &'static str,
    pub table: String,
    /// To be taken over, or taken over: in order of the files.
    pub rows: Vec<AdoptedRow>,
    /// Files that Stagecraft knows as applied already.
    pub known: usize,
    /// Files of no row: what would be pending.
    pub pending: Vec<String>,
    /// Why nothing is taken over.
    #[serde(skip)]
    pub findings: Vec<String>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct AdoptedRow {
    /// In the tool's table.
    pub key: String,
    /// The file.
    pub id: String,
    /// When the tool applied it, where it says so.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub at: Option<String>,
}

/// # Errors
/// The database cannot be read or written, no tool's table is there, or the
/// files are not known. What may not be taken over stands in the findings.
pub async fn adopt(
    databases: &dyn Databases,
    cx: &Cx,
    job: &Job<'_>,
    adoption: &Adoption,
) -> Result<Adopted, Fault> {
    let route = databases.route(job).await?;
    let read = Sources::default().read(cx, job, route.dialect).await?;
    let Read::Known(source, _) = read else {
        return Err(Fault::refused("the image with the migrations is not there")
            .state("nothing was changed"));
    };
    let spec = &job.database.migrations;
    let options = match adoption.write {
        Writing::Nothing => reading(job),
        Writing::Rows => writing(job, "", spec.lock_timeout),
    };
    let mut session = databases.open(cx, job, &options).await?;
    if adoption.write == Writing::Rows {
        let claim = Claim {
            step: Uuid::now_v7(),
            entry: job.database.name.to_string(),
        };
        session.lock(cx, &claim, spec.lock_wait).await?;
    }
    let table = table(session.as_mut(), job, adoption.from).await?;
    let rows = table.read(session.as_mut()).await?;
    let name = job.database.name.as_str();
    let own = session.rows(name).await?;
    let own = own.unwrap_or_default();
    let files = &source.folder.files;
    let same = History::of(source.folder.format) == Some(table.history);
    let compared = compare(table.history, same, files, &rows);
    let is_known = |id: &str| own.iter().any(|row| row.id == id);
    let (known, new): (Vec<&Known>, Vec<&Known>) = compared
        .known
        .iter()
        .partition(|known| is_known(&files[known.file].name));
    let mut adopted = Adopted {
        from: table.history.label(),
        table: table.name.clone(),
        known: known.len(),
        pending: vec![],
        findings: source.problems.clone(),
        rows: vec![],
    };
    adopted
        .findings
        .extend(findings(table.history, &compared.findings, adoption));
    for (index, file) in files.iter().enumerate() {
        let theirs = compared.known.iter().any(|known| known.file == index);
        if !theirs && !is_known(&file.name) {
            adopted.pending.push(file.name.clone());
        }
    }
    adopted.rows.extend(new.iter().map(|known| AdoptedRow {
        key: known.key.clone(),
        id: files[known.file].name.clone(),
        at: known.at.clone(),
    }));
    if adoption.write == Writing::Rows && adopted.findings.is_empty() {
        session.prepare().await?;
        for known in new {
            let row = ledger::adopted(name, &source, table.history, known);
            session.save(&row).await?;
        }
    }
    Ok(adopted)
}

/// The table of the named tool, or of the only one that has one here.
async fn table(
    session: &mut dyn Database,
    job: &Job<'_>,
    from: Option<History>,
) -> Result<Table, Fault> {
    let wanted = from.map_or_else(|| History::ALL.to_vec(), |from| vec![from]);
    let mut found = vec![];
    for history in wanted {
        found.extend(history.find(session).await?);
    }
    let database = &job.database.name;
    let names: Vec<&str> = found.iter().map(|table| table.history.label()).collect();
    let nobody = format!(
        "where no tool ever ran there: `stagecraft migrate plan --env {0}`; where it was made by hand: `stagecraft migrate baseline --env {0} --database {database} --to ID`",
        job.environment.name
    );
    match (found.len(), from) {
        (1, _) => Ok(found.swap_remove(0)),
        (0, Some(from)) => Err(Fault::refused(format!(
            "`{database}` has no table of {}",
            from.label()
        ))
        .state("nothing was changed")
        .hint(nobody)),
        (0, None) => Err(Fault::refused(format!(
            "`{database}` has no table of another migration tool"
        ))
        .because("looked for those of every tool that `--from` knows, in the schema that the URL's user works in")
        .state("nothing was changed")
        .hint(nobody)),
        _ => Err(Fault::refused(format!(
            "`{database}` has tables of several tools: {}",
            words::list(&names)
        ))
        .state("nothing was changed")
        .hint("say which one: `--from TOOL`")),
    }
}

fn findings(history: History, found: &[Finding], adoption: &Adoption) -> Vec<String> {
    let told = found.iter().filter_map(|finding| match finding {
        Finding::NoFile { key } if adoption.gone.contains(key) => None,
        Finding::NoFile { key } => Some(format!(
            "`{key}` is applied and has no file: bring the file back, or, where it is gone for good, say `--without-file {key}`"
        )),
        Finding::Failed { key, why } => Some(format!(
            "`{key}` is not done: {why}; {}",
            history.settles(key)
        )),
        Finding::Edited { id } if adoption.edited.contains(id) => None,
        Finding::Edited { id } => Some(format!(
            "`{id}` is not the text that was applied (the checksums differ): bring it back as it was, or, where the change is known and harmless, say `--accept-edited {id}`"
        )),
    });
    told.collect()
}
