//! What goes wrong on ordinary bad days: applications that fail, hosts that do
//! not let anybody in, files that are broken. Nothing here hurts a host.

use std::time::Duration;

use serde_json::json;

use crate::support::lab::{Breakage, Host, Project, engine, free_port, here};

#[test]
fn a_container_that_dies_at_once_shows_its_code_and_last_words() {
    let shop = Project::new("dies").on(&[1, 2]);
    shop.deploy("v1").succeeds();
    let run = shop
        .breaks(Breakage::DiesAtOnce)
        .deploy("v2")
        .fails_with(23);
    run.saying(&["exited with code 7", "cannot find my way", "serves"])
        .within(Duration::from_secs(15));
    shop.serves("v1");
    shop.is_whole();

    // Without a check it must live for a moment at least.
    let mut shop = Project::new("dies-unseen").on(&[1]);
    shop.set("/roles/web/health", json!("none"));
    let run = shop
        .breaks(Breakage::DiesAtOnce)
        .deploy("v1")
        .fails_with(23);
    run.saying(&[
        "exited with code 7",
        "cannot find my way",
        "nothing was live before",
    ]);
    assert!(shop.containers(Host(1)).is_empty());
}

#[test]
fn a_container_that_runs_out_of_memory_says_so() {
    let shop = Project::new("memory").on(&[2]);
    shop.deploy("v1").succeeds();
    let mut run = shop.breaks(Breakage::EatsMemory).starts_to_deploy("v2");
    run.until_step("started");
    engine(2).sh(&format!(
        "docker ps --quiet --filter label=stagecraft.project={} \
         | xargs docker update --memory 32m --memory-swap 32m",
        shop.name
    ));
    run.ends().fails_with(23).saying(&["out of memory"]);
    shop.serves("v1");
    shop.is_whole();
}

#[test]
fn a_container_that_ignores_its_signal_is_killed_and_the_release_goes_on() {
    let mut shop = Project::new("stubborn").on(&[1, 4]);
    shop.set("/roles/web/stop/timeout", json!("1s"));
    shop.breaks(Breakage::IgnoresSigterm)
        .deploy("v1")
        .succeeds();
    let run = shop.deploy("v2").succeeds();
    run.saying(&["killed: it ignored SIGTERM for 1 s"])
        .within(Duration::from_secs(15));
    shop.serves("v2");
    shop.is_whole();
}

#[test]
fn hosts_that_let_nobody_in_are_told_apart() {
    let mut shop = Project::new("outside").on(&[]);
    let mut refused = |addresses: &[&str]| {
        let addresses: Vec<String> = addresses.iter().map(|it| (*it).to_owned()).collect();
        shop.on_addresses(&addresses);
        let run = shop.deploy("v1").fails_with(13);
        let run = run.within(Duration::from_secs(25));
        run.saying(&["nothing was changed"])
            .saying(&[addresses[0].as_str()])
    };
    let good = Host(2).address();
    refused(&["deploy@nowhere.invalid"]).saying(&["nowhere.invalid", "name"]);
    refused(&[&format!("{good}:2")]).saying(&["nothing listens", "port 2"]);
    refused(&["deploy@10.213.7.99"]).saying(&["10.213.7.99"]);
    refused(&[&good.replace("deploy@", "nobody@")]).saying(&["accepts none of", "ssh-add -l"]);

    // A server with another key than the one that is known, and one that is
    // not known at all.
    let stranger = Host(2).sshd(free_port(), "-h /run/other-key");
    refused(&[&stranger.address()]).saying(&["host key is not known", "known_hosts"]);
    let another = engine(2).sh("cat /etc/ssh/ssh_host_ed25519_key.pub");
    stranger.is_known_by(&another);
    refused(&[&stranger.address()]).saying(&["host key is not the one on record", "-R"]);

    // One of two is enough to stop, and both are named when both fail.
    let run = refused(&["deploy@nowhere.invalid", "deploy@elsewhere.invalid", &good]);
    run.saying(&["elsewhere.invalid"]);
}

#[test]
fn a_user_who_may_not_use_docker_is_told_how_to_mend_it() {
    // The lab's key opens every account, but not by the server for everybody.
    engine(2).sh("id visitor || useradd --create-home --password '*' --shell /bin/sh visitor");
    let mut shop = Project::new("visitor").on(&[]);
    let server = Host(2).sshd(free_port(), "-o AllowUsers=visitor");
    server.is_known_by(&engine(2).sh("ssh-keygen -y -f /etc/ssh/lab_host_key"));
    shop.on_addresses(&[server.address().replace("deploy@", "visitor@")]);
    let run = shop.deploy("v1").fails_with(13);
    run.saying(&["docker", "usermod -aG docker visitor"]);
}

