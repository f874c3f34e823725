//! Carrying out a gate's verdict: going on, asking a person, or refusing.

use crate::model::fault::{Fault, FaultKind};
use crate::plan::Verdict;
use crate::ui::{Answer, Expected, Ui};

/// Whether `--yes` was given.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Consent {
    Given,
    ToBeAsked,
}

impl Consent {
    pub(crate) fn from_flag(yes: bool) -> Self {
        if yes {
            Consent::Given
        } else {
            Consent::ToBeAsked
        }
    }
}

/// # Errors
/// `Refused` by the gate, or nobody there to ask; `Cancelled` by the answer or
/// its absence.
pub(crate) async fn pass(
    ui: &Ui,
    verdict: Verdict,
    consent: Consent,
    plan: &str,
) -> Result<(), Fault> {
    let question = match (verdict, consent) {
        (Verdict::Go, _) | (Verdict::Ask(_), Consent::Given) => return Ok(()),
        (Verdict::Refuse(fault), _) => return Err(fault),
        (Verdict::Ask(question), Consent::ToBeAsked) => question,
    };
    ui.data(plan).await;
    match ui.confirm(&question, Expected::Yes).await {
        Answer::Yes => Ok(()),
        Answer::No => Err(cancelled("the answer was no")),
        Answer::TimedOut => Err(cancelled("nobody answered within 5 minutes")),
        Answer::NoTerminal => Err(Fault::refused("nobody approved the plan")
            .because("the environment is protected, and there is no terminal to ask at")
            .state("nothing was changed")
            .hint("when the plan above is right, run the same command with `--yes`")),
    }
}

fn cancelled(why: &str) -> Fault {
    Fault::new(FaultKind::Cancelled, "cancelled")
        .because(why)
        .state("nothing was changed")
}
