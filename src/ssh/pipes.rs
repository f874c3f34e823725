//! A running `sh` script behind its three pipes: on this machine or on a host,
//! the same from here on. Imports `ports`, `model`.

use std::io;

use async_trait::async_trait;
use futures_util::future::BoxFuture;
use tokio::io::{
    AsyncBufReadExt, AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, BufReader, Lines,
};
use tokio_util::task::AbortOnDropHandle;

use crate::model::fault::Fault;
use crate::model::host::HostAddress;
use crate::ports::{RemoteExit, RemoteProcess};

pub(super) type Input = Box<dyn AsyncWrite + Send + Sync + Unpin>;
pub(super) type Output = Box<dyn AsyncRead + Send + Sync + Unpin>;

pub(super) struct Pipes {
    pub(super) host: HostAddress,
    pub(super) stdin: Input,
    pub(super) stdout: Output,
    pub(super) stderr: Output,
    /// Its exit code; a fault when its end cannot be known.
    pub(super) end: BoxFuture<'static, Result<i32, Fault>>,
}

impl Pipes {
    /// Gives it the whole input and waits for its end.
    pub(super) async fn run(mut self, input: &[u8]) -> Result<RemoteExit, Fault> {
        let feed = async move {
            // A script may end without reading its input.
            let _ = self.stdin.write_all(input).await;
            let _ = self.stdin.shutdown().await;
            drop(self.stdin);
        };
        let (mut stdout, mut stderr) = (vec![], vec![]);
        let ((), out, err) = tokio::join!(
            feed,
            self.stdout.read_to_end(&mut stdout),
            self.stderr.read_to_end(&mut stderr)
        );
        let code = self.end.await?;
        out.and(err).map_err(|error| lost(&self.host, &error))?;
        Ok(RemoteExit {
            code,
            stdout,
            stderr,
        })
    }

    /// Keeps its input open.
    pub(super) fn held(self) -> Box<dyn RemoteProcess> {
        let mut stderr = self.stderr;
        Box::new(HeldProcess {
            host: self.host,
            stdin: self.stdin,
            stdout: BufReader::new(self.stdout).lines(),
            // Read all the time, so that a talkative script never blocks on it.
            stderr: AbortOnDropHandle::new(tokio::spawn(async move {
                let mut text = vec![];
                let _ = stderr.read_to_end(&mut text).await;
                text
            })),
            end: std::sync::Mutex::new(self.end),
        })
    }
}

struct HeldProcess {
    host: HostAddress,
    stdin: Input,
    stdout: Lines<BufReader<Output>>,
    stderr: AbortOnDropHandle<Vec<u8>>,
    /// In a lock only so that the whole may be shared; nobody contends for it.
    end: std::sync::Mutex<BoxFuture<'static, Result<i32, Fault>>>,
}

#[async_trait]
impl RemoteProcess for HeldProcess {
    async fn write_line(&mut self, line: &str) -> Result<(), Fault> {
        let line = format!("{line}\n");
        let write = async {
            self.stdin.write_all(line.as_bytes()).await?;
            self.stdin.flush().await
        };
        write.await.map_err(|error| lost(&self.host, &error))
    }

    async fn read_line(&mut self) -> Result<Option<String>, Fault> {
        let line = self.stdout.next_line().await;
        line.map_err(|error| lost(&self.host, &error))
    }

    async fn finish(self: Box<Self>) -> Result<RemoteExit, Fault> {
        let mut this = *self;
        let _ = this.stdin.shutdown().await;
        drop(this.stdin);
        let mut rest = vec![];
        let read = this.stdout.get_mut().read_to_end(&mut rest).await;
        let end = this
            .end
            .into_inner()
            .unwrap_or_else(std::sync::PoisonError::into_inner);
        let code = end.await?;
        read.map_err(|error| lost(&this.host, &error))?;
        Ok(RemoteExit {
            code,
            stdout: rest,
            stderr: this.stderr.await.unwrap_or_default(),
        })
    }
}

/// The connection went while a command ran: nobody knows how far it came.
pub(super) fn lost(host: &HostAddress, error: &(dyn std::error::Error + 'static)) -> Fault {
    Fault::unreachable(format!(
        "lost the connection to `{host}` while a command ran there"
    ))
    .because("whether the command took effect is not known")
    .caused_by(error)
}

/// Input that really closes on shutdown: a pipe's own shutdown does nothing,
/// and what reads it waits for the end.
pub(super) struct Closing<W>(Option<W>);

impl<W> Closing<W> {
    pub(super) fn new(inner: W) -> Self {
        Self(Some(inner))
    }

    fn inner(&mut self) -> io::Result<&mut W> {
        self.0
            .as_mut()
            .ok_or_else(|| io::ErrorKind::BrokenPipe.into())
    }
}

impl<W: AsyncWrite + Unpin> AsyncWrite for Closing<W> {
    fn poll_write(
        self: std::pin::Pin<&mut Self>,
        cx: &mut std::task::Context<'_>,
        buf: &[u8],
    ) -> std::task::Poll<io::Result<usize>> {
        match self.get_mut().inner() {
            Ok(inner) => std::pin::Pin::new(inner).poll_write(cx, buf),
            Err(error) => std::task::Poll::Ready(Err(error)),
        }
    }

    fn poll_flush(
        self: std::pin::Pin<&mut Self>,
        cx: &mut std::task::Context<'_>,
    ) -> std::task::Poll<io::Result<()>> {
        match self.get_mut().inner() {
            Ok(inner) => std::pin::Pin::new(inner).poll_flush(cx),
            Err(_) => std::task::Poll::Ready(Ok(())),
        }
    }

    fn poll_shutdown(
        self: std::pin::Pin<&mut Self>,
        _cx: &mut std::task::Context<'_>,
    ) -> std::task::Poll<io::Result<()>> {
        self.get_mut().0 = None;
        std::task::Poll::Ready(Ok(()))
    }
}
