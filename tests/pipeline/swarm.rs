//! Roles as services of a Swarm: what a plan makes of an environment, and
//! when it makes nothing. What an engine makes of it is tried in the lab.

use stagecraft::deploy::Wanted;
use stagecraft::model::container::label;
use stagecraft::model::fault::{Fault, FaultKind};
use stagecraft::model::project::{ImageSource, Strategy};
use stagecraft::model::service::{Member, UpdateOrder};
use stagecraft::model::slot::Manner;
use stagecraft::plan::{self, Facts, RolloutOutline};

use super::stage::{HOSTS, Stage, role};

/// Three hosts behind their proxies that are to be a Swarm.
fn stage() -> Stage {
    let mut stage = Stage::behind_proxies();
    stage.environment.rollout.strategy = Strategy::Swarm;
    stage.environment.source = ImageSource::Prebuilt("ghcr.io/acme/shop:1".into());
    stage
}

/// The first host is the manager of the others.
async fn one_swarm(stage: &Stage) -> Facts {
    let mut facts = stage.observe(Wanted::Hosts).await;
    for (index, host) in facts.hosts.iter_mut().enumerate() {
        host.engine.member = Some(Member {
            node: format!("n{index}"),
            manager: index == 0,
            nodes: (index == 0).then_some(3),
        });
    }
    facts
}

fn outline(stage: &Stage, facts: &Facts) -> Result<RolloutOutline, Fault> {
    let (environment, id) = (&stage.environment, stage.next_id());
    plan::outline(environment, &environment.roles, facts, &id, None)
}

#[track_caller]
fn refused(result: Result<RolloutOutline, Fault>, kind: FaultKind, words: &str) {
    let fault = result.map(|outline| outline.services).unwrap_err();
    let said = format!("{fault} {}", fault.hints.join(" "));
    assert_eq!(fault.kind, kind, "{said}");
    assert!(said.contains(words), "{said}");
}

#[tokio::test]
async fn a_role_behind_the_proxy_gets_a_service_a_replica_beside_the_old_one() {
    let mut stage = stage();
    stage.environment.roles[0].replicas = 2;
    let facts = one_swarm(&stage).await;
    let outline = outline(&stage, &facts).unwrap();
    assert_eq!(outline.services.len(), 2);
    for (service, replica) in outline.services.iter().zip(["1", "2"]) {
        let name = format!("shop-prod-web-{replica}-{}", stage.next_id());
        assert!(service.name.starts_with(&name[..16]), "{}", service.name);
        assert_eq!(service.manner, Manner::Beside);
        assert_eq!((service.tasks, service.per_node), (3, Some(1)));
        assert_eq!(
            (service.chosen.as_slice(), service.ports.len()),
            (&[3000][..], 0)
        );
    }
    let notes = outline.notes.join("\n");
    assert!(notes.contains("closed to the world"), "{notes}");
}

#[tokio::test]
async fn a_role_without_the_proxy_is_one_service_that_the_engine_updates() {
    let mut stage = stage();
    stage.environment.proxy = None;
    let mut worker = role("worker");
    (worker.port, worker.replicas) = (None, 2);
    stage.environment.roles.insert(worker.name.clone(), worker);
    stage.environment.hosts[0]
        .roles
        .push("worker".parse().unwrap());
    let facts = one_swarm(&stage).await;
    let services = outline(&stage, &facts).unwrap().services;
    let told = services.iter().map(|service| {
        let orders = (service.order, service.per_node);
        (service.name.as_str(), service.tasks, orders)
    });
    assert_eq!(
        told.collect::<Vec<_>>(),
        [
            ("shop-prod-web", 3, (UpdateOrder::StopFirst, Some(1))),
            ("shop-prod-worker", 2, (UpdateOrder::StartFirst, None)),
        ]
    );
    stage.environment.roles[1].overlap = false;
    let services = outline(&stage, &facts).unwrap().services;
    assert_eq!(services[1].order, UpdateOrder::StopFirst);
}

#[tokio::test]
async fn hosts_that_are_not_the_nodes_of_one_swarm_are_refused_with_the_command() {
    let stage = stage();
    let refuses = |facts: &Facts, words: &str| {
        refused(outline(&stage, facts), FaultKind::Refused, words);
    };
    refuses(&stage.observe(Wanted::Hosts).await, "docker swarm init");
    let mut facts = one_swarm(&stage).await;
    facts.hosts[0].engine.member.as_mut().unwrap().manager = false;
    refuses(&facts, "docker node promote");
    let mut facts = one_swarm(&stage).await;
    facts.hosts[1].engine.member = None;
    refuses(&facts, "docker swarm join-token worker");
    let mut facts = one_swarm(&stage).await;
    facts.hosts[0].engine.member.as_mut().unwrap().nodes = Some(4);
    refuses(&facts, "has 4 nodes");
}

#[tokio::test]
async fn what_the_engine_cannot_place_is_no_valid_plan() {
    let mut stage = stage();
    let facts = one_swarm(&stage).await;
    let refuses = |stage: &Stage, words: &str| {
        refused(outline(stage, &facts), FaultKind::Config, words);
    };
    let web = stage.environment.hosts[2].roles.clone();
    stage.environment.hosts[2].roles.clear();
    refuses(&stage, "not a role of every host");
    stage.environment.hosts[2].roles = web;
    stage.environment.roles[0].overlap = false;
    refuses(&stage, "`overlap` is false");
    stage.environment.proxy = None;
    stage.environment.roles[0].replicas = 2;
    refuses(&stage, "`replicas` is more than 1");
}

#[tokio::test]
async fn containers_placed_by_hand_and_services_do_not_mix() {
    let mut stage = stage();
    stage.environment.rollout.strategy = Strategy::BlueGreen;
    stage.deploy("v1").await.unwrap();
    stage.environment.rollout.strategy = Strategy::Swarm;
    let mut facts = one_swarm(&stage).await;
    refused(
        outline(&stage, &facts),
        FaultKind::Refused,
        "docker rm -f shop-prod-web-1",
    );
    // The other way about.
    for host in &mut facts.hosts {
        for container in &mut host.containers {
            let service = label::SWARM_SERVICE.to_owned();
            container.labels.insert(service, "shop-prod-web".into());
        }
    }
    let services = outline(&stage, &facts).unwrap().services;
    assert_eq!(services[0].replaces, ["shop-prod-web"]);
    stage.environment.rollout.strategy = Strategy::BlueGreen;
    refused(
        outline(&stage, &facts),
        FaultKind::Refused,
        "docker service rm shop-prod-web",
    );
    assert_eq!(facts.hosts.len(), HOSTS.len());
}
