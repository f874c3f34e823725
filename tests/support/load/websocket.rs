//! WebSockets: a word every so often, and its echo.
//!
//! A minimal client of RFC 6455, so that nothing stands between the test and
//! what the server really does with the connection.

use std::io::ErrorKind;
use std::time::Duration;

use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::TcpStream;

use super::WORD_EVERY;
use super::client::{Client, PATIENCE, chain, in_time, shortened};
use super::requests::{comes, pace};
use super::tally::{End, Ended};

/// The key of the RFC's own example, and what a server makes of it.
const KEY: &str = "dGhlIHNhbXBsZSBub25jZQ==";
const ACCEPT: &str = "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=";

/// Talks until the load ends, and comes back when the server ends it.
pub(super) async fn talks(client: Client, first: Duration) {
    let mut pace = pace(first, WORD_EVERY);
    while comes(&mut pace, &client).await {
        let opened = client.tally.now();
        let (mut socket, version) = match in_time(PATIENCE, Socket::opens(&client)).await {
            Ok(opened) => opened,
            Err(reason) => {
                client.failed(format!("opening: {reason}"));
                continue;
            }
        };
        client.tally.opened(client.kind, client.host);
        match socket.talks(&client, &version, first).await {
            Ok(None) => return,
            Ok(Some(how)) => client.tally.ended(Ended {
                kind: client.kind,
                host: client.host,
                version,
                opened,
                at: client.tally.now(),
                how,
            }),
            Err(reason) => client.failed(reason),
        }
    }
}

struct Socket {
    stream: BufReader<TcpStream>,
}

enum Frame {
    Text(String),
    Close,
    /// The connection ended between two frames.
    Nothing,
}

impl Socket {
    /// The connection and the version that greets.
    async fn opens(client: &Client) -> Result<(Self, String), String> {
        let mut socket = Self {
            stream: BufReader::new(client.connects().await?),
        };
        let head = format!(
            "GET /ws HTTP/1.1\r\nHost: {}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
             Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: {KEY}\r\n\r\n",
            client.name
        );
        socket.writes(head.as_bytes()).await?;
        let mut answer = String::new();
        while !answer.ends_with("\r\n\r\n") {
            let read = socket.stream.read_line(&mut answer).await;
            if read.map_err(|error| chain(&error))? == 0 {
                return Err(format!("it ended after {}", shortened(&answer)));
            }
        }
        if !answer.starts_with("HTTP/1.1 101 ") || !answer.contains(ACCEPT) {
            return Err(shortened(&answer));
        }
        match socket.reads().await? {
            Frame::Text(text) => text
                .strip_prefix("version: ")
                .map(|version| (socket, version.to_owned()))
                .ok_or_else(|| format!("an odd greeting: {}", shortened(&text))),
            Frame::Close | Frame::Nothing => Err("it ended before the greeting".to_owned()),
        }
    }

    /// Until the server ends it, or (`None`) the load does.
    async fn talks(
        &mut self,
        client: &Client,
        version: &str,
        first: Duration,
    ) -> Result<Option<End>, String> {
        let mut pace = pace(first, WORD_EVERY);
        for number in 0_u64.. {
            // What comes between two words can only be the end.
            tokio::select! {
                goes_on = comes(&mut pace, client) => if !goes_on { return self.leaves().await },
                unasked = self.stream.fill_buf() => {
                    unasked.map_err(|error| format!("between words: {}", chain(&error)))?;
                    return match in_time(PATIENCE, self.reads()).await? {
                        Frame::Text(text) => Err(format!("unasked: {}", shortened(&text))),
                        Frame::Close => self.is_closed().await,
                        Frame::Nothing => Ok(Some(End::Silent)),
                    };
                }
            }
            // Long enough for the longer form of a frame's length.
            let word = format!("{number} to {version} {}", "la ".repeat(50));
            let begun = client.tally.now();
            // A connection that is just being closed does not take it; the
            // server's last words are there all the same.
            let sent = self.sends(1, word.as_bytes()).await;
            match in_time(PATIENCE, self.reads()).await {
                Ok(Frame::Text(echo)) if echo == word => {}
                Ok(Frame::Text(echo)) => return Err(format!("not the word: {}", shortened(&echo))),
                Ok(Frame::Close) => return self.is_closed().await,
                Ok(Frame::Nothing) => return Err("it ended, a word unanswered".to_owned()),
                Err(reason) => return Err(sent.err().unwrap_or(reason)),
            }
            client
                .tally
                .answered(client.kind, client.host, version, begun);
        }
        Ok(None)
    }

    /// The server said goodbye: so does the client, and the server closes.
    async fn is_closed(&mut self) -> Result<Option<End>, String> {
        let _ = self.sends(8, &1001_u16.to_be_bytes()).await;
        let rest = in_time(PATIENCE, async {
            let mut rest = vec![];
            // After both goodbyes nothing can be lost, however it is closed.
            let _ = self.stream.read_to_end(&mut rest).await;
            Ok(rest)
        });
        match rest.await {
            Ok(rest) if rest.is_empty() => Ok(Some(End::Goodbye)),
            Ok(_) => Err("something came after the goodbye".to_owned()),
            Err(_) => Err("the server said goodbye and did not close".to_owned()),
        }
    }

    async fn leaves(&mut self) -> Result<Option<End>, String> {
        let _ = self.sends(8, &1000_u16.to_be_bytes()).await;
        Ok(None)
    }

    async fn sends(&mut self, opcode: u8, data: &[u8]) -> Result<(), String> {
        let mask = [0x5a, 0x0f, 0xc3, 0x71];
        let mut frame = vec![0x80 | opcode];
        match u8::try_from(data.len()) {
            Ok(length @ 0..126) => frame.push(0x80 | length),
            _ => {
                let length = u16::try_from(data.len()).expect("short words");
                frame.push(0x80 | 126);
                frame.extend(length.to_be_bytes());
            }
        }
        frame.extend(mask);
        let masked = data.iter().zip(mask.iter().cycle());
        frame.extend(masked.map(|(byte, mask)| byte ^ mask));
        self.writes(&frame).await
    }

    async fn writes(&mut self, data: &[u8]) -> Result<(), String> {
        let written = self.stream.get_mut().write_all(data).await;
        written.map_err(|error| chain(&error))
    }

    async fn reads(&mut self) -> Result<Frame, String> {
        let first = match self.stream.read_u8().await {
            Ok(first) => first,
            Err(error) if error.kind() == ErrorKind::UnexpectedEof => return Ok(Frame::Nothing),
            Err(error) => return Err(chain(&error)),
        };
        let broken = |error: std::io::Error| format!("inside a frame: {}", chain(&error));
        let length = match self.stream.read_u8().await.map_err(broken)? {
            126 => self.stream.read_u16().await.map_err(broken)?,
            length @ 0..126 => u16::from(length),
            length => return Err(format!("a frame of length code {length}")),
        };
        let mut data = vec![0; usize::from(length)];
        self.stream.read_exact(&mut data).await.map_err(broken)?;
        match first {
            0x81 => String::from_utf8(data)
                .map(Frame::Text)
                .map_err(|error| chain(&error)),
            0x88 => Ok(Frame::Close),
            other => Err(format!("a frame that begins with {other:#x}")),
        }
    }
}
