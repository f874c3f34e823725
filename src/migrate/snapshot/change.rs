//! One difference between two looks at a schema, and how it reads. Imports
//! nothing of this crate.

use std::fmt;

use serde::{Deserialize, Serialize};

/// See the module.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "change", rename_all = "snake_case")]
pub enum Change {
    Added {
        object: String,
        now: String,
    },
    Removed {
        object: String,
        was: String,
    },
    Changed {
        object: String,
        was: String,
        now: String,
    },
}

impl Change {
    #[must_use]
    pub fn object(&self) -> &str {
        match self {
            Change::Added { object, .. }
            | Change::Removed { object, .. }
            | Change::Changed { object, .. } => object,
        }
    }
}

/// `+ table notes column body: text`; of a long description only the lines
/// that differ.
impl fmt::Display for Change {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Change::Added { object, now } => whole(f, '+', object, now),
            Change::Removed { object, was } => whole(f, '-', object, was),
            Change::Changed { object, was, now } if one_line(was) && one_line(now) => {
                write!(f, "~ {object}: was `{was}`, is `{now}`")
            }
            Change::Changed { object, was, now } => {
                write!(f, "~ {object}:")?;
                let absent = |other: &str, line: &str| !other.lines().any(|known| known == line);
                for line in was.lines().filter(|line| absent(now, line)) {
                    write!(f, "\n    - {line}")?;
                }
                for line in now.lines().filter(|line| absent(was, line)) {
                    write!(f, "\n    + {line}")?;
                }
                Ok(())
            }
        }
    }
}

fn whole(f: &mut fmt::Formatter<'_>, sign: char, object: &str, text: &str) -> fmt::Result {
    match text {
        "" => write!(f, "{sign} {object}"),
        text if one_line(text) => write!(f, "{sign} {object}: {text}"),
        text => {
            write!(f, "{sign} {object}:")?;
            text.lines()
                .try_for_each(|line| write!(f, "\n    {sign} {line}"))
        }
    }
}

fn one_line(text: &str) -> bool {
    text.lines().count() <= 1
}
