//! What is wrong with a configuration: every problem at once, each with its
//! place, its key and the way out.
//!
//! While reading, steps collect [`Finding`]s, which know ranges of bytes. They
//! become [`Problems`] once, at the end: sorted by place, each said once.

use std::sync::Arc;

use serde::Serialize;

use crate::model::fault::Fault;

use super::source::{Source, Span};
use super::tree::{self, Node};

/// One thing that is wrong.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Problem {
    /// A lower-case fragment.
    pub message: String,
    pub file: String,
    /// From 1; absent where no place in the file is to blame.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub line: Option<usize>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub column: Option<usize>,
    /// Such as `roles.web.health.timeout`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub key_path: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub source_line: Option<String>,
    /// How to mend it, such as the nearest valid name.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub help: Option<String>,
    #[serde(skip)]
    pub(super) span: Option<Span>,
    /// Further places that belong to it, with their words.
    #[serde(skip)]
    pub(super) also: Vec<(Span, String)>,
}

impl Problem {
    /// `stagecraft.yml:6:11`, or the file alone.
    #[must_use]
    pub fn place(&self) -> String {
        match (self.line, self.column) {
            (Some(line), Some(column)) => format!("{}:{line}:{column}", self.file),
            _ => self.file.clone(),
        }
    }
}

/// Everything that is wrong with one file, in the order of the file.
#[derive(Debug, Clone)]
pub struct Problems {
    pub(super) source: Arc<Source>,
    list: Vec<Problem>,
}

impl Problems {
    /// Gives every finding its line and its key path (looked up in the tree as
    /// written), sorts them, and says nothing twice.
    pub(super) fn new(source: &Arc<Source>, root: Option<&Node>, findings: Vec<Finding>) -> Self {
        let mut list: Vec<Problem> = Vec::new();
        for finding in findings {
            let place = finding.span.map(|span| source.position(span.start));
            let problem = Problem {
                message: finding.message,
                file: source.name.clone(),
                line: place.map(|(line, _)| line),
                column: place.map(|(_, column)| column),
                key_path: finding
                    .span
                    .and_then(|span| tree::path_at(root?, span.start))
                    .filter(|path| !path.is_empty()),
                source_line: finding
                    .span
                    .map(|span| source.line_at(span.start).to_owned()),
                help: finding.help,
                span: finding.span,
                also: finding.also,
            };
            if !list.contains(&problem) {
                list.push(problem);
            }
        }
        list.sort_by_key(|problem| problem.span);
        Self {
            source: Arc::clone(source),
            list,
        }
    }

    /// One problem of a file that could not even be read.
    pub(super) fn unreadable(source: Source, message: String, help: Option<String>) -> Self {
        let finding = Finding {
            help,
            ..Finding::new(None, message)
        };
        Self::new(&Arc::new(source), None, vec![finding])
    }

    #[must_use]
    pub fn list(&self) -> &[Problem] {
        &self.list
    }

    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.list.is_empty()
    }
}

impl Serialize for Problems {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.list.serialize(serializer)
    }
}

/// The same problems as the error of every port: exit code 10.
impl From<Problems> for Fault {
    fn from(problems: Problems) -> Fault {
        let file = &problems.source.name;
        let what = match problems.list.len() {
            1 => format!("`{file}` has a problem"),
            count => format!("`{file}` has {count} problems"),
        };
        let mut fault = Fault::config(what);
        for problem in &problems.list {
            let help = problem.help.iter().map(|help| format!(" ({help})"));
            let help: String = help.collect();
            fault = fault.because(format!("{}: {}{help}", problem.place(), problem.message));
            if let Some(excerpt) = problems.excerpt(problem) {
                fault = fault.showing(problem.place(), excerpt);
            }
        }
        fault
    }
}

impl std::fmt::Display for Problems {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.render(super::Look::Plain).trim_end())
    }
}

impl std::error::Error for Problems {}

/// A problem while it is being collected.
#[derive(Debug, Clone)]
pub(super) struct Finding {
    pub(super) span: Option<Span>,
    pub(super) message: String,
    pub(super) help: Option<String>,
    pub(super) also: Vec<(Span, String)>,
}

impl Finding {
    fn new(span: Option<Span>, message: impl Into<String>) -> Self {
        Self {
            span,
            message: message.into(),
            help: None,
            also: vec![],
        }
    }

    pub(super) fn help(&mut self, help: impl Into<String>) -> &mut Self {
        self.help = Some(help.into());
        self
    }

    pub(super) fn also(&mut self, span: Span, label: impl Into<String>) -> &mut Self {
        self.also.push((span, label.into()));
        self
    }
}

/// What the steps of loading collect.
#[derive(Debug, Clone, Default)]
pub(super) struct Findings {
    pub(super) errors: Vec<Finding>,
    pub(super) warnings: Vec<Finding>,
}

impl Findings {
    pub(super) fn error(&mut self, span: Span, message: impl Into<String>) -> &mut Finding {
        push(&mut self.errors, Finding::new(Some(span), message))
    }

    pub(super) fn warning(&mut self, span: Span, message: impl Into<String>) -> &mut Finding {
        push(&mut self.warnings, Finding::new(Some(span), message))
    }
}

fn push(list: &mut Vec<Finding>, finding: Finding) -> &mut Finding {
    let index = list.len();
    list.push(finding);
    &mut list[index]
}

/// The candidate that a mistyped name most probably means.
pub(super) fn nearest<'a>(
    word: &str,
    candidates: impl IntoIterator<Item = &'a str>,
) -> Option<&'a str> {
    let simple = |text: &str| text.to_lowercase().replace('-', "_");
    candidates
        .into_iter()
        .map(|candidate| {
            let distance = strsim::damerau_levenshtein(&simple(word), &simple(candidate));
            (distance, candidate)
        })
        .filter(|(distance, candidate)| {
            *distance <= (candidate.chars().count().max(word.chars().count()) / 3).max(1)
        })
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, candidate)| candidate)
}

/// `a`, `b` or `c`.
pub(super) fn or_list<'a>(words: impl IntoIterator<Item = &'a str>) -> String {
    let words: Vec<String> = words.into_iter().map(|word| format!("`{word}`")).collect();
    match words.split_last() {
        None => "nothing".to_owned(),
        Some((only, [])) => only.clone(),
        Some((last, rest)) => format!("{} or {last}", rest.join(", ")),
    }
}

/// `did you mean …`, or all there is to choose from.
pub(super) fn suggestion(word: &str, candidates: &[&str]) -> String {
    match nearest(word, candidates.iter().copied()) {
        Some(near) => format!("did you mean `{near}`?"),
        None => format!("known here: {}", or_list(candidates.iter().copied())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_nearest_name_is_found_and_a_far_one_is_not_guessed() {
        let keys = ["port", "publish", "health", "connection_env"];
        assert_eq!(nearest("prot", keys), Some("port"));
        assert_eq!(nearest("connection-env", keys), Some("connection_env"));
        assert_eq!(nearest("colour", keys), None);
    }

    #[test]
    fn a_list_of_choices_reads_as_a_sentence() {
        assert_eq!(or_list(["a", "b", "c"]), "`a`, `b` or `c`");
        assert_eq!(or_list(["a"]), "`a`");
    }
}
