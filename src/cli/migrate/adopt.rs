//! `stagecraft migrate adopt`: the history that another tool kept becomes
//! Stagecraft's. Recorded as a release of its own, which is never live; no SQL
//! of any file runs, so the record lists no migrations.

use chrono::Utc;
use serde_json::json;

use crate::deploy::{Journal, new_migration};
use crate::migrate::engines::raw::{Adopted, Adoption, Writing, adopt as take_over};
use crate::model::fault::Fault;
use crate::model::history::History;
use crate::model::image::PinnedImage;
use crate::model::phase::Phase;
use crate::model::project::DatabaseSpec;
use crate::model::release::{Release, ReleaseId};
use crate::plan::{self, gate};
use crate::ports::{Cx, Job, Which};
use crate::ui::{Ui, words};

use super::super::approval::{self, Consent, Proposal};
use super::super::args::{Globals, MigrateAdoptArgs};
use super::super::deploy::settle;
use super::super::failure::Failure;
use super::super::keeper::Access;
use super::super::session::{Session, on_environment};
use super::super::source;
use super::{known, newest_image};

pub(super) async fn adopt(
    args: &MigrateAdoptArgs,
    globals: &Globals,
    ui: &Ui,
) -> Result<(), Failure> {
    let consent = &Consent::from_flags(globals.yes, None);
    on_environment(
        "stagecraft migrate adopt",
        globals,
        ui,
        None,
        async |session| {
            let database = database(session, args)?;
            session
                .judge_databases(std::slice::from_ref(&database.name))
                .await?;
            if args.dry_run {
                let history = session.history(&session.cx, Access::Read).await?;
                let work = Work::of(session, database, args, &history);
                let found = work.look(&session.cx, Writing::Nothing).await?;
                refused(database, &found)?;
                ui.show(&text(database, &found, Said::Would), &told(&found))
                    .await;
                ui.note("nothing was changed, and no lock was taken (--dry-run)")
                    .await;
                return Ok(());
            }
            session
                .locked(async |cx| locked(session, cx, database, args, consent).await)
                .await
        },
    )
    .await
}

fn database<'a>(
    session: &'a Session<'_>,
    args: &MigrateAdoptArgs,
) -> Result<&'a DatabaseSpec, Fault> {
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
            Fault::config("which database's history it is, is not clear")
                .because(format!(
                    "`{}` has {}",
                    session.environment.name,
                    words::plural(databases.len(), "database")
                ))
                .state("nothing was changed")
                .hint("add `--database NAME`"),
        );
    };
    match spec.migrations.engine.as_str() {
        "raw" => Ok(spec),
        other => Err(Fault::config(format!(
            "`{}` is migrated by the engine `{other}`, which keeps its own history",
            spec.name
        ))
        .state("nothing was changed")
        .hint("`migrate adopt` is for a database that goes over to `engine: raw`")),
    }
}

/// One look at, or one taking over of, a history.
struct Work<'a> {
    session: &'a Session<'a>,
    database: &'a DatabaseSpec,
    image: Option<PinnedImage>,
    adoption: Adoption,
}

impl<'a> Work<'a> {
    fn of(
        session: &'a Session<'_>,
        database: &'a DatabaseSpec,
        args: &MigrateAdoptArgs,
        history: &History,
    ) -> Self {
        Self {
            session,
            database,
            image: newest_image(history, &session.environment).map(|(_, image)| image),
            adoption: Adoption {
                from: args.from.map(Into::into),
                edited: args.accept_edited.clone(),
                gone: args.without_file.clone(),
                write: Writing::Nothing,
            },
        }
    }

    async fn look(&self, cx: &Cx, write: Writing) -> Result<Adopted, Fault> {
        let (environment, house) = (&self.session.environment, &self.session.house);
        let job = Job {
            environment,
            database: self.database,
            host: &environment.primary().address,
            image: self.image.as_ref(),
            files: self.image.as_ref(),
            which: Which::Configured,
            release: None,
            values: house.values.as_ref(),
            runner: house.runner.as_ref(),
            link: house.link.as_ref(),
        };
        let adoption = Adoption {
            write,
            ..self.adoption.clone()
        };
        let cx = cx.on_database(&self.database.name);
        take_over(house.databases.as_ref(), &cx, &job, &adoption).await
    }
}

