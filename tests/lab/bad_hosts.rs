//! What happens to a host in the middle of things: frozen, crashed, killed, cut
//! off, full, restarted. All of these hurt the same host, one test at a time.

use std::time::Duration;

use serde_json::json;

use crate::support::lab::{Breakable, Breakage, Host, PATIENCE, Project, Run, within};

/// Two hosts, `v1` live on both; the second one is the victim.
fn live(name: &str, victim: &Breakable) -> Project {
    let mut shop = Project::new(name).on(&[1, victim.host.0]);
    // What goes wrong with the host is noticed before this is over.
    shop.is_patient_for("60s");
    shop.deploy("v1").succeeds();
    shop
}

#[test]
fn an_engine_that_does_not_answer_is_named_before_anything_happens() {
    let victim = Host::alone();
    let shop = live("frozen", &victim);
    victim.suffers("freeze", &[]);
    let run = shop.deploy("v2").fails_with(13);
    run.saying(&[&victim.host.address(), "Docker", "nothing was changed"])
        .within(Duration::from_secs(45));
    victim.heal();
    victim.suffers("crash", &[]);
    let run = shop.deploy("v2").fails_with(13);
    run.saying(&[&victim.host.address(), "Docker", "nothing was changed"])
        .within(Duration::from_secs(15));
    victim.heal();
    shop.serves("v1");
    shop.is_whole();
    shop.deploy("v2").succeeds();
    shop.serves("v2");
}

#[test]
fn a_host_that_is_down_or_cut_off_is_named_before_anything_happens() {
    let victim = Host::alone();
    let shop = live("down", &victim);
    victim.suffers("cut", &[]);
    let run = shop.deploy("v2").fails_with(13);
    run.saying(&[&victim.host.address(), "nothing was changed"])
        .within(Duration::from_secs(20));
    victim.heal();
    victim.suffers("kill", &[]);
    let run = shop.deploy("v2").fails_with(13);
    run.saying(&[&victim.host.address(), "nothing was changed"])
        .within(Duration::from_secs(20));
    victim.heal();
    // The application came back with its host.
    within(PATIENCE, "v1 serves again", || {
        victim.host.get(shop.port, "/up").as_deref() == Ok("v1")
    });
    shop.deploy("v2").succeeds();
    shop.serves("v2");
    shop.is_whole();
}

/// Begins to deploy `v2` and hurts the victim once its new container runs, as
/// long as nothing serves anywhere.
fn hurt_in_the_rollout(shop: &Project, victim: &Breakable, verb: &str) -> Run {
    let mut run = shop.breaks(Breakage::WaitsForLeave).starts_to_deploy("v2");
    run.until("its new container runs", |event| {
        let text = event["text"].as_str().unwrap_or_default();
        event["host"] == victim.host.address() && text.starts_with("started")
    });
    victim.suffers(verb, &[]);
    let run = run.ends().fails_with(30).never_saying(&["interrupted"]);
    let run = run.within(Duration::from_secs(90));
    // The other host was put back.
    assert_eq!(Host(1).get(shop.port, "/up").as_deref(), Ok("v1"));
    run.saying(&[&victim.host.address(), "could not be put back"])
        .saying(&["--abort", "--resume"])
}

#[test]
fn a_host_that_is_killed_in_the_rollout_is_named_and_abort_makes_all_whole() {
    let victim = Host::alone();
    let shop = live("killed", &victim);
    hurt_in_the_rollout(&shop, &victim, "kill");
    // Whoever comes next hears of it, with the host still away and after.
    shop.deploy("v3")
        .fails_with(13)
        .saying(&[&victim.host.address()]);
    victim.heal();
    shop.deploy("v3")
        .fails_with(12)
        .saying(&["--abort", "--resume"]);
    shop.runs(&["deploy", "--env", "prod", "--abort"])
        .succeeds();
    shop.serves("v1");
    shop.is_whole();
    shop.serves_well();
    shop.deploy("v3").succeeds();
    shop.serves("v3");
    shop.is_whole();
}

#[test]
fn a_host_that_is_cut_off_in_the_rollout_is_named_and_resume_makes_all_whole() {
    let victim = Host::alone();
    let shop = live("cut", &victim);
    hurt_in_the_rollout(&shop, &victim, "cut");
    victim.heal();
    shop.ships("v2");
    let mut run = shop.starts(&["deploy", "--env", "prod", "--resume"]);
    for _ in shop.hosts() {
        run.until_step("started");
    }
    shop.gives_leave();
    run.ends().succeeds();
    shop.serves("v2");
    shop.is_whole();
}

#[test]
fn a_primary_that_is_cut_off_in_the_rollout_is_one_host_of_the_fleet() {
    let victim = Host::alone();
    let mut shop = Project::new("headless").on(&[victim.host.0, 1]);
    shop.is_patient_for("60s");
    shop.deploy("v1").succeeds();
    hurt_in_the_rollout(&shop, &victim, "cut");
    victim.heal();
    // What the records of this machine and of the hosts say is one thing.
    let other = shop.second_checkout();
    other
        .runs(&["deploy", "--env", "prod", "--abort"])
        .succeeds();
    shop.serves("v1");
    shop.is_whole();
    shop.serves_well();
    shop.deploy("v3").succeeds();
    shop.serves("v3");
    for host in shop.hosts() {
        assert_eq!(shop.records_on(host), shop.releases());
    }
}

#[test]
fn a_host_that_restarts_serves_what_it_served() {
    let victim = Host::alone();
    let shop = live("restart", &victim);
    victim.suffers("reboot", &[]);
    victim.heal();
    within(PATIENCE, "v1 serves again", || {
        victim.host.get(shop.port, "/up").as_deref() == Ok("v1")
    });
    shop.is_whole();
    shop.runs(&["status", "--env", "prod"])
        .succeeds()
        .saying(&["running"]);
}

#[test]
fn a_host_whose_disk_is_full_says_so_and_nothing_is_rolled_out() {
    let victim = Host::alone();
    let mut shop = Project::new("full").on(&[1, victim.host.0]);
    shop.is_patient_for("10s");
    victim.suffers("shrink", &["24m"]);
    shop.set("/rollout", json!({ "keep": 0 }));
    shop.file(
        "Dockerfile",
        "FROM stagecraft-lab/busybox
RUN head -c 60000000 /dev/urandom > /large
COPY app /app
COPY www /www
CMD [\"sh\", \"/app\"]
",
    );
    let run = shop.deploy("v1").fails_with(21);
    run.saying(&[&victim.host.address(), "no space left"]);
    victim.heal();
    shop.deploy("v2").succeeds();
    shop.serves("v2");
}
