//! An application in this process with one flaw, to try the load itself.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::runtime::Runtime;
use tokio::time::sleep;

/// What the application does wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Flaw {
    None,
    /// One in a hundred requests gets a reset.
    Drops,
    /// One in a hundred answers says less than its length.
    Truncates,
    /// One in a hundred answers is complete, and not what was asked for.
    Shortens,
    /// One in a hundred requests is answered with 503.
    Refuses,
    /// One in a hundred answers is by `v9`.
    Strays,
    /// Connections are closed after an answer that did not say so.
    ClosesIdle,
    /// Each answer takes half a second.
    Crawls,
    /// WebSockets are reset after some words.
    ResetsSockets,
    /// WebSockets end inside a frame.
    CutsFrames,
    /// WebSockets end between frames.
    EndsSockets,
    /// WebSockets end with a goodbye while their version serves.
    SaysGoodbye,
    /// Event streams end without a goodbye.
    EndsEvents,
    /// An event is left out.
    SkipsEvents,
}

pub(crate) struct Flawed {
    pub(crate) address: SocketAddr,
    state: Arc<State>,
    _runtime: Runtime,
}

struct State {
    flaw: Flaw,
    switched: OnceLock<Instant>,
    requests: AtomicU32,
    flawed: AtomicU32,
}

impl Flawed {
    pub(crate) fn with(flaw: Flaw) -> Self {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .enable_all()
            .build()
            .expect("a runtime");
        let listener = runtime
            .block_on(TcpListener::bind("127.0.0.1:0"))
            .expect("a port");
        let address = listener.local_addr().expect("an address");
        let state = Arc::new(State {
            flaw,
            switched: OnceLock::new(),
            requests: AtomicU32::new(0),
            flawed: AtomicU32::new(0),
        });
        let shared = state.clone();
        runtime.spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let state = shared.clone();
                tokio::spawn(async move {
                    let _ = state.serves(stream).await;
                });
            }
        });
        Self {
            address,
            state,
            _runtime: runtime,
        }
    }

    /// From now on `v2` answers; 300 ms later `v1` properly ends its streams.
    pub(crate) fn switches(&self) {
        let _ = self.state.switched.set(Instant::now());
    }

    /// How often it did wrong.
    pub(crate) fn flawed(&self) -> u32 {
        self.state.flawed.load(Ordering::Relaxed)
    }
}

impl State {
    async fn serves(&self, mut stream: TcpStream) -> std::io::Result<()> {
        stream.set_nodelay(true)?;
        let mut text = Vec::new();
        loop {
            let head = loop {
                if let Some(end) = text.windows(4).position(|four| four == b"\r\n\r\n") {
                    let rest = text.split_off(end + 4);
                    break String::from_utf8(std::mem::replace(&mut text, rest)).expect("a head");
                }
                if stream.read_buf(&mut text).await? == 0 {
                    return Ok(());
                }
            };
            let length = head
                .lines()
                .find_map(|line| {
                    line.to_lowercase()
                        .strip_prefix("content-length: ")?
                        .parse()
                        .ok()
                })
                .unwrap_or(0);
            while text.len() < length {
                stream.read_buf(&mut text).await?;
            }
            let said: Vec<u8> = text.drain(..length).collect();
            let path = head.split(' ').nth(1).expect("a path");
            match path.split('?').next() {
                Some("/ws") => return self.talks(stream).await,
                Some("/events") => return self.sends_events(stream).await,
                Some("/slow") => sleep(Duration::from_millis(100)).await,
                _ => {}
            }
            if !self.answers(&mut stream, path, &said).await? {
                return Ok(());
            }
        }
    }

    async fn answers(
        &self,
        stream: &mut TcpStream,
        path: &str,
        said: &[u8],
    ) -> std::io::Result<bool> {
        let number = self.requests.fetch_add(1, Ordering::Relaxed);
        let mut flaw = Flaw::None;
        if number % 100 == 99 && !path.starts_with("/slow") {
            flaw = self.flaw;
        }
        let version = if flaw == Flaw::Strays {
            "v9"
        } else {
            self.version()
        };
        let page = format!("{}\nend\n", "x".repeat(500));
        let body = match path {
            "/echo" => [format!("version: {version}\n").as_bytes(), said].concat(),
            _ => format!("version: {version}\n{page}").into_bytes(),
        };
        let length = body.len();
        let (status, body, length) = match flaw {
            Flaw::Drops => {
                self.did_wrong();
                resets(stream);
                return Ok(false);
            }
            Flaw::Truncates => ("200 OK", &body[..length - 3], length),
            Flaw::Shortens => ("200 OK", &body[..length - 3], length - 3),
            Flaw::Refuses => ("503 Service Unavailable", &body[..], length),
            _ => ("200 OK", &body[..], length),
        };
        if self.flaw == Flaw::Crawls {
            sleep(Duration::from_millis(500)).await;
        }
        let head = format!("HTTP/1.1 {status}\r\nContent-Length: {length}\r\n\r\n");
        stream.write_all(&[head.as_bytes(), body].concat()).await?;
        match flaw {
            Flaw::Truncates | Flaw::ClosesIdle => {
                self.did_wrong();
                Ok(false)
            }
            Flaw::Shortens | Flaw::Refuses | Flaw::Strays => {
                self.did_wrong();
                Ok(true)
            }
            _ => Ok(true),
        }
    }

