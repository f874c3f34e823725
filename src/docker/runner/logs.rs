//! Logs of containers, and any other framed output, as lines.

use bytes::BytesMut;
use futures_util::{Stream, StreamExt};

use super::container_path;
use super::frames::Frames;
use super::lines::Lines;
use crate::docker::client::{Call, Engine, fault};
use crate::model::fault::Fault;
use crate::ports::Cx;

/// Reads a framed stream to its end.
pub(in crate::docker) async fn each_line<E>(
    mut stream: impl Stream<Item = Result<bytes::Bytes, E>> + Unpin,
    mut line: impl FnMut(String),
) -> Result<(), E> {
    let (mut frames, mut lines) = (Frames::default(), Lines::default());
    let mut buffer = BytesMut::new();
    let ended = loop {
        match stream.next().await {
            None => break Ok(()),
            Some(Err(error)) => break Err(error),
            Some(Ok(bytes)) => buffer.extend_from_slice(&bytes),
        }
        while let Some((channel, piece)) = frames.next(&mut buffer) {
            lines.push(channel, &piece, &mut line);
        }
    };
    lines.finish(line);
    ended
}

pub(super) async fn last(engine: &Engine, name: &str, lines: usize) -> Result<Vec<String>, Fault> {
    let failed = |error| unreadable(engine, name, error);
    let stream = engine.bytes(call(name, lines)).await.map_err(failed)?;
    let mut seen = vec![];
    each_line(stream, |line| seen.push(line))
        .await
        .map_err(failed)?;
    // The engine counts per record; a record may hold more than one line.
    seen.drain(..seen.len().saturating_sub(lines));
    Ok(seen)
}

pub(super) async fn follow(
    cx: &Cx,
    engine: &Engine,
    name: &str,
    lines: usize,
) -> Result<(), Fault> {
    let work = async {
        let stream = engine.bytes(call(name, lines).query("follow", "1")).await?;
        each_line(stream, |line| cx.output(line)).await
    };
    tokio::select! {
        biased;
        () = cx.token().cancelled() => Ok(()),
        ended = work => ended.map_err(|error| unreadable(engine, name, error)),
    }
}

fn call(name: &str, lines: usize) -> Call {
    Call::get(container_path(name, "/logs"))
        .query("stdout", "1")
        .query("stderr", "1")
        .query("tail", lines.to_string())
}

fn unreadable(engine: &Engine, name: &str, error: bollard::errors::Error) -> Fault {
    fault(
        engine.host(),
        format!("cannot read the log of `{name}`"),
        error,
    )
}
