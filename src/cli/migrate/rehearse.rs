//! `stagecraft migrate rehearse`: what is pending, on a copy first.

use chrono::Utc;
use serde_json::json;

use crate::migrate::rehearse::{self, Rehearsal, Start};
use crate::model::backup::BackupRecord;
use crate::model::fault::Fault;
use crate::model::migration::{MigrationPlan, MigrationRequest};
use crate::model::names::DatabaseName;
use crate::model::release::ReleaseId;
use crate::ui::{Ui, words};

use super::super::args::{Globals, RehearseArgs};
use super::super::failure::Failure;
use super::super::keeper::Access;
use super::super::session::{Session, on_environment};
use super::check::tools;
use super::{life, newest_image};

/// A check that finds something.
const FOUND: u8 = 12;

pub(super) async fn rehearse(
    args: &RehearseArgs,
    globals: &Globals,
    ui: &Ui,
) -> Result<u8, Failure> {
    on_environment(
        "stagecraft migrate rehearse",
        globals,
        ui,
        None,
        async |session| {
            session.judge_databases(&args.database).await?;
            let backups = backups(session, args).await?;
            let plans = plans(session, args, &backups).await?;
            let mut done = vec![];
            for plan in &plans {
                let backup = backups.iter().find(|one| one.database == plan.database);
                done.push(one(session, args, plan, backup).await?);
            }
            let texts: Vec<String> = done.iter().map(Rehearsal::text).collect();
            let level = done.iter().all(|one| one.differences.is_empty());
            let status = if level { "done" } else { "differs" };
            ui.show(
                &texts.join("\n"),
                &json!({ "status": status, "databases": done }),
            )
            .await;
            Ok(if level { 0 } else { FOUND })
        },
    )
    .await
}

/// The wanted backup of every wanted database; nothing where none was named.
async fn backups(session: &Session<'_>, args: &RehearseArgs) -> Result<Vec<BackupRecord>, Failure> {
    let Some(id) = &args.backup else {
        return Ok(vec![]);
    };
    let environment = &session.environment;
    let mut all = session.house.backups.list(&session.cx, environment).await?;
    all.retain(|one| one.id == *id);
    let missing = args
        .database
        .iter()
        .find(|name| !all.iter().any(|one| one.database == **name));
    let fault = match (all.is_empty(), missing) {
        (true, _) => Fault::refused(format!("there is no backup `{id}`")),
        (false, Some(name)) => Fault::refused(format!("`{id}` is no backup of `{name}`")),
        (false, None) => {
            all.retain(|one| args.database.is_empty() || args.database.contains(&one.database));
            return Ok(all);
        }
    };
    Err(fault
        .state("nothing was changed, and no copy was made")
        .hint(format!(
            "see `stagecraft backup list --env {}`",
            environment.name
        ))
        .into())
}

async fn plans(
    session: &Session<'_>,
    args: &RehearseArgs,
    backups: &[BackupRecord],
) -> Result<Vec<MigrationPlan>, Failure> {
    let wanted: Vec<DatabaseName> = match backups {
        [] => args.database.clone(),
        some => some.iter().map(|one| one.database.clone()).collect(),
    };
    for database in life::some(session, &wanted)? {
        life::raw(session, database, "rehearse")?;
    }
    let history = session.history(&session.cx, Access::Read).await?;
    let newest = newest_image(&history, &session.environment).map(|(_, image)| image);
    let request = MigrationRequest {
        databases: wanted,
        files: newest.clone(),
        image: newest,
        ..MigrationRequest::default()
    };
    let plans = session.house.migrator.plan(&session.cx, &request).await?;
    match plans.iter().find(|plan| !plan.refusals.is_empty()) {
        None => Ok(plans),
        Some(plan) => {
            let what = format!("the migrations of `{}` may not run", plan.database);
            let fault = plan
                .refusals
                .iter()
                .fold(Fault::refused(what), |fault, why| {
                    fault.because(why.clone())
                });
            Err(fault
                .state("nothing was changed, and no copy was made")
                .into())
        }
    }
}

async fn one(
    session: &Session<'_>,
    args: &RehearseArgs,
    plan: &MigrationPlan,
    backup: Option<&BackupRecord>,
) -> Result<Rehearsal, Failure> {
    let cx = session.cx.on_database(&plan.database);
    let start = match (backup, args.empty) {
        (Some(backup), _) => Start::Backup(&*session.house.backups, backup),
        (None, true) => Start::Empty,
        (None, false) => Start::Copy,
    };
    let environment = &session.environment;
    // In the rows of the copy, which nobody keeps.
    let release = ReleaseId::next(Utc::now(), None);
    let done = rehearse::rehearse(&tools(session), &cx, environment, plan, start, &release).await?;
    if done.copied {
        let at = words::time(Utc::now());
        if let Err(fault) = rehearse::remember(&environment.root, &done, &at) {
            cx.warn(format!("what it took was not kept: {fault}"));
        }
    }
    Ok(done)
}
