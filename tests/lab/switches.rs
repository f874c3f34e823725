//! Around the switch, what hurts nobody else on the hosts: runs that are cut
//! off, connections that do not end, schemas that do not fit.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::Duration;

use serde_json::json;

use crate::support::lab::{Host, Project, within};
use crate::support::load::{Loading, Report};

#[test]
fn a_connection_that_never_ends_does_not_keep_a_deploy_from_its_end() {
    let mut shop = Project::new("endless").on(&[1]).behind_the_proxy();
    // The application would wait for its WebSockets for ten minutes.
    shop.set("/env/clear/GRACE", json!("600"));
    shop.set("/roles/web/stop/timeout", json!("2s"));
    let (v1, v2) = (shop.prebuilt("v1"), shop.prebuilt("v2"));
    shop.ships_image(&v1, "v1").succeeds();
    let mut sockets: Vec<TcpStream> = (0..3).map(|_| endless(&shop)).collect();
    let run = shop.ships_image(&v2, "v2").succeeds();
    run.saying(&["3 connections of the old release are still open after 2 s"])
        .within(Duration::from_secs(20));
    shop.serves("v2");
    shop.runs_only("v2");
    // Nobody holds it any more: it was ended with its container.
    for socket in &mut sockets {
        socket
            .set_read_timeout(Some(Duration::from_secs(5)))
            .unwrap();
        let mut rest = vec![];
        let _ = socket.read_to_end(&mut rest);
    }
    // What was left open hinders neither the way back nor the way on.
    shop.runs(&["rollback", "--env", "prod"]).succeeds();
    shop.serves("v1");
}

/// A WebSocket whose client never says anything.
fn endless(shop: &Project) -> TcpStream {
    let mut stream = TcpStream::connect((Host(1).ip(), 80)).unwrap();
    write!(
        stream,
        "GET /ws HTTP/1.1\r\nHost: {}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
         Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n",
        shop.answers_to
    )
    .unwrap();
    let mut head = [0; 12];
    stream.read_exact(&mut head).unwrap();
    assert_eq!(&head, b"HTTP/1.1 101");
    stream
}

/// `kill -9` when the first host, or the last, has moved its users.
fn killed_in_the_switch(shop: &mut Project, v2: &str, moved: &[Host]) -> Loading {
    shop.has_a_worker();
    let load = shop.load().starts();
    let run = shop.waits_after_the_switch(v2, moved);
    run.is_killed();
    within(Duration::from_secs(10), "the lock is free", || {
        shop.is_unlocked()
    });
    load
}

fn lost_nothing(load: &Report, serves: &str) {
    load.lost_nothing().saw_only(&["v1", "v2"]);
    load.websockets_survived();
    for host in 0..2 {
        assert_eq!(load.serves(host).as_deref(), Some(serves), "{load}");
    }
}

#[test]
fn a_switch_that_was_killed_is_resumed_under_load() {
    let (mut shop, v2) = Project::live_behind_the_proxy("cut-resumed", &[1, 4]);
    let load = killed_in_the_switch(&mut shop, &v2, &[Host(4)]);
    shop.ships_image(&v2, "v3")
        .fails_with(12)
        .saying(&["--abort", "--resume"]);
    shop.lets_the_worker_start();
    shop.runs(&["deploy", "--env", "prod", "--resume"])
        .succeeds();
    lost_nothing(&load.ends(), "v2");
    shop.serves("v2");
    shop.runs_only("v2");
    assert_eq!(shop.newest()["outcome"], "done");
}

#[test]
fn a_switch_that_was_killed_is_aborted_under_load() {
    let (mut shop, v2) = Project::live_behind_the_proxy("cut-aborted", &[1, 4]);
    let load = killed_in_the_switch(&mut shop, &v2, &[Host(1), Host(4)]);
    shop.runs(&["deploy", "--env", "prod", "--abort"])
        .succeeds();
    lost_nothing(&load.ends(), "v1");
    shop.serves("v1");
    shop.runs_only("v1");
    assert_eq!(shop.newest()["outcome"], "aborted");
    shop.lets_the_worker_start();
    shop.ships_image(&v2, "v2").succeeds();
    shop.serves("v2");
}

/// E27, E28, E41, E42
#[test]
fn the_schema_gate_keeps_traffic_where_it_is() {
    let mut shop = Project::new("gate-beside").on(&[1, 4]).behind_the_proxy();
    shop.set("/roles/web/volumes", json!(["data:/data"]));
    shop.set(
        "/schema_gate",
        json!({ "path": "/schema/status", "port": 9090, "timeout": "2s" }),
    );
    let (v1, v2) = (shop.prebuilt("v1"), shop.prebuilt("v2"));
    shop.ships_image(&v1, "v1").succeeds();
    let load = shop.load().starts();
    // The endpoint of one host does not answer.
    shop.writes_on(Host(4), "schema.json", "hang");
    let run = shop.ships_image(&v2, "v2").fails_with(12);
    run.saying(&[&Host(4).address(), "no whole answer within"])
        .never_saying(&["traffic goes to the new release"]);
    shop.is_whole();
    shop.writes_on(Host(4), "schema.json", "");
    shop.ships_image(&v2, "v2").succeeds();
    let containers: Vec<_> = shop
        .hosts()
        .iter()
        .map(|host| shop.containers(*host))
        .collect();
    // What is kept is asked too, before anybody is sent to it.
    let unfit = r#"'{"current_schema_version": 2, "code_min_schema_version": 1, "code_max_schema_version": 1, "pending_migrations": [], "compatible": false}'"#;
    shop.writes_on(Host(4), "schema.json", unfit);
    let run = shop.runs(&["rollback", "--env", "prod"]).fails_with(12);
    run.saying(&[&Host(4).address(), "compatible: false"])
        .never_saying(&["traffic goes to the new release"]);
    let after: Vec<_> = shop
        .hosts()
        .iter()
        .map(|host| shop.containers(*host))
        .collect();
    assert_eq!(containers, after);
    shop.serves("v2");
    let load = load.ends();
    load.lost_nothing().saw_only(&["v1", "v2"]);
    load.websockets_survived();
}
