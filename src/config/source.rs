//! The text of a configuration file and places in it.
//!
//! Every place is a range of bytes; line and column are derived from it, so a
//! problem can never point past the text it was found in.

use std::path::{Path, PathBuf};

use super::mask::starred;

/// A range of bytes in the file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub(super) struct Span {
    pub(super) start: usize,
    pub(super) end: usize,
}

impl Span {
    pub(super) fn contains(self, at: usize) -> bool {
        self.start <= at && at < self.end.max(self.start + 1)
    }
}

/// A file as it was read.
#[derive(Debug, Clone)]
pub(super) struct Source {
    pub(super) path: PathBuf,
    /// How messages call it: relative to where the command runs if it is there.
    pub(super) name: String,
    pub(super) text: String,
    /// The same, byte for byte, with the passwords of URLs starred out: what
    /// messages may quote.
    pub(super) shown: String,
}

impl Source {
    pub(super) fn new(path: &Path, text: String) -> Self {
        let path = std::path::absolute(path).unwrap_or_else(|_| path.to_owned());
        let name = std::env::current_dir()
            .ok()
            .and_then(|here| path.strip_prefix(here).ok().map(Path::to_owned))
            .unwrap_or_else(|| path.clone())
            .display()
            .to_string();
        let shown = starred(&text);
        Self {
            path,
            name,
            text,
            shown,
        }
    }

    /// Line and column, both from 1; columns count characters.
    pub(super) fn position(&self, at: usize) -> (usize, usize) {
        let before = self.before(at);
        let line_start = before.rfind('\n').map_or(0, |newline| newline + 1);
        let line = before.matches('\n').count() + 1;
        (line, before[line_start..].chars().count() + 1)
    }

    /// The whole line that a place stands in, without its end, to be shown.
    pub(super) fn line_at(&self, at: usize) -> &str {
        let start = self.before(at).rfind('\n').map_or(0, |newline| newline + 1);
        self.shown[start..].lines().next().unwrap_or_default()
    }

    /// The part of a range that stands in its first line.
    pub(super) fn first_line(&self, span: Span) -> Span {
        let text = self.text.get(span.start..span.end).unwrap_or_default();
        let length = text.find(['\n', '\r']).unwrap_or(text.len());
        Span {
            start: span.start,
            end: span.start + text[..length].trim_end().len(),
        }
    }

    pub(super) fn slice(&self, span: Span) -> &str {
        self.text.get(span.start..span.end).unwrap_or_default()
    }

    fn before(&self, at: usize) -> &str {
        let mut at = at.min(self.text.len());
        while !self.text.is_char_boundary(at) {
            at -= 1;
        }
        &self.text[..at]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_count_characters_and_both_counts_begin_at_one() {
        let source = Source::new(Path::new("x.yml"), "a: ä\nbé: c\n".to_owned());
        assert_eq!(source.position(0), (1, 1));
        let c = source.text.find('c').expect("a c");
        assert_eq!(source.position(c), (2, 5));
        assert_eq!(source.line_at(c), "bé: c");
        assert_eq!(source.position(10_000), (3, 1));
    }
}
