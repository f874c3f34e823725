//! One thing that is wrong, and how it reads. Pure.

use serde::Serialize;

use crate::migrate::native::History;
use crate::migrate::words;

/// See the module.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(tag = "finding", rename_all = "snake_case")]
pub enum Finding {
    /// A statement was begun and never confirmed.
    CutOff {
        id: String,
        place: String,
        /// Counted from 1.
        statement: usize,
        total: usize,
        text: Vec<String>,
        /// The file holds another text there now.
        changed: bool,
        outcome: Outcome,
    },
    /// A failed `CREATE INDEX CONCURRENTLY` left it.
    Invalid { id: String, index: String },
    /// Its record is right: the next run goes on.
    Stopped {
        id: String,
        done: usize,
        total: usize,
        error: Option<String>,
    },
    /// It failed before anything took effect, and its file was mended.
    Void { id: String },
    /// What ran of it is not in its file any more.
    Changed { id: String, done: usize },
    /// Edited after it was applied.
    Edited {
        id: String,
        was: String,
        now: String,
    },
    /// Only its comments or layout are others than when it was applied.
    Layout { id: String },
    /// The text is right, and the tool's own table speaks of another one.
    Unlike { id: String, tool: History },
    /// Its file is gone.
    Missing { id: String },
}

/// What the catalogue says of a statement that was cut off.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    Done,
    /// It did not take effect, or may run again without harm.
    Not,
    Unclear,
}

impl Finding {
    #[must_use]
    pub fn id(&self) -> &str {
        match self {
            Finding::CutOff { id, .. }
            | Finding::Invalid { id, .. }
            | Finding::Stopped { id, .. }
            | Finding::Void { id }
            | Finding::Changed { id, .. }
            | Finding::Edited { id, .. }
            | Finding::Layout { id }
            | Finding::Unlike { id, .. }
            | Finding::Missing { id } => id,
        }
    }

    /// A person must say whether the statement took effect.
    #[must_use]
    pub fn is_question(&self) -> bool {
        matches!(
            self,
            Finding::CutOff {
                outcome: Outcome::Unclear,
                ..
            }
        )
    }

    /// What is so.
    #[must_use]
    pub fn text(&self) -> String {
        let id = self.id();
        match self {
            Finding::CutOff {
                place,
                statement,
                total,
                text,
                changed,
                outcome,
                ..
            } => {
                let known = match (outcome, changed) {
                    (Outcome::Done, _) => "the catalogue shows that it took effect",
                    (Outcome::Not, _) => {
                        "the catalogue shows that it did not, or that it may run again"
                    }
                    (Outcome::Unclear, false) => "the catalogue cannot tell whether it took effect",
                    (Outcome::Unclear, true) => {
                        "the file was changed since, so the statement that ran cannot be looked up"
                    }
                };
                let lines: Vec<String> =
                    text.iter().map(|line| format!("\n      {line}")).collect();
                format!(
                    "{place}: statement {statement} of {total} was begun and cut off: {known}{}",
                    lines.concat()
                )
            }
            Finding::Invalid { index, .. } => {
                format!("{id}: the index {index} is INVALID: building it was not finished")
            }
            Finding::Stopped {
                done, total, error, ..
            } => {
                let why = error.as_ref().map(|error| format!(": {error}"));
                format!(
                    "{id}: {done} of {} took effect; the next run goes on after that{}",
                    words::plural(*total, "statement"),
                    why.unwrap_or_default()
                )
            }
            Finding::Void { .. } => {
                format!("{id}: failed before anything took effect, and its file was changed since")
            }
            Finding::Changed { done, .. } => format!(
                "{id}: {} took effect, and those were changed in the file since: bring them back as they were",
                words::plural(*done, "statement")
            ),
            Finding::Edited { was, now, .. } => format!(
                "{id}: was edited after it was applied (then {}, now {})",
                was.get(..12).unwrap_or(was),
                now.get(..12).unwrap_or(now)
            ),
            Finding::Layout { .. } => {
                format!("{id}: only comments or layout were changed since it was applied")
            }
            Finding::Unlike { tool, .. } => format!(
                "{id}: {}'s table holds the checksum of another text, so {}",
                tool.label(),
                tool.on_edits()
            ),
            Finding::Missing { .. } => format!(
                "{id}: its file is gone: bring it back (`git log --diff-filter=D -- '*{id}'` finds it)"
            ),
        }
    }
}