    async fn sends_events(&self, mut stream: TcpStream) -> std::io::Result<()> {
        let head = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n";
        stream.write_all(head.as_bytes()).await?;
        let version = self.version();
        for number in 0.. {
            let event = match (self.flaw, number) {
                (Flaw::SkipsEvents, 3) => continue,
                (Flaw::EndsEvents, 3) => "0\r\n\r\n".to_owned(),
                _ if self.is_over(version) => {
                    let bye = format!("event: bye\ndata: {version}\n\n");
                    format!("{:x}\r\n{bye}\r\n0\r\n\r\n", bye.len())
                }
                _ => {
                    let event = format!("data: {version} {number}\n\n");
                    format!("{:x}\r\n{event}\r\n", event.len())
                }
            };
            stream.write_all(event.as_bytes()).await?;
            if event.ends_with("0\r\n\r\n") {
                break;
            }
            sleep(Duration::from_millis(50)).await;
        }
        Ok(())
    }

    async fn talks(&self, mut stream: TcpStream) -> std::io::Result<()> {
        let version = self.version();
        let head = "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
                    Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n";
        stream.write_all(head.as_bytes()).await?;
        let greeting = format!("version: {version}");
        stream.write_all(&frame(0x81, greeting.as_bytes())).await?;
        for number in 0.. {
            let word = loop {
                tokio::select! {
                    word = reads(&mut stream) => break word?,
                    () = sleep(Duration::from_millis(100)) => {
                        if self.is_over(version) {
                            stream.write_all(&frame(0x88, &[3, 233])).await?;
                            return Ok(());
                        }
                    }
                }
            };
            let echo = frame(0x81, &word);
            match (self.flaw, number) {
                (Flaw::ResetsSockets, 1) => {
                    resets(&stream);
                    return Ok(());
                }
                (Flaw::CutsFrames, 1) => {
                    return stream.write_all(&echo[..20]).await;
                }
                (Flaw::EndsSockets, 1) => return stream.write_all(&echo).await,
                (Flaw::SaysGoodbye, 1) => {
                    let goodbye = frame(0x88, &[3, 233]);
                    return stream.write_all(&[echo, goodbye].concat()).await;
                }
                _ => stream.write_all(&echo).await?,
            }
        }
        Ok(())
    }

    fn version(&self) -> &'static str {
        self.switched.get().map_or("v1", |_| "v2")
    }

    fn is_over(&self, version: &str) -> bool {
        let switched = self.switched.get();
        version == "v1" && switched.is_some_and(|at| at.elapsed() > Duration::from_millis(300))
    }

    fn did_wrong(&self) {
        self.flawed.fetch_add(1, Ordering::Relaxed);
    }
}

fn resets(stream: &TcpStream) {
    stream.set_zero_linger().expect("an open socket");
}

async fn reads(stream: &mut TcpStream) -> std::io::Result<Vec<u8>> {
    let mut start = [0; 2];
    stream.read_exact(&mut start).await?;
    let length = match start[1] & 0x7f {
        126 => usize::from(stream.read_u16().await?),
        short => usize::from(short),
    };
    let mut mask = [0; 4];
    stream.read_exact(&mut mask).await?;
    let mut data = vec![0; length];
    stream.read_exact(&mut data).await?;
    let masks = mask.iter().cycle();
    Ok(data
        .iter()
        .zip(masks)
        .map(|(byte, mask)| byte ^ mask)
        .collect())
}

fn frame(first: u8, data: &[u8]) -> Vec<u8> {
    let mut frame = vec![first];
    match u8::try_from(data.len()) {
        Ok(length @ 0..126) => frame.push(length),
        _ => {
            frame.push(126);
            frame.extend(u16::try_from(data.len()).expect("short").to_be_bytes());
        }
    }
    frame.extend(data);
    frame
}
