//! The display of a terminal: finished phases stand above, below them the
//! running phase and a row for each host or database that is at work.
//!
//! [`Board`] decides what is shown and is pure; [`Live`] draws it.

use indexmap::IndexMap;
use indicatif::{MultiProgress, ProgressBar, ProgressDrawTarget, ProgressStyle};

use crate::model::event::{Event, EventKind};
use crate::model::phase::{Phase, Status};

use super::line::{Lines, Weight, place, progress, retry, right, weight};
use super::options::{UiOptions, Verbosity};
use super::words::printable;

/// What the moving part of the display says.
#[derive(Debug, Clone)]
struct Board {
    lines: Lines,
    least: Weight,
    phase: Option<Phase>,
    now: String,
    places: IndexMap<String, String>,
}

impl Board {
    fn new(options: &UiOptions) -> Self {
        Self {
            lines: Lines::new(options.style),
            least: match options.verbosity {
                Verbosity::Quiet => Weight::Warning,
                Verbosity::Normal => Weight::Normal,
                Verbosity::Verbose => Weight::Detail,
            },
            phase: None,
            now: String::new(),
            places: IndexMap::new(),
        }
    }

    /// Takes the event in; returns the line that goes above the moving part.
    fn apply(&mut self, event: &Event) -> Option<String> {
        match &event.kind {
            EventKind::PhaseStarted => {
                self.phase = event.scope.phase;
                self.clear();
                None
            }
            EventKind::PhaseFinished { .. } => {
                self.phase = None;
                self.clear();
                self.above(event)
            }
            EventKind::ReleaseStarted { .. } => {
                self.clear();
                self.above(event)
            }
            EventKind::Warning { .. } => self.above(event),
            EventKind::Retry { .. } => {
                self.set(event, retry(&event.kind));
                self.above(event)
            }
            EventKind::Progress { .. } => {
                self.set(event, progress(&event.kind));
                None
            }
            EventKind::Step { text } => {
                self.set(event, printable(text));
                // What was done to a database is worth keeping in sight.
                let kept = event.scope.database.is_some() || self.least == Weight::Detail;
                if kept { self.above(event) } else { None }
            }
            EventKind::Output { line } => {
                self.set(event, self.lines.style.dim(&printable(line)));
                self.above(event)
            }
        }
    }

    fn above(&mut self, event: &Event) -> Option<String> {
        (weight(&event.kind) >= self.least).then(|| self.lines.event(event))
    }

    fn set(&mut self, event: &Event, text: String) {
        let text = text.lines().next_back().unwrap_or_default().to_owned();
        match place(&event.scope) {
            Some(place) => {
                self.places.insert(place, text);
            }
            None => self.now = text,
        }
    }

    fn clear(&mut self) {
        self.now.clear();
        self.places.clear();
    }

    /// The heading of the moving part and a row for each place. Nothing while
    /// no phase runs and nobody works.
    fn rows(&self) -> Vec<Row> {
        if self.least == Weight::Warning {
            return vec![];
        }
        let style = self.lines.style;
        let mut rows = vec![];
        let about = self.phase.map_or("", Phase::key);
        if self.phase.is_some() || !self.now.is_empty() {
            let running = style.status(Status::Running, Status::Running.label());
            rows.push(Row {
                kind: RowKind::Heading,
                prefix: format!("{}  {running}", style.bold(&right(about))),
                text: self.now.clone(),
            });
        }
        let width = self.places.keys().map(|place| place.chars().count()).max();
        let width = width.unwrap_or_default();
        for (place, text) in &self.places {
            let place = style.hint(&format!("{place:width$}"));
            rows.push(Row {
                kind: RowKind::Place,
                prefix: format!("{}  {place}", right("")),
                text: text.clone(),
            });
        }
        rows
    }
}

/// A line of the moving part.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Row {
    kind: RowKind,
    prefix: String,
    text: String,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum RowKind {
    /// It turns and counts, so that a person sees that it lives.
    Heading,
    Place,
}

impl RowKind {
    fn look(self) -> ProgressStyle {
        let template = match self {
            RowKind::Heading => "{prefix} {spinner} {elapsed}  {wide_msg}",
            RowKind::Place => "{prefix}  {wide_msg}",
        };
        ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_spinner())
    }
}

pub(super) struct Live {
    board: Board,
    screen: MultiProgress,
    bars: Vec<(RowKind, ProgressBar)>,
}

