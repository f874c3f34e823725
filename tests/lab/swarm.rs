//! Roles as services of a real Swarm of three hosts, whose engines are of two
//! versions. The Swarm is made here and left whatever happens.

use std::fs::File;

use serde_json::json;

use crate::support::lab::{Breakage, Host, Project, engine, lab};

const NODES: [u8; 3] = [1, 2, 4];

/// A Swarm of [`NODES`], the first its manager; dissolved with this value.
/// There is one at a time: a host is a node of one Swarm.
struct Swarm {
    _alone: File,
}

impl Swarm {
    fn is_made() -> Self {
        let alone = File::create("/tmp/stagecraft-lab-swarm.lock").unwrap();
        alone.lock().unwrap();
        dissolve();
        let swarm = Self { _alone: alone };
        let manager = Host(NODES[0]).ip();
        engine(NODES[0]).sh(&format!("docker swarm init --advertise-addr {manager}"));
        let token = engine(NODES[0]).sh("docker swarm join-token --quiet worker");
        for node in &NODES[1..] {
            let own = Host(*node).ip();
            engine(*node).sh(&format!(
                "docker swarm join --advertise-addr {own} --token {token} {manager}:2377"
            ));
        }
        swarm
    }
}

impl Drop for Swarm {
    fn drop(&mut self) {
        dissolve();
    }
}

/// Only Swarms that tests made: nothing else makes one on these hosts.
fn dissolve() {
    engine(NODES[0]).try_sh(
        "docker service ls --quiet 2>/dev/null | xargs -r docker service rm; docker volume ls --quiet --filter label=stagecraft.project | grep swarmed | xargs -r docker volume rm",
    );
    for node in NODES.iter().rev() {
        engine(*node).try_sh("docker swarm leave --force; docker network rm docker_gwbridge");
    }
}

fn on_the_swarm(mut shop: Project) -> Project {
    shop.set("/environments/prod/rollout", json!({ "strategy": "swarm" }));
    shop
}

fn with_worker(shop: &mut Project, proof: &str) {
    shop.set(
        "/roles/worker",
        json!({
            "command": ["/usr/bin/python3", "-c", "import time; print('looking for work', flush=True); time.sleep(9999)"],
            "health": { "command": [proof], "timeout": "3s", "interval": "500ms" },
            "stop": { "signal": "SIGKILL", "timeout": "2s" },
        }),
    );
    let hosts: Vec<_> = NODES
        .iter()
        .map(|node| {
            let roles = match *node {
                1 => json!(["primary", "web", "worker"]),
                _ => json!(["web"]),
            };
            json!({ "address": Host(*node).address(), "roles": roles })
        })
        .collect();
    shop.set("/environments/prod/hosts", json!(hosts));
}

fn services(shop: &Project) -> Vec<String> {
    engine(NODES[0]).lines(&format!(
        "docker service ls --filter label=stagecraft.project={} --format '{{{{.Name}}}} {{{{.Replicas}}}}' | sed 's/ (.*//' | sort",
        shop.name
    ))
}

#[test]
fn a_host_in_no_swarm_is_refused_with_the_command_that_makes_one() {
    let shop = on_the_swarm(Project::new("no-swarm").on(&[3]).behind_the_proxy());
    shop.ships("v1");
    shop.deploy("v1").fails_with(12).saying(&[
        "is in no Swarm",
        "docker swarm init",
        "nothing was changed",
    ]);
}

