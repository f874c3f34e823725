//! `stagecraft migrate reset`: a database from zero, in `mode: dev` alone.
//! Recorded as a `migrate run`, which it ends as.

use chrono::Utc;
use serde_json::json;

use crate::deploy::{Journal, new_migration, record_run};
use crate::migrate::reset;
use crate::model::fault::Fault;
use crate::model::image::PinnedImage;
use crate::model::migration::{MigrationRequest, Risk};
use crate::model::phase::Phase;
use crate::model::project::{DatabaseSpec, Mode};
use crate::model::release::{Release, ReleaseId};
use crate::plan;
use crate::ports::{Cx, Job, Which};
use crate::ui::{Ui, words};

use super::super::approval::{self, Consent};
use super::super::args::{Globals, MigrateResetArgs};
use super::super::deploy::{settle, show};
use super::super::failure::Failure;
use super::super::keeper::Access;
use super::super::session::{Session, on_environment_with};
use super::super::source;
use super::{known, newest_image};

pub(super) async fn reset(
    args: &MigrateResetArgs,
    globals: &Globals,
    ui: &Ui,
) -> Result<(), Failure> {
    let consent = &Consent::from_flags(globals.yes, None);
    on_environment_with(
        "stagecraft migrate reset",
        globals,
        ui,
        |environment| {
            if args.skip_health_check {
                (environment.health_before, environment.health_after) = (false, false);
            }
        },
        async |session| {
            allowed(session)?;
            known(&session.environment, &args.database)?;
            session.judge_databases(&args.database).await?;
            if args.dry_run {
                let history = session.history(&session.cx, Access::Read).await?;
                let image = newest_image(&history, &session.environment).map(|(_, image)| image);
                let text = dropped(session, &session.cx, args, image.as_ref()).await?;
                session
                    .ui
                    .show(
                        &text,
                        &json!({ "status": "planned", "drops": text.lines().collect::<Vec<_>>() }),
                    )
                    .await;
                let nothing = "nothing was changed, and no lock was taken (--dry-run)";
                session.ui.note(nothing).await;
                return Ok(());
            }
            session
                .locked(async |cx| locked(session, cx, args, consent).await)
                .await
        },
    )
    .await
}

/// The guard rail: what is deployed to is never emptied.
fn allowed(session: &Session<'_>) -> Result<(), Fault> {
    let environment = &session.environment;
    let name = &environment.name;
    match environment.mode {
        Mode::Dev => Ok(()),
        Mode::Deploy => Err(Fault::refused(format!("`{name}` is not reset"))
            .because(format!("`{name}` has `mode: deploy`, in which databases are only ever migrated forward"))
            .state("nothing was changed")
            .hint("where losing every row is no harm, set `mode: dev` for it in the configuration file")),
    }
}

async fn locked(
    session: &Session<'_>,
    cx: &Cx,
    args: &MigrateResetArgs,
    consent: &Consent,
) -> Result<(), Failure> {
    let environment = &session.environment;
    let (history, ()) =
        tokio::try_join!(session.history(cx, Access::Write), session.one_history(cx))?;
    if let Some(found) = plan::interrupted(&history, environment) {
        return Err(plan::open_release_fault(environment, &found).into());
    }
    let image = newest_image(&history, environment).map(|(_, image)| image);
    let image = image.as_ref();
    let question = format!(
        "drop all of it and apply every migration to `{}` again?",
        environment.name
    );
    let approval = approval::of_loss(
        session.ui,
        &environment.name,
        &question,
        consent,
        &dropped(session, cx, args, image).await?,
    )
    .await?;
    let source = source::observe(&environment.root).await;
    let mut release = new_migration(
        environment,
        ReleaseId::next(Utc::now(), history.newest_id()),
        &source,
        history.live(&environment.name).map(|release| &release.id),
        &session.origin(),
    );
    let lost = [format!(
        "everything in {} was dropped first",
        words::and_list(chosen(session, args).map(|database| database.name.as_str()))
    )];
    release.approved = session.approve(&approval, Risk::High, &lost);
    let release = from_zero(session, cx, args, release, image).await?;
    show(session, &release).await;
    Ok(())
}

/// Drops and applies as one phase of a recorded release.
async fn from_zero(
    session: &Session<'_>,
    cx: &Cx,
    args: &MigrateResetArgs,
    release: Release,
    image: Option<&PinnedImage>,
) -> Result<Release, Failure> {
    let id = release.id.clone();
    let ran = async {
        let mut journal = Journal::open(cx, &session.keeper, release);
        journal
            .run(Phase::MigratePre, async |cx, release| {
                for database in chosen(session, args) {
                    let databases = session.house.databases.as_ref();
                    let job = job(session, database, image);
                    reset::empty(databases, &cx.on_database(&database.name), &job).await?;
                }
                let request = MigrationRequest {
                    databases: args.database.clone(),
                    files: image.cloned(),
                    image: image.cloned(),
                    ..MigrationRequest::default()
                };
                let migrator = &session.house.migrator;
                let plans = migrator.plan(cx, &request).await?;
                let ran = migrator.run(cx, &plans, image, &id).await;
                record_run(release, Phase::MigratePre, ran).map_err(|fault| {
                    fault.hint(format!(
                        "mend it and begin again: `stagecraft migrate reset --env {}`",
                        session.environment.name
                    ))
                })
            })
            .await?;
        journal.run(Phase::Finalize, async |_, _| Ok(())).await?;
        Ok(journal.into_release())
    };
    let result = ran.await;
    settle(session, result).await
}

fn chosen<'a>(
    session: &'a Session<'_>,
    args: &'a MigrateResetArgs,
) -> impl Iterator<Item = &'a DatabaseSpec> {
    session.environment.databases.values().filter(|database| {
        let named = args.database.is_empty() || args.database.contains(&database.name);
        named && database.connection_env.is_some()
    })
}

/// What would be lost, a line a database.
async fn dropped(
    session: &Session<'_>,
    cx: &Cx,
    args: &MigrateResetArgs,
    image: Option<&PinnedImage>,
) -> Result<String, Fault> {
    let mut lines = vec![];
    for database in chosen(session, args) {
        let databases = session.house.databases.as_ref();
        let count = reset::objects(databases, cx, &job(session, database, image)).await?;
        lines.push(format!(
            "{}  {} would be dropped, with every row in them",
            database.name,
            words::plural(count, "table or view").replace("table or views", "tables and views")
        ));
    }
    Ok(lines.join("\n"))
}

fn job<'a>(
    session: &'a Session<'_>,
    database: &'a DatabaseSpec,
    image: Option<&'a PinnedImage>,
) -> Job<'a> {
    Job {
        environment: &session.environment,
        database,
        which: Which::Configured,
        host: &session.environment.primary().address,
        image,
        files: image,
        release: None,
        values: session.house.values.as_ref(),
        runner: session.house.runner.as_ref(),
        link: session.house.link.as_ref(),
    }
}
