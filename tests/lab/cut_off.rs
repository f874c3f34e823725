//! One at a time, and cut off at any point: locks, kill -9, Ctrl-C.

use std::time::Duration;

use serde_json::json;

use crate::support::lab::{Breakage, Checkout, Project, Run, Running, processes_of, within};

/// What is left of a killed process must be gone within this.
const SOON: Duration = Duration::from_secs(10);

#[test]
fn of_two_deploys_at_once_one_goes_on_and_the_other_names_it() {
    let shop = Project::new("locked").on(&[1, 2]);
    let other = shop.second_checkout();
    let mut first = shop.breaks(Breakage::WaitsForLeave).starts_to_deploy("v1");
    first.until_step("started");
    let machine = std::fs::read_to_string("/proc/sys/kernel/hostname").expect("a name");

    // The same folder, another folder, another command.
    for (from, command) in [(&*shop, "deploy"), (&other, "deploy"), (&other, "rollback")] {
        from.runs(&[command, "--env", "prod"])
            .fails_with(11)
            .saying(&["dana", machine.trim(), "stagecraft deploy", "UTC"]);
    }
    // Reading commands need no lock, and one of them shows who holds it.
    other.runs(&["status", "--env", "prod"]).succeeds();
    let shown = other.runs(&["lock", "show", "--env", "prod"]).succeeds();
    shown.saying(&["dana", machine.trim(), "stagecraft deploy"]);

    shop.gives_leave();
    first.ends().succeeds();
    shop.serves("v1");
    other
        .runs(&["lock", "show", "--env", "prod"])
        .succeeds()
        .saying(&["nobody holds the lock"]);
    assert_eq!(shop.releases().len(), 1);
}

/// Kills the deploy of `v2` at a point and looks at what stays behind.
fn killed(shop: &Project, at: impl FnOnce(&mut Running)) {
    let mut run = shop.starts_to_deploy("v2");
    at(&mut run);
    let run = run.is_killed();
    assert_eq!(run.code, None, "{run}");
    within(SOON, "the lock is free on every host", || {
        shop.is_unlocked()
    });
    within(SOON, "no process is left", || processes_of(shop).is_empty());
    refused(shop);
}

/// A new deploy does not begin beside the one that was cut off.
fn refused(shop: &Checkout) -> Run {
    let refused = shop.deploy("v3").fails_with(12);
    refused.saying(&["was cut off", "--resume"])
}

fn resumed(shop: &Project) {
    shop.ships("v2");
    shop.runs(&["deploy", "--env", "prod", "--resume"])
        .succeeds();
    shop.serves("v2");
    shop.is_whole();
    let newest = shop.newest();
    assert_eq!(newest["outcome"], "done");
    assert_eq!(newest["version"], "v2");
    for host in shop.hosts() {
        assert_eq!(shop.records_on(host), shop.releases());
    }
}

fn aborted(shop: &Project) {
    shop.runs(&["deploy", "--env", "prod", "--abort"])
        .succeeds();
    shop.serves("v1");
    shop.is_whole();
    assert_eq!(shop.newest()["outcome"], "aborted");
    for host in shop.hosts() {
        assert_eq!(shop.records_on(host), shop.releases());
    }
    shop.deploy("v4").succeeds();
    shop.serves("v4");
}

fn live(name: &str, hosts: &[u8]) -> Project {
    let shop = Project::new(name).on(hosts);
    shop.deploy("v1").succeeds();
    shop
}

#[test]
fn killed_while_it_builds_it_is_resumed() {
    let shop = live("cut-build", &[1, 2]);
    killed(&shop, |run| run.until_phase("build"));
    shop.serves("v1");
    resumed(&shop);
}

#[test]
fn killed_while_it_pushes_it_is_aborted() {
    let shop = live("cut-push", &[2, 4]);
    killed(&shop, |run| run.until_phase("push"));
    shop.serves("v1");
    aborted(&shop);
}

#[test]
fn killed_with_one_host_changed_it_is_resumed() {
    let mut shop = live("cut-half", &[1, 4]);
    one_host_at_a_time(&mut shop);
    killed(&shop, |run| run.until_step("started"));
    resumed(&shop);
}

