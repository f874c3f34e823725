//! `stagecraft migrate repair`.

use serde_json::json;

use crate::migrate::engines::raw::{Choice, Finding};
use crate::model::fault::{Fault, FaultKind};
use crate::plan::Verdict;
use crate::ui::{Answer, Expected, Ui, words};

use super::super::approval::{self, Consent, Proposal};
use super::super::args::{Globals, RepairArgs};
use super::super::failure::Failure;
use super::super::session::{Session, on_environment};
use super::life;

pub(super) async fn repair(args: &RepairArgs, globals: &Globals, ui: &Ui) -> Result<(), Failure> {
    on_environment(
        "stagecraft migrate repair",
        globals,
        ui,
        None,
        async |session| {
            session.judge_databases(args.database.as_slice()).await?;
            if args.dry_run {
                let found = look(session, args).await?;
                ui.show(
                    &text(session, args, &found)?,
                    &json!({ "status": "planned", "findings": found }),
                )
                .await;
                ui.note("nothing was changed, and no lock was taken (--dry-run)")
                    .await;
                return Ok(());
            }
            let consent = &Consent::from_flags(globals.yes, None);
            session
                .locked(async |_| mend(session, args, consent).await)
                .await
        },
    )
    .await
}

async fn look(session: &Session<'_>, args: &RepairArgs) -> Result<Vec<Finding>, Failure> {
    let database = life::one(session, args.database.as_ref())?;
    let raw = life::raw(session, database, "repair")?;
    let image = life::image(session).await?;
    let job = life::job(session, database, image.as_ref());
    Ok(raw
        .findings(&session.cx.on_database(&database.name), &job)
        .await?)
}

fn text(session: &Session<'_>, args: &RepairArgs, found: &[Finding]) -> Result<String, Failure> {
    let name = &life::one(session, args.database.as_ref())?.name;
    if found.is_empty() {
        return Ok(format!("{name}  nothing to repair"));
    }
    let mut lines = vec![format!("{name}  {}", words::plural(found.len(), "finding"))];
    lines.extend(found.iter().map(|one| format!("  {}", one.text())));
    Ok(lines.join("\n"))
}

async fn mend(session: &Session<'_>, args: &RepairArgs, consent: &Consent) -> Result<(), Failure> {
    let found = look(session, args).await?;
    let text = text(session, args, &found)?;
    let document =
        |mended: &[Finding]| json!({ "status": "done", "findings": found, "mended": mended });
    if found.is_empty() {
        session.ui.show(&text, &document(&[])).await;
        return Ok(());
    }
    let choice = choice(session, args, &found, &text).await?;
    let drops = found
        .iter()
        .any(|one| matches!(one, Finding::Invalid { .. }));
    let protected = session.environment.protected;
    if drops || protected {
        let question = match drops {
            true => "drop the INVALID index and mend the record?",
            false => "mend the record?",
        };
        let question = format!("`{}`: {question}", session.environment.name);
        let plan = Proposal {
            id: None,
            text: &text,
        };
        approval::pass(session.ui, Verdict::Ask(question), consent, plan)
            .await
            .map_err(|fault| drops_nothing(fault, drops))?;
    }
    let database = life::one(session, args.database.as_ref())?;
    let raw = life::raw(session, database, "repair")?;
    let image = life::image(session).await?;
    let job = life::job(session, database, image.as_ref());
    let cx = session.cx.on_database(&database.name);
    let mended = raw.repair(&cx, &job, &choice).await?;
    let left: Vec<String> = found
        .iter()
        .filter(|one| !mended.contains(one))
        .map(|one| format!("  {}", one.text()))
        .collect();
    let mut said = match mended.len() {
        0 => format!("mended nothing in {}", database.name),
        count => {
            let count = words::plural(count, "finding");
            format!("mended {count} in {}", database.name)
        }
    };
    if !left.is_empty() {
        said += &format!("; left as it is:\n{}", left.join("\n"));
    }
    session.ui.show(&said, &document(&mended)).await;
    Ok(())
}

/// The gate's words are about a protected environment.
fn drops_nothing(mut fault: Fault, drops: bool) -> Fault {
    if drops && fault.kind == FaultKind::Refused {
        fault.what = "nobody agreed to drop the INVALID index".to_owned();
        fault.causes = vec!["there is no terminal to ask at".to_owned()];
    }
    fault
}

/// The flags', or what a person at the terminal says.
async fn choice(
    session: &Session<'_>,
    args: &RepairArgs,
    found: &[Finding],
    text: &str,
) -> Result<Choice, Fault> {
    let mut choice = Choice {
        took_effect: match (args.done, args.not_done) {
            (true, _) => Some(true),
            (_, true) => Some(false),
            (false, false) => None,
        },
        accepted: args.accept_edit.clone(),
    };
    let open = found.iter().any(Finding::is_question);
    if !open || choice.took_effect.is_some() {
        return Ok(choice);
    }
    session.ui.data(text).await;
    let ask = async |question: &str, word: &str| {
        let expected = Expected::Typed(word.to_owned());
        session.ui.confirm(question, expected).await
    };
    for (question, word, effect) in [
        (
            "look into the database: where it did take effect,",
            "done",
            true,
        ),
        ("where it did not,", "not done", false),
    ] {
        match ask(question, word).await {
            Answer::Yes => {
                choice.took_effect = Some(effect);
                return Ok(choice);
            }
            Answer::No => {}
            // The engine says which flags answer it.
            Answer::NoTerminal => return Ok(choice),
            Answer::TimedOut => break,
        }
    }
    Err(Fault::new(FaultKind::Cancelled, "cancelled")
        .because("neither answer was given")
        .state("nothing was changed"))
}
