//! `deploy --resume` and `deploy --abort`.

use crate::deploy::{Wanted, reopen};
use crate::model::phase::{Phase, Status};
use crate::model::project::{Environment, ImageSource};
use crate::model::release::{Release, ReleaseKind};
use crate::plan::{self, DeployRequest, Facts, RollbackRequest, gate};
use crate::ports::Cx;
use crate::ui;

use super::approval::{self, Consent};
use super::deploy::{deployer, settle, style};
use super::failure::Failure;
use super::keeper::Access;
use super::roles;
use super::session::Session;

/// Finishes a release that was cut off, from the first phase not completed.
pub(crate) async fn finish(
    session: &Session<'_>,
    cx: &Cx,
    consent: Consent,
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
    let environment = &with_recorded_image(environment, &mut facts, &release);
    let request = DeployRequest {
        release: release.id.clone(),
        version: Some(release.version.clone()),
    };
    let today = plan::deploy(environment, &facts, &request)?;
    plan::matches_today(&release, &today)?;
    let ready = roles::of_today(environment, &*session.house.values).await?;
    let question = format!("finish {} ({})", release.id, release.version);
    approval::pass(
        session.ui,
        gate(environment, &today.refusals, &question),
        consent,
        &ui::plan_text::deploy(&today, style(session)),
    )
    .await?;
    reopen(&mut release)?;
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
    consent: Consent,
) -> Result<Release, Failure> {
    let environment = &session.environment;
    let facts = session.observe(cx, Wanted::Hosts, Access::Write).await?;
    let request = RollbackRequest {
        release: release.id.clone(),
        to: release.target_id.clone(),
    };
    let target = plan::rollback_target(environment, &facts, &request)?;
    let ready = roles::of_record(&target.roles, &*session.house.values).await?;
    let plan = plan::rollback(environment, &facts, &request, target, &ready)?;
    let question = format!("finish {} ({})", release.id, release.version);
    approval::pass(
        session.ui,
        gate(environment, &[], &question),
        consent,
        &ui::plan_text::rollback(&plan, style(session)),
    )
    .await?;
    reopen(&mut release)?;
    let result = deployer(session)
        .roll_back(cx, release, &plan, &facts, &ready)
        .await;
    settle(session, result).await
}

/// Undoes the rollout of a release that was cut off.
pub(crate) async fn undo(session: &Session<'_>, cx: &Cx) -> Result<Release, Failure> {
    let environment = &session.environment;
    let facts = session.observe(cx, Wanted::Hosts, Access::Write).await?;
    let found = plan::abortable(&facts.history, environment)?;
    let release = found.release;
    let ready = roles::of_today(environment, &*session.house.values).await?;
    let outline = plan::outline(environment, &environment.roles, &facts, &release.id, None)?;
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
