//! The values at the ends of the tree: what each kind accepts, what it says
//! when it does not, and how the JSON Schema describes it. Here: text, truth
//! values and numbers.

mod collection;
mod parsed;
mod period;
mod size;
mod word;

pub(super) use collection::{Entries, List, Options};
pub(super) use parsed::{Address, BatchSize, PathText, Variable, VolumeText};
pub(super) use period::Period;
pub(super) use size::Size;

use std::borrow::Cow;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};

use super::read::{Read, Reader};
use super::tree::{Kind, Node};

/// Implements the schema of a leaf, written out in place.
macro_rules! leaf_schema {
    ($type:ty, $name:literal, $schema:tt) => {
        impl JsonSchema for $type {
            fn inline_schema() -> bool {
                true
            }
            fn schema_name() -> Cow<'static, str> {
                $name.into()
            }
            fn json_schema(_: &mut SchemaGenerator) -> Schema {
                json_schema!($schema)
            }
        }
    };
}
use leaf_schema;

/// Text only: a number or truth value in its place is a mistake.
impl Read for String {
    const CHECKED: bool = false;

    fn read(node: &Node, reader: &mut Reader<'_>) -> Option<Self> {
        let scalar = reader.scalar(node, "text")?;
        if scalar.kind() == Kind::Text {
            return Some(scalar.text.clone());
        }
        reader.wrong_type(node, "text");
        quote_it(reader, &scalar.text);
        None
    }
}

fn quote_it(reader: &mut Reader<'_>, text: &str) {
    if let Some(finding) = reader.found.errors.last_mut() {
        finding.help(format!("write it in quotes: `\"{text}\"`"));
    }
}

impl Read for bool {
    fn read(node: &Node, reader: &mut Reader<'_>) -> Option<Self> {
        let expected = "`true` or `false`";
        let scalar = reader.scalar(node, expected)?;
        let value = match (scalar.kind(), scalar.text.as_str()) {
            (Kind::Bool(value), _) => Some(value),
            (_, text) if scalar.written.is_some() => text.parse().ok(),
            _ => None,
        };
        if value.is_none() {
            reader.wrong_type(node, expected);
        }
        value
    }
}

/// Reads a whole number that a type can hold.
fn number<T: TryFrom<i128>>(node: &Node, reader: &mut Reader<'_>, expected: &str) -> Option<T> {
    let scalar = reader.scalar(node, expected)?;
    let number = match scalar.kind() {
        Kind::Integer(number) => Some(number),
        _ if scalar.written.is_some() => scalar.text.trim().parse().ok(),
        _ => None,
    };
    let value = number.and_then(|number| T::try_from(number).ok());
    if value.is_none() {
        reader.wrong_type(node, expected);
    }
    value
}

/// A whole number from 0.
impl Read for u16 {
    fn read(node: &Node, reader: &mut Reader<'_>) -> Option<Self> {
        number(node, reader, "a whole number from 0 to 65535")
    }
}

impl Read for u32 {
    fn read(node: &Node, reader: &mut Reader<'_>) -> Option<Self> {
        number(node, reader, "a whole number from 0")
    }
}

/// A TCP port.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Port(pub(super) u16);

leaf_schema!(Port, "Port", { "type": "integer", "minimum": 1, "maximum": 65535 });

impl Read for Port {
    fn read(node: &Node, reader: &mut Reader<'_>) -> Option<Self> {
        let expected = "a port from 1 to 65535";
        let port = number::<u16>(node, reader, expected)?;
        if port == 0 {
            reader.wrong_type(node, expected);
            return None;
        }
        Some(Port(port))
    }
}

/// A value for a process: a number or truth value is delivered as written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Verbatim {
    pub(super) written: String,
    pub(super) value: String,
}

leaf_schema!(Verbatim, "Verbatim", { "type": ["string", "number", "boolean"] });

impl Read for Verbatim {
    const CHECKED: bool = false;

    fn read(node: &Node, reader: &mut Reader<'_>) -> Option<Self> {
        let scalar = reader.scalar(node, "text, a number or a truth value")?;
        Some(Verbatim {
            written: scalar.written().to_owned(),
            value: scalar.text.clone(),
        })
    }
}
