//! What is pending when it is looked at again, against the plan. Pure. Imports
//! `model`.

use crate::migrate::words;
use crate::model::fault::Fault;
use crate::model::migration::MigrationPlan;
use crate::model::project::Environment;

/// # Errors
/// Refused, with both lists: what is pending is not what was approved.
pub(super) fn still(
    plan: &MigrationPlan,
    pending: &[String],
    environment: &Environment,
) -> Result<(), Fault> {
    if pending == plan.selected {
        return Ok(());
    }
    let names = |ids: &[String]| match ids {
        [] => "nothing".to_owned(),
        ids => words::list(ids),
    };
    Err(Fault::refused(format!(
        "what is pending in `{}` is not what the plan says any more",
        plan.database
    ))
    .because(format!(
        "planned: {}; pending now: {}",
        names(&plan.selected),
        names(pending)
    ))
    .state("nothing was changed")
    .hint(format!(
        "look again: `stagecraft migrate plan --env {} --database {}`",
        environment.name, plan.database
    )))
}
