//! Carrying out a gate's verdict: going on, asking a person, or refusing.

use chrono::Utc;

use crate::model::fault::{Fault, FaultKind};
use crate::model::migration::Risk;
use crate::model::names::EnvironmentName;
use crate::model::release::Approved;
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

/// How a plan was approved.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Approval {
    /// Nobody had to.
    Unasked,
    /// `--yes`.
    ByFlag,
    /// Yes at the prompt.
    Answered,
    /// `--approve`, with the plan's id.
    ById(String),
    /// The environment's name at the prompt.
    Typed(String),
}

impl Approval {
    /// For the record: how somebody took the risk.
    pub(crate) fn words(&self) -> String {
        match self {
            Approval::Unasked => "nobody was asked".to_owned(),
            Approval::ByFlag => "`--yes`".to_owned(),
            Approval::Answered => "yes at the prompt".to_owned(),
            Approval::ById(id) => format!("`--approve {id}`"),
            Approval::Typed(name) => format!("`{name}` typed at the prompt"),
        }
    }

    /// For the record of a run: who agreed, how, and to what. Nothing where
    /// nobody was asked.
    pub(crate) fn record(&self, by: String, risk: Risk, risks: &[String]) -> Option<Approved> {
        (*self != Approval::Unasked).then(|| Approved {
            by,
            at: Utc::now(),
            how: self.words(),
            risk,
            risks: risks.to_vec(),
        })
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
        Verdict::Go => Ok(Approval::Unasked),
        Verdict::Ask(_) if consent.answer == Answered::Yes => Ok(Approval::ByFlag),
        Verdict::Ask(question) => {
            ui.data(plan.text).await;
            answered(ui.confirm(&question, Expected::Yes).await, || {
                Fault::refused("nobody approved the plan")
                    .because("the environment is protected, and there is no terminal to ask at")
                    .state("nothing was changed")
                    .hint("when the plan above is right, run the same command with `--yes`")
            })?;
            Ok(Approval::Answered)
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

/// For what loses data where that is allowed: the environment's name typed, or
/// `--yes`.
///
/// # Errors
/// `Refused` where nobody can be asked; `Cancelled` by the answer or its absence.
pub(crate) async fn of_loss(
    ui: &Ui,
    environment: &EnvironmentName,
    question: &str,
    consent: &Consent,
    text: &str,
) -> Result<Approval, Fault> {
    if consent.answer == Answered::Yes {
        return Ok(Approval::ByFlag);
    }
    ui.data(text).await;
    let expected = Expected::Typed(environment.to_string());
    answered(ui.confirm(question, expected).await, || {
        Fault::refused("nobody agreed to lose the data")
            .because("there is no terminal to ask at")
            .state("nothing was changed")
            .hint("when what is said above may be lost, run the same command with `--yes`")
    })?;
    Ok(typed(environment))
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

#[cfg(test)]
mod tests {
    use super::*;

    /// D56, D85: the record names the approver, the risk, and the phrase or
    /// the plan's id.
    #[test]
    fn a_record_says_who_agreed_how_and_to_what() {
        let risks = vec!["it breaks v1".to_owned()];
        let record = |approval: Approval| approval.record("ada@laptop".into(), Risk::High, &risks);
        assert_eq!(record(Approval::Unasked), None);
        let by_id = record(Approval::ById("1f2e".into())).expect("a record");
        assert_eq!((by_id.by.as_str(), by_id.risk), ("ada@laptop", Risk::High));
        assert_eq!(by_id.how, "`--approve 1f2e`");
        assert_eq!(by_id.risks, risks);
        let typed = record(Approval::Typed("prod".into())).expect("a record");
        assert_eq!(typed.how, "`prod` typed at the prompt");
        assert_eq!(record(Approval::ByFlag).expect("one").how, "`--yes`");
    }
}
