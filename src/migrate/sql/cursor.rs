//! Reading along the words of a statement. Imports nothing of this crate.

use std::ops::Range;

use super::TokenKind;
use super::ansi::Words;

#[derive(Clone, Copy)]
pub(super) struct Cursor<'a> {
    pub(super) words: &'a Words<'a>,
    pub(super) at: usize,
    pub(super) end: usize,
}

impl<'a> Cursor<'a> {
    pub(super) fn new(words: &'a Words<'a>, at: usize) -> Self {
        Self {
            words,
            at,
            end: words.len(),
        }
    }

    /// The bare word here, in capitals.
    pub(super) fn word(&self) -> String {
        self.ahead(0)
    }

    pub(super) fn ahead(&self, count: usize) -> String {
        match self.at + count < self.end {
            true => self.words.word(self.at + count),
            false => String::new(),
        }
    }

    pub(super) fn raw(&self) -> &'a str {
        match self.at < self.end {
            true => self.words.raw(self.at),
            false => "",
        }
    }

    pub(super) fn over(&self) -> bool {
        self.at >= self.end
    }

    pub(super) fn skip(&mut self, words: &[&str]) -> bool {
        let found = self.at + words.len() <= self.end && self.words.at(self.at, words);
        if found {
            self.at += words.len();
        }
        found
    }

    pub(super) fn skip_any(&mut self, words: &[&str]) {
        while words.iter().any(|word| self.word() == *word) {
            self.at += 1;
        }
    }

    /// `IF EXISTS` or `IF NOT EXISTS`.
    pub(super) fn skip_if(&mut self) -> bool {
        self.skip(&["IF", "EXISTS"]) || self.skip(&["IF", "NOT", "EXISTS"])
    }

    /// One name without what it belongs to, as the server keeps it.
    pub(super) fn part(&mut self) -> Option<String> {
        if self.over() {
            return None;
        }
        let token = self.words.tokens.get(self.at)?;
        let text = self.words.raw(self.at);
        let part = match token.kind {
            TokenKind::Word => text.to_ascii_lowercase(),
            TokenKind::Quoted => text.trim_matches(['"', '`', '[', ']']).to_owned(),
            TokenKind::Text | TokenKind::Other => return None,
        };
        self.at += 1;
        Some(part)
    }

    /// A name with its schema; the usual schema goes without saying.
    pub(super) fn name(&mut self) -> Option<String> {
        let mut name = self.part()?;
        while self.raw() == "." {
            self.at += 1;
            name = format!("{name}.{}", self.part()?);
        }
        Some(match name.strip_prefix("public.") {
            Some(rest) => rest.to_owned(),
            None => name,
        })
    }

    /// Names with commas between.
    pub(super) fn names(&mut self) -> Vec<String> {
        let mut names = vec![];
        while let Some(name) = self.name() {
            names.push(name);
            if self.raw() == "*" {
                self.at += 1;
            }
            if self.raw() != "," {
                break;
            }
            self.at += 1;
            self.skip(&["ONLY"]);
        }
        names
    }

    /// What stands between commas that are in no brackets, up to the end or
    /// the bracket that closes.
    pub(super) fn list(&self) -> Vec<Cursor<'a>> {
        let mut depth = 0_usize;
        let mut start = self.at;
        let mut parts = vec![];
        let mut end = self.end;
        for at in self.at..self.end {
            match self.words.raw(at) {
                "(" => depth += 1,
                ")" if depth == 0 => {
                    end = at;
                    break;
                }
                ")" => depth -= 1,
                "," if depth == 0 => {
                    parts.push(self.over_range(start..at));
                    start = at + 1;
                }
                _ => {}
            }
        }
        if start < end {
            parts.push(self.over_range(start..end));
        }
        parts
    }

    /// What stands in the brackets that open here; goes on behind them.
    pub(super) fn brackets(&mut self) -> Option<Cursor<'a>> {
        if self.raw() != "(" {
            return None;
        }
        let start = self.at + 1;
        let mut depth = 0_usize;
        while !self.over() {
            match self.raw() {
                "(" => depth += 1,
                ")" => depth -= 1,
                _ => {}
            }
            self.at += 1;
            if depth == 0 {
                return Some(self.over_range(start..self.at - 1));
            }
        }
        Some(self.over_range(start..self.end))
    }

    /// Where these words stand outside brackets, from here on.
    pub(super) fn find(&self, words: &[&str]) -> Option<usize> {
        let mut depth = 0_usize;
        for at in self.at..self.end {
            match self.words.raw(at) {
                "(" => depth += 1,
                ")" => depth = depth.saturating_sub(1),
                _ if depth == 0 && at + words.len() <= self.end && self.words.at(at, words) => {
                    return Some(at);
                }
                _ => {}
            }
        }
        None
    }

    pub(super) fn has(&self, words: &[&str]) -> bool {
        self.find(words).is_some()
    }

    pub(super) fn over_range(&self, range: Range<usize>) -> Cursor<'a> {
        Cursor {
            words: self.words,
            at: range.start,
            end: range.end,
        }
    }
}
