//! A release's life on real hosts: deployed, failed, rolled back, looked at.

use serde_json::Value;

use crate::support::lab::{Breakage, Checkout, Project, engine};

#[test]
fn three_hosts_take_versions_refuse_a_bad_one_and_go_back() {
    let mut shop = Project::new("shop").on(&[1, 2, 4]);
    let first = shop.deploy("v1").succeeds().release();
    shop.serves("v1");
    let second = shop.deploy("v2").succeeds().release();
    shop.serves("v2");

    shop.is_patient_for("3s");
    let bad = shop
        .breaks(Breakage::NeverHealthy)
        .deploy("v3")
        .fails_with(23);
    let bad = bad.saying(&[
        "did not become healthy within 3 s",
        "last probe: GET /up answered 404",
        "looking for the moon",
        &format!("{second} serves"),
    ]);
    shop.serves("v2");
    shop.is_whole();

    let back = shop.runs(&["rollback", "--env", "prod"]).succeeds();
    shop.serves("v1");
    shop.is_whole();

    // Every host runs the very image of the first release.
    let releases = shop.releases();
    let ids: Vec<&str> = releases.iter().filter_map(|it| it["id"].as_str()).collect();
    assert_eq!(ids, [&*first, &*second, &*bad.release(), &*back.release()]);
    let outcomes: Vec<&str> = releases
        .iter()
        .filter_map(|it| it["outcome"].as_str())
        .collect();
    assert_eq!(outcomes, ["done", "done", "failed", "done"]);
    assert_eq!(releases[3]["target_id"], releases[0]["id"]);
    assert_eq!(
        releases[3]["image"]["digest"],
        releases[0]["image"]["digest"]
    );
    assert_eq!(releases[2]["phases"]["finalize"]["status"], "skipped");
    for host in shop.hosts() {
        let digest = &releases[0]["image"]["digest"];
        assert_eq!(&releases[3]["hosts"][host.address()]["digest"], digest);
        let seen = engine(host.0).sh(&format!(
            "docker inspect --format '{{{{index .Config.Labels \"stagecraft.digest\"}}}} {{{{.Image}}}}' {}",
            shop.containers(host)[0].replace(" running", "")
        ));
        let (label, image) = seen.split_once(' ').expect("two words");
        assert_eq!(label, digest);
        let id = &releases[0]["image"]["id"];
        assert!(image == id || image == digest, "{image}: {releases:#?}");
        // The hosts keep the same history.
        assert_eq!(shop.records_on(host), releases);
    }
}

#[test]
fn a_second_checkout_sees_the_same_history_and_goes_on_with_it() {
    let shop = Project::new("twins").on(&[2, 4]);
    shop.deploy("v1").succeeds();
    shop.deploy("v2").succeeds();

    let other = shop.second_checkout();
    let list = |checkout: &Checkout| -> Value {
        let arguments = ["releases", "list", "--env", "prod", "--format", "json"];
        checkout.runs(&arguments).succeeds().json()
    };
    assert_eq!(list(&other), list(&shop));
    other.runs(&["rollback", "--env", "prod"]).succeeds();
    shop.serves("v1");
    other.deploy("v3").succeeds();
    shop.serves("v3");

    // And back on the first machine, which learns what the other one did.
    let releases = list(&shop);
    assert_eq!(releases, list(&other));
    assert_eq!(releases["releases"].as_array().map(Vec::len), Some(4));
    shop.deploy("v4").succeeds();
    shop.serves("v4");
    assert_eq!(shop.releases().len(), 5);
    assert_eq!(
        shop.releases()[3]["actor"].as_str().map(|it| &it[..5]),
        Some("erin@")
    );
}

#[test]
fn what_runs_where_is_shown_and_can_be_spoken_to() {
    let shop = Project::new("looked-at").on(&[1, 2]);
    shop.runs(&["status", "--env", "prod"])
        .succeeds()
        .saying(&["live: nothing yet"]);
    let id = shop.deploy("v1").succeeds().release();

    let status = shop.runs(&["status", "--env", "prod", "--format", "json"]);
    let status = status.succeeds().json();
    assert_eq!(status["live"], id);
    for host in &status["hosts"].as_array().expect("hosts").clone() {
        assert_eq!(host["containers"][0]["state"], "running");
    }
    let shown = shop.runs(&["releases", "show", &id, "--format", "json"]);
    let shown = shown.succeeds().json();
    assert_eq!(shown["id"], id, "{shown:#}");
    assert_eq!(shown["phases"]["rollout"]["status"], "completed");
    shop.runs(&["releases", "show", &id]).succeeds().saying(&[
        &id,
        "rollout",
        "completed",
        "done, live",
    ]);
    shop.runs(&["releases", "show", "rel-20200101-000000000"])
        .fails_with(12)
        .saying(&["there is no release"]);

    shop.runs(&["logs", "--env", "prod"])
        .succeeds()
        .saying(&["this is v1", &shop.hosts()[1].address()]);
    let logs = shop.runs(&["logs", "--env", "prod", "--format", "json"]);
    assert_eq!(logs.succeeds().json()["logs"][0]["lines"][0], "this is v1");
    shop.runs(&[
        "exec",
        "--env",
        "prod",
        "--",
        "sh",
        "-c",
        "cat /www/up; exit 3",
    ])
    .ends_with(3)
    .saying(&["v1"]);
    let one = shop.hosts()[1].address();
    let words = ["exec", "--env", "prod", "--host", &one, "--format", "json"];
    let run = shop.runs(&[&words[..], &["--", "echo", "it's"]].concat());
    let run = run.succeeds().json();
    assert_eq!(run["exit"]["tail"][0], "it's");
    assert_eq!(run["host"], one);

    // No command acts on an environment that was not named.
    shop.runs(&["status"])
        .fails_with(10)
        .saying(&["--env prod"]);
    shop.runs(&["deploy", "--env", "production"])
        .ends_with(10)
        .saying(&["`stagecraft.yml` has `prod`", "--env prod"]);
}

#[test]
fn a_dry_run_changes_nothing_at_all() {
    let shop = Project::new("dry").on(&[1, 4]);
    shop.ships("v1");
    shop.runs(&["check"]).succeeds();
    let before = shop.footprint();
    let dry = shop.runs(&["deploy", "--env", "prod", "--dry-run"]);
    dry.succeeds().saying(&["nothing was changed", "no lock"]);
    let dry = ["deploy", "--env", "prod", "--dry-run", "--format", "json"];
    assert_eq!(shop.runs(&dry).succeeds().json()["status"], "planned");
    assert_eq!(shop.footprint(), before);

    shop.deploy("v1").succeeds();
    shop.deploy("v2").succeeds();
    let before = shop.footprint();
    for command in ["deploy", "rollback"] {
        let dry = shop.runs(&[command, "--env", "prod", "--dry-run"]);
        dry.succeeds().saying(&["nothing was changed"]);
    }
    shop.runs(&["status", "--env", "prod"]).succeeds();
    shop.runs(&["releases", "list", "--env", "prod"]).succeeds();
    shop.runs(&["lock", "show", "--env", "prod"]).succeeds();
    assert_eq!(shop.footprint(), before);
    shop.serves("v2");
}
