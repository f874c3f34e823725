//! A project behind the proxy of its hosts, with the application that can be
//! put under load.

use std::fs::File;
use std::sync::Arc;

use serde_json::json;
use stagecraft::docker::auth::{Auth, DockerStore};
use stagecraft::docker::client::Engines;
use stagecraft::docker::runner;
use stagecraft::http::Prober;
use stagecraft::model::route::Acme;
use stagecraft::ports::HostLink;
use stagecraft::proxy::proxies;
use stagecraft::ssh::Links;

use super::{Host, Project, Run, Running, engine, here, lab, lab_folder};
use crate::support::load::Load;

/// Where the proxy of every host listens: a host has one for all projects, so
/// every test of the lab asks for the same.
pub(crate) const HTTP: u16 = 80;

/// Many projects may use the proxy of host 2 at the same time, unless a test
/// has it for itself, to break it.
pub(crate) fn proxy_of_host_2() -> File {
    let path = format!("{}/run/proxy-host2", lab_folder());
    File::create(path).expect("the lab is up: `tests/lab/up`")
}

impl Project {
    /// Behind the proxies of these hosts: `v1` is live, and `v2` in the
    /// registry, by the digest that is returned.
    #[track_caller]
    pub(crate) fn live_behind_the_proxy(name: &str, hosts: &[u8]) -> (Self, String) {
        let mut shop = Self::new(name).on(hosts).behind_the_proxy();
        shop.set("/roles/web/volumes", json!(["data:/data"]));
        let (v1, v2) = (shop.prebuilt("v1"), shop.prebuilt("v2"));
        shop.ships_image(&v1, "v1").succeeds();
        shop.serves("v1");
        (shop, v2)
    }

    /// The application of `tests/fixtures/loadapp`, asked for by its own name.
    pub(crate) fn behind_the_proxy(mut self) -> Self {
        let name = format!("{}.example.com", self.name);
        self.set(
            "/proxy",
            json!({ "hosts": [&name], "tls": "off", "image": lab("LAB_IMAGE_HAPROXY") }),
        );
        self.set(
            "/roles/web",
            json!({
                "port": 8080,
                "health": { "path": "/up", "timeout": "20s", "interval": "100ms" },
                "stop": { "timeout": "3s" },
            }),
        );
        let registry = format!("{}/{}", lab("LAB_REGISTRY"), self.name);
        self.set("/project/registry", json!(registry));
        self.answers_to = name;
        if self.hosts().iter().any(|host| host.0 == 2) {
            let file = proxy_of_host_2();
            file.lock_shared().expect("a lock");
            self.holds(file);
        }
        self.port = HTTP;
        for file in ["Dockerfile", "app.py"] {
            let fixture = format!("tests/fixtures/loadapp/{file}");
            let fixture = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join(fixture);
            let text = std::fs::read_to_string(fixture).expect("the fixture");
            self.file(file, &text);
        }
        self
    }

    /// Nothing of it runs any more.
    pub(super) fn gives_its_places_back(&self) {
        let key = format!("{}-prod", self.name);
        let hosts: Vec<Host> = self.hosts();
        let forgets = async move {
            let link: Arc<dyn HostLink> = Links::new().expect("a folder");
            let nobody = Auth::with_store(DockerStore::at("/nonexistent"));
            let runner = runner(Engines::new(Arc::clone(&link)), Arc::new(nobody));
            let fetch = Arc::new(Prober::new(Arc::clone(&link), Arc::clone(&runner)));
            let proxy = proxies(Arc::clone(&link), runner, fetch, Acme::default());
            let cx = crate::support::build::cx().0;
            for host in hosts {
                let alias = lab(&format!("LAB_HOST{}_ALIAS", host.0));
                let address = alias.parse().expect("an address");
                // What was broken on purpose may not answer.
                let _ = proxy.forget(&cx, &address, &key).await;
            }
            link.close().await;
        };
        // A test may have a runtime of its own.
        let run = move || {
            let runtime = tokio::runtime::Builder::new_current_thread();
            let runtime = { runtime }.enable_all().build().expect("a runtime");
            runtime.block_on(forgets);
        };
        let _ = std::thread::spawn(run).join();
    }

    /// An image of this version as somebody else would build it, in the
    /// registry, by its digest; on every host already.
    #[track_caller]
    pub(crate) fn prebuilt(&self, version: &str) -> String {
        self.ships(version);
        let tag = format!("{}/{}:{version}", lab("LAB_REGISTRY"), self.name);
        let reference = here().sh(&format!(
            "DOCKER_BUILDKIT=0 docker build -q -t {tag} {} >/dev/null 2>&1
             docker push -q {tag} >/dev/null
             docker inspect -f '{{{{index .RepoDigests 0}}}}' {tag}",
            self.path().display()
        ));
        for host in self.hosts() {
            engine(host.0).sh(&format!("docker pull -q {reference}"));
        }
        reference
    }

