//! `stagecraft lock`.

use serde_json::{Value, json};

use crate::model::project::Environment;
use crate::plan::gate;
use crate::ports::{Holder, Lock};
use crate::ui::{Style, Table, Ui, words};

use super::approval::{self, Consent, Proposal};
use super::args::{Globals, LockArgs, LockCommand};
use super::failure::Failure;
use super::session::{Session, on_environment};

type Places = [(String, Holder)];

pub(crate) async fn run(args: &LockArgs, globals: &Globals, ui: &Ui) -> Result<(), Failure> {
    match args.command {
        LockCommand::Show => on_environment("stagecraft lock show", globals, ui, None, show).await,
        LockCommand::Release => {
            let consent = Consent::from_flags(globals.yes, None);
            let release = async |session: &Session<'_>| release(session, consent).await;
            on_environment("stagecraft lock release", globals, ui, None, release).await
        }
    }
}

async fn show(session: &Session<'_>) -> Result<(), Failure> {
    let held = session.house.lock.show(&session.cx).await?;
    let text = if held.is_empty() {
        free(&session.environment)
    } else {
        table(&held, session.ui.options().stdout_style)
    };
    session
        .ui
        .show(&text, &json!({ "locks": document(&held) }))
        .await;
    Ok(())
}

async fn release(session: &Session<'_>, consent: Consent) -> Result<(), Failure> {
    let (ui, cx, environment) = (session.ui, &session.cx, &session.environment);
    let held = session.house.lock.show(cx).await?;
    if held.is_empty() {
        ui.show(
            &free(environment),
            &json!({ "status": "done", "taken": [] }),
        )
        .await;
        return Ok(());
    }
    approval::pass(
        ui,
        gate(environment, &[], &[], "take the lock away"),
        &consent,
        Proposal {
            id: None,
            text: &table(&held, ui.options().stdout_style),
        },
    )
    .await?;
    let taken = session.house.lock.break_open(cx).await.map_err(|fault| {
        fault
            .state("the lock may be gone on some hosts already")
            .hint(format!(
                "see where it is held: `stagecraft lock show --env {}`",
                environment.name
            ))
    })?;
    let status = if taken.is_empty() { "held" } else { "done" };
    let text = match taken.first() {
        Some((_, holder)) => format!(
            "the lock of {} was taken from {} on {}: `{}` stops and undoes what it can",
            environment.name, holder.who, holder.machine, holder.command
        ),
        // The file here goes with its process; nobody else can free it.
        None => local(&held),
    };
    ui.show(
        &text,
        &json!({ "status": status, "taken": document(&taken) }),
    )
    .await;
    if !taken.is_empty() {
        ui.note(&format!(
            "next: `stagecraft status --env {}` shows where it stopped",
            environment.name
        ))
        .await;
    }
    Ok(())
}

fn free(environment: &Environment) -> String {
    format!("nobody holds the lock of {}", environment.name)
}

fn local(held: &Places) -> String {
    let lines = held.iter().map(|(place, holder)| {
        format!(
            "{place} is held by process {} (`{}`), and free when that ends",
            holder.pid, holder.command
        )
    });
    lines.collect::<Vec<_>>().join("\n")
}

fn table(held: &Places, style: Style) -> String {
    let mut table = Table::new(["WHERE", "WHO", "MACHINE", "SINCE (UTC)", "COMMAND"]);
    for (place, holder) in held {
        table.row([
            place.clone(),
            holder.who.clone(),
            holder.machine.clone(),
            words::time(holder.since),
            holder.command.clone(),
        ]);
    }
    table.render(style, "")
}

fn document(held: &Places) -> Vec<Value> {
    held.iter()
        .map(|(place, holder)| json!({ "where": place, "holder": holder }))
        .collect()
}
