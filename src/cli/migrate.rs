//! `stagecraft migrate`: plan, run, status, create.

use std::collections::BTreeSet;

use chrono::Utc;
use serde_json::json;

use crate::deploy::{Journal, Wanted, new_migration, record_run};
use crate::migrate;
use crate::model::fault::Fault;
use crate::model::image::PinnedImage;
use crate::model::migration::{MigrationPlan, MigrationRequest};
use crate::model::names::DatabaseName;
use crate::model::phase::{Phase, Status};
use crate::model::project::Environment;
use crate::model::release::{History, Release, ReleaseId};
use crate::plan::{self, gate};
use crate::ports::Cx;
use crate::ui::migrations::Listed;
use crate::ui::{self, Ui, words};

use super::approval::{self, Consent};
use super::args::{
    Filters, Globals, MigrateArgs, MigrateCommand, MigrateCreateArgs, MigratePlanArgs,
    MigrateRunArgs, MigrateStatusArgs,
};
use super::deploy::{settle, style, summary};
use super::failure::Failure;
use super::keeper::Access;
use super::session::{Session, on_environment};

pub(crate) async fn run(args: &MigrateArgs, globals: &Globals, ui: &Ui) -> Result<u8, Failure> {
    match &args.command {
        MigrateCommand::Plan(args) => plan(args, globals, ui).await,
        MigrateCommand::Run(args) => apply(args, globals, ui).await.map(|()| 0),
        MigrateCommand::Status(args) => status(args, globals, ui).await.map(|()| 0),
        MigrateCommand::Create(args) => create(args, globals, ui).await.map(|()| 0),
    }
}

/// What `migrate plan --exit-code` ends with.
const PENDING: u8 = 3;
const DRIFT: u8 = 4;

async fn plan(args: &MigratePlanArgs, globals: &Globals, ui: &Ui) -> Result<u8, Failure> {
    on_environment(
        "stagecraft migrate plan",
        globals,
        ui,
        None,
        async |session| {
            let history = session.history(&session.cx, Access::Read).await?;
            let request = request(session, &session.cx, &args.filters, &history).await?;
            let plans = session.house.migrator.plan(&session.cx, &request).await?;
            ui.show(
                &ui::migrations::text(&plans, Listed::Unsettled, style(session)),
                &json!({ "databases": plans }),
            )
            .await;
            Ok(if args.exit_code { exit_code(&plans) } else { 0 })
        },
    )
    .await
}

fn exit_code(plans: &[MigrationPlan]) -> u8 {
    if plans.iter().any(|plan| !plan.refusals.is_empty()) {
        DRIFT
    } else if plans.iter().any(|plan| !plan.selected.is_empty()) {
        PENDING
    } else {
        0
    }
}

async fn status(args: &MigrateStatusArgs, globals: &Globals, ui: &Ui) -> Result<(), Failure> {
    on_environment(
        "stagecraft migrate status",
        globals,
        ui,
        None,
        async |session| {
            let history = session.history(&session.cx, Access::Read).await?;
            known(&session.environment, &args.database)?;
            let request = MigrationRequest {
                databases: args.database.clone(),
                image: newest_image(&history, &session.environment).map(|(_, image)| image),
                ..MigrationRequest::default()
            };
            let plans = session.house.migrator.plan(&session.cx, &request).await?;
            ui.show(
                &ui::migrations::text(&plans, Listed::All, style(session)),
                &json!({ "databases": plans }),
            )
            .await;
            Ok(())
        },
    )
    .await
}

async fn apply(args: &MigrateRunArgs, globals: &Globals, ui: &Ui) -> Result<(), Failure> {
    let consent = Consent::from_flag(globals.yes);
    on_environment(
        "stagecraft migrate run",
        globals,
        ui,
        None,
        async |session| {
            if args.dry_run {
                let history = session.history(&session.cx, Access::Read).await?;
                let plans = planned(session, &session.cx, args, &history).await?;
                ui.show(
                    &ui::migrations::text(&plans, Listed::Unsettled, style(session)),
                    &json!({ "databases": plans }),
                )
                .await;
                ui.note("nothing was changed, and no lock was taken (--dry-run)")
                    .await;
                return Ok(());
            }
            session
                .locked(async |cx| run_locked(session, cx, args, consent).await)
                .await
        },
    )
    .await
}

