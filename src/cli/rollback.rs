//! `stagecraft rollback`.

use chrono::Utc;
use indexmap::IndexMap;
use serde_json::json;

use crate::deploy::{Wanted, new_rollback};
use crate::model::names::RoleName;
use crate::model::release::{Forced, ReleaseId};
use crate::model::secret::Secret;
use crate::plan::{self, ReadyRole, RollbackPlan, RollbackRequest, SchemaCheck, gate};
use crate::ui::{self, Ui};

use super::approval::{self, Approval, Consent, Proposal};
use super::args::{Globals, RollbackArgs};
use super::deploy::{deployer, settle, show, style};
use super::failure::Failure;
use super::fingerprints;
use super::keeper::Access;
use super::roles;
use super::session::{Session, on_environment};

pub(crate) async fn run(args: &RollbackArgs, globals: &Globals, ui: &Ui) -> Result<(), Failure> {
    let consent = Consent::from_flags(globals.yes, args.approve.as_deref());
    on_environment("stagecraft rollback", globals, ui, None, async |session| {
        if args.dry_run {
            return dry_run(session, args).await;
        }
        session
            .locked(async |cx| {
                let environment = &session.environment;
                let (facts, key) = tokio::try_join!(
                    session.observe(cx, Wanted::Rollback, Access::Write),
                    session.keeper.key(),
                )?;
                if let Some(found) = plan::interrupted(&facts.history, environment) {
                    return Err(plan::open_release_fault(environment, &found).into());
                }
                let request = request(&facts, args);
                let target = plan::rollback_target(environment, &facts, &request)?;
                let ready = roles::of_record(&target.roles, &*session.house.values).await?;
                let ready = fingerprints::imprint(ready, key.as_ref());
                let mut plan = plan::rollback(environment, &facts, &request, target, &ready)?;
                say_other_values(&mut plan, &ready, key.as_ref());
                session.warn_all(&plan.warnings);
                let question = format!("roll back from {} to {}", plan.from_version, plan.version);
                let approval = approve(session, &plan, &question, &consent).await?;
                let mut release = new_rollback(environment, &plan, &session.origin());
                release.forced = forced(&plan, &release.actor, &approval);
                fingerprints::sign(&mut release, &ready, key.as_ref());
                let result = deployer(session)
                    .roll_back(cx, release, &plan, &facts, &ready)
                    .await;
                let release = settle(session, result).await?;
                show(session, &release).await;
                Ok(())
            })
            .await
    })
    .await
}

/// Passes the gate of a rollback's plan.
pub(crate) async fn approve(
    session: &Session<'_>,
    plan: &RollbackPlan,
    question: &str,
    consent: &Consent,
) -> Result<Approval, Failure> {
    let risks: Vec<String> = plan.overruled.iter().map(ToString::to_string).collect();
    let text = ui::plan_text::rollback(plan, style(session));
    let proposal = Proposal {
        id: Some(&plan.id),
        text: &text,
    };
    let verdict = gate(&session.environment, &[], &risks, question);
    Ok(approval::pass(session.ui, verdict, consent, proposal).await?)
}

/// Who overruled what, for the record.
pub(crate) fn forced(plan: &RollbackPlan, by: &str, approval: &Approval) -> Option<Forced> {
    (!plan.overruled.is_empty()).then(|| Forced {
        by: by.to_owned(),
        at: Utc::now(),
        approval: approval.words(),
        overruled: plan.overruled.iter().map(ToString::to_string).collect(),
    })
}

async fn dry_run(session: &Session<'_>, args: &RollbackArgs) -> Result<(), Failure> {
    let (facts, key) = tokio::try_join!(
        session.observe(&session.cx, Wanted::Rollback, Access::Read),
        session.keeper.key(),
    )?;
    let environment = &session.environment;
    let request = request(&facts, args);
    let target = plan::rollback_target(environment, &facts, &request)?;
    // What a rollback would stop at is said here too.
    let ready = roles::of_record(&target.roles, &*session.house.values).await?;
    let ready = fingerprints::imprint(ready, key.as_ref());
    let mut plan = plan::rollback(environment, &facts, &request, target, &ready)?;
    say_other_values(&mut plan, &ready, key.as_ref());
    session.warn_all(&plan.warnings);
    session
        .ui
        .show(
            &ui::plan_text::rollback(&plan, style(session)),
            &json!({ "status": "planned", "plan": plan }),
        )
        .await;
    session
        .ui
        .note("nothing was changed, and no lock was taken (--dry-run)")
        .await;
    Ok(())
}

/// The containers are made with today's values, whatever the target had.
fn say_other_values(
    plan: &mut RollbackPlan,
    ready: &IndexMap<RoleName, ReadyRole>,
    key: Option<&Secret>,
) {
    let changed = fingerprints::changed(&plan.records, ready, key);
    let got = format!("{} got; today's goes in", plan.target);
    plan.warnings.extend(fingerprints::told(&changed, &got));
}

fn request(facts: &plan::Facts, args: &RollbackArgs) -> RollbackRequest {
    RollbackRequest {
        release: ReleaseId::next(Utc::now(), facts.history.newest_id()),
        to: args.to.clone(),
        schema: match args.force_schema {
            true => SchemaCheck::Force,
            false => SchemaCheck::Refuse,
        },
    }
}
