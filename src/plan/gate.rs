//! Gates: what can stop a plan, or ask a person first.

use crate::model::fault::Fault;
use crate::model::project::Environment;

/// What the gates say of a plan.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    Go,
    /// A person must agree, or `--yes` was given.
    Ask(String),
    Refuse(Fault),
}

/// Judges a plan. `refusals` are its own reasons why nothing may run.
#[must_use]
pub fn gate(environment: &Environment, refusals: &[String], what: &str) -> Verdict {
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
    if environment.protected {
        return Verdict::Ask(format!("`{}` is protected: {what}?", environment.name));
    }
    Verdict::Go
}
