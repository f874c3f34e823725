//! The options of the `command` engine. Imports `model`.

use serde::Deserialize;

use crate::model::project::DatabaseSpec;

#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
struct Written {
    run: Words,
    plan: Option<Words>,
    status: Option<Words>,
}

/// A command: words as they are, or a line for the image's shell.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(untagged)]
pub(in super::super) enum Words {
    Line(String),
    List(Vec<String>),
}

/// Commands as words; none is empty.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Options {
    /// Applies everything that is pending.
    pub(super) run: Vec<String>,
    /// Says what is pending.
    pub(super) plan: Option<Vec<String>>,
    /// Has to exit 0 after the run.
    pub(super) status: Option<Vec<String>>,
}

impl Options {
    pub(super) fn of(database: &DatabaseSpec) -> Result<Self, String> {
        let options = serde_json::Value::Object(database.migrations.options.clone());
        let written: Written =
            serde_json::from_value(options).map_err(|error| format!("`options`: {error}"))?;
        let optional = |name, words: Option<Words>| words.map(|w| w.words(name)).transpose();
        Ok(Self {
            run: written.run.words("run")?,
            plan: optional("plan", written.plan)?,
            status: optional("status", written.status)?,
        })
    }
}

impl Words {
    /// # Errors
    /// It is empty.
    pub(in super::super) fn words(self, name: &str) -> Result<Vec<String>, String> {
        let words = match self {
            Words::Line(line) if line.trim().is_empty() => vec![],
            Words::Line(line) => vec!["/bin/sh".to_owned(), "-c".to_owned(), line],
            Words::List(words) => words,
        };
        match words.first() {
            Some(first) if !first.is_empty() => Ok(words),
            _ => Err(format!("`options.{name}` is an empty command")),
        }
    }
}
