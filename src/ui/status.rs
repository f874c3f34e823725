//! `status` for people: what is live, what is amiss, the proxies, the
//! containers.

use crate::model::container::{Container, ContainerState, label};
use crate::plan::{
    Amiss, ContainerStatus, FleetStatus, Health, Page, ProxyState, ProxyStatus, Served, Standing,
};

use super::style::Style;
use super::table::Table;
use super::words::{plural, printable};

#[must_use]
pub fn text(status: &FleetStatus, style: Style) -> String {
    let mut text = match (&status.live, &status.version) {
        (Some(live), Some(version)) => format!("live: {live} ({version})\n"),
        _ => "live: nothing yet\n".to_owned(),
    };
    if let Some(page) = page(status) {
        text += &format!("maintenance: {page}\n");
    }
    for amiss in &status.amiss {
        text += &format!("{}: {}\n", style.bad("amiss"), line(amiss));
    }
    let proxies = proxies(status);
    if !proxies.is_empty() {
        text += &format!("\n{}", proxies.render(style, ""));
    }
    text += &format!("\n{}", containers(status).render(style, ""));
    text
}

fn page(status: &FleetStatus) -> Option<String> {
    let off = format!("stagecraft maintenance off --env {}", status.environment);
    match status.maintenance {
        Page::Never | Page::Off => None,
        Page::On => Some(format!(
            "on; every request is answered with 503 and a page until `{off}`"
        )),
        Page::Mixed => Some("on at some of the hosts".to_owned()),
    }
}

fn line(amiss: &Amiss) -> String {
    let commands = amiss.run.iter().map(|command| format!("`{command}`"));
    let commands: Vec<String> = commands.collect();
    let commands = match commands.as_slice() {
        [] => String::new(),
        all => format!("; run {}", all.join(" or ")),
    };
    printable(&format!("{}{commands}", amiss.what)).replace('\n', " ")
}

fn proxies(status: &FleetStatus) -> Table {
    let mut table = Table::new(["HOST", "PROXY", "SERVES", "AFTER A REBOOT", "PAGE"]);
    for host in &status.hosts {
        let Some(proxy) = &host.proxy else {
            continue;
        };
        let runs = proxy.state == ProxyState::Runs;
        let (serving, at_boot) = (served(&proxy.serving), served(&proxy.at_boot));
        let same = proxy.serving == proxy.at_boot;
        table.row([
            host.address.to_string(),
            state_of(proxy),
            if runs { serving } else { "-".to_owned() },
            match (runs, same) {
                (false, _) => "-".to_owned(),
                (true, true) => "the same".to_owned(),
                (true, false) => at_boot,
            },
            if proxy.maintenance { "shown" } else { "" }.to_owned(),
        ]);
    }
    table
}

fn state_of(proxy: &ProxyStatus) -> String {
    let state = match proxy.state {
        ProxyState::Runs => "runs",
        ProxyState::Strange => "runs, does not know the environment",
        ProxyState::Stopped => "stopped",
        ProxyState::Missing => "is not there",
    };
    match &proxy.version {
        Some(version) => format!("{state} ({version})"),
        None => state.to_owned(),
    }
}

fn served(served: &[Served]) -> String {
    if served.is_empty() {
        return "nobody".to_owned();
    }
    let mut versions: Vec<&str> = served
        .iter()
        .map(|one| one.version.as_deref().unwrap_or("what is gone"))
        .collect();
    versions.dedup();
    let ports = served.iter().map(|one| one.server.port.to_string());
    let ports: Vec<String> = ports.collect();
    format!("{} at port {}", versions.join(" and "), ports.join(", "))
}

fn containers(status: &FleetStatus) -> Table {
    let mut table = Table::new([
        "HOST",
        "SLOT",
        "ROLE",
        "VERSION",
        "STATE",
        "HEALTH",
        "PORTS",
        "CONTAINER",
    ]);
    for host in &status.hosts {
        let shown = || host.containers.iter().filter(|one| stays(one));
        if shown().next().is_none() {
            let row = [
                host.address.as_str(),
                "-",
                "-",
                "-",
                "nothing runs",
                "",
                "-",
                "-",
            ];
            table.row(row);
        }
        for one in shown() {
            let role = one.role.as_deref();
            let role = role.or(one.container.label(label::JOB));
            table.row([
                host.address.to_string(),
                one.standing.label().to_owned(),
                role.unwrap_or("-").to_owned(),
                one.version.as_deref().unwrap_or("-").to_owned(),
                state(one),
                health(one).to_owned(),
                ports(&one.container),
                one.container.name.clone(),
            ]);
        }
    }
    table
}

/// A one-off container that is being removed is no news.
fn stays(one: &ContainerStatus) -> bool {
    one.standing != Standing::Job || one.container.state != ContainerState::Other
}

fn state(one: &ContainerStatus) -> String {
    let container = &one.container;
    let mut state = match (container.state, container.exit_code) {
        (ContainerState::Running, _) if container.restarts > 0 => {
            format!("running, restarted {} times", container.restarts)
        }
        (ContainerState::Running, _) => "running".to_owned(),
        (ContainerState::Created, _) => "created".to_owned(),
        (ContainerState::Restarting, _) => "restarting".to_owned(),
        // How a kept one was ended says nothing of it.
        (ContainerState::Exited, _) if one.standing == Standing::Kept => "stopped".to_owned(),
        (ContainerState::Exited, Some(code)) => format!("exited with {code}"),
        (ContainerState::Exited, None) => "exited".to_owned(),
        (ContainerState::Other, _) => "paused or being removed".to_owned(),
    };
    if let Some(open) = one.open_connections {
        let open = usize::try_from(open).unwrap_or(usize::MAX);
        state += &format!(", {} open", plural(open, "connection"));
    }
    state
}

fn health(one: &ContainerStatus) -> &'static str {
    match one.health {
        Some(Health::Healthy) => "healthy",
        Some(Health::Unhealthy(_)) => "not healthy",
        None => "",
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
