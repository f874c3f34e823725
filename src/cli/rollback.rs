//! `stagecraft rollback`.

use chrono::Utc;
use serde_json::json;

use crate::deploy::{Wanted, new_rollback};
use crate::model::release::ReleaseId;
use crate::plan::{self, RollbackRequest, gate};
use crate::ui::{self, Ui};

use super::approval::{self, Consent};
use super::args::{Globals, RollbackArgs};
use super::deploy::{deployer, settle, show, style};
use super::failure::Failure;
use super::keeper::Access;
use super::roles;
use super::session::{Session, on_environment};

pub(crate) async fn run(args: &RollbackArgs, globals: &Globals, ui: &Ui) -> Result<(), Failure> {
    let consent = Consent::from_flag(globals.yes);
    on_environment("stagecraft rollback", globals, ui, None, async |session| {
        if args.dry_run {
            return dry_run(session, args).await;
        }
        session
            .locked(async |cx| {
                let environment = &session.environment;
                let facts = session.observe(cx, Wanted::Hosts, Access::Write).await?;
                if let Some(found) = plan::interrupted(&facts.history, environment) {
                    return Err(plan::open_release_fault(environment, &found).into());
                }
                let request = request(&facts, args);
                let target = plan::rollback_target(environment, &facts, &request)?;
                let ready = roles::of_record(&target.roles, &*session.house.values).await?;
                let plan = plan::rollback(environment, &facts, &request, target, &ready)?;
                session.warn_all(&plan.warnings);
                let question = format!("roll back from {} to {}", plan.from_version, plan.version);
                approval::pass(
                    session.ui,
                    gate(environment, &[], &question),
                    consent,
                    &ui::plan_text::rollback(&plan, style(session)),
                )
                .await?;
                let release = new_rollback(environment, &plan, &session.origin());
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

async fn dry_run(session: &Session<'_>, args: &RollbackArgs) -> Result<(), Failure> {
    let facts = session
        .observe(&session.cx, Wanted::Hosts, Access::Read)
        .await?;
    let environment = &session.environment;
    let request = request(&facts, args);
    let target = plan::rollback_target(environment, &facts, &request)?;
    // What a rollback would stop at is said here too.
    let ready = roles::of_record(&target.roles, &*session.house.values).await?;
    let plan = plan::rollback(environment, &facts, &request, target, &ready)?;
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

fn request(facts: &plan::Facts, args: &RollbackArgs) -> RollbackRequest {
    RollbackRequest {
        release: ReleaseId::next(Utc::now(), facts.history.newest_id()),
        to: args.to.clone(),
    }
}
