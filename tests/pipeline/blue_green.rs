//! Traffic moves on all hosts or on none.

use stagecraft::model::container::{ContainerState, label};
use stagecraft::model::fault::FaultKind;
use stagecraft::model::phase::{Phase, Status};
use stagecraft::model::project::{Batch, Strategy};
use stagecraft::model::release::Outcome;

use super::ledger::Cut;
use super::stage::{HOSTS, Stage, role};

async fn live_v1() -> Stage {
    let mut stage = Stage::behind_proxies();
    stage.deploy("v1").await.unwrap();
    stage.proxies.answer_with("v1", &HOSTS);
    stage
}

/// The versions of a host's containers, the running ones first.
fn slots(stage: &Stage, host: &str) -> (Vec<String>, Vec<String>) {
    stage.fleet.with(|state| {
        let here = state.containers.iter();
        let here = here.filter(|((on, _), _)| on == host);
        let (running, stopped): (Vec<_>, Vec<_>) = here
            .map(|(_, container)| container)
            .partition(|container| container.running());
        let versions = |containers: Vec<&stagecraft::model::container::Container>| {
            let versions = containers.iter();
            versions
                .map(|container| container.labels[label::VERSION].clone())
                .collect()
        };
        (versions(running), versions(stopped))
    })
}

#[tokio::test]
async fn the_old_slot_serves_until_every_host_is_ready_and_stays_stopped_afterwards() {
    let mut stage = live_v1().await;
    let before = stage.proxies.with(|state| state.switches.len());
    stage.deploy("v2").await.unwrap();
    stage.proxies.answer_with("v2", &HOSTS);
    for host in HOSTS {
        assert_eq!(slots(&stage, host), (vec!["v2".into()], vec!["v1".into()]));
    }
    let switches = stage.proxies.with(|state| state.switches.len());
    assert_eq!(switches - before, HOSTS.len(), "one switch a host");
    let actions = stage.fleet.with(|state| state.actions.clone());
    let last_start = actions
        .iter()
        .rposition(|a| a.contains(": start "))
        .unwrap();
    let first_stop = actions.iter().position(|a| a.contains(": stop ")).unwrap();
    assert!(last_start < first_stop, "{actions:#?}");
}

#[tokio::test]
async fn a_slot_that_never_gets_healthy_moves_no_traffic_at_all() {
    let mut stage = live_v1().await;
    stage.fleet.with(|state| state.sick.insert("v2".into()));
    let before = stage.proxies.with(|state| state.switches.len());
    let stopped = stage.deploy("v2").await.unwrap_err();
    assert_eq!(stopped.phase, Some(Phase::Rollout));
    assert_eq!(stopped.fault.kind, FaultKind::Failed);
    assert_eq!(stage.proxies.with(|state| state.switches.len()), before);
    stage.proxies.answer_with("v1", &HOSTS);
    for host in HOSTS {
        assert_eq!(slots(&stage, host), (vec!["v1".into()], vec![]));
    }
}

#[tokio::test]
async fn a_slot_that_dies_in_the_switch_takes_every_host_back() {
    let mut stage = live_v1().await;
    stage
        .proxies
        .with(|state| state.deadly.insert("web2".into()));
    let stopped = stage.deploy("v2").await.unwrap_err();
    assert_eq!(stopped.fault.kind, FaultKind::Failed);
    let said = stopped.fault.to_string();
    assert!(
        said.contains("web2") && said.contains("while traffic moved"),
        "{said}"
    );
    stage.proxies.answer_with("v1", &HOSTS);
    for host in HOSTS {
        assert_eq!(slots(&stage, host), (vec!["v1".into()], vec![]));
    }
    assert_eq!(stage.last().outcome, Outcome::Failed);
}

#[tokio::test]
async fn a_proxy_that_refuses_takes_every_host_back() {
    let mut stage = live_v1().await;
    stage
        .proxies
        .with(|state| state.refuses.insert("web3".into()));
    let stopped = stage.deploy("v2").await.unwrap_err();
    assert!(stopped.fault.to_string().contains("refuses"));
    stage.proxies.answer_with("v1", &HOSTS);
}

#[tokio::test]
async fn a_host_that_dies_in_the_switch_is_named_and_the_next_command_makes_the_fleet_whole() {
    let mut stage = live_v1().await;
    stage
        .proxies
        .with(|state| state.last_words.insert("web2".into()));
    let stopped = stage.deploy("v2").await.unwrap_err();
    assert_eq!(stopped.fault.kind, FaultKind::UndoFailed);
    assert!(stopped.fault.state.iter().any(|line| line.contains("web2")));
    stage.proxies.answer_with("v1", &["web1", "web3"]);
    assert_eq!(stage.last().outcome, Outcome::Open);
    stage.fleet.with(|state| state.dead.clear());
    stage.abort().await.unwrap();
    stage.proxies.answer_with("v1", &HOSTS);
    assert_eq!(stage.last().outcome, Outcome::Aborted);
    stage.deploy("v3").await.unwrap();
    stage.proxies.answer_with("v3", &HOSTS);
}

