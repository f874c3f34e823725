//! From YAML's events to the tree. Duplicate keys, tags, a second document and
//! aliases that grow without bound are found here, where their place is known.
//!
//! Invariant: any bytes end in a tree or in findings, never in a panic, and a
//! small file cannot become a large tree.

use std::collections::HashMap;

use granit_parser::{Event, Parser, ScalarStyle, Span as EventSpan};

use super::problem::Findings;
use super::source::{Source, Span};
use super::tree::{Entry, Node, Scalar, Style, Value};

/// Far above any real file; a bound for aliases of aliases.
const LARGEST_TREE: usize = 50_000;

/// `None`: nothing that could be read further; the findings say why.
pub(super) fn parse(source: &Source, found: &mut Findings) -> Option<Node> {
    let mut builder = Builder {
        source,
        found,
        events: Parser::new_from_str(&source.text),
        anchors: HashMap::new(),
        nodes: 0,
        last: 0,
    };
    let root = builder.document();
    let root = root.ok()?;
    if root.is_none() && builder.found.errors.is_empty() {
        let start = Span::default();
        builder.found.error(start, "the file is empty").help(
            "`stagecraft init` writes a first one; `version`, `project`, `roles` and `environments` are needed",
        );
    }
    root
}

/// The document cannot be read further, and a finding says why.
struct Stop;

struct Builder<'a> {
    source: &'a Source,
    found: &'a mut Findings,
    events: Parser<'a, granit_parser::StrInput<'a>>,
    anchors: HashMap<usize, Node>,
    nodes: usize,
    /// Where the last event ended.
    last: usize,
}

impl<'a> Builder<'a> {
    fn document(&mut self) -> Result<Option<Node>, Stop> {
        let mut root = None;
        while let Some((event, span)) = self.next()? {
            match event {
                Event::StreamStart | Event::DocumentStart(..) | Event::DocumentEnd => {}
                Event::StreamEnd => break,
                _ if root.is_some() => {
                    self.found.error(
                        self.source.first_line(span),
                        "a second document begins here; the file is one document",
                    );
                    return Ok(root);
                }
                event => root = Some(self.node(event, span)?),
            }
        }
        Ok(root)
    }

    fn next(&mut self) -> Result<Option<(Event<'a>, Span)>, Stop> {
        loop {
            match self.events.next() {
                None => return Ok(None),
                Some(Ok((Event::Comment(..) | Event::Anchor(..), _))) => {}
                Some(Ok((event, span))) => {
                    let span = self.bytes(span);
                    self.last = self.last.max(span.start);
                    return Ok(Some((event, span)));
                }
                Some(Err(error)) => {
                    let at = error.marker().byte_offset().unwrap_or(self.last);
                    let at = at.min(self.source.text.len());
                    let span = self.source.first_line(Span {
                        start: at,
                        end: at + 1,
                    });
                    let message = format!("not valid YAML: {}", error.info());
                    let finding = self.found.error(span, message);
                    let line = self.source.line_at(at);
                    if line.trim_start_matches(' ').starts_with('\t') {
                        finding.help("YAML indents with spaces, never with tabs");
                    } else if line.contains("${") {
                        finding.help(
                            "inside `{ }` and `[ ]` an expansion stands in quotes: `\"${NAME}\"`",
                        );
                    }
                    return Err(Stop);
                }
            }
        }
    }

    fn bytes(&self, span: EventSpan) -> Span {
        let range = span.byte_range().unwrap_or(self.last..self.last);
        let limit = self.source.text.len();
        Span {
            start: range.start.min(limit),
            end: range.end.clamp(range.start, limit.max(range.start)),
        }
    }

    fn node(&mut self, event: Event<'a>, span: Span) -> Result<Node, Stop> {
        self.count(1, span)?;
        let anchor = event.anchor_id();
        let tag = event.tag().map(|tag| {
            let text = tag.is_yaml_core_schema_tag("str");
            (text, tag.is_custom(), tag.original())
        });
        if let Some((_, true, name)) = &tag {
            let at = self.source.first_line(span);
            self.found
                .error(at, format!("the tag `{name}` means nothing here"));
        }
        let mut node = match event {
            Event::Scalar(text, style, ..) => {
                let quoted = style != ScalarStyle::Plain;
                let text_tag = tag.is_some_and(|(text, ..)| text);
                let style = if quoted || text_tag {
                    Style::Quoted
                } else {
                    Style::Plain
                };
                self.leaf(span, text.into_owned(), style)
            }
            Event::SequenceStart(..) => self.list(span)?,
            Event::MappingStart(..) => self.map(span)?,
            Event::Alias(id) => self.alias(id, span)?,
            _ => {
                self.found.error(span, "not valid YAML: a value is missing");
                return Err(Stop);
            }
        };
        node.at = self.source.first_line(node.span);
        if let Some(id) = anchor {
            self.anchors.insert(id, node.clone());
        }
        Ok(node)
    }

