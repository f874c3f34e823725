//! The way to a host's Docker engine over SSH, found at first use: its forwarded
//! socket, or `docker system dial-stdio` where the host forwards no sockets; and
//! the reason in words where there is none. Imports `ports`, `model`.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::timeout;

use crate::model::fault::Fault;
use crate::ports::{ByteStream, Target};

use super::engine_absence::{LOOK, Seen};
use super::master::Master;
use super::pipes::Closing;
use super::stream::Piped;

const SOCKET: &str = "/var/run/docker.sock";
const PING: &[u8] = b"HEAD /_ping HTTP/1.1\r\nHost: docker\r\n\r\n";
/// An engine that takes a connection and says nothing for so long does not work.
const PATIENCE: Duration = Duration::from_secs(10);
/// Connections through the client take a session each; some stay for commands.
const THROUGH_CLIENT: usize = 5;

pub(super) enum EngineWay {
    /// This socket of the host, forwarded.
    Forward(String),
    /// The client on the host connects; so many at once.
    Client(Arc<Semaphore>),
}

type Stream = Box<dyn ByteStream>;

/// A connection to the engine. The first one also finds the way.
pub(super) async fn dial(master: &Master) -> Result<Stream, Fault> {
    let proven = Mutex::new(None);
    let way = master
        .engine
        .get_or_try_init(|| async {
            let (way, stream) = find(master).await?;
            *proven.lock().unwrap_or_else(PoisonError::into_inner) = Some(stream);
            Ok::<_, Fault>(way)
        })
        .await?;
    // What proved the way is this caller's connection.
    if let Some(stream) = proven.into_inner().unwrap_or_else(PoisonError::into_inner) {
        return Ok(stream);
    }
    match way {
        EngineWay::Forward(socket) => {
            Ok(Box::new(master.dial(&Target::Unix(socket.clone())).await?))
        }
        EngineWay::Client(places) => {
            let place = place(master, places).await?;
            Ok(Box::new(through_client(master, place).await?))
        }
    }
}

async fn find(master: &Master) -> Result<(EngineWay, Stream), Fault> {
    let first = match master.dial(&Target::Unix(SOCKET.into())).await {
        Ok(mut stream) => match ping(&mut stream).await {
            Ok(()) => return Ok((EngineWay::Forward(SOCKET.into()), Box::new(stream))),
            Err(why) => why,
        },
        Err(fault) => fault.to_string(),
    };
    let looked = async { master.start(LOOK).await?.run(b"").await };
    let looked = timeout(PATIENCE, looked).await.map_err(|_| {
        Fault::unreachable(format!("cannot look for the engine on `{}`", master.host))
            .because(format!(
                "a short script did not end there within {}s",
                PATIENCE.as_secs()
            ))
            .hint(format!("see what it does: `ssh {} uptime`", master.host))
    })??;
    let seen = Seen::read(&String::from_utf8_lossy(&looked.stdout));
    for socket in seen.ready.iter().filter(|socket| *socket != SOCKET) {
        let mut stream = master.dial(&Target::Unix(socket.clone())).await?;
        if ping(&mut stream).await.is_ok() {
            return Ok((EngineWay::Forward(socket.clone()), Box::new(stream)));
        }
    }
    let mut client_said = None;
    if seen.client {
        let places = Arc::new(Semaphore::new(THROUGH_CLIENT));
        let mut stream = through_client(master, place(master, &places).await?).await?;
        match ping(&mut stream).await {
            Ok(()) => return Ok((EngineWay::Client(places), Box::new(stream))),
            Err(why) => client_said = Some(stream.said().await.unwrap_or(why)),
        }
    }
    Err(seen.explain(&master.host, &first, client_said.as_deref()))
}

/// Nothing else was sent on the stream afterwards: it can be used.
async fn ping(stream: &mut (impl ByteStream + ?Sized)) -> Result<(), String> {
    let asked = async {
        stream.write_all(PING).await?;
        let mut answer = vec![];
        // The answer to HEAD ends with its headers; not a byte more is taken.
        while !answer.ends_with(b"\r\n\r\n") && answer.len() < 16 * 1024 {
            answer.push(stream.read_u8().await?);
        }
        Ok::<_, std::io::Error>(answer)
    };
    match timeout(PATIENCE, asked).await {
        Ok(Ok(answer)) if answer.starts_with(b"HTTP/1.") => Ok(()),
        Ok(Ok(_)) => Err("what listens there is no Docker engine".to_owned()),
        Ok(Err(error)) if error.kind() == std::io::ErrorKind::UnexpectedEof => {
            Err("it closed the connection".to_owned())
        }
        Ok(Err(error)) => Err(error.to_string()),
        Err(_) => Err(format!("no answer within {}s", PATIENCE.as_secs())),
    }
}

async fn place(master: &Master, places: &Arc<Semaphore>) -> Result<OwnedSemaphorePermit, Fault> {
    let waited = timeout(PATIENCE, Arc::clone(places).acquire_owned()).await;
    waited.ok().and_then(Result::ok).ok_or_else(|| {
        Fault::unreachable(format!(
            "too many connections to the engine of `{}`",
            master.host
        ))
        .because("its SSH server forwards no sockets, so that each one takes a session")
        .hint("set `AllowStreamLocalForwarding yes` in its `sshd_config`")
    })
}

type Kept = (
    openssh::ChildStderr,
    openssh::Child<Arc<openssh::Session>>,
    [OwnedSemaphorePermit; 2],
);
type ClientStream = Piped<openssh::ChildStdout, Closing<openssh::ChildStdin>, Kept>;

async fn through_client(
    master: &Master,
    place: OwnedSemaphorePermit,
) -> Result<ClientStream, Fault> {
    let (mut child, permit) = master.session("docker system dial-stdio").await?;
    let cut = || Fault::internal("a started command has no pipes");
    Ok(Piped {
        output: child.stdout().take().ok_or_else(cut)?,
        input: Closing::new(child.stdin().take().ok_or_else(cut)?),
        keep: (
            child.stderr().take().ok_or_else(cut)?,
            child,
            [permit, place],
        ),
    })
}

impl ClientStream {
    /// The first line of what the client complained about, once it has ended.
    async fn said(mut self) -> Option<String> {
        let _ = self.input.shutdown().await;
        let mut text = String::new();
        let read = self.keep.0.read_to_string(&mut text);
        timeout(PATIENCE, read).await.ok()?.ok()?;
        let line = text.lines().find(|line| !line.trim().is_empty())?;
        Some(line.trim().to_owned())
    }
}
