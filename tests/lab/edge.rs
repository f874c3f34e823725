//! Certificates that are asked for: Caddy before HAProxy, and an authority
//! that gives them as Let's Encrypt does.

use serde_json::json;

use crate::support::lab::{Authority, Host, PATIENCE, Project, Tunnel, engine, here, says, within};
use crate::support::load::Load;

/// What `curl` of a project's own name on host 1 says, if it succeeds.
fn curl(name: &str, root: &str, arguments: &str, path: &str) -> Result<String, String> {
    let output = here().try_sh(&format!(
        "curl -sS --max-time 20 --cacert {root} --resolve {name}:443:{} --resolve {name}:80:{0} {arguments} '{}'",
        Host(1).ip(),
        match path.contains("://") {
            true => path.to_owned(),
            false => format!("https://{name}{path}"),
        }
    ));
    let text = |bytes: Vec<u8>| String::from_utf8_lossy(&bytes).trim().to_owned();
    match output.status.success() {
        true => Ok(text(output.stdout)),
        false => Err(text(output.stderr)),
    }
}

/// Which certificate a name gets, if any.
fn serial(name: &str) -> String {
    here().sh(&format!(
        "openssl s_client -connect {}:443 -servername {name} </dev/null 2>/dev/null | openssl x509 -noout -serial -issuer 2>&1; true",
        Host(1).ip()
    ))
}

/// Which containers the edges are, and since when they run.
fn edges() -> String {
    engine(1).sh(
        "docker ps -q --filter label=stagecraft.edge | xargs -r docker inspect -f '{{.Name}} {{.Id}} {{.State.StartedAt}}' | sort",
    )
}

fn name(project: &Project) -> String {
    project.answers_to.clone()
}

#[test]
fn a_first_visit_gets_a_certificate_and_the_edge_keeps_it() {
    let authority = Authority::new();
    let shop = authority.project("tls-auto", json!("auto"));
    let v1 = shop.prebuilt("v1");
    shop.ships_image(&v1, "v1").succeeds();
    let (name, root) = (name(&shop), authority.root());
    assert_eq!(curl(&name, &root, "", "/up").as_deref(), Ok("v1"));
    let version = curl(
        &name,
        &root,
        "--http2 -o /dev/null -w '%{http_version}'",
        "/up",
    );
    assert_eq!(version.as_deref(), Ok("2"));

    // HTTP/3 is offered, and somebody is there.
    let head = curl(&name, &root, "-D - -o /dev/null", "/up").unwrap();
    let head = head.to_ascii_lowercase();
    assert!(head.contains("alt-svc: h3=\":443\""), "{head}");
    let udp = engine(1).sh("ss -lnup");
    assert!(udp.contains(":443"), "{udp}");

    // Plain requests are sent there; challenges are the edge's.
    let plain = format!("http://{name}/up?x=1");
    let format = "-o /dev/null -w '%{http_code} %{redirect_url}'";
    let said = curl(&name, &root, format, &plain);
    assert_eq!(said, Ok(format!("308 https://{name}/up?x=1")));
    let challenge = format!("http://{name}/.well-known/acme-challenge/nothing");
    let said = curl(
        &name,
        &root,
        "-o /dev/null -w '%{http_code}|%header{server}'",
        &challenge,
    );
    assert_eq!(said.as_deref(), Ok("404|Caddy"));

    // Others get no certificate, and nobody outside learns who would.
    let unknown = format!("not-{name}");
    assert_eq!(serial(&unknown).matches("serial=").count(), 0);
    assert!(curl(&unknown, &root, "", "/up").is_err());
    assert!(!authority.log().contains(&unknown));
    let asks = |name: &str| {
        let asks = format!("/.well-known/stagecraft/auto?domain={name}");
        engine(1).sh(&format!(
            "curl -s -o /dev/null -w '%{{http_code}}' 'http://127.0.0.1{asks}'"
        ))
    };
    assert_eq!((asks(&name), asks(&unknown)), ("200".into(), "404".into()));
    let asks = format!("http://{name}/.well-known/stagecraft/auto?domain={name}");
    let said = curl(&name, &root, "-o /dev/null -w '%{http_code}'", &asks);
    assert_eq!(said.as_deref(), Ok("308"));

    let before = serial(&name);
    assert!(before.contains("serial="), "{before}");
    engine(1).sh("docker restart stagecraft-edge >/dev/null");
    within(PATIENCE, "it answers again", || {
        curl(&name, &root, "", "/up").is_ok()
    });
    assert_eq!(serial(&name), before);
    engine(1).sh("docker kill stagecraft-edge >/dev/null; docker start stagecraft-edge >/dev/null");
    within(PATIENCE, "it answers again", || {
        curl(&name, &root, "", "/up").is_ok()
    });
    assert_eq!(serial(&name), before);
    let issued = authority.log().matches("Issued certificate").count();
    assert_eq!(issued, 1, "{}", authority.log());
}