    fn leaf(&self, span: Span, text: String, style: Style) -> Node {
        Node {
            span,
            at: span,
            value: Value::Scalar(Scalar {
                text,
                style,
                written: None,
            }),
        }
    }

    fn list(&mut self, start: Span) -> Result<Node, Stop> {
        let mut items: Vec<Node> = Vec::new();
        loop {
            let (event, span) = self.inside(start)?;
            if matches!(event, Event::SequenceEnd) {
                let end = self.end(start, span, items.last().map(|item| item.span));
                return Ok(Node {
                    span: end,
                    at: end,
                    value: Value::List(items),
                });
            }
            items.push(self.node(event, span)?);
        }
    }

    fn map(&mut self, start: Span) -> Result<Node, Stop> {
        let mut entries: Vec<Entry> = Vec::new();
        let mut merges: Vec<(usize, Node)> = Vec::new();
        let mut last = None;
        loop {
            let (event, span) = self.inside(start)?;
            let (key, plain) = match event {
                Event::MappingEnd => {
                    let span = self.end(start, span, last);
                    self.merge_keys(&mut entries, merges)?;
                    return Ok(Node {
                        span,
                        at: span,
                        value: Value::Map(entries),
                    });
                }
                Event::Scalar(text, style, ..) => (text.into_owned(), style == ScalarStyle::Plain),
                other => {
                    let node = self.node(other, span)?;
                    self.found.error(node.at, "a key must be plain text");
                    (String::new(), false)
                }
            };
            let (event, value_span) = self.inside(start)?;
            let mut value = self.node(event, value_span)?;
            if !matches!(value.value, Value::Scalar(_)) || value.is_null() {
                value.at = span;
            }
            last = Some(Span {
                start: span.start,
                end: value_span.end.max(value.span.end).max(span.end),
            });
            if key == "<<" && plain {
                merges.push((entries.len(), value));
            } else if let Some(first) = entries.iter().find(|entry| entry.key == key) {
                let first = first.key_span;
                self.found
                    .error(span, format!("the key `{key}` stands here twice"))
                    .also(first, "first here")
                    .help("keep one of them");
            } else {
                entries.push(Entry {
                    key,
                    key_span: span,
                    value,
                });
            }
        }
    }

    /// `<<: *anchor` and `<<: [*a, *b]`: keys that are not there already.
    fn merge_keys(
        &mut self,
        entries: &mut Vec<Entry>,
        merges: Vec<(usize, Node)>,
    ) -> Result<(), Stop> {
        for (at, node) in merges.into_iter().rev() {
            let maps = match node.value {
                Value::List(items) => items,
                Value::Map(_) | Value::Scalar(_) => vec![node],
            };
            let mut at = at;
            for map in maps {
                self.count(map.size(), map.at)?;
                let Value::Map(from) = map.value else {
                    self.found
                        .error(map.at, "`<<` takes a map, or a list of maps");
                    continue;
                };
                for entry in from {
                    if entries.iter().all(|known| known.key != entry.key) {
                        entries.insert(at, entry);
                        at += 1;
                    }
                }
            }
        }
        Ok(())
    }

    fn alias(&mut self, id: usize, span: Span) -> Result<Node, Stop> {
        let Some(node) = self.anchors.get(&id).cloned() else {
            self.found.error(span, "an alias cannot contain itself");
            return Err(Stop);
        };
        self.count(node.size(), span)?;
        Ok(node)
    }

    fn inside(&mut self, start: Span) -> Result<(Event<'a>, Span), Stop> {
        if let Some(next) = self.next()? {
            return Ok(next);
        }
        self.found.error(start, "not valid YAML: it does not end");
        Err(Stop)
    }

    /// A block ends where its last child ends, not where the next begins.
    fn end(&self, start: Span, end: Span, last: Option<Span>) -> Span {
        let closed = matches!(self.source.slice(end), "]" | "}");
        let end = match last {
            _ if closed => end.end,
            Some(last) => last.end,
            None => start.end,
        };
        Span {
            start: start.start,
            end: end.max(start.start),
        }
    }

    fn count(&mut self, nodes: usize, span: Span) -> Result<(), Stop> {
        self.nodes += nodes;
        if self.nodes <= LARGEST_TREE {
            return Ok(());
        }
        let at = self.source.first_line(span);
        self.found.error(
            at,
            format!("the file holds more than {LARGEST_TREE} values, aliases counted"),
        );
        Err(Stop)
    }
}