async fn planned(
    session: &Session<'_>,
    cx: &Cx,
    args: &MigrateRunArgs,
    history: &History,
) -> Result<Vec<MigrationPlan>, Fault> {
    let mut request = request(session, cx, &args.filters, history).await?;
    request.steps = args.steps;
    request.allow_out_of_order = args.allow_out_of_order;
    session.house.migrator.plan(cx, &request).await
}

async fn run_locked(
    session: &Session<'_>,
    cx: &Cx,
    args: &MigrateRunArgs,
    consent: Consent,
) -> Result<(), Failure> {
    let environment = &session.environment;
    let facts = session.observe(cx, Wanted::Hosts, Access::Write).await?;
    if let Some(found) = plan::interrupted(&facts.history, environment) {
        return Err(plan::open_release_fault(environment, &found).into());
    }
    let plans = planned(session, cx, args, &facts.history).await?;
    let refusals: Vec<String> = plans
        .iter()
        .flat_map(|plan| {
            plan.refusals
                .iter()
                .map(|reason| format!("database `{}`: {reason}", plan.database))
        })
        .collect();
    let pending = plans.iter().map(|plan| plan.selected.len()).sum::<usize>();
    let text = ui::migrations::text(&plans, Listed::Unsettled, style(session));
    if pending == 0 && refusals.is_empty() {
        session
            .ui
            .show(
                "nothing pending",
                &json!({ "status": "done", "applied": 0, "databases": plans }),
            )
            .await;
        return Ok(());
    }
    let question = format!("apply {}", words::plural(pending, "migration"));
    approval::pass(
        session.ui,
        gate(environment, &refusals, &question),
        consent,
        &text,
    )
    .await?;
    let image = image(session, cx, &args.filters, &facts.history).await?;
    let id = ReleaseId::next(Utc::now(), facts.history.newest_id());
    let live = facts
        .history
        .live(&environment.name)
        .map(|release| &release.id);
    let release = new_migration(
        environment,
        id.clone(),
        &facts.source,
        live,
        &session.origin(),
    );
    let release = record(session, cx, release, &plans, image.as_ref()).await?;
    session
        .ui
        .show(
            &summary(session, &release).await,
            &json!({ "status": release.outcome.label(), "release": release }),
        )
        .await;
    Ok(())
}

/// Runs the migrations as a recorded release of their own.
async fn record(
    session: &Session<'_>,
    cx: &Cx,
    release: Release,
    plans: &[MigrationPlan],
    image: Option<&PinnedImage>,
) -> Result<Release, Failure> {
    let id = release.id.clone();
    let ran = async {
        let mut journal = Journal::open(cx, &session.keeper, release).await?;
        journal
            .run(Phase::MigratePre, async |cx, release| {
                if let Some(image) = image {
                    session
                        .house
                        .runner
                        .ensure_image(cx, &session.environment.primary().address, image)
                        .await?;
                }
                match session.house.migrator.run(cx, plans, image, &id).await {
                    Ok(report) => {
                        record_run(release, &report);
                        Ok(report)
                    }
                    Err(failure) => {
                        record_run(release, &failure.report);
                        Err(failure.fault.hint(format!(
                            "see where it stands: `stagecraft migrate status --env {}`",
                            session.environment.name
                        )))
                    }
                }
            })
            .await?;
        journal.run(Phase::Finalize, async |_, _| Ok(())).await?;
        Ok(journal.into_release())
    };
    let result = ran.await;
    settle(session, result).await
}

async fn request(
    session: &Session<'_>,
    cx: &Cx,
    filters: &Filters,
    history: &History,
) -> Result<MigrationRequest, Fault> {
    known(&session.environment, &filters.database)?;
    Ok(MigrationRequest {
        databases: filters.database.clone(),
        strategies: filters.strategy.iter().copied().map(Into::into).collect(),
        to: filters.to.clone(),
        steps: None,
        allow_out_of_order: false,
        image: image(session, cx, filters, history).await?,
    })
}

