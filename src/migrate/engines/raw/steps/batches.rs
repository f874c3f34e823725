//! One UPDATE or DELETE in batches along the table's key, each committed by
//! itself: no long transaction, no long lock, and replicas keep up. Imports
//! `ports`, `model`.
//!
//! The key that a batch ended with is saved in the transaction of the batch,
//! in a row of its own beside the migration's. Invariant: a killed run goes on
//! after the last batch that was committed; no row is changed twice, and none
//! is left out.

mod key;
mod pace;

use crate::migrate::sql::Batch;
use crate::migrate::words;
use crate::model::event::Unit;
use crate::model::fault::Fault;
use crate::ports::{Cx, LedgerRow, SqlError, SqlErrorKind};

use super::super::catalogue;
use super::super::fault::{self, Sent};
use super::super::run::Session;
use super::{Step, retry};
use key::{Key, Page};
use pace::Pace;

pub(super) async fn run(
    cx: &Cx,
    session: &mut Session<'_>,
    step: &Step<'_>,
    row: Option<LedgerRow>,
    rows: u64,
) -> Result<(), Fault> {
    let batch = step.script.batch();
    let batch = batch.map_err(|problem| Fault::refused(problem.what))?;
    let key = Key::of(session.database.as_mut(), &batch).await?;
    let mut mark = mark(session, step, row.is_some()).await?;
    let mut row = row.unwrap_or_else(|| step.row(session));
    row.transactional = false;
    row.statements_begun = 1;
    row.statements_total = 1;
    row.error = None;
    row.release.clone_from(&session.release);
    row.checksum.clone_from(&step.file.checksum);
    row.normalised = step.candidate.normalised().to_owned();
    session.database.save(&row).await?;
    if mark.statements_done > 0 {
        cx.step(format!(
            "resumed {} after {}",
            step.file.name,
            looked_at(&mark)
        ));
    }
    let total = key.estimate(session.database.as_mut()).await?;
    let mut pace = Pace::default();
    let stopped = loop {
        if let Err(fault) = cx.check() {
            break fault.state(stays(step, &mark));
        }
        let Some(page) = key
            .next(session.database.as_mut(), &mark.error, rows)
            .await?
        else {
            return finish(cx, session, step, row, &mark).await;
        };
        let sql = batch.within(&key.bounds(&batch, mark.error.as_deref(), &page));
        let next = LedgerRow {
            error: Some(page.last),
            statements_done: mark.statements_done.saturating_add(page.rows),
            statements_total: mark.statements_total + 1,
            ..mark.clone()
        };
        let began = std::time::Instant::now();
        if let Err(error) = apply(cx, session, step, &sql, &next).await? {
            break failed(session, step, &mark, error);
        }
        mark = next;
        let done = u64::try_from(mark.statements_done).unwrap_or_default();
        // An estimate that was too low would be more than all.
        let total = total.filter(|total| done <= *total);
        cx.progress(step.file.name.clone(), done, total, Unit::Items);
        if let Err(fault) = pace
            .rest(cx, session.database.as_mut(), began.elapsed())
            .await
        {
            break fault.state(stays(step, &mark));
        }
    };
    row.error = Some(format!("stopped after {}", looked_at(&mark)));
    match session.database.save(&row).await {
        Ok(()) => Err(stopped),
        Err(save) => Err(stopped.because(format!("the failure could not be recorded: {save}"))),
    }
}

/// No name of an entry has a slash.
fn entry(session: &Session<'_>) -> String {
    format!("{}/batches", session.database_name())
}

/// How far it came: the last key in `error`, the rows that were looked at in
/// `statements_done`, the batches in `statements_total`.
async fn mark(
    session: &mut Session<'_>,
    step: &Step<'_>,
    resumed: bool,
) -> Result<LedgerRow, Fault> {
    let entry = entry(session);
    let known = session.database.rows(&entry).await?.unwrap_or_default();
    let same =
        |row: &LedgerRow| row.id == step.file.name && row.normalised == step.candidate.normalised();
    if let Some(known) = known.into_iter().find(same).filter(|_| resumed) {
        return Ok(known);
    }
    Ok(LedgerRow {
        database: entry,
        statements_total: 0,
        statements_begun: 0,
        normalised: step.candidate.normalised().to_owned(),
        ..step.row(session)
    })
}