#[test]
fn behind_the_proxy_a_swarm_deploys_undoes_and_rolls_back_without_losing_a_request() {
    let swarm = Swarm::is_made();
    let mut shop = on_the_swarm(Project::new("swarmed").on(&NODES).behind_the_proxy());
    with_worker(&mut shop, "/bin/true");
    let (v1, v2) = (shop.prebuilt("v1"), shop.prebuilt("v2"));
    shop.file("www/sick", "");
    let v9 = shop.prebuilt("v9");
    shop.runs(&["deploy", "--env", "prod", "--dry-run", "--image", &v1])
        .succeeds()
        .saying(&["swarm: 2 services", "one on each node"]);
    shop.ships_image(&v1, "v1").succeeds();
    shop.serves("v1");

    let load = shop.load().rate(100).starts();
    shop.ships_image(&v2, "v2").succeeds();
    shop.serves("v2");
    let two = services(&shop);
    assert_eq!(two.len(), 2, "{two:?}");
    assert!(
        two.iter().any(|line| line.ends_with("-prod-worker 1/1")),
        "{two:?}"
    );
    assert!(two.iter().any(|line| line.ends_with(" 3/3")), "{two:?}");

    // One that never gets healthy, before any traffic moves.
    shop.is_patient_for("2s");
    shop.ships_image(&v9, "v9")
        .fails_with(23)
        .saying(&["did not become healthy", "taken back on every host"]);
    shop.is_patient_for("20s");
    shop.serves("v2");
    assert_eq!(services(&shop), two);

    // One that fails in the engine's own update, after the traffic has moved.
    with_worker(&mut shop, "/bin/false");
    shop.ships_image(&v1, "v1-again").fails_with(23).saying(&[
        "worker",
        "looking for work",
        "taken back on every host",
    ]);
    with_worker(&mut shop, "/bin/true");
    shop.serves("v2");
    assert_eq!(services(&shop), two);

    // The deployer dies, before the traffic moves and in the middle of the
    // engine's own update: an abort looks and finds what is to be done.
    for (image, version, step) in [
        (&v9, "v9", "made the service"),
        (&v1, "v1", "told the service"),
    ] {
        let words = [
            "deploy",
            "--env",
            "prod",
            "--version",
            version,
            "--image",
            image,
        ];
        let mut run = shop.starts(&words);
        run.until_step(step);
        run.is_killed();
        shop.runs(&["deploy", "--env", "prod", "--abort"])
            .succeeds();
        shop.serves("v2");
        assert_eq!(services(&shop), two);
    }

    shop.runs(&["rollback", "--env", "prod"]).succeeds();
    shop.serves("v1");
    let load = load.ends();
    load.lost_nothing().saw_only(&["v1", "v2"]);

    shop.runs(&["status", "--env", "prod"])
        .succeeds()
        .saying(&["worker", "v1", "SERVICE"]);
    shop.runs(&["logs", "--env", "prod", "--role", "worker"])
        .succeeds()
        .saying(&["looking for work"]);
    shop.runs(&[
        "exec",
        "--env",
        "prod",
        "--role",
        "worker",
        "--",
        "echo",
        "from the task",
    ])
    .succeeds()
    .saying(&["from the task"]);
    drop((shop, swarm));
}

#[test]
fn without_a_proxy_a_swarm_replaces_tasks_on_their_port_and_goes_back_after_a_failure() {
    let swarm = Swarm::is_made();
    let mut shop = on_the_swarm(Project::new("swarmed-port").on(&NODES));
    shop.port = 18_701;
    shop.set("/roles/web/publish", json!(18_701));
    shop.set(
        "/environments/prod/rollout",
        json!({ "strategy": "swarm", "batch": "100%" }),
    );
    shop.runs(&["deploy", "--env", "prod"])
        .fails_with(10)
        .saying(&["project.registry"]);
    // A login that goes with the call: no node has one of its own.
    let registry = format!("{}/{}", lab("LAB_REGISTRY_AUTH"), shop.name);
    shop.set("/project/registry", json!(registry));
    shop.set("/project/registry_username_env", json!("HUB_USER"));
    shop.set("/project/registry_password_env", json!("HUB_PASSWORD"));
    shop.variable("HUB_USER", &lab("LAB_REGISTRY_USER"));
    shop.variable("HUB_PASSWORD", &lab("LAB_REGISTRY_PASSWORD"));
    shop.deploy("v1").succeeds();
    shop.serves("v1");
    shop.deploy("v2").succeeds();
    shop.serves("v2");
    let before = services(&shop);
    shop.breaks(Breakage::DiesAtOnce);
    shop.deploy("v3")
        .fails_with(23)
        .saying(&["cannot find my way", "taken back on every host"]);
    shop.serves("v2");
    assert_eq!(services(&shop), before);
    shop.serves_well();
    shop.runs(&["rollback", "--env", "prod"]).succeeds();
    shop.serves("v1");
    drop((shop, swarm));
}
