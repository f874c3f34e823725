//! A container's output as lines that are safe to show: UTF-8, no control
//! characters, bounded. Pure.

use std::collections::VecDeque;

use super::frames::Channel;

/// The lines that an [`crate::model::container::Exit`] keeps.
pub(super) const TAIL: usize = 100;

/// A line that is longer is shown in parts.
const LONGEST: usize = 64 << 10;

/// Cuts both channels into lines.
#[derive(Debug, Default)]
pub(super) struct Lines {
    output: Vec<u8>,
    error: Vec<u8>,
}

impl Lines {
    pub(super) fn push(&mut self, channel: Channel, piece: &[u8], mut line: impl FnMut(String)) {
        let open = match channel {
            Channel::Output => &mut self.output,
            Channel::Error => &mut self.error,
        };
        for part in piece.split_inclusive(|byte| *byte == b'\n') {
            for part in part.chunks(LONGEST) {
                open.extend_from_slice(part);
                if part.ends_with(b"\n") || open.len() >= LONGEST {
                    line(clean(open));
                    open.clear();
                }
            }
        }
    }

    /// The lines that no line end has finished.
    pub(super) fn finish(&mut self, mut line: impl FnMut(String)) {
        for open in [&mut self.output, &mut self.error] {
            if !open.is_empty() {
                line(clean(open));
                open.clear();
            }
        }
    }
}

/// The last lines of something that may have many.
#[derive(Debug, Default)]
pub(super) struct Tail(VecDeque<String>);

impl Tail {
    pub(super) fn push(&mut self, line: String) {
        if self.0.len() == TAIL {
            self.0.pop_front();
        }
        self.0.push_back(line);
    }

    pub(super) fn into_lines(self) -> Vec<String> {
        self.0.into()
    }
}

/// One line as it may be shown: what a carriage return overwrote, escape
/// sequences and control characters are left out.
pub(super) fn clean(line: &[u8]) -> String {
    let text = String::from_utf8_lossy(line);
    let text = text.trim_end_matches(['\n', '\r']);
    let text = text.rsplit('\r').find(|part| !part.is_empty());
    let mut shown = String::new();
    let mut chars = text.unwrap_or_default().chars();
    while let Some(char) = chars.next() {
        match char {
            '\x1b' => skip_escape(&mut chars),
            '\t' => shown.push_str("    "),
            // Marks that turn the direction of text can hide what it says.
            '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' => {}
            char if char.is_control() => {}
            char => shown.push(char),
        }
    }
    shown
}

fn skip_escape(chars: &mut std::str::Chars<'_>) {
    match chars.next() {
        // Parameters until a letter or another final character.
        Some('[') => {
            chars.find(|char| ('\x40'..='\x7e').contains(char));
        }
        // A title or a link, until BEL or ESC \.
        Some(']') => {
            let end = chars.find(|char| ['\x07', '\x1b'].contains(char));
            if end == Some('\x1b') {
                chars.next();
            }
        }
        Some('(' | ')' | '#') => {
            chars.next();
        }
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_shows_no_escapes_and_no_control_characters() {
        let cases: [(&[u8], &str); 6] = [
            (b"\x1b[1;31mERROR\x1b[0m: no\n", "ERROR: no"),
            (b"10%\r50%\r100%\r\n", "100%"),
            (b"a\tb\x00\x07", "a    b"),
            (b"\x1b]0;title\x07text", "text"),
            (b"\x1b]8;;http://x\x1b\\link", "link"),
            (b"caf\xc3\xa9 \xff", "café \u{fffd}"),
        ];
        for (bytes, shown) in cases {
            assert_eq!(clean(bytes), shown);
        }
    }

    #[test]
    fn lines_of_both_channels_do_not_mix() {
        let (mut lines, mut seen) = (Lines::default(), vec![]);
        for (channel, piece) in [
            (Channel::Output, &b"one "[..]),
            (Channel::Error, b"warn\n"),
            (Channel::Output, b"line\nrest"),
        ] {
            lines.push(channel, piece, |line| seen.push(line));
        }
        lines.finish(|line| seen.push(line));
        assert_eq!(seen, ["warn", "one line", "rest"]);
    }

    #[test]
    fn an_endless_line_is_shown_in_parts() {
        let (mut lines, mut seen) = (Lines::default(), vec![]);
        lines.push(Channel::Output, &vec![b'x'; 3 * LONGEST], |line| {
            seen.push(line.len());
        });
        assert_eq!(seen, [LONGEST; 3]);
    }
}
