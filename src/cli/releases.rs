//! `stagecraft releases`.

use std::path::Path;

use serde_json::json;

use crate::model::fault::{Fault, FaultKind};
use crate::model::history::History;
use crate::model::names::EnvironmentName;
use crate::model::release::{Release, ReleaseId};
use crate::ports::Ledger;
use crate::release::{self, Store};
use crate::ui::{self, Ui, words};

use super::args::{Globals, ReleasesArgs, ReleasesCommand};
use super::failure::Failure;
use super::keeper::{Access, Rebuilt};
use super::session::{Session, on_environment};
use super::target::config_file;

pub(crate) async fn run(args: &ReleasesArgs, globals: &Globals, ui: &Ui) -> Result<(), Failure> {
    match &args.command {
        ReleasesCommand::List => list(globals, ui).await,
        ReleasesCommand::Show { id } => show(id, globals, ui).await,
        ReleasesCommand::MarkBad { id } => {
            let command = "stagecraft releases mark-bad";
            on_environment(command, globals, ui, None, async |session| {
                mark_bad(session, id).await
            })
            .await
        }
        ReleasesCommand::Rebuild => {
            on_environment("stagecraft releases rebuild", globals, ui, None, rebuild).await
        }
    }
}

async fn list(globals: &Globals, ui: &Ui) -> Result<(), Failure> {
    let history = history(globals, ui).await?;
    let environment = globals.env.as_ref();
    ui.show(
        &ui::releases::list(&history, environment, ui.options().stdout_style),
        &ui::releases::list_document(&history, environment),
    )
    .await;
    Ok(())
}

async fn show(id: &ReleaseId, globals: &Globals, ui: &Ui) -> Result<(), Failure> {
    let history = history(globals, ui).await?;
    let Some(release) = history.find(id) else {
        let fault = unknown(id, history.all().iter().rev());
        let hint = match &globals.env {
            Some(env) => format!("see `stagecraft releases list --env {env}`"),
            None => {
                "see `stagecraft releases list`, with `--env NAME` to ask the hosts too".to_owned()
            }
        };
        return Err(fault.hint(hint).into());
    };
    ui.show(
        &ui::releases::show(&history, release, ui.options().stdout_style),
        &ui::releases::show_document(&history, release),
    )
    .await;
    Ok(())
}

/// With an environment: the merged history of this machine and its hosts.
/// Without one, or where the hosts cannot be asked: this machine's alone, and
/// it says so.
async fn history(globals: &Globals, ui: &Ui) -> Result<History, Failure> {
    if globals.env.is_none() {
        let named = std::env::var_os(release::STATE_FILE_VARIABLE);
        let root = match &named {
            Some(file) if !file.is_empty() => None,
            Some(_) | None => Some(config_file(globals)?),
        };
        let folder = root.as_deref().and_then(Path::parent);
        let path = release::path(folder.unwrap_or(Path::new("")), named);
        let contents = Store::at(path).look()?;
        if let Some(note) = contents.note {
            ui.warn(&note).await;
        }
        return Ok(contents.history);
    }
    on_environment(
        "stagecraft releases",
        globals,
        ui,
        None,
        async |session| match session.history(&session.cx, Access::Read).await {
            Ok(history) => Ok(history),
            Err(fault) => {
                let here = session.keeper.here()?;
                session
                    .cx
                    .warn(format!("only this machine's record is shown: {fault}"));
                Ok(here)
            }
        },
    )
    .await
}

/// The newest ones stand in the message: an id is typed from a screen.
fn unknown<'a>(id: &ReleaseId, newest_first: impl Iterator<Item = &'a Release>) -> Fault {
    let near: Vec<String> = newest_first
        .take(3)
        .map(|release| format!("{} ({})", release.id, release.version))
        .collect();
    let fault = Fault::refused(format!("there is no release `{id}`"))
        .because("neither this machine nor the hosts that were asked know it");
    if near.is_empty() {
        fault.because("there are no releases yet")
    } else {
        fault.because(format!("the newest are {}", near.join(", ")))
    }
}