async fn locked(
    session: &Session<'_>,
    cx: &Cx,
    database: &DatabaseSpec,
    args: &MigrateAdoptArgs,
    consent: &Consent,
) -> Result<(), Failure> {
    let environment = &session.environment;
    let (history, ()) =
        tokio::try_join!(session.history(cx, Access::Write), session.one_history(cx))?;
    if let Some(found) = plan::interrupted(&history, environment) {
        return Err(plan::open_release_fault(environment, &found).into());
    }
    let work = Work::of(session, database, args, &history);
    let found = work.look(cx, Writing::Nothing).await?;
    refused(database, &found)?;
    if found.rows.is_empty() {
        let text = text(database, &found, Said::Nothing);
        session.ui.show(&text, &told(&found)).await;
        return Ok(());
    }
    let proposal = text(database, &found, Said::Would);
    let count = words::plural(found.rows.len(), "migration");
    approval::pass(
        session.ui,
        gate(environment, &[], &[], &format!("take over {count}")),
        consent,
        Proposal {
            id: None,
            text: &proposal,
        },
    )
    .await?;
    let source = source::observe(&environment.root).await;
    let release = new_migration(
        environment,
        ReleaseId::next(Utc::now(), history.newest_id()),
        &source,
        history.live(&environment.name).map(|release| &release.id),
        &session.origin(),
    );
    let (release, adopted) = record(session, cx, release, &work).await?;
    session
        .ui
        .show(
            &format!(
                "{}\n  recorded as {}",
                text(database, &adopted, Said::Did),
                release.id
            ),
            &told(&adopted),
        )
        .await;
    Ok(())
}

async fn record(
    session: &Session<'_>,
    cx: &Cx,
    release: Release,
    work: &Work<'_>,
) -> Result<(Release, Adopted), Failure> {
    let mut adopted = None;
    let ran = async {
        let mut journal = Journal::open(cx, &session.keeper, release);
        journal
            .run(Phase::MigratePre, async |cx, _| {
                let found = work.look(cx, Writing::Rows).await?;
                refused(work.database, &found)?;
                adopted = Some(found);
                Ok(())
            })
            .await?;
        journal.run(Phase::Finalize, async |_, _| Ok(())).await?;
        Ok(journal.into_release())
    };
    let result = ran.await;
    let release = settle(session, result).await?;
    let adopted =
        adopted.ok_or_else(|| Fault::internal("the taking over ended without an answer"))?;
    Ok((release, adopted))
}

fn refused(database: &DatabaseSpec, found: &Adopted) -> Result<(), Fault> {
    if found.findings.is_empty() {
        return Ok(());
    }
    let what = format!(
        "the history of {} in `{}` cannot be taken over",
        found.from, database.name
    );
    let fault = found.findings.iter();
    let fault = fault.fold(Fault::refused(what), Fault::because);
    Err(fault.state("nothing was changed"))
}

enum Said {
    Nothing,
    Would,
    Did,
}

fn text(database: &DatabaseSpec, found: &Adopted, said: Said) -> String {
    let name = &database.name;
    let count = words::plural(found.rows.len(), "migration");
    let (from, table) = (found.from, &found.table);
    let mut lines = vec![match said {
        Said::Nothing => format!("{name}: nothing of {from} is left to take over (table {table})"),
        Said::Would => format!("{name}: would take over {count} of {from} (table {table})"),
        Said::Did => format!("{name}: took over {count} of {from} (table {table}, left as it is)"),
    }];
    for row in &found.rows {
        let at = row.at.as_deref().map(|at| format!(", applied {at}"));
        let at = at.unwrap_or_default();
        lines.push(format!("  {} is {}{at}", row.key, row.id));
    }
    if found.known > 0 {
        let known = words::plural(found.known, "migration");
        lines.push(format!("  {known} known already"));
    }
    match found.pending.len() {
        0 => lines.push("  nothing is pending then".to_owned()),
        _ => {
            let ids = found.pending.iter().map(String::as_str);
            lines.push(format!("  pending then: {}", words::and_list(ids)));
        }
    }
    lines.join("\n")
}

fn told(found: &Adopted) -> serde_json::Value {
    json!({ "status": "done", "adopted": found })
}
