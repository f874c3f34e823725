//! A project behind the proxy of its hosts, with the application that can be
//! put under load.

use serde_json::json;

use super::{Project, Run, engine, here, lab};
use crate::support::load::Load;

/// Where the proxy of every host listens.
const HTTP: u16 = 80;

impl Project {
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
        self.port = HTTP;
        for file in ["Dockerfile", "app.py"] {
            let fixture = format!("tests/fixtures/loadapp/{file}");
            let fixture = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join(fixture);
            let text = std::fs::read_to_string(fixture).expect("the fixture");
            self.file(file, &text);
        }
        self
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
}
