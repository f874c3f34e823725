//! The answer of an application's schema endpoint (`/schema/status`), and what
//! it means for the release that gave it. Pure: bytes in, verdict out.
//!
//! Everything fails closed: a field that is missing, malformed or contradicts
//! another is a refusal, never a guess.

use std::fmt;

use serde::de::{MapAccess, Visitor};
use serde::{Deserialize, Deserializer};
use serde_json::Value;

const CURRENT: &str = "current_schema_version";
const MIN: &str = "code_min_schema_version";
const MAX: &str = "code_max_schema_version";
const PENDING: &str = "pending_migrations";
const COMPATIBLE: &str = "compatible";

/// As many pending migrations as a message lists.
const LISTED: usize = 20;

/// What one replica says of the database and of itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SchemaStatus {
    /// Where the database stands.
    pub current: i64,
    /// The oldest and the newest schema that this code works on.
    pub code_min: i64,
    pub code_max: i64,
    pub pending: Vec<String>,
    pub compatible: bool,
}

/// Why a replica must not serve on the schema that is there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Objection {
    /// In words, each a statement of its own.
    pub reasons: Vec<String>,
    pub remedy: Remedy,
}

/// What would have to change.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Remedy {
    /// The database: migrations have to run first.
    Migrate,
    /// The code: this one does not know a schema so new.
    OtherCode,
    /// The endpoint: what it says makes no sense, or gives no reason.
    Endpoint,
}

impl SchemaStatus {
    /// Reads an answer's body. Further fields are the application's own.
    ///
    /// # Errors
    /// In words that name the field.
    pub fn parse(body: &[u8]) -> Result<Self, String> {
        let fields: Fields = serde_json::from_slice(body)
            .map_err(|error| format!("the answer is not a JSON object: {error}"))?;
        Ok(Self {
            current: fields.version(CURRENT)?,
            code_min: fields.version(MIN)?,
            code_max: fields.version(MAX)?,
            pending: fields.names(PENDING)?,
            compatible: fields.flag(COMPATIBLE)?,
        })
    }

    /// Whether the code may serve on the schema that is there: `compatible:
    /// false` is the application's last word, and `true` is checked.
    ///
    /// # Errors
    /// Why it may not.
    pub fn judge(&self) -> Result<(), Objection> {
        let Self {
            current,
            code_min,
            code_max,
            ..
        } = self;
        let mut reasons = vec![];
        if !self.compatible {
            reasons.push(format!("it says `{COMPATIBLE}: false`"));
        }
        let remedy = if code_min > code_max {
            reasons.push(format!(
                "it contradicts itself: `{MIN}` {code_min} is above `{MAX}` {code_max}"
            ));
            Remedy::Endpoint
        } else if current < code_min {
            reasons.push(format!(
                "`{CURRENT}` {current} is below `{MIN}` {code_min}{}",
                self.although()
            ));
            Remedy::Migrate
        } else if current > code_max {
            reasons.push(format!(
                "`{CURRENT}` {current} is above `{MAX}` {code_max}{}",
                self.although()
            ));
            Remedy::OtherCode
        } else if self.pending.is_empty() {
            Remedy::Endpoint
        } else {
            Remedy::Migrate
        };
        if reasons.is_empty() {
            Ok(())
        } else {
            Err(Objection { reasons, remedy })
        }
    }

    fn although(&self) -> String {
        if self.compatible {
            format!(", although it says `{COMPATIBLE}: true`")
        } else {
            String::new()
        }
    }

    /// Whether this code still works once the database has this version.
    ///
    /// # Errors
    /// Why it would not, in words.
    pub fn tolerates(&self, version: i64) -> Result<(), String> {
        if self.code_min > self.code_max {
            return Err(format!(
                "it contradicts itself: `{MIN}` {} is above `{MAX}` {}",
                self.code_min, self.code_max
            ));
        }
        if version > self.code_max {
            return Err(format!(
                "`{MAX}` is {}, and the schema would be {version}",
                self.code_max
            ));
        }
        Ok(())
    }

