//! A project of the lab: its checkouts and what runs of it.

use std::ops::{Deref, DerefMut};

use serde_json::Value;

use super::checkout::Checkout;
use super::{Host, engine, here, next_number};

/// One project with a name of its own. It is its first checkout too.
pub(crate) struct Project {
    first: Checkout,
}

impl Project {
    pub(crate) fn new(name: &str) -> Self {
        let port = next_number();
        Self {
            first: Checkout::new(format!("{name}-{port}"), port),
        }
    }

    /// An example of this repository.
    pub(crate) fn example(name: &str) -> Self {
        let mut project = Self::new(&format!("notes-{name}"));
        project.first.takes(name);
        project
    }

    /// Its hosts, by number; the first is the primary.
    pub(crate) fn on(mut self, hosts: &[u8]) -> Self {
        self.first.on(hosts);
        self
    }

    /// The same project on another person's machine: no state, another home.
    pub(crate) fn second_checkout(&self) -> Checkout {
        self.first.copied("erin")
    }

    /// Every host answers with this version.
    #[track_caller]
    pub(crate) fn serves(&self, version: &str) {
        for host in self.hosts() {
            assert_eq!(self.answer_of(host, "/up").as_deref(), Ok(version));
        }
    }

    /// Nothing of it answers on any host.
    #[track_caller]
    pub(crate) fn serves_nothing(&self) {
        for host in self.hosts() {
            let answer = self.answer_of(host, "/up");
            assert!(answer.is_err(), "{answer:?}");
        }
    }

    /// What a GET of it on one of its hosts answers.
    pub(crate) fn answer_of(&self, host: Host, path: &str) -> Result<String, String> {
        host.get_as(&self.answers_to, self.port, path)
    }

    /// `NAME STATE` of its containers on a host.
    #[track_caller]
    pub(crate) fn containers(&self, host: Host) -> Vec<String> {
        engine(host.0).lines(&format!(
            "docker ps --all --format '{{{{.Names}}}} {{{{.State}}}}' --filter label=stagecraft.project={} | sort",
            self.name
        ))
    }

    /// Everything of it that there is on this machine and on the hosts: what a
    /// reading command must leave as it is.
    #[track_caller]
    pub(crate) fn footprint(&self) -> Vec<String> {
        let name = &self.name;
        let engine_side = format!(
            "docker ps --all --no-trunc --format '{{{{.ID}}}} {{{{.Names}}}} {{{{.State}}}}' | grep {name} | sort
             docker images --no-trunc --format '{{{{.ID}}}} {{{{.Repository}}}}:{{{{.Tag}}}}' | grep {name} | sort
             docker volume ls --quiet | grep {name} | sort
             docker network ls --format '{{{{.Name}}}}' | grep {name} | sort"
        );
        let files = |folder: &str| {
            format!("find {folder} -type f 2>/dev/null | sort | xargs -r -d '\n' cksum")
        };
        let (path, home) = (self.path().display(), self.home().display());
        let mut found = here().lines(&format!(
            "{engine_side}\n{}\n{}",
            files(&path.to_string()),
            files(&home.to_string())
        ));
        for host in self.hosts() {
            found.extend(engine(host.0).lines(&format!(
                "{engine_side}\n{}; true",
                files(&format!("/home/deploy/.stagecraft/{name}"))
            )));
        }
        found
    }

    /// Exactly one container runs on each host and nothing else is left.
    #[track_caller]
    pub(crate) fn is_whole(&self) {
        for host in self.hosts() {
            let containers = self.containers(host);
            assert!(
                containers.len() == 1 && containers[0].ends_with(" running"),
                "{}: {containers:?}",
                host.address()
            );
        }
    }

    /// Lets everything that [`super::Breakage::WaitsForLeave`] become healthy.
    #[track_caller]
    pub(crate) fn gives_leave(&self) {
        for host in self.hosts() {
            engine(host.0).sh(&format!(
                "docker ps --quiet --filter label=stagecraft.project={} | xargs -r -n 1 sh -c 'docker exec $0 touch /go'",
                self.name
            ));
        }
    }

    /// What its containers on a host printed.
    #[track_caller]
    pub(crate) fn printed_on(&self, host: Host) -> String {
        engine(host.0).sh(&format!(
            "docker ps --all --quiet --filter label=stagecraft.project={} | xargs -r -n 1 sh -c 'docker logs $0 2>&1'",
            self.name
        ))
    }

    /// The records that a host keeps.
    #[track_caller]
    pub(crate) fn records_on(&self, host: Host) -> Vec<Value> {
        let folder = format!("/home/deploy/.stagecraft/{}/prod", self.name);
        let script = format!("for f in {folder}/release-*; do cat $f; printf '\\036'; done");
        let text = engine(host.0).sh(&script);
        let files = text.split('\u{1e}').filter(|file| !file.trim().is_empty());
        files
            .map(|file| serde_json::from_str::<Value>(file).expect("JSON"))
            .map(|file| file["releases"][0].clone())
            .collect()
    }

    /// Nobody holds its lock on any host.
    pub(crate) fn is_unlocked(&self) -> bool {
        self.hosts().iter().all(|host| {
            let lock = format!("/home/deploy/.stagecraft/{}/prod/lock", self.name);
            let script = format!("[ ! -e {lock} ] || flock --nonblock {lock} true");
            engine(host.0).try_sh(&script).status.success()
        })
    }
}

impl Deref for Project {
    type Target = Checkout;

    fn deref(&self) -> &Checkout {
        &self.first
    }
}

impl DerefMut for Project {
    fn deref_mut(&mut self) -> &mut Checkout {
        &mut self.first
    }
}

impl Drop for Project {
    fn drop(&mut self) {
        let name = &self.name;
        // Twice: what has a digest and no tag is listed when its tag is gone.
        let images = format!(
            "for pass in 1 2; do
               docker images --digests --format '{{{{.Repository}}}}:{{{{.Tag}}}} {{{{.Repository}}}}@{{{{.Digest}}}}' | grep '/{name}[:]' |
                 tr ' ' '\\n' | grep -v '<none>' | sort -u | xargs -r docker rmi --force
             done"
        );
        here().try_sh(&images);
        for host in self.hosts() {
            engine(host.0).try_sh(&format!(
                "docker ps --all --quiet --filter label=stagecraft.project={name} | xargs -r docker rm --force --volumes
                 docker volume ls --quiet --filter name=^{name}- | xargs -r docker volume rm
                 docker network ls --quiet --filter name=^{name}- | xargs -r docker network rm
                 {images}
                 rm -rf /home/deploy/.stagecraft/{name}"
            ));
        }
        if self.port == super::HTTP {
            self.gives_its_places_back();
        }
    }
}
