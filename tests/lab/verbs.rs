//! The everyday verbs on hosts behind real proxies: restart, maintenance,
//! status, logs and exec.

use std::time::Duration;

use serde_json::{Value, json};

use crate::support::lab::{Host, Project, engine};
use crate::support::load::{End, Kind};

/// Two hosts behind their proxies, `v1` live.
fn live(name: &str) -> Project {
    let mut shop = Project::new(name).on(&[1, 2]).behind_the_proxy();
    shop.set("/roles/web/stop/timeout", json!("2s"));
    let v1 = shop.prebuilt("v1");
    shop.ships_image(&v1, "v1").succeeds();
    shop.serves("v1");
    shop
}

fn ids(shop: &Project, host: Host) -> Vec<String> {
    engine(host.0).lines(&format!(
        "docker ps --quiet --filter label=stagecraft.project={} | sort",
        shop.name
    ))
}

fn status(shop: &Project) -> Value {
    let words = ["status", "--env", "prod", "--format", "json"];
    shop.runs(&words).succeeds().json()
}

/// What a client gets there: the status line, the head, the body.
fn page(shop: &Project, host: Host) -> String {
    shop.answer_of(host, "/up").unwrap_or_else(|said| said)
}

#[test]
fn restarts_under_load_lose_nothing_and_make_every_container_anew() {
    let shop = live("restarted");
    let slow = Duration::from_millis(800);
    let load = shop.load().rate(100).slow(slow).starts();
    for round in 0..3 {
        let before: Vec<_> = shop.hosts().iter().map(|host| ids(&shop, *host)).collect();
        let run = shop.runs(&["restart", "--env", "prod"]).succeeds();
        run.saying(&["v1 was restarted in prod"]);
        for (host, before) in shop.hosts().into_iter().zip(before) {
            let now = ids(&shop, host);
            assert_eq!(now.len(), 1, "round {round}: {now:?}");
            assert_ne!(now, before, "round {round}");
        }
    }
    let load = load.ends();
    load.lost_nothing().saw_only(&["v1"]);
    // Nobody sees another version; all that ended were told so.
    assert_eq!(load.ends(Kind::WebSocket, End::Silent), 0, "{load}");
    shop.is_whole();
    assert_eq!(shop.newest()["kind"], "rollback");
    let listed = shop.runs(&["releases", "list", "--env", "prod"]);
    listed.succeeds().saying(&["restart"]);
    assert_eq!(status(&shop)["amiss"], json!([]));
}

#[test]
fn a_restart_that_is_killed_is_named_by_the_next_command_and_ends_either_way() {
    let mut shop = live("killed-restart");
    shop.set("/roles/web/volumes", json!(["data:/data"]));
    shop.ships_image(&shop.live_image(), "v1").succeeds();
    let load = shop.load().rate(100).starts();
    for (way, moment) in [
        ("--abort", "started "),
        ("--resume", "is healthy"),
        ("--abort", "traffic goes to the new release"),
        ("--resume", "traffic goes to the new release"),
    ] {
        let mut run = shop.starts(&["restart", "--env", "prod"]);
        run.until_step(moment);
        let _ = run.is_killed();
        shop.serves("v1");
        let said = status(&shop)["amiss"][0].clone();
        let text = said["what"].as_str().unwrap_or_default();
        assert!(text.contains("(restart v1) was cut off"), "{said:#}");
        shop.runs(&["restart", "--env", "prod", "--wait-lock"])
            .fails_with(12)
            .saying(&["(restart v1) was cut off", "--resume", "--abort"]);
        shop.runs(&["deploy", "--env", "prod", way]).succeeds();
        shop.serves("v1");
        assert_eq!(status(&shop)["amiss"], json!([]), "{way} after {moment}");
    }
    load.ends().lost_nothing().saw_only(&["v1"]);
}

