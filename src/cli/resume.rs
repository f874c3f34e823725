//! `deploy --resume` and `deploy --abort`.

use crate::deploy::{Wanted, recall, reopen};
use crate::migrate::DataLoss;
use crate::model::migration::Risk;
use crate::model::phase::{Phase, Status};
use crate::model::project::{Environment, ImageSource};
use crate::model::release::{Release, ReleaseKind};
use crate::plan::{self, DeployRequest, Facts, RollbackRequest, SchemaCheck, gate};
use crate::ports::Cx;

use super::approval::{self, Consent, Proposal};
use super::committed;
use super::deploy::{accept_loss, deployer, proposed, settle};
use super::failure::Failure;
use super::fingerprints;
use super::keeper::Access;
use super::restart;
use super::roles;
use super::rollback;
use super::session::Session;

/// Finishes a release that was cut off, from the first phase not completed.
pub(crate) async fn finish(
    session: &Session<'_>,
    cx: &Cx,
    consent: &Consent,
    loss: DataLoss,
) -> Result<Release, Failure> {
    let environment = &session.environment;
    let history = session.history(cx, Access::Write).await?;
    let found = plan::resumable(&history, environment)?;
    let mut release = found.release;
    if release.kind == ReleaseKind::Rollback {
        return finish_rollback(session, cx, release, consent).await;
    }
    let mut facts = session
        .observe(cx, Wanted::Everything, Access::Write)
        .await?;
    plan::credit(&release, &mut facts.migrations);
    let environment = &with_recorded_image(environment, &mut facts, &release);
    let request = DeployRequest {
        release: release.id.clone(),
        version: Some(release.version.clone()),
    };
    let mut today = plan::deploy(environment, &facts, &request)?;
    accept_loss(&mut today, environment, loss);
    let uncommitted = committed::refusals(environment, &today.migrations).await;
    today.refusals.extend(uncommitted);
    plan::matches_today(&release, &today)?;
    let ready = roles::of_today(environment, &*session.house.values).await?;
    let question = format!("finish {} ({})", release.id, release.version);
    let approval = approval::pass(
        session.ui,
        gate(environment, &today.refusals, &today.risks, &question),
        consent,
        Proposal {
            id: Some(&today.id),
            text: &proposed(session, &today),
        },
    )
    .await?;
    session.accept_loss(loss);
    reopen(&mut release)?;
    if let Some(approved) = session.approve(&approval, Risk::of(&today.migrations), &today.risks) {
        release.approved = Some(approved);
    }
    // What is still to be started gets today's values.
    let key = session.keeper.key().await?;
    let ready = fingerprints::imprint(ready, key.as_ref());
    fingerprints::sign(&mut release, &ready, key.as_ref());
    let result = deployer(session)
        .deploy(cx, release, &today, &facts, &ready)
        .await;
    settle(session, result).await
}

/// A release of a prebuilt image goes on with the digest that it began with,
/// wherever its tag points to now.
fn with_recorded_image(
    environment: &Environment,
    facts: &mut Facts,
    release: &Release,
) -> Environment {
    let mut environment = environment.clone();
    let prebuilt = release.phase(Phase::Build).status == Status::Skipped;
    if let Some(image) = release.image.as_ref().filter(|_| prebuilt) {
        environment.source = ImageSource::Prebuilt(image.reference());
        facts.image = Some(image.clone());
    }
    environment
}

async fn finish_rollback(
    session: &Session<'_>,
    cx: &Cx,
    mut release: Release,
    consent: &Consent,
) -> Result<Release, Failure> {
    let environment = &session.environment;
    if release.restarts() {
        return restart::finish(session, cx, release, consent).await;
    }
    let facts = session.observe(cx, Wanted::Rollback, Access::Write).await?;
    let request = RollbackRequest {
        release: release.id.clone(),
        to: release.target_id.clone(),
        // What was forced once is asked about again.
        schema: match release.forced {
            Some(_) => SchemaCheck::Force,
            None => SchemaCheck::Refuse,
        },
    };
    let target = plan::resumed_target(&facts, &release)?;
    let key = session.keeper.key().await?;
    let ready = roles::of_record(&target.roles, &*session.house.values).await?;
    let ready = fingerprints::imprint(ready, key.as_ref());
    let plan = plan::rollback(environment, &facts, &request, target, &ready)?;
    let question = format!("finish {} ({})", release.id, release.version);
    let approval = rollback::approve(session, &plan, &question, consent).await?;
    reopen(&mut release)?;
    if let Some(forced) = rollback::forced(&plan, &session.origin().actor, &approval) {
        release.forced = Some(forced);
    }
    // What is still to be started gets today's values.
    fingerprints::sign(&mut release, &ready, key.as_ref());
    let result = deployer(session)
        .roll_back(cx, release, &plan, &facts, &ready)
        .await;
    settle(session, result).await
}

/// Undoes the rollout of a release that was cut off.
pub(crate) async fn undo(session: &Session<'_>, cx: &Cx) -> Result<Release, Failure> {
    let environment = &session.environment;
    // The databases too: a process that was killed could not record what it
    // had migrated.
    let mut facts = session.observe(cx, Wanted::Rollback, Access::Write).await?;
    let found = plan::abortable(&facts.history, environment)?;
    let mut release = found.release;
    plan::credit(&release, &mut facts.migrations);
    recall(&mut release, &facts.migrations);
    let migrated = [Phase::MigratePre, Phase::MigratePost]
        .iter()
        .any(|phase| release.phase(*phase).status == Status::Running);
    for (database, why) in facts.unread.iter().filter(|_| migrated) {
        cx.warn(format!(
            "what the release did in `{database}` is not known: {why}"
        ));
    }
    let ready = roles::of_today(environment, &*session.house.values).await?;
    let only = &release.plan.roles;
    let mut roles = environment.roles.clone();
    roles.retain(|name, _| only.is_empty() || only.contains(name));
    let limited = facts.limited_to(only);
    let outline = plan::outline(environment, &roles, &limited, &release.id, None)?;
    for migration in &release.migrations {
        cx.warn(format!(
            "migration {} of `{}` stays: {}",
            migration.id, migration.database, migration.outcome
        ));
    }
    let result = deployer(session)
        .abort(cx, release, &outline, &facts, &ready)
        .await;
    settle(session, result).await
}
