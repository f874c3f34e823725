//! The one look of a run's lines: what it is about in a right-aligned column,
//! then where, then what. Live runs, logs and stored releases share it.

use std::time::Duration;

use crate::model::event::{Event, EventKind, Scope, Unit};
use crate::model::phase::{Phase, Status};

use super::style::Style;
use super::words::{bytes, duration, printable};

/// Wide enough for the longest phase.
const SUBJECT: usize = 12;
const STATUS: usize = 9;
const TOOK: usize = 8;

/// How much a reader needs a line.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Weight {
    /// True for a moment; a log leaves it out.
    Passing,
    /// What tools print.
    Detail,
    /// What was done.
    Normal,
    /// Shown whatever was asked.
    Warning,
}

pub(super) fn weight(kind: &EventKind) -> Weight {
    match kind {
        EventKind::Progress { .. } => Weight::Passing,
        EventKind::Output { .. } => Weight::Detail,
        EventKind::ReleaseStarted { .. }
        | EventKind::PhaseStarted
        | EventKind::PhaseFinished { .. }
        | EventKind::Step { .. }
        | EventKind::Retry { .. } => Weight::Normal,
        EventKind::Warning { .. } => Weight::Warning,
    }
}

/// How a phase stands, for a live run and a stored release alike.
#[derive(Debug, Clone)]
pub(super) struct PhaseLine<'a> {
    pub(super) phase: Phase,
    pub(super) status: Status,
    pub(super) took: Option<Duration>,
    pub(super) began: Began,
    pub(super) reason: Option<&'a str>,
}

/// When a phase began, in a column of its own.
#[derive(Debug, Clone, Copy)]
pub(super) enum Began {
    /// A live run has no such column.
    Unsaid,
    Never,
    /// So long after the release.
    After(Duration),
}

/// Makes lines, and remembers how wide the places are.
#[derive(Debug, Clone)]
pub(super) struct Lines {
    pub(super) style: Style,
    place_width: usize,
}

impl Lines {
    pub(super) fn new(style: Style) -> Self {
        Self {
            style,
            place_width: 0,
        }
    }

    /// Makes the column of places at least this wide.
    pub(super) fn reserve(&mut self, width: usize) {
        self.place_width = self.place_width.max(width);
    }

    pub(super) fn event(&mut self, event: &Event) -> String {
        let about = event.scope.phase.map_or("", Phase::key);
        match &event.kind {
            EventKind::ReleaseStarted { release, version } => {
                // A `migrate run` outside a repository has no version.
                let what = match version.as_str() {
                    "-" => release.clone(),
                    version => format!("{release}  version {}", printable(version)),
                };
                self.line("release", &Scope::default(), &what)
            }
            EventKind::PhaseStarted => {
                let running = self.style.status(Status::Running, Status::Running.label());
                self.line(about, &Scope::default(), &running)
            }
            EventKind::PhaseFinished {
                status,
                reason,
                elapsed_ms,
            } => match event.scope.phase {
                Some(phase) => self.phase(&PhaseLine {
                    phase,
                    status: *status,
                    took: Some(Duration::from_millis(*elapsed_ms)),
                    began: Began::Unsaid,
                    reason: reason.as_deref(),
                }),
                None => self.line("", &event.scope, status.label()),
            },
            EventKind::Step { text } => self.line(about, &event.scope, &printable(text)),
            EventKind::Output { line } => {
                let text = self.style.dim(&printable(line));
                self.line(about, &event.scope, &text)
            }
            EventKind::Progress { .. } => self.line(about, &event.scope, &progress(&event.kind)),
            EventKind::Retry { .. } => self.line(about, &event.scope, &retry(&event.kind)),
            EventKind::Warning { text } => {
                let warning = self.style.warning(&right("warning"));
                let place = self.place(&event.scope);
                format!("{warning}  {place}{}", printable(text))
            }
        }
    }

    pub(super) fn phase(&self, line: &PhaseLine<'_>) -> String {
        let subject = self.style.bold(&right(line.phase.key()));
        let status = self
            .style
            .status(line.status, &format!("{:STATUS$}", line.status.label()));
        let took = match (line.status, line.took) {
            (Status::Skipped | Status::Pending, _) | (_, None) => String::new(),
            (_, Some(took)) => duration(took),
        };
        let began = match line.began {
            Began::Unsaid => String::new(),
            Began::Never => format!("  {:>TOOK$}", ""),
            Began::After(offset) => format!("  {:>TOOK$}", format!("+{}", duration(offset))),
        };
        let reason = line.reason.map(printable).unwrap_or_default();
        let text = format!("{subject}  {status}{began}  {took:>TOOK$}  {reason}");
        text.trim_end().to_owned()
    }

    fn line(&mut self, about: &str, scope: &Scope, what: &str) -> String {
        let subject = self.style.bold(&right(about));
        let place = self.place(scope);
        format!("{subject}  {place}{what}").trim_end().to_owned()
    }

    fn place(&mut self, scope: &Scope) -> String {
        let Some(place) = place(scope) else {
            return String::new();
        };
        self.reserve(place.chars().count());
        let width = self.place_width;
        self.style.hint(&format!("{place:width$}")) + "  "
    }
}

/// The host or database that something is about.
pub(super) fn place(scope: &Scope) -> Option<String> {
    match (&scope.database, &scope.host) {
        (Some(database), Some(host)) => Some(format!("{database} on {host}")),
        (Some(database), None) => Some(database.to_string()),
        (None, Some(host)) => Some(host.to_string()),
        (None, None) => None,
    }
}

pub(super) fn right(subject: &str) -> String {
    format!("{subject:>SUBJECT$}")
}

/// The text of a progress event; empty for others.
pub(super) fn progress(kind: &EventKind) -> String {
    let EventKind::Progress {
        what,
        done,
        total,
        unit,
    } = kind
    else {
        return String::new();
    };
    let amount = |count: u64| match unit {
        Unit::Bytes => bytes(count),
        Unit::Items => count.to_string(),
    };
    let what = printable(what);
    match total {
        Some(total) => format!("{what}  {} of {}", amount(*done), amount(*total)),
        None => format!("{what}  {}", amount(*done)),
    }
}

/// The text of a retry event; empty for others.
pub(super) fn retry(kind: &EventKind) -> String {
    let EventKind::Retry {
        what,
        attempt,
        of,
        reason,
    } = kind
    else {
        return String::new();
    };
    format!(
        "attempt {attempt} of {of}: {}: {}",
        printable(what),
        printable(reason)
    )
}
