//! What changes around a release: roles, hosts, batches, and what people do
//! to containers and images by hand.

use std::process::Stdio;

use serde_json::json;

use crate::support::lab::{Breakage, Host, Project, engine, here};

#[test]
fn roles_and_hosts_come_and_go() {
    let mut shop = Project::new("roles").on(&[1, 2]);
    let (one, two) = (Host(1).address(), Host(2).address());
    shop.deploy("v1").succeeds();

    // A worker on one host, two of them, without a port.
    shop.set(
        "/roles/worker",
        json!({
            "command": ["sh", "-c", "trap 'exit 0' TERM; echo working; while :; do sleep 1 & wait; done"],
            "replicas": 2,
            "overlap": false,
        }),
    );
    shop.set(
        "/environments/prod/hosts",
        json!([
            { "address": one, "roles": ["primary", "web", "worker"] },
            { "address": two, "roles": ["web"] },
        ]),
    );
    shop.deploy("v2").succeeds();
    shop.serves("v2");
    let running = shop.containers(Host(1));
    assert_eq!(running.len(), 3, "{running:?}");
    assert_eq!(shop.containers(Host(2)).len(), 1);
    shop.runs(&["logs", "--env", "prod", "--role", "worker"])
        .succeeds()
        .saying(&["working"]);

    // It goes again, and a failing release brings it back.
    shop.set("/roles/worker", json!(null));
    shop.on_addresses(&[one.clone(), two.clone()]);
    shop.is_patient_for("3s");
    shop.breaks(Breakage::NeverHealthy)
        .deploy("v3")
        .fails_with(23);
    shop.serves("v2");
    assert_eq!(shop.containers(Host(1)), running);
    shop.serves_well();
    shop.deploy("v4").succeeds();
    shop.is_whole();

    // What was there comes back with its release.
    shop.runs(&["rollback", "--env", "prod"]).succeeds();
    shop.serves("v2");

    // A host that is new, with everything to be carried there.
    shop.on_addresses(&[one, two, Host(4).address()]);
    shop.deploy("v5").succeeds();
    assert_eq!(Host(4).get(shop.port, "/up").as_deref(), Ok("v5"));
    let releases = shop.records_on(Host(4));
    assert_eq!(releases.last(), shop.releases().last());
    engine(4).sh(&format!(
        "docker ps -aq --filter label=stagecraft.project={0} | xargs docker rm -f
         docker network rm {0}-prod; rm -rf /home/deploy/.stagecraft/{0}",
        shop.name
    ));
}

#[test]
fn a_batch_that_fails_puts_the_batches_before_it_back() {
    let mut shop = Project::new("batches").on(&[1, 2, 4]);
    shop.set("/rollout", json!({ "strategy": "rolling", "batch": 1 }));
    shop.deploy("v1").succeeds();
    // The third host's container alone finds a file that breaks it.
    engine(4).sh(&format!(
        "docker volume create {0}-prod-data; docker run --rm -v {0}-prod-data:/data {1} touch /data/broken",
        shop.name,
        shop.newest()["image"]["local_reference"].as_str().unwrap_or_default()
    ));
    shop.set("/roles/web/volumes", json!(["data:/data"]));
    shop.app(
        "[ ! -e /data/broken ] || exit 3\ntrap 'exit 0' TERM\nhttpd -f -p $PORT -h /www &\nwait",
    );
    let run = shop.deploy("v2").fails_with(23);
    run.saying(&["exited with code 3", &Host(4).address()]);
    shop.serves("v1");
    shop.is_whole();
}

#[test]
fn what_somebody_removed_by_hand_is_made_again() {
    let shop = Project::new("by-hand").on(&[1, 4]);
    // No other test builds the same image.
    shop.file("www/mark", &shop.name);
    shop.deploy("v1").succeeds();
    shop.deploy("v2").succeeds();
    let remove = |number: u8| {
        engine(number).sh(&format!(
            "docker ps -aq --filter label=stagecraft.project={0} | xargs -r docker rm -f
             docker images --format '{{{{.Repository}}}}:{{{{.Tag}}}}' | grep {0} | xargs -r docker rmi -f
             docker network rm {0}-prod",
            shop.name
        ))
    };
    remove(4);
    let status = shop.runs(&["status", "--env", "prod"]).succeeds();
    status.saying(&["nothing runs"]);
    // The image goes there again, from here ...
    shop.runs(&["rollback", "--env", "prod"]).succeeds();
    shop.serves("v1");
    shop.is_whole();
    // ... or, from a machine that never had it, from the other host.
    remove(4);
    let other = shop.second_checkout();
    let forget = format!(
        "docker images --format '{{{{.Repository}}}}:{{{{.Tag}}}}' | grep {} | xargs -r docker rmi -f",
        shop.name
    );
    here().sh(&forget);
    let v2 = shop.releases()[1]["id"].as_str().unwrap().to_owned();
    let back = ["rollback", "--env", "prod", "--to", &v2];
    other.runs(&back).succeeds();
    shop.serves("v2");
    shop.is_whole();
    // Where nobody has it any more, nothing is touched.
    for number in [1, 4] {
        engine(number).sh(&forget);
    }
    let v1 = shop.releases()[0]["id"].as_str().unwrap().to_owned();
    let back = ["rollback", "--env", "prod", "--to", &v1];
    other
        .runs(&back)
        .fails_with(23)
        .saying(&["image", "is still live"]);
    shop.serves("v2");
    other.deploy("v3").succeeds();
    shop.serves("v3");
    shop.is_whole();
}

#[test]
fn a_reader_that_goes_away_stops_nothing() {
    let shop = Project::new("piped").on(&[1]);
    shop.deploy("v1").succeeds();
    for format in ["ndjson", "text"] {
        let version = format!("to-{format}");
        shop.ships(&version);
        let mut child = shop
            .command(&["deploy", "--env", "prod", "--format", format])
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("the binary runs");
        drop(child.stdout.take());
        drop(child.stderr.take());
        let status = child.wait().expect("its end");
        shop.serves(&version);
        assert_eq!(shop.newest()["outcome"], "done", "{status}");
    }
}

#[test]
fn a_disk_that_fills_up_here_stops_the_release_and_it_goes_on_later() {
    let mut shop = Project::new("full-here").on(&[1]);
    let state = shop.home().join("state");
    std::fs::create_dir(&state).expect("a folder");
    let folder = state.display().to_string();
    here().sh(&format!("mount -t tmpfs -o size=64k tmpfs {folder}"));
    let _mounted = Mounted(folder.clone());
    shop.variable("STAGECRAFT_STATE_FILE", &format!("{folder}/releases.json"));
    shop.deploy("v1").succeeds();
    let mut run = shop.breaks(Breakage::WaitsForLeave).starts_to_deploy("v2");
    run.until_step("started");
    here().try_sh(&format!("head -c 1000000 /dev/zero > {folder}/filler"));
    shop.gives_leave();
    let run = run.ends();
    assert_ne!(run.code, Some(0), "{run}");
    run.saying(&["No space left on device", "--resume"]);
    here().sh(&format!("rm {folder}/filler"));
    shop.deploy("v3")
        .fails_with(12)
        .saying(&["--resume", "--abort"]);
    shop.ships("v2");
    shop.runs(&["deploy", "--env", "prod", "--resume"])
        .succeeds();
    shop.serves("v2");
    shop.is_whole();
}

struct Mounted(String);

impl Drop for Mounted {
    fn drop(&mut self) {
        here().try_sh(&format!("umount -l {}", self.0));
    }
}
