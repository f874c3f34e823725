//! The dotenv dialect, in which every byte of a value is kept.
//!
//! - `NAME=value`, optionally after `export`; blank lines and lines that begin
//!   with `#` are passed over.
//! - Unquoted: everything up to the end of the line, blanks and `#` included.
//! - `'…'`: everything between the quotes as it is, over several lines too.
//! - `"…"`: the same, with `\n`, `\r`, `\t`, `\"`, `\\`, `\$` and a backslash
//!   before the line's end (which joins the lines); any other backslash stays.
//! - After a closing quote only blanks and a comment may follow.
//! - Nothing is expanded: `$` is a `$`.
//! - A name that stands twice is refused.
//!
//! A line ends with `\n` or `\r\n`. A value itself is never in a message.

use std::path::Path;

use indexmap::IndexMap;

use crate::model::fault::Fault;
use crate::model::secret::Secret;

/// Reads the file that `env_file` names.
pub(super) async fn read(path: &Path) -> Result<IndexMap<String, Secret>, Fault> {
    let failed = || Fault::config(format!("cannot read the env_file `{}`", path.display()));
    let bytes = match tokio::fs::read(path).await {
        Ok(bytes) => bytes,
        Err(error) => {
            let fault = failed().caused_by(&error);
            return Err(fault.hint("create it, or change `env_file` in stagecraft.yml"));
        }
    };
    let text = String::from_utf8(bytes).map_err(|error| {
        let valid = &error.as_bytes()[..error.utf8_error().valid_up_to()];
        let line = valid.iter().filter(|byte| **byte == b'\n').count() + 1;
        failed().because(format!("line {line} is not UTF-8 text"))
    })?;
    parse(&text).map_err(|wrong| {
        failed()
            .because(wrong.to_string())
            .hint("a line is `NAME=value`; a value over several lines stands in quotes")
    })
}

/// What is wrong, and on which line.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("line {line}: {what}")]
pub(super) struct Wrong {
    line: usize,
    what: String,
}

pub(super) fn parse(text: &str) -> Result<IndexMap<String, Secret>, Wrong> {
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let mut values = IndexMap::new();
    let mut lines: IndexMap<String, usize> = IndexMap::new();
    let mut rest = text;
    while !rest.is_empty() {
        let line = text[..text.len() - rest.len()].matches('\n').count() + 1;
        let wrong = |what: String| Wrong { line, what };
        let (first, after) = split_line(rest);
        let statement = first.trim_start();
        if statement.is_empty() || statement.starts_with('#') {
            rest = after;
            continue;
        }
        let Some((left, _)) = first.split_once('=') else {
            return Err(wrong("there is no `=`".to_owned()));
        };
        let name = left.trim();
        let name = match name.split_once([' ', '\t']) {
            Some(("export", name)) => name.trim_start(),
            _ => name,
        };
        if !is_name(name) {
            return Err(wrong("this is not the name of a variable".to_owned()));
        }
        if let Some(before) = lines.insert(name.to_owned(), line) {
            return Err(wrong(format!("`{name}` stands on line {before} already")));
        }
        let value = &rest[left.len() + 1..];
        let (value, after) = match value.as_bytes().first() {
            Some(b'\'') => single_quoted(&value[1..]).map_err(wrong)?,
            Some(b'"') => double_quoted(&value[1..]).map_err(wrong)?,
            _ => {
                let (value, after) = split_line(value);
                (value.to_owned(), after)
            }
        };
        values.insert(name.to_owned(), Secret::new(value));
        rest = after;
    }
    Ok(values)
}

/// The first line without its end, and what follows.
fn split_line(text: &str) -> (&str, &str) {
    match text.split_once('\n') {
        Some((line, rest)) => (line.strip_suffix('\r').unwrap_or(line), rest),
        None => (text, ""),
    }
}

fn is_name(text: &str) -> bool {
    !text.is_empty()
        && !text.starts_with(|c: char| c.is_ascii_digit())
        && text
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || b"_.-".contains(&b))
}

fn single_quoted(text: &str) -> Result<(String, &str), String> {
    let Some((value, rest)) = text.split_once('\'') else {
        return Err("the quote is not closed".to_owned());
    };
    Ok((value.to_owned(), after_quote(rest)?))
}

fn double_quoted(text: &str) -> Result<(String, &str), String> {
    let mut value = String::new();
    let mut characters = text.char_indices();
    while let Some((at, character)) = characters.next() {
        match character {
            '"' => return Ok((value, after_quote(&text[at + 1..])?)),
            '\\' => match characters.next() {
                Some((_, 'n')) => value.push('\n'),
                Some((_, 'r')) => value.push('\r'),
                Some((_, 't')) => value.push('\t'),
                Some((_, '\n')) => {}
                Some((_, same @ ('"' | '\\' | '$'))) => value.push(same),
                Some((_, other)) => value.extend(['\\', other]),
                None => value.push('\\'),
            },
            other => value.push(other),
        }
    }
    Err("the quote is not closed".to_owned())
}

fn after_quote(text: &str) -> Result<&str, String> {
    let (line, rest) = split_line(text);
    let tail = line.trim_start();
    if tail.is_empty() || (tail.starts_with('#') && tail.len() < line.len()) {
        return Ok(rest);
    }
    Err("something follows the closing quote".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn value(text: &str) -> Result<String, String> {
        let values = parse(text).map_err(|wrong| wrong.to_string())?;
        let value = values.get("A").expect("A");
        Ok(value.reveal().to_owned())
    }

    #[test]
    fn every_byte_of_a_value_is_kept() {
        for (text, expected) in [
            ("A=plain", "plain"),
            ("A=", ""),
            ("A= a b # c \t", " a b # c \t"),
            ("A=x=y==", "x=y=="),
            ("A=$HOME ${X} `id`", "$HOME ${X} `id`"),
            ("A=a'b\"c", "a'b\"c"),
            ("A=ä€\u{1f600}", "ä€\u{1f600}"),
            ("A=\\n", "\\n"),
            ("export A=1", "1"),
            ("  export\tA=1\r\n", "1"),
            ("\u{feff}A=1\r\nB=2\r\n", "1"),
            ("A='raw \\n $X \" # '", "raw \\n $X \" # "),
            ("A='one\ntwo\r\n'\nB=1", "one\ntwo\r\n"),
            (r#"A="a\nb\t\"\\\$\q""#, "a\nb\t\"\\$\\q"),
            ("A=\"one\ntwo\\\nthree\" # said", "one\ntwothree"),
            ("A=''", ""),
            ("# x\n\nA=1\n  # y", "1"),
        ] {
            assert_eq!(value(text).as_deref(), Ok(expected), "{text:?}");
        }
    }

    #[test]
    fn what_is_wrong_is_named_with_its_line_and_without_a_value() {
        for (text, expected) in [
            ("\nhunter2", "line 2: there is no `=`"),
            ("A B=hunter2", "line 1: this is not the name of a variable"),
            ("=hunter2", "line 1: this is not the name of a variable"),
            ("A='hunter2", "line 1: the quote is not closed"),
            ("A=1\nB=\"hunter2\nC=1", "line 2: the quote is not closed"),
            (
                "A='a'hunter2",
                "line 1: something follows the closing quote",
            ),
            ("A=1\nA=hunter2", "line 2: `A` stands on line 1 already"),
        ] {
            assert_eq!(
                value(text).map_err(|e| e.clone()),
                Err(expected.to_owned()),
                "{text:?}"
            );
        }
    }
}
