//! SQL as far as migrations need it: where each statement begins and ends,
//! whether it can run inside a transaction, which trace it leaves in the
//! catalogue, and a hash that comments and layout do not change.
//!
//! PostgreSQL goes through squawk's syntax tree; MySQL and SQLite through an
//! own lexer, because only their token rules matter here. Imports
//! `ports::Dialect` and `model::compat` only. Nothing here judges whether SQL is right: the server
//! does. Invariant: a statement's range always lies on the text as it is sent.

mod ansi;
mod batch;
mod cursor;
mod effect;
mod lexer;
mod mysql;
mod place;
mod postgres;
mod server;
mod sqlite;
mod trace;
mod weight;

use std::ops::Range;

use sha2::{Digest, Sha256};

use crate::ports::Dialect;

use super::hashing;
pub use batch::Batch;
pub use effect::{Effect, Hurt, Keeps, Key, On};
pub use place::Place;
pub use server::{Product, Server};
pub use trace::{Name, Trace};
pub use weight::{Weighed, Weight};

/// A file's SQL, taken apart.
#[derive(Debug, Clone)]
pub struct Script {
    pub dialect: Dialect,
    pub text: String,
    pub statements: Vec<Statement>,
    /// What can never run, such as a command of psql.
    pub problems: Vec<Problem>,
    /// Text that was not understood: the server decides, but statements after
    /// it may be cut wrongly.
    pub doubts: Vec<Problem>,
    tokens: Vec<Token>,
}

/// One statement, without its final semicolon.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Statement {
    /// Bytes of [`Script::text`].
    pub range: Range<usize>,
    pub standing: Standing,
    pub trace: Trace,
    tokens: Range<usize>,
}

/// How a statement stands to transactions.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Standing {
    /// Runs inside one.
    Inside,
    /// The server refuses it inside one, or commits behind its back.
    Outside(String),
    /// Begins one.
    Begins,
    /// Ends one.
    Ends,
}

/// How a file runs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Mode {
    /// One transaction with its row.
    Together,
    /// Statement by statement, with the reason.
    Apart(String),
    /// One statement, over and over, for this many rows of a table at a time.
    Batches(u64),
}

/// Something at a byte of the text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    pub at: usize,
    pub what: String,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum TokenKind {
    /// Keyword or bare name.
    Word,
    /// `"x"`, `` `x` ``, `[x]`.
    Quoted,
    /// A string literal of any kind.
    Text,
    /// Numbers, operators, brackets.
    Other,
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct Token {
    kind: TokenKind,
    range: Range<usize>,
}

/// What a dialect's reader found.
#[derive(Debug, Default)]
struct Reading {
    tokens: Vec<Token>,
    statements: Vec<Statement>,
    problems: Vec<Problem>,
    doubts: Vec<Problem>,
}

/// Takes a text apart.
#[must_use]
pub fn read(dialect: Dialect, text: &str) -> Script {
    let reading = match dialect {
        Dialect::Postgres => postgres::read(text),
        Dialect::Mysql => mysql::read(text),
        Dialect::Sqlite => sqlite::read(text),
    };
    Script {
        dialect,
        text: text.to_owned(),
        statements: reading.statements,
        problems: reading.problems,
        doubts: reading.doubts,
        tokens: reading.tokens,
    }
}

/// What a file's header may say about transactions.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Wish {
    Together,
    Apart,
}

