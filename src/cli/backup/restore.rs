//! `stagecraft backup restore`.
//!
//! Every write since the backup is lost, and nobody here can prove that there
//! was none: that has to be accepted and approved, in every environment.

use chrono::Utc;
use serde_json::json;

use crate::deploy::new_restore;
use crate::model::backup::{BackupReason, BackupRecord, Way};
use crate::model::fault::Fault;
use crate::model::history::History;
use crate::model::image::PinnedImage;
use crate::model::migration::{MigrationRequest, MigrationState};
use crate::model::project::DatabaseSpec;
use crate::model::release::{Outcome, ReleaseId};
use crate::plan::{self, gate};
use crate::ports::{Cx, Ledger};
use crate::ui::{self, Ui, words};

use super::super::approval::{self, Consent, Proposal};
use super::super::args::{BackupRestoreArgs, Globals};
use super::super::deploy::style;
use super::super::failure::Failure;
use super::super::keeper::Access;
use super::super::migrate::newest_image;
use super::super::session::{Session, on_environment};
use super::super::source;
use super::{failed, job, listed, order, told};

pub(super) async fn run(
    args: &BackupRestoreArgs,
    globals: &Globals,
    ui: &Ui,
) -> Result<(), Failure> {
    let consent = &Consent::from_flags(globals.yes, args.approve.as_deref());
    let command = "stagecraft backup restore";
    on_environment(command, globals, ui, None, async |session| {
        if args.dry_run {
            let history = session.history(&session.cx, Access::Read).await?;
            let found = look(session, &session.cx, args, &history).await?;
            let document = json!({ "status": "planned", "plan": found.document(session) });
            session.ui.show(&found.text(session), &document).await;
            let note = "nothing was changed, and no lock was taken (--dry-run)";
            session.ui.note(note).await;
            return Ok(());
        }
        session
            .locked(async |cx| restore(session, cx, args, consent).await)
            .await
    })
    .await
}

/// What a restore would do.
pub(super) struct Found {
    pub(super) backup: BackupRecord,
    pub(super) database: DatabaseSpec,
    pub(super) way: Way,
    image: Option<PinnedImage>,
    now: Now,
    pub(super) redeploy: String,
    pub(super) id: String,
}

/// The database that is there.
struct Now {
    schema_version: Option<i64>,
    /// Migrations that the backup does not know.
    taken_away: Vec<String>,
    /// Why it was not read.
    unread: Option<String>,
}

async fn restore(
    session: &Session<'_>,
    cx: &Cx,
    args: &BackupRestoreArgs,
    consent: &Consent,
) -> Result<(), Failure> {
    let environment = &session.environment;
    let history = session.history(cx, Access::Write).await?;
    if let Some(found) = plan::interrupted(&history, environment) {
        return Err(plan::open_release_fault(environment, &found).into());
    }
    let found = look(session, cx, args, &history).await?;
    if !args.accept_data_loss {
        session.ui.data(&found.text(session)).await;
        return Err(told::loses(&found, &environment.name).into());
    }
    let mut risks = vec![format!(
        "every write to `{}` since {} is lost",
        found.database.name,
        words::time(found.backup.created_at)
    )];
    risks.extend(told::in_place(&found));
    let question = told::question(&found);
    let proposal = Proposal {
        id: Some(&found.id),
        text: &found.text(session),
    };
    let verdict = gate(environment, &[], &risks, &question);
    approval::pass(session.ui, verdict, consent, proposal).await?;
    let cx = &cx.on_database(&found.database.name);
    let job = job(session, &found.database, found.image.as_ref());
    let backups = &session.house.backups;
    let safety = match args.skip_backup {
        true => None,
        false => {
            let order = order(session, cx, &history, BackupReason::BeforeRestore, None).await?;
            let taken = backups.create(cx, &job, &order).await;
            let taken =
                taken.map_err(|fault| {
                    failed(fault.state("nothing was restored").hint(
                        "where what is there now is worth nothing, say so with `--skip-backup`",
                    ))
                })?;
            Some(taken)
        }
    };
    let mut release = new_restore(
        environment,
        ReleaseId::next(Utc::now(), history.newest_id()),
        &source::observe(&environment.root).await,
        history.live(&environment.name).map(|live| &live.id),
        &found.backup,
        &session.origin(),
    );
    session.keeper.save(&release).await?;
    let outcome = backups.restore(cx, &job, &found.backup, found.way).await;
    release.outcome = match &outcome {
        Ok(_) => Outcome::Done,
        Err(_) => Outcome::Failed,
    };
    if let (Ok(restored), Some(schema)) = (&outcome, release.schema.get_mut(&found.database.name)) {
        schema.before = found.now.schema_version;
        schema.after = restored.contents.schema_version;
    }
    release.revision += 1;
    session.keeper.save(&release).await?;
    session.keeper.level(&cx.uncancellable(), &release).await;
    let restored = outcome.map_err(|fault| failed(told::after(fault, safety.as_ref(), &found)))?;
    let text = told::done(&found, &restored, safety.as_ref(), session);
    let document = json!({
        "status": "done",
        "restored": restored,
        "safety_backup": safety.as_ref().map(|safety| &safety.id),
        "release": release.id,
        "redeploy": found.redeploy,
    });
    session.ui.show(&text, &document).await;
    Ok(())
}

