//! The options of the `command` engine. Imports `model`.

use serde::Deserialize;

use crate::migrate::words;
use crate::model::project::DatabaseSpec;
use crate::ports::Job;

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
        let options = Self {
            run: written.run.words("run")?,
            plan: optional("plan", written.plan)?,
            status: optional("status", written.status)?,
        };
        for (name, words) in [
            ("run", Some(&options.run)),
            ("plan", options.plan.as_ref()),
            ("status", options.status.as_ref()),
        ] {
            known(name, words.map_or(&[][..], Vec::as_slice))?;
        }
        Ok(options)
    }

    /// With the names of this job in the place of their words.
    pub(super) fn filled(mut self, job: &Job<'_>) -> Self {
        let fill = |words: &mut Vec<String>| {
            for word in words {
                let value = match word.as_str() {
                    "{project}" => job.environment.project.to_string(),
                    "{environment}" => job.environment.name.to_string(),
                    "{database}" => job.database.name.to_string(),
                    RELEASE => job.release.map(ToString::to_string).unwrap_or_default(),
                    _ => continue,
                };
                *word = value;
            }
        };
        fill(&mut self.run);
        [&mut self.plan, &mut self.status]
            .into_iter()
            .flatten()
            .for_each(fill);
        self
    }
}

const RELEASE: &str = "{release}";

/// Words that stand for names.
const PLACES: [&str; 4] = ["{project}", "{environment}", "{database}", RELEASE];

/// A word in braces that stands for nothing is a mistake, not a word.
fn known(command: &str, words: &[String]) -> Result<(), String> {
    let name = |word: &&String| {
        let inner = word
            .strip_prefix('{')
            .and_then(|rest| rest.strip_suffix('}'));
        inner.is_some_and(|inner| {
            !inner.is_empty() && inner.bytes().all(|b| b.is_ascii_lowercase() || b == b'_')
        })
    };
    for word in words.iter().filter(name) {
        if command == "plan" && word == RELEASE {
            return Err(
                "`options.plan` names `{release}`, and there is none while planning".into(),
            );
        }
        if !PLACES.contains(&word.as_str()) {
            return Err(format!(
                "`options.{command}` names `{word}`, which stands for nothing; known: {}",
                words::list(&PLACES)
            ));
        }
    }
    Ok(())
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

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::migrate::test_support::database;

    fn of(json: serde_json::Value) -> Result<Options, String> {
        let mut database = database();
        database.migrations.options = json.as_object().expect("an object").clone();
        Options::of(&database)
    }

    #[test]
    fn a_word_in_braces_stands_for_a_name_or_is_refused() {
        assert!(of(json!({ "run": ["tool", "{database}", "a{x}", "{}", "{ x }"] })).is_ok());
        let why = of(json!({ "run": ["tool", "{databse}"] })).expect_err("unknown");
        assert!(why.contains("`options.run` names `{databse}`"), "{why}");
        assert!(why.contains("`{database}`"), "{why}");
        let why = of(json!({ "run": ["tool"], "plan": ["tool", "{release}"] }));
        assert!(why.is_err_and(|why| why.contains("there is none while planning")));
        // A line is the shell's.
        assert!(of(json!({ "run": "echo {database} {x}" })).is_ok());
    }
}