impl Script {
    /// How the file runs.
    ///
    /// # Errors
    /// A transaction inside the transaction, or statements that cannot be told
    /// apart although they have to be.
    pub fn mode(&self, wish: Option<Wish>) -> Result<Mode, Problem> {
        let mode = match wish {
            Some(Wish::Apart) => Mode::Apart("the file says transaction=off".to_owned()),
            Some(Wish::Together) | None => {
                if let Some(statement) = self.control() {
                    let first = self.slice(statement).split_whitespace().next();
                    return Err(Problem {
                        at: statement.range.start,
                        what: format!(
                            "`{}` inside a migration, which runs in a transaction of its own: remove it, or write `-- stagecraft: transaction=off` at the top of the file",
                            first.unwrap_or_default()
                        ),
                    });
                }
                match (wish, self.outside()) {
                    (None, Some(reason)) => Mode::Apart(reason),
                    _ => Mode::Together,
                }
            }
        };
        match (&mode, self.doubts.first()) {
            (Mode::Apart(reason), Some(doubt)) => Err(Problem {
                at: doubt.at,
                what: format!(
                    "{}, and this file is sent statement by statement ({reason}): mend it, or, when the server does take it, move it into a file of its own",
                    doubt.what
                ),
            }),
            _ => Ok(mode),
        }
    }

    /// The text of a statement.
    #[must_use]
    pub fn slice(&self, statement: &Statement) -> &str {
        &self.text[statement.range.clone()]
    }

    /// What a statement does to older code.
    #[must_use]
    pub fn effects(&self, statement: &Statement) -> Vec<Effect> {
        effect::of(self.dialect, &self.words(statement))
    }

    /// What each statement weighs on a server that is in use.
    #[must_use]
    pub fn weights(&self, server: Server) -> Vec<Weighed> {
        weight::of(self, server)
    }

    /// A statement on one line and without comments; its texts are left out
    /// where one of them could be a password.
    #[must_use]
    pub fn one_line(&self, statement: &Statement) -> String {
        let words = self.words(statement);
        let private = private(&words);
        let mut line = String::new();
        let mut before = 0;
        for (index, token) in words.tokens.iter().enumerate() {
            if index > 0 && token.range.start > before {
                line.push(' ');
            }
            before = token.range.end;
            line += &match token.kind {
                TokenKind::Text if private => "'…'".to_owned(),
                TokenKind::Word | TokenKind::Quoted | TokenKind::Text | TokenKind::Other => {
                    let parts: Vec<&str> = words.raw(index).split_whitespace().collect();
                    parts.join(" ")
                }
            };
        }
        line
    }

    /// A statement as it stands; on one line where that hides a password.
    #[must_use]
    pub fn told(&self, statement: &Statement) -> String {
        match private(&self.words(statement)) {
            true => self.one_line(statement),
            false => self.slice(statement).to_owned(),
        }
    }

    /// The tokens, a line for what stands between two commas of the outermost
    /// brackets: one definition of a table, without comments and layout.
    #[must_use]
    pub fn outline(&self) -> Vec<String> {
        let mut lines = vec![];
        let mut line = String::new();
        let mut depth = 0;
        let mut before: Option<&Token> = None;
        for token in &self.tokens {
            let text = &self.text[token.range.clone()];
            let opens = text == "(" && depth == 0;
            let closes = text == ")" && depth == 1;
            depth += i32::from(text == "(") - i32::from(text == ")");
            if closes {
                lines.push(std::mem::take(&mut line));
            }
            // `<` and `>` are two tokens, and one operator.
            let glued = matches!(text, "," | ")")
                || line.ends_with('(')
                || before.is_some_and(|before| {
                    let operator = |token: &Token| {
                        let text = &self.text[token.range.clone()];
                        token.kind == TokenKind::Other && "<>=|!&+-*/%~".contains(text)
                    };
                    before.range.end == token.range.start && operator(before) && operator(token)
                });
            if !line.is_empty() && !glued {
                line.push(' ');
            }
            line.push_str(text);
            if opens || (text == "," && depth == 1) {
                lines.push(std::mem::take(&mut line));
            }
            before = Some(token);
        }
        lines.push(line);
        lines.retain(|line| !line.is_empty());
        lines
    }

