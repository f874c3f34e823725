//! `stagecraft maintenance on|off`.

use serde_json::json;

use crate::deploy::{self, Posted, Wanted};
use crate::plan::gate;
use crate::ports::Maintenance;
use crate::ui::Ui;

use super::approval::{self, Consent, Proposal};
use super::args::{Globals, MaintenanceArgs, MaintenanceCommand};
use super::failure::Failure;
use super::keeper::Access;
use super::session::{Session, on_environment};

pub(crate) async fn run(args: &MaintenanceArgs, globals: &Globals, ui: &Ui) -> Result<(), Failure> {
    let consent = Consent::from_flags(globals.yes, None);
    let mode = match args.command {
        MaintenanceCommand::On => Maintenance::On,
        MaintenanceCommand::Off => Maintenance::Off,
    };
    on_environment(
        "stagecraft maintenance",
        globals,
        ui,
        None,
        async |session| {
            // Without a proxy nothing is asked, and nobody connected to.
            deploy::refuse_without_proxy(&session.environment)?;
            session
                .locked(async |cx| {
                    let facts = session.observe(cx, Wanted::Hosts, Access::Read).await?;
                    ask(session, mode, &consent).await?;
                    let environment = &session.environment;
                    let proxy = &*session.house.proxy;
                    let posted = deploy::maintenance(cx, environment, &facts, proxy, mode).await?;
                    show(session, mode, &posted).await;
                    Ok(())
                })
                .await
        },
    )
    .await
}

/// A protected environment asks here too.
async fn ask(session: &Session<'_>, mode: Maintenance, consent: &Consent) -> Result<(), Failure> {
    let (question, text) = match mode {
        Maintenance::On => (
            "answer every request with the maintenance page",
            "every request will be answered with 503 and a page, on every host",
        ),
        Maintenance::Off => (
            "let requests reach the application again",
            "requests will reach the application again, on every host",
        ),
    };
    let verdict = gate(&session.environment, &[], &[], question);
    let proposal = Proposal { id: None, text };
    approval::pass(session.ui, verdict, consent, proposal).await?;
    Ok(())
}

async fn show(session: &Session<'_>, mode: Maintenance, posted: &[Posted]) {
    let name = &session.environment.name;
    let changed = posted.iter().any(|posted| posted.changed);
    let (word, now) = match mode {
        Maintenance::On => (
            "on",
            format!(
                "every request is answered with 503 and a page until `stagecraft maintenance off --env {name}`"
            ),
        ),
        Maintenance::Off => ("off", "requests reach the application".to_owned()),
    };
    let already = if changed { "" } else { " already" };
    let text = format!("maintenance is {word} in {name}{already}: {now}");
    let document =
        json!({ "status": "done", "maintenance": word, "changed": changed, "hosts": posted });
    session.ui.show(&text, &document).await;
}
