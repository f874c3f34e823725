//! The durable record of a release's phases while it runs.
//!
//! Invariant: no work of a phase begins before the record on disk says that
//! every phase before it ended and that this one started. The end of a phase
//! and the start of the next are one write, for nothing lies between them.
//! Events go out when what they say is on disk.

use std::time::Instant;

use chrono::Utc;
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::model::event::EventKind;
use crate::model::fault::{Fault, FaultKind};
use crate::model::phase::{Mark, Phase, Status};
use crate::model::release::{Outcome, Release};
use crate::ports::{Cx, Ledger};

/// Why a release ended before its end.
#[derive(Debug, Clone)]
pub struct Stopped {
    /// `None`: nothing was begun.
    pub phase: Option<Phase>,
    pub fault: Fault,
    /// As it was recorded last; where `unsaved`, as it should have been.
    pub release: Box<Release>,
    /// The record could not be kept: the disk or the primary host says less
    /// than what was done.
    pub unsaved: bool,
}

pub struct Journal<'a> {
    release: Release,
    ledger: &'a dyn Ledger,
    cx: Cx,
    /// One write succeeded: the release is on record.
    recorded: bool,
    /// What the next write makes true, in order.
    unsaid: Vec<(Option<Phase>, EventKind)>,
}

impl<'a> Journal<'a> {
    /// A release that begins, or one that is taken up again. Its first mark
    /// records it.
    #[must_use]
    pub fn open(cx: &Cx, ledger: &'a dyn Ledger, release: Release) -> Self {
        let started = EventKind::ReleaseStarted {
            release: release.id.to_string(),
            version: release.version.clone(),
        };
        Self {
            release,
            ledger,
            cx: cx.clone(),
            recorded: false,
            unsaid: vec![(None, started)],
        }
    }

    #[must_use]
    pub fn release(&self) -> &Release {
        &self.release
    }

    /// Runs one phase between its marks. The second one is saved with the next
    /// phase's first, and at once where no phase follows. A phase that completed
    /// before (in a resumed release) gives its stored output back instead.
    ///
    /// # Errors
    /// The work failed, was interrupted, or a mark could not be saved. By then
    /// the phase is recorded as failed and every later one as skipped.
    pub async fn run<T, W>(&mut self, phase: Phase, work: W) -> Result<T, Stopped>
    where
        T: Serialize + DeserializeOwned,
        W: AsyncFnOnce(&Cx, &mut Release) -> Result<T, Fault>,
    {
        let record = self.release.phase(phase);
        if record.status == Status::Completed {
            return serde_json::from_value(record.output).map_err(|error| {
                let fault = Fault::internal(format!("the stored output of {phase} cannot be read"))
                    .caused_by(&error);
                self.stopped(Some(phase), fault)
            });
        }
        if let Err(fault) = self.cx.check() {
            let fault = self.cx.explained(fault);
            return Err(self.fail(phase, fault, Instant::now()).await);
        }
        let begun = Instant::now();
        self.mark(phase, Mark::Start, None)?;
        self.save(phase).await?;
        let cx = self.cx.in_phase(phase);
        cx.send(EventKind::PhaseStarted);
        match work(&cx, &mut self.release).await {
            Ok(output) => {
                let stored = serde_json::to_value(&output).unwrap_or_default();
                self.mark(phase, Mark::Complete, None)?;
                self.release.phases.entry(phase).or_default().output = stored;
                self.finished(phase, Status::Completed, None, begun);
                if phase == Phase::Finalize {
                    self.release.outcome = Outcome::Done;
                    self.save(phase).await?;
                }
                Ok(output)
            }
            Err(fault) => Err(self.fail(phase, self.cx.explained(fault), begun).await),
        }
    }

