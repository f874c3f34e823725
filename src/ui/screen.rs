//! Everything that can be written to, in one place: the display of events and
//! the direct outputs never write across each other.

use std::path::Path;

use chrono::Utc;
use serde_json::Value;

use crate::model::complaint::Complaint;
use crate::model::event::{Event, EventKind};
use crate::model::fault::Fault;

use super::live::Live;
use super::mask::Mask;
use super::ndjson::Ndjson;
use super::options::{Audience, Format, UiOptions, Verbosity};
use super::out::Out;
use super::plain::Plain;
use super::{github, report};

pub(super) struct Screen {
    options: UiOptions,
    /// Data.
    out: Out,
    /// All else.
    err: Out,
    display: Display,
    /// For the live display, which draws by itself.
    mask: Mask,
}

enum Display {
    Plain(Plain),
    Live(Live),
    Ndjson(Ndjson),
}

/// An event's text, with hidden values replaced.
fn masked(mask: &Mask, event: &Event) -> Event {
    let mut event = event.clone();
    let text = match &mut event.kind {
        EventKind::Step { text } | EventKind::Warning { text } => Some(text),
        EventKind::Output { line } => Some(line),
        EventKind::Progress { what, .. } => Some(what),
        EventKind::Retry { reason, .. } => Some(reason),
        EventKind::PhaseFinished { reason, .. } => reason.as_mut(),
        EventKind::ReleaseStarted { .. } | EventKind::PhaseStarted => None,
    };
    if let Some(text) = text {
        *text = mask.apply(text).into_owned();
    }
    event
}

impl Screen {
    pub(super) fn new(options: UiOptions, out: Out, err: Out, mask: Mask) -> Self {
        Self {
            options,
            out,
            err,
            display: display(&options),
            mask,
        }
    }

    pub(super) fn event(&mut self, event: &Event) {
        match &mut self.display {
            Display::Plain(plain) => plain.event(event, &mut self.err),
            Display::Live(live) => live.event(&masked(&self.mask, event)),
            Display::Ndjson(lines) => lines.event(event, &mut self.out),
        }
    }

    pub(super) fn reserve(&mut self, width: usize) {
        match &mut self.display {
            Display::Plain(plain) => plain.lines.reserve(width),
            Display::Live(live) => live.reserve(width),
            Display::Ndjson(_) => {}
        }
    }

    pub(super) fn finish(&mut self) {
        match &mut self.display {
            Display::Plain(plain) => plain.finish(&mut self.err),
            Display::Live(live) => live.finish(),
            Display::Ndjson(_) => {}
        }
    }

    /// The command's answer: text for people, the document for programs.
    pub(super) fn show(&mut self, text: &str, document: &Value) {
        match self.options.format {
            Format::Text => self.data(text),
            Format::Json | Format::Ndjson => self.document(document),
        }
    }

    /// A word on the side; silent when quiet.
    pub(super) fn note(&mut self, text: &str) {
        match self.options.verbosity {
            Verbosity::Quiet => {}
            Verbosity::Normal | Verbosity::Verbose => self.aside(text),
        }
    }

    pub(super) fn warn(&mut self, text: &str) {
        let line = match self.options.audience {
            Audience::GitHub => github::warning(text),
            Audience::Terminal | Audience::Log => {
                format!("{} {text}", self.options.style.warning("warning:"))
            }
        };
        self.aside(&line);
    }

    pub(super) fn annotate<'a>(
        &mut self,
        folder: &Path,
        complaints: impl IntoIterator<Item = &'a Complaint>,
    ) {
        match self.options.audience {
            Audience::GitHub => {
                for complaint in complaints {
                    self.aside(&github::annotation(folder, complaint));
                }
            }
            Audience::Terminal | Audience::Log => {}
        }
    }

    /// The end of a run that failed.
    pub(super) fn report(&mut self, fault: &Fault, exit_code: u8) {
        self.finish();
        let text = report::text(fault, self.options.style, self.options.width);
        match self.options.audience {
            Audience::GitHub => {
                let token = uuid::Uuid::now_v7().simple().to_string();
                self.aside(&github::error(&fault.to_string()));
                self.aside(&github::verbatim(&text, &token));
            }
            Audience::Terminal | Audience::Log => self.aside(&text),
        }
        match self.options.format {
            Format::Text => {}
            Format::Json | Format::Ndjson => self.document(&report::document(fault, exit_code)),
        }
    }

    /// What kept the output from its reader.
    pub(super) fn trouble(&self) -> Option<Fault> {
        self.out
            .error()
            .map(|error| Fault::internal("cannot write to standard output").caused_by(error))
    }

    pub(super) fn data(&mut self, text: &str) {
        if text.is_empty() {
            return;
        }
        let out = &mut self.out;
        match &self.display {
            Display::Live(live) => live.suspend(|| out.lines(text)),
            Display::Plain(_) | Display::Ndjson(_) => out.lines(text),
        }
    }

    fn document(&mut self, document: &Value) {
        match &mut self.display {
            Display::Ndjson(lines) => lines.result(document, Utc::now(), &mut self.out),
            Display::Plain(_) | Display::Live(_) => self.data(&format!("{document:#}")),
        }
    }

    fn aside(&mut self, text: &str) {
        let err = &mut self.err;
        match &self.display {
            Display::Live(live) => live.suspend(|| err.lines(text)),
            Display::Plain(_) | Display::Ndjson(_) => err.lines(text),
        }
    }
}