#[tokio::test]
async fn a_kept_slot_whose_port_somebody_took_meanwhile_is_made_anew_on_another() {
    let mut stage = live_v1().await;
    let of_v1 = |stage: &Stage| -> Vec<u16> {
        stage.fleet.with(|state| {
            let all = state.containers.values();
            let v1 = all.filter(|one| one.labels[label::VERSION] == "v1" && one.running());
            v1.flat_map(|one| one.kept_ports().collect::<Vec<_>>())
                .collect()
        })
    };
    let lost = of_v1(&stage);
    assert_eq!(lost.len(), 3);
    stage.deploy("v2").await.unwrap();
    stage.fleet.with(|state| {
        state.foreign_ports.extend(&lost);
        state.actions.clear();
    });
    stage.roll_back(None).await.unwrap();
    stage.proxies.answer_with("v1", &HOSTS);
    let now = of_v1(&stage);
    assert_eq!(now.len(), 3);
    assert!(
        !now.iter().any(|port| lost.contains(port)),
        "{now:?} {lost:?}"
    );
    let actions = stage.fleet.with(|state| state.actions.clone());
    assert!(
        !actions.iter().any(|a| a.contains("start again")),
        "{actions:#?}"
    );
}

#[tokio::test]
async fn what_is_no_longer_behind_a_proxy_gives_its_place_there_back() {
    let mut stage = live_v1().await;
    let known = |stage: &Stage| -> Vec<String> {
        let traffic = |state: &mut super::proxies::State| state.traffic.keys().cloned().collect();
        stage.proxies.with(traffic)
    };
    let worker = stagecraft::model::project::Role {
        port: None,
        ..role("worker")
    };
    stage.environment.hosts[2].roles = vec![worker.name.clone()];
    stage.environment.roles.insert(worker.name.clone(), worker);
    stage.deploy("v2").await.unwrap();
    stage.proxies.answer_with("v2", &HOSTS[..2]);
    assert_eq!(known(&stage), HOSTS[..2]);
    stage.restart(&["worker"]).await;
    assert_eq!(known(&stage), HOSTS[..2], "those that run on stay");
    stage.environment.proxy = None;
    stage.deploy("v3").await.unwrap();
    assert!(known(&stage).is_empty());
}

#[tokio::test]
async fn a_rollback_starts_the_kept_slot_again_and_makes_nothing() {
    let mut stage = live_v1().await;
    stage.deploy("v2").await.unwrap();
    stage.fleet.with(|state| state.actions.clear());
    stage.roll_back(None).await.unwrap();
    stage.proxies.answer_with("v1", &HOSTS);
    let actions = stage.fleet.with(|state| state.actions.clone());
    assert!(
        !actions.iter().any(|a| a.contains(": start shop")),
        "{actions:#?}"
    );
    assert_eq!(
        actions.iter().filter(|a| a.contains("start again")).count(),
        3
    );
    for host in HOSTS {
        assert_eq!(slots(&stage, host), (vec!["v1".into()], vec!["v2".into()]));
    }
    // The record says whose containers serve, so that the next one finds them.
    stage.deploy("v3").await.unwrap();
    stage.proxies.answer_with("v3", &HOSTS);
    for host in HOSTS {
        let (running, stopped) = slots(&stage, host);
        assert_eq!(
            (running, stopped),
            (vec!["v3".into()], vec!["v1".into(), "v2".into()])
        );
    }
}

#[tokio::test]
async fn a_kept_slot_that_is_gone_is_made_anew() {
    let mut stage = live_v1().await;
    stage.deploy("v2").await.unwrap();
    stage.fleet.with(|state| {
        state
            .containers
            .retain(|(host, _), container| host != "web2" || container.running());
    });
    stage.roll_back(None).await.unwrap();
    stage.proxies.answer_with("v1", &HOSTS);
}

#[tokio::test]
async fn a_kept_slot_that_was_made_with_other_values_is_made_anew() {
    let mut stage = Stage::behind_proxies();
    stage.print = Some("one".into());
    stage.deploy("v1").await.unwrap();
    stage.deploy("v2").await.unwrap();
    stage.print = Some("two".into());
    stage.fleet.with(|state| state.actions.clear());
    stage.roll_back(None).await.unwrap();
    stage.proxies.answer_with("v1", &HOSTS);
    let actions = stage.fleet.with(|state| state.actions.clone());
    let again = actions.iter().any(|action| action.contains("start again"));
    assert!(!again, "{actions:#?}");
}

#[tokio::test]
async fn a_kept_slot_that_does_not_get_healthy_goes_back_to_sleep() {
    let mut stage = live_v1().await;
    stage.deploy("v2").await.unwrap();
    stage.fleet.with(|state| state.sick.insert("v1".into()));
    stage.roll_back(None).await.unwrap_err();
    stage.proxies.answer_with("v2", &HOSTS);
    for host in HOSTS {
        assert_eq!(slots(&stage, host), (vec!["v2".into()], vec!["v1".into()]));
    }
}

