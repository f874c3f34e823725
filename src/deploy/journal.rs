//! The durable record of a release's phases while it runs.

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
}

impl<'a> Journal<'a> {
    /// Records the release as begun, or takes up one that is recorded.
    ///
    /// # Errors
    /// The record could not be saved: nothing was begun.
    pub async fn open(cx: &Cx, ledger: &'a dyn Ledger, release: Release) -> Result<Self, Stopped> {
        let mut journal = Self {
            release,
            ledger,
            cx: cx.clone(),
        };
        journal.save(None).await?;
        journal.cx.send(EventKind::ReleaseStarted {
            release: journal.release.id.to_string(),
            version: journal.release.version.clone(),
        });
        Ok(journal)
    }

    #[must_use]
    pub fn release(&self) -> &Release {
        &self.release
    }

    /// Runs one phase between its marks. A phase that completed before (in a
    /// resumed release) gives its stored output back instead.
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
        self.save(Some(phase)).await?;
        let cx = self.cx.in_phase(phase);
        cx.send(EventKind::PhaseStarted);
        match work(&cx, &mut self.release).await {
            Ok(output) => {
                let stored = serde_json::to_value(&output).unwrap_or_default();
                self.mark(phase, Mark::Complete, None)?;
                self.release.phases.entry(phase).or_default().output = stored;
                if phase == Phase::Finalize {
                    self.release.outcome = Outcome::Done;
                }
                self.save(Some(phase)).await?;
                self.finished(phase, Status::Completed, None, begun);
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
        match self.save(Some(phase)).await {
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

    async fn save(&mut self, phase: Option<Phase>) -> Result<(), Stopped> {
        self.release.revision += 1;
        match self.ledger.save(&self.release).await {
            Ok(()) => Ok(()),
            Err(fault) => {
                let mut stopped = self.stopped(phase, fault);
                stopped.unsaved = true;
                Err(stopped)
            }
        }
    }

    fn finished(&self, phase: Phase, status: Status, reason: Option<String>, begun: Instant) {
        let elapsed_ms = u64::try_from(begun.elapsed().as_millis()).unwrap_or(u64::MAX);
        self.cx.in_phase(phase).send(EventKind::PhaseFinished {
            status,
            reason,
            elapsed_ms,
        });
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
