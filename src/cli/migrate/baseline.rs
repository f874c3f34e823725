//! `stagecraft migrate baseline`.

use serde_json::json;

use crate::plan::gate;
use crate::ui::{Ui, words};

use super::super::approval::{self, Consent, Proposal};
use super::super::args::{BaselineArgs, Globals};
use super::super::failure::Failure;
use super::super::session::{Session, on_environment};
use super::life;

pub(super) async fn baseline(
    args: &BaselineArgs,
    globals: &Globals,
    ui: &Ui,
) -> Result<(), Failure> {
    on_environment(
        "stagecraft migrate baseline",
        globals,
        ui,
        None,
        async |session| {
            session.judge_databases(args.database.as_slice()).await?;
            if args.dry_run {
                let (_, text) = shown(session, args).await?;
                ui.show(&text.0, &text.1).await;
                ui.note("nothing was changed, and no lock was taken (--dry-run)")
                    .await;
                return Ok(());
            }
            let consent = &Consent::from_flags(globals.yes, None);
            session
                .locked(async |_| mark(session, args, consent).await)
                .await
        },
    )
    .await
}

type Shown = (String, serde_json::Value);

async fn shown(
    session: &Session<'_>,
    args: &BaselineArgs,
) -> Result<(crate::migrate::engines::raw::Baseline, Shown), Failure> {
    let database = life::one(session, args.database.as_ref())?;
    let raw = life::raw(session, database, "baseline")?;
    let job = life::job(session, database, None);
    let cx = session.cx.on_database(&database.name);
    let found = raw.baseline(&cx, &job, &args.to).await?;
    let document = json!({ "status": "planned", "baseline": found });
    let text = found.text();
    Ok((found, (text, document)))
}

async fn mark(
    session: &Session<'_>,
    args: &BaselineArgs,
    consent: &Consent,
) -> Result<(), Failure> {
    let (found, (text, _)) = shown(session, args).await?;
    let environment = &session.environment;
    if found.marks.is_empty() {
        let said = format!(
            "nothing to mark in {}: it is applied up to there",
            found.database
        );
        session
            .ui
            .show(&said, &json!({ "status": "done", "baseline": found }))
            .await;
        return Ok(());
    }
    let count = words::plural(found.marks.len(), "migration");
    let question = format!("mark {count} of `{}` as applied", found.database);
    let proposal = Proposal {
        id: None,
        text: &text,
    };
    let verdict = gate(environment, &[], &[], &question);
    approval::pass(session.ui, verdict, consent, proposal).await?;
    let database = life::one(session, args.database.as_ref())?;
    let raw = life::raw(session, database, "baseline")?;
    let job = life::job(session, database, None);
    let who = format!("baseline by {}", session.origin().actor);
    let cx = session.cx.on_database(&database.name);
    raw.mark(&cx, &job, &found, &who).await?;
    session
        .ui
        .show(
            &format!("marked {count} of {} as applied", found.database),
            &json!({ "status": "done", "baseline": found }),
        )
        .await;
    Ok(())
}
