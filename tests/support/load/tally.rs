//! What happened, as it happens.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// How the application is asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Kind {
    /// GET after GET on one connection.
    KeptAlive,
    /// A connection for each GET.
    Fresh,
    /// POST with a body, which comes back.
    Post,
    /// The application takes its time.
    Slow,
    /// One answer that goes on: an event each.
    Events,
    /// A word and its echo each.
    WebSocket,
}

impl Kind {
    pub(crate) const ALL: [Self; 6] = [
        Self::KeptAlive,
        Self::Fresh,
        Self::Post,
        Self::Slow,
        Self::Events,
        Self::WebSocket,
    ];

    /// Whether each of its answers is a request of its own.
    pub(super) fn is_short(self) -> bool {
        match self {
            Self::KeptAlive | Self::Fresh | Self::Post => true,
            Self::Slow | Self::Events | Self::WebSocket => false,
        }
    }
}

/// One complete answer, event or echo. Times count from the load's start.
#[derive(Debug, Clone)]
pub(super) struct Answer {
    pub(super) kind: Kind,
    pub(super) host: usize,
    pub(super) version: String,
    pub(super) begun: Duration,
    pub(super) took: Duration,
}

/// Something that must not happen.
#[derive(Debug, Clone)]
pub(crate) struct Failure {
    pub(crate) kind: Kind,
    pub(crate) host: usize,
    pub(crate) at: Duration,
    pub(crate) reason: String,
}

/// How the server ended a stream without breaking it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum End {
    /// It said goodbye: a close frame, the last event and chunk.
    Goodbye,
    /// A WebSocket's connection was closed between two frames.
    Silent,
}

/// A stream that the server ended properly; the client came back.
#[derive(Debug, Clone)]
pub(super) struct Ended {
    pub(super) kind: Kind,
    pub(super) host: usize,
    pub(super) version: String,
    pub(super) opened: Duration,
    pub(super) at: Duration,
    pub(super) how: End,
}

#[derive(Default, Clone)]
pub(super) struct Seen {
    pub(super) answers: Vec<Answer>,
    /// The first of each host and kind, in order.
    pub(super) failures: Vec<Failure>,
    pub(super) failed: BTreeMap<(usize, Kind), u32>,
    pub(super) ended: Vec<Ended>,
    /// Streams opened, by host and kind.
    pub(super) opened: BTreeMap<(usize, Kind), u32>,
}

/// Failures that are kept of each host and kind; all are counted.
const KEPT: u32 = 20;

pub(super) struct Tally {
    started: Instant,
    seen: Mutex<Seen>,
}

impl Tally {
    pub(super) fn new() -> Self {
        Self {
            started: Instant::now(),
            seen: Mutex::default(),
        }
    }

    pub(super) fn now(&self) -> Duration {
        self.started.elapsed()
    }

    pub(super) fn answered(&self, kind: Kind, host: usize, version: &str, begun: Duration) {
        let took = self.now().saturating_sub(begun);
        self.seen().answers.push(Answer {
            kind,
            host,
            version: version.to_owned(),
            begun,
            took,
        });
    }

    pub(super) fn failed(&self, kind: Kind, host: usize, reason: String) {
        let at = self.now();
        let mut seen = self.seen();
        let count = seen.failed.entry((host, kind)).or_default();
        *count += 1;
        if *count <= KEPT {
            seen.failures.push(Failure {
                kind,
                host,
                at,
                reason,
            });
        }
    }

    pub(super) fn opened(&self, kind: Kind, host: usize) {
        *self.seen().opened.entry((host, kind)).or_default() += 1;
    }

    pub(super) fn ended(&self, ended: Ended) {
        self.seen().ended.push(ended);
    }

    pub(super) fn so_far(&self) -> Seen {
        self.seen().clone()
    }

    /// Every kind got an answer or a failure on every host.
    pub(super) fn tried_all(&self, hosts: usize) -> bool {
        let seen = self.seen();
        let answered = seen.answers.iter().map(|one| (one.host, one.kind));
        let failed = seen.failed.keys().copied();
        let tried: BTreeSet<_> = answered.chain(failed).collect();
        tried.len() == hosts * Kind::ALL.len()
    }

    fn seen(&self) -> MutexGuard<'_, Seen> {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
