//! `${NAME}` and `${NAME:-text}` in values, after parsing; nothing else.
//!
//! As in a shell, the text after `:-` stands in for a variable that is unset
//! or empty. `$${` is a literal `${`; every other `$` stays as it is. A value
//! that is one expansion takes the type of its key.

use std::ffi::OsString;
use std::ops::Range;

use super::problem::Findings;
use super::source::{Source, Span};
use super::tree::{Node, Scalar, Style, Value};

/// Where the values of variables come from: the process environment, outside
/// tests.
pub(super) type Variables<'a> = &'a dyn Fn(&str) -> Option<OsString>;

/// A part of a text.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Piece<'t> {
    Text(&'t str),
    Variable {
        name: &'t str,
        default: Option<&'t str>,
        range: Range<usize>,
    },
}

pub(super) fn pieces(text: &str) -> Vec<Piece<'_>> {
    let mut pieces = Vec::new();
    let mut plain = 0;
    let mut at = 0;
    while let Some(found) = text[at..].find('$') {
        at += found;
        let rest = &text[at..];
        if rest.starts_with("$${") {
            pieces.push(Piece::Text(&text[plain..at]));
            plain = at + 1;
            at += 3;
        } else if let Some((name, default, length)) = variable(rest) {
            pieces.push(Piece::Text(&text[plain..at]));
            pieces.push(Piece::Variable {
                name,
                default,
                range: at..at + length,
            });
            at += length;
            plain = at;
        } else {
            at += 1;
        }
    }
    pieces.push(Piece::Text(&text[plain..]));
    pieces.retain(|piece| *piece != Piece::Text(""));
    pieces
}

fn variable(text: &str) -> Option<(&str, Option<&str>, usize)> {
    let inner = text.strip_prefix("${")?;
    let inner = &inner[..inner.find('}')?];
    let (name, default) = match inner.split_once(":-") {
        Some((name, default)) => (name, Some(default)),
        None => (inner, None),
    };
    is_name(name).then_some((name, default, "${}".len() + inner.len()))
}

/// What a shell would accept as a variable's name.
pub(super) fn is_name(text: &str) -> bool {
    let mut bytes = text.bytes();
    bytes
        .next()
        .is_some_and(|b| b.is_ascii_alphabetic() || b == b'_')
        && bytes.all(|b| b.is_ascii_alphanumeric() || b == b'_')
}

/// Whether expanding would change the text.
pub(super) fn expands(text: &str) -> bool {
    text.contains("${")
        && (text.contains("$${")
            || pieces(text)
                .iter()
                .any(|piece| matches!(piece, Piece::Variable { .. })))
}

/// Expands one text with today's process environment: what a record keeps as
/// written becomes a value again.
///
/// # Errors
/// Says which variable is not set.
pub fn expand_text(text: &str) -> Result<String, String> {
    let mut expanded = String::new();
    for piece in pieces(text) {
        match piece {
            Piece::Text(literal) => expanded.push_str(literal),
            Piece::Variable { name, default, .. } => match (std::env::var(name), default) {
                (Ok(value), None) => expanded.push_str(&value),
                (Ok(value), Some(_)) if !value.is_empty() => expanded.push_str(&value),
                (_, Some(default)) => expanded.push_str(default),
                (Err(_), None) => {
                    return Err(format!(
                        "the variable `{name}` is not set, or holds no UTF-8 text"
                    ));
                }
            },
        }
    }
    Ok(expanded)
}

/// Expands every value of a tree, and reports variables that are not set.
pub(super) fn expand(
    node: &mut Node,
    source: &Source,
    variables: Variables<'_>,
    found: &mut Findings,
) {
    let span = node.span;
    match &mut node.value {
        Value::Scalar(scalar) => expand_scalar(scalar, span, source, variables, found),
        Value::List(items) => {
            for item in items {
                expand(item, source, variables, found);
            }
        }
        Value::Map(entries) => {
            for entry in entries {
                expand(&mut entry.value, source, variables, found);
            }
        }
    }
}