    /// Deploys a prebuilt image.
    #[track_caller]
    pub(crate) fn ships_image(&self, image: &str, version: &str) -> Run {
        let words = ["deploy", "--env", "prod", "--version", version];
        self.runs(&[&words[..], &["--image", image]].concat())
    }

    /// The image of the newest release, by its digest.
    #[track_caller]
    pub(crate) fn live_image(&self) -> String {
        let image = &self.newest()["image"];
        let text = |key: &str| image[key].as_str().expect("text").to_owned();
        format!("{}@{}", text("repository"), text("digest"))
    }

    /// People who use it on all of its hosts.
    pub(crate) fn load(&self) -> Load {
        let hosts = self.hosts();
        let addresses = hosts.iter().map(|host| format!("{}:{HTTP}", host.ip()));
        let addresses: Vec<_> = addresses.map(|one| one.parse().expect("one")).collect();
        Load::on(&addresses).named(&self.answers_to)
    }

    /// What the copies of one host find in their volume.
    #[track_caller]
    pub(crate) fn writes_on(&self, host: Host, file: &str, text: &str) {
        engine(host.0).sh(&format!(
            "folder=$(docker volume inspect -f '{{{{.Mountpoint}}}}' {}-prod-data) && echo {text} > $folder/{file}",
            self.name
        ));
    }

    /// Begins to deploy an image as `v2`.
    #[track_caller]
    pub(crate) fn starts_to_ship(&self, image: &str) -> Running {
        self.starts(&[
            "deploy",
            "--env",
            "prod",
            "--version",
            "v2",
            "--image",
            image,
        ])
    }

    /// Begins to deploy `v2`. The copy of the first host takes its time, and
    /// all others wait for it, healthy.
    #[track_caller]
    pub(crate) fn waits_at_the_barrier(&self, v2: &str, others: &[Host]) -> Running {
        self.writes_on(Host(1), "delay", "6");
        let mut run = self.starts_to_ship(v2);
        run.until_step_on(others, "is healthy");
        run
    }

    /// Gives its first host a worker, which may not run twice: it changes when
    /// traffic has moved already. `v1` of it is live at once.
    #[track_caller]
    pub(crate) fn has_a_worker(&mut self) {
        self.set("/roles/worker", worker("/usr/bin/true"));
        let hosts = self.hosts().into_iter().enumerate();
        let hosts: Vec<_> = hosts
            .map(|(index, host)| match index {
                0 => json!({ "address": host.address(), "roles": ["primary", "web", "worker"] }),
                _ => json!({ "address": host.address(), "roles": ["web"] }),
            })
            .collect();
        self.set("/environments/prod/hosts", json!(hosts));
        self.ships_image(&self.live_image(), "v1").succeeds();
    }

    /// Begins to deploy `v2` and waits until it has the users of these hosts.
    /// The worker takes its time until [`Self::lets_the_worker_start`].
    #[track_caller]
    pub(crate) fn waits_after_the_switch(&mut self, v2: &str, hosts: &[Host]) -> Running {
        self.set("/roles/worker", worker("/usr/bin/test -e /data/go"));
        self.set("/roles/worker/health/timeout", json!("60s"));
        let mut run = self.starts_to_ship(v2);
        run.until_step_on(hosts, "traffic goes to the new release");
        run
    }

    #[track_caller]
    pub(crate) fn lets_the_worker_start(&self) {
        self.writes_on(self.hosts()[0], "go", "on");
    }

    /// One copy of this version runs on each host, and no other of that role.
    #[track_caller]
    pub(crate) fn runs_only(&self, version: &str) {
        for host in self.hosts() {
            let running = engine(host.0).lines(&format!(
                "docker ps --format '{{{{.Label \"stagecraft.version\"}}}}' --filter label=stagecraft.project={} \
                 --filter label=stagecraft.role=web",
                self.name
            ));
            assert_eq!(running, [version], "{}", host.address());
        }
    }

    /// Kills the copy of a version that runs on a host.
    #[track_caller]
    pub(crate) fn loses_its_copy(&self, host: Host, version: &str) {
        engine(host.0).sh(&format!(
            "docker ps -q --filter label=stagecraft.project={} --filter label=stagecraft.role=web \
             --filter label=stagecraft.version={version} | xargs docker kill",
            self.name
        ));
    }
}

fn worker(proof: &str) -> serde_json::Value {
    let proof: Vec<&str> = proof.split(' ').collect();
    json!({
        "command": ["/usr/bin/python3", "-c", "import time; time.sleep(9999)"],
        "health": { "command": proof, "timeout": "5s", "interval": "200ms" },
        "volumes": ["data:/data"],
        "overlap": false,
        "stop": { "signal": "SIGKILL" },
    })
}
