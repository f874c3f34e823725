//! PostgreSQL's statements inside others: the body of `DO`, and of functions
//! that the same file makes and calls. A function that is only made weighs
//! nothing now.

use squawk_syntax::SourceFile;
use squawk_syntax::ast::{self, AstNode};

use crate::model::risk::Level;
use crate::ports::Dialect;

use super::super::ansi::Words;
use super::super::cursor::Cursor;
use super::super::{TokenKind, postgres};
use super::{Scales, Weighed, Weight};

/// Functions that call each other end here.
const DEEPEST: usize = 4;

/// `DO $$ … $$`.
pub(super) fn of(scales: Scales<'_>, words: &Words<'_>) -> Weighed {
    match (words.tokens.first(), words.tokens.last()) {
        (Some(first), Some(last)) => block(scales, &words.text[first.range.start..last.range.end]),
        _ => Weighed::default(),
    }
}

fn block(scales: Scales<'_>, text: &str) -> Weighed {
    if scales.depth >= DEEPEST {
        return Weighed::default();
    }
    let parse = SourceFile::parse(text);
    let found = parse.tree().syntax().descendants().find_map(ast::Do::cast);
    let Some(body) = found.and_then(|block| block.plpgsql()) else {
        return unreadable("runs a block in a language that is not read");
    };
    if !body.errors().is_empty() {
        return unreadable("runs a block whose syntax is not understood");
    }
    let statements = body
        .syntax()
        .descendants()
        .filter_map(ast::PlpgsqlStmt::cast);
    statements.fold(Weighed::default(), |sum, statement| {
        sum.and(inner(scales, &statement))
    })
}

fn inner(scales: Scales<'_>, statement: &ast::PlpgsqlStmt) -> Weighed {
    use ast::PlpgsqlStmt as Stmt;
    match statement {
        Stmt::PlpgsqlExecSqlStmt(sql) => nested(scales, &sql.syntax().text().to_string()),
        Stmt::PlpgsqlDynExecuteStmt(execute) => {
            match literal(&execute.syntax().text().to_string()) {
                Some(sql) => nested(scales, &sql),
                None => unreadable("builds a statement while it runs (`EXECUTE` in a block)"),
            }
        }
        Stmt::PlpgsqlPerformStmt(perform) => nested(scales, &perform.syntax().text().to_string()),
        Stmt::PlpgsqlCallStmt(call) => nested(scales, &call.syntax().text().to_string()),
        // Others hold statements that are met by themselves, read, or touch
        // variables alone.
        _ => Weighed::default(),
    }
}

/// What `EXECUTE '…'` runs where it is written out.
fn literal(text: &str) -> Option<String> {
    let text = text.trim().trim_end_matches(';').trim_end();
    let rest = text.get("EXECUTE".len()..)?.trim_start();
    let inner = rest.strip_prefix('\'')?.strip_suffix('\'')?;
    let plain = inner.replace("''", "");
    (!plain.contains('\'')).then(|| inner.replace("''", "'"))
}

fn nested(scales: Scales<'_>, text: &str) -> Weighed {
    if scales.depth >= DEEPEST {
        return Weighed::default();
    }
    let reading = postgres::read(text);
    let deeper = Scales {
        depth: scales.depth + 1,
        ..scales
    };
    let statements = reading.statements.iter().map(|statement| {
        let words = Words {
            text,
            tokens: &reading.tokens[statement.tokens.clone()],
        };
        super::one(Dialect::Postgres, deeper, &words)
    });
    // `PERFORM f()` is none of SQL's own: its words are looked at as they are.
    if reading.statements.is_empty() {
        let words = Words {
            text,
            tokens: &reading.tokens,
        };
        return called(deeper, &words);
    }
    statements.fold(Weighed::default(), Weighed::and)
}

/// Functions of the same file that a statement calls.
pub(super) fn called(scales: Scales<'_>, words: &Words<'_>) -> Weighed {
    if scales.routines.is_empty() || scales.depth >= DEEPEST {
        return Weighed::default();
    }
    let deeper = Scales {
        depth: scales.depth + 1,
        ..scales
    };
    let calls = (0..words.len()).filter(|at| words.raw(at + 1) == "(");
    let bodies = calls.filter_map(|at| {
        let name = Cursor::new(words, at).part()?;
        scales.routines.get(&name)
    });
    bodies.fold(Weighed::default(), |sum, body| {
        sum.and(match body.strip_prefix("DO ") {
            Some(_) => block(deeper, body),
            None => nested(deeper, body),
        })
    })
}

/// A function that is made, by its name without schema, and its body: a block
/// as `DO` has it, or statements.
pub(super) fn routine(words: &Words<'_>) -> Option<(String, String)> {
    let mut cursor = Cursor::new(words, 0);
    if !cursor.skip(&["CREATE"]) {
        return None;
    }
    cursor.skip(&["OR", "REPLACE"]);
    if !cursor.skip(&["FUNCTION"]) && !cursor.skip(&["PROCEDURE"]) {
        return None;
    }
    let name = cursor.name()?;
    let name = name.rsplit('.').next().unwrap_or_default().to_owned();
    let language = cursor.find(&["LANGUAGE"]).map(|at| words.raw(at + 1))?;
    let body = (cursor.at..words.len()).find(|at| {
        words.word(at.saturating_sub(1)) == "AS" && words.tokens[*at].kind == TokenKind::Text
    })?;
    let body = words.raw(body);
    match language
        .trim_matches(['\'', '"'])
        .to_ascii_lowercase()
        .as_str()
    {
        "plpgsql" => Some((name, format!("DO {body}"))),
        "sql" => Some((name, unquoted(body)?)),
        _ => None,
    }
}

fn unquoted(text: &str) -> Option<String> {
    if let Some(inner) = text.strip_prefix('\'') {
        return Some(inner.strip_suffix('\'')?.replace("''", "'"));
    }
    let tag = text.get(..text[1..].find('$')? + 2)?;
    let inner = text.strip_prefix(tag)?.strip_suffix(tag)?;
    Some(inner.to_owned())
}

fn unreadable(why: &str) -> Weighed {
    Weighed::of(
        Weight::new(
            "unreadable-statement",
            format!("{why}: what it locks cannot be told"),
        )
        .level(Level::Medium)
        .help("write the statement out, or try it on a copy"),
    )
}