/// Why an id names no release of this environment.
fn not_of(environment: &EnvironmentName, id: &ReleaseId, history: &History) -> Fault {
    match history.find(id) {
        Some(elsewhere) => Fault::refused(format!("release `{id}` is not of `{environment}`"))
            .because(format!("it was made in `{}`", elsewhere.environment))
            .hint(format!(
                "`stagecraft releases mark-bad {id} --env {}`",
                elsewhere.environment
            )),
        None => unknown(id, history.of(environment).rev()).hint(format!(
            "see `stagecraft releases list --env {environment}`"
        )),
    }
}

/// The record here is written before the primary host's.
fn unsaved(fault: Fault, release: &Release) -> Fault {
    match fault.kind {
        FaultKind::Unreachable => fault
            .state("the mark is on this machine, and not on the primary host yet")
            .hint(format!(
                "set it again: `stagecraft releases mark-bad {} --env {}`",
                release.id, release.environment
            )),
        FaultKind::Config
        | FaultKind::Locked
        | FaultKind::Refused
        | FaultKind::Cancelled
        | FaultKind::Failed
        | FaultKind::UndoFailed
        | FaultKind::Interrupted
        | FaultKind::Internal => fault,
    }
}

async fn mark_bad(session: &Session<'_>, id: &ReleaseId) -> Result<(), Failure> {
    let release = session
        .locked(async |cx| {
            let environment = &session.environment.name;
            let (history, ()) =
                tokio::try_join!(session.history(cx, Access::Write), session.one_history(cx))?;
            let found = history.of(environment).find(|release| release.id == *id);
            let Some(mut release) = found.cloned() else {
                return Err(not_of(environment, id, &history).into());
            };
            if !release.bad {
                release.bad = true;
                release.revision += 1;
            }
            // Also when it was marked before: a host may not know it yet.
            session
                .keeper
                .save(&release)
                .await
                .map_err(|fault| unsaved(fault, &release))?;
            session.keeper.level(&cx.uncancellable(), &release).await;
            Ok(release)
        })
        .await?;
    let live = session.keeper.here()?;
    let live = live.live(&release.environment);
    let mut text = format!(
        "{} ({}) is marked bad: no rollback goes back to it",
        release.id, release.version
    );
    if live.is_some_and(|live| live.id == release.id) {
        text += &format!(
            "\nit is still live in {0}: `stagecraft rollback --env {0}` leaves it",
            release.environment
        );
    }
    let document = json!({ "status": "done", "release": release });
    session.ui.show(&text, &document).await;
    Ok(())
}

async fn rebuild(session: &Session<'_>) -> Result<(), Failure> {
    let Rebuilt {
        kept,
        salvaged,
        adopted,
        releases,
    } = session
        .locked(async |cx| Ok(session.keeper.rebuild(cx).await?))
        .await?;
    let mut lines = vec![];
    match &kept {
        Some(kept) => {
            lines.push(format!("the damaged record is kept as {}", kept.display()));
            lines.push(format!(
                "{} could still be read out of it",
                words::plural(salvaged, "release")
            ));
        }
        None => lines.push("the record was not damaged".to_owned()),
    }
    lines.push(format!(
        "{} came from the hosts of {}",
        words::plural(adopted.len(), "release"),
        session.environment.name
    ));
    lines.push(format!(
        "{} holds {} now",
        session.keeper.path().display(),
        words::plural(releases, "release")
    ));
    let document = json!({
        "status": "done",
        "file": session.keeper.path(),
        "kept": kept,
        "salvaged": salvaged,
        "adopted": adopted,
        "releases": releases,
    });
    session.ui.show(&lines.join("\n"), &document).await;
    if kept.is_some() {
        session
            .ui
            .note("another environment's releases come back with the next command on it")
            .await;
    }
    Ok(())
}
