//! The JSON Schema of the file, from the same declarations that read it.

use std::borrow::Cow;
use std::marker::PhantomData;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};

use super::file::File;
use super::read::Read;

/// The JSON Schema (draft 2020-12) that editors complete and check with.
#[must_use]
pub fn schema() -> serde_json::Value {
    let schema = SchemaGenerator::default().into_root_schema_for::<File>();
    let mut schema = schema.to_value();
    if let Some(root) = schema.as_object_mut() {
        root.insert("title".to_owned(), "stagecraft.yml".into());
        root.insert(
            "required".to_owned(),
            serde_json::json!(["version", "environments"]),
        );
    }
    schema
}

/// An object that has these keys and no others: name, description, schema.
pub(super) fn section_schema(doc: &str, keys: Vec<(&str, &str, Schema)>) -> Schema {
    let mut properties = serde_json::Map::new();
    for (key, description, schema) in keys {
        let mut schema = schema;
        schema.insert("description".to_owned(), description.trim().into());
        properties.insert(key.to_owned(), schema.to_value());
    }
    json_schema!({
        "type": "object",
        "description": doc.trim(),
        "properties": properties,
        "additionalProperties": false,
    })
}

/// A value as the file may write it: itself, or with a `${NAME}` that makes it
/// so (`${N}s` is a length of time, so the pattern is not anchored).
pub(super) struct Written<T>(PhantomData<T>);

impl<T: Read + JsonSchema> JsonSchema for Written<T> {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        format!("Written{}", T::schema_name()).into()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        let value = generator.subschema_for::<T>();
        if !T::CHECKED {
            return value;
        }
        json_schema!({ "anyOf": [
            value,
            { "type": "string", "pattern": r"\$\{[A-Za-z_][A-Za-z0-9_]*(:-[^}]*)?\}" },
        ] })
    }
}
