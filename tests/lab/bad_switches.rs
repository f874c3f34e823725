//! What goes wrong around the switch: a container, a host, a proxy that fails
//! when traffic has moved or is about to. All of these hurt the same host.

use std::time::{Duration, Instant};

use crate::support::lab::{Breakable, Host, PATIENCE, Project, engine, says, within};
use crate::support::load::Loading;

/// An engine closes the port of a container that was killed.
const A_MOMENT: Duration = Duration::from_millis(500);

/// Everybody is at the old release again, on these hosts (by their place), and
/// nobody lost a request there.
fn nobody_was_hurt(load: Loading, hosts: &[usize]) {
    let load = load.ends();
    let load = load.of(hosts);
    load.lost_nothing().saw_only(&["v1", "v2"]);
    load.websockets_survived();
    for host in hosts {
        assert_eq!(load.serves(*host).as_deref(), Some("v1"), "{load}");
    }
}

/// The record, and what is shown of it, say which host and why.
fn the_record_says(shop: &Project, words: &[&str]) {
    let newest = shop.newest();
    assert_eq!(newest["outcome"], "failed");
    assert_eq!(newest["phases"]["rollout"]["status"], "failed");
    let reason = newest["phases"]["rollout"]["reason"].to_string();
    for word in words {
        assert!(reason.contains(word), "says {word:?}: {reason}");
    }
    let id = newest["id"].as_str().unwrap();
    let shown = shop.runs(&["releases", "show", id]).succeeds();
    shown.saying(words).saying(&["failed"]);
}

#[test]
fn a_new_container_that_dies_after_the_switch_takes_everybody_back_at_once() {
    let (mut shop, v2) = Project::live_behind_the_proxy("dies-after", &[1, 2, 4]);
    shop.has_a_worker();
    let load = shop.load().starts();
    let run = shop.waits_after_the_switch(&v2, &shop.hosts());
    shop.loses_its_copy(Host(4), "v2");
    let killed = Instant::now();
    let run = run.ends().fails_with(23);
    let took = killed.elapsed();
    says(&format!("ended {took:.1?} after the death"));
    // The worker would have had a minute.
    assert!(took < Duration::from_secs(25), "{took:?}");
    run.saying(&[
        &Host(4).address(),
        "ended after it was healthy",
        "taken back on every host",
    ]);
    shop.serves("v1");
    // Nobody who asks to see something notices. A POST that it was answering
    // is lost, as is one that the engine took for it until it saw that it was
    // dead: nothing after that.
    let lost = load.so_far().of(&[2]);
    lost.lost_only_what_cannot_be_asked_again();
    assert!(lost.failed_for() < A_MOMENT, "{lost}");
    nobody_was_hurt(load, &[0, 1]);
    shop.runs_only("v1");
    the_record_says(&shop, &[&Host(4).address(), "ended after it was healthy"]);
    shop.lets_the_worker_start();
    shop.ships_image(&v2, "v2").succeeds();
    shop.serves("v2");
}

/// Gives a host's proxy its interface back.
struct Restored(Host);

impl Drop for Restored {
    fn drop(&mut self) {
        engine(self.0.0).try_sh(
            "cd /run/stagecraft-proxy && if [ -S real ]; then mv -f real $(readlink admin.sock); fi
             chmod 660 *.sock",
        );
    }
}

#[test]
fn a_proxy_that_takes_no_command_while_it_serves_leaves_all_with_the_old_release() {
    let third = Host::alone();
    let (shop, v2) = Project::live_behind_the_proxy("no-command", &[1, 4, third.host.0]);
    let before = shop.containers(third.host);
    let load = shop.load().starts();
    let run = shop.waits_at_the_barrier(&v2, &[Host(4), third.host]);
    let on_third = engine(third.host.0);
    let _restored = Restored(third.host);
    on_third.sh("chmod 000 /run/stagecraft-proxy/*.sock");
    let run = run.ends().fails_with(23);
    run.saying(&[
        &third.host.address(),
        "does not answer",
        "taken back on every host",
        "docker logs",
    ]);
    shop.serves("v1");
    nobody_was_hurt(load, &[0, 1, 2]);
    assert_eq!(shop.containers(third.host), before);
    shop.runs_only("v1");
    the_record_says(&shop, &[&third.host.address(), "does not answer"]);

    // With the next one it is known before anything happens.
    let run = shop.ships_image(&v2, "v2");
    assert!(matches!(run.code, Some(13 | 23)), "{run}");
    run.saying(&[&third.host.address(), "docker restart stagecraft-proxy"]);
    shop.serves("v1");
    assert_eq!(shop.containers(third.host), before);

    // Somebody who cleared up too much took only the way to it.
    on_third.sh("chmod 660 /run/stagecraft-proxy/*.sock; rm /run/stagecraft-proxy/admin.sock");
    shop.ships_image(&v2, "v2").succeeds();
    shop.serves("v2");

    // Somebody else sits there.
    on_third.sh(&format!(
        "cd /run/stagecraft-proxy && real=$(readlink admin.sock) && mv $real real
         docker run -d --name {0}-impostor -v /run/stagecraft-proxy:/s {v2} python3 -c \"
import os, socket
s = socket.socket(socket.AF_UNIX)
s.bind('/s/$real')
os.chmod('/s/$real', 0o666)
s.listen()
while True:
    c = s.accept()[0]
    c.recv(99)
    c.sendall(b'HTTP/1.1 400 Bad Request\\r\\n\\r\\n')
    c.close()
\"
         until [ -S $real ]; do sleep 0.1; done",
        shop.name
    ));
    let run = shop.ships_image(&shop.live_image(), "v3");
    on_third.sh(&format!("docker rm -f {}-impostor", shop.name));
    drop(Restored(third.host));
    assert!(matches!(run.code, Some(13 | 23)), "{run}");
    run.saying(&[&third.host.address(), "HTTP/1.1 400 Bad Request"]);
    shop.serves("v2");
    shop.ships_image(&shop.live_image(), "v3").succeeds();
}

