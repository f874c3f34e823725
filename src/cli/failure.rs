//! How a command ends: exit codes, as the README documents them.

use crate::deploy::Stopped;
use crate::model::fault::{Fault, FaultKind};
use crate::model::phase::Phase;

/// A command that failed.
#[derive(Debug)]
pub(crate) struct Failure {
    pub(crate) fault: Fault,
    pub(crate) place: Place,
}

/// Where it struck.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Place {
    /// Before anything was changed.
    Observing,
    Phase(Phase),
    /// The work of a backup command.
    Backup,
}

impl From<Fault> for Failure {
    fn from(fault: Fault) -> Self {
        Self {
            fault,
            place: Place::Observing,
        }
    }
}

impl From<Stopped> for Failure {
    fn from(stopped: Stopped) -> Self {
        Self {
            fault: stopped.fault,
            place: stopped.phase.map_or(Place::Observing, Place::Phase),
        }
    }
}

impl Failure {
    /// Of work that copies or restores a database.
    pub(crate) fn of_backup(fault: Fault) -> Self {
        Self {
            fault,
            place: Place::Backup,
        }
    }

    /// Outside a phase nothing is changed, unless whoever failed says
    /// otherwise; what cannot be reached can be tried again then.
    pub(crate) fn with_standing(mut self) -> Self {
        if self.place == Place::Observing && self.fault.state.is_empty() {
            self.fault = self.fault.state("nothing was changed");
        }
        if self.fault.kind == FaultKind::Unreachable && self.fault.hints.is_empty() {
            let hint = "when it can be reached again, run the same command";
            self.fault = self.fault.hint(hint);
        }
        self
    }

    pub(crate) fn exit_code(&self) -> u8 {
        match (self.fault.kind, self.place) {
            (FaultKind::UndoFailed, _) => 30,
            (FaultKind::Interrupted, _) => 130,
            (FaultKind::Config, _) => 10,
            (FaultKind::Locked, _) => 11,
            (FaultKind::Refused | FaultKind::Cancelled, _) => 12,
            (FaultKind::Internal, _) => 1,
            (FaultKind::Failed | FaultKind::Unreachable, Place::Phase(phase)) => phase.exit_code(),
            (FaultKind::Failed | FaultKind::Unreachable, Place::Backup) => 26,
            (FaultKind::Unreachable, Place::Observing) => 13,
            (FaultKind::Failed, Place::Observing) => 1,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn code(kind: FaultKind, place: Place) -> u8 {
        Failure {
            fault: Fault::new(kind, "x"),
            place,
        }
        .exit_code()
    }

    #[test]
    fn an_unreachable_host_is_13_while_observing_and_the_phase_s_own_code_later() {
        assert_eq!(code(FaultKind::Unreachable, Place::Observing), 13);
        assert_eq!(
            code(FaultKind::Unreachable, Place::Phase(Phase::Rollout)),
            23
        );
    }

    #[test]
    fn a_backup_that_fails_is_26_and_one_that_is_refused_12() {
        assert_eq!(code(FaultKind::Failed, Place::Backup), 26);
        assert_eq!(code(FaultKind::Unreachable, Place::Backup), 26);
        assert_eq!(code(FaultKind::Refused, Place::Backup), 12);
    }

    #[test]
    fn a_failed_undo_outranks_the_phase() {
        assert_eq!(
            code(FaultKind::UndoFailed, Place::Phase(Phase::Rollout)),
            30
        );
        assert_eq!(
            code(FaultKind::Interrupted, Place::Phase(Phase::Build)),
            130
        );
    }
}
