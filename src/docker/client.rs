//! Engines of hosts: one keep-alive transport a host, over whatever
//! [`HostLink`] dials. Imports `ports` and `model`.
//!
//! Invariants: nothing here names an API version, so every engine answers in
//! its own newest shapes and only the fields that are needed are read; no more
//! than [`IN_FLIGHT`] requests to a host wait for an answer at a time (the
//! backlog of a forwarded socket is short); every wait for an answer has an
//! end. [`Engine::docker`] and [`Engine::send`] share the same connections.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bollard::errors::Error;
use bollard::{API_DEFAULT_VERSION, BollardRequest, Docker};
use bytes::Bytes;
use futures_util::{Stream, TryStreamExt};
use http_body_util::BodyExt;
use hyper::body::Incoming;
use hyper::{Request, Response, StatusCode};
use serde::de::DeserializeOwned;
use tokio_stream::StreamExt;
use tokio_util::codec::{FramedRead, LinesCodec};
use tokio_util::io::StreamReader;
use tokio_util::task::TaskTracker;

use crate::model::fault::Fault;
use crate::model::host::HostAddress;
use crate::ports::{ByteStream, HostLink, Target};

mod call;
mod failure;
mod transport;

pub use call::Call;
pub use failure::{fault, stalled, status};
pub use transport::IN_FLIGHT;

/// The longest line of a JSON stream (push, pull, build).
const LONGEST_LINE: usize = 16 << 20;

/// How long bollard's own calls wait for the headers of an answer.
const PATIENCE: Duration = Duration::from_secs(120);

/// What is waited at the end for work that nobody else waits for.
const AFTERMATH: Duration = Duration::from_secs(3);

/// The engines of all hosts, opened at first use and shared.
pub struct Engines {
    link: Arc<dyn HostLink>,
    aftermath: TaskTracker,
    engines: Mutex<HashMap<HostAddress, Engine>>,
}

impl Engines {
    #[must_use]
    pub fn new(link: Arc<dyn HostLink>) -> Arc<Self> {
        Arc::new(Self {
            link,
            aftermath: TaskTracker::new(),
            engines: Mutex::default(),
        })
    }

    /// The hosts themselves.
    pub(super) fn link(&self) -> &dyn HostLink {
        &*self.link
    }

    /// The engine of a host. Connects at the first request, not here.
    ///
    /// # Errors
    /// The client cannot be made.
    pub fn engine(&self, host: &HostAddress) -> Result<Engine, Fault> {
        let mut engines = self.engines.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(engine) = engines.get(host) {
            return Ok(engine.clone());
        }
        let aftermath = self.aftermath.clone();
        let engine = Engine::new(host.clone(), Arc::clone(&self.link), aftermath)
            .map_err(|error| fault(host, "cannot make a client of the engine", error))?;
        engines.insert(host.clone(), engine.clone());
        Ok(engine)
    }

    /// Waits until everything is gone that removes itself when it is dropped.
    /// To be called before the links close.
    pub async fn settle(&self) {
        self.aftermath.close();
        let _ = tokio::time::timeout(AFTERMATH, self.aftermath.wait()).await;
    }

    /// A connection of its own to the engine, for protocols that take one over.
    ///
    /// # Errors
    /// The host or its engine cannot be reached.
    pub async fn raw(&self, host: &HostAddress) -> Result<Box<dyn ByteStream>, Fault> {
        self.link.dial(host, &Target::Engine).await
    }
}

/// The engine of one host. Cheap to clone.
#[derive(Clone)]
pub struct Engine {
    host: HostAddress,
    wire: Arc<transport::Wire>,
    docker: Docker,
    aftermath: TaskTracker,
}

impl Engine {
    fn new(
        host: HostAddress,
        link: Arc<dyn HostLink>,
        aftermath: TaskTracker,
    ) -> Result<Self, Error> {
        let wire = Arc::new(transport::Wire::new(host.clone(), link));
        let shared = Arc::clone(&wire);
        let docker = Docker::connect_with_custom_transport(
            move |request: BollardRequest| {
                let wire = Arc::clone(&shared);
                async move { wire.request(request).await }
            },
            Some("http://engine"),
            PATIENCE.as_secs(),
            API_DEFAULT_VERSION,
        )?;
        Ok(Self {
            host,
            wire,
            docker,
            aftermath,
        })
    }

    #[must_use]
    pub fn host(&self) -> &HostAddress {
        &self.host
    }

    /// What is spawned here, or while a token of it lives, is waited for by
    /// [`Engines::settle`].
    #[must_use]
    pub fn aftermath(&self) -> &TaskTracker {
        &self.aftermath
    }

    /// bollard over the same connections, for calls whose answers hold no
    /// closed enums that matter, and whose bodies hold no secrets (it logs
    /// them).
    #[must_use]
    pub fn docker(&self) -> &Docker {
        &self.docker
    }

    /// One request; the answer's headers have come and say success (or 304,
    /// or a change of protocol).
    ///
    /// # Errors
    /// No connection, no answer in time, or the engine's own refusal.
    pub async fn send(&self, call: Call) -> Result<Response<Incoming>, Error> {
        let (request, patience) = call.into_request()?;
        let response = tokio::time::timeout(patience, self.wire.request(request))
            .await
            .map_err(|_| Error::RequestTimeoutError)??;
        let status = response.status();
        if status.is_success()
            || status == StatusCode::NOT_MODIFIED
            || status == StatusCode::SWITCHING_PROTOCOLS
        {
            return Ok(response);
        }
        let body = within(patience, response.into_body().collect())
            .await?
            .to_bytes();
        Err(Error::DockerResponseServerError {
            status_code: status.as_u16(),
            message: refusal(&body),
        })
    }