async fn look(
    session: &Session<'_>,
    cx: &Cx,
    args: &BackupRestoreArgs,
    history: &History,
) -> Result<Found, Failure> {
    let environment = &session.environment;
    let backup = chosen(&listed(session, cx).await?, args, environment.name.as_str())?;
    let database = environment.databases.get(&backup.database).ok_or_else(|| {
        Fault::config(format!(
            "there is no database `{}` any more",
            backup.database
        ))
    })?;
    let image = newest_image(history, environment).map(|(_, image)| image);
    let now = now(session, cx, &backup, image.as_ref()).await?;
    let id = plan::plan_id(
        &(
            &environment.name,
            &backup.id,
            &backup.database,
            &backup.checksum,
            &now.taken_away,
            args.way(),
        ),
        None,
    );
    Ok(Found {
        redeploy: redeploy(history, &backup, environment.name.as_str()),
        database: database.clone(),
        way: args.way(),
        backup,
        image,
        now,
        id,
    })
}

fn chosen(
    all: &[BackupRecord],
    args: &BackupRestoreArgs,
    environment: &str,
) -> Result<BackupRecord, Fault> {
    let list = format!("see `stagecraft backup list --env {environment}`");
    let of: Vec<&BackupRecord> = all.iter().filter(|one| one.id == args.id).collect();
    let wanted = |one: &&&BackupRecord| match &args.database {
        Some(name) => one.database == *name,
        None => true,
    };
    match of.iter().filter(wanted).collect::<Vec<_>>().as_slice() {
        [one] => Ok((**one).clone()),
        [] if of.is_empty() => {
            Err(Fault::refused(format!("there is no backup `{}`", args.id)).hint(list))
        }
        [] => {
            Err(Fault::refused(format!("`{}` is no backup of that database", args.id)).hint(list))
        }
        several => {
            let names = words::or_list(several.iter().map(|one| one.database.as_str()));
            Err(
                Fault::config(format!("`{}` is of several databases", args.id))
                    .hint(format!("name {names} after `--database`")),
            )
        }
    }
}

/// A database that cannot be read is one more reason to restore it.
async fn now(
    session: &Session<'_>,
    cx: &Cx,
    backup: &BackupRecord,
    image: Option<&PinnedImage>,
) -> Result<Now, Fault> {
    let request = MigrationRequest {
        databases: vec![backup.database.clone()],
        image: image.cloned(),
        files: image.cloned(),
        ..MigrationRequest::default()
    };
    let plans = session.house.migrator.plan(cx, &request).await;
    cx.check()?;
    let plan = plans.map(|plans| plans.into_iter().next());
    Ok(match plan {
        Ok(Some(plan)) => Now {
            schema_version: plan.schema_version,
            unread: plan.unread,
            taken_away: plan
                .migrations
                .iter()
                .filter(|one| match one.state {
                    MigrationState::Applied { .. }
                    | MigrationState::Edited { .. }
                    | MigrationState::Missing
                    | MigrationState::Failed { .. } => true,
                    MigrationState::Pending | MigrationState::OutOfOrder { .. } => false,
                })
                .filter(|one| !backup.contents.migrations.contains(&one.id))
                .map(|one| one.id.clone())
                .collect(),
        },
        Ok(None) => Now {
            schema_version: None,
            taken_away: vec![],
            unread: Some("its migrations are not planned".to_owned()),
        },
        Err(fault) => Now {
            schema_version: None,
            taken_away: vec![],
            unread: Some(fault.to_string()),
        },
    })
}

/// The release whose code fits what is restored, and how it comes back.
fn redeploy(history: &History, backup: &BackupRecord, environment: &str) -> String {
    let live = history.live(&backup.environment).map(|live| &live.id);
    let before = backup.before.as_ref().and_then(|id| history.find(id));
    let then = backup
        .live
        .as_ref()
        .or(before.and_then(|release| release.previous_id.as_ref()));
    match (then, live) {
        (Some(then), Some(live)) if then == live => {
            format!("{live} serves, which is the release that the backup fits")
        }
        (Some(then), _) => format!(
            "bring back the release that the backup fits: `stagecraft rollback --env {environment} --to {then}`"
        ),
        (None, _) => format!(
            "no release was live when it was taken: see which one fits in `stagecraft releases list --env {environment}`"
        ),
    }
}

impl Found {
    fn text(&self, session: &Session<'_>) -> String {
        let loss = match &self.now.unread {
            Some(why) => format!("every write since then; what is there now was not read: {why}"),
            None => "every write since then".to_owned(),
        };
        let mut more = vec![("loses", loss)];
        more.extend(told::in_place(self).map(|how| ("in place", how)));
        more.push(("then", self.redeploy.clone()));
        more.push(("plan id", self.id.clone()));
        ui::backups::restore(
            &self.backup,
            &self.now.taken_away,
            self.now.schema_version,
            &more,
            Utc::now(),
            style(session),
        )
    }

    fn document(&self, session: &Session<'_>) -> serde_json::Value {
        json!({
            "id": self.id,
            "environment": session.environment.name,
            "backup": self.backup,
            "schema_version": self.now.schema_version,
            "migrations_taken_away": self.now.taken_away,
            "unread": self.now.unread,
            "way": self.way,
            "data_loss": true,
            "redeploy": self.redeploy,
        })
    }
}
