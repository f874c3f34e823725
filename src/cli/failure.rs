//! How a command ends: exit codes, as the README documents them.

use crate::deploy::Stopped;
use crate::model::fault::{Fault, FaultKind};
use crate::model::phase::Phase;

/// A command that failed.
#[derive(Debug)]
pub(crate) struct Failure {
    pub(crate) fault: Fault,
    /// The phase that it struck in; `None` while observing.
    pub(crate) phase: Option<Phase>,
}

impl From<Fault> for Failure {
    fn from(fault: Fault) -> Self {
        Self { fault, phase: None }
    }
}

impl From<Stopped> for Failure {
    fn from(stopped: Stopped) -> Self {
        Self {
            fault: stopped.fault,
            phase: stopped.phase,
        }
    }
}

impl Failure {
    /// Outside a phase nothing is changed, unless whoever failed says
    /// otherwise; what cannot be reached can be tried again then.
    pub(crate) fn with_standing(mut self) -> Self {
        if self.phase.is_none() && self.fault.state.is_empty() {
            self.fault = self.fault.state("nothing was changed");
        }
        if self.fault.kind == FaultKind::Unreachable && self.fault.hints.is_empty() {
            let hint = "when it can be reached again, run the same command";
            self.fault = self.fault.hint(hint);
        }
        self
    }

    pub(crate) fn exit_code(&self) -> u8 {
        match (self.fault.kind, self.phase) {
            (FaultKind::UndoFailed, _) => 30,
            (FaultKind::Interrupted, _) => 130,
            (FaultKind::Config, _) => 10,
            (FaultKind::Locked, _) => 11,
            (FaultKind::Refused | FaultKind::Cancelled, _) => 12,
            (FaultKind::Internal, _) => 1,
            (FaultKind::Failed | FaultKind::Unreachable, Some(phase)) => phase.exit_code(),
            (FaultKind::Unreachable, None) => 13,
            (FaultKind::Failed, None) => 1,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn code(kind: FaultKind, phase: Option<Phase>) -> u8 {
        Failure {
            fault: Fault::new(kind, "x"),
            phase,
        }
        .exit_code()
    }

    #[test]
    fn an_unreachable_host_is_13_while_observing_and_the_phase_s_own_code_later() {
        assert_eq!(code(FaultKind::Unreachable, None), 13);
        assert_eq!(code(FaultKind::Unreachable, Some(Phase::Rollout)), 23);
    }

    #[test]
    fn a_failed_undo_outranks_the_phase() {
        assert_eq!(code(FaultKind::UndoFailed, Some(Phase::Rollout)), 30);
        assert_eq!(code(FaultKind::Interrupted, Some(Phase::Build)), 130);
    }
}
