//! Containers: what one should be ([`ContainerSpec`]), what one is
//! ([`Container`]), and how one ended ([`Exit`]).

use std::collections::BTreeMap;
use std::time::Duration;

use indexmap::IndexMap;
use serde::{Deserialize, Serialize};

use super::image::{Digest, PinnedImage};
use super::secret::Secret;
use super::service::Member;

/// The labels that make a container ours. They are the hosts' own record of
/// what runs where.
pub mod label {
    pub const PROJECT: &str = "stagecraft.project";
    pub const ENVIRONMENT: &str = "stagecraft.environment";
    pub const ROLE: &str = "stagecraft.role";
    pub const RELEASE: &str = "stagecraft.release";
    pub const VERSION: &str = "stagecraft.version";
    pub const DIGEST: &str = "stagecraft.digest";
    pub const CONFIG_HASH: &str = "stagecraft.config-hash";
    /// The folder on the host that holds its copy of the record.
    pub const STATE_PATH: &str = "stagecraft.state-path";
    /// 1-based replica number.
    pub const REPLICA: &str = "stagecraft.replica";
    /// Ports of the container and where the host's loopback offers them:
    /// `3000=20017,9090=20018`.
    pub const LOOPBACK: &str = "stagecraft.loopback";
    /// The engine's own, of what a Swarm made.
    pub const SWARM_SERVICE: &str = "com.docker.swarm.service.name";
    /// Keyed fingerprint of the whole environment that it was made with.
    pub const ENV: &str = "stagecraft.env";
    /// Set on containers behind the proxy: their route, see
    /// [`super::super::route::RouteLabel`].
    pub const ROUTE: &str = "stagecraft.route";
    /// Set on the proxy itself: the version of what it is made of.
    pub const PROXY: &str = "stagecraft.proxy";
    /// Set on a TLS edge: the version of what it is made of.
    pub const EDGE: &str = "stagecraft.edge";
    /// Set on a TLS edge: where it asks for certificates, see
    /// [`super::super::route::Acme`].
    pub const ACME: &str = "stagecraft.acme";
    /// Set on one-off containers; the work that they do.
    pub const JOB: &str = "stagecraft.job";

    pub mod job {
        /// Of a new release, for the schema gate alone.
        pub const SCHEMA: &str = "schema";
    }
}

/// A port inside the container and where the host offers it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PortBinding {
    pub container: u16,
    pub host: u16,
    /// `0.0.0.0` where the role publishes itself, `127.0.0.1` otherwise.
    pub address: String,
}

/// A named volume or a folder of the host, mounted into the container.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Mount {
    /// The engine's volume name (already prefixed), or an absolute path.
    pub source: String,
    pub target: String,
    pub read_only: bool,
}

/// How a container is asked to end.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct StopPolicy {
    /// Such as `SIGTERM`.
    pub signal: String,
    /// After this the engine kills it.
    #[serde(with = "seconds")]
    pub timeout: Duration,
}

impl Default for StopPolicy {
    fn default() -> Self {
        Self {
            signal: "SIGTERM".to_owned(),
            timeout: Duration::from_secs(30),
        }
    }
}

impl StopPolicy {
    /// It is given no chance to end by itself.
    #[must_use]
    pub fn kills(&self) -> bool {
        matches!(self.signal.as_str(), "SIGKILL" | "KILL" | "9")
    }
}

/// A container as it should be.
#[derive(Debug, Clone)]
pub struct ContainerSpec {
    pub name: String,
    pub image: PinnedImage,
    /// Replaces the image's entry point.
    pub entrypoint: Option<Vec<String>>,
    /// Replaces the image's command.
    pub command: Option<Vec<String>>,
    /// Byte for byte, in order; delivered in the API body.
    pub env: IndexMap<String, Secret>,
    pub labels: BTreeMap<String, String>,
    pub mounts: Vec<Mount>,
    /// Folders of the host that the engine makes, at every start, where they
    /// are missing.
    pub made_folders: Vec<Mount>,
    /// Replaces the image's user.
    pub user: Option<String>,
    /// The user-defined network; made when it is not there. `aliases` are the
    /// names that resolve to this container in it.
    pub network: String,
    pub aliases: Vec<String>,
    pub ports: Vec<PortBinding>,
    pub stop: StopPolicy,
    /// Restarted by the engine (`unless-stopped`); never for one-off work.
    pub restart: bool,
}

