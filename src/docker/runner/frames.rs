//! The engine's framing of a container's output: eight bytes of header
//! (channel, length), then that many bytes. Pure.
//!
//! Pieces of a frame are handed on as they arrive: a frame is never held
//! until it is whole. What does not look like frames (a terminal's output) is
//! passed on as it is.

use bytes::{Buf, Bytes, BytesMut};

/// Where a piece of output came from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Channel {
    Output,
    Error,
}

#[derive(Debug, Default)]
pub(super) struct Frames {
    state: State,
}

#[derive(Debug, Default)]
enum State {
    #[default]
    Header,
    Payload {
        channel: Channel,
        left: usize,
    },
    Unframed,
}

const HEADER: usize = 8;

impl Frames {
    /// The next piece in `buffer`; `None` when more must be read first.
    pub(super) fn next(&mut self, buffer: &mut BytesMut) -> Option<(Channel, Bytes)> {
        loop {
            if buffer.is_empty() {
                return None;
            }
            match &mut self.state {
                State::Unframed => return Some((Channel::Output, buffer.split().freeze())),
                State::Payload { left: 0, .. } => self.state = State::Header,
                State::Payload { channel, left } => {
                    let piece = buffer.split_to(buffer.len().min(*left)).freeze();
                    *left -= piece.len();
                    return Some((*channel, piece));
                }
                State::Header if !framed(buffer) => self.state = State::Unframed,
                State::Header if buffer.len() < HEADER => return None,
                State::Header => {
                    let mut header = buffer.split_to(HEADER);
                    let channel = match header.get_u8() {
                        // 3 is the engine's own trouble with the stream.
                        2 | 3 => Channel::Error,
                        _ => Channel::Output,
                    };
                    header.advance(3);
                    let left = header.get_u32() as usize;
                    self.state = State::Payload { channel, left };
                }
            }
        }
    }
}

fn framed(buffer: &[u8]) -> bool {
    buffer[0] <= 3 && buffer[1..].iter().take(3).all(|byte| *byte == 0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn frame(channel: u8, payload: &[u8]) -> Vec<u8> {
        let mut bytes = vec![channel, 0, 0, 0];
        bytes.extend(u32::try_from(payload.len()).unwrap().to_be_bytes());
        bytes.extend(payload);
        bytes
    }

    fn read(chunks: &[&[u8]]) -> (Vec<u8>, Vec<u8>) {
        let (mut frames, mut buffer) = (Frames::default(), BytesMut::new());
        let (mut output, mut error) = (vec![], vec![]);
        for chunk in chunks {
            buffer.extend_from_slice(chunk);
            while let Some((channel, piece)) = frames.next(&mut buffer) {
                match channel {
                    Channel::Output => output.extend_from_slice(&piece),
                    Channel::Error => error.extend_from_slice(&piece),
                }
            }
        }
        (output, error)
    }

    #[test]
    fn what_has_no_frames_is_passed_on_as_it_is() {
        assert_eq!(read(&[b"hel", b"lo\n"]).0, b"hello\n");
    }

    #[test]
    fn an_empty_frame_is_no_end() {
        let bytes = [frame(1, b""), frame(2, b"x")].concat();
        assert_eq!(read(&[&bytes]), (vec![], b"x".to_vec()));
    }

    proptest! {
        #[test]
        fn frames_come_apart_the_same_wherever_the_stream_is_cut(
            frames in prop::collection::vec((1u8..=2, prop::collection::vec(any::<u8>(), 0..40)), 0..8),
            size in 1usize..50,
        ) {
            let wire: Vec<u8> = frames.iter().flat_map(|(c, p)| frame(*c, p)).collect();
            let of = |channel| -> Vec<u8> {
                frames.iter().filter(|(c, _)| *c == channel).flat_map(|(_, p)| p.clone()).collect()
            };
            let chunks: Vec<&[u8]> = wire.chunks(size).collect();
            prop_assert_eq!(read(&chunks), (of(1), of(2)));
        }
    }
}