#[tokio::test]
async fn only_as_many_slots_stay_as_are_to_be_kept() {
    let mut stage = live_v1().await;
    for version in ["v2", "v3", "v4"] {
        stage.deploy(version).await.unwrap();
    }
    for host in HOSTS {
        let (running, stopped) = slots(&stage, host);
        assert_eq!(running, ["v4"]);
        assert_eq!(stopped, ["v2", "v3"]);
    }
}

#[tokio::test]
async fn batches_move_one_after_the_other_and_go_back_together() {
    let mut stage = live_v1().await;
    stage.environment.rollout.strategy = Strategy::Rolling;
    stage.environment.rollout.batch = Batch::Hosts(1);
    stage
        .proxies
        .with(|state| state.deadly.insert("web3".into()));
    stage.deploy("v2").await.unwrap_err();
    let moved: Vec<String> = stage.proxies.with(|state| {
        state
            .switches
            .iter()
            .skip(3)
            .map(|(host, _)| host.clone())
            .collect()
    });
    assert_eq!(moved[..3], ["web1", "web2", "web3"], "forward");
    assert_eq!(moved.len(), 6, "and back: {moved:?}");
    stage.proxies.answer_with("v1", &HOSTS);
    stage.deploy("v3").await.unwrap();
    stage.proxies.answer_with("v3", &HOSTS);
}

#[tokio::test]
async fn a_role_that_must_not_run_twice_changes_after_the_switch_and_comes_back_with_it() {
    let mut stage = Stage::behind_proxies();
    let mut jobs = role("jobs");
    jobs.port = None;
    jobs.overlap = false;
    jobs.health.check = stagecraft::model::project::HealthCheck::Command(vec!["ok".into()]);
    stage
        .environment
        .roles
        .insert(jobs.name.clone(), jobs.clone());
    stage.environment.hosts[0].roles.push(jobs.name.clone());
    stage.deploy("v1").await.unwrap();
    stage.fleet.with(|state| state.actions.clear());
    stage.deploy("v2").await.unwrap();
    let actions = stage.fleet.with(|state| state.actions.clone());
    let at = |what: &str| actions.iter().position(|a| a.contains(what)).unwrap();
    assert!(
        at("stop shop-prod-jobs") < at("start shop-prod-jobs"),
        "{actions:#?}"
    );
    assert!(
        at("start shop-prod-web") < at("stop shop-prod-jobs"),
        "{actions:#?}"
    );
    // The new jobs fail: the traffic, which had moved, goes back too.
    stage.fleet.with(|state| state.refuses_commands = true);
    stage.deploy("v3").await.unwrap_err();
    stage.proxies.answer_with("v2", &HOSTS);
    let (running, _) = slots(&stage, "web1");
    assert_eq!(running, ["v2", "v2"]);
}

#[tokio::test]
async fn a_deploy_that_is_cut_off_anywhere_is_resumed_or_aborted_to_a_whole_fleet() {
    let writes = {
        let mut stage = live_v1().await;
        stage.deploy("v2").await.unwrap();
        stage.writes
    };
    assert!(writes > 4, "{writes}");
    for write in 1..=writes {
        for cut in [Cut::Before(write), Cut::After(write)] {
            let mut stage = live_v1().await;
            if stage.deploy_cut("v2", Some(cut)).await.is_some() {
                continue;
            }
            if stage.history.open(&"prod".parse().unwrap()).is_none() {
                continue;
            }
            stage.resume().await.unwrap();
            stage.proxies.answer_with("v2", &HOSTS);
            for host in HOSTS {
                assert_eq!(slots(&stage, host), (vec!["v2".into()], vec!["v1".into()]));
            }

            let mut stage = live_v1().await;
            stage.deploy_cut("v2", Some(cut)).await;
            if stage.last().phase(Phase::Rollout).status == Status::Completed {
                continue;
            }
            stage.abort().await.unwrap();
            stage.proxies.answer_with("v1", &HOSTS);
            for host in HOSTS {
                assert_eq!(slots(&stage, host), (vec!["v1".into()], vec![]));
            }
        }
    }
}

#[tokio::test]
async fn a_host_that_was_rebooted_in_the_middle_serves_the_old_release() {
    let mut stage = live_v1().await;
    stage
        .proxies
        .with(|state| state.refuses.insert("web3".into()));
    stage.deploy("v2").await.unwrap_err();
    let names: Vec<String> = stage.fleet.with(|state| {
        let all = state.containers.values();
        all.filter(|one| one.state == ContainerState::Running)
            .map(|one| one.name.clone())
            .collect()
    });
    stage.proxies.with(|state| {
        for traffic in state.traffic.values() {
            assert_eq!(traffic.at_boot, traffic.serving);
            assert!(
                traffic
                    .at_boot
                    .iter()
                    .all(|server| names.contains(&server.name))
            );
        }
    });
}