    /// Two replicas of one release that look at one database say the same.
    #[must_use]
    pub fn differs_from(&self, other: &Self) -> Option<String> {
        [
            (CURRENT, self.current, other.current),
            (MIN, self.code_min, other.code_min),
            (MAX, self.code_max, other.code_max),
        ]
        .into_iter()
        .find(|(_, ours, theirs)| ours != theirs)
        .map(|(field, ours, theirs)| format!("`{field}` is {ours} on one and {theirs} on another"))
    }

    /// The answer, a line a field, for people.
    #[must_use]
    pub fn lines(&self) -> Vec<String> {
        vec![
            format!("{CURRENT}: {}", self.current),
            format!("{MIN}: {}", self.code_min),
            format!("{MAX}: {}", self.code_max),
            format!("{PENDING}: {}", list(&self.pending)),
            format!("{COMPATIBLE}: {}", self.compatible),
        ]
    }
}

fn list(names: &[String]) -> String {
    if names.is_empty() {
        return "none".to_owned();
    }
    let listed: Vec<String> = names
        .iter()
        .take(LISTED)
        .map(|name| name.replace(char::is_control, " "))
        .collect();
    let more = match names.len().saturating_sub(LISTED) {
        0 => String::new(),
        more => format!(" and {more} more"),
    };
    format!("{}{more}", listed.join(", "))
}

/// The version that a migration's file brings: its leading digits.
#[must_use]
pub fn version_of(file: &str) -> Option<i64> {
    let digits = file.find(|c: char| !c.is_ascii_digit());
    file[..digits.unwrap_or(file.len())].parse().ok()
}

/// The object as it was sent: a field that stands twice is seen.
struct Fields(Vec<(String, Value)>);

impl Fields {
    fn one(&self, field: &str) -> Result<&Value, String> {
        let mut found = self.0.iter().filter(|(name, _)| name == field);
        match (found.next(), found.next()) {
            (Some((_, value)), None) => Ok(value),
            (Some(_), Some(_)) => Err(format!("`{field}` stands twice in the answer")),
            (None, _) => Err(format!("`{field}` is missing from the answer")),
        }
    }

    fn version(&self, field: &str) -> Result<i64, String> {
        let value = self.one(field)?;
        value.as_i64().ok_or_else(|| match value {
            Value::Number(number) => {
                format!("`{field}` is {number}, which is no whole number of 64 bits")
            }
            other => format!("`{field}` is {}, not a whole number", kind(other)),
        })
    }

    fn names(&self, field: &str) -> Result<Vec<String>, String> {
        let value = self.one(field)?;
        let Value::Array(items) = value else {
            return Err(format!("`{field}` is {}, not a list of names", kind(value)));
        };
        items
            .iter()
            .map(|item| match item {
                Value::String(name) => Ok(name.clone()),
                other => Err(format!("`{field}` holds {}, not only names", kind(other))),
            })
            .collect()
    }

    fn flag(&self, field: &str) -> Result<bool, String> {
        let value = self.one(field)?;
        value
            .as_bool()
            .ok_or_else(|| format!("`{field}` is {}, not true or false", kind(value)))
    }
}

fn kind(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "true or false",
        Value::Number(_) => "a number",
        Value::String(_) => "a text",
        Value::Array(_) => "a list",
        Value::Object(_) => "an object",
    }
}

impl<'de> Deserialize<'de> for Fields {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Object;

        impl<'de> Visitor<'de> for Object {
            type Value = Fields;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Fields, A::Error> {
                let mut fields = vec![];
                while let Some(field) = map.next_entry()? {
                    fields.push(field);
                }
                Ok(Fields(fields))
            }
        }

        deserializer.deserialize_map(Object)
    }
}

#[cfg(test)]
mod tests;
