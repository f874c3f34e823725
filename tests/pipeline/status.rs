//! What `status` says of a fleet: what every container is, and what is amiss,
//! with the command that mends it.

use stagecraft::deploy::Wanted;
use stagecraft::model::container::{Container, ContainerState};
use stagecraft::plan::{self, Asked, FleetStatus, Health, Page, Standing};

use super::ledger::Cut;
use super::stage::{HOSTS, Stage};

impl Stage {
    async fn status(&self) -> FleetStatus {
        self.status_with(|_| {}).await
    }

    async fn status_with(&self, more: impl FnOnce(&mut Asked)) -> FleetStatus {
        let facts = self.observe(Wanted::Hosts).await;
        let mut asked = Asked::default();
        more(&mut asked);
        plan::status(&self.environment, &facts, &asked)
    }

    fn container(&self, host: &str, change: impl FnOnce(&mut Container)) {
        self.fleet.with(|state| {
            let mut all = state.containers.iter_mut();
            let (_, found) = all
                .find(|((on, _), container)| on == host && container.running())
                .unwrap();
            change(found);
        });
    }
}

/// What and how, one a line.
fn amiss(status: &FleetStatus) -> Vec<String> {
    let lines = status.amiss.iter();
    lines
        .map(|one| format!("{} -> {}", one.what, one.run.join(" | ")))
        .collect()
}

async fn live() -> Stage {
    let mut stage = Stage::behind_proxies();
    stage.deploy("v1").await.unwrap();
    stage.deploy("v2").await.unwrap();
    stage
}

#[tokio::test]
async fn a_fleet_that_is_well_has_a_live_slot_and_a_kept_one_on_each_host() {
    let stage = live().await;
    let status = stage.status().await;
    assert_eq!(amiss(&status), [""; 0]);
    assert_eq!(status.maintenance, Page::Off);
    for host in &status.hosts {
        let slots: Vec<_> = host
            .containers
            .iter()
            .map(|one| (one.standing, one.version.as_deref().unwrap()))
            .collect();
        assert_eq!(slots, [(Standing::Live, "v2"), (Standing::Kept, "v1")]);
        let proxy = host.proxy.as_ref().unwrap();
        assert_eq!(proxy.serving, proxy.at_boot);
        assert_eq!(proxy.serving[0].version.as_deref(), Some("v2"));
    }
}

#[tokio::test]
async fn hosts_that_serve_different_releases_are_said_in_one_line() {
    let mut stage = live().await;
    // Somebody woke the kept slot of one host and sent it the traffic.
    let kept = stage.fleet.with(|state| {
        let mut all = state.containers.iter_mut();
        let (key, kept) = all
            .find(|((on, _), container)| on == "web2" && !container.running())
            .unwrap();
        kept.state = ContainerState::Running;
        key.1.clone()
    });
    stage.proxies.with(|state| {
        let serving = &mut state.traffic.get_mut("web2").unwrap().serving;
        serving[0].name = kept;
    });
    let said = amiss(&stage.status().await);
    assert_eq!(
        said[0],
        "hosts serve different versions: v1 on web2; v2 on web1, web3 -> stagecraft restart --env prod"
    );
    stage.restart(&[]).await;
    assert_eq!(amiss(&stage.status().await), [""; 0]);
}

#[tokio::test]
async fn a_release_that_was_cut_off_explains_the_rest() {
    let mut stage = live().await;
    let cut = stage.deploy_cut("v3", Some(Cut::After(3))).await;
    assert!(cut.is_none());
    let said = amiss(&stage.status().await);
    assert_eq!(said.len(), 1, "{said:#?}");
    assert!(said[0].contains("(deploy v3) was cut off"), "{said:?}");
    assert!(said[0].ends_with("--resume | stagecraft deploy --env prod --abort"));
}

#[tokio::test]
async fn what_would_serve_after_a_reboot_is_compared_too() {
    let stage = live().await;
    stage.proxies.with(|state| {
        let traffic = state.traffic.get_mut("web3").unwrap();
        traffic.at_boot[0].name = "gone".into();
    });
    let said = amiss(&stage.status().await);
    assert_eq!(said.len(), 1, "{said:#?}");
    assert!(
        said[0].starts_with("after a reboot web3 would serve something that is gone"),
        "{said:?}"
    );
}

#[tokio::test]
async fn what_does_not_run_is_not_healthy_or_shows_the_page_alone_is_named() {
    let stage = live().await;
    stage.container("web1", |container| container.state = ContainerState::Exited);
    stage.proxies.with(|state| {
        state.traffic.remove("web2");
        state.traffic.get_mut("web3").unwrap().maintenance = true;
    });
    let mut name = String::new();
    stage.container("web3", |container| name.clone_from(&container.name));
    let status = stage
        .status_with(|asked| {
            let key = ("web3".parse().unwrap(), name);
            let said = Health::Unhealthy("GET /up answered 503".into());
            asked.health.insert(key, said);
        })
        .await;
    let said = amiss(&status).join("\n");
    for (what, how) in [
        ("of v2 should run on web1", "restart --env prod"),
        ("there is no proxy on web2", "restart --env prod"),
        (
            "on web3 is not healthy: GET /up answered 503",
            "logs --env prod --role web --host web3",
        ),
        (
            "maintenance is on at web3 alone",
            "maintenance on --env prod",
        ),
    ] {
        let line = said.lines().find(|line| line.contains(what));
        assert!(
            line.is_some_and(|line| line.contains(how)),
            "{what}: {said}"
        );
    }
    assert_eq!(status.maintenance, Page::Mixed);
}

#[tokio::test]
async fn nothing_that_was_never_deployed_is_amiss() {
    let stage = Stage::behind_proxies();
    let status = stage.status().await;
    assert_eq!(amiss(&status), [""; 0]);
    assert_eq!(status.hosts.len(), HOSTS.len());
}
