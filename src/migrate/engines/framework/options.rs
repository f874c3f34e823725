//! The options that every framework engine takes. Imports `model`.

use serde::Deserialize;

use crate::migrate::engines::command::Words;
use crate::model::project::DatabaseSpec;

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct Written {
    command: Option<Words>,
    table: Option<String>,
    schema: Option<String>,
}

#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(in super::super) struct Options {
    /// In the place of the tool's own command.
    pub(in super::super) command: Option<Vec<String>>,
    /// The tool's table, where the project's own settings give it another name.
    pub(in super::super) table: Option<String>,
    pub(in super::super) schema: Option<String>,
}

impl Options {
    pub(super) fn of(database: &DatabaseSpec) -> Result<Self, String> {
        let options = serde_json::Value::Object(database.migrations.options.clone());
        let written: Written =
            serde_json::from_value(options).map_err(|error| format!("`options`: {error}"))?;
        for (key, name) in [("table", &written.table), ("schema", &written.schema)] {
            let odd = |name: &String| name.is_empty() || name.contains(['\\', '\0']);
            if name.as_ref().is_some_and(odd) {
                return Err(format!("`options.{key}` is no name of a {key}"));
            }
        }
        let command = written.command.map(|words| words.words("command"));
        Ok(Self {
            command: command.transpose()?,
            table: written.table,
            schema: written.schema,
        })
    }

    /// The table of this name and schema, unless the options say otherwise.
    pub(in super::super) fn table(
        &self,
        schema: Option<&str>,
        name: &str,
    ) -> super::super::tables::Table {
        super::super::tables::Table {
            schema: self.schema.clone().or_else(|| schema.map(str::to_owned)),
            name: self.table.clone().unwrap_or_else(|| name.to_owned()),
        }
    }
}
