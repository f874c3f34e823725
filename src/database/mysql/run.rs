//! Sending one message of one or several statements, and stopping it by
//! `KILL QUERY` from a second connection.

use std::time::Duration;

use mysql_async::prelude::Queryable;
use mysql_async::{Conn, Error};
use tokio::sync::watch;
use tokio::time::Instant;

use crate::ports::{Cx, SqlErrorKind};

use super::connect::Connector;

const CONFIRMATION: Duration = Duration::from_secs(10);

pub(super) struct Answer {
    /// The statement that was running at the end.
    pub(super) statement: u64,
    /// Why we stopped it ourselves.
    pub(super) stopped: Option<SqlErrorKind>,
    /// `None`: it was stopped and never said so.
    pub(super) outcome: Option<Result<(), Error>>,
}

/// `limit`: for one statement; zero is none.
pub(super) async fn run(
    cx: &Cx,
    connection: &mut Conn,
    connector: &Connector,
    message: &str,
    limit: Duration,
) -> Answer {
    let id = connection.id();
    let (sender, mut progress) = watch::channel(0);
    let mut work = std::pin::pin!(send(connection, message, &sender));
    let mut answer = Answer {
        statement: 0,
        stopped: None,
        outcome: None,
    };
    let mut deadline = Instant::now() + limit;
    loop {
        let watched = answer.stopped.is_none();
        tokio::select! {
            biased;
            outcome = &mut work => {
                answer.outcome = Some(outcome);
                break;
            }
            _ = progress.changed() => deadline = Instant::now() + limit,
            () = cx.token().cancelled(), if watched => {
                answer.stopped = Some(SqlErrorKind::Cancelled);
            }
            () = tokio::time::sleep_until(deadline), if watched && !limit.is_zero() => {
                answer.stopped = Some(SqlErrorKind::StatementTimeout);
            }
            () = stop(connector, id), if !watched => break,
        }
    }
    answer.statement = *progress.borrow();
    answer
}

/// Asks again until the time for a confirmation is over: a kill that comes
/// between two statements is lost.
async fn stop(connector: &Connector, id: u32) {
    let end = Instant::now() + CONFIRMATION;
    let mut pace = tokio::time::interval(Duration::from_millis(500));
    while pace.tick().await < end {
        if let Ok(mut second) = connector.connect().await {
            // It may have ended meanwhile: whoever waits beside this sees it.
            let _ = second.query_drop(format!("KILL QUERY {id}")).await;
        }
    }
}

/// Reads every result to its end: what a later statement fails with comes
/// while the result before it is left.
async fn send(
    connection: &mut Conn,
    message: &str,
    progress: &watch::Sender<u64>,
) -> Result<(), Error> {
    let mut result = connection.query_iter(message).await?;
    loop {
        // The next statement runs while this result's end is read.
        progress.send_modify(|statement| *statement += 1);
        while result.next().await?.is_some() {}
        if result.is_empty() {
            break;
        }
    }
    result.drop_result().await
}
