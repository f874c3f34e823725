//! What one run of the program did: its code, its words, how long it took.

use std::time::Duration;

use serde_json::Value;

/// A run that ended. Every check returns it, so that checks can be chained.
#[derive(Debug)]
pub(crate) struct Run {
    pub(crate) command: String,
    /// `None`: ended by a signal.
    pub(crate) code: Option<i32>,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
    pub(crate) took: Duration,
}

impl Run {
    #[track_caller]
    pub(crate) fn succeeds(self) -> Self {
        self.ends_with(0)
    }

    /// It fails with this code, and says what and what next.
    #[track_caller]
    pub(crate) fn fails_with(self, code: i32) -> Self {
        let run = self.ends_with(code);
        assert!(run.stderr.contains("error: "), "says what failed: {run}");
        assert!(run.stderr.contains("hint: "), "says what to do next: {run}");
        run
    }

    #[track_caller]
    pub(crate) fn ends_with(self, code: i32) -> Self {
        assert_eq!(self.code, Some(code), "{self}");
        self
    }

    /// All of these stand somewhere in what it said.
    #[track_caller]
    pub(crate) fn saying(self, words: &[&str]) -> Self {
        for word in words {
            assert!(
                self.stdout.contains(word) || self.stderr.contains(word),
                "says {word:?}: {self}"
            );
        }
        self
    }

    #[track_caller]
    pub(crate) fn never_saying(self, words: &[&str]) -> Self {
        for word in words {
            assert!(
                !self.stdout.contains(word) && !self.stderr.contains(word),
                "does not say {word:?}: {self}"
            );
        }
        self
    }

    #[track_caller]
    pub(crate) fn within(self, limit: Duration) -> Self {
        assert!(self.took <= limit, "at most {limit:?}: {self}");
        self
    }

    /// The one document of `--format json`, or the last line of `ndjson`.
    #[track_caller]
    pub(crate) fn json(&self) -> Value {
        let whole = serde_json::from_str(&self.stdout);
        let last = || serde_json::from_str(self.stdout.lines().last().unwrap_or_default());
        whole
            .or_else(|_| last())
            .unwrap_or_else(|error| panic!("JSON: {error}: {self}"))
    }

    /// The release that it made, finished or ended.
    #[track_caller]
    pub(crate) fn release(&self) -> String {
        let text = format!("{}{}", self.stdout, self.stderr);
        let start = text
            .find("rel-20")
            .unwrap_or_else(|| panic!("a release's id: {self}"));
        text[start..start + "rel-20261121-084542493".len()].to_owned()
    }
}

impl std::fmt::Display for Run {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        writeln!(
            f,
            "`{}` ended with {:?} after {:.1?}",
            self.command, self.code, self.took
        )?;
        writeln!(f, "--- stdout\n{}", self.stdout)?;
        writeln!(f, "--- stderr\n{}", self.stderr)
    }
}