    fn words(&self, statement: &Statement) -> ansi::Words<'_> {
        ansi::Words {
            text: &self.text,
            tokens: &self.tokens[statement.tokens.clone()],
        }
    }

    /// Where a byte stands.
    #[must_use]
    pub fn place(&self, at: usize) -> Place {
        Place::of(&self.text, at)
    }

    /// Everything, ready to be followed by another statement. MySQL's
    /// delimiters are its client's, so there the statements are joined anew.
    #[must_use]
    pub fn whole(&self) -> String {
        match self.dialect {
            Dialect::Mysql => {
                let parts: Vec<&str> = self.statements.iter().map(|s| self.slice(s)).collect();
                parts.join(";\n")
            }
            Dialect::Postgres | Dialect::Sqlite => {
                let end = self.statements.last().map_or(0, |last| last.range.end);
                let rest = &self.text[end..];
                if end == 0 || rest.trim_start().starts_with(';') {
                    format!("{}\n", self.text)
                } else {
                    // The missing semicolon goes before a closing comment.
                    format!("{};{rest}\n", &self.text[..end])
                }
            }
        }
    }

    /// Hash of all tokens: comments, white space and line endings aside.
    #[must_use]
    pub fn normalised(&self) -> String {
        self.prefix(self.statements.len())
    }

    /// Hash of the tokens of the first statements.
    #[must_use]
    pub fn prefix(&self, statements: usize) -> String {
        let end = match self.statements.get(statements) {
            Some(next) => next.tokens.start,
            None => self.tokens.len(),
        };
        let mut hash = Sha256::new();
        let mut starts = self.statements.iter().map(|s| s.tokens.start).peekable();
        for (index, token) in self.tokens[..end].iter().enumerate() {
            while starts.next_if(|start| *start <= index).is_some() {
                hash.update([0x1e]);
            }
            for line in self.text[token.range.clone()].split("\r\n") {
                hash.update(line.as_bytes());
                hash.update([b'\n']);
            }
            hash.update([0x1f]);
        }
        hashing::hex(&hash.finalize())
    }

    /// Without the `BEGIN` and `COMMIT` around everything else, where that is
    /// all it says of transactions. Every byte keeps its place.
    #[must_use]
    pub fn unwrapped(self) -> Self {
        let [first, inner @ .., last] = self.statements.as_slice() else {
            return self;
        };
        let plain = |statement: &Statement, words: &[&str]| {
            let said = self.words(statement);
            (0..said.len()).all(|at| words.contains(&said.word(at).as_str()))
        };
        let wrapped = first.standing == Standing::Begins
            && plain(first, &["BEGIN", "START", "TRANSACTION", "WORK"])
            && last.standing == Standing::Ends
            && plain(last, &["COMMIT", "END", "TRANSACTION", "WORK"])
            && inner.iter().all(|one| match one.standing {
                Standing::Inside => true,
                // MySQL commits there whatever stands around it.
                Standing::Outside(_) => self.dialect == Dialect::Mysql,
                Standing::Begins | Standing::Ends => false,
            });
        if !wrapped {
            return self;
        }
        let mut text = self.text.clone();
        for range in [&first.range, &last.range] {
            text.replace_range(range.clone(), &" ".repeat(range.len()));
        }
        read(self.dialect, &text)
    }

    /// Whether the text begins or ends transactions itself.
    #[must_use]
    pub fn has_transaction(&self) -> bool {
        self.control().is_some()
    }

    fn control(&self) -> Option<&Statement> {
        self.statements
            .iter()
            .find(|s| matches!(s.standing, Standing::Begins | Standing::Ends))
    }

    fn outside(&self) -> Option<String> {
        self.statements.iter().find_map(|s| match &s.standing {
            Standing::Outside(why) => {
                let line = self.place(s.range.start).line;
                Some(format!("line {line}: {why}"))
            }
            Standing::Inside | Standing::Begins | Standing::Ends => None,
        })
    }
}

/// One of its texts could be a password.
fn private(words: &ansi::Words<'_>) -> bool {
    ["PASSWORD", "IDENTIFIED", "CONNECTION", "OPTIONS"]
        .iter()
        .any(|word| words.has(&[word]))
}
