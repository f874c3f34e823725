//! Lines for logs: a line when something begins, is done or fails; no ticks.

use crate::model::event::{Event, EventKind};
use crate::model::phase::Phase;

use super::github;
use super::line::{Lines, Weight, place, weight};
use super::options::{Audience, UiOptions, Verbosity};
use super::out::Out;
use super::words::printable;

pub(super) struct Plain {
    pub(super) lines: Lines,
    least: Weight,
    audience: Audience,
    group: Option<Phase>,
}

impl Plain {
    pub(super) fn new(options: &UiOptions) -> Self {
        Self {
            lines: Lines::new(options.style),
            least: least(options),
            audience: options.audience,
            group: None,
        }
    }

    pub(super) fn event(&mut self, event: &Event, out: &mut Out) {
        if weight(&event.kind) < self.least {
            return;
        }
        match self.audience {
            Audience::GitHub => self.github(event, out),
            Audience::Log | Audience::Terminal => out.lines(&self.lines.event(event)),
        }
    }

    /// Ends what is still folded, so that what follows is seen.
    pub(super) fn finish(&mut self, out: &mut Out) {
        if self.group.take().is_some() {
            out.lines(github::END_GROUP);
        }
    }

    fn github(&mut self, event: &Event, out: &mut Out) {
        match &event.kind {
            EventKind::PhaseStarted => {
                self.finish(out);
                self.group = event.scope.phase;
                out.lines(&github::group(
                    event.scope.phase.map_or("phase", Phase::label),
                ));
            }
            EventKind::PhaseFinished { .. } => {
                self.finish(out);
                out.lines(&self.lines.event(event));
            }
            EventKind::Warning { text } => {
                let text = printable(text);
                out.lines(&github::warning(&match place(&event.scope) {
                    Some(place) => format!("{place}: {text}"),
                    None => text,
                }));
            }
            EventKind::ReleaseStarted { .. }
            | EventKind::Step { .. }
            | EventKind::Output { .. }
            | EventKind::Progress { .. }
            | EventKind::Retry { .. } => out.lines(&self.lines.event(event)),
        }
    }
}

/// Folded groups have room for what tools print.
fn least(options: &UiOptions) -> Weight {
    match (options.verbosity, options.audience) {
        (Verbosity::Quiet, _) => Weight::Warning,
        (Verbosity::Normal, Audience::Log | Audience::Terminal) => Weight::Normal,
        (Verbosity::Normal, Audience::GitHub) | (Verbosity::Verbose, _) => Weight::Detail,
    }
}

#[cfg(test)]
mod tests {
    use super::super::samples::{self, Memory};
    use super::*;

    fn rendered(events: &[Event], verbosity: Verbosity, audience: Audience) -> String {
        let memory = Memory::default();
        let mut out = memory.out();
        let mut plain = Plain::new(&UiOptions {
            verbosity,
            audience,
            ..samples::options()
        });
        for event in events {
            plain.event(event, &mut out);
        }
        plain.finish(&mut out);
        memory.text()
    }

    #[test]
    fn every_kind_of_line_on_one_sheet() {
        insta::assert_snapshot!(rendered(
            &samples::every_kind(),
            Verbosity::Verbose,
            Audience::Log
        ));
    }

    #[test]
    fn a_completed_run() {
        insta::assert_snapshot!(rendered(
            &samples::completed(),
            Verbosity::Normal,
            Audience::Log
        ));
    }

    #[test]
    fn a_failed_run() {
        insta::assert_snapshot!(rendered(
            &samples::failed(),
            Verbosity::Normal,
            Audience::Log
        ));
    }

    #[test]
    fn an_interrupted_run() {
        insta::assert_snapshot!(rendered(
            &samples::interrupted(),
            Verbosity::Normal,
            Audience::Log
        ));
    }

    #[test]
    fn a_quiet_run_shows_warnings_only() {
        insta::assert_snapshot!(rendered(
            &samples::every_kind(),
            Verbosity::Quiet,
            Audience::Log
        ));
    }

    #[test]
    fn a_failed_run_in_github_actions_folds_phases_and_annotates() {
        insta::assert_snapshot!(rendered(
            &samples::failed(),
            Verbosity::Normal,
            Audience::GitHub
        ));
    }

    #[test]
    fn a_run_that_is_cut_leaves_no_group_open() {
        let text = rendered(&samples::interrupted(), Verbosity::Normal, Audience::GitHub);
        assert_eq!(
            text.matches("::group::").count(),
            text.matches(github::END_GROUP).count()
        );
    }
}
