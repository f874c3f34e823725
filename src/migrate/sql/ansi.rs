//! Cuts the text of MySQL and SQLite into statements: at the delimiter, but
//! not inside the body of a trigger or routine. Imports nothing of this crate.

use super::lexer::{Flavour, Lexer};
use super::{Problem, Reading, Standing, Statement, Token, TokenKind, Trace};

/// A statement's tokens with their text, for classification.
pub(super) struct Words<'a> {
    pub(super) text: &'a str,
    pub(super) tokens: &'a [Token],
}

impl<'a> Words<'a> {
    pub(super) fn raw(&self, index: usize) -> &'a str {
        self.tokens
            .get(index)
            .map_or("", |token| &self.text[token.range.clone()])
    }

    /// The bare word at a position, in capitals; empty for anything else.
    pub(super) fn word(&self, index: usize) -> String {
        match self.tokens.get(index) {
            Some(token) if token.kind == TokenKind::Word => self.raw(index).to_ascii_uppercase(),
            _ => String::new(),
        }
    }

    pub(super) fn len(&self) -> usize {
        self.tokens.len()
    }

    /// Whether these bare words stand next to each other somewhere.
    pub(super) fn has(&self, words: &[&str]) -> bool {
        (0..self.len()).any(|at| self.at(at, words))
    }

    /// Whether these bare words stand at a position.
    pub(super) fn at(&self, at: usize, words: &[&str]) -> bool {
        words
            .iter()
            .enumerate()
            .all(|(index, word)| self.word(at + index) == *word)
    }
}

/// What a dialect says of one statement.
pub(super) type Judge = fn(&Words<'_>) -> (Standing, Trace);

pub(super) fn read(text: &str, flavour: Flavour, judge: Judge) -> Reading {
    let mut lexer = Lexer::new(text, flavour);
    let mut reading = Reading::default();
    let mut delimiter = ";".to_owned();
    loop {
        lexer.skip_blank();
        if lexer.rest().is_empty() {
            break;
        }
        if flavour == Flavour::Mysql
            && let Some(line) = directive(lexer.rest())
        {
            delimiter = line.delimiter;
            lexer.at += line.length;
            continue;
        }
        if let Some(line) = client_command(lexer.rest(), flavour) {
            let client = match flavour {
                Flavour::Mysql => "the mysql client",
                Flavour::Sqlite => "the sqlite3 shell",
            };
            reading.problems.push(Problem {
                at: lexer.at,
                what: format!("`{}` is a command of {client}, not SQL", line.trim_end()),
            });
            lexer.at += line.len();
            continue;
        }
        if lexer.rest().starts_with(&delimiter) {
            lexer.at += delimiter.len();
            continue;
        }
        statement(&mut lexer, &mut reading, &delimiter, text, judge);
    }
    reading.problems.append(&mut lexer.problems);
    reading
}

struct Directive {
    delimiter: String,
    length: usize,
}

/// `DELIMITER //`, alone on its line.
fn directive(rest: &str) -> Option<Directive> {
    let line = rest.lines().next()?;
    let (word, delimiter) = line.split_once(char::is_whitespace)?;
    let delimiter = delimiter.trim();
    (word.eq_ignore_ascii_case("delimiter") && !delimiter.is_empty()).then(|| Directive {
        delimiter: delimiter.to_owned(),
        length: line.len(),
    })
}

/// A line that a client would have run itself: `source more.sql`, `.read`.
fn client_command(rest: &str, flavour: Flavour) -> Option<&str> {
    let line = rest.lines().next()?;
    let first = line.split_whitespace().next()?;
    let its_own = match flavour {
        Flavour::Mysql => first.starts_with('\\') || first.eq_ignore_ascii_case("source"),
        Flavour::Sqlite => first.starts_with('.'),
    };
    its_own.then_some(line)
}

fn statement(
    lexer: &mut Lexer<'_>,
    reading: &mut Reading,
    delimiter: &str,
    text: &str,
    judge: Judge,
) {
    let first = reading.tokens.len();
    let start = lexer.at;
    let mut end = start;
    let mut body = Body::default();
    loop {
        lexer.skip_blank();
        let over = lexer.rest().starts_with(delimiter);
        if lexer.rest().is_empty() || (over && (delimiter != ";" || body.depth == 0)) {
            break;
        }
        let Some(token) = lexer.token() else { break };
        end = token.range.end;
        if token.kind == TokenKind::Word {
            body.word(&text[token.range.clone()].to_ascii_uppercase());
        }
        reading.tokens.push(token);
    }
    let tokens = first..reading.tokens.len();
    let (standing, trace) = judge(&Words {
        text,
        tokens: &reading.tokens[tokens.clone()],
    });
    reading.statements.push(Statement {
        range: start..end,
        standing,
        trace,
        tokens,
    });
}

/// How deep in the body of a trigger or routine the reader is.
#[derive(Default)]
struct Body {
    words: usize,
    object: Object,
    depth: usize,
    ended: bool,
}

/// What the statement creates.
#[derive(Default, PartialEq, Eq)]
enum Object {
    #[default]
    Unknown,
    /// Has a body with statements of its own.
    Routine,
    Plain,
}

impl Body {
    fn word(&mut self, word: &str) {
        self.words += 1;
        if self.object == Object::Unknown {
            self.object = object(self.words, word);
        }
        if self.object != Object::Routine {
            return;
        }
        let after_end = std::mem::replace(&mut self.ended, word == "END");
        match word {
            "BEGIN" => self.depth += 1,
            // `END CASE` closes what `CASE` opened; its END did it already.
            "CASE" if !after_end => self.depth += 1,
            "END" => self.depth = self.depth.saturating_sub(1),
            // `END IF`, `END LOOP` close what never counted as opened.
            "IF" | "LOOP" | "WHILE" | "REPEAT" | "FOR" if after_end => self.depth += 1,
            _ => {}
        }
    }
}

/// The first word that names a kind decides; `DEFINER = x@y` and the like may
/// stand before it.
fn object(count: usize, word: &str) -> Object {
    match word {
        "CREATE" if count == 1 => Object::Unknown,
        _ if count == 1 => Object::Plain,
        "TRIGGER" | "PROCEDURE" | "FUNCTION" | "EVENT" | "PACKAGE" => Object::Routine,
        "TABLE" | "INDEX" | "VIEW" | "DATABASE" | "SCHEMA" | "USER" | "ROLE" | "SEQUENCE"
        | "SERVER" => Object::Plain,
        _ => Object::Unknown,
    }
}
