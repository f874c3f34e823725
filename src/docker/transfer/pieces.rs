//! A part of an archive as a stream, read beside the runtime's own threads and
//! no faster than it is taken.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use bytes::Bytes;
use tokio_stream::wrappers::ReceiverStream;

use super::archive::{Archive, Part};

/// Bytes that are read at once.
const PIECE: usize = 256 * 1024;

/// Pieces that may wait for the connection.
const WAITING: usize = 4;

/// The bytes of `part` from `start` on; `taken` counts them.
pub(super) fn pieces(
    archive: Arc<Archive>,
    part: Part,
    start: u64,
    taken: Arc<AtomicU64>,
) -> ReceiverStream<io::Result<Bytes>> {
    let (sender, receiver) = tokio::sync::mpsc::channel(WAITING);
    tokio::task::spawn_blocking(move || {
        let mut offset = start;
        while offset < part.size {
            let mut piece = vec![0; PIECE];
            let read = archive.read(part, offset, &mut piece).map(|read| {
                piece.truncate(read);
                offset += read as u64;
                taken.fetch_add(read as u64, Ordering::Relaxed);
                Bytes::from(piece)
            });
            let failed = read.is_err();
            if sender.blocking_send(read).is_err() || failed {
                return;
            }
        }
    });
    ReceiverStream::new(receiver)
}
