//! The options that every framework engine takes. Imports `model`.

use serde::Deserialize;

use crate::migrate::engines::command::Words;
use crate::model::project::DatabaseSpec;

/// Stands for the name of a migration.
const NAME: &str = "{name}";

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct Written {
    command: Option<Words>,
    create: Option<Words>,
    table: Option<String>,
    schema: Option<String>,
}

#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(in super::super) struct Options {
    /// In the place of the tool's own command.
    pub(in super::super) command: Option<Vec<String>>,
    /// In the place of its development command.
    create: Option<Vec<String>>,
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
        let create = written.create.map(|words| words.words("create"));
        let create = create.transpose()?;
        if let Some(words) = &create
            && !words.iter().any(|word| word.contains(NAME))
        {
            return Err(format!(
                "`options.create` does not say where the name goes: write `{NAME}` there"
            ));
        }
        Ok(Self {
            command: command.transpose()?,
            create,
            table: written.table,
            schema: written.schema,
        })
    }

    /// What begins a migration of this name (small letters, digits, `_`).
    pub(super) fn create(&self, name: &str) -> Option<Vec<String>> {
        let words = self.create.as_ref()?;
        Some(words.iter().map(|word| word.replace(NAME, name)).collect())
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

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::migrate::test_support::database;

    fn of(options: serde_json::Value) -> Result<Options, String> {
        let mut database = database();
        database.migrations.options = options.as_object().expect("an object").clone();
        Options::of(&database)
    }

    #[test]
    fn a_command_of_the_project_begins_its_migrations_under_their_name() {
        let words = json!([
            "npx",
            "knex",
            "--knexfile",
            "db/knexfile.js",
            "migrate:make",
            "{name}"
        ]);
        let options = of(json!({ "create": words })).expect("options");
        let command = options.create("add_notes").expect("a command");
        assert_eq!(
            command.join(" "),
            "npx knex --knexfile db/knexfile.js migrate:make add_notes"
        );
        assert_eq!(of(json!({})).expect("options").create("add_notes"), None);
        assert_eq!(
            of(json!({ "create": ["make", "migration"] })).expect_err("a problem"),
            "`options.create` does not say where the name goes: write `{name}` there"
        );
    }
}
