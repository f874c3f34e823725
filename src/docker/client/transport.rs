//! Connections to one engine: hyper's pooling client over [`HostLink::dial`].
//! A new connection costs a round trip over SSH, so idle ones are kept.

use std::error::Error as StdError;
use std::io::IoSlice;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use bollard::errors::Error;
use bytes::Bytes;
use futures_util::Stream;
use http_body_util::{Either, Full, StreamBody};
use hyper::body::{Frame, Incoming};
use hyper::rt::{Read, ReadBufCursor, Write};
use hyper::{Request, Response, Uri};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::{Connected, Connection};
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use tokio::sync::Semaphore;

use crate::model::host::HostAddress;
use crate::ports::{ByteStream, HostLink, Target};

/// Requests to one host that may wait for the headers of their answer at the
/// same time.
pub const IN_FLIGHT: usize = 48;

const IDLE: Duration = Duration::from_secs(60);

type Chunks = Pin<Box<dyn Stream<Item = Result<Frame<Bytes>, std::io::Error>> + Send>>;

/// The same type as a body of bollard's requests.
pub(crate) type Body = Either<Full<Bytes>, StreamBody<Chunks>>;

/// The pooled connections to one engine.
pub(super) struct Wire {
    client: Client<Dialer, Body>,
    slots: Semaphore,
}

impl Wire {
    pub(super) fn new(host: HostAddress, link: Arc<dyn HostLink>) -> Self {
        let client = Client::builder(TokioExecutor::new())
            .pool_timer(TokioTimer::new())
            .pool_idle_timeout(IDLE)
            .pool_max_idle_per_host(IN_FLIGHT)
            .build(Dialer { host, link });
        Self {
            client,
            slots: Semaphore::new(IN_FLIGHT),
        }
    }

    pub(super) async fn request(
        &self,
        request: Request<Body>,
    ) -> Result<Response<Incoming>, Error> {
        let _slot = self
            .slots
            .acquire()
            .await
            .expect("nobody closes the semaphore");
        Ok(self.client.request(request).await?)
    }
}

#[derive(Clone)]
struct Dialer {
    host: HostAddress,
    link: Arc<dyn HostLink>,
}

type Dialing =
    Pin<Box<dyn Future<Output = Result<Dialed, Box<dyn StdError + Send + Sync>>> + Send>>;

impl tower_service::Service<Uri> for Dialer {
    type Response = Dialed;
    type Error = Box<dyn StdError + Send + Sync>;
    type Future = Dialing;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, _: Uri) -> Dialing {
        let dialer = self.clone();
        Box::pin(async move {
            let stream = dialer.link.dial(&dialer.host, &Target::Engine).await?;
            Ok(Dialed(TokioIo::new(stream)))
        })
    }
}

/// A dialed connection, in hyper's words.
struct Dialed(TokioIo<Box<dyn ByteStream>>);

impl Connection for Dialed {
    fn connected(&self) -> Connected {
        Connected::new()
    }
}

impl Read for Dialed {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: ReadBufCursor<'_>,
    ) -> Poll<std::io::Result<()>> {
        Pin::new(&mut self.0).poll_read(cx, buffer)
    }
}

impl Write for Dialed {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<std::io::Result<usize>> {
        Pin::new(&mut self.0).poll_write(cx, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        Pin::new(&mut self.0).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        Pin::new(&mut self.0).poll_shutdown(cx)
    }

    fn is_write_vectored(&self) -> bool {
        self.0.is_write_vectored()
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<std::io::Result<usize>> {
        Pin::new(&mut self.0).poll_write_vectored(cx, slices)
    }
}
