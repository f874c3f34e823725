//! `stagecraft deploy`.

use chrono::Utc;
use indexmap::IndexMap;
use serde_json::json;

use crate::deploy::{Deployer, Stopped, Wanted, new_deploy};
use crate::migrate::DataLoss;
use crate::model::migration::Risk;
use crate::model::names::RoleName;
use crate::model::project::{Environment, ImageSource};
use crate::model::release::{Release, ReleaseId};
use crate::model::secret::Secret;
use crate::plan::{self, DeployPlan, DeployRequest, ReadyRole, Step, gate};
use crate::ports::Cx;
use crate::ui::{self, Style, Ui};

use super::approval::{self, Consent, Proposal};
use super::args::{DeployArgs, Globals};
use super::committed;
use super::evidence;
use super::failure::Failure;
use super::fingerprints;
use super::keeper::Access;
use super::resume;
use super::roles;
use super::session::{Session, on_environment_with};

pub(crate) async fn run(args: &DeployArgs, globals: &Globals, ui: &Ui) -> Result<(), Failure> {
    let consent = &Consent::from_flags(globals.yes, args.approve.as_deref());
    on_environment_with(
        "stagecraft deploy",
        globals,
        ui,
        |environment| overridden(environment, args),
        async |session| {
            // An abort must not wait for a file that a later release brings.
            if !args.abort {
                plan::nodes_pull(&session.environment)?;
                session.judge_databases(&[]).await?;
            }
            if args.dry_run {
                return dry_run(session, args).await;
            }
            session
                .locked(async |cx| {
                    let release = if args.resume {
                        resume::finish(session, cx, consent, args.backup.loss()).await?
                    } else if args.abort {
                        resume::undo(session, cx).await?
                    } else {
                        deploy(session, cx, args, consent).await?
                    };
                    show(session, &release).await;
                    Ok(())
                })
                .await
        },
    )
    .await
}

/// What the flags say otherwise than the file.
fn overridden(environment: &mut Environment, args: &DeployArgs) {
    if let Some(reference) = &args.image {
        environment.source = ImageSource::Prebuilt(reference.clone());
    }
    args.backup.override_in(environment);
    if args.skip_health_check {
        (environment.health_before, environment.health_after) = (false, false);
    }
}

/// The plan as it is approved: where somebody has to, with what guards it.
pub(crate) fn proposed(session: &Session<'_>, plan: &plan::DeployPlan) -> String {
    let text = ui::plan_text::deploy(plan, style(session));
    let environment = &session.environment;
    match environment.protected || !plan.risks.is_empty() {
        true => ui::safeguards::text(environment, &plan.migrations, style(session)) + &text,
        false => text,
    }
}

/// Prints the plan. Takes no lock, writes nothing.
async fn dry_run(session: &Session<'_>, args: &DeployArgs) -> Result<(), Failure> {
    let (facts, key) = tokio::try_join!(
        session.observe(&session.cx, Wanted::Everything, Access::Read),
        session.keeper.key(),
    )?;
    // What a deploy would stop at is said here too.
    let ready = roles::of_today(&session.environment, &*session.house.values).await?;
    let mut plan = plan::deploy(&session.environment, &facts, &request(&facts, args))?;
    accept_loss(&mut plan, &session.environment, args.backup.loss());
    let other = other_values(&session.environment, &facts, &ready, key.as_ref());
    plan.warnings.extend(other);
    plan.refusals
        .extend(committed::refusals(&session.environment, &plan.migrations).await);
    let open = plan::interrupted(&facts.history, &session.environment);
    let mut warnings = plan.warnings.clone();
    if let Some(found) = &open {
        warnings.push(format!(
            "release {} was cut off: a deploy is refused until it is resumed or aborted",
            found.release.id
        ));
    }
    let text = proposed(session, &plan);
    session.warn_all(&warnings);
    session
        .ui
        .show(&text, &json!({ "status": "planned", "plan": plan }))
        .await;
    session
        .ui
        .note("nothing was changed, and no lock was taken (--dry-run)")
        .await;
    Ok(())
}

fn request(facts: &plan::Facts, args: &DeployArgs) -> DeployRequest {
    DeployRequest {
        release: ReleaseId::next(Utc::now(), facts.history.newest_id()),
        version: args.version.clone(),
    }
}

