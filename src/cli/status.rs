//! `stagecraft status`: what runs where.

use serde_json::json;

use crate::deploy::{Wanted, ours};
use crate::model::container::{Container, ContainerState, label};
use crate::model::project::Strategy;
use crate::model::service::Service;
use crate::plan::Facts;
use crate::ui::{Style, Table, Ui};

use super::args::Globals;
use super::failure::Failure;
use super::keeper::Access;
use super::session::{Session, on_environment};

pub(crate) async fn run(globals: &Globals, ui: &Ui) -> Result<(), Failure> {
    on_environment("stagecraft status", globals, ui, None, async |session| {
        let facts = session.observe(&session.cx, Wanted::Hosts, Access::Read).await?;
        let live = facts.history.live(&session.environment.name);
        let open = facts.history.open(&session.environment.name);
        let mut text = match live {
            Some(live) => format!("live: {} ({})\n", live.id, live.version),
            None => "live: nothing yet\n".to_owned(),
        };
        if let Some(open) = open {
            text.push_str(&format!("cut off: {} ({}); see `stagecraft deploy --env {} --resume`\n", open.id, open.version, session.environment.name));
        }
        text.push('\n');
        text.push_str(&table(&facts, ui.options().stdout_style));
        let services = services(session).await;
        if !services.is_empty() {
            text.push_str(&format!("\n\n{}", of_services(&services, ui.options().stdout_style)));
        }
        let hosts: Vec<_> = facts
            .hosts
            .iter()
            .map(|host| json!({ "address": host.address, "engine": host.engine, "containers": host.containers }))
            .collect();
        let mut document = json!({
            "environment": session.environment.name,
            "live": live.map(|release| &release.id),
            "open": open.map(|release| &release.id),
            "hosts": hosts,
        });
        if session.environment.rollout.strategy == Strategy::Swarm {
            document["services"] = json!(services);
        }
        ui.show(text.trim_end(), &document).await;
        Ok(())
    })
    .await
}

/// Of a Swarm. A manager that does not answer takes nothing from the rest.
async fn services(session: &Session<'_>) -> Vec<Service> {
    if session.environment.rollout.strategy != Strategy::Swarm {
        return vec![];
    }
    let manager = &session.environment.primary().address;
    let (cx, labels) = (&session.cx, ours(&session.environment));
    match session.house.services.list(cx, manager, &labels).await {
        Ok(services) => services,
        Err(fault) => {
            cx.warn(format!("the services were not read: {fault}"));
            vec![]
        }
    }
}

fn of_services(services: &[Service], style: Style) -> String {
    let mut table = Table::new(["SERVICE", "ROLE", "VERSION", "TASKS", "UPDATE"]);
    for service in services {
        table.row([
            service.name.clone(),
            service.label(label::ROLE).unwrap_or("-").to_owned(),
            service.label(label::VERSION).unwrap_or("-").to_owned(),
            service.replicas.to_string(),
            service
                .update
                .as_ref()
                .map_or_else(|| "-".to_owned(), |update| update.state.replace('_', " ")),
        ]);
    }
    table.render(style, "")
}

fn table(facts: &Facts, style: Style) -> String {
    let mut table = Table::new(["HOST", "ROLE", "VERSION", "STATE", "PORTS", "CONTAINER"]);
    for host in &facts.hosts {
        if !host.containers.iter().any(stays) {
            table.row([
                host.address.to_string(),
                "-".into(),
                "-".into(),
                "nothing runs".into(),
                "-".into(),
                "-".into(),
            ]);
        }
        for container in host.containers.iter().filter(|container| stays(container)) {
            table.row([
                host.address.to_string(),
                container
                    .label(label::ROLE)
                    .or(container.label(label::JOB))
                    .unwrap_or("-")
                    .to_owned(),
                container.label(label::VERSION).unwrap_or("-").to_owned(),
                state(container),
                ports(container),
                container.name.clone(),
            ]);
        }
    }
    table.render(style, "")
}

/// A one-off container that is being removed is no news, and neither is a task
/// that a Swarm has ended.
fn stays(container: &Container) -> bool {
    if container.label(label::SWARM_SERVICE).is_some() {
        return container.state == ContainerState::Running;
    }
    container.label(label::JOB).is_none() || container.state != ContainerState::Other
}

fn state(container: &Container) -> String {
    match (container.state, container.exit_code) {
        (ContainerState::Running, _) if container.restarts > 0 => {
            format!("running, restarted {} times", container.restarts)
        }
        (ContainerState::Running, _) => "running".to_owned(),
        (ContainerState::Created, _) => "created".to_owned(),
        (ContainerState::Restarting, _) => "restarting".to_owned(),
        (ContainerState::Exited, Some(code)) => format!("exited with {code}"),
        (ContainerState::Exited, None) => "exited".to_owned(),
        (ContainerState::Other, _) => "paused or being removed".to_owned(),
    }
}

fn ports(container: &Container) -> String {
    let ports: Vec<String> = container
        .ports
        .iter()
        .map(|port| format!("{}:{}", port.host, port.container))
        .collect();
    if ports.is_empty() {
        "-".to_owned()
    } else {
        ports.join(", ")
    }
}
