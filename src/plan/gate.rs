//! Gates: what can stop a plan, or ask a person first.

use crate::model::fault::Fault;
use crate::model::names::EnvironmentName;
use crate::model::project::Environment;

/// What the gates say of a plan.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    Go,
    /// A person must agree, or `--yes` was given.
    Ask(String),
    /// A person must agree to this very plan: by its id, or by typing the
    /// environment's name. `--yes` is no answer.
    Approve {
        question: String,
        environment: EnvironmentName,
        risks: Vec<String>,
    },
    Refuse(Fault),
}

/// Judges a plan. `refusals` are its own reasons why nothing may run, `risks`
/// what somebody has to approve.
#[must_use]
pub fn gate(
    environment: &Environment,
    refusals: &[String],
    risks: &[String],
    what: &str,
) -> Verdict {
    if !refusals.is_empty() {
        let mut fault = Fault::refused(format!("the plan for `{}` was refused", environment.name));
        for refusal in refusals {
            fault = fault.because(refusal.clone());
        }
        return Verdict::Refuse(fault.state("nothing was changed").hint(format!(
            "see `stagecraft migrate plan --env {}`",
            environment.name
        )));
    }
    if !risks.is_empty() {
        return Verdict::Approve {
            question: format!("{what} in `{}` all the same?", environment.name),
            environment: environment.name.clone(),
            risks: risks.to_vec(),
        };
    }
    if environment.protected {
        return Verdict::Ask(format!("`{}` is protected: {what}?", environment.name));
    }
    Verdict::Go
}
