//! What an engine says is there, as a plan. Imports `ports`, `model` and
//! `migrate`'s pure parts.

use crate::migrate::select;
use crate::model::compat::{Compat, Finding, Harm};
use crate::model::fault::Fault;
use crate::model::migration::{Files, Migration, MigrationPlan, MigrationRequest, MigrationState};
use crate::model::project::MigrationStrategy;
use crate::model::risk::{Forecast, Outlook};
use crate::ports::{Cx, Job};

use super::answer::Wrong;
use super::protocol::{Call, Compatibility, One, Plan, State};
use super::{External, LOOKING, ask, question, subject, url};

pub(super) async fn plan(
    engine: &External,
    cx: &Cx,
    job: &Job<'_>,
    request: &MigrationRequest,
) -> Result<MigrationPlan, Fault> {
    let said = said(engine, cx, job, request.allow_out_of_order).await;
    let said = said.map_err(|wrong| wrong.fault(&engine.name()))?;
    let base = job.database.migrations.strategy;
    let order: Vec<&str> = said.migrations.iter().map(|one| one.id.as_str()).collect();
    let migrations: Vec<Migration> = said
        .migrations
        .iter()
        .map(|one| migration(one, base, engine))
        .collect();
    let selection = select::select(&migrations, &order, request);
    let mut refusals = said.refusals.clone();
    refusals.extend(twice(&order));
    refusals.extend(selection.refusals);
    Ok(MigrationPlan {
        database: job.database.name.clone(),
        engine: engine.id.clone(),
        selected: selection.selected,
        refusals,
        notes: vec![],
        unread: None,
        files: Files::Final,
        schema_version: said.schema_version,
        outlook: Outlook::default(),
        route: format!("by `{}` on this machine", engine.name()),
        migrations,
    })
}

/// Asks it, with the URL.
pub(super) async fn said(
    engine: &External,
    cx: &Cx,
    job: &Job<'_>,
    allow_out_of_order: bool,
) -> Result<Plan, Wrong> {
    let url = url(job).await.map_err(Wrong::Broken)?;
    let mut caller = engine.caller(LOOKING);
    caller.folder = Some(&job.environment.root);
    caller.url = url.as_ref();
    caller.cx = Some(cx);
    let subject = subject(job.database, Some(job.environment), LOOKING);
    let mut question = question(Call::Plan, Some(subject));
    question.allow_out_of_order = allow_out_of_order;
    ask(&caller, &question).await
}

fn migration(one: &One, base: MigrationStrategy, engine: &External) -> Migration {
    Migration {
        id: one.id.clone(),
        state: match one.state {
            State::Pending => MigrationState::Pending,
            State::Applied => MigrationState::Applied {
                at: one.at.clone(),
                by: None,
            },
            State::Edited => MigrationState::Edited {
                applied_checksum: String::new(),
            },
            State::Missing => MigrationState::Missing,
            State::OutOfOrder => MigrationState::OutOfOrder {
                after: one.after.clone().unwrap_or_default(),
            },
            State::Failed => MigrationState::Failed {
                done: 0,
                total: one.statements,
                error: one.error.clone(),
            },
        },
        strategy: match base {
            MigrationStrategy::PreDeploy if one.post => MigrationStrategy::PostDeploy,
            MigrationStrategy::PreDeploy
            | MigrationStrategy::PostDeploy
            | MigrationStrategy::Manual => base,
        },
        checksum: one.checksum.clone(),
        statements: one.statements,
        transactional: one.transactional,
        note: one.note.clone(),
        compat: Some(match one.compat {
            Compatibility::Additive => Compat::Additive,
            Compatibility::Breaking => Compat::of(vec![Finding {
                harm: Harm::Breaks,
                file: String::new(),
                line: 0,
                statement: String::new(),
                why: format!("is said to be breaking by engine `{}`", engine.id),
                made_by: None,
                further: 0,
            }]),
            Compatibility::Unknown => Compat::unread(&format!(
                "was run by engine `{}`, which does not say whether it breaks older code",
                engine.id
            )),
        }),
        forecast: Forecast::default(),
    }
}

/// Two of one id cannot be told apart afterwards.
fn twice(ids: &[&str]) -> Option<String> {
    let mut seen = std::collections::HashSet::new();
    let id = ids.iter().find(|id| !seen.insert(**id))?;
    Some(format!("the engine names `{id}` twice"))
}
