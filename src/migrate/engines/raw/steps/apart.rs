//! A migration statement by statement: a row before each and after it, resumed
//! at the statement that failed. Imports `ports`, `model`.
//!
//! Invariant: the row never says less than what took effect, except for the
//! one statement that it says was begun.

use std::time::{Duration, Instant};

use crate::migrate::sql::{Standing, Statement, Trace};
use crate::model::fault::{Fault, FaultKind};
use crate::ports::{Cx, LedgerRow, SqlError, SqlErrorKind};

use super::super::catalogue::{self, Found};
use super::super::fault::{self, Sent};
use super::super::run::Session;
use super::{Step, retry};

pub(super) async fn run(
    cx: &Cx,
    session: &mut Session<'_>,
    step: &Step<'_>,
    row: Option<LedgerRow>,
) -> Result<(), Fault> {
    let resumed = row.is_some();
    let mut row = row.unwrap_or_else(|| step.row(session));
    row.transactional = false;
    row.error = None;
    row.release.clone_from(&session.release);
    row.checksum.clone_from(&step.file.checksum);
    row.statements_total = step.total();
    if resumed {
        settle(cx, session, step, &mut row).await?;
    }
    let first = at(row.statements_done);
    if resumed {
        let done = plural_done(first);
        cx.step(format!("resumed {} after {done}", step.file.name));
        restore_session(cx, session, step, first).await?;
    }
    // The statement that began the transaction which is open now.
    let mut open: Option<usize> = None;
    for (index, statement) in step.script.statements.iter().enumerate().skip(first) {
        begin(session, step, &mut row, index).await?;
        if resumed && index == first {
            catalogue::clear_invalid(cx, session.database.as_mut(), &statement.trace).await?;
        }
        if let Err(error) = execute(cx, session, step, index, open.is_some()).await? {
            return Err(failed(cx, session, step, &mut row, index, open, &error).await);
        }
        row.statements_done = count(index + 1);
        match statement.standing {
            Standing::Begins => open = Some(index),
            Standing::Ends => open = None,
            Standing::Inside | Standing::Outside(_) => {}
        }
    }
    if let Some(index) = open {
        return Err(never_ended(cx, session, step, &mut row, index).await);
    }
    step.finish(&mut row);
    session.database.save(&row).await
}

/// Finds out what became of a statement that was begun and never confirmed.
async fn settle(
    cx: &Cx,
    session: &mut Session<'_>,
    step: &Step<'_>,
    row: &mut LedgerRow,
) -> Result<(), Fault> {
    if row.statements_begun <= row.statements_done {
        return Ok(());
    }
    let index = at(row.statements_done);
    let Some(statement) = step.script.statements.get(index) else {
        return Ok(());
    };
    match catalogue::look(session.database.as_mut(), &statement.trace).await? {
        Found::Done => {
            row.statements_done += 1;
            cx.step(format!(
                "found statement {} of {} in effect",
                index + 1,
                step.file.name
            ));
            Ok(())
        }
        Found::Not => Ok(()),
        Found::Unclear => Err(unclear(session, step, statement, index)),
    }
}

fn unclear(session: &Session<'_>, step: &Step<'_>, statement: &Statement, index: usize) -> Fault {
    let place = step.script.place(statement.range.start);
    let number = index + 1;
    let lines = step.script.slice(statement).lines().map(str::to_owned);
    let fault = Fault::refused(format!(
        "{}:{place}: statement {number} was begun and cut off, and the catalogue cannot tell whether it took effect",
        step.file.shown
    ))
    .showing(format!("statement {number}"), lines.take(20).collect());
    let fault = match index {
        0 => fault,
        index => fault.state(format!(
            "the {} before it took effect",
            plural_statements(index)
        )),
    };
    let repair = session.command("repair");
    fault.hint(format!(
        "look into the database. It did take effect: `{repair} --done`. It did not: `{repair} --not-done`. Then run the same command again"
    ))
}

/// Settings of the session ended with the session that made them.
async fn restore_session(
    cx: &Cx,
    session: &mut Session<'_>,
    step: &Step<'_>,
    first: usize,
) -> Result<(), Fault> {
    for (index, statement) in step.script.statements.iter().enumerate().take(first) {
        if statement.trace == Trace::Session {
            let sql = step.script.slice(statement);
            session.database.execute(cx, sql).await.map_err(|error| {
                let sent = Sent::Statement(index);
                fault::of(step.file, step.script, sent, &error, session.spec())
            })?;
        }
    }
    Ok(())
}

async fn begin(
    session: &mut Session<'_>,
    step: &Step<'_>,
    row: &mut LedgerRow,
    index: usize,
) -> Result<(), Fault> {
    row.statements_begun = count(index + 1);
    row.normalised
        .clone_from(&step.candidate.prefixes[index + 1]);
    session.database.save(row).await
}

