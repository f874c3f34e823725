//! A migration and its row in one transaction, sent as one message. Imports
//! `ports`, `model`.

use std::time::{Duration, Instant};

use crate::model::fault::Fault;
use crate::ports::{Cx, LedgerRow, SqlError, SqlErrorKind};

use super::super::fault::{self, Sent};
use super::super::run::Session;
use super::{Step, retry};

/// Shorter ones keep the time at which they were sent: saving the true one
/// would cost them a second round trip.
const WORTH_MEASURING: Duration = Duration::from_millis(100);

pub(super) async fn run(cx: &Cx, session: &mut Session<'_>, step: &Step<'_>) -> Result<(), Fault> {
    let mut row = step.row(session);
    step.finish(&mut row);
    let error = match attempts(cx, session, step, &row).await? {
        Ok(()) => {
            if step.began.elapsed() >= WORTH_MEASURING {
                step.measure(&mut row);
                remember(cx, session, &row).await;
            }
            return Ok(());
        }
        Err(error) => error,
    };
    let fault = fault::of(step.file, step.script, Sent::Whole, &error, session.spec());
    let name = &step.file.name;
    if error.kind != SqlErrorKind::ConnectionLost {
        return Err(fault.state(format!(
            "`{name}` changed nothing: its transaction was undone"
        )));
    }
    // Lost in the middle or after the commit: only the database knows.
    match committed(cx, session, name).await {
        Ok(true) => {
            cx.warn(format!("the connection was lost after `{name}` was committed; connected again"));
            Ok(())
        }
        Ok(false) => Err(fault.state(format!(
            "`{name}` changed nothing: looked after connecting again, its row is not there"
        ))),
        Err(again) => Err(fault
            .because(format!("connecting again failed: {again}"))
            .state(format!(
                "whether `{name}` took effect is unknown until the database answers; it did all of it or nothing"
            ))),
    }
}

/// Tries again while all that fails is getting a lock.
async fn attempts(
    cx: &Cx,
    session: &mut Session<'_>,
    step: &Step<'_>,
    row: &LedgerRow,
) -> Result<Result<(), SqlError>, Fault> {
    let script = step.script.whole();
    let retries = session.spec().lock_retries;
    let mut took = Duration::ZERO;
    for attempt in 0..=retries {
        let began = Instant::now();
        let error = match attempt_once(cx, session, &script, row, (attempt, took)).await {
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
        cx.retry(
            step.file.name.clone(),
            attempt + 1,
            retries,
            format!("blocked by {blocker}"),
        );
        retry::pause(cx, attempt).await?;
    }
    Ok(Ok(()))
}

async fn attempt_once(
    cx: &Cx,
    session: &mut Session<'_>,
    script: &str,
    row: &LedgerRow,
    (attempt, took): (u32, Duration),
) -> Result<(), SqlError> {
    let dialect = session.database.dialect();
    let wait = retry::wait(session.spec(), dialect, attempt, took);
    session.wait_for_locks(cx, wait).await?;
    session.database.apply(cx, script, row).await
}

async fn committed(cx: &Cx, session: &mut Session<'_>, id: &str) -> Result<bool, Fault> {
    session.reopen(cx).await?;
    let rows = session.rows().await?;
    Ok(rows
        .iter()
        .any(|row| row.id == id && row.finished_at.is_some()))
}

/// The times are worth a line, not a failure.
async fn remember(cx: &Cx, session: &mut Session<'_>, row: &LedgerRow) {
    if let Err(fault) = session.database.save(row).await {
        cx.warn(format!(
            "the duration of `{}` was not saved: {fault}",
            row.id
        ));
    }
}
