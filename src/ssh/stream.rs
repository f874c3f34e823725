//! Byte streams over an SSH connection: a forwarded one that says why it broke,
//! and one through a command's pipes. Imports nothing.

use std::io;
use std::path::{Path, PathBuf};
use std::pin::Pin;
use std::task::{Context, Poll};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::UnixStream;

/// A forward accepts every connection and closes it at once when the host
/// could not open its end; the reason stands only in the connection's log.
/// Until the first byte has come, an end is turned into that reason.
pub(super) struct Forwarded {
    stream: UnixStream,
    target: String,
    log: PathBuf,
    /// Its length when the stream was opened.
    log_from: u64,
    answered: bool,
}

impl Forwarded {
    pub(super) async fn connect(socket: &Path, target: String, log: PathBuf) -> io::Result<Self> {
        let log_from = std::fs::metadata(&log).map_or(0, |log| log.len());
        Ok(Self {
            stream: UnixStream::connect(socket).await?,
            target,
            log,
            log_from,
            answered: false,
        })
    }

    fn reason(&self) -> Option<io::Error> {
        let log = std::fs::read(&self.log).ok()?;
        let from = usize::try_from(self.log_from).ok()?;
        let reason = refused(&String::from_utf8_lossy(log.get(from..)?))?;
        Some(io::Error::new(
            io::ErrorKind::ConnectionRefused,
            format!("the host could not connect to {}: {reason}", self.target),
        ))
    }
}

/// `channel 3: open failed: connect failed: Connection refused` → its end.
fn refused(log: &str) -> Option<String> {
    let line = log.lines().rfind(|line| line.contains(": open failed: "))?;
    let (_, reason) = line.split_once(": open failed: ")?;
    let reason = reason.trim();
    Some(match reason.strip_prefix("connect failed: ") {
        // What sshd says of every unix socket it cannot open.
        Some("open failed") => "missing, no permission, or nothing listens on it".to_owned(),
        Some(reason) => reason.to_lowercase(),
        None => format!("its SSH server does not allow this forward ({reason})"),
    })
}

impl AsyncRead for Forwarded {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buf.filled().len();
        let room = buf.remaining();
        let read = Pin::new(&mut self.stream).poll_read(cx, buf);
        if self.answered || room == 0 {
            return read;
        }
        match read {
            Poll::Pending => Poll::Pending,
            Poll::Ready(Ok(())) if buf.filled().len() > before => {
                self.answered = true;
                Poll::Ready(Ok(()))
            }
            Poll::Ready(ended) => Poll::Ready(match self.reason() {
                Some(reason) => Err(reason),
                None => ended,
            }),
        }
    }
}

impl AsyncWrite for Forwarded {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        match Pin::new(&mut self.stream).poll_write(cx, buf) {
            Poll::Ready(Err(error)) if !self.answered => {
                Poll::Ready(Err(self.reason().unwrap_or(error)))
            }
            other => other,
        }
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}

/// A command's output and input as one stream. `keep` lives as long: the
/// process, and its place among the host's sessions.
pub(super) struct Piped<R, W, K> {
    pub(super) output: R,
    pub(super) input: W,
    pub(super) keep: K,
}

impl<R: AsyncRead + Unpin, W: Unpin, K: Unpin> AsyncRead for Piped<R, W, K> {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().output).poll_read(cx, buf)
    }
}

impl<R: Unpin, W: AsyncWrite + Unpin, K: Unpin> AsyncWrite for Piped<R, W, K> {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.get_mut().input).poll_write(cx, buf)
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().input).poll_flush(cx)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().input).poll_shutdown(cx)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_reason_is_the_last_refusal_in_the_log() {
        let log = "channel 1: open failed: connect failed: Connection refused\nsomething\nchannel 1: open failed: connect failed: Temporary failure in name resolution\n";
        assert_eq!(
            refused(log).as_deref(),
            Some("temporary failure in name resolution")
        );
        assert_eq!(refused("all is well"), None);
        assert!(
            refused("channel 2: open failed: administratively prohibited: open failed")
                .is_some_and(|said| said.contains("does not allow"))
        );
    }
}