impl Live {
    pub(super) fn new(options: &UiOptions) -> Self {
        Self::drawing_on(options, ProgressDrawTarget::stderr())
    }

    fn drawing_on(options: &UiOptions, target: ProgressDrawTarget) -> Self {
        Self {
            board: Board::new(options),
            screen: MultiProgress::with_draw_target(target),
            bars: vec![],
        }
    }

    /// Nothing would be drawn, not even lines above.
    pub(super) fn is_hidden(&self) -> bool {
        self.screen.is_hidden()
    }

    pub(super) fn reserve(&mut self, width: usize) {
        self.board.lines.reserve(width);
    }

    pub(super) fn event(&mut self, event: &Event) {
        if let Some(line) = self.board.apply(event) {
            // A terminal that went away stops nothing.
            let _ = self.screen.println(line);
        }
        self.draw();
    }

    pub(super) fn finish(&mut self) {
        self.board.phase = None;
        self.board.clear();
        self.draw();
    }

    /// Takes the moving part away while something else is printed.
    pub(super) fn suspend<T>(&self, print: impl FnOnce() -> T) -> T {
        self.screen.suspend(print)
    }

    fn draw(&mut self) {
        let rows = self.board.rows();
        while self.bars.len() > rows.len() {
            if let Some((_, bar)) = self.bars.pop() {
                bar.finish_and_clear();
                self.screen.remove(&bar);
            }
        }
        for (index, row) in rows.into_iter().enumerate() {
            if index == self.bars.len() {
                let bar = self.screen.add(ProgressBar::new_spinner());
                self.bars.push((row.kind, dressed(bar, row.kind)));
            }
            let (kind, bar) = &mut self.bars[index];
            if *kind != row.kind {
                *kind = row.kind;
                *bar = dressed(bar.clone(), row.kind);
            }
            bar.set_prefix(row.prefix);
            bar.set_message(row.text);
        }
    }
}

const TICK: std::time::Duration = std::time::Duration::from_millis(120);

fn dressed(bar: ProgressBar, kind: RowKind) -> ProgressBar {
    bar.set_style(kind.look());
    match kind {
        RowKind::Heading => bar.enable_steady_tick(TICK),
        RowKind::Place => bar.disable_steady_tick(),
    }
    bar
}

#[cfg(test)]
mod tests {
    use std::fmt::Write;

    use super::super::samples;
    use super::*;

    /// After each event, what went above and what the moving part says.
    fn story(events: &[Event], verbosity: Verbosity) -> String {
        let mut board = Board::new(&UiOptions {
            verbosity,
            ..samples::options()
        });
        let mut story = String::new();
        let mut last = vec![];
        for event in events {
            if let Some(line) = board.apply(event) {
                writeln!(story, "  above | {line}").expect("memory");
            }
            let rows = board.rows();
            if rows != last {
                for row in &rows {
                    let line = format!(" moving | {}  {}", row.prefix, row.text);
                    writeln!(story, "{}", line.trim_end()).expect("memory");
                }
                writeln!(story, "        |").expect("memory");
                last = rows;
            }
        }
        story
    }

    #[test]
    fn a_completed_run() {
        insta::assert_snapshot!(story(&samples::completed(), Verbosity::Normal));
    }

    #[test]
    fn a_failed_run() {
        insta::assert_snapshot!(story(&samples::failed(), Verbosity::Normal));
    }

    #[test]
    fn an_interrupted_run() {
        insta::assert_snapshot!(story(&samples::interrupted(), Verbosity::Normal));
    }

    #[test]
    fn every_kind_of_event_when_all_is_asked_for() {
        insta::assert_snapshot!(story(&samples::every_kind(), Verbosity::Verbose));
    }

    #[test]
    fn a_quiet_run_shows_warnings_only() {
        insta::assert_snapshot!(story(&samples::every_kind(), Verbosity::Quiet));
    }

    #[test]
    fn a_display_draws_every_run_and_leaves_nothing_moving() {
        for events in [
            samples::completed(),
            samples::interrupted(),
            samples::every_kind(),
        ] {
            let mut live = Live::drawing_on(&samples::options(), ProgressDrawTarget::hidden());
            for event in &events {
                live.event(event);
                assert_eq!(live.bars.len(), live.board.rows().len());
            }
            live.finish();
            assert!(live.bars.is_empty());
        }
    }
}