#[test]
fn a_port_that_somebody_else_has_leaves_the_old_release_serving() {
    let mut shop = Project::new("ports").on(&[1, 4]);
    shop.deploy("v1").succeeds();
    let neighbour = Project::new("neighbour").on(&[4]);
    neighbour.deploy("v1").succeeds();

    let (mine, taken) = (shop.port, neighbour.port);
    shop.set("/roles/web/publish", json!(taken));
    let run = shop.deploy("v2").fails_with(23);
    run.saying(&[
        &format!("port {taken}"),
        &neighbour.name,
        &Host(4).address(),
    ]);
    shop.serves("v1");
    shop.is_whole();
    neighbour.serves("v1");
    neighbour.is_whole();

    // A process that is no container.
    let other = free_port();
    let process = Host(4).sshd(other, "");
    shop.set("/roles/web/publish", json!(other));
    let run = shop.deploy("v3").ends_with(23);
    drop(process);
    run.saying(&[&format!("port {other}")]);
    shop.serves("v1");
    shop.set("/roles/web/publish", json!(mine));
    shop.deploy("v4").succeeds();
    shop.serves("v4");
}

#[test]
fn a_build_that_fails_shows_its_last_lines_and_nothing_else_is_touched() {
    let shop = Project::new("build").on(&[1]);
    shop.deploy("v1").succeeds();
    shop.file(
        "Dockerfile",
        "FROM stagecraft-lab/busybox\nRUN echo step one && echo it went wrong >&2 && exit 42\n",
    );
    let run = shop.deploy("v2").fails_with(20);
    run.saying(&["it went wrong", "42", "RUN echo step one", "is still live"]);
    shop.file("Dockerfile", "FROM stagecraft-lab/busybox\nRUNN x\n");
    shop.deploy("v3")
        .fails_with(20)
        .saying(&["RUNN", "Dockerfile"]);
    std::fs::remove_file(shop.path().join("Dockerfile")).unwrap();
    let run = shop.deploy("v4");
    assert!(matches!(run.code, Some(10 | 20)), "{run}");
    run.saying(&["Dockerfile"]);
    shop.file("Dockerfile", "FROM nowhere.invalid/none:1\n");
    shop.deploy("v5")
        .fails_with(20)
        .saying(&["nowhere.invalid"]);
    shop.serves("v1");
    shop.is_whole();
}

#[test]
fn a_configuration_that_lacks_something_is_refused_before_anything_happens() {
    let mut shop = Project::new("lacking").on(&[1]);
    shop.set("/env/clear", json!({ "GREETING": "${NOT_SET_ANYWHERE}" }));
    shop.deploy("v1").ends_with(10).saying(&[
        "NOT_SET_ANYWHERE",
        "stagecraft.yml:",
        "nothing was changed",
    ]);
    shop.set("/env/clear", json!({}));
    shop.set("/env/secret", json!(["NOT_THERE"]));
    shop.deploy("v1").fails_with(10).saying(&["NOT_THERE"]);
    shop.set("/env", json!(null));
    shop.set("/roles/web/replica", json!(2));
    shop.set("/roles/web/health/timeout", json!("soon"));
    let run = shop.deploy("v1").ends_with(10);
    run.saying(&["replica", "replicas", "soon"]);
    assert!(!shop.path().join(".stagecraft/releases.json").exists());
}

#[test]
fn a_record_that_cannot_be_trusted_is_never_overwritten() {
    let mut shop = Project::new("record").on(&[1]);
    shop.deploy("v1").succeeds();
    let file = shop.path().join(".stagecraft/releases.json");
    let good = std::fs::read_to_string(&file).unwrap();

    let broken = &good[..good.len() / 2];
    std::fs::write(&file, broken).unwrap();
    for command in ["deploy", "rollback", "status"] {
        let run = shop.runs(&[command, "--env", "prod"]);
        assert_ne!(run.code, Some(0), "{run}");
        run.saying(&["releases.json"]);
    }
    let kept = here().sh(&format!("cat {}*", file.display()));
    assert!(kept.contains(broken), "{kept}");

    let newer = good.replacen("\"format\": 1", "\"format\": 99", 1);
    std::fs::write(&file, &newer).unwrap();
    let run = shop.deploy("v2");
    assert_ne!(run.code, Some(0), "{run}");
    run.saying(&["99"]);
    assert_eq!(std::fs::read_to_string(&file).unwrap(), newer);

    // A place where nothing can be written.
    shop.variable("STAGECRAFT_STATE_FILE", "/sys/releases.json");
    let run = shop.deploy("v2");
    assert_ne!(run.code, Some(0), "{run}");
    run.saying(&["/sys/releases.json", "nothing was written"]);
    shop.serves("v1");
    shop.is_whole();

    // A record that was lost comes back from the hosts.
    shop.variable("STAGECRAFT_STATE_FILE", "");
    std::fs::remove_file(&file).unwrap();
    shop.deploy("v2").succeeds();
    shop.runs(&["rollback", "--env", "prod"]).succeeds();
    shop.serves("v1");
    assert_eq!(shop.releases().len(), 3);
}
