//! How a migration stands to code that was written for the schema before it.
//! What cannot be told counts as breaking: only then is "additive" a promise.

use std::fmt;

use serde::{Deserialize, Serialize};

/// The judgement of one migration.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "grade", rename_all = "snake_case")]
pub enum Compat {
    /// Code of the release before goes on working.
    Additive,
    /// Its file says `-- stagecraft: compat=additive`; the findings are what
    /// that overrules.
    Declared {
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        findings: Vec<Finding>,
    },
    Breaking {
        findings: Vec<Finding>,
    },
    /// Nothing is known to break, and something could not be judged.
    Unknown {
        findings: Vec<Finding>,
    },
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Harm {
    Breaks,
    /// It cannot be told whether it does.
    Unclear,
}

/// One statement and what it does to older code.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Finding {
    pub harm: Harm,
    /// As messages name it: `db/migrations/0042_notes.sql`; empty where there
    /// is no file to be read.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub file: String,
    #[serde(default)]
    pub line: usize,
    /// On one line and cut short.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub statement: String,
    pub why: String,
    /// The migration that made what this one changes: code that does not know
    /// that one does not use it either.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub made_by: Option<String>,
    /// How many more statements of the file say the same.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub further: usize,
}

fn is_zero(count: &usize) -> bool {
    *count == 0
}

impl Compat {
    /// Puts findings together; what breaks stands before what is unclear.
    #[must_use]
    pub fn of(mut findings: Vec<Finding>) -> Self {
        findings.sort_by_key(|finding| finding.harm == Harm::Unclear);
        match findings.first().map(|finding| finding.harm) {
            None => Compat::Additive,
            Some(Harm::Breaks) => Compat::Breaking { findings },
            Some(Harm::Unclear) => Compat::Unknown { findings },
        }
    }

    /// Of a migration whose statements nobody here can read.
    #[must_use]
    pub fn unread(why: &str) -> Self {
        Compat::Unknown {
            findings: vec![Finding {
                harm: Harm::Unclear,
                file: String::new(),
                line: 0,
                statement: String::new(),
                why: why.to_owned(),
                made_by: None,
                further: 0,
            }],
        }
    }

    #[must_use]
    pub fn label(&self) -> &'static str {
        match self {
            Compat::Additive => "additive",
            Compat::Declared { .. } => "declared additive",
            Compat::Breaking { .. } => "breaking",
            Compat::Unknown { .. } => "unknown",
        }
    }

    /// What speaks against running code on top of this migration that knows
    /// only some others.
    pub fn against(&self, knows: impl Fn(&str) -> bool) -> impl Iterator<Item = &Finding> {
        let findings: &[Finding] = match self {
            Compat::Additive | Compat::Declared { .. } => &[],
            Compat::Breaking { findings } | Compat::Unknown { findings } => findings,
        };
        findings.iter().filter(move |finding| {
            let uses = |made_by: &String| knows(made_by);
            finding.made_by.as_ref().is_none_or(uses)
        })
    }
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if !self.file.is_empty() {
            write!(f, "`{}:{}` ", self.file, self.line)?;
        }
        f.write_str(&self.why)?;
        if !self.statement.is_empty() {
            write!(f, ": `{}`", self.statement)?;
        }
        match self.further {
            0 => Ok(()),
            more => write!(f, " (and {more} more like it)"),
        }
    }
}
