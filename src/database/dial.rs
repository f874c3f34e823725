//! How the bytes of a session travel: straight from here, or through a host.

use std::io;
use std::path::Path;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpStream, UnixStream};

use crate::model::fault::Fault;
use crate::model::host::HostAddress;
use crate::ports::{ByteStream, Dialect, HostLink, Target};

use super::url::Server;

const PATIENCE: Duration = Duration::from_secs(10);

/// Dials one server, again and again: a session and its cancellation are two
/// connections by one way. The server's own name stays what TLS checks.
#[derive(Clone)]
pub(super) struct Dialer {
    pub(super) server: Server,
    pub(super) target: Target,
    pub(super) through: Option<(Arc<dyn HostLink>, HostAddress)>,
}

impl Dialer {
    pub(super) fn straight(server: &Server) -> Self {
        Self {
            target: target(server, &server.host),
            server: server.clone(),
            through: None,
        }
    }

    /// # Errors
    /// Nobody answers there, or not in time.
    pub(super) async fn dial(&self) -> Result<Bytes, Fault> {
        let dialled = tokio::time::timeout(PATIENCE, async {
            match &self.through {
                Some((link, host)) => link
                    .dial(host, &self.target)
                    .await
                    .map_err(|fault| self.unreachable().because(fault.to_string())),
                None => connect(&self.target)
                    .await
                    .map_err(|error| self.unreachable().caused_by(&error)),
            }
        });
        dialled
            .await
            .map(|stream| stream.map(Bytes))
            .unwrap_or_else(|_| {
                Err(self
                    .unreachable()
                    .because(format!("no answer in {} s", PATIENCE.as_secs())))
            })
    }

    /// The fault that every failure to get there begins with.
    pub(super) fn unreachable(&self) -> Fault {
        let way = match &self.through {
            Some((_, host)) => format!(" through {host}"),
            None => String::new(),
        };
        Fault::unreachable(format!("cannot reach the database {}{way}", self.server))
    }
}

/// A connection under a name of its own: generic code that wants `'static`
/// bytes cannot be shown that of a boxed trait inside an async function.
pub(super) struct Bytes(Box<dyn ByteStream>);

impl AsyncRead for Bytes {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_read(cx, buffer)
    }
}

impl AsyncWrite for Bytes {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.0).poll_write(cx, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_shutdown(cx)
    }
}

/// What to dial for a server whose name is `host` there.
pub(super) fn target(server: &Server, host: &str) -> Target {
    if !host.starts_with('/') {
        return Target::Tcp(host.to_owned(), server.port);
    }
    // PostgreSQL names the folder, MySQL the socket itself.
    match server.dialect {
        Dialect::Postgres => Target::Unix(
            Path::new(host)
                .join(format!(".s.PGSQL.{}", server.port))
                .to_string_lossy()
                .into_owned(),
        ),
        Dialect::Mysql | Dialect::Sqlite => Target::Unix(host.to_owned()),
    }
}

async fn connect(target: &Target) -> io::Result<Box<dyn ByteStream>> {
    match target {
        Target::Tcp(host, port) => {
            let stream = TcpStream::connect((host.as_str(), *port)).await?;
            stream.set_nodelay(true)?;
            Ok(Box::new(stream))
        }
        Target::Unix(path) => Ok(Box::new(UnixStream::connect(path).await?)),
        Target::Engine => Err(io::Error::other("an engine is no database")),
    }
}
