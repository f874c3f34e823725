//! Cutting the part out of a file that goes up, without moving it. Imports
//! nothing of this crate.

/// What runs of a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::migrate::files) struct Up {
    /// Every line and column stands where the file has it.
    pub(super) text: String,
    /// The words by which the file asks to run without a transaction.
    pub(super) apart: Option<&'static str>,
}

impl Up {
    /// The whole file.
    pub(super) fn whole(text: &str) -> Self {
        Self {
            text: text.to_owned(),
            apart: None,
        }
    }
}

/// Where a file is not as its tool wants it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::migrate::files) struct Wrong {
    pub(super) line: usize,
    pub(super) what: String,
}

impl Wrong {
    /// `line` counts from 0.
    pub(super) fn at<T>(line: usize, what: impl Into<String>) -> Result<T, Self> {
        Err(Self {
            line: line + 1,
            what: what.into(),
        })
    }
}

/// The lines of a range of line numbers, with empty ones in the place of those
/// before it.
pub(super) fn lines(text: &str, from: usize, to: Option<usize>) -> String {
    let mut kept = String::with_capacity(text.len());
    for (index, line) in text.split_inclusive('\n').enumerate() {
        match to {
            Some(to) if index >= to => break,
            _ if index < from => kept.push('\n'),
            _ => kept.push_str(line),
        }
    }
    kept
}

/// The words behind `--` where a line is a comment and nothing else.
pub(super) fn comment(line: &str) -> Option<&str> {
    line.trim().strip_prefix("--").map(str::trim)
}

/// Whether a line runs nothing.
pub(super) fn idle(line: &str) -> bool {
    line.trim().is_empty() || comment(line).is_some()
}