/// `v2` has all users when the third host loses its power.
fn the_host_dies_after_the_switch(name: &str, victim: &Breakable) -> (Project, String) {
    let (mut shop, v2) = Project::live_behind_the_proxy(name, &[1, 4, victim.host.0]);
    shop.has_a_worker();
    let load = shop.load().starts();
    let run = shop.waits_after_the_switch(&v2, &shop.hosts());
    victim.suffers("kill", &[]);
    let killed = Instant::now();
    shop.lets_the_worker_start();
    let run = run.ends().fails_with(30);
    let took = killed.elapsed();
    says(&format!("ended {took:.1?} after the host's death"));
    run.saying(&[&victim.host.address(), "could not be put back"])
        .saying(&["--abort", "--resume"]);
    for host in [Host(1), Host(4)] {
        assert_eq!(shop.answer_of(host, "/up").as_deref(), Ok("v1"));
    }
    nobody_was_hurt(load, &[0, 1]);
    assert_eq!(shop.newest()["outcome"], "open");
    // It boots, and serves what the fleet serves before anybody tells it.
    victim.heal();
    within(PATIENCE, "v1 serves again", || {
        shop.answer_of(victim.host, "/up").as_deref() == Ok("v1")
    });
    std::thread::sleep(Duration::from_secs(1));
    shop.serves("v1");
    shop.ships_image(&v2, "v3")
        .fails_with(12)
        .saying(&["--abort", "--resume"]);
    (shop, v2)
}

#[test]
fn after_a_host_died_with_users_on_it_abort_makes_all_whole() {
    let victim = Host::alone();
    let (shop, v2) = the_host_dies_after_the_switch("died-abort", &victim);
    shop.runs(&["deploy", "--env", "prod", "--abort"])
        .succeeds();
    shop.serves("v1");
    shop.runs_only("v1");
    assert_eq!(shop.newest()["outcome"], "aborted");
    shop.ships_image(&v2, "v2").succeeds();
    shop.serves("v2");
    shop.runs_only("v2");
}

#[test]
fn after_a_host_died_with_users_on_it_resume_makes_all_whole() {
    let victim = Host::alone();
    let (shop, _) = the_host_dies_after_the_switch("died-resume", &victim);
    shop.runs(&["deploy", "--env", "prod", "--resume"])
        .succeeds();
    shop.serves("v2");
    shop.runs_only("v2");
    assert_eq!(shop.newest()["outcome"], "done");
    assert_eq!(shop.newest()["version"], "v2");
}

#[test]
fn a_host_that_dies_before_the_barrier_changes_nothing_for_the_others() {
    let victim = Host::alone();
    let (shop, v2) = Project::live_behind_the_proxy("dies-early", &[1, 4, victim.host.0]);
    let load = shop.load().starts();
    shop.writes_on(victim.host, "delay", "8");
    let mut run = shop.starts_to_ship(&v2);
    run.until_step_on(&[victim.host], "started");
    victim.suffers("kill", &[]);
    let run = run.ends().fails_with(30);
    run.saying(&[&victim.host.address(), "could not be put back"])
        .saying(&["--abort", "--resume"])
        .never_saying(&["traffic goes to the new release"]);
    nobody_was_hurt(load, &[0, 1]);
    victim.heal();
    shop.runs(&["deploy", "--env", "prod", "--abort"])
        .succeeds();
    shop.serves("v1");
    shop.is_whole();
}
