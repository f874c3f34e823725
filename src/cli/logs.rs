//! `stagecraft logs`.

use futures_util::future::join_all;
use serde_json::json;

use crate::deploy::Wanted;
use crate::model::container::{Container, label};
use crate::model::fault::FaultKind;
use crate::model::host::HostAddress;
use crate::model::project::Environment;
use crate::plan::Facts;
use crate::ui::Ui;

use super::args::{Globals, LogsArgs};
use super::choice::{found_nothing, in_use};
use super::failure::Failure;
use super::keeper::Access;
use super::session::{Session, on_environment};

pub(crate) async fn run(args: &LogsArgs, globals: &Globals, ui: &Ui) -> Result<(), Failure> {
    on_environment("stagecraft logs", globals, ui, None, async |session| {
        let facts = session
            .observe(&session.cx, Wanted::Hosts, Access::Read)
            .await?;
        let chosen = chosen(&session.environment, &facts, args);
        if chosen.is_empty() {
            let (role, host) = (args.role.as_ref(), args.host.as_deref());
            return Err(found_nothing(&session.environment, role, host).into());
        }
        if args.follow {
            follow(session, args, &chosen).await
        } else {
            tail(session, args, &chosen).await
        }
    })
    .await
}

fn chosen<'a>(
    environment: &Environment,
    facts: &'a Facts,
    args: &LogsArgs,
) -> Vec<(&'a HostAddress, &'a Container)> {
    let (on, of) = (args.host.as_deref(), args.role.as_ref());
    in_use(environment, facts, |host, container| {
        let role = container.label(label::ROLE);
        on.is_none_or(|wanted| host.address.as_str() == wanted)
            && of.is_none_or(|wanted| role == Some(wanted.as_str()))
    })
}

async fn tail(
    session: &Session<'_>,
    args: &LogsArgs,
    chosen: &[(&HostAddress, &Container)],
) -> Result<(), Failure> {
    let runner = &session.house.runner;
    let logs = join_all(
        chosen
            .iter()
            .map(|(host, container)| runner.logs(&session.cx, host, &container.name, args.lines)),
    )
    .await;
    let mut text = String::new();
    let mut documents = vec![];
    for ((host, container), lines) in chosen.iter().zip(logs) {
        let lines = lines?;
        for line in &lines {
            text.push_str(&format!("{host}  {}  {line}\n", short(container)));
        }
        documents.push(json!({ "host": host, "container": container.name, "lines": lines }));
    }
    session
        .ui
        .show(text.trim_end(), &json!({ "logs": documents }))
        .await;
    Ok(())
}

/// `web-1`: a container's name without what all of them share.
fn short(container: &Container) -> String {
    match (
        container.label(label::ROLE),
        container.label(label::REPLICA),
    ) {
        (Some(role), Some(replica)) => format!("{role}-{replica}"),
        _ => container.name.clone(),
    }
}

async fn follow(
    session: &Session<'_>,
    args: &LogsArgs,
    chosen: &[(&HostAddress, &Container)],
) -> Result<(), Failure> {
    let runner = &session.house.runner;
    let ended = join_all(chosen.iter().map(|(host, container)| {
        let cx = session.cx.on_host(host);
        async move {
            runner
                .follow_logs(&cx, host, &container.name, args.lines)
                .await
        }
    }))
    .await;
    for result in ended {
        match result {
            Ok(()) => {}
            // The way to end it.
            Err(fault) if fault.kind == FaultKind::Interrupted => {}
            Err(fault) => return Err(fault.into()),
        }
    }
    Ok(())
}
