//! Runs as events, and somewhere to print them, for the tests of this folder.

use std::io::{self, Write};
use std::sync::{Arc, Mutex};

use chrono::{DateTime, Duration, Utc};

use crate::model::event::{Event, EventKind, Scope, Unit};
use crate::model::phase::{Phase, Status};

use super::options::{Audience, Format, UiOptions, Verbosity};
use super::out::Out;
use super::style::Style;

pub(super) fn options() -> UiOptions {
    UiOptions {
        format: Format::Text,
        verbosity: Verbosity::Normal,
        audience: Audience::Log,
        stdout_style: Style::Plain,
        style: Style::Plain,
        width: None,
    }
}

/// What was printed.
#[derive(Clone, Default)]
pub(super) struct Memory(Arc<Mutex<Vec<u8>>>);

impl Memory {
    pub(super) fn out(&self) -> Out {
        Out::to(Box::new(self.clone()))
    }

    pub(super) fn text(&self) -> String {
        let bytes = self.0.lock().expect("nobody panicked").clone();
        String::from_utf8(bytes).expect("text")
    }
}

impl Write for Memory {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().expect("nobody panicked").write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

pub(super) fn start() -> DateTime<Utc> {
    "2026-01-14T10:15:02Z".parse().expect("a time")
}

/// Collects events, half a second apart.
#[derive(Default)]
struct Script(Vec<Event>);

impl Script {
    fn say(mut self, scope: Scope, kind: EventKind) -> Self {
        let at = start() + Duration::milliseconds(500) * i32::try_from(self.0.len()).expect("few");
        self.0.push(Event { at, scope, kind });
        self
    }

    fn release(self) -> Self {
        self.say(
            Scope::default(),
            EventKind::ReleaseStarted {
                release: "rel-20260114-101502001".to_owned(),
                version: "4f2a9c1".to_owned(),
            },
        )
    }

    fn begin(self, phase: Phase) -> Self {
        self.say(scope(phase), EventKind::PhaseStarted)
    }

    fn end(self, phase: Phase, status: Status, reason: Option<&str>, elapsed_ms: u64) -> Self {
        self.say(
            scope(phase),
            EventKind::PhaseFinished {
                status,
                reason: reason.map(str::to_owned),
                elapsed_ms,
            },
        )
    }

    fn step(self, scope: Scope, text: &str) -> Self {
        self.say(scope, EventKind::Step { text: text.into() })
    }
}

fn scope(phase: Phase) -> Scope {
    Scope {
        phase: Some(phase),
        ..Scope::default()
    }
}

fn on(phase: Phase, host: &str) -> Scope {
    Scope {
        host: Some(host.parse().expect("an address")),
        ..scope(phase)
    }
}

fn of(phase: Phase, database: &str) -> Scope {
    Scope {
        database: Some(database.parse().expect("a name")),
        ..scope(phase)
    }
}

fn until_rollout() -> Script {
    Script::default()
        .release()
        .begin(Phase::Build)
        .say(
            scope(Phase::Build),
            EventKind::Output {
                line: "#7 [2/4] RUN npm ci".to_owned(),
            },
        )
        .end(Phase::Build, Status::Completed, None, 2_100)
        .begin(Phase::Push)
        .end(Phase::Push, Status::Completed, Some("already there"), 340)
        .begin(Phase::MigratePre)
        .step(of(Phase::MigratePre, "main"), "applied 0042_add_notes.sql")
        .end(
            Phase::MigratePre,
            Status::Completed,
            Some("1 migration"),
            95,
        )
        .begin(Phase::Rollout)
        .step(
            on(Phase::Rollout, "deploy@10.0.0.10"),
            "started shop-prod-web-1-rel-20260114-101502001",
        )
        .step(on(Phase::Rollout, "web2"), "pulled the image")
}

pub(super) fn completed() -> Vec<Event> {
    until_rollout()
        .step(on(Phase::Rollout, "web2"), "moved the traffic")
        .end(Phase::Rollout, Status::Completed, None, 12_340)
        .end(
            Phase::MigratePost,
            Status::Skipped,
            Some("nothing is pending"),
            0,
        )
        .begin(Phase::Finalize)
        .end(Phase::Finalize, Status::Completed, None, 185_000)
        .0
}

pub(super) fn failed() -> Vec<Event> {
    until_rollout()
        .say(
            on(Phase::Rollout, "web2"),
            EventKind::Warning {
                text: "the disk is 91 % full".to_owned(),
            },
        )
        .end(
            Phase::Rollout,
            Status::Failed,
            Some("`web` on web2 did not become healthy within 30 s"),
            31_000,
        )
        .end(
            Phase::MigratePost,
            Status::Skipped,
            Some("rollout failed"),
            0,
        )
        .end(Phase::Finalize, Status::Skipped, Some("rollout failed"), 0)
        .0
}

/// Killed in the middle: nothing says that the rollout ended.
pub(super) fn interrupted() -> Vec<Event> {
    until_rollout().0
}

pub(super) fn every_kind() -> Vec<Event> {
    let host = || on(Phase::Rollout, "web2");
    let mut script = Script::default()
        .step(Scope::default(), "read the history of 2 hosts")
        .release()
        .begin(Phase::Rollout)
        .step(host(), "started shop-prod-web-1")
        .step(
            Scope {
                database: Some("main".parse().expect("a name")),
                ..host()
            },
            "applied 0001_init.sql",
        )
        .say(
            host(),
            EventKind::Output {
                line: "\u{1b}[32mlistening\u{1b}[0m on :3000".to_owned(),
            },
        )
        .say(
            host(),
            EventKind::Progress {
                what: "sending layers".to_owned(),
                done: 12_300_000,
                total: Some(40_000_000),
                unit: Unit::Bytes,
            },
        )
        .say(
            host(),
            EventKind::Retry {
                what: "health of web".to_owned(),
                attempt: 2,
                of: 5,
                reason: "connection refused".to_owned(),
            },
        )
        .say(
            host(),
            EventKind::Warning {
                text: "the disk is 91 % full".to_owned(),
            },
        );
    for status in [
        Status::Completed,
        Status::Failed,
        Status::Skipped,
        Status::Running,
        Status::Pending,
    ] {
        script = script.end(Phase::Rollout, status, None, 12_340).end(
            Phase::MigratePre,
            status,
            Some("the reason"),
            340,
        );
    }
    script.0
}
