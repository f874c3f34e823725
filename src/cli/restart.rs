//! `stagecraft restart`: the live release's containers made anew. What it is,
//! and why it is a release of its own, says `plan::restart`.

use chrono::Utc;
use indexmap::IndexMap;
use serde_json::json;

use crate::deploy::{Wanted, new_rollback, reopen};
use crate::model::fault::Fault;
use crate::model::names::RoleName;
use crate::model::project::{Environment, Strategy};
use crate::model::release::{Release, ReleaseId};
use crate::model::secret::Secret;
use crate::plan::{self, Facts, ReadyRole, RestartRequest, RollbackPlan};
use crate::ports::Cx;
use crate::ui::{self, Ui};

use super::approval::Consent;
use super::args::{Globals, RestartArgs};
use super::deploy::{deployer, settle, show, style};
use super::failure::Failure;
use super::fingerprints;
use super::keeper::Access;
use super::roles;
use super::rollback;
use super::session::{Session, on_environment};

type Ready = IndexMap<RoleName, ReadyRole>;

pub(crate) async fn run(args: &RestartArgs, globals: &Globals, ui: &Ui) -> Result<(), Failure> {
    let consent = Consent::from_flags(globals.yes, None);
    on_environment("stagecraft restart", globals, ui, None, async |session| {
        refuse_services(&session.environment)?;
        if args.dry_run {
            return dry_run(session, args).await;
        }
        session
            .locked(async |cx| {
                let release = restart(session, cx, args, &consent).await?;
                show(session, &release).await;
                Ok(())
            })
            .await
    })
    .await
}

async fn restart(
    session: &Session<'_>,
    cx: &Cx,
    args: &RestartArgs,
    consent: &Consent,
) -> Result<Release, Failure> {
    let environment = &session.environment;
    let (facts, key) = tokio::try_join!(
        session.observe(cx, Wanted::Hosts, Access::Write),
        session.keeper.key(),
    )?;
    if let Some(found) = plan::interrupted(&facts.history, environment) {
        return Err(plan::open_release_fault(environment, &found).into());
    }
    let (plan, ready) = planned(session, &facts, &request(&facts, args), key.as_ref()).await?;
    session.warn_all(&plan.warnings);
    let question = match plan.only.as_slice() {
        [] => format!("restart {}", plan.version),
        only => format!("restart {} of {}", list(only), plan.version),
    };
    rollback::approve(session, &plan, &question, consent).await?;
    let mut release = new_rollback(environment, &plan, &session.origin());
    sign(&mut release, &plan, &ready, key.as_ref());
    let result = deployer(session)
        .roll_back(cx, release, &plan, &facts, &ready)
        .await;
    settle(session, result).await
}

/// Finishes one that was cut off.
pub(crate) async fn finish(
    session: &Session<'_>,
    cx: &Cx,
    mut release: Release,
    consent: &Consent,
) -> Result<Release, Failure> {
    let (facts, key) = tokio::try_join!(
        session.observe(cx, Wanted::Hosts, Access::Write),
        session.keeper.key(),
    )?;
    let request = RestartRequest {
        release: release.id.clone(),
        only: release.plan.roles.clone(),
    };
    let (plan, ready) = planned(session, &facts, &request, key.as_ref()).await?;
    let question = format!("finish the restart {} ({})", release.id, release.version);
    rollback::approve(session, &plan, &question, consent).await?;
    reopen(&mut release)?;
    // What is still to be started gets today's values.
    sign(&mut release, &plan, &ready, key.as_ref());
    let result = deployer(session)
        .roll_back(cx, release, &plan, &facts, &ready)
        .await;
    settle(session, result).await
}

/// Containers made anew take the place of others; a service updates itself.
fn refuse_services(environment: &Environment) -> Result<(), Fault> {
    if environment.rollout.strategy != Strategy::Swarm {
        return Ok(());
    }
    Err(
        Fault::config("`restart` is not built yet for `rollout.strategy: swarm`")
            .because("its containers are placed by the engine, as tasks of services")
            .state("nothing was changed")
            .hint(format!(
                "deploy again: every release makes its containers anew, and behind the proxy no request is lost: `stagecraft deploy --env {}`",
                environment.name
            ))
            .hint(format!(
                "one role that is not behind the proxy, on a manager: `docker service update --force {}-ROLE`",
                environment.prefix()
            )),
    )
}

/// Prints the plan. Takes no lock, writes nothing.
async fn dry_run(session: &Session<'_>, args: &RestartArgs) -> Result<(), Failure> {
    let (facts, key) = tokio::try_join!(
        session.observe(&session.cx, Wanted::Hosts, Access::Read),
        session.keeper.key(),
    )?;
    let (plan, _) = planned(session, &facts, &request(&facts, args), key.as_ref()).await?;
    let mut warnings = plan.warnings.clone();
    if let Some(found) = plan::interrupted(&facts.history, &session.environment) {
        warnings.push(format!(
            "release {} was cut off: a restart is refused until it is resumed or aborted",
            found.release.id
        ));
    }
    session.warn_all(&warnings);
    let text = ui::plan_text::rollback(&plan, style(session));
    let document = json!({ "status": "planned", "plan": plan });
    session.ui.show(&text, &document).await;
    let note = "nothing was changed, and no lock was taken (--dry-run)";
    session.ui.note(note).await;
    Ok(())
}

fn request(facts: &Facts, args: &RestartArgs) -> RestartRequest {
    let mut only = args.role.clone();
    only.sort();
    only.dedup();
    RestartRequest {
        release: ReleaseId::next(Utc::now(), facts.history.newest_id()),
        only,
    }
}

/// The plan, and the roles with the values that their containers will get.
async fn planned(
    session: &Session<'_>,
    facts: &Facts,
    request: &RestartRequest,
    key: Option<&Secret>,
) -> Result<(RollbackPlan, Ready), Failure> {
    let mut plan = plan::restart(&session.environment, facts, request)?;
    let mut records = plan.records.clone();
    records.retain(|name, _| plan.roles.contains_key(name));
    let ready = roles::of_record(&records, &*session.house.values).await?;
    let ready = fingerprints::imprint(ready, key);
    let changed = fingerprints::changed(&records, &ready, key);
    let got = format!("{} got; today's goes in", plan.target);
    plan.warnings.extend(fingerprints::told(&changed, &got));
    Ok((plan, ready))
}

/// Containers that run on have the values that they had.
fn sign(release: &mut Release, plan: &RollbackPlan, ready: &Ready, key: Option<&Secret>) {
    fingerprints::sign(release, ready, key);
    for (name, record) in &plan.records {
        if !plan.roles.contains_key(name) {
            release.roles.insert(name.clone(), record.clone());
        }
    }
}

fn list(roles: &[RoleName]) -> String {
    let names: Vec<&str> = roles.iter().map(RoleName::as_str).collect();
    ui::words::and_list(&names)
}