/// Tries again while all that fails is getting a lock; inside a transaction of
/// the file's own that is no way, since it is broken then.
async fn execute(
    cx: &Cx,
    session: &mut Session<'_>,
    step: &Step<'_>,
    index: usize,
    in_transaction: bool,
) -> Result<Result<(), SqlError>, Fault> {
    let statement = &step.script.statements[index];
    let sql = step.script.slice(statement);
    let retries = match in_transaction {
        true => 0,
        false => session.spec().lock_retries,
    };
    let mut took = Duration::ZERO;
    for attempt in 0..=retries {
        let began = Instant::now();
        let wait = match statement.standing {
            // Nobody queues up behind those, and begun again they lose work.
            Standing::Outside(_) => session.spec().lock_timeout,
            _ if in_transaction => session.spec().lock_timeout,
            Standing::Inside | Standing::Begins | Standing::Ends => {
                let dialect = session.database.dialect();
                retry::wait(session.spec(), dialect, attempt, took)
            }
        };
        let done = match session.wait_for_locks(cx, wait).await {
            Ok(()) => session.database.execute(cx, sql).await,
            Err(error) => Err(error),
        };
        let error = match done {
            Ok(()) => return Ok(Ok(())),
            Err(error) => error,
        };
        took = took.max(began.elapsed());
        if error.kind != SqlErrorKind::LockTimeout || attempt == retries {
            return Ok(Err(error));
        }
        let blocker = error
            .blocker
            .unwrap_or_else(|| "another session".to_owned());
        let what = format!("statement {} of {}", index + 1, step.file.name);
        cx.retry(what, attempt + 1, retries, format!("blocked by {blocker}"));
        retry::pause(cx, attempt).await?;
        catalogue::clear_invalid(cx, session.database.as_mut(), &statement.trace).await?;
    }
    Ok(Ok(()))
}

/// Records the failure and says what took effect.
async fn failed(
    cx: &Cx,
    session: &mut Session<'_>,
    step: &Step<'_>,
    row: &mut LedgerRow,
    index: usize,
    open: Option<usize>,
    error: &SqlError,
) -> Fault {
    let sent = Sent::Statement(index);
    let fault = fault::of(step.file, step.script, sent, error, session.spec());
    if error.kind == SqlErrorKind::ConnectionLost {
        return fault.state(format!(
            "the {} took effect; whether statement {} did is looked up by the next run",
            plural_statements(open.unwrap_or(index)),
            index + 1
        ));
    }
    let kept = open.unwrap_or(index);
    let why = match error.kind {
        // The server's words are about a request that nobody here made by hand.
        SqlErrorKind::Cancelled => "cancelled",
        SqlErrorKind::Statement
        | SqlErrorKind::LockTimeout
        | SqlErrorKind::StatementTimeout
        | SqlErrorKind::ConnectionLost => &error.message,
    };
    let saved = record(cx, session, step, row, kept, open, why).await;
    let fault = match kept {
        0 => fault.state(format!("`{}` changed nothing", step.file.name)),
        1 => fault.state(format!(
            "the first statement of `{}` took effect and stays; the next run goes on after it",
            step.file.name
        )),
        kept => fault.state(format!(
            "the first {kept} statements of `{}` took effect and stay; the next run goes on after them",
            step.file.name
        )),
    };
    match saved {
        Ok(()) => fault,
        Err(save) => fault.because(format!("the failure could not be recorded: {save}")),
    }
}

async fn never_ended(
    cx: &Cx,
    session: &mut Session<'_>,
    step: &Step<'_>,
    row: &mut LedgerRow,
    begun: usize,
) -> Fault {
    let place = step.script.place(step.script.statements[begun].range.start);
    let what = format!(
        "{}:{place}: this transaction is never committed",
        step.file.shown
    );
    let saved = record(cx, session, step, row, begun, Some(begun), &what).await;
    let fault = Fault::failed(what).state("it was undone");
    match saved {
        Ok(()) => fault,
        Err(save) => fault.because(save.to_string()),
    }
}

/// Saves the row as it stands after a failure, deaf to the signal.
async fn record(
    cx: &Cx,
    session: &mut Session<'_>,
    step: &Step<'_>,
    row: &mut LedgerRow,
    kept: usize,
    open: Option<usize>,
    error: &str,
) -> Result<(), Fault> {
    if open.is_some() {
        let rolled = session
            .database
            .execute(&cx.uncancellable(), "ROLLBACK")
            .await;
        rolled.map_err(|error| Fault::new(FaultKind::Failed, error.message))?;
    }
    row.statements_begun = count(kept);
    row.statements_done = count(kept);
    row.normalised.clone_from(&step.candidate.prefixes[kept]);
    row.error = Some(error.to_owned());
    session.database.save(row).await
}

fn at(number: i64) -> usize {
    usize::try_from(number).unwrap_or_default()
}

fn count(number: usize) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

fn plural_statements(count: usize) -> String {
    crate::migrate::words::plural(count, "statement")
}

fn plural_done(count: usize) -> String {
    match count {
        0 => "no statement".to_owned(),
        count => plural_statements(count),
    }
}
