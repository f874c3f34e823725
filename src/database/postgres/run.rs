//! Sending one message and listening until its end: to the answers, to
//! notices, to the signal, and now and then to who is in the way.

use std::pin::pin;
use std::time::Duration;

use tokio::time::Instant;
use tokio_postgres::error::{DbError, SqlState};
use tokio_postgres::{Client, Error, SimpleQueryMessage};
use tokio_stream::StreamExt;

use crate::ports::Cx;

use super::connect::{Connector, Wire};
use super::watch;

/// How long the server may take to confirm a cancellation.
const CONFIRMATION: Duration = Duration::from_secs(10);

/// What came of a message.
#[derive(Default)]
pub(super) struct Answer {
    /// Statements that ended well.
    pub(super) completed: u64,
    /// The first column of the last row.
    pub(super) last: Option<String>,
    /// The server warned that a transaction was not, or already, there.
    pub(super) nesting: bool,
    pub(super) elapsed: Duration,
    /// The last blockers that were seen, in words.
    pub(super) blocker: Option<String>,
    /// Our own cancellation was asked for.
    pub(super) cancelled: bool,
    pub(super) failure: Option<Failure>,
}

pub(super) enum Failure {
    Sql(Error),
    /// It was cancelled and never said so.
    Silent,
}

/// What may be asked while the message runs.
pub(super) struct Lookout<'a> {
    pub(super) connector: &'a Connector,
    /// A second connection, and the process id of the first.
    pub(super) second: Option<(&'a Client, i32)>,
    pub(super) lock_timeout: Duration,
}

pub(super) async fn run(cx: &Cx, wire: &mut Wire, message: &str, out: &Lookout<'_>) -> Answer {
    let mut answer = Answer::default();
    let begun = Instant::now();
    let stream = match wire.client.simple_query_raw(message).await {
        Ok(stream) => stream,
        Err(error) => {
            answer.failure = Some(Failure::Sql(error));
            return answer;
        }
    };
    let mut stream = pin!(stream);
    // Two looks fit into one wait for a lock.
    let pace = (out.lock_timeout * 2 / 5).clamp(Duration::from_millis(40), Duration::from_secs(1));
    let mut look_at = begun + pace;
    let mut silent_at = begun;
    loop {
        tokio::select! {
            biased;
            Some(notice) = wire.notices.recv() => heard(cx, &notice, &mut answer),
            item = stream.next() => match item {
                None => break,
                Some(Ok(SimpleQueryMessage::CommandComplete(_))) => answer.completed += 1,
                Some(Ok(SimpleQueryMessage::Row(row))) => {
                    answer.last = row.try_get(0).ok().flatten().map(str::to_owned);
                }
                Some(Ok(_)) => {}
                Some(Err(error)) => {
                    answer.failure = Some(Failure::Sql(error));
                    break;
                }
            },
            () = cx.token().cancelled(), if !answer.cancelled => {
                answer.cancelled = true;
                silent_at = Instant::now() + CONFIRMATION;
                // Where this fails, the silence below tells.
                let _ = out.connector.cancel(&wire.client.cancel_token()).await;
            }
            () = tokio::time::sleep_until(silent_at), if answer.cancelled => {
                answer.failure = Some(Failure::Silent);
                break;
            }
            () = tokio::time::sleep_until(look_at), if out.second.is_some() && !out.lock_timeout.is_zero() => {
                if let Some((client, pid)) = out.second
                    && let Ok(Some(words)) =
                        tokio::time::timeout(pace, watch::blockers(client, pid)).await
                {
                    answer.blocker = Some(words);
                }
                // The longer it works, the less a look tells.
                let seldom = (begun.elapsed() / 2).clamp(pace, Duration::from_secs(1));
                look_at = Instant::now() + seldom;
            }
        }
    }
    answer.elapsed = begun.elapsed();
    while let Ok(notice) = wire.notices.try_recv() {
        heard(cx, &notice, &mut answer);
    }
    answer
}

fn heard(cx: &Cx, notice: &DbError, answer: &mut Answer) {
    if [
        SqlState::NO_ACTIVE_SQL_TRANSACTION,
        SqlState::ACTIVE_SQL_TRANSACTION,
    ]
    .contains(notice.code())
    {
        answer.nesting = true;
        return;
    }
    cx.output(format!("{}: {}", notice.severity(), notice.message()));
}