    /// One request whose answer is of no interest beyond success.
    ///
    /// # Errors
    /// As [`Engine::send`].
    pub async fn done(&self, call: Call) -> Result<(), Error> {
        let patience = call.patience();
        let response = self.send(call).await?;
        // Read to its end, so that the connection can be used again.
        within(patience, response.into_body().collect()).await?;
        Ok(())
    }

    /// One request whose answer is one JSON document.
    ///
    /// # Errors
    /// As [`Engine::send`]; an answer without the fields that are needed.
    pub async fn json<T: DeserializeOwned>(&self, call: Call) -> Result<T, Error> {
        let patience = call.patience();
        let response = self.send(call).await?;
        let body = within(patience, response.into_body().collect())
            .await?
            .to_bytes();
        serde_json::from_slice(&body).map_err(|error| Error::JsonDataError {
            message: error.to_string(),
            column: error.column(),
        })
    }

    /// One request whose answer is a stream of bytes.
    ///
    /// # Errors
    /// As [`Engine::send`]; later the stream's own.
    pub async fn bytes(
        &self,
        call: Call,
    ) -> Result<impl Stream<Item = Result<Bytes, Error>> + Send + Unpin + use<>, Error> {
        let response = self.send(call).await?;
        Ok(response.into_body().into_data_stream().map_err(Error::from))
    }

    /// One request whose answer is a JSON document a line (pull, push, build).
    /// A line that says `error` ends the stream as
    /// [`Error::DockerStreamError`].
    ///
    /// # Errors
    /// As [`Engine::send`]; later the stream's own.
    pub async fn lines<T: DeserializeOwned>(
        &self,
        call: Call,
    ) -> Result<impl Stream<Item = Result<T, Error>> + Send + Unpin + use<T>, Error> {
        let bytes = self.bytes(call).await?.map_err(std::io::Error::other);
        let lines = FramedRead::new(
            StreamReader::new(bytes),
            LinesCodec::new_with_max_length(LONGEST_LINE),
        );
        Ok(Box::pin(lines.filter_map(|line| match line {
            Ok(line) if line.trim().is_empty() => None,
            Ok(line) => Some(decode(&line)),
            Err(error) => Some(Err(Error::IOError {
                err: std::io::Error::other(error),
            })),
        })))
    }

    /// One request that takes its connection over (attach, exec, session).
    ///
    /// # Errors
    /// As [`Engine::send`]; an engine that does not change the protocol.
    pub async fn upgrade(&self, call: Call) -> Result<hyper::upgrade::Upgraded, Error> {
        let response = self.send(call).await?;
        Ok(hyper::upgrade::on(response).await?)
    }
}

/// What an engine may be silent between two words of a push, a pull or a
/// transfer: its own retries of a registry lie within.
pub const SILENCE: Duration = Duration::from_secs(300);

/// The next word of a stream.
///
/// # Errors
/// The stream's own; [`Error::RequestTimeoutError`] after so much silence.
pub async fn next_within<T>(
    silence: Duration,
    lines: &mut (impl Stream<Item = Result<T, Error>> + Unpin),
) -> Result<Option<T>, Error> {
    let line = tokio::time::timeout(silence, lines.next()).await;
    line.map_err(|_| Error::RequestTimeoutError)?.transpose()
}

async fn within<T>(
    patience: Duration,
    work: impl Future<Output = Result<T, hyper::Error>>,
) -> Result<T, Error> {
    match tokio::time::timeout(patience, work).await {
        Ok(done) => Ok(done?),
        Err(_) => Err(Error::RequestTimeoutError),
    }
}

fn refusal(body: &[u8]) -> String {
    #[derive(serde::Deserialize)]
    struct Refusal {
        message: String,
    }
    match serde_json::from_slice::<Refusal>(body) {
        Ok(refusal) => refusal.message,
        Err(_) => String::from_utf8_lossy(body).trim().to_owned(),
    }
}

fn decode<T: DeserializeOwned>(line: &str) -> Result<T, Error> {
    #[derive(serde::Deserialize)]
    struct Line {
        error: Option<String>,
        #[serde(rename = "errorDetail")]
        detail: Option<Detail>,
    }
    #[derive(serde::Deserialize)]
    struct Detail {
        message: Option<String>,
    }
    if let Ok(Line {
        error: Some(error),
        detail,
    }) = serde_json::from_str::<Line>(line)
    {
        let error = detail.and_then(|detail| detail.message).unwrap_or(error);
        return Err(Error::DockerStreamError { error });
    }
    serde_json::from_str(line).map_err(|error| Error::JsonDataError {
        message: error.to_string(),
        column: error.column(),
    })
}

/// A body that is sent as a stream of chunks: an archive that is made while
/// it travels.
pub(crate) type Body = transport::Body;

/// The request of a [`Call`], as bollard's transport takes it.
type EngineRequest = Request<Body>;

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_stream_that_goes_silent_is_given_up() {
        let hung = tokio_stream::iter([Ok(1)]).chain(tokio_stream::pending());
        let mut hung = std::pin::pin!(hung);
        let silence = Duration::from_millis(50);
        assert_eq!(next_within(silence, &mut hung).await.unwrap(), Some(1));
        let given_up = next_within::<i32>(silence, &mut hung).await;
        assert!(matches!(given_up, Err(Error::RequestTimeoutError)));
        let mut ended = tokio_stream::iter(Vec::<Result<i32, Error>>::new());
        assert_eq!(next_within(silence, &mut ended).await.unwrap(), None);
    }
}
