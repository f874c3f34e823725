//! The page: on all hosts or on none.

use stagecraft::deploy::{Posted, Wanted, maintenance};
use stagecraft::model::fault::{Fault, FaultKind};
use stagecraft::ports::Maintenance;

use super::stage::{HOSTS, Stage};

async fn live() -> Stage {
    let mut stage = Stage::behind_proxies();
    stage.deploy("v1").await.unwrap();
    stage
}

impl Stage {
    async fn maintain(&self, mode: Maintenance) -> Result<Vec<Posted>, Fault> {
        let facts = self.observe(Wanted::Hosts).await;
        maintenance(&self.cx(), &self.environment, &facts, &self.proxies, mode).await
    }

    fn pages(&self) -> Vec<bool> {
        self.proxies
            .with(|state| HOSTS.map(|host| state.traffic[host].maintenance).to_vec())
    }
}

fn changed(posted: &[Posted]) -> Vec<bool> {
    posted.iter().map(|posted| posted.changed).collect()
}

#[tokio::test]
async fn every_host_shows_the_page_and_saying_it_again_changes_nothing() {
    let stage = live().await;
    let posted = stage.maintain(Maintenance::On).await.unwrap();
    assert_eq!(changed(&posted), [true; 3]);
    assert_eq!(stage.pages(), [true; 3]);
    let again = stage.maintain(Maintenance::On).await.unwrap();
    assert_eq!(changed(&again), [false; 3]);
    stage.maintain(Maintenance::Off).await.unwrap();
    assert_eq!(stage.pages(), [false; 3]);
}

#[tokio::test]
async fn a_host_that_does_not_follow_is_named_and_the_others_are_put_back() {
    let stage = live().await;
    stage
        .proxies
        .with(|state| state.silent.insert("web2".into()));
    let fault = stage.maintain(Maintenance::On).await.unwrap_err();
    assert_eq!(fault.kind, FaultKind::Unreachable);
    assert!(fault.what.contains("on web2"), "{fault}");
    assert!(
        fault.hints[0].contains("maintenance on --env prod"),
        "{fault:?}"
    );
    assert_eq!(stage.pages(), [false; 3]);
    let back = fault.state.iter().find(|line| line.starts_with("put back"));
    assert_eq!(back.unwrap(), "put back: web1, web3", "{fault:?}");
}

#[tokio::test]
async fn one_that_was_on_before_is_left_on_by_the_undo() {
    let stage = live().await;
    stage.proxies.with(|state| {
        state.traffic.get_mut("web1").unwrap().maintenance = true;
        state.silent.insert("web2".into());
    });
    stage.maintain(Maintenance::On).await.unwrap_err();
    assert_eq!(stage.pages(), [true, false, false]);
}

#[tokio::test]
async fn an_undo_that_fails_is_said_with_its_host() {
    let stage = live().await;
    stage.proxies.with(|state| {
        state.silent.insert("web2".into());
        state.once.insert("web3".into());
    });
    let fault = stage.maintain(Maintenance::On).await.unwrap_err();
    assert_eq!(fault.kind, FaultKind::UndoFailed);
    let said = fault.state.join("\n");
    assert!(said.contains("web3 could not be put back"), "{said}");
    assert!(
        fault
            .hints
            .iter()
            .any(|hint| hint.contains("maintenance off"))
    );
}

#[tokio::test]
async fn a_proxy_that_is_gone_is_started_with_the_live_containers_behind_it() {
    let stage = live().await;
    let before = stage
        .proxies
        .with(|state| state.traffic.remove("web3"))
        .unwrap();
    stage.maintain(Maintenance::On).await.unwrap();
    let now = stage.proxies.with(|state| state.traffic["web3"].clone());
    assert_eq!((now.serving, now.maintenance), (before.serving, true));
}

#[tokio::test]
async fn without_a_proxy_it_is_refused() {
    let mut stage = Stage::new();
    stage.deploy("v1").await.unwrap();
    let fault = stage.maintain(Maintenance::On).await.unwrap_err();
    assert_eq!(fault.kind, FaultKind::Config);
}

#[tokio::test]
async fn a_deploy_leaves_the_page_where_it_is_and_says_so() {
    let mut stage = live().await;
    stage.maintain(Maintenance::On).await.unwrap();
    let plan = stage.plan_deploy("v2").await;
    assert!(
        plan.warnings
            .iter()
            .any(|line| line.contains("maintenance is on"))
    );
    stage.deploy("v2").await.unwrap();
    assert_eq!(stage.pages(), [true; 3]);
}
