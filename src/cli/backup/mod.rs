//! `stagecraft backup`: copies of databases, and back.

mod restore;
mod told;

use chrono::Utc;
use serde_json::json;

use crate::model::backup::{BackupId, BackupOrder, BackupReason, BackupRecord, Label, beyond};
use crate::model::fault::{Fault, FaultKind};
use crate::model::history::History;
use crate::model::image::PinnedImage;
use crate::model::names::DatabaseName;
use crate::model::project::{DatabaseSpec, Environment};
use crate::plan::gate;
use crate::ports::{Cx, Job, Which};
use crate::ui::{self, Ui};

use super::approval::{self, Consent, Proposal};
use super::args::{
    BackupArgs, BackupCommand, BackupCreateArgs, BackupListArgs, BackupPruneArgs, Globals,
};
use super::deploy::style;
use super::failure::Failure;
use super::keeper::Access;
use super::migrate::{known, newest_image};
use super::session::{Session, on_environment};

pub(crate) async fn run(args: &BackupArgs, globals: &Globals, ui: &Ui) -> Result<(), Failure> {
    match &args.command {
        BackupCommand::Create(args) => create(args, globals, ui).await,
        BackupCommand::List(args) => list(args, globals, ui).await,
        BackupCommand::Restore(args) => restore::run(args, globals, ui).await,
        BackupCommand::Prune(args) => prune(args, globals, ui).await,
    }
}

async fn create(args: &BackupCreateArgs, globals: &Globals, ui: &Ui) -> Result<(), Failure> {
    let command = "stagecraft backup create";
    on_environment(command, globals, ui, None, async |session| {
        let wanted = wanted(&session.environment, &args.database)?;
        session
            .locked(async |cx| {
                let history = session.history(cx, Access::Write).await?;
                let image = newest_image(&history, &session.environment).map(|(_, image)| image);
                let order = order(
                    session,
                    cx,
                    &history,
                    BackupReason::Asked,
                    args.label.as_ref(),
                );
                let order = order.await?;
                let mut taken: Vec<BackupRecord> = vec![];
                for database in wanted {
                    let done = one(session, cx, database, image.as_ref(), &order, args.prove).await;
                    taken.push(done.map_err(|fault| with_earlier(fault, &taken))?);
                }
                let text = ui::backups::taken(&taken);
                let document = json!({ "status": "done", "backups": taken });
                session.ui.show(&text, &document).await;
                Ok(())
            })
            .await
    })
    .await
}

async fn one(
    session: &Session<'_>,
    cx: &Cx,
    database: &DatabaseSpec,
    image: Option<&PinnedImage>,
    order: &BackupOrder,
    prove: bool,
) -> Result<BackupRecord, Fault> {
    let cx = &cx.on_database(&database.name);
    let job = job(session, database, image);
    let backups = &session.house.backups;
    let record = backups.create(cx, &job, order).await?;
    match prove {
        false => Ok(record),
        true => backups.prove(cx, &job, &record).await.map_err(|fault| {
            fault.state(format!(
                "the backup {} stays: it was read back, and could not be restored",
                record.id
            ))
        }),
    }
}

fn with_earlier(fault: Fault, taken: &[BackupRecord]) -> Failure {
    let fault = taken.iter().fold(fault, |fault, record| {
        fault.state(format!("the backup of `{}` was taken", record.database))
    });
    Failure::of_backup(fault)
}

/// What identifies the backups of one command.
async fn order(
    session: &Session<'_>,
    cx: &Cx,
    history: &History,
    reason: BackupReason,
    label: Option<&Label>,
) -> Result<BackupOrder, Fault> {
    let environment = &session.environment;
    let known = session.house.backups.list(cx, environment).await?;
    Ok(BackupOrder {
        id: BackupId::next(Utc::now(), label, known.iter().map(|known| &known.id)),
        reason,
        by: session.origin().actor,
        before: None,
        live: history.live(&environment.name).map(|live| live.id.clone()),
    })
}

fn job<'a>(
    session: &'a Session<'_>,
    database: &'a DatabaseSpec,
    image: Option<&'a PinnedImage>,
) -> Job<'a> {
    let (environment, house) = (&*session.environment, &session.house);
    Job {
        environment,
        database,
        host: &environment.primary().address,
        image,
        files: image,
        release: None,
        which: Which::Configured,
        values: &*house.values,
        runner: &*house.runner,
        link: &*house.link,
    }
}