/// The state words of the engine that matter here.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ContainerState {
    Created,
    Running,
    /// The engine starts it again and again.
    Restarting,
    Exited,
    /// Being removed, paused, dead.
    Other,
}

/// A container as it is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Container {
    pub id: String,
    pub name: String,
    pub state: ContainerState,
    pub exit_code: Option<i64>,
    pub oom_killed: bool,
    pub restarts: u64,
    /// The engine's image id of what it runs.
    pub image_id: String,
    pub labels: BTreeMap<String, String>,
    pub ports: Vec<PortBinding>,
    /// Address on its own network, when it runs.
    pub address: Option<String>,
    pub started_at: Option<String>,
}

impl Container {
    #[must_use]
    pub fn label(&self, key: &str) -> Option<&str> {
        self.labels.get(key).map(String::as_str)
    }

    /// Whether it is what a record calls by this name: itself, or the task that
    /// a Swarm made in place of one that ended.
    #[must_use]
    pub fn stands_for(&self, name: &str) -> bool {
        let task_of = |service| {
            let rest = name.strip_prefix(service);
            rest.is_some_and(|rest: &str| rest.starts_with('.'))
        };
        self.name == name || self.label(label::SWARM_SERVICE).is_some_and(task_of)
    }

    /// Where its host reaches a port of it: on the host's own loopback, or on
    /// the container's network where the port is not published.
    #[must_use]
    pub fn reached_at(&self, port: u16) -> Option<(String, u16)> {
        match self.ports.iter().find(|known| known.container == port) {
            Some(known) if matches!(known.address.as_str(), "" | "0.0.0.0" | "::") => {
                Some(("127.0.0.1".to_owned(), known.host))
            }
            Some(known) => Some((known.address.clone(), known.host)),
            None => {
                let address = self.address.clone().filter(|known| !known.is_empty())?;
                Some((address, port))
            }
        }
    }

    #[must_use]
    pub fn running(&self) -> bool {
        self.state == ContainerState::Running
    }

    /// Ports of the host's loopback that were chosen when it was made.
    pub fn kept_ports(&self) -> impl Iterator<Item = u16> {
        let kept = self.label(label::LOOPBACK).unwrap_or_default();
        let pairs = kept.split(',').filter_map(|pair| pair.split_once('='));
        pairs.filter_map(|(_, host)| host.parse().ok())
    }

    /// Where the host offers this port of the container, running or not.
    #[must_use]
    pub fn host_port(&self, container: u16) -> Option<u16> {
        let mut ports = self.ports.iter();
        let found = ports.find(|port| port.container == container);
        found.map(|port| port.host)
    }
}

/// How a one-off container or a command in one ended. A non-zero code is data,
/// not an error.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Exit {
    pub code: i64,
    pub oom_killed: bool,
    /// The last lines of output, standard output and error together.
    pub tail: Vec<String>,
}

impl Exit {
    #[must_use]
    pub fn success(&self) -> bool {
        self.code == 0
    }
}

/// What a host's engine says of itself.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct EngineFacts {
    /// The engine's own id: two addresses with one id are one engine.
    pub id: String,
    pub version: String,
    /// Such as `linux/amd64`.
    pub platform: String,
    /// The containerd image store is in use (image ids are manifest digests).
    pub containerd_store: bool,
    /// Its part in a Swarm, if it has one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub member: Option<Member>,
}

/// Whether an image on a host is the pinned one.
#[must_use]
pub fn confirms(pinned: &PinnedImage, image_id: &str, repo_digests: &[String]) -> bool {
    let suffix = format!("@{}", pinned.digest);
    repo_digests.iter().any(|known| known.ends_with(&suffix))
        || image_id == pinned.digest.as_str()
        || pinned
            .id
            .as_ref()
            .is_some_and(|id: &Digest| id.as_str() == image_id)
}

mod seconds {
    use std::time::Duration;

    use serde::{Deserialize, Deserializer, Serializer};

    pub(super) fn serialize<S: Serializer>(
        value: &Duration,
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        serializer.serialize_f64(value.as_secs_f64())
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<Duration, D::Error> {
        let seconds = f64::deserialize(deserializer)?;
        Duration::try_from_secs_f64(seconds).map_err(serde::de::Error::custom)
    }
}
