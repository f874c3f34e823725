//! Lines and columns of a text. Imports nothing of this crate.

use std::fmt;

/// 1-based; columns count characters.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Place {
    pub line: usize,
    pub column: usize,
}

impl Place {
    #[must_use]
    pub fn of(text: &str, at: usize) -> Self {
        let mut at = at.min(text.len());
        while !text.is_char_boundary(at) {
            at -= 1;
        }
        let before = &text[..at];
        let start = before.rfind('\n').map_or(0, |newline| newline + 1);
        Self {
            line: before.matches('\n').count() + 1,
            column: before[start..].chars().count() + 1,
        }
    }

    /// The byte at which the n-th character (0-based) begins.
    #[must_use]
    pub fn byte_of(text: &str, characters: usize) -> usize {
        text.char_indices()
            .nth(characters)
            .map_or(text.len(), |(byte, _)| byte)
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.line, self.column)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_count_characters_not_bytes() {
        let text = "a\nübér x";
        let at = text.find('x').expect("there");
        assert_eq!(Place::of(text, at).to_string(), "2:6");
        assert_eq!(Place::byte_of(text, 7), at);
    }
}