fn display(options: &UiOptions) -> Display {
    match (options.format, options.audience) {
        (Format::Ndjson, _) => Display::Ndjson(Ndjson::default()),
        (Format::Text | Format::Json, Audience::Terminal) => {
            let live = Live::new(options);
            if live.is_hidden() {
                Display::Plain(Plain::new(options))
            } else {
                Display::Live(live)
            }
        }
        (Format::Text | Format::Json, Audience::Log | Audience::GitHub) => {
            Display::Plain(Plain::new(options))
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::super::samples::{self, Memory};
    use super::*;

    fn printed(options: UiOptions, act: impl FnOnce(&mut Screen)) -> (String, String) {
        let (out, err) = (Memory::default(), Memory::default());
        act(&mut Screen::new(
            options,
            out.out(),
            err.out(),
            Mask::default(),
        ));
        (out.text(), err.text())
    }

    fn format(format: Format) -> UiOptions {
        UiOptions {
            format,
            ..samples::options()
        }
    }

    #[test]
    fn people_get_the_text_and_programs_the_document_on_standard_output() {
        let show = |screen: &mut Screen| {
            screen.event(&samples::completed()[0]);
            screen.note("by the way");
            screen.show("a table", &json!({"rows": 1}));
        };
        let (out, err) = printed(format(Format::Text), show);
        assert_eq!(out, "a table\n");
        assert_eq!(err.lines().count(), 2);
        let (out, _) = printed(format(Format::Json), show);
        assert_eq!(out, "{\n  \"rows\": 1\n}\n");
        let (out, err) = printed(format(Format::Ndjson), show);
        assert_eq!(out.lines().count(), 2);
        assert!(out.lines().all(|line| line.starts_with(r#"{"v":1,"#)));
        assert_eq!(err, "by the way\n");
    }

    #[test]
    fn a_failure_is_text_for_people_and_one_document_for_programs() {
        let report = |screen: &mut Screen| screen.report(&Fault::refused("no"), 12);
        let (out, err) = printed(format(Format::Text), report);
        assert_eq!((out.as_str(), err.as_str()), ("", "error: no\n"));
        let (out, err) = printed(format(Format::Json), report);
        let document: Value = serde_json::from_str(&out).expect("one document");
        assert_eq!(document["exit_code"], 12);
        assert_eq!(err, "error: no\n");
    }

    #[test]
    fn quiet_keeps_warnings_errors_and_data() {
        let options = UiOptions {
            verbosity: Verbosity::Quiet,
            ..samples::options()
        };
        let (out, err) = printed(options, |screen| {
            screen.note("nothing to see");
            screen.warn("look");
            screen.data("data");
            screen.report(&Fault::refused("no"), 12);
        });
        assert_eq!(out, "data\n");
        assert_eq!(err, "warning: look\nerror: no\n");
    }

    #[test]
    fn github_gets_an_annotation_and_obeys_nothing_of_the_report() {
        let options = UiOptions {
            audience: Audience::GitHub,
            ..samples::options()
        };
        let fault = Fault::failed("no").showing("last lines", vec!["::set-env::".to_owned()]);
        let (_, err) = printed(options, |screen| screen.report(&fault, 23));
        let lines: Vec<&str> = err.lines().collect();
        assert_eq!(lines[0], "::error title=stagecraft::no");
        let token = lines[1].strip_prefix("::stop-commands::").expect("a token");
        assert_eq!(lines.last(), Some(&format!("::{token}::").as_str()));
    }

    #[test]
    fn a_reader_that_went_away_is_no_trouble_and_a_full_disk_is() {
        let options = samples::options();
        let (reader, writer) = std::io::pipe().expect("a pipe");
        drop(reader);
        let mut screen = Screen::new(
            options,
            Out::to(Box::new(writer)),
            Memory::default().out(),
            Mask::default(),
        );
        screen.data("one");
        screen.data("two");
        assert!(screen.trouble().is_none());
        let full = std::fs::File::options()
            .write(true)
            .open("/dev/full")
            .expect("a device");
        let mut screen = Screen::new(
            options,
            Out::to(Box::new(full)),
            Memory::default().out(),
            Mask::default(),
        );
        screen.data("one");
        assert!(screen.trouble().is_some());
    }
}
