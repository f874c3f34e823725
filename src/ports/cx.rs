//! What every port method is given.

use std::sync::{Arc, OnceLock};

use chrono::Utc;
use tokio::sync::mpsc::UnboundedSender;
use tokio_util::sync::CancellationToken;

use crate::model::event::{Event, EventKind, Scope, Unit};
use crate::model::fault::{Fault, FaultKind};
use crate::model::host::HostAddress;
use crate::model::names::DatabaseName;
use crate::model::phase::Phase;

/// The way to report and the way to be stopped. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Cx {
    events: UnboundedSender<Event>,
    scope: Scope,
    cancel: CancellationToken,
    /// Why it was cancelled, when that was no signal.
    reason: Arc<OnceLock<Fault>>,
}

/// An alias for readers: the reporting half of a [`Cx`].
pub type Reporter = UnboundedSender<Event>;

impl Cx {
    #[must_use]
    pub fn new(events: Reporter, cancel: CancellationToken) -> Self {
        Self {
            events,
            scope: Scope::default(),
            cancel,
            reason: Arc::default(),
        }
    }

    /// The phase that it reports for.
    #[must_use]
    pub fn phase(&self) -> Option<Phase> {
        self.scope.phase
    }

    #[must_use]
    pub fn in_phase(&self, phase: Phase) -> Self {
        let mut cx = self.clone();
        cx.scope.phase = Some(phase);
        cx
    }

    #[must_use]
    pub fn on_host(&self, host: &HostAddress) -> Self {
        let mut cx = self.clone();
        cx.scope.host = Some(host.clone());
        cx
    }

    #[must_use]
    pub fn on_database(&self, database: &DatabaseName) -> Self {
        let mut cx = self.clone();
        cx.scope.database = Some(database.clone());
        cx
    }

    /// The same reporter, deaf to the signal: for undo and for the last marks,
    /// which must be made after an interruption too.
    #[must_use]
    pub fn uncancellable(&self) -> Self {
        let mut cx = self.clone();
        cx.cancel = CancellationToken::new();
        cx
    }

    /// The same, with a signal of its own below this one: cancelling the child
    /// leaves the parent alone.
    #[must_use]
    pub fn child(&self) -> Self {
        let mut cx = self.clone();
        cx.cancel = self.cancel.child_token();
        cx
    }

    /// The same reporter under another token: for work with a deadline of its
    /// own. Give it a child of [`Cx::token`], so that the signal still counts.
    #[must_use]
    pub fn under(&self, cancel: CancellationToken) -> Self {
        let mut cx = self.clone();
        cx.cancel = cancel;
        cx
    }

    /// Sends an event of this scope. A display that went away stops nothing.
    pub fn send(&self, kind: EventKind) {
        let _ = self.events.send(Event {
            at: Utc::now(),
            scope: self.scope.clone(),
            kind,
        });
    }

    /// Something was done: past tense.
    pub fn step(&self, text: impl Into<String>) {
        self.send(EventKind::Step { text: text.into() });
    }

    pub fn output(&self, line: impl Into<String>) {
        self.send(EventKind::Output { line: line.into() });
    }

    pub fn warn(&self, text: impl Into<String>) {
        self.send(EventKind::Warning { text: text.into() });
    }

    pub fn progress(&self, what: impl Into<String>, done: u64, total: Option<u64>, unit: Unit) {
        self.send(EventKind::Progress {
            what: what.into(),
            done,
            total,
            unit,
        });
    }

    pub fn retry(&self, what: impl Into<String>, attempt: u32, of: u32, reason: impl Into<String>) {
        self.send(EventKind::Retry {
            what: what.into(),
            attempt,
            of,
            reason: reason.into(),
        });
    }

    #[must_use]
    pub fn token(&self) -> &CancellationToken {
        &self.cancel
    }

    /// Stops the work as a signal would, for a reason of its own.
    pub fn stop(&self, reason: Fault) {
        let _ = self.reason.set(reason);
        self.cancel.cancel();
    }

    /// The fault, with the real reason where it only says `interrupted`.
    #[must_use]
    pub fn explained(&self, fault: Fault) -> Fault {
        match self.reason.get() {
            Some(reason) if fault.kind == FaultKind::Interrupted => {
                let mut explained = reason.clone();
                explained.evidence.extend(fault.evidence);
                explained.state.extend(fault.state);
                explained
            }
            _ => fault,
        }
    }

    /// # Errors
    /// [`Fault::interrupted`] once the signal came.
    pub fn check(&self) -> Result<(), Fault> {
        if self.cancel.is_cancelled() {
            Err(Fault::interrupted())
        } else {
            Ok(())
        }
    }

    /// Does the work, or drops it and returns [`Fault::interrupted`] when the
    /// signal comes first. Only for work that may be dropped at any await.
    ///
    /// # Errors
    /// The work's own, or the interruption.
    pub async fn or_interrupted<T>(
        &self,
        work: impl Future<Output = Result<T, Fault>>,
    ) -> Result<T, Fault> {
        tokio::select! {
            biased;
            () = self.cancel.cancelled() => Err(Fault::interrupted()),
            done = work => done,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn work_that_is_stopped_for_a_reason_gives_that_reason() {
        let (events, _) = tokio::sync::mpsc::unbounded_channel();
        let cx = Cx::new(events, CancellationToken::new());
        let below = cx.child().in_phase(Phase::Rollout);
        assert_eq!(cx.explained(Fault::interrupted()), Fault::interrupted());
        cx.stop(Fault::unreachable("the lock was lost"));
        let fault = below.check().expect_err("stopped");
        assert_eq!(below.explained(fault).what, "the lock was lost");
        let other = Fault::failed("it died");
        assert_eq!(below.explained(other.clone()), other);
    }
}