fn known(environment: &Environment, names: &[DatabaseName]) -> Result<(), Fault> {
    let unknown: BTreeSet<_> = names
        .iter()
        .filter(|name| !environment.databases.contains_key(*name))
        .collect();
    match unknown.first() {
        None => Ok(()),
        Some(name) => Err(Fault::config(format!(
            "there is no database `{name}` in `{}`",
            environment.name
        ))
        .because(format!(
            "it has {}",
            words::and_list(environment.databases.keys().map(DatabaseName::as_str))
        ))
        .state("nothing was changed")),
    }
}

/// The image that containers of this run are made of.
async fn image(
    session: &Session<'_>,
    cx: &Cx,
    filters: &Filters,
    history: &History,
) -> Result<Option<PinnedImage>, Fault> {
    if let Some(reference) = &filters.image {
        return session.house.pusher.resolve(cx, reference).await.map(Some);
    }
    if let Some(id) = &filters.release {
        let found = history
            .of(&session.environment.name)
            .find(|release| release.id == *id);
        return match found.and_then(|release| release.image.clone()) {
            Some(image) => Ok(Some(image)),
            None => Err(Fault::refused(format!(
                "release `{id}` of `{}` has no image",
                session.environment.name
            ))
            .state("nothing was changed")
            .hint(format!(
                "see `stagecraft releases list --env {}`",
                session.environment.name
            ))),
        };
    }
    Ok(
        newest_image(history, &session.environment).map(|(release, image)| {
            cx.step(format!(
                "containers use the image of release {release}, if one is needed"
            ));
            image
        }),
    )
}

/// Of the newest release whose push completed.
fn newest_image(history: &History, environment: &Environment) -> Option<(ReleaseId, PinnedImage)> {
    history
        .of(&environment.name)
        .rev()
        .filter(|release| release.phase(Phase::Push).status == Status::Completed)
        .find_map(|release| {
            release
                .image
                .clone()
                .map(|image| (release.id.clone(), image))
        })
}

async fn create(args: &MigrateCreateArgs, globals: &Globals, ui: &Ui) -> Result<(), Failure> {
    on_environment(
        "stagecraft migrate create",
        globals,
        ui,
        None,
        async |session| {
            let databases = &session.environment.databases;
            let spec = match &args.database {
                Some(name) => {
                    known(&session.environment, std::slice::from_ref(name))?;
                    databases.get(name)
                }
                None if databases.len() == 1 => databases.values().next(),
                None => None,
            };
            let Some(spec) = spec else {
                return Err(
                    Fault::config("which database the migration is for is not clear")
                        .because(format!(
                            "`{}` has {}",
                            session.environment.name,
                            words::plural(databases.len(), "database")
                        ))
                        .state("nothing was created")
                        .hint("add `--database NAME`")
                        .into(),
                );
            };
            let file = migrate::create::create(&spec.migrations, &args.name, Utc::now())?;
            let shown = file
                .strip_prefix(&session.environment.root)
                .unwrap_or(&file)
                .display()
                .to_string();
            ui.show(
                &format!("created {shown}"),
                &json!({ "status": "created", "file": shown }),
            )
            .await;
            Ok(())
        },
    )
    .await
}

/// Whether a plan shows drift, for tests of the exit code.
#[cfg(test)]
mod tests {
    use super::*;

    fn plan(selected: &[&str], refusals: &[&str]) -> MigrationPlan {
        MigrationPlan {
            database: "main".parse().expect("a name"),
            engine: "raw".into(),
            migrations: vec![],
            selected: selected.iter().map(ToString::to_string).collect(),
            refusals: refusals.iter().map(ToString::to_string).collect(),
            unread: None,
            schema_version: None,
            route: "directly".into(),
        }
    }

    #[test]
    fn drift_outranks_pending_and_pending_outranks_nothing() {
        assert_eq!(exit_code(&[plan(&[], &[])]), 0);
        assert_eq!(exit_code(&[plan(&[], &[]), plan(&["1.sql"], &[])]), PENDING);
        assert_eq!(exit_code(&[plan(&["1.sql"], &["edited"])]), DRIFT);
    }
}