/// Whether an earlier run began it in batches.
pub(super) async fn begun(session: &mut Session<'_>, step: &Step<'_>) -> Result<bool, Fault> {
    let entry = entry(session);
    let rows = session.database.rows(&entry).await?.unwrap_or_default();
    Ok(rows.iter().any(|row| row.id == step.file.name))
}

pub(super) fn no_longer(step: &Step<'_>) -> Fault {
    Fault::refused(format!("`{}` was begun in batches", step.file.name))
        .because("its header does not say `batch` any more")
        .hint("put `-- stagecraft: batch=N` back; N may be another number")
}

async fn apply(
    cx: &Cx,
    session: &mut Session<'_>,
    step: &Step<'_>,
    sql: &str,
    mark: &LedgerRow,
) -> Result<Result<(), SqlError>, Fault> {
    let retries = session.spec().lock_retries;
    for attempt in 0..=retries {
        let error = match session.database.apply(cx, sql, mark).await {
            Ok(()) => return Ok(Ok(())),
            Err(error) => error,
        };
        if error.kind != SqlErrorKind::LockTimeout || attempt == retries {
            return Ok(Err(error));
        }
        let blocker = error
            .blocker
            .unwrap_or_else(|| "another session".to_owned());
        let what = format!("a batch of {}", step.file.name);
        cx.retry(what, attempt + 1, retries, format!("blocked by {blocker}"));
        if retry::pause(cx, attempt).await.is_err() {
            return Ok(Err(SqlError {
                message: "cancelled".to_owned(),
                kind: SqlErrorKind::Cancelled,
                ..SqlError::default()
            }));
        }
    }
    Ok(Ok(()))
}

fn failed(session: &Session<'_>, step: &Step<'_>, mark: &LedgerRow, mut error: SqlError) -> Fault {
    // It counts in the text that was sent, which is not the file's.
    error.position = None;
    let spec = session.spec();
    let fault = fault::of(step.file, step.script, Sent::Statement(0), &error, spec);
    match error.kind {
        SqlErrorKind::ConnectionLost => fault.state(format!(
            "{}; the batch that was under way took effect as a whole or not at all, and the next run knows",
            stays(step, mark)
        )),
        SqlErrorKind::Statement
        | SqlErrorKind::LockTimeout
        | SqlErrorKind::StatementTimeout
        | SqlErrorKind::Cancelled => fault.state(stays(step, mark)),
    }
}

fn stays(step: &Step<'_>, mark: &LedgerRow) -> String {
    match mark.statements_total {
        0 => format!("`{}` changed nothing", step.file.name),
        _ => format!(
            "{} of `{}` are done and stay; the next run goes on after them",
            looked_at(mark),
            step.file.name
        ),
    }
}

fn looked_at(mark: &LedgerRow) -> String {
    let count =
        |number: i64, one: &str| words::plural(usize::try_from(number).unwrap_or_default(), one);
    let batches = match mark.statements_total {
        1 => "1 batch".to_owned(),
        more => format!("{more} batches"),
    };
    format!("{} in {batches}", count(mark.statements_done, "row"))
}

async fn finish(
    cx: &Cx,
    session: &mut Session<'_>,
    step: &Step<'_>,
    mut row: LedgerRow,
    mark: &LedgerRow,
) -> Result<(), Fault> {
    step.finish(&mut row);
    session.database.save(&row).await?;
    cx.step(format!("{}: {}", step.file.name, looked_at(mark)));
    let entry = entry(session);
    let database = session.database.as_mut();
    // Left behind it would only take room.
    if let Err(fault) = catalogue::forget(cx, database, &entry, &row.id).await {
        cx.warn(fault.to_string());
    }
    Ok(())
}

/// The bounds of a page, as SQL.
impl Key {
    fn bounds(&self, batch: &Batch, after: Option<&str>, page: &Page) -> String {
        let upto = self.compare(batch, "<=", &page.last);
        match after {
            Some(after) => format!("{} AND {upto}", self.compare(batch, ">", after)),
            None => upto,
        }
    }
}
