//! The end inside the container: serves one session to its standard input.

use std::path::Path;
use std::pin::pin;
use std::time::Duration;

use tokio::io::{AsyncBufReadExt, AsyncRead, AsyncWrite, BufReader, Lines};
use tokio::sync::mpsc::unbounded_channel;
use tokio_util::sync::CancellationToken;

use crate::model::fault::Fault;
use crate::model::secret::Secret;
use crate::ports::{Cx, Database, SqlError};

use super::super::open_here;
use super::super::sqlite::files;
use super::super::url::ConnectionUrl;
use super::protocol::{Reply, Request, VERSION, write};

/// Serves until the input ends, which also cancels what is running.
///
/// # Errors
/// The other end is gone, or does not speak this language.
pub async fn serve(
    input: impl AsyncRead + Unpin + Send,
    mut output: impl AsyncWrite + Unpin + Send,
) -> Result<(), Fault> {
    let mut lines = BufReader::new(input).lines();
    let mut session = None;
    while let Some(request) = next(&mut lines).await? {
        if matches!(request, Request::Cancel) {
            // It came after the end of what it meant.
            continue;
        }
        let (events, mut heard) = unbounded_channel();
        let token = CancellationToken::new();
        let cx = Cx::new(events, token.clone());
        let mut work = pin!(perform(&cx, &mut session, request));
        let reply = loop {
            tokio::select! {
                biased;
                Some(event) = heard.recv() => {
                    tell(&mut output, &Reply::Event(event.kind)).await?;
                }
                reply = &mut work => break reply,
                // Its end, a cancellation, or nonsense: the work stops.
                _ = lines.next_line(), if !token.is_cancelled() => token.cancel(),
            }
        };
        while let Ok(event) = heard.try_recv() {
            tell(&mut output, &Reply::Event(event.kind)).await?;
        }
        tell(&mut output, &reply).await?;
    }
    Ok(())
}

async fn next(
    lines: &mut Lines<BufReader<impl AsyncRead + Unpin + Send>>,
) -> Result<Option<Request>, Fault> {
    let line = lines
        .next_line()
        .await
        .map_err(|error| Fault::internal("the input is gone").caused_by(&error))?;
    // The text may hold a password: it is in no message.
    line.map(|line| {
        serde_json::from_str(&line).map_err(|_| Fault::internal("a request that is not known"))
    })
    .transpose()
}

async fn tell(output: &mut (impl AsyncWrite + Unpin), reply: &Reply) -> Result<(), Fault> {
    write(output, reply)
        .await
        .map_err(|error| Fault::internal("the output is gone").caused_by(&error))
}

async fn perform(cx: &Cx, session: &mut Option<Box<dyn Database>>, request: Request) -> Reply {
    let request = match request {
        Request::Open {
            version,
            variable,
            url,
            options,
        } => {
            let opening = async {
                same_version(&version)?;
                let url = ConnectionUrl::parse(&variable, &Secret::new(url))?.at(&options.which);
                open_here(&url, Path::new(""), &options).await
            };
            return match opening.await {
                Ok(opened) => {
                    *session = Some(opened);
                    Reply::Done
                }
                Err(fault) => Reply::Fault(fault),
            };
        }
        Request::Files {
            version,
            variable,
            url,
            work,
        } => {
            let done = async {
                same_version(&version)?;
                let url = ConnectionUrl::parse(&variable, &Secret::new(url))?;
                files::perform(&url.file()?, work).await
            };
            return done.await.map_or_else(Reply::Fault, Reply::Files);
        }
        other => other,
    };
    let Some(session) = session else {
        return Reply::Fault(Fault::internal("no session is open"));
    };
    match request {
        Request::Rows { database } => match session.rows(&database).await {
            Ok(rows) => Reply::Rows(rows),
            Err(fault) => Reply::Fault(fault),
        },
        Request::Lock { claim, wait_ms } => {
            let wait = Duration::from_millis(wait_ms);
            let locked = session.lock(cx, &claim, wait).await;
            locked.map_or_else(Reply::Fault, Reply::Locked)
        }
        Request::Prepare => plain(session.prepare().await),
        Request::Renew => plain(session.renew().await),
        Request::Apply { script, row } => sql(session.apply(cx, &script, &row).await),
        Request::Execute { statement } => sql(session.execute(cx, &statement).await),
        Request::Save { row } => plain(session.save(&row).await),
        Request::Query { sql } => match session.query(&sql).await {
            Ok(texts) => Reply::Texts(texts),
            Err(fault) => Reply::Fault(fault),
        },
        Request::Hold => session.hold().await.map_or_else(Reply::Fault, Reply::Held),
        Request::FreeBytes => session
            .free_bytes()
            .await
            .map_or_else(Reply::Fault, Reply::Bytes),
        Request::Open { .. } | Request::Files { .. } | Request::Cancel => Reply::Done,
    }
}

fn same_version(theirs: &str) -> Result<(), Fault> {
    if theirs == VERSION {
        return Ok(());
    }
    Err(Fault::config(format!(
        "the helper is version {VERSION}, this program is version {theirs}"
    ))
    .hint("let `STAGECRAFT_HELPER` name a program of the same version"))
}

fn plain(outcome: Result<(), Fault>) -> Reply {
    outcome.map_or_else(Reply::Fault, |()| Reply::Done)
}

fn sql(outcome: Result<(), SqlError>) -> Reply {
    outcome.map_or_else(Reply::Sql, |()| Reply::Done)
}
