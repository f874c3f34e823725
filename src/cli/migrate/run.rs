//! `stagecraft migrate run`: recorded as a release of its own, which is never
//! live. Containers are left alone, so no host's engine is asked for anything
//! that a migration does not need itself; where there is a schema gate, the
//! live release's containers are found and asked.

use chrono::Utc;
use serde_json::{Value, json};

use crate::deploy::{Journal, Wanted, live_tolerates_all, new_migration, record_run};
use crate::migrate::DataLoss;
use crate::model::fault::Fault;
use crate::model::history::History;
use crate::model::image::PinnedImage;
use crate::model::migration::{MigrationPlan, MigrationRequest, Risk};
use crate::model::phase::Phase;
use crate::model::project::{Environment, MigrationSource};
use crate::model::release::{Release, ReleaseId};
use crate::plan::{self, Broken, gate};
use crate::ports::Cx;
use crate::ui::migrations::Listed;
use crate::ui::{self, Ui, words};

use super::super::approval::{self, Consent, Proposal};
use super::super::args::{Globals, MigrateRunArgs};
use super::super::committed;
use super::super::deploy::{settle, show, style};
use super::super::failure::Failure;
use super::super::keeper::Access;
use super::super::session::{Session, on_environment_with};
use super::super::source;
use super::{preview, request, shown};

