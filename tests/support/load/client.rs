//! One person at one host: a connection, a request, what a good answer is.

use std::error::Error;
use std::future::Future;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::client::conn::http1::{SendRequest, handshake};
use hyper::{Method, Request, Response, header};
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;
use tokio_util::sync::CancellationToken;

use super::Kind;
use super::tally::Tally;

/// Nobody waits longer than this for anything that should come at once.
pub(super) const PATIENCE: Duration = Duration::from_secs(10);

pub(super) struct Client {
    pub(super) kind: Kind,
    pub(super) host: usize,
    pub(super) address: SocketAddr,
    pub(super) name: String,
    pub(super) tally: Arc<Tally>,
    pub(super) stop: CancellationToken,
}

pub(super) type Connection = SendRequest<Full<Bytes>>;

impl Client {
    pub(super) async fn connects(&self) -> Result<TcpStream, String> {
        let stream = TcpStream::connect(self.address)
            .await
            .map_err(|error| format!("connecting: {}", chain(&error)))?;
        stream.set_nodelay(true).map_err(|error| chain(&error))?;
        Ok(stream)
    }

    pub(super) async fn opens(&self) -> Result<Connection, String> {
        let stream = self.connects().await?;
        let (connection, driver) = handshake(TokioIo::new(stream))
            .await
            .map_err(|error| chain(&error))?;
        tokio::spawn(driver);
        Ok(connection)
    }

    pub(super) fn request(&self, method: Method, path: &str, body: Bytes) -> Request<Full<Bytes>> {
        let request = Request::builder()
            .method(method)
            .uri(path)
            .header(header::HOST, &self.name);
        request.body(Full::new(body)).expect("a request")
    }

    pub(super) fn failed(&self, reason: String) {
        self.tally.failed(self.kind, self.host, reason);
    }
}

/// The head of a good answer.
pub(super) async fn answers(
    connection: &mut Connection,
    request: Request<Full<Bytes>>,
) -> Result<Response<Incoming>, String> {
    connection.ready().await.map_err(|error| chain(&error))?;
    let response = connection
        .send_request(request)
        .await
        .map_err(|error| chain(&error))?;
    if response.status().as_u16() == 200 {
        return Ok(response);
    }
    let status = response.status();
    let body = all_of(response).await.unwrap_or_default();
    Err(format!("{status}: {}", shortened(&body)))
}

/// The whole body; hyper refuses one that ends early.
pub(super) async fn all_of(response: Response<Incoming>) -> Result<String, String> {
    let body = response.into_body().collect().await;
    let body = body.map_err(|error| format!("the body: {}", chain(&error)))?;
    String::from_utf8(body.to_bytes().to_vec()).map_err(|error| chain(&error))
}

/// The version that a body begins with, and the rest of it.
pub(super) fn version_of(body: &str) -> Result<(&str, &str), String> {
    body.strip_prefix("version: ")
        .and_then(|text| text.split_once('\n'))
        .ok_or_else(|| format!("an answer without a version: {}", shortened(body)))
}

pub(super) async fn in_time<T>(
    patience: Duration,
    work: impl Future<Output = Result<T, String>>,
) -> Result<T, String> {
    let late = |_| Err(format!("nothing came for {patience:?}"));
    tokio::time::timeout(patience, work)
        .await
        .unwrap_or_else(late)
}

pub(super) fn chain(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text = format!("{text}: {error}");
        cause = error.source();
    }
    text
}

pub(super) fn shortened(text: &str) -> String {
    format!("{:?}", text.chars().take(80).collect::<String>())
}
