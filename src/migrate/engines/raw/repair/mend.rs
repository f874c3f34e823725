//! What is done about a finding. Imports `ports`, `model`.

use crate::migrate::drift::Candidate;
use crate::model::fault::Fault;
use crate::ports::{Cx, Database, Job, LedgerRow};

use super::super::catalogue;
use super::{Finding, Outcome};

/// What a person decided.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Choice {
    /// Of the one statement whose outcome nothing else tells: it took effect.
    pub took_effect: Option<bool>,
    /// The migrations whose new text is taken over.
    pub accepted: Vec<String>,
}

/// What cannot be decided stops everything: half a repair is worse than none.
pub(super) fn refuse(job: &Job<'_>, found: &[Finding], choice: &Choice) -> Result<(), Fault> {
    let (environment, database) = (&job.environment.name, &job.database.name);
    let command = format!("stagecraft migrate repair --env {environment} --database {database}");
    let edited = |id: &String| {
        let mut all = found.iter();
        all.any(|one| one.id() == *id && matches!(one, Finding::Edited { .. }))
    };
    if let Some(unknown) = choice.accepted.iter().find(|id| !edited(id)) {
        return Err(
            Fault::refused(format!("`{unknown}` was not edited after it was applied"))
                .state("nothing was changed")
                .hint(format!("see what is wrong: `{command} --dry-run`")),
        );
    }
    let open: Vec<&Finding> = found.iter().filter(|one| one.is_question()).collect();
    match (open.as_slice(), choice.took_effect) {
        ([], Some(_)) => Err(Fault::refused("there is no statement to answer for")
            .because("nothing was cut off whose outcome is not known")
            .state("nothing was changed")
            .hint(format!("see what is wrong: `{command} --dry-run`"))),
        ([one, ..], None) => Err(Fault::refused("somebody has to look into the database")
            .because(one.text())
            .state("nothing was changed")
            .hint(format!(
                "where the statement took effect: `{command} --done`; where it did not: `{command} --not-done`"
            ))),
        ([Finding::CutOff { id, changed: true, .. }, ..], Some(true)) => {
            Err(Fault::refused(format!("`{id}` cannot go on"))
                .because("its first statement took effect, and the file holds another one now")
                .state("nothing was changed")
                .hint("bring the statement back as it was, then run the same command again"))
        }
        _ => Ok(()),
    }
}

/// Whether something was mended. What is to be done to a tool's own table, where
/// the file's text is taken over, stands beside the row.
pub(super) async fn one(
    cx: &Cx,
    database: &mut dyn Database,
    finding: &Finding,
    mut row: LedgerRow,
    file: &Candidate,
    choice: &Choice,
) -> Result<bool, Fault> {
    match finding {
        Finding::CutOff {
            outcome, changed, ..
        } => {
            let done = match outcome {
                Outcome::Done => true,
                Outcome::Not => false,
                Outcome::Unclear => choice.took_effect.unwrap_or_default(),
            };
            if *changed {
                return forget(cx, database, &row).await.map(|()| true);
            }
            match done {
                true => row.statements_done = row.statements_begun,
                false => row.statements_begun = row.statements_done,
            }
            let kept = usize::try_from(row.statements_begun).unwrap_or_default();
            if let Some(prefix) = file.prefixes.get(kept) {
                row.normalised.clone_from(prefix);
            }
            row.beside.clear();
            database.save(&row).await?;
        }
        Finding::Invalid { index, .. } => {
            catalogue::drop_index(cx, database, index).await?;
        }
        Finding::Void { .. } => forget(cx, database, &row).await?,
        Finding::Edited { id, .. } if choice.accepted.contains(id) => {
            take_over(&mut row, file);
            database.save(&row).await?;
        }
        Finding::Layout { .. } | Finding::Unlike { .. } => {
            take_over(&mut row, file);
            database.save(&row).await?;
        }
        Finding::Edited { .. }
        | Finding::Stopped { .. }
        | Finding::Changed { .. }
        | Finding::Missing { .. } => return Ok(false),
    }
    Ok(true)
}

fn take_over(row: &mut LedgerRow, file: &Candidate) {
    row.checksum.clone_from(&file.checksum);
    row.normalised = file.normalised().to_owned();
    let statements = i64::try_from(file.statements()).unwrap_or(i64::MAX);
    row.statements_total = statements;
    row.statements_begun = statements;
    row.statements_done = statements;
}

/// Nothing of it took effect: it is pending again.
async fn forget(cx: &Cx, database: &mut dyn Database, row: &LedgerRow) -> Result<(), Fault> {
    catalogue::forget(cx, database, &row.database, &row.id).await?;
    cx.step(format!("cleared the row of {}", row.id));
    Ok(())
}
