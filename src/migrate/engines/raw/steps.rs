//! One migration: together in a transaction, apart, statement by statement, or
//! one statement in batches.
//! Imports `ports`, `model` and `migrate`'s pure parts.

mod apart;
mod batches;
pub(super) mod retry;
mod together;

use std::time::Instant;

use chrono::{SecondsFormat, Utc};

use crate::migrate::drift::Candidate;
use crate::migrate::files::MigrationFile;
use crate::migrate::native::Table;
use crate::migrate::sql::{Mode, Script};
use crate::model::fault::Fault;
use crate::ports::{Cx, LedgerRow};

use super::run::Session;

/// One migration and its text.
pub(super) struct Step<'a> {
    pub(super) file: &'a MigrationFile,
    pub(super) script: &'a Script,
    pub(super) candidate: &'a Candidate,
    /// The tool's own table, where it is kept.
    pub(super) native: Option<&'a Table>,
    pub(super) began: Instant,
}

pub(super) async fn run(
    cx: &Cx,
    session: &mut Session<'_>,
    step: &Step<'_>,
    row: Option<LedgerRow>,
) -> Result<(), Fault> {
    cx.check()?;
    // What was begun apart has to be ended apart.
    let begun = row.as_ref().is_some_and(|row| row.statements_begun > 0);
    match &step.candidate.mode {
        Mode::Batches(rows) => batches::run(cx, session, step, row, *rows).await,
        Mode::Together | Mode::Apart(_) if begun && batches::begun(session, step).await? => {
            Err(batches::no_longer(step))
        }
        Mode::Together if !begun => together::run(cx, session, step).await,
        Mode::Together | Mode::Apart(_) => apart::run(cx, session, step, row).await,
    }
}

impl Step<'_> {
    /// The row of this migration before anything of it ran.
    fn row(&self, session: &Session<'_>) -> LedgerRow {
        LedgerRow {
            database: session.database_name(),
            id: self.file.name.clone(),
            checksum: self.file.checksum.clone(),
            normalised: self.candidate.prefixes[0].clone(),
            transactional: self.candidate.mode == Mode::Together,
            started_at: now(),
            statements_total: self.total(),
            release: session.release.clone(),
            tool_version: env!("CARGO_PKG_VERSION").to_owned(),
            ..LedgerRow::default()
        }
    }

    fn total(&self) -> i64 {
        i64::try_from(self.script.statements.len()).unwrap_or(i64::MAX)
    }

    /// Marks a row as finished, now.
    fn finish(&self, row: &mut LedgerRow) {
        row.finished_at = Some(now());
        row.duration_ms = i64::try_from(self.began.elapsed().as_millis()).ok();
        row.statements_begun = self.total();
        row.statements_done = self.total();
        row.statements_total = self.total();
        row.checksum.clone_from(&self.file.checksum);
        row.normalised = self.candidate.normalised().to_owned();
        row.error = None;
        let took = row.duration_ms.unwrap_or_default();
        row.beside = self
            .native
            .map(|table| table.insert(self.file, took))
            .unwrap_or_default();
    }

    /// The row once more, now that the time is known: it stands already.
    fn measure(&self, row: &mut LedgerRow) {
        self.finish(row);
        let took = row.duration_ms.unwrap_or_default();
        row.beside = self
            .native
            .map(|table| table.measured(self.file, took))
            .unwrap_or_default();
    }
}

fn now() -> String {
    Utc::now().to_rfc3339_opts(SecondsFormat::Millis, true)
}
