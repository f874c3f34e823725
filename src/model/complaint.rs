//! What a check of the migrations in the repository objects to, each with its
//! place in a file. Imports nothing of this crate.

use std::fmt;

use serde::{Serialize, Serializer};

/// How much a complaint weighs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Weight {
    /// The check fails.
    Violation,
    /// The check fails where it was asked to be strict.
    Warning,
    /// Worth knowing.
    Note,
}

impl Weight {
    #[must_use]
    pub fn label(self) -> &'static str {
        match self {
            Weight::Violation => "violation",
            Weight::Warning => "warning",
            Weight::Note => "note",
        }
    }
}

/// What is complained about; the labels are stable.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Rule {
    /// A file's name.
    Name,
    /// A number that stands twice.
    Number,
    /// The order in which files run.
    Order,
    /// A file that is no migration.
    StrayFile,
    SubFolder,
    /// Bytes that are no text.
    Encoding,
    /// A `-- stagecraft:` line.
    Directive,
    /// Nothing to run.
    Empty,
    /// A text that cannot run.
    Sql,
    /// The file of checksums.
    Ledger,
    /// A change of what was merged.
    Immutable,
    /// Which commit the files are compared with.
    Base,
    /// Something that was not looked at.
    Unchecked,
    /// It does not apply to an empty database.
    Apply,
}

impl Rule {
    #[must_use]
    pub fn label(&self) -> &str {
        match self {
            Rule::Name => "name",
            Rule::Number => "number",
            Rule::Order => "order",
            Rule::StrayFile => "stray-file",
            Rule::SubFolder => "sub-folder",
            Rule::Encoding => "encoding",
            Rule::Directive => "directive",
            Rule::Empty => "empty",
            Rule::Sql => "sql",
            Rule::Ledger => "ledger",
            Rule::Immutable => "immutable",
            Rule::Base => "base",
            Rule::Unchecked => "unchecked",
            Rule::Apply => "apply",
        }
    }
}

impl Serialize for Rule {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.label())
    }
}

/// See the module.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Complaint {
    pub weight: Weight,
    pub rule: Rule,
    /// As messages name it: `db/migrations/0042_notes.sql`.
    pub file: String,
    /// 1-based.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub line: Option<usize>,
    /// 1-based, in characters.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub column: Option<usize>,
    pub what: String,
    /// The way out; commands stand in backticks.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub hint: Option<String>,
}

impl Complaint {
    pub fn new(
        weight: Weight,
        rule: Rule,
        file: impl Into<String>,
        what: impl Into<String>,
    ) -> Self {
        Self {
            weight,
            rule,
            file: file.into(),
            line: None,
            column: None,
            what: what.into(),
            hint: None,
        }
    }

    pub fn violation(rule: Rule, file: impl Into<String>, what: impl Into<String>) -> Self {
        Self::new(Weight::Violation, rule, file, what)
    }

    #[must_use]
    pub fn on_line(mut self, line: usize) -> Self {
        self.line = Some(line);
        self
    }

    #[must_use]
    pub fn at(mut self, line: usize, column: usize) -> Self {
        self.line = Some(line);
        self.column = Some(column);
        self
    }

    #[must_use]
    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }

    /// `file`, `file:line` or `file:line:column`.
    #[must_use]
    pub fn place(&self) -> String {
        let mut place = self.file.clone();
        for part in [self.line, self.column].into_iter().flatten() {
            place += &format!(":{part}");
        }
        place
    }

    #[must_use]
    pub fn is_violation(&self) -> bool {
        self.weight == Weight::Violation
    }
}

/// On one line, for reasons.
impl fmt::Display for Complaint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "`{}`: {}", self.place(), self.what)?;
        match &self.hint {
            Some(hint) => write!(f, "; {hint}"),
            None => Ok(()),
        }
    }
}

/// One folder of migrations that was looked at.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Checked {
    /// The entry of `databases`.
    pub database: String,
    /// As the configuration writes it; empty where the engine has none.
    pub folder: String,
    pub files: usize,
    /// The branch or commit that the files were compared with.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub base: Option<String>,
    /// In order of their places.
    pub complaints: Vec<Complaint>,
    /// What was proven on an empty database, where that was asked.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub proof: Option<Proof>,
}

/// Every migration applied to an empty database, a second run changed nothing,
/// and everything is applied afterwards.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Proof {
    /// `PostgreSQL`, `MySQL`, `SQLite`.
    pub database: String,
    pub applied: usize,
    pub duration_ms: u64,
}

impl Checked {
    #[must_use]
    pub fn count(&self, weight: Weight) -> usize {
        let all = self.complaints.iter();
        all.filter(|complaint| complaint.weight == weight).count()
    }

    /// By place, what fails the check first.
    pub fn sort(&mut self) {
        self.complaints.sort_by(|a, b| {
            let key = |c: &Complaint| (c.file.clone(), c.line, c.column, c.weight, c.rule.clone());
            key(a).cmp(&key(b))
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_complaint_is_one_line_with_its_place_and_the_way_out() {
        let complaint = Complaint::violation(Rule::Directive, "db/1.sql", "unknown word `x`");
        assert_eq!(complaint.to_string(), "`db/1.sql`: unknown word `x`");
        let complaint = complaint.at(2, 7).hint("write `y`");
        assert_eq!(
            complaint.to_string(),
            "`db/1.sql:2:7`: unknown word `x`; write `y`"
        );
    }
}