#[test]
fn deploys_under_tls_load_lose_nothing_and_leave_the_edge_alone() {
    let authority = Authority::new();
    let shop = authority.project("tls-load", json!("auto"));
    let (v1, v2) = (shop.prebuilt("v1"), shop.prebuilt("v2"));
    shop.ships_image(&v1, "v1").succeeds();
    let (name, root) = (name(&shop), authority.root());
    assert_eq!(curl(&name, &root, "", "/up").as_deref(), Ok("v1"));
    let before = edges();
    let tunnel = Tunnel::to(&name, &root);
    let load = Load::on(&[tunnel.address]).named(&name).rate(100).starts();
    for _ in 0..3 {
        shop.ships_image(&v2, "v2").succeeds();
        assert_eq!(curl(&name, &root, "", "/up").as_deref(), Ok("v2"));
        shop.runs(&["rollback", "--env", "prod"]).succeeds();
        assert_eq!(curl(&name, &root, "", "/up").as_deref(), Ok("v1"));
    }
    let load = load.ends();
    says(&format!("{load}"));
    load.lost_nothing().saw_only(&["v1", "v2"]);
    load.websockets_survived();
    assert_eq!(edges(), before);
}

#[test]
fn certificates_of_all_kinds_live_on_one_host() {
    let authority = Authority::new();
    let kinds = [
        authority.project("tls-auto", json!("auto")),
        authority.project("tls-internal", json!("internal")),
        authority.project("tls-files", json!({ "cert": "own.pem", "key": "own.key" })),
    ];
    let [auto, internal, files] = &kinds;
    here().sh(&format!(
        "cd {} && openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 2 \
         -subj /CN=own -addext subjectAltName=DNS:{} -keyout own.key -out own.pem 2>/dev/null",
        files.path().display(),
        name(files)
    ));
    for project in &kinds {
        let v1 = project.prebuilt("v1");
        project.ships_image(&v1, "v1").succeeds();
    }
    engine(1).sh("docker exec stagecraft-edge-internal cat /data/caddy/pki/authorities/local/root.crt >/tmp/edge-root.pem");
    let own = authority.path("internal.pem");
    std::fs::write(&own, engine(1).sh("cat /tmp/edge-root.pem")).unwrap();
    let of_files = format!("{}/own.pem", files.path().display());
    let roots = [(auto, authority.root()), (internal, own), (files, of_files)];
    let all_answer = || {
        for (project, root) in &roots {
            for http in ["--http1.1", "--http2"] {
                let said = curl(&name(project), root, http, "/up");
                assert_eq!(said.as_deref(), Ok("v1"), "{}", project.name);
            }
            let plain = format!("http://{}/", name(project));
            let said = curl(
                &name(project),
                root,
                "-o /dev/null -w '%{http_code}'",
                &plain,
            );
            assert_eq!(said.as_deref(), Ok("308"), "{}", project.name);
        }
    };
    all_answer();
    let before = kinds.each_ref().map(|project| serial(&name(project)));
    assert!(before[1].contains("Stagecraft"), "{before:?}");
    assert!(!authority.log().contains(&name(internal)));

    // All of it comes back by itself.
    engine(1)
        .sh("docker restart stagecraft-proxy stagecraft-edge stagecraft-edge-internal >/dev/null");
    for (project, root) in &roots {
        within(PATIENCE, "it answers again", || {
            curl(&name(project), root, "", "/up").is_ok()
        });
    }
    all_answer();
    let after = kinds.each_ref().map(|project| serial(&name(project)));
    assert_eq!(after[0], before[0]);
}

#[test]
fn another_image_takes_the_place_of_the_edge_and_one_that_cannot_run_does_not() {
    let authority = Authority::new();
    let mut shop = authority.project("tls-image", json!("auto"));
    let v1 = shop.prebuilt("v1");
    shop.ships_image(&v1, "v1").succeeds();
    let (name, root) = (name(&shop), authority.root());
    assert_eq!(curl(&name, &root, "", "/up").as_deref(), Ok("v1"));
    let (first, certificate) = (edges(), serial(&name));

    let good = crate::support::lab::lab("LAB_IMAGE_CADDY");
    let bad = crate::support::lab::lab("LAB_IMAGE_HAPROXY");
    shop.set("/proxy/edge_image", json!(bad));
    let run = shop.ships_image(&v1, "v1b");
    assert_ne!(run.code, Some(0), "{run}");
    run.saying(&["the TLS edge does not start"]);
    assert_eq!(edges(), first);
    assert_eq!(curl(&name, &root, "", "/up").as_deref(), Ok("v1"));

    let digest = engine(1).sh(&format!(
        "docker image inspect -f '{{{{index .RepoDigests 0}}}}' {good}"
    ));
    shop.set("/proxy/edge_image", json!(digest));
    let mut failed = vec![];
    std::thread::scope(|scope| {
        let deploy = scope.spawn(|| shop.ships_image(&v1, "v1c"));
        while !deploy.is_finished() {
            failed.extend(curl(&name, &root, "", "/up").err());
        }
        deploy.join().unwrap().succeeds();
    });
    assert!(failed.is_empty(), "{failed:?}");
    assert_ne!(edges(), first);
    assert_eq!(serial(&name), certificate);

    // Another person who says nothing of an ACME server leaves it as it is.
    let second = edges();
    shop.variable("STAGECRAFT_ACME_DIRECTORY", "");
    shop.variable("STAGECRAFT_ACME_CA", "");
    shop.ships_image(&v1, "v1d").succeeds();
    assert_eq!(edges(), second);
}
