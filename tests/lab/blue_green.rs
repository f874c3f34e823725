//! Promise 3 under load: new containers prove themselves on every host before
//! any traffic moves, and no request is lost on the way there or back.
//!
//! A host has one proxy, and the tests of the proxy itself disturb that of
//! host 2. A third host is the one that is lent to one test at a time.

use std::time::{Duration, Instant};

use serde_json::json;

use crate::support::lab::{Host, PATIENCE, Project, engine, says, within};

#[test]
fn deploys_and_rollbacks_under_load_lose_nothing() {
    let third = Host::alone();
    let (mut shop, v2) = Project::live_behind_the_proxy("under-load", &[1, 4, third.host.0]);
    // Its containers run for a while, and nobody ever gets to see it.
    shop.file("www/sick", "");
    let sick = shop.prebuilt("v9");
    // Forty changes in little time: what stays open gets a second each time,
    // so nothing that must be answered may take longer.
    shop.set("/roles/web/stop/timeout", json!("1s"));
    let slow = Duration::from_millis(800);
    let load = shop.load().rate(150).slow(slow).starts();
    let mut times = vec![];
    for round in 0..ROUNDS {
        times.push(shop.ships_image(&v2, "v2").succeeds().took);
        if round == ROUNDS / 2 {
            shop.is_patient_for("1s");
            shop.ships_image(&sick, "v9").fails_with(23);
            shop.is_patient_for("20s");
        }
        let run = shop.runs(&["rollback", "--env", "prod"]).succeeds();
        times.push(run.took);
    }
    let load = load.ends();
    says(&format!("deploy, rollback, …: {times:.1?}"));
    load.lost_nothing().saw_only(&["v1", "v2"]);
    load.websockets_survived();
    for host in 0..3 {
        assert_eq!(load.serves(host).as_deref(), Some("v1"), "{load}");
        let spans = load.spans(host).len();
        assert_eq!(spans, 2 * ROUNDS + 1, "times of one version: {load}");
    }
}

const ROUNDS: usize = 20;

#[test]
fn a_new_container_that_dies_before_the_switch_brings_the_old_release_back_everywhere() {
    let (shop, v2) = Project::live_behind_the_proxy("one-dies", &[1, 4]);
    let before = shop.containers(Host(4));
    let load = shop.load().starts();
    let run = shop.waits_at_the_barrier(&v2, &[Host(4)]);
    engine(4).sh(&format!(
        "docker ps -q --filter label=stagecraft.project={} --filter label=stagecraft.version=v2 | xargs docker kill",
        shop.name
    ));
    let killed = Instant::now();
    let run = run.ends().fails_with(23);
    says(&format!("ended {:.1?} after the death", killed.elapsed()));
    run.saying(&[&Host(4).address(), "ended after it was healthy"]);
    shop.serves("v1");
    let load = load.ends();
    load.lost_nothing().saw_only(&["v1", "v2"]);
    load.websockets_survived();
    for host in 0..2 {
        assert_eq!(load.serves(host).as_deref(), Some("v1"), "{load}");
    }
    shop.is_whole();
    assert_eq!(shop.containers(Host(4)), before);
    let newest = shop.newest();
    let reason = newest["phases"]["rollout"]["reason"].to_string();
    assert_eq!(newest["phases"]["rollout"]["status"], "failed");
    assert!(reason.contains(&Host(4).address()), "{reason}");
    // Nothing is left to finish.
    shop.ships_image(&v2, "v2").succeeds();
    shop.serves("v2");
}

