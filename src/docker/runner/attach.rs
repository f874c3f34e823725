//! One-off containers that are spoken to: files copied in, then their input
//! and output as one stream of bytes.
//!
//! Such a container goes in three ways, the first that happens: it ends (the
//! engine removes it), the stream is dropped (it is killed, and the command does
//! not end before it is gone: `Engines::settle`), this process dies
//! (its input closes, which ends a program that reads it).

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::{Buf, Bytes, BytesMut};
use hyper::upgrade::Upgraded;
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio_util::task::task_tracker::TaskTrackerToken;

use super::body::Purpose;
use super::frames::{Channel, Frames};
use super::lines::Lines;
use super::start::{Began, no_network};
use super::{Runner, container_path, life};
use crate::docker::client::{Call, Engine, fault};
use crate::model::container::ContainerSpec;
use crate::model::fault::Fault;
use crate::ports::{Attached, Cx};

const CHUNK: usize = 32 << 10;

impl Runner {
    pub(super) async fn converse(
        &self,
        cx: &Cx,
        engine: &Engine,
        spec: &ContainerSpec,
        files: &[(String, u32, Vec<u8>)],
    ) -> Result<Attached, Fault> {
        let archive = packed(&spec.name, files)?;
        for _ in 0..2 {
            let attached = self.try_converse(cx, engine, spec, archive.clone());
            if let Some(attached) = attached.await? {
                return Ok(attached);
            }
        }
        Err(no_network(engine, spec))
    }

    /// `None`: its network was missing, and is there now.
    async fn try_converse(
        &self,
        cx: &Cx,
        engine: &Engine,
        spec: &ContainerSpec,
        archive: Option<Bytes>,
    ) -> Result<Option<Attached>, Fault> {
        let id = self
            .create_afresh(engine, spec, Purpose::Conversation)
            .await?;
        // From here on it is removed unless the stream is handed out.
        let removal = Removal {
            engine: engine.clone(),
            id: id.clone(),
            _waited_for: engine.aftermath().token(),
        };
        let copied = async {
            match archive {
                None => Ok(()),
                Some(archive) => unpack(engine, &id, &spec.name, archive).await,
            }
        };
        let attached = async {
            let call = Call::post(container_path(&id, "/attach"))
                .query("stream", "1")
                .query("stdin", "1")
                .query("stdout", "1")
                .query("stderr", "1")
                .upgrading("tcp");
            engine.upgrade(call).await.map_err(|error| {
                let what = format!("cannot attach to `{}`", spec.name);
                fault(engine.host(), what, error)
            })
        };
        let ((), upgraded) = tokio::try_join!(copied, attached)?;
        match self.begin(engine, spec, &id).await? {
            Began::Running => {}
            Began::NetworkMade => return Ok(None),
        }
        Ok(Some(Attached {
            stream: Box::new(Talk {
                wire: TokioIo::new(upgraded),
                frames: Frames::default(),
                read: BytesMut::new(),
                ready: Bytes::new(),
                lines: Lines::default(),
                cx: cx.clone(),
                _removal: removal,
            }),
            container: spec.name.clone(),
        }))
    }
}

/// Into a container that is there.
pub(super) async fn copy_in(
    engine: &Engine,
    name: &str,
    files: &[(String, u32, Vec<u8>)],
) -> Result<(), Fault> {
    match packed(name, files)? {
        None => Ok(()),
        Some(archive) => unpack(engine, name, name, archive).await,
    }
}

async fn unpack(engine: &Engine, id: &str, name: &str, archive: Bytes) -> Result<(), Fault> {
    let call = Call::put(container_path(id, "/archive"))
        .query("path", "/")
        .bytes("application/x-tar", archive);
    engine.done(call).await.map_err(|error| {
        let what = format!("cannot copy files into `{name}`");
        fault(engine.host(), what, error)
    })
}

fn packed(name: &str, files: &[(String, u32, Vec<u8>)]) -> Result<Option<Bytes>, Fault> {
    archive(files).map_err(|error| {
        Fault::internal(format!("cannot pack the files for `{name}`")).caused_by(&error)
    })
}

fn archive(files: &[(String, u32, Vec<u8>)]) -> io::Result<Option<Bytes>> {
    if files.is_empty() {
        return Ok(None);
    }
    let mut archive = tar::Builder::new(vec![]);
    for (path, mode, bytes) in files {
        let mut header = tar::Header::new_gnu();
        header.set_size(bytes.len() as u64);
        header.set_mode(*mode);
        archive.append_data(&mut header, path.trim_start_matches('/'), bytes.as_slice())?;
    }
    Ok(Some(archive.into_inner()?.into()))
}

/// See [`Attached`].
struct Talk {
    wire: TokioIo<Upgraded>,
    frames: Frames,
    /// From the wire, not yet taken apart.
    read: BytesMut,
    /// Standard output that the reader has not taken yet.
    ready: Bytes,
    lines: Lines,
    cx: Cx,
    _removal: Removal,
}

impl AsyncRead for Talk {
    fn poll_read(
        mut self: Pin<&mut Self>,
        task: &mut Context<'_>,
        target: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = &mut *self;
        if target.remaining() == 0 {
            return Poll::Ready(Ok(()));
        }
        loop {
            if !this.ready.is_empty() {
                let count = this.ready.len().min(target.remaining());
                target.put_slice(&this.ready[..count]);
                this.ready.advance(count);
                return Poll::Ready(Ok(()));
            }
            match this.frames.next(&mut this.read) {
                Some((Channel::Output, piece)) => this.ready = piece,
                Some((Channel::Error, piece)) => {
                    let cx = &this.cx;
                    this.lines
                        .push(Channel::Error, &piece, |line| cx.output(line));
                }
                None => {
                    if std::task::ready!(this.poll_fill(task))? == 0 {
                        let cx = &this.cx;
                        this.lines.finish(|line| cx.output(line));
                        return Poll::Ready(Ok(()));
                    }
                }
            }
        }
    }
}

impl Talk {
    fn poll_fill(&mut self, task: &mut Context<'_>) -> Poll<io::Result<usize>> {
        let held = self.read.len();
        self.read.resize(held + CHUNK, 0);
        let mut target = ReadBuf::new(&mut self.read[held..]);
        let polled = Pin::new(&mut self.wire).poll_read(task, &mut target);
        let count = target.filled().len();
        self.read.truncate(held + count);
        polled.map_ok(|()| count)
    }
}

impl AsyncWrite for Talk {
    fn poll_write(
        mut self: Pin<&mut Self>,
        task: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.wire).poll_write(task, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, task: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.wire).poll_flush(task)
    }

    /// Closes its input; its output goes on.
    fn poll_shutdown(mut self: Pin<&mut Self>, task: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.wire).poll_shutdown(task)
    }
}

/// Removes its container when it is dropped. By id: another one may have its
/// name by then.
struct Removal {
    engine: Engine,
    id: String,
    /// The end of the command waits for this, wherever the stream is dropped.
    _waited_for: TaskTrackerToken,
}

impl Drop for Removal {
    fn drop(&mut self) {
        let Ok(runtime) = tokio::runtime::Handle::try_current() else {
            return;
        };
        let (engine, id) = (self.engine.clone(), self.id.clone());
        let removed = async move {
            // Nobody is left to tell; the next of its name clears it away.
            let _ = life::remove(&engine, &id).await;
        };
        self.engine.aftermath().spawn_on(removed, &runtime);
    }
}
