//! Proxies that do not start, lose what they know, or die; ports of a host
//! that somebody else has. All of these hurt the same host.

use std::time::Duration;

use serde_json::json;

use crate::support::lab::{Breakable, Engine, Host, PATIENCE, Project, engine, within};

/// As if nobody had deployed there yet.
fn without_a_proxy(host: &Breakable) -> Engine {
    let engine = engine(host.host.0);
    engine.sh(
        "docker ps -aq --filter label=stagecraft.proxy | xargs -r docker rm -f
         docker volume rm -f stagecraft-proxy; rm -rf /run/stagecraft-proxy/*",
    );
    engine
}

/// Something on a host that a test starts, and ends.
struct Hog(Engine, String);

impl Hog {
    fn starts(host: Host, name: &str, options: &str) -> Self {
        engine(host.0).sh(&format!("docker run -d --name {name} {options}"));
        Self(engine(host.0), name.to_owned())
    }
}

impl Drop for Hog {
    fn drop(&mut self) {
        self.0.try_sh(&format!("docker rm -f {}", self.1));
    }
}

#[test]
fn a_proxy_whose_port_is_taken_says_by_whom_and_nothing_is_changed() {
    let victim = Host::alone();
    let host = victim.host;
    let shop = Project::new("port-80").on(&[1, host.0]).behind_the_proxy();
    let v1 = shop.prebuilt("v1");
    without_a_proxy(&victim);
    let port = format!("port 80 of `{}` is in use", host.address());

    let name = format!("{}-holder", shop.name);
    let hog = Hog::starts(host, &name, &format!("-p 80:80 {v1} sleep 999"));
    let run = shop.ships_image(&v1, "v1").fails_with(23);
    run.saying(&[&port, &name, "http_port", "nothing was live before"]);
    drop(hog);
    let sshd = host.sshd(80, "");
    let run = shop.ships_image(&v1, "v1").fails_with(23);
    run.saying(&[&port, "another program", "ss -ltnp"]);
    for host in [Host(1), host] {
        assert!(shop.containers(host).is_empty());
    }
    let left = engine(host.0).sh("docker ps -aq --filter label=stagecraft.proxy");
    assert_eq!(left, "", "no proxy is left behind");
    drop(sshd);
    shop.ships_image(&v1, "v1").succeeds();
    shop.serves("v1");
}

#[test]
fn a_proxy_that_lost_its_state_is_told_again_and_one_that_died_comes_back() {
    let victim = Host::alone();
    let host = victim.host;
    let (shop, v2) = Project::live_behind_the_proxy("lost-state", &[host.0]);
    let (blog, _) = Project::live_behind_the_proxy("lost-beside", &[host.0]);
    let load = blog.load().starts();

    // It dies while it serves, and comes back with the same slots.
    let on_host = engine(host.0);
    on_host.sh("kill -9 $(docker inspect -f '{{.State.Pid}}' stagecraft-proxy)");
    within(Duration::from_secs(10), "both serve again", || {
        [&shop, &blog]
            .iter()
            .all(|one| one.answer_of(host, "/up").as_deref() == Ok("v1"))
    });
    let load = load.ends();
    assert!(load.failures() > 0, "it was away for a moment: {load}");
    load.saw_only(&["v1"]);

    // Ended by hand it stays away, until the next deploy of anybody.
    on_host.sh("docker kill stagecraft-proxy");
    shop.ships_image(&v2, "v2").succeeds();
    shop.serves("v2");
    blog.serves("v1");

    // Nothing is left of it.
    without_a_proxy(&victim);
    blog.answer_of(host, "/up").unwrap_err();
    let v1 = shop.releases()[0]["image"].clone();
    assert!(v1.is_object());
    shop.ships_image(&shop.live_image(), "v3").succeeds();
    shop.serves("v2");
    blog.serves("v1");
    shop.runs_only("v3");

    // Its file of one environment is damaged: that one alone is away until
    // its next deploy.
    on_host.sh(&format!(
        "folder=$(docker volume inspect -f '{{{{.Mountpoint}}}}' stagecraft-proxy)/routes
         printf 'stagecraft 1\\nserver x' > $folder/{}-prod
         docker restart -t 1 stagecraft-proxy",
        shop.name
    ));
    within(PATIENCE, "the other one serves again", || {
        blog.answer_of(host, "/up").as_deref() == Ok("v1")
    });
    shop.ships_image(&shop.live_image(), "v4").succeeds();
    shop.serves("v2");
    shop.runs_only("v4");
    blog.serves("v1");
}

#[test]
fn ports_that_other_programs_hold_are_left_to_them() {
    let victim = Host::alone();
    let host = victim.host;
    let shop = Project::new("ports-held").on(&[host.0]).behind_the_proxy();
    let v1 = shop.prebuilt("v1");
    let v2 = shop.prebuilt("v2");
    // All of the range but a few.
    let hold = "import socket, time\n\
                held = []\n\
                for port in range(20000, 29990):\n    \
                    try: held.append(socket.create_server(('127.0.0.1', port)))\n    \
                    except OSError as error: print(port, error)\n\
                print('held', len(held), flush=True)\n\
                time.sleep(999)";
    let name = format!("{}-holder", shop.name);
    let hog = Hog::starts(
        host,
        &name,
        &format!("--network host --ulimit nofile=20000 {v1} python3 -c \"{hold}\""),
    );
    let logs = format!("docker logs {name} 2>&1");
    within(PATIENCE, "the ports are held", || {
        let said = hog.0.sh(&logs);
        assert!(!said.contains("Traceback"), "{said}");
        said.contains("held")
    });
    shop.ships_image(&v1, "v1").succeeds();
    shop.ships_image(&v2, "v2").succeeds();
    shop.serves("v2");
    shop.runs(&["rollback", "--env", "prod"]).succeeds();
    shop.serves("v1");
}

#[test]
fn first_deploys_at_the_same_moment_behind_a_new_proxy_lose_nothing_of_each_other() {
    let victim = Host::alone();
    let host = victim.host;
    let mut shop = Project::new("at-once").on(&[host.0]).behind_the_proxy();
    let blog = Project::new("at-once-too").on(&[host.0]).behind_the_proxy();
    let staging = format!("staging.{}", shop.answers_to);
    shop.set(
        "/environments/staging",
        json!({
            "hosts": [{ "address": host.address(), "roles": ["primary", "web"] }],
            "proxy": { "hosts": [&staging] },
        }),
    );
    let images = [shop.prebuilt("v1"), shop.prebuilt("v2")];
    let blogs = [blog.prebuilt("v1"), blog.prebuilt("v2")];
    without_a_proxy(&victim);
    let ship = |project: &Project, env: &str, version: usize, image: &str| {
        let version = format!("v{version}");
        project.starts(&[
            "deploy",
            "--env",
            env,
            "--version",
            &version,
            "--image",
            image,
        ])
    };
    let all = |version: usize| {
        let (image, blogs) = (&images[version - 1], &blogs[version - 1]);
        let runs = [
            ship(&shop, "prod", version, image),
            ship(&shop, "staging", version, image),
            ship(&blog, "prod", version, blogs),
        ];
        for run in runs {
            run.ends().succeeds();
        }
    };
    all(1);
    let loads = [shop.load(), shop.load().named(&staging), blog.load()];
    let loads = loads.map(|load| load.rate(60).starts());
    all(2);
    for load in loads {
        let load = load.ends();
        load.lost_nothing()
            .saw_only(&["v1", "v2"])
            .saw(&["v1", "v2"]);
        load.websockets_survived();
        assert_eq!(load.serves(0).as_deref(), Some("v2"), "{load}");
    }
    let proxies = engine(host.0).lines("docker ps -aq --filter label=stagecraft.proxy");
    assert_eq!(proxies.len(), 1, "{proxies:?}");
}
