//! Tokens of MySQL and SQLite: only as much as is needed to see where strings,
//! names and comments end. Imports nothing of this crate.

use std::ops::Range;

use super::{Problem, Token, TokenKind};

/// What the two dialects do differently.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Flavour {
    /// Backslash escapes, `#` comments, `-- ` with a blank, `/*! code */`.
    Mysql,
    /// `[name]`, `--` without a blank, no escapes.
    Sqlite,
}

pub(super) struct Lexer<'a> {
    text: &'a str,
    flavour: Flavour,
    pub(super) at: usize,
    pub(super) problems: Vec<Problem>,
}

impl<'a> Lexer<'a> {
    pub(super) fn new(text: &'a str, flavour: Flavour) -> Self {
        Self {
            text,
            flavour,
            at: 0,
            problems: vec![],
        }
    }

    pub(super) fn rest(&self) -> &'a str {
        &self.text[self.at..]
    }

    /// Skips white space and comments.
    pub(super) fn skip_blank(&mut self) {
        loop {
            let rest = self.rest();
            let blank = rest.len() - rest.trim_start().len();
            let comment = self.comment(&rest[blank..]);
            if blank + comment == 0 {
                return;
            }
            self.at += blank + comment;
        }
    }

    /// The next token; white space and comments must have been skipped.
    pub(super) fn token(&mut self) -> Option<Token> {
        let rest = self.rest();
        let first = rest.chars().next()?;
        let start = self.at;
        let (kind, length) = match first {
            '\'' => (TokenKind::Text, self.quoted(rest, '\'')),
            // A string in MySQL unless ANSI_QUOTES, a name in SQLite.
            '"' if self.flavour == Flavour::Mysql => (TokenKind::Text, self.quoted(rest, '"')),
            '"' | '`' => (TokenKind::Quoted, self.quoted(rest, first)),
            '[' if self.flavour == Flavour::Sqlite => {
                (TokenKind::Quoted, self.until(rest, "]", "`[`"))
            }
            // Executable comment: code, kept whole.
            '/' if executable(rest) => (TokenKind::Other, self.until(rest, "*/", "`/*!`")),
            c if word_start(c) => (TokenKind::Word, word(rest)),
            c if c.is_ascii_digit() => (TokenKind::Other, word(rest)),
            c => (TokenKind::Other, c.len_utf8()),
        };
        self.at += length;
        Some(Token {
            kind,
            range: start..self.at,
        })
    }

    /// Length of the comment that `rest` begins with, or 0.
    fn comment(&mut self, rest: &str) -> usize {
        let line = |text: &str| text.find('\n').unwrap_or(text.len());
        let dashes = match self.flavour {
            Flavour::Mysql => {
                rest.strip_prefix("--")
                    .is_some_and(|after| after.is_empty() || after.starts_with(char::is_whitespace))
                    || rest.starts_with('#')
            }
            Flavour::Sqlite => rest.starts_with("--"),
        };
        if dashes {
            line(rest)
        } else if rest.starts_with("/*") && !(self.flavour == Flavour::Mysql && executable(rest)) {
            self.until(rest, "*/", "`/*`")
        } else {
            0
        }
    }

    /// Length of a quoted run; the quote doubles, and MySQL's strings escape.
    fn quoted(&mut self, rest: &str, quote: char) -> usize {
        let escapes = self.flavour == Flavour::Mysql && quote != '`';
        let mut chars = rest.char_indices().skip(1).peekable();
        while let Some((index, c)) = chars.next() {
            if c == '\\' && escapes {
                chars.next();
            } else if c == quote && chars.next_if(|(_, next)| *next == quote).is_none() {
                return index + quote.len_utf8();
            }
        }
        self.unterminated(&format!("`{quote}`"));
        rest.len()
    }

    fn until(&mut self, rest: &str, end: &str, opened: &str) -> usize {
        match rest.find(end) {
            Some(index) => index + end.len(),
            None => {
                self.unterminated(opened);
                rest.len()
            }
        }
    }

    fn unterminated(&mut self, opened: &str) {
        self.problems.push(Problem {
            at: self.at,
            what: format!("{opened} is never closed"),
        });
    }
}

fn executable(rest: &str) -> bool {
    rest.starts_with("/*!") || rest.starts_with("/*M!")
}

fn word_start(c: char) -> bool {
    c.is_alphabetic() || c == '_' || c == '@' || c == '$' || !c.is_ascii()
}

fn word(rest: &str) -> usize {
    rest.find(|c: char| !(c.is_alphanumeric() || matches!(c, '_' | '$' | '@') || !c.is_ascii()))
        .unwrap_or(rest.len())
}

/// The word inside `/*!40101 SET … */` that says what it does.
pub(super) fn inner_word(text: &str) -> Option<(Range<usize>, &str)> {
    if !executable(text) {
        return None;
    }
    let start = text.find(|c: char| c.is_alphabetic() && c != 'M')?;
    let length = word(&text[start..]);
    Some((start..start + length, &text[start..start + length]))
}
