//! The only place that prints. Imports `model` and `plan`.
//!
//! Data (tables, plans, documents, the event lines of `ndjson`) goes to
//! standard output, all else to standard error. Live display, log lines, JSON
//! lines and the timeline of a stored release show the same events; whoever
//! makes events knows no display.

pub mod backups;
pub mod complaints;
pub mod ending;
pub mod forecast;
mod github;
mod line;
mod live;
mod mask;
pub mod migrations;
mod ndjson;
mod options;
mod out;
mod plain;
pub mod plan_text;
mod prompt;
pub mod releases;
pub mod report;
pub mod safeguards;
mod screen;
pub mod status;
mod style;
mod table;
pub mod words;

#[cfg(test)]
mod history_samples;
#[cfg(test)]
mod samples;

use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use serde_json::Value;
use tokio::sync::mpsc::{self, UnboundedReceiver, UnboundedSender};
use tokio::sync::oneshot;

use crate::model::complaint::Complaint;
use crate::model::event::Event;
use crate::model::fault::Fault;
use crate::model::host::HostAddress;
use crate::model::secret::Secret;

use mask::Mask;
use out::Out;
use screen::Screen;

pub use options::{Audience, Format, UiOptions, Verbosity};
pub use prompt::{Answer, Expected, PATIENCE};
pub use style::Style;
pub use table::Table;

/// Standard output and error of one command.
pub struct Ui {
    options: UiOptions,
    screen: Arc<Mutex<Screen>>,
    events: UnboundedSender<Event>,
    settled: UnboundedSender<oneshot::Sender<()>>,
    mask: Mask,
}

impl Ui {
    /// Begins to show events. Call it inside a tokio runtime.
    #[must_use]
    pub fn new(options: UiOptions) -> Self {
        Self::on(options, Out::stdout(), Out::stderr())
    }

    fn on(options: UiOptions, out: Out, err: Out) -> Self {
        let mask = Mask::default();
        let (out, err) = (out.masked(mask.clone()), err.masked(mask.clone()));
        let screen = Arc::new(Mutex::new(Screen::new(options, out, err, mask.clone())));
        let (events, incoming) = mpsc::unbounded_channel();
        let (settled, asked) = mpsc::unbounded_channel();
        tokio::spawn(consume(Arc::clone(&screen), incoming, asked));
        Self {
            options,
            screen,
            events,
            settled,
            mask,
        }
    }

    #[must_use]
    pub fn options(&self) -> &UiOptions {
        &self.options
    }

    /// Where events are sent. Never blocks, never fails the sender.
    #[must_use]
    pub fn events(&self) -> UnboundedSender<Event> {
        self.events.clone()
    }