    /// Records that there is nothing to do in a phase. Saved with the next
    /// mark.
    ///
    /// # Errors
    /// The phase has run already.
    pub fn skip(&mut self, phase: Phase, reason: &str) -> Result<(), Stopped> {
        // A resumed release may have done it before there was nothing to do.
        if matches!(
            self.release.phase(phase).status,
            Status::Skipped | Status::Completed
        ) {
            return Ok(());
        }
        self.mark(phase, Mark::Skip, Some(reason.to_owned()))?;
        self.finished(
            phase,
            Status::Skipped,
            Some(reason.to_owned()),
            Instant::now(),
        );
        Ok(())
    }

    #[must_use]
    pub fn into_release(self) -> Release {
        self.release
    }

    /// Ends the release as failed: this phase, and all later ones skipped.
    async fn fail(&mut self, phase: Phase, fault: Fault, begun: Instant) -> Stopped {
        let reason = fault.to_string();
        // One that was not begun (interrupted between two) is marked too:
        // `--resume` takes up at the first phase that failed.
        if self.release.phase(phase).status == Status::Pending
            && let Err(stopped) = self.mark(phase, Mark::Start, None)
        {
            return stopped;
        }
        if let Err(stopped) = self.mark(phase, Mark::Fail, Some(reason.clone())) {
            return stopped;
        }
        self.finished(phase, Status::Failed, Some(reason), begun);
        let why = if fault.kind == FaultKind::Interrupted {
            format!("not reached: interrupted in {phase}")
        } else {
            format!("not reached: {phase} failed")
        };
        for later in phase.later() {
            if self.release.phase(later).status == Status::Pending
                && let Err(stopped) = self.skip(later, &why)
            {
                return stopped;
            }
        }
        // Hosts that could not be put back keep the release open: `--resume` and
        // `--abort` finish what this run could not.
        if fault.kind != FaultKind::UndoFailed {
            self.release.outcome = Outcome::Failed;
        }
        let saved = self.save(phase).await;
        // On disk or not: whoever watches has to see where it ended.
        self.say();
        match saved {
            Ok(()) => self.stopped(Some(phase), fault),
            Err(unsaved) => {
                let stopped = self.stopped(Some(phase), fault);
                Stopped {
                    fault: stopped
                        .fault
                        .state(format!("the record could not be saved: {}", unsaved.fault)),
                    ..stopped
                }
            }
        }
    }

    fn mark(&mut self, phase: Phase, mark: Mark, reason: Option<String>) -> Result<(), Stopped> {
        self.release
            .mark(phase, mark, Utc::now(), reason)
            .map_err(|illegal| {
                let fault = Fault::internal(format!("the record of {phase} does not allow this"))
                    .caused_by(&illegal);
                self.stopped(Some(phase), fault)
            })
    }

    async fn save(&mut self, phase: Phase) -> Result<(), Stopped> {
        self.release.revision += 1;
        match self.ledger.save(&self.release).await {
            Ok(()) => {
                self.recorded = true;
                self.say();
                Ok(())
            }
            Err(fault) => {
                let begun = self.recorded.then_some(phase);
                let mut stopped = self.stopped(begun, fault);
                stopped.unsaved = true;
                Err(stopped)
            }
        }
    }

    fn finished(&mut self, phase: Phase, status: Status, reason: Option<String>, begun: Instant) {
        let elapsed_ms = u64::try_from(begun.elapsed().as_millis()).unwrap_or(u64::MAX);
        let finished = EventKind::PhaseFinished {
            status,
            reason,
            elapsed_ms,
        };
        self.unsaid.push((Some(phase), finished));
    }

    fn say(&mut self) {
        for (phase, event) in self.unsaid.drain(..) {
            match phase {
                Some(phase) => self.cx.in_phase(phase).send(event),
                None => self.cx.send(event),
            }
        }
    }

    fn stopped(&self, phase: Option<Phase>, fault: Fault) -> Stopped {
        Stopped {
            phase,
            fault,
            release: Box::new(self.release.clone()),
            unsaved: false,
        }
    }
}
