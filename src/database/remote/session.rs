//! The end here: every call of the port becomes a request, and waits for its
//! reply while events come in and a cancellation may go out.

use std::time::Duration;

use async_trait::async_trait;
use tokio::io::{AsyncBufReadExt, BufReader, Lines, ReadHalf, WriteHalf};
use tokio::time::Instant;

use crate::model::fault::Fault;
use crate::ports::{
    ByteStream, Claim, Cx, Database, Dialect, Hold, LedgerRow, SessionOptions, SqlError,
    SqlErrorKind,
};

use super::super::sqlite::files::{FileReport, FileWork};
use super::super::url::ConnectionUrl;
use super::protocol::{Reply, Request, VERSION, write};

/// How long a cancelled call may take to end.
const CONFIRMATION: Duration = Duration::from_secs(20);

type Stream = Box<dyn ByteStream>;

/// Dropping it closes the stream, which ends the container.
pub(super) struct Remote {
    lines: Lines<BufReader<ReadHalf<Stream>>>,
    output: WriteHalf<Stream>,
    dialect: Dialect,
    /// Such as `in a container on 10.0.0.4`.
    place: String,
}

impl Remote {
    /// # Errors
    /// What the session's own opening fails with; a helper that did not start.
    pub(super) async fn open(
        cx: &Cx,
        stream: Stream,
        url: &ConnectionUrl,
        place: String,
        options: &SessionOptions,
    ) -> Result<Self, Fault> {
        let mut remote = Self::over(stream, url, place);
        let request = Request::Open {
            version: VERSION.to_owned(),
            variable: url.variable.clone(),
            url: url.text.reveal().to_owned(),
            options: options.clone(),
        };
        remote.plain(Some(cx), request).await?;
        Ok(remote)
    }

    fn over(stream: Stream, url: &ConnectionUrl, place: String) -> Self {
        let (input, output) = tokio::io::split(stream);
        Self {
            lines: BufReader::new(input).lines(),
            output,
            dialect: url.dialect(),
            place,
        }
    }

    /// Work on the file itself, instead of a session.
    ///
    /// # Errors
    /// The work's own; a helper that did not start.
    pub(super) async fn files(
        cx: &Cx,
        stream: Stream,
        url: &ConnectionUrl,
        place: String,
        work: FileWork,
    ) -> Result<FileReport, Fault> {
        let mut remote = Self::over(stream, url, place);
        let request = Request::Files {
            version: VERSION.to_owned(),
            variable: url.variable.clone(),
            url: url.text.reveal().to_owned(),
            work,
        };
        match remote.call(Some(cx), request).await? {
            Reply::Files(report) => Ok(report),
            Reply::Fault(fault) => Err(fault),
            Reply::Event(_)
            | Reply::Done
            | Reply::Locked(_)
            | Reply::Rows(_)
            | Reply::Texts(_)
            | Reply::Bytes(_)
            | Reply::Held(_)
            | Reply::Sql(_) => Err(remote.confused()),
        }
    }

    async fn call(&mut self, cx: Option<&Cx>, request: Request) -> Result<Reply, Fault> {
        let lost = |why: &str| {
            Fault::unreachable(format!("the session {} ended by itself", self.place)).because(why)
        };
        if let Err(error) = write(&mut self.output, &request).await {
            return Err(lost("").caused_by(&error));
        }
        let mut give_up = None;
        loop {
            tokio::select! {
                line = self.lines.next_line() => match line {
                    Ok(Some(line)) => match serde_json::from_str(&line) {
                        Ok(Reply::Event(kind)) => {
                            if let Some(cx) = cx {
                                cx.send(kind);
                            }
                        }
                        Ok(reply) => return Ok(reply),
                        Err(_) => return Err(lost("it wrote something that is no answer")),
                    },
                    Ok(None) => return Err(lost("its output ended")),
                    Err(error) => return Err(lost("").caused_by(&error)),
                },
                () = cancelled(cx), if give_up.is_none() => {
                    give_up = Some(Instant::now() + CONFIRMATION);
                    // Where this fails, the stream's end tells.
                    let _ = write(&mut self.output, &Request::Cancel).await;
                }
                () = tokio::time::sleep_until(give_up.unwrap_or_else(Instant::now)),
                    if give_up.is_some() =>
                {
                    return Err(lost("it was cancelled and did not confirm it"));
                }
            }
        }
    }

    async fn plain(&mut self, cx: Option<&Cx>, request: Request) -> Result<(), Fault> {
        match self.call(cx, request).await? {
            Reply::Done => Ok(()),
            Reply::Fault(fault) => Err(fault),
            Reply::Sql(error) => Err(Fault::failed(error.message)),
            Reply::Event(_)
            | Reply::Locked(_)
            | Reply::Rows(_)
            | Reply::Texts(_)
            | Reply::Bytes(_)
            | Reply::Held(_)
            | Reply::Files(_) => Err(self.confused()),
        }
    }