    /// What is given to this is never shown from now on, whoever prints it.
    pub fn hider(&self) -> impl Fn(&Secret) + Send + Sync + 'static {
        let mask = self.mask.clone();
        move |secret| mask.hide(secret)
    }

    /// A text as it may be shown: for what is written to files.
    pub fn masker(&self) -> impl Fn(&str) -> String + Send + Sync + 'static {
        let mask = self.mask.clone();
        move |text| mask.apply(text).into_owned()
    }

    /// Makes the column of hosts wide enough from the first line on.
    pub fn expect_hosts<'a>(&self, hosts: impl IntoIterator<Item = &'a HostAddress>) {
        let widths = hosts.into_iter().map(|host| host.as_str().chars().count());
        self.screen().reserve(widths.max().unwrap_or_default());
    }

    /// The command's answer, once: `text` for people on standard output, the
    /// document for programs.
    pub async fn show(&self, text: &str, document: &Value) {
        self.settle().await;
        self.screen().show(text, document);
    }

    /// Text for people before the answer, such as the plan above a question.
    /// Where standard output is for programs it goes to standard error.
    pub async fn data(&self, text: &str) {
        self.settle().await;
        match self.options.format {
            Format::Text => self.screen().data(text),
            Format::Json | Format::Ndjson => self.screen().note(text),
        }
    }

    /// A word to people on standard error; silent when quiet.
    pub async fn note(&self, text: &str) {
        self.settle().await;
        self.screen().note(text);
    }

    /// The run goes on.
    pub async fn warn(&self, text: &str) {
        self.settle().await;
        self.screen().warn(text);
    }

    /// Marks places in files where a CI shows such marks; `folder` is what the
    /// files are named beneath.
    pub async fn annotate<'a>(
        &self,
        folder: &Path,
        complaints: impl IntoIterator<Item = &'a Complaint>,
    ) {
        self.settle().await;
        self.screen().annotate(folder, complaints);
    }

    /// The end of a run that failed: the report on standard error, the one
    /// document for programs on standard output.
    pub async fn report(&self, fault: &Fault, exit_code: u8) {
        self.settle().await;
        self.screen().report(fault, exit_code);
    }

    /// Asks a person and waits up to five minutes.
    pub async fn confirm(&self, question: &str, expected: Expected) -> Answer {
        self.settle().await;
        self.screen().finish();
        prompt::confirm(question, expected).await
    }

    /// Every event that was sent so far is shown when this returns.
    pub async fn settle(&self) {
        let (done, shown) = oneshot::channel();
        if self.settled.send(done).is_ok() {
            let _ = shown.await;
        }
    }

    /// The last call: shows what is left and takes the moving part away.
    ///
    /// # Errors
    /// Standard output could not be written; a closed pipe is no error.
    pub async fn finish(&self) -> Result<(), Fault> {
        self.settle().await;
        let mut screen = self.screen();
        screen.finish();
        match screen.trouble() {
            Some(fault) => Err(fault),
            None => Ok(()),
        }
    }

    fn screen(&self) -> MutexGuard<'_, Screen> {
        lock(&self.screen)
    }
}

/// A display that panicked once can still print.
fn lock(screen: &Mutex<Screen>) -> MutexGuard<'_, Screen> {
    screen.lock().unwrap_or_else(PoisonError::into_inner)
}

async fn consume(
    screen: Arc<Mutex<Screen>>,
    mut events: UnboundedReceiver<Event>,
    mut asked: UnboundedReceiver<oneshot::Sender<()>>,
) {
    loop {
        tokio::select! {
            // Events first: whoever asks is answered when none is left.
            biased;
            Some(event) = events.recv() => lock(&screen).event(&event),
            ask = asked.recv() => match ask {
                Some(done) => { let _ = done.send(()); }
                None => break,
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::samples::Memory;
    use super::*;

    #[tokio::test]
    async fn the_answer_comes_after_every_event_that_was_sent_before_it() {
        let out = Memory::default();
        let options = UiOptions {
            format: Format::Ndjson,
            ..samples::options()
        };
        let ui = Ui::on(options, out.out(), Memory::default().out());
        let events = ui.events();
        for event in samples::completed() {
            events.send(event).expect("the display listens");
        }
        ui.show("", &json!({"status": "done"})).await;
        ui.finish().await.expect("written");
        let text = out.text();
        assert_eq!(text.lines().count(), samples::completed().len() + 1);
        assert!(text.lines().last().expect("lines").contains("\"result\""));
    }

    #[tokio::test]
    async fn a_report_waits_for_the_events_before_it() {
        let err = Memory::default();
        let ui = Ui::on(samples::options(), Memory::default().out(), err.out());
        for event in samples::failed() {
            ui.events().send(event).expect("the display listens");
        }
        ui.report(&Fault::failed("rollout failed"), 23).await;
        assert!(err.text().ends_with("error: rollout failed\n"));
        assert!(err.text().contains("    finalize  skipped"));
    }

    #[tokio::test]
    async fn hosts_that_are_known_line_up_from_the_first_line() {
        let err = Memory::default();
        let ui = Ui::on(samples::options(), Memory::default().out(), err.out());
        ui.expect_hosts(["deploy@10.0.0.10".parse().expect("an address")].iter());
        for event in samples::every_kind() {
            ui.events().send(event).expect("the display listens");
        }
        ui.finish().await.expect("written");
        assert!(err.text().contains("  web2              started shop"));
    }
}
