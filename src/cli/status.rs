//! `stagecraft status`: what runs where, who gets the traffic, what is amiss.

use std::time::Duration;

use futures_util::future::{join_all, try_join_all};
use serde_json::json;

use crate::deploy::Wanted;
use crate::model::container::{Container, label};
use crate::model::fault::Fault;
use crate::model::host::HostAddress;
use crate::model::names::RoleName;
use crate::model::project::HealthCheck;
use crate::model::route::RouteLabel;
use crate::plan::{self, Asked, Facts, Health, HostFacts};
use crate::ports::Answer;
use crate::proxy;
use crate::ui::{self, Ui};

use super::args::Globals;
use super::deploy::style;
use super::failure::Failure;
use super::keeper::Access;
use super::services;
use super::session::{Session, on_environment};

/// How long a container may take to say that it is well.
const PATIENCE: Duration = Duration::from_secs(5);

pub(crate) async fn run(globals: &Globals, ui: &Ui) -> Result<(), Failure> {
    on_environment("stagecraft status", globals, ui, None, async |session| {
        let facts = session
            .observe(&session.cx, Wanted::Hosts, Access::Read)
            .await?;
        let asked = ask(session, &facts).await?;
        let status = plan::status(&session.environment, &facts, &asked);
        let mut text = ui::status::text(&status, style(session));
        let mut document = json!(status);
        if let Some(services) = services::of(session).await {
            text.push_str(&format!("\n{}", services::table(&services, style(session))));
            document["services"] = json!(services);
        }
        ui.show(text.trim_end(), &document).await;
        Ok(())
    })
    .await
}

/// Everything at the same time, each once.
async fn ask(session: &Session<'_>, facts: &Facts) -> Result<Asked, Fault> {
    let proxies = facts.hosts.iter().map(|host| proxy_of(session, host));
    let running = || {
        let all = facts.hosts.iter();
        let all = all.flat_map(|host| host.containers.iter().map(move |one| (host, one)));
        all.filter(|(_, one)| one.running() && one.label(label::JOB).is_none())
    };
    let health = running().map(|(host, one)| health(session, facts, &host.address, one));
    let open = running().map(|(host, one)| open(session, host, one));
    let (proxies, health, open) =
        tokio::join!(try_join_all(proxies), join_all(health), join_all(open));
    session.cx.check()?;
    Ok(Asked {
        proxies: proxies?.into_iter().flatten().collect(),
        health: health.into_iter().flatten().collect(),
        open: open.into_iter().flatten().collect(),
    })
}

async fn proxy_of(
    session: &Session<'_>,
    host: &HostFacts,
) -> Result<Option<(HostAddress, Container)>, Fault> {
    if session.environment.proxy.is_none() {
        return Ok(None);
    }
    let runner = &session.house.runner;
    let found = runner.inspect(&session.cx, &host.address, proxy::NAME);
    Ok(found.await?.map(|found| (host.address.clone(), found)))
}

/// By the check of the release that it is of, where the record has it.
async fn health(
    session: &Session<'_>,
    facts: &Facts,
    host: &HostAddress,
    container: &Container,
) -> Option<((HostAddress, String), Health)> {
    let check = check(session, facts, container)?;
    let probe = &session.house.probe;
    let asked = probe.ask(&session.cx, host, container, &check);
    let health = match tokio::time::timeout(PATIENCE, asked).await {
        Ok(Ok(Answer::Healthy)) => Health::Healthy,
        Ok(Ok(Answer::Unhealthy(said))) => Health::Unhealthy(said),
        Ok(Err(fault)) => Health::Unhealthy(fault.to_string()),
        Err(_) => Health::Unhealthy(format!("no answer within {} s", PATIENCE.as_secs())),
    };
    Some(((host.clone(), container.name.clone()), health))
}

fn check(session: &Session<'_>, facts: &Facts, container: &Container) -> Option<HealthCheck> {
    let role: RoleName = container.label(label::ROLE)?.parse().ok()?;
    let made_by = container.label(label::RELEASE)?.parse().ok()?;
    let recorded = facts.history.find(&made_by);
    let recorded = recorded.and_then(|release| release.roles.get(&role));
    let today = || session.environment.roles.get(&role);
    let health = recorded.map(|role| &role.health);
    let health = health.or_else(|| today().map(|role| &role.health));
    health.map(|health| health.check.clone())
}

/// What is still open at one that gets no new requests.
async fn open(
    session: &Session<'_>,
    host: &HostFacts,
    container: &Container,
) -> Option<((HostAddress, String), u64)> {
    let (route, traffic) = (session.environment.route()?, host.traffic.as_ref()?);
    let servers = [RouteLabel::of(container)?.server(container)?];
    if traffic.serving.contains(&servers[0]) {
        return None;
    }
    let proxy = &session.house.proxy;
    let asked = proxy.open_connections(&session.cx, &host.address, &route, &servers);
    // A proxy that does not tell is no reason to tell nothing else.
    let open = asked.await.ok()?;
    Some(((host.address.clone(), container.name.clone()), open))
}
