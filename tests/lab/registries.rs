//! Images by way of a registry, open or with a login, and images that somebody
//! else built.

use std::io::Write;
use std::process::{Command, Stdio};

use serde_json::json;

use crate::support::lab::{Project, engine, here, lab};

/// A project whose images go to the registry with a login.
fn private(name: &str) -> Project {
    let mut shop = Project::new(name).on(&[1, 4]);
    let repository = format!("{}/{}", lab("LAB_REGISTRY_AUTH"), shop.name);
    shop.set("/project/registry", json!(repository));
    shop
}

fn with_variables(shop: &mut Project, password: &str) {
    shop.set("/project/registry_username_env", json!("HUB_USER"));
    shop.set("/project/registry_password_env", json!("HUB_PASSWORD"));
    shop.variable("HUB_USER", &lab("LAB_REGISTRY_USER"));
    shop.variable("HUB_PASSWORD", password);
}

/// What `docker login` would keep.
fn log_in(shop: &Project, password: &str) {
    let login = format!("{}:{password}", lab("LAB_REGISTRY_USER"));
    let mut encode = Command::new("base64")
        .arg("-w0")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    encode
        .stdin
        .take()
        .unwrap()
        .write_all(login.as_bytes())
        .unwrap();
    let encoded = encode.wait_with_output().unwrap().stdout;
    let encoded = String::from_utf8(encoded).unwrap();
    let store = json!({ "auths": { lab("LAB_REGISTRY_AUTH"): { "auth": encoded } } });
    let folder = shop.home().join(".docker");
    std::fs::create_dir_all(&folder).unwrap();
    std::fs::write(folder.join("config.json"), store.to_string()).unwrap();
}

/// The digest that a registry has for a tag.
fn digest(registry: &str, name: &str, tag: &str) -> String {
    let url = format!("http://{registry}/v2/{name}/manifests/{tag}");
    here().sh(&format!(
        "curl -fsSI -H 'Accept: application/vnd.docker.distribution.manifest.v2+json' \
         -H 'Accept: application/vnd.oci.image.manifest.v1+json' {url} \
         | tr -d '\\r' | sed -n 's/^[Dd]ocker-[Cc]ontent-[Dd]igest: //p'"
    ))
}

#[test]
fn an_open_registry_carries_the_image_and_its_digest_is_what_runs() {
    let mut shop = Project::new("public").on(&[1, 2, 4]);
    let registry = lab("LAB_REGISTRY");
    let repository = format!("{registry}/{}", shop.name);
    shop.set("/project/registry", json!(repository));
    shop.deploy("v1").succeeds();
    shop.serves("v1");
    let v1 = shop.newest()["image"]["digest"]
        .as_str()
        .unwrap()
        .to_owned();
    assert_eq!(v1, digest(&registry, &shop.name, "v1"));
    shop.deploy("v2").succeeds();
    shop.serves("v2");

    // An older image again, by digest, without building anything.
    let pinned = format!("{repository}@{v1}");
    let words = [
        "deploy",
        "--env",
        "prod",
        "--image",
        &pinned,
        "--version",
        "v1-again",
    ];
    shop.runs(&words).succeeds();
    shop.serves("v1");
    let replay = shop.newest();
    assert_eq!(replay["image"]["digest"], *v1);
    assert_eq!(replay["phases"]["build"]["status"], "skipped");
    for host in shop.hosts() {
        let held = engine(host.0).sh(&format!(
            "docker ps --quiet --filter label=stagecraft.project={} \
             | xargs docker inspect --format '{{{{.Image}}}}' \
             | xargs docker image inspect --format '{{{{json .RepoDigests}}}}'",
            shop.name
        ));
        assert!(held.contains(&v1), "{held}");
    }

    // A tag is resolved once; what it names later does not matter.
    shop.set("/build/image", json!(format!("{repository}:v2")));
    shop.runs(&["deploy", "--env", "prod"]).succeeds();
    shop.serves("v2");
    assert_eq!(
        shop.newest()["image"]["digest"],
        digest(&registry, &shop.name, "v2")
    );
    shop.runs(&["rollback", "--env", "prod"]).succeeds();
    shop.serves("v1");

    // A tag that there is not.
    shop.set("/build/image", json!(format!("{repository}:v9")));
    shop.runs(&["deploy", "--env", "prod"])
        .fails_with(10)
        .saying(&["v9", "does not know it", "nothing was changed"]);
    shop.serves("v1");
}

#[test]
fn a_registry_with_a_login_from_variables() {
    let mut shop = private("by-variables");
    with_variables(&mut shop, &lab("LAB_REGISTRY_PASSWORD"));
    let run = shop.deploy("v1").succeeds();
    run.never_saying(&[&lab("LAB_REGISTRY_PASSWORD")]);
    shop.serves("v1");
}

#[test]
fn a_registry_with_the_login_of_the_docker_client() {
    let shop = private("by-store");
    log_in(&shop, &lab("LAB_REGISTRY_PASSWORD"));
    let run = shop.deploy("v1").succeeds();
    run.never_saying(&[&lab("LAB_REGISTRY_PASSWORD")]);
    shop.serves("v1");
}

#[test]
fn a_wrong_password_ends_the_push_and_is_not_repeated() {
    let mut shop = private("wrong");
    let wrong = "correct-horse-battery";
    with_variables(&mut shop, wrong);
    let run = shop.deploy("v1").fails_with(21).never_saying(&[wrong]);
    run.saying(&[&lab("LAB_REGISTRY_AUTH"), "HUB_PASSWORD"]);
    shop.serves_nothing();
    assert_eq!(shop.newest()["phases"]["push"]["status"], "failed");

    // The same from the client's store, and without any login.
    let shop = private("wrong-store");
    log_in(&shop, wrong);
    let run = shop.deploy("v1").fails_with(21).never_saying(&[wrong]);
    run.saying(&["docker login"]);
    let shop = private("no-login");
    shop.deploy("v1").fails_with(21).saying(&["docker login"]);
    let image = format!("{}/{}:v1", lab("LAB_REGISTRY_AUTH"), shop.name);
    shop.runs(&["deploy", "--env", "prod", "--image", &image])
        .fails_with(13)
        .saying(&["docker login"]);
}

#[test]
fn a_registry_that_is_down_ends_the_push() {
    let mut shop = Project::new("down").on(&[2]);
    let nowhere = format!("{}:25999", lab("LAB_GATEWAY"));
    let repository = format!("{nowhere}/{}", shop.name);
    shop.set("/project/registry", json!(repository));
    shop.deploy("v1").fails_with(21).saying(&[&nowhere]);
    shop.serves_nothing();
    // To know which image it is, it would have to answer now.
    let image = format!("{nowhere}/{}:v1", shop.name);
    shop.runs(&["deploy", "--env", "prod", "--image", &image])
        .fails_with(13)
        .saying(&[&nowhere]);
}