/// The named databases, or all that have a connection to copy over.
fn wanted<'a>(
    environment: &'a Environment,
    names: &[DatabaseName],
) -> Result<Vec<&'a DatabaseSpec>, Fault> {
    known(environment, names)?;
    let all = environment.databases.values();
    let chosen: Vec<_> = all
        .filter(|database| match names {
            [] => database.connection_env.is_some(),
            names => names.contains(&database.name),
        })
        .collect();
    match chosen.is_empty() {
        false => Ok(chosen),
        true => Err(Fault::config(format!(
            "`{}` has no database that could be copied",
            environment.name
        ))
        .hint("name one under `databases` in the configuration file, with its `connection_env`")),
    }
}

async fn list(args: &BackupListArgs, globals: &Globals, ui: &Ui) -> Result<(), Failure> {
    let command = "stagecraft backup list";
    on_environment(command, globals, ui, None, async |session| {
        known(&session.environment, &args.database)?;
        let mut all = listed(session, &session.cx).await?;
        all.retain(|one| args.database.is_empty() || args.database.contains(&one.database));
        all.reverse();
        let name = &session.environment.name;
        let text = match all.is_empty() {
            true => format!(
                "no backups of {name} yet: make one with `stagecraft backup create --env {name}`"
            ),
            false => ui::backups::list(&all, Utc::now(), style(session)),
        };
        session.ui.show(&text, &json!({ "backups": all })).await;
        Ok(())
    })
    .await
}

async fn listed(session: &Session<'_>, cx: &Cx) -> Result<Vec<BackupRecord>, Fault> {
    session.house.backups.list(cx, &session.environment).await
}

async fn prune(args: &BackupPruneArgs, globals: &Globals, ui: &Ui) -> Result<(), Failure> {
    let consent = &Consent::from_flags(globals.yes, None);
    let command = "stagecraft backup prune";
    on_environment(command, globals, ui, None, async |session| {
        let wanted = wanted(&session.environment, &args.database)?;
        if args.dry_run {
            let doomed = doomed(&listed(session, &session.cx).await?, &wanted);
            show_pruned(session, "planned", &doomed).await;
            let note = "nothing was changed, and no lock was taken (--dry-run)";
            session.ui.note(note).await;
            return Ok(());
        }
        session
            .locked(async |cx| {
                let doomed = doomed(&listed(session, cx).await?, &wanted);
                if !doomed.is_empty() {
                    let question = "remove old backups";
                    let text = &ui::backups::doomed(&doomed, Utc::now());
                    let verdict = gate(&session.environment, &[], &[], question);
                    let proposal = Proposal { id: None, text };
                    approval::pass(session.ui, verdict, consent, proposal).await?;
                    let backups = &session.house.backups;
                    let removed = backups.remove(cx, &session.environment, &doomed).await;
                    removed.map_err(Failure::of_backup)?;
                }
                show_pruned(session, "done", &doomed).await;
                Ok(())
            })
            .await
    })
    .await
}

fn doomed(all: &[BackupRecord], wanted: &[&DatabaseSpec]) -> Vec<BackupRecord> {
    wanted
        .iter()
        .flat_map(|database| beyond(all, &database.name, database.backup_keep))
        .cloned()
        .collect()
}

async fn show_pruned(session: &Session<'_>, status: &str, doomed: &[BackupRecord]) {
    let text = match (doomed.is_empty(), status) {
        (true, _) => "no backup is beyond the newest ones that are kept".to_owned(),
        (false, "done") => format!("removed:\n{}", ui::backups::doomed(doomed, Utc::now())),
        (false, _) => format!("would remove:\n{}", ui::backups::doomed(doomed, Utc::now())),
    };
    let document = json!({ "status": status, "removed": doomed });
    session.ui.show(&text, &document).await;
}

/// Whether a fault of work under way is one that the caller could not have
/// known beforehand.
fn failed(fault: Fault) -> Failure {
    match fault.kind {
        FaultKind::Refused | FaultKind::Config => fault.into(),
        _ => Failure::of_backup(fault),
    }
}