pub(super) async fn run(args: &MigrateRunArgs, globals: &Globals, ui: &Ui) -> Result<(), Failure> {
    let consent = &Consent::from_flags(globals.yes, args.approve.as_deref());
    on_environment_with(
        "stagecraft migrate run",
        globals,
        ui,
        |environment| {
            args.backup.override_in(environment);
            if args.skip_health_check {
                (environment.health_before, environment.health_after) = (false, false);
            }
        },
        async |session| {
            session.judge_databases(&args.filters.database).await?;
            if args.dry_run {
                let history = session.history(&session.cx, Access::Read).await?;
                let (plans, _) =
                    planned(session, &session.cx, args, &history, Looking::Only).await?;
                let broken = Broken::of(&session.environment, &history, &plans);
                session.warn_all(&broken.warnings);
                let uncommitted = committed::refusals(&session.environment, &plans).await;
                session.warn_all(&uncommitted);
                let accepted = accepted(&session.environment, args);
                let id = id(&session.environment, &plans, &broken, &accepted);
                let mut document = preview::document(&plans, &broken);
                document.insert("id".to_owned(), json!(id));
                ui.show(
                    &text(session, &plans, &broken, &id),
                    &Value::Object(document),
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
    looking: Looking,
) -> Result<(Vec<MigrationPlan>, Option<PinnedImage>), Fault> {
    let mut request = request(session, cx, &args.filters, history).await?;
    request.steps = args.steps;
    request.allow_out_of_order = args.allow_out_of_order;
    if looking == Looking::Fetch {
        fetch_files(session, cx, &request).await?;
    }
    let mut plans = session.house.migrator.plan(cx, &request).await?;
    plan::recall(history, &mut plans);
    Ok((plans, request.image))
}

/// What planning may do to the primary host.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Looking {
    /// Nothing.
    Only,
    /// Have the image there whose files are the migrations.
    Fetch,
}

/// Without the image there would be nothing to plan.
async fn fetch_files(
    session: &Session<'_>,
    cx: &Cx,
    request: &MigrationRequest,
) -> Result<(), Fault> {
    let environment = &session.environment;
    let from_image = environment.databases.values().any(|database| {
        let named = request.databases.is_empty() || request.databases.contains(&database.name);
        named && database.migrations.source == MigrationSource::Image
    });
    let host = &environment.primary().address;
    match request.files.as_ref().filter(|_| from_image) {
        Some(image) => session.house.runner.ensure_image(cx, host, image).await,
        None => Ok(()),
    }
}

async fn run_locked(
    session: &Session<'_>,
    cx: &Cx,
    args: &MigrateRunArgs,
    consent: &Consent,
) -> Result<(), Failure> {
    let environment = &session.environment;
    let (history, ()) =
        tokio::try_join!(session.history(cx, Access::Write), session.one_history(cx))?;
    if let Some(found) = plan::interrupted(&history, environment) {
        return Err(plan::open_release_fault(environment, &found).into());
    }
    let (plans, image) = planned(session, cx, args, &history, Looking::Fetch).await?;
    let pending = plans.iter().map(|plan| plan.selected.len()).sum::<usize>();
    let mut refusals = refusals(&plans);
    let broken = Broken::of(environment, &history, &plans);
    session.warn_all(&broken.warnings);
    refusals.extend(broken.refusals.iter().cloned());
    refusals.extend(committed::refusals(environment, &plans).await);
    let accepted = accepted(environment, args);
    let id = id(environment, &plans, &broken, &accepted);
    let risks = [broken.risks.clone(), accepted].concat();
    if pending == 0 && refusals.is_empty() {
        session
            .ui
            .show(
                &format!("nothing is pending in {}", environment.name),
                &json!({ "status": "done", "applied": 0, "databases": plans }),
            )
            .await;
        return Ok(());
    }
    let release = ReleaseId::next(Utc::now(), history.newest_id());
    if refusals.is_empty() {
        ask_the_live(session, cx, &release, &plans).await?;
    }
    let question = format!("apply {}", words::plural(pending, "migration"));
    let approval = approval::pass(
        session.ui,
        gate(environment, &refusals, &risks, &question),
        consent,
        Proposal {
            id: Some(&id),
            text: &text(session, &plans, &broken, &id),
        },
    )
    .await?;
    let source = source::observe(&environment.root).await;
    let mut release = new_migration(
        environment,
        release,
        &source,
        history.live(&environment.name).map(|release| &release.id),
        &session.origin(),
    );
    release.approved = session.approve(&approval, Risk::of(&plans), &risks);
    session.accept_loss(args.backup.loss());
    let release = record(session, cx, release, &plans, image.as_ref()).await?;
    show(session, &release).await;
    Ok(())
}

/// Where there is a schema gate, the code that serves is asked whether it
/// tolerates the schema to come: no other release follows that might.
async fn ask_the_live(
    session: &Session<'_>,
    cx: &Cx,
    release: &ReleaseId,
    plans: &[MigrationPlan],
) -> Result<(), Fault> {
    let environment = &session.environment;
    if environment.schema_gate.is_none() {
        return Ok(());
    }
    let facts = session.observe(cx, Wanted::Hosts, Access::Write).await?;
    let fetch = &*session.house.fetch;
    live_tolerates_all(cx, environment, fetch, &facts, release, plans).await
}

/// What would run, in which file's words, at which risk, and what is done about
/// a failure.
fn id(
    environment: &Environment,
    plans: &[MigrationPlan],
    broken: &Broken,
    accepted: &[String],
) -> String {
    let work: Vec<_> = plans
        .iter()
        .flat_map(|plan| {
            plan.to_run()
                .map(|one| (&plan.database, &one.id, &one.checksum))
        })
        .collect();
    let id = plan::plan_id(&(&environment.name, work, &broken.risks), None);
    let backups = backups(environment, plans);
    match (backups.is_empty(), accepted.is_empty()) {
        (true, true) => id,
        _ => plan::plan_id(&(id, backups, accepted), None),
    }
}

/// What is copied first, and why.
fn backups(environment: &Environment, plans: &[MigrationPlan]) -> Vec<String> {
    let busy = plans.iter().filter(|plan| !plan.selected.is_empty());
    let databases: Vec<_> = busy.map(|plan| plan.database.clone()).collect();
    plan::backup_notes(environment, &databases)
}

/// What `--accept-data-loss` accepts.
fn accepted(environment: &Environment, args: &MigrateRunArgs) -> Vec<String> {
    match args.backup.loss() {
        DataLoss::Accepted => plan::loss_risks(environment),
        DataLoss::Refused => vec![],
    }
}

fn text(session: &Session<'_>, plans: &[MigrationPlan], broken: &Broken, id: &str) -> String {
    let look = style(session);
    let environment = &session.environment;
    let guarded = environment.protected || !broken.risks.is_empty();
    let notes = backups(environment, plans);
    let notes: Vec<String> = notes
        .iter()
        .map(|note| format!("  note: {note}\n"))
        .collect();
    format!(
        "{}{}{}{}  plan id     {id}",
        ui::migrations::text(plans, Listed::Unsettled, shown(session), look),
        notes.concat(),
        ui::plan_text::breaking(&broken.objections, look),
        match guarded {
            true => ui::safeguards::text(environment, plans, look),
            false => String::new(),
        }
    )
}

fn refusals(plans: &[MigrationPlan]) -> Vec<String> {
    let each = |plan: &MigrationPlan| {
        let database = plan.database.clone();
        let reasons = plan.refusals.clone().into_iter();
        reasons.map(move |reason| format!("database `{database}`: {reason}"))
    };
    plans.iter().flat_map(each).collect()
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
        let mut journal = Journal::open(cx, &session.keeper, release);
        journal
            .run(Phase::MigratePre, async |cx, release| {
                let ran = session.house.migrator.run(cx, plans, image, &id).await;
                record_run(release, Phase::MigratePre, ran).map_err(|fault| {
                    fault.state("no container was touched").hint(format!(
                        "see where it stands: `stagecraft migrate status --env {}`",
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
