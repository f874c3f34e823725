//! What went wrong, as data: the one error of every port.
//!
//! A fault says what failed and why, carries the evidence (last lines of a
//! container or database) and the way out. Where the world stands is added by
//! whoever knows it: the deployer. Messages are lower-case fragments without a
//! final period and never repeat their cause.

use std::fmt;

use serde::{Deserialize, Serialize};

/// The kinds that decide the exit code together with the phase they struck in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FaultKind {
    /// The configuration is wrong or lacks something (10).
    Config,
    /// Somebody else holds a lock (11).
    Locked,
    /// A gate said no, or nobody approved (12).
    Refused,
    /// The question was answered with no, or not in time (12, `cancelled`).
    Cancelled,
    /// A host, registry or database cannot be reached (13 while observing,
    /// afterwards the phase's own code).
    Unreachable,
    /// The work itself failed (the phase's own code).
    Failed,
    /// An undo failed: a person must look (30).
    UndoFailed,
    /// A signal ended it (130).
    Interrupted,
    /// A defect, or this machine's own trouble such as a full disk (1).
    Internal,
}

/// Lines that show why: of a container's log, a database, a command.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Evidence {
    /// Such as `last lines from shop-prod-web-1 on 10.0.0.4`.
    pub title: String,
    pub lines: Vec<String>,
}

/// See the module's own words.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Fault {
    pub kind: FaultKind,
    /// What failed.
    pub what: String,
    /// Why, outermost first.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub causes: Vec<String>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub evidence: Vec<Evidence>,
    /// Where the world stands now, in whole statements.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub state: Vec<String>,
    /// What to do next; commands stand in backticks.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub hints: Vec<String>,
}

impl Fault {
    pub fn new(kind: FaultKind, what: impl Into<String>) -> Self {
        Self {
            kind,
            what: what.into(),
            causes: vec![],
            evidence: vec![],
            state: vec![],
            hints: vec![],
        }
    }

    pub fn config(what: impl Into<String>) -> Self {
        Self::new(FaultKind::Config, what)
    }

    pub fn refused(what: impl Into<String>) -> Self {
        Self::new(FaultKind::Refused, what)
    }

    pub fn unreachable(what: impl Into<String>) -> Self {
        Self::new(FaultKind::Unreachable, what)
    }

    pub fn failed(what: impl Into<String>) -> Self {
        Self::new(FaultKind::Failed, what)
    }

    pub fn internal(what: impl Into<String>) -> Self {
        Self::new(FaultKind::Internal, what)
    }

    /// The work was stopped by a signal.
    #[must_use]
    pub fn interrupted() -> Self {
        Self::new(FaultKind::Interrupted, "interrupted")
    }

    /// Adds a cause in words.
    #[must_use]
    pub fn because(mut self, cause: impl Into<String>) -> Self {
        let cause = cause.into();
        if !cause.is_empty() && self.causes.last() != Some(&cause) {
            self.causes.push(cause);
        }
        self
    }

    /// Adds an error and its chain of sources as causes, each text once.
    #[must_use]
    pub fn caused_by(mut self, error: &dyn std::error::Error) -> Self {
        let mut next = Some(error);
        while let Some(error) = next {
            let text = error.to_string();
            // Many libraries print their source inside their own text.
            if !self.causes.iter().any(|known| known.contains(&text)) {
                self.causes.push(text);
            }
            next = error.source();
        }
        self
    }

    #[must_use]
    pub fn showing(mut self, title: impl Into<String>, lines: Vec<String>) -> Self {
        if !lines.is_empty() {
            self.evidence.push(Evidence {
                title: title.into(),
                lines,
            });
        }
        self
    }

    #[must_use]
    pub fn state(mut self, state: impl Into<String>) -> Self {
        self.state.push(state.into());
        self
    }

    #[must_use]
    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        let hint = hint.into();
        if !self.hints.contains(&hint) {
            self.hints.push(hint);
        }
        self
    }
}

/// What and why in one line, for reasons in records.
impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.what)?;
        for cause in &self.causes {
            write!(f, ": {}", cause.lines().next().unwrap_or_default())?;
        }
        Ok(())
    }
}

impl std::error::Error for Fault {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cause_that_stands_inside_another_is_said_once() {
        let inner = std::io::Error::other("connection refused");
        let fault = Fault::unreachable("cannot reach `web1`")
            .because("ssh: connection refused")
            .caused_by(&inner);
        assert_eq!(
            fault.to_string(),
            "cannot reach `web1`: ssh: connection refused"
        );
    }
}
