use std::path::Path;

use async_trait::async_trait;
use tokio::io::{AsyncRead, AsyncWrite};

use crate::model::fault::Fault;
use crate::model::host::HostAddress;

/// A connection of bytes to something on, or seen from, a host.
pub trait ByteStream: AsyncRead + AsyncWrite + Send + Unpin + 'static {}
impl<T: AsyncRead + AsyncWrite + Send + Unpin + 'static> ByteStream for T {}

/// What to connect to, as the host sees it.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Target {
    /// The Docker engine of the host.
    Engine,
    /// A unix socket.
    Unix(String),
    /// A name or address and a port.
    Tcp(String, u16),
}

/// How a command on a host ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RemoteExit {
    pub code: i32,
    pub stdout: Vec<u8>,
    pub stderr: Vec<u8>,
}

/// A command on a host that runs until its standard input closes, or until
/// the connection does. Dropping it closes its input.
#[async_trait]
pub trait RemoteProcess: Send {
    /// # Errors
    /// The connection or the process is gone.
    async fn write_line(&mut self, line: &str) -> Result<(), Fault>;

    /// The next line of standard output; `None` at its end.
    ///
    /// # Errors
    /// The connection is gone.
    async fn read_line(&mut self) -> Result<Option<String>, Fault>;

    /// Closes its input and waits for its end.
    ///
    /// # Errors
    /// The connection is gone.
    async fn finish(self: Box<Self>) -> Result<RemoteExit, Fault>;
}

/// A listener on the host's loopback whose connections arrive at a unix socket
/// here. Ends when dropped.
pub trait ReverseForward: Send + Sync {
    /// The port on the host's `127.0.0.1`.
    fn port(&self) -> u16;
}

/// One connection a host, shared by everything that talks to that host:
/// opened at first use, closed by [`HostLink::close`]. For `local` the same
/// things happen on this machine, without any connection.
#[async_trait]
pub trait HostLink: Send + Sync {
    /// Opens the connection when there is none yet; says why it cannot.
    ///
    /// # Errors
    /// Unreachable: refused, wrong host key, no permission, unknown name.
    async fn connect(&self, host: &HostAddress) -> Result<(), Fault>;

    /// # Errors
    /// The host or the target cannot be reached.
    async fn dial(&self, host: &HostAddress, target: &Target)
    -> Result<Box<dyn ByteStream>, Fault>;

    /// Runs `script` by the host's `sh`; `input` is its standard input. No
    /// secret may be in `script`.
    ///
    /// # Errors
    /// The host cannot be reached, or the connection was lost meanwhile. A
    /// non-zero code is data.
    async fn exec(
        &self,
        host: &HostAddress,
        script: &str,
        input: &[u8],
    ) -> Result<RemoteExit, Fault>;

    /// Starts `script` by the host's `sh`, with its input held open.
    ///
    /// # Errors
    /// As [`HostLink::exec`].
    async fn spawn(
        &self,
        host: &HostAddress,
        script: &str,
    ) -> Result<Box<dyn RemoteProcess>, Fault>;

    /// Lets the host reach a unix socket of this machine through a free port
    /// of its loopback.
    ///
    /// # Errors
    /// The host's SSH server does not allow it.
    async fn reverse(
        &self,
        host: &HostAddress,
        socket: &Path,
    ) -> Result<Box<dyn ReverseForward>, Fault>;

    /// Ends all connections.
    async fn close(&self);
}