async fn deploy(
    session: &Session<'_>,
    cx: &Cx,
    args: &DeployArgs,
    consent: &Consent,
) -> Result<Release, Failure> {
    let environment = &session.environment;
    let (facts, key) = tokio::try_join!(
        session.observe(cx, Wanted::Everything, Access::Write),
        session.keeper.key(),
    )?;
    if let Some(found) = plan::interrupted(&facts.history, environment) {
        return Err(plan::open_release_fault(environment, &found).into());
    }
    let ready = roles::of_today(environment, &*session.house.values).await?;
    let mut plan = plan::deploy(environment, &facts, &request(&facts, args))?;
    accept_loss(&mut plan, environment, args.backup.loss());
    let other = other_values(environment, &facts, &ready, key.as_ref());
    plan.warnings.extend(other);
    plan.refusals
        .extend(committed::refusals(environment, &plan.migrations).await);
    session.warn_all(&plan.warnings);
    let question = format!("deploy {}", plan.version);
    let approval = approval::pass(
        session.ui,
        gate(environment, &plan.refusals, &plan.risks, &question),
        consent,
        Proposal {
            id: Some(&plan.id),
            text: &proposed(session, &plan),
        },
    )
    .await?;
    session.accept_loss(args.backup.loss());
    let mut release = new_deploy(environment, &plan, &session.origin());
    release.approved = session.approve(&approval, Risk::of(&plan.migrations), &plan.risks);
    let key = session.keeper.make_key(key).await?;
    let ready = fingerprints::imprint(ready, key.as_ref());
    fingerprints::sign(&mut release, &ready, key.as_ref());
    let result = deployer(session)
        .deploy(cx, release, &plan, &facts, &ready)
        .await;
    settle(session, result).await
}

/// `--accept-data-loss` is one more risk of the plan, which has another id then.
pub(crate) fn accept_loss(plan: &mut DeployPlan, environment: &Environment, loss: DataLoss) {
    let migrates = matches!(plan.migrate_pre, Step::Do(_));
    let risks = plan::loss_risks(environment);
    if loss == DataLoss::Accepted && migrates && !risks.is_empty() {
        plan.risks.extend(risks);
        plan.id = plan::plan_id(&(&plan.id, &plan.risks), None);
    }
}

/// Secrets that the live release's containers got another value of.
fn other_values(
    environment: &Environment,
    facts: &plan::Facts,
    ready: &IndexMap<RoleName, ReadyRole>,
    key: Option<&Secret>,
) -> Option<String> {
    let live = facts.history.live(&environment.name)?;
    let changed = fingerprints::changed(&live.roles, ready, key);
    fingerprints::told(&changed, &format!("{} got", live.id))
}

/// The deployer of a session's ports.
pub(crate) fn deployer<'a>(session: &'a Session<'_>) -> Deployer<'a> {
    Deployer {
        environment: &session.environment,
        builder: &*session.house.builder,
        pusher: &*session.house.pusher,
        migrator: &*session.house.migrator,
        runner: &*session.house.runner,
        strategy: &*session.house.strategy,
        fetch: &*session.house.fetch,
        ledger: &session.keeper,
    }
}

/// What follows every run, good or bad: evidence of its migrations, and the
/// other hosts' copies of the record.
pub(crate) async fn settle(
    session: &Session<'_>,
    result: Result<Release, Stopped>,
) -> Result<Release, Failure> {
    let release = match &result {
        Ok(release) => release,
        Err(stopped) => &stopped.release,
    };
    let cx = session.cx.uncancellable();
    evidence::of_nothing_to_do(&cx, &session.environment, release);
    session.keeper.level(&cx, release).await;
    result.map_err(Failure::from)
}

/// How text on standard output looks.
pub(crate) fn style(session: &Session<'_>) -> Style {
    session.ui.options().stdout_style
}

/// The command's answer: a line for people, the whole record for programs.
pub(crate) async fn show(session: &Session<'_>, release: &Release) {
    let history = session.keeper.here().unwrap_or_default();
    session
        .ui
        .show(
            &ui::ending::text(&history, release, session.environment.databases.len()),
            &json!({ "status": release.outcome.label(), "release": release }),
        )
        .await;
}
