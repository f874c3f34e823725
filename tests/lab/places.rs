//! The places that environments have at a host's proxy: given back when they
//! are no longer needed, and taken from those who left without a word.

use std::time::Duration;

use serde_json::json;
use stagecraft::model::route::Route;

use crate::support::lab::{Host, Project};
use crate::support::proxied::{HTTP, Stand, route};

/// As many as a proxy has.
const PLACES: usize = 64;

fn named(key: &str) -> Route {
    route(key, &[&format!("{key}.example.com")], None)
}

#[tokio::test]
async fn where_no_place_is_left_those_of_environments_without_containers_are_taken() {
    let stand = Stand::new().await;
    let Stand {
        proxy, cx, host, ..
    } = &stand;
    let app = stand.app("app").await;
    let servers = vec![app.server.clone()];
    // This one has a container, stopped; that one had one once.
    let (stays, left) = (named("stays-prod"), named("left-prod"));
    let image = stand.app_image().await;
    stand.sh(&format!(
        "docker rm -f stays 2>/dev/null; docker create --name stays \
         --label stagecraft.project=stays --label stagecraft.environment=prod {image} true"
    ));
    for route in [&stays, &left] {
        proxy.ensure(cx, host, route, &servers).await.unwrap();
        proxy.keep(cx, host, route, &servers).await.unwrap();
    }
    // These only began.
    for number in 2..PLACES {
        let route = named(&format!("begun-{number:02}"));
        proxy.ensure(cx, host, &route, &[]).await.unwrap();
    }
    let knows = async |route: &Route| proxy.look(cx, host, route).await.unwrap().is_some();
    assert!(knows(&left).await && knows(&named("begun-02")).await);

    let next = named("next-prod");
    proxy.ensure(cx, host, &next, &servers).await.unwrap();
    assert_eq!(stand.get("next-prod.example.com", "/").await.body, "app /");
    assert!(!knows(&left).await, "nothing of it is on the host");
    assert_eq!(stand.get("left-prod.example.com", "/").await.status, 404);
    assert!(knows(&stays).await && knows(&named("begun-02")).await);
    assert_eq!(stand.get("stays-prod.example.com", "/").await.body, "app /");
    let files = stand.sh("docker exec stagecraft-proxy ls /data/routes");
    assert_eq!(files.lines().collect::<Vec<_>>(), ["stays-prod"]);

    // Nothing else is to be had: those that began and have nothing go.
    let last = named("last-prod");
    proxy.ensure(cx, host, &last, &servers).await.unwrap();
    assert_eq!(stand.get("last-prod.example.com", "/").await.body, "app /");
    assert!(knows(&stays).await && !knows(&named("begun-02")).await);

    // What was given back is not known after a restart either.
    proxy.forget(cx, host, "last-prod").await.unwrap();
    proxy.forget(cx, host, "last-prod").await.unwrap();
    assert!(!knows(&last).await);
    stand.sh("docker rm -f stays >/dev/null; docker restart -t 1 stagecraft-proxy >/dev/null");
    proxy.ensure(cx, host, &stays, &[]).await.unwrap();
    assert!(!knows(&last).await && !knows(&left).await && knows(&stays).await);
    stand.clear();
}

#[test]
fn a_host_that_no_longer_runs_the_role_forgets_its_names() {
    let (mut shop, v2) = Project::live_behind_the_proxy("leaves", &[1, 4]);
    shop.set(
        "/roles/worker",
        json!({
            "command": ["/usr/bin/python3", "-c", "import time; time.sleep(9999)"],
            "health": "none",
            "stop": { "signal": "SIGKILL" },
        }),
    );
    shop.set(
        "/environments/prod/hosts",
        json!([
            { "address": Host(1).address(), "roles": ["primary", "web"] },
            { "address": Host(4).address(), "roles": ["worker"] },
        ]),
    );
    let run = shop.ships_image(&v2, "v2").succeeds();
    run.never_saying(&["stays behind"]);
    let asked = |host: Host| host.get_as(&shop.answers_to, HTTP, "/up");
    assert_eq!(asked(Host(1)).as_deref(), Ok("v2"));
    let said = asked(Host(4));
    let said = said.unwrap_or_else(|said| said);
    assert!(
        said.contains("no application answers under this name"),
        "{said}"
    );
    // And back.
    shop.runs(&["rollback", "--env", "prod"])
        .succeeds()
        .within(Duration::from_secs(60));
    assert_eq!(asked(Host(1)).as_deref(), Ok("v1"));
}