    async fn sql(&mut self, cx: &Cx, request: Request) -> Result<(), SqlError> {
        let fault = match self.call(Some(cx), request).await {
            Ok(Reply::Done) => return Ok(()),
            Ok(Reply::Sql(error)) => return Err(error),
            Ok(Reply::Fault(fault)) | Err(fault) => fault,
            Ok(
                Reply::Event(_)
                | Reply::Locked(_)
                | Reply::Rows(_)
                | Reply::Texts(_)
                | Reply::Bytes(_)
                | Reply::Held(_)
                | Reply::Files(_),
            ) => self.confused(),
        };
        Err(SqlError {
            message: fault.to_string(),
            kind: SqlErrorKind::ConnectionLost,
            ..SqlError::default()
        })
    }

    fn confused(&self) -> Fault {
        Fault::internal(format!("the session {} gave another answer", self.place))
    }
}

async fn cancelled(cx: Option<&Cx>) {
    match cx {
        Some(cx) => cx.token().cancelled().await,
        None => std::future::pending().await,
    }
}

#[async_trait]
impl Database for Remote {
    fn dialect(&self) -> Dialect {
        self.dialect
    }

    async fn rows(&mut self, database: &str) -> Result<Option<Vec<LedgerRow>>, Fault> {
        let database = database.to_owned();
        match self.call(None, Request::Rows { database }).await? {
            Reply::Rows(rows) => Ok(rows),
            Reply::Fault(fault) => Err(fault),
            Reply::Event(_)
            | Reply::Done
            | Reply::Locked(_)
            | Reply::Texts(_)
            | Reply::Bytes(_)
            | Reply::Held(_)
            | Reply::Files(_)
            | Reply::Sql(_) => Err(self.confused()),
        }
    }

    async fn lock(&mut self, cx: &Cx, claim: &Claim, wait: Duration) -> Result<Hold, Fault> {
        let wait_ms = u64::try_from(wait.as_millis()).unwrap_or(u64::MAX);
        let claim = claim.clone();
        let request = Request::Lock { claim, wait_ms };
        match self.call(Some(cx), request).await? {
            Reply::Locked(hold) => Ok(hold),
            Reply::Fault(fault) => Err(fault),
            Reply::Event(_)
            | Reply::Done
            | Reply::Rows(_)
            | Reply::Texts(_)
            | Reply::Bytes(_)
            | Reply::Held(_)
            | Reply::Files(_)
            | Reply::Sql(_) => Err(self.confused()),
        }
    }

    async fn prepare(&mut self) -> Result<(), Fault> {
        self.plain(None, Request::Prepare).await
    }

    async fn renew(&mut self) -> Result<(), Fault> {
        self.plain(None, Request::Renew).await
    }

    async fn apply(&mut self, cx: &Cx, script: &str, row: &LedgerRow) -> Result<(), SqlError> {
        let request = Request::Apply {
            script: script.to_owned(),
            row: row.clone(),
        };
        self.sql(cx, request).await
    }

    async fn execute(&mut self, cx: &Cx, statement: &str) -> Result<(), SqlError> {
        let statement = statement.to_owned();
        self.sql(cx, Request::Execute { statement }).await
    }

    async fn save(&mut self, row: &LedgerRow) -> Result<(), Fault> {
        self.plain(None, Request::Save { row: row.clone() }).await
    }

    async fn query(&mut self, sql: &str) -> Result<Vec<Option<String>>, Fault> {
        let sql = sql.to_owned();
        match self.call(None, Request::Query { sql }).await? {
            Reply::Texts(texts) => Ok(texts),
            Reply::Fault(fault) => Err(fault),
            Reply::Event(_)
            | Reply::Done
            | Reply::Locked(_)
            | Reply::Rows(_)
            | Reply::Bytes(_)
            | Reply::Held(_)
            | Reply::Files(_)
            | Reply::Sql(_) => Err(self.confused()),
        }
    }

    async fn hold(&mut self) -> Result<Option<String>, Fault> {
        match self.call(None, Request::Hold).await? {
            Reply::Held(name) => Ok(name),
            Reply::Fault(fault) => Err(fault),
            Reply::Event(_)
            | Reply::Done
            | Reply::Locked(_)
            | Reply::Rows(_)
            | Reply::Texts(_)
            | Reply::Bytes(_)
            | Reply::Files(_)
            | Reply::Sql(_) => Err(self.confused()),
        }
    }

    async fn free_bytes(&mut self) -> Result<Option<u64>, Fault> {
        match self.call(None, Request::FreeBytes).await? {
            Reply::Bytes(bytes) => Ok(bytes),
            Reply::Fault(fault) => Err(fault),
            Reply::Event(_)
            | Reply::Done
            | Reply::Locked(_)
            | Reply::Rows(_)
            | Reply::Texts(_)
            | Reply::Held(_)
            | Reply::Files(_)
            | Reply::Sql(_) => Err(self.confused()),
        }
    }
}
