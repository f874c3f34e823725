//! Lists, maps of names, and what an engine reads by itself.

use std::borrow::Cow;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};

use super::super::read::{Read, Reader, Spanned, Stage};
use super::super::schema::Written;
use super::super::source::Span;
use super::super::tree::{Node, Value, to_json};
use super::leaf_schema;

/// A list.
#[derive(Debug, Clone, PartialEq)]
pub(in crate::config) struct List<T>(pub(in crate::config) Vec<Spanned<T>>);

impl<T> Default for List<T> {
    fn default() -> Self {
        Self(Vec::new())
    }
}

impl<T: Clone> List<T> {
    pub(in crate::config) fn values(&self) -> Vec<T> {
        self.0.iter().map(|item| item.value.clone()).collect()
    }
}

impl<T: Read> Read for List<T> {
    const CHECKED: bool = false;

    fn read(node: &Node, reader: &mut Reader<'_>) -> Option<Self> {
        let Value::List(items) = &node.value else {
            reader.wrong_type(node, "a list");
            if let (Value::Scalar(scalar), Some(finding)) =
                (&node.value, reader.found.errors.last_mut())
            {
                finding.help(format!("write `[{}]`", scalar.written()));
            }
            return None;
        };
        // All are read before one that cannot be breaks the list.
        let values: Vec<_> = items.iter().map(|item| reader.item(item)).collect();
        values.into_iter().collect::<Option<Vec<_>>>().map(List)
    }
}

/// A map whose keys are the file's own names; in file order.
#[derive(Debug, Clone, PartialEq)]
pub(in crate::config) struct Entries<T>(pub(in crate::config) Vec<(Spanned<String>, Spanned<T>)>);

impl<T> Default for Entries<T> {
    fn default() -> Self {
        Self(Vec::new())
    }
}

impl<T: Read> Read for Entries<T> {
    const CHECKED: bool = false;

    fn read(node: &Node, reader: &mut Reader<'_>) -> Option<Self> {
        let Value::Map(entries) = &node.value else {
            reader.wrong_type(node, "a map of names");
            return None;
        };
        let mut read = Vec::new();
        for entry in entries {
            let value = if entry.value.is_null() {
                empty_value(entry.key_span, &entry.key, reader)
            } else {
                reader.item(&entry.value)
            };
            let key = Spanned {
                value: entry.key.clone(),
                at: entry.key_span,
            };
            read.extend(value.map(|value| (key, value)));
        }
        Some(Entries(read))
    }
}

fn empty_value<T: Read>(at: Span, key: &str, reader: &mut Reader<'_>) -> Option<Spanned<T>> {
    let value = T::empty().map(|value| Spanned { value, at });
    if value.is_none() && reader.stage == Stage::Expanded {
        reader
            .found
            .error(at, format!("`{key}` has no value"))
            .help("an empty text is written `\"\"`");
    }
    value
}

/// Anything; an engine reads it.
#[derive(Debug, Clone, Default, PartialEq)]
pub(in crate::config) struct Options(
    pub(in crate::config) serde_json::Map<String, serde_json::Value>,
);

leaf_schema!(Options, "Options", { "type": "object" });

impl Read for Options {
    const CHECKED: bool = false;

    fn read(node: &Node, reader: &mut Reader<'_>) -> Option<Self> {
        match to_json(node) {
            serde_json::Value::Object(map) => Some(Options(map)),
            _ => {
                reader.wrong_type(node, "a map");
                None
            }
        }
    }
}

impl<T: Read + JsonSchema> JsonSchema for List<T> {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        format!("List{}", T::schema_name()).into()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        let items = generator.subschema_for::<Written<T>>();
        json_schema!({ "type": "array", "items": items })
    }
}

impl<T: Read + JsonSchema> JsonSchema for Entries<T> {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        format!("Entries{}", T::schema_name()).into()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        let values = generator.subschema_for::<Option<Written<T>>>();
        json_schema!({ "type": "object", "additionalProperties": values })
    }
}
