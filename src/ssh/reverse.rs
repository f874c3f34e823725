//! A port of a host's loopback that leads to a unix socket here. Imports
//! `ports`, `model`.

use std::hash::{BuildHasher, Hasher, RandomState};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use openssh::{ForwardType, Session, Socket};
use tokio::net::{TcpListener, UnixStream};
use tokio::task::JoinSet;
use tokio_util::task::AbortOnDropHandle;

use crate::model::fault::Fault;
use crate::ports::ReverseForward;

use super::master::Master;

/// Above what rollouts give out and above the usual range of outgoing ports.
const FIRST: u16 = 61_000;
const LAST: u16 = 65_500;
const ATTEMPTS: u32 = 20;

/// The server cannot be asked for a free port (its answer has no place in the
/// control protocol's answer), so ports are tried.
pub(super) async fn over_ssh(
    master: &Master,
    socket: &Path,
) -> Result<Box<dyn ReverseForward>, Fault> {
    let mut last = None;
    for _ in 0..ATTEMPTS {
        let port = random_port();
        let asked = master.session.request_port_forward(
            ForwardType::Remote,
            Socket::new("127.0.0.1", port),
            socket,
        );
        match asked.await {
            Ok(()) => {
                return Ok(Box::new(OverSsh {
                    port,
                    socket: socket.to_owned(),
                    session: Arc::clone(&master.session),
                }));
            }
            Err(error) => last = Some(error),
        }
    }
    let mut fault = Fault::unreachable(format!("`{}` lends no port of its own", master.host))
        .hint("set `AllowTcpForwarding yes` in its `/etc/ssh/sshd_config`");
    if let Some(error) = last {
        fault = fault.caused_by(&error);
    }
    Err(fault)
}

fn random_port() -> u16 {
    let random = RandomState::new().build_hasher().finish();
    let span = u64::from(LAST - FIRST);
    FIRST + u16::try_from(random % span).unwrap_or_default()
}

struct OverSsh {
    port: u16,
    socket: PathBuf,
    session: Arc<Session>,
}

impl ReverseForward for OverSsh {
    fn port(&self) -> u16 {
        self.port
    }
}

impl Drop for OverSsh {
    fn drop(&mut self) {
        // Without a runtime the whole connection is about to end anyway.
        let Ok(runtime) = tokio::runtime::Handle::try_current() else {
            return;
        };
        let (session, socket, port) = (
            Arc::clone(&self.session),
            std::mem::take(&mut self.socket),
            self.port,
        );
        runtime.spawn(async move {
            let _ = session
                .close_port_forward(
                    ForwardType::Remote,
                    Socket::new("127.0.0.1", port),
                    &*socket,
                )
                .await;
        });
    }
}

/// `local`: a listener of this process that hands each connection on.
pub(super) async fn here(socket: &Path) -> Result<Box<dyn ReverseForward>, Fault> {
    let cannot = |error: std::io::Error| {
        Fault::internal("cannot listen on this machine's loopback").caused_by(&error)
    };
    let listener = TcpListener::bind(("127.0.0.1", 0)).await.map_err(cannot)?;
    let port = listener.local_addr().map_err(cannot)?.port();
    let relay = relay(listener, socket.to_owned());
    Ok(Box::new(Here {
        port,
        _relay: AbortOnDropHandle::new(tokio::spawn(relay)),
    }))
}

async fn relay(listener: TcpListener, socket: PathBuf) {
    // Ends its connections when it is dropped itself.
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            accepted = listener.accept() => {
                let Ok((mut from, _)) = accepted else { continue };
                let socket = socket.clone();
                connections.spawn(async move {
                    if let Ok(mut to) = UnixStream::connect(socket).await {
                        let _ = tokio::io::copy_bidirectional(&mut from, &mut to).await;
                    }
                });
            }
            Some(_) = connections.join_next() => {}
        }
    }
}

struct Here {
    port: u16,
    _relay: AbortOnDropHandle<()>,
}

impl ReverseForward for Here {
    fn port(&self) -> u16 {
        self.port
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::{TcpStream, UnixListener};

    use super::*;

    #[tokio::test]
    async fn a_local_port_leads_to_the_socket_until_it_is_dropped() {
        let dir = tempfile::tempdir().expect("a folder");
        let socket = dir.path().join("s");
        let listener = UnixListener::bind(&socket).expect("a socket");
        let lent = here(&socket).await.expect("a port");
        let mut client = TcpStream::connect(("127.0.0.1", lent.port()))
            .await
            .expect("it listens");
        let (mut server, _) = listener.accept().await.expect("it arrives");
        client.write_all(b"ping").await.expect("sent");
        let mut got = [0; 4];
        server.read_exact(&mut got).await.expect("received");
        assert_eq!(&got, b"ping");
        drop(lent);
        let ended = client.read(&mut got).await;
        assert!(matches!(ended, Ok(0) | Err(_)), "{ended:?}");
    }
}