#[test]
fn a_host_that_dies_at_the_barrier_loses_no_request_of_the_others() {
    let victim = Host::alone();
    let (shop, v2) = Project::live_behind_the_proxy("host-dies", &[1, 4, victim.host.0]);
    let load = shop.load().starts();
    let run = shop.waits_at_the_barrier(&v2, &[Host(4), victim.host]);
    victim.suffers("kill", &[]);
    let killed = Instant::now();
    let run = run.ends().fails_with(30);
    says(&format!(
        "ended {:.1?} after the host's death",
        killed.elapsed()
    ));
    run.saying(&[&victim.host.address(), "could not be put back"])
        .saying(&["--abort", "--resume"])
        .within(Duration::from_secs(90));
    for host in [Host(1), Host(4)] {
        assert_eq!(shop.answer_of(host, "/up").as_deref(), Ok("v1"));
    }
    let load = load.ends();
    let living = load.of(&[0, 1]);
    living.lost_nothing().saw_only(&["v1", "v2"]);
    living.websockets_survived();
    assert!(load.of(&[2]).failures() > 0, "{load}");
    // A host that boots serves what was live, and the next command ends it.
    victim.heal();
    within(PATIENCE, "v1 serves again", || {
        shop.answer_of(victim.host, "/up").as_deref() == Ok("v1")
    });
    shop.runs(&["deploy", "--env", "prod", "--abort"])
        .succeeds();
    shop.serves("v1");
    shop.is_whole();
}

#[test]
fn what_fails_after_the_switch_takes_everybody_back() {
    let (mut shop, v2) = Project::live_behind_the_proxy("after-switch", &[1, 4]);
    // It may not run twice, so it changes when traffic has moved already.
    let worker = |proof: &str| {
        json!({
            "command": ["/usr/bin/python3", "-c", "import time; time.sleep(9999)"],
            "health": { "command": [proof], "timeout": "2s" },
            "overlap": false,
            "stop": { "signal": "SIGKILL" },
        })
    };
    shop.set("/roles/worker", worker("/bin/true"));
    shop.set(
        "/environments/prod/hosts",
        json!([
            { "address": Host(1).address(), "roles": ["primary", "web", "worker"] },
            { "address": Host(4).address(), "roles": ["web"] },
        ]),
    );
    shop.ships_image(&shop.live_image(), "v1").succeeds();
    let before = shop.containers(Host(1));

    let load = shop.load().starts();
    shop.set("/roles/worker", worker("/bin/false"));
    let run = shop.ships_image(&v2, "v2").fails_with(23);
    run.saying(&["worker", "/bin/false", "taken back on every host"])
        .saying(&["stopped after-switch"])
        // It was told to be killed.
        .never_saying(&["it ignored"]);
    shop.serves("v1");
    let load = load.ends();
    load.lost_nothing()
        .saw_only(&["v1", "v2"])
        .saw(&["v1", "v2"]);
    load.websockets_survived();
    for host in 0..2 {
        assert_eq!(load.serves(host).as_deref(), Some("v1"), "{load}");
    }
    let running = |name: &String| name.ends_with(" running");
    let after = shop.containers(Host(1));
    assert_eq!(after.iter().filter(|name| running(name)).count(), 2);
    assert_eq!(after, before);
}

#[test]
fn a_rollback_starts_what_was_kept_and_nothing_else() {
    let (mut shop, v2) = Project::live_behind_the_proxy("back-at-once", &[1, 4]);
    // The application's own end is not what is measured.
    shop.set("/env/clear/GRACE", json!("0"));
    shop.ships_image(&v2, "v2").succeeds();
    let v1 = shop.releases()[0]["id"].as_str().unwrap().to_owned();
    let v2 = shop.newest()["id"].as_str().unwrap().to_owned();
    let before: Vec<_> = shop
        .hosts()
        .into_iter()
        .map(|host| ids(&shop, host))
        .collect();
    let mut times: Vec<Duration> = (0..4)
        .map(|round| {
            let (target, version) = [(&v1, "v1"), (&v2, "v2")][round % 2];
            let words = ["rollback", "--env", "prod", "--to", target];
            let run = shop.runs(&words).succeeds();
            shop.serves(version);
            run.saying(&["again"]).took
        })
        .collect();
    times.sort();
    let after: Vec<_> = shop
        .hosts()
        .into_iter()
        .map(|host| ids(&shop, host))
        .collect();
    assert_eq!(before, after);
    // What it takes is measured by `tests/bench/run rollback`.
    says(&format!("rollbacks on two hosts: {times:.2?}"));
}

fn ids(shop: &Project, host: Host) -> Vec<String> {
    engine(host.0).lines(&format!(
        "docker ps --all --quiet --filter label=stagecraft.project={} | sort",
        shop.name
    ))
}