fn expand_scalar(
    scalar: &mut Scalar,
    span: Span,
    source: &Source,
    variables: Variables<'_>,
    found: &mut Findings,
) {
    if !scalar.text.contains("${") {
        return;
    }
    let before = found.errors.len();
    let pieces = pieces(&scalar.text);
    let mut text = String::new();
    let mut whole = false;
    for piece in &pieces {
        match piece {
            Piece::Text(literal) => text.push_str(literal),
            Piece::Variable {
                name,
                default,
                range,
            } => {
                whole = range.len() == scalar.text.len();
                let place = exact_place(source, span, &scalar.text[range.clone()]);
                match (variables(name).map(OsString::into_string), default) {
                    (Some(Ok(value)), None) => text.push_str(&value),
                    (Some(Ok(value)), Some(_)) if !value.is_empty() => text.push_str(&value),
                    (None | Some(Ok(_)), Some(default)) => text.push_str(default),
                    (None, None) => {
                        found
                            .error(place, format!("the variable `{name}` is not set"))
                            .help(format!(
                                "set it in the environment of this command, or write `${{{name}:-text}}`; `env_file` is not asked here"
                            ));
                    }
                    (Some(Err(_)), _) => {
                        found.error(
                            place,
                            format!("the variable `{name}` does not hold UTF-8 text"),
                        );
                    }
                }
            }
        }
    }
    if found.errors.len() > before {
        scalar.style = Style::Unset;
    } else if text != scalar.text || whole {
        let written = std::mem::replace(&mut scalar.text, text);
        scalar.written = Some(written);
        scalar.style = if whole {
            Style::Expanded
        } else {
            Style::Quoted
        };
    }
}

/// Where in the source an expansion stands, when quoting left it as it was.
fn exact_place(source: &Source, span: Span, expansion: &str) -> Span {
    match source.slice(span).find(expansion) {
        Some(offset) => Span {
            start: span.start + offset,
            end: span.start + offset + expansion.len(),
        },
        None => source.first_line(span),
    }
}

/// Reports texts that look like expansions and are none: they stay as written,
/// which is seldom what was meant.
pub(super) fn warn_about_near_misses(node: &Node, found: &mut Findings) {
    match &node.value {
        Value::Scalar(scalar) => {
            let odd = pieces(&scalar.text).iter().any(|piece| match piece {
                // A literal `${` that was asked for begins its own piece.
                Piece::Text(text) => text.get(1..).is_some_and(|rest| rest.contains("${")),
                Piece::Variable { .. } => false,
            }) || (scalar.text.starts_with("${") && variable(&scalar.text).is_none());
            if odd {
                found
                    .warning(node.at, "this is not an expansion and stays as it is")
                    .help("expansions are `${NAME}` and `${NAME:-text}`; a literal `${` is written `$${`");
            }
        }
        Value::List(items) => items
            .iter()
            .for_each(|item| warn_about_near_misses(item, found)),
        Value::Map(entries) => entries
            .iter()
            .for_each(|entry| warn_about_near_misses(&entry.value, found)),
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    fn expanded(text: &str) -> (String, Vec<String>) {
        let mut node = Node {
            span: Span::default(),
            at: Span::default(),
            value: Value::Scalar(Scalar {
                text: text.to_owned(),
                style: Style::Plain,
                written: None,
            }),
        };
        let source = Source::new(Path::new("x.yml"), text.to_owned());
        let mut found = Findings::default();
        let variables = |name: &str| match name {
            "A" => Some(OsString::from("one")),
            "EMPTY" => Some(OsString::new()),
            "NESTED" => Some(OsString::from("${A}")),
            _ => None,
        };
        expand(&mut node, &source, &variables, &mut found);
        let Value::Scalar(scalar) = node.value else {
            panic!("a scalar stays one")
        };
        let messages = found.errors.into_iter().map(|finding| finding.message);
        (scalar.text, messages.collect())
    }

    #[test]
    fn only_braced_names_are_expanded_and_every_other_dollar_stays() {
        for (text, result) in [
            ("${A}", "one"),
            ("x-${A}-y", "x-one-y"),
            ("$A $$A $5 pa$word$", "$A $$A $5 pa$word$"),
            ("$${A}", "${A}"),
            ("$$${A}", "$${A}"),
            ("$${A} ${A}", "${A} one"),
            ("${UNSET:-text}", "text"),
            ("${UNSET:-}", ""),
            ("${UNSET:-a:-b $x}", "a:-b $x"),
            ("${EMPTY:-text}", "text"),
            ("${EMPTY}", ""),
            ("${A:?x} ${a b} ${", "${A:?x} ${a b} ${"),
            ("${NESTED}", "${A}"),
            ("ä${A}ö", "äoneö"),
        ] {
            assert_eq!(expanded(text), (result.to_owned(), vec![]), "{text}");
        }
    }

    #[test]
    fn a_variable_that_is_not_set_is_named() {
        let (_, messages) = expanded("${B} and ${C}");
        assert_eq!(
            messages,
            ["the variable `B` is not set", "the variable `C` is not set"]
        );
    }
}
