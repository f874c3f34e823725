//! Carrying out a gate's verdict: going on, asking a person, or refusing.

use crate::model::fault::{Fault, FaultKind};
use crate::model::names::EnvironmentName;
use crate::plan::Verdict;
use crate::ui::{Answer, Expected, Ui};

/// What the command line agrees to beforehand.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Consent {
    answer: Answered,
    /// `--approve`: this plan, with all its risks, and no other.
    plan: Option<String>,
}

/// Whether `--yes` was given.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Answered {
    Yes,
    ToBeAsked,
}

impl Consent {
    pub(crate) fn from_flags(yes: bool, approve: Option<&str>) -> Self {
        Self {
            answer: match yes {
                true => Answered::Yes,
                false => Answered::ToBeAsked,
            },
            plan: approve.map(str::to_owned),
        }
    }
}

/// A plan as it is approved.
pub(crate) struct Proposal<'a> {
    /// Nothing where `--approve` cannot be given.
    pub(crate) id: Option<&'a str>,
    pub(crate) text: &'a str,
}

/// How a plan was approved, where its risks had to be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Approval {
    /// Nobody had to, or a plain yes was enough.
    Plain,
    /// `--approve`, with the plan's id.
    ById(String),
    /// The environment's name at the prompt.
    Typed(String),
}

impl Approval {
    /// For the record: how somebody took the risk.
    pub(crate) fn words(&self) -> String {
        match self {
            Approval::Plain => "nobody was asked".to_owned(),
            Approval::ById(id) => format!("`--approve {id}`"),
            Approval::Typed(name) => format!("`{name}` typed at the prompt"),
        }
    }
}

/// # Errors
/// `Refused` by the gate, or nobody there to ask; `Cancelled` by the answer or
/// its absence.
pub(crate) async fn pass(
    ui: &Ui,
    verdict: Verdict,
    consent: &Consent,
    plan: Proposal<'_>,
) -> Result<Approval, Fault> {
    if let Verdict::Refuse(fault) = verdict {
        return Err(fault);
    }
    if let (Some(given), Some(id)) = (&consent.plan, plan.id) {
        if given != id {
            ui.data(plan.text).await;
            return Err(another(given, id));
        }
        return Ok(Approval::ById(id.to_owned()));
    }
    match verdict {
        Verdict::Go => Ok(Approval::Plain),
        Verdict::Ask(_) if consent.answer == Answered::Yes => Ok(Approval::Plain),
        Verdict::Ask(question) => {
            ui.data(plan.text).await;
            answered(ui.confirm(&question, Expected::Yes).await, || {
                Fault::refused("nobody approved the plan")
                    .because("the environment is protected, and there is no terminal to ask at")
                    .state("nothing was changed")
                    .hint("when the plan above is right, run the same command with `--yes`")
            })?;
            Ok(Approval::Plain)
        }
        Verdict::Approve {
            question,
            environment,
            risks,
        } => {
            ui.data(plan.text).await;
            let expected = Expected::Typed(environment.to_string());
            answered(ui.confirm(&question, expected).await, || {
                unapproved(&risks, plan.id)
            })?;
            Ok(typed(&environment))
        }
        Verdict::Refuse(fault) => Err(fault),
    }
}

fn answered(answer: Answer, nobody: impl FnOnce() -> Fault) -> Result<(), Fault> {
    match answer {
        Answer::Yes => Ok(()),
        Answer::No => Err(cancelled("the answer was no")),
        Answer::TimedOut => Err(cancelled("nobody answered within 5 minutes")),
        Answer::NoTerminal => Err(nobody()),
    }
}

fn typed(environment: &EnvironmentName) -> Approval {
    Approval::Typed(environment.to_string())
}

/// `--approve` names a plan that is not the one of now.
fn another(given: &str, id: &str) -> Fault {
    Fault::refused(format!("plan `{given}` is not the plan of now, which is `{id}`"))
        .because("what would change is not what was approved: another release, configuration, file or migration came since")
        .state("nothing was changed")
        .hint(format!(
            "read the plan above; when it is right, run the same command with `--approve {id}`"
        ))
}

fn unapproved(risks: &[String], id: Option<&str>) -> Fault {
    let mut fault = Fault::refused("nobody approved the risks of the plan");
    for risk in risks {
        fault = fault.because(risk.clone());
    }
    fault = fault
        .because("`--yes` does not answer this, and there is no terminal to ask at")
        .state("nothing was changed");
    match id {
        Some(id) => fault.hint(format!(
            "when the plan above is right, run the same command with `--approve {id}`"
        )),
        None => fault,
    }
}

fn cancelled(why: &str) -> Fault {
    Fault::new(FaultKind::Cancelled, "cancelled")
        .because(why)
        .state("nothing was changed")
}