#[test]
fn a_restart_gives_todays_secrets_and_prints_its_plan_first() {
    let mut shop = live("new-secret");
    shop.set("/env/secret", json!(["TOKEN"]));
    shop.variable("TOKEN", "first-value");
    shop.ships_image(&shop.live_image(), "v1").succeeds();
    shop.variable("TOKEN", "other-value");
    let before = shop.footprint();
    let plan = shop.runs(&["restart", "--env", "prod", "--dry-run"]);
    plan.succeeds()
        .saying(&[
            "restart",
            "make web-1 beside",
            "traffic moves",
            "stop and remove",
        ])
        .saying(&["today's value of `TOKEN`", "nothing was changed"])
        .never_saying(&["other-value"]);
    assert_eq!(shop.footprint(), before);
    shop.runs(&["restart", "--env", "prod", "--role", "web"])
        .succeeds();
    let words = ["exec", "--env", "prod", "--", "printenv", "TOKEN"];
    shop.runs(&words).succeeds().saying(&["other-value"]);
}

#[test]
fn maintenance_answers_with_a_page_on_every_host_until_it_is_off() {
    let mut shop = live("closed");
    let on = ["maintenance", "on", "--env", "prod"];
    let off = ["maintenance", "off", "--env", "prod"];
    shop.runs(&on)
        .succeeds()
        .saying(&["maintenance is on in prod:"]);
    for host in shop.hosts() {
        let page = page(&shop, host);
        assert!(page.contains("503") && page.contains("<h1>"), "{page}");
    }
    shop.runs(&on).succeeds().saying(&["already"]);
    shop.runs(&["status", "--env", "prod"])
        .succeeds()
        .saying(&["maintenance: on", "maintenance off --env prod"]);
    assert_eq!(status(&shop)["maintenance"], "on");
    // A deploy and a restart go through, behind the page.
    let v2 = shop.prebuilt("v2");
    shop.ships_image(&v2, "v2")
        .succeeds()
        .saying(&["maintenance is on at"]);
    shop.runs(&["restart", "--env", "prod"]).succeeds();
    for host in shop.hosts() {
        assert!(page(&shop, host).contains("503"));
    }
    let done = shop.runs(&[&off[..], &["--format", "json"]].concat());
    let done = done.succeeds().json();
    assert_eq!(
        (&done["maintenance"], &done["changed"]),
        (&json!("off"), &json!(true))
    );
    shop.serves("v2");

    shop.set("/proxy", Value::Null);
    shop.runs(&on).fails_with(10).saying(&["has no proxy"]);
}

#[test]
fn status_tells_live_from_kept_and_names_what_is_amiss_and_what_mends_it() {
    let shop = live("told-apart");
    let v2 = shop.prebuilt("v2");
    shop.ships_image(&v2, "v2").succeeds();
    let words = ["status", "--env", "prod"];
    shop.runs(&words)
        .succeeds()
        .saying(&[
            "live",
            "kept",
            "stopped",
            "v2 at port",
            "the same",
            "healthy",
        ])
        .never_saying(&["amiss", "exited"]);
    shop.runs(&["logs", "--env", "prod"]).succeeds();
    let logs = shop.runs(&["logs", "--env", "prod", "--format", "json"]);
    let logs = logs.succeeds().json();
    assert_eq!(logs["logs"].as_array().map(Vec::len), Some(2), "{logs:#}");

    // Somebody removes a container behind Stagecraft's back.
    engine(2).sh(&format!(
        "docker ps --quiet --filter label=stagecraft.project={} | xargs docker rm -f",
        shop.name
    ));
    let amiss = status(&shop)["amiss"].to_string();
    assert!(amiss.contains("should run on"), "{amiss}");
    assert!(amiss.contains("stagecraft restart --env prod"), "{amiss}");
    shop.runs(&words).succeeds().saying(&["amiss: "]);
    shop.runs(&["restart", "--env", "prod"]).succeeds();
    shop.serves("v2");
    assert_eq!(status(&shop)["amiss"], json!([]));
    shop.runs(&["rollback", "--env", "prod"])
        .succeeds()
        .saying(&["again"]);
    shop.serves("v1");
}