#[test]
fn killed_with_one_host_changed_it_is_aborted_from_another_machine() {
    let mut shop = live("cut-back", &[2, 1]);
    one_host_at_a_time(&mut shop);
    killed(&shop, |run| run.until_step("is healthy"));
    let other = shop.second_checkout();
    refused(&other);
    other
        .runs(&["deploy", "--env", "prod", "--abort"])
        .succeeds();
    shop.serves("v1");
    shop.is_whole();
}

#[test]
fn killed_with_every_old_container_stopped_it_is_aborted() {
    let shop = live("cut-down", &[1, 2]);
    killed(&shop, |run| run.until_step("stopped"));
    aborted(&shop);
}

#[test]
fn killed_while_old_containers_end_it_is_aborted_and_they_serve_again() {
    let shop = Project::new("cut-slowly").on(&[1, 2]);
    shop.breaks(Breakage::EndsSlowly).deploy("v1").succeeds();
    let mut run = shop.starts_to_deploy("v2");
    run.until_phase("rollout");
    within(SOON, "they are asked to end", || {
        let mut hosts = shop.hosts().into_iter();
        hosts.all(|host| shop.printed_on(host).contains("asked to end"))
    });
    run.is_killed();
    shop.runs(&["deploy", "--env", "prod", "--abort"])
        .succeeds();
    shop.serves("v1");
    shop.is_whole();
    std::thread::sleep(Duration::from_secs(4));
    shop.serves("v1");
}

#[test]
fn killed_before_the_end_it_can_only_be_finished() {
    let shop = live("cut-end", &[4, 2]);
    killed(&shop, |run| run.until_phase("finalize"));
    shop.serves("v2");
    shop.runs(&["deploy", "--env", "prod", "--abort"])
        .fails_with(12)
        .saying(&["cannot be aborted", "its rollout completed", "--resume"]);
    resumed(&shop);
}

#[test]
fn a_rollback_that_was_killed_is_resumed() {
    let mut shop = live("cut-rollback", &[1, 2]);
    shop.deploy("v2").succeeds();
    one_host_at_a_time(&mut shop);
    let mut run = shop.starts(&["rollback", "--env", "prod"]);
    run.until_step("is healthy");
    run.is_killed();
    within(SOON, "the lock is free on every host", || {
        shop.is_unlocked()
    });
    refused(&shop);
    shop.runs(&["deploy", "--env", "prod", "--resume"])
        .succeeds();
    shop.serves("v1");
    shop.is_whole();
    assert_eq!(shop.newest()["kind"], "rollback");
    assert_eq!(shop.newest()["outcome"], "done");
}

fn one_host_at_a_time(shop: &mut Project) {
    shop.set("/rollout", json!({ "strategy": "rolling", "batch": 1 }));
}

#[test]
fn interrupted_in_the_rollout_every_host_serves_the_old_release() {
    let mut shop = live("ctrl-c", &[1, 2, 4]);
    one_host_at_a_time(&mut shop);
    let mut run = shop.starts_to_deploy("v2");
    run.until_step("is healthy");
    run.is_interrupted();
    let run = run.ends().fails_with(130);
    run.saying(&["interrupted", "taken back on ", " is still live"]);
    shop.serves("v1");
    shop.is_whole();
    let newest = shop.newest();
    assert_eq!(newest["outcome"], "failed");
    assert_eq!(newest["phases"]["rollout"]["status"], "failed");
    assert_eq!(newest["phases"]["rollout"]["reason"], "interrupted");
    // It is over: the next deploy begins at once.
    shop.deploy("v3").succeeds();
    shop.serves("v3");
}

#[test]
fn interrupted_while_it_builds_nothing_was_changed() {
    let shop = live("ctrl-c-early", &[2]);
    shop.file(
        "Dockerfile",
        "FROM stagecraft-lab/busybox\nRUN echo slowly && sleep 60\n",
    );
    let mut run = shop.starts_to_deploy("v2");
    run.until("the build's words", |event| event["line"] == "slowly");
    run.is_interrupted();
    run.ends().fails_with(130).within(Duration::from_secs(15));
    shop.serves("v1");
    assert_eq!(shop.newest()["phases"]["build"]["status"], "failed");
    assert_eq!(shop.newest()["phases"]["rollout"]["status"], "skipped");
}
