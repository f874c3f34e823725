//! Traffic: which requests belong to an environment, and which containers
//! answer them on a host.

use serde::{Deserialize, Serialize};

use super::container::{Container, label};
use super::project::{Proxy, Tls};

/// What the proxy of a host knows an environment by.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Route {
    /// `<project>-<environment>`: one a host.
    pub key: String,
    /// Names, path, certificate, ports and images.
    pub proxy: Proxy,
}

/// A route as its containers' labels keep it: what the proxy must know when
/// its own files are lost.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RouteLabel {
    pub key: String,
    /// None: every name.
    pub hosts: Vec<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub path_prefix: Option<String>,
    pub tls: Certificate,
}

/// Where a route's certificate comes from, if it has one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Certificate {
    Off,
    /// Asked for, by the edge.
    Auto,
    /// Signed by the host's own authority.
    Internal,
    /// The user's own.
    Files,
}

impl Route {
    /// The value of [`label::ROUTE`].
    #[must_use]
    pub fn label(&self) -> String {
        // Plain data: this cannot fail.
        serde_json::to_string(&self.known()).unwrap_or_default()
    }

    #[must_use]
    pub fn known(&self) -> RouteLabel {
        RouteLabel {
            key: self.key.clone(),
            hosts: self.proxy.hosts.clone(),
            path_prefix: self.proxy.path_prefix.clone(),
            tls: match self.proxy.tls {
                Tls::Off => Certificate::Off,
                Tls::Auto => Certificate::Auto,
                Tls::Internal => Certificate::Internal,
                Tls::Files { .. } => Certificate::Files,
            },
        }
    }
}

impl RouteLabel {
    /// The route of a container; `None` when it has none, or one that cannot
    /// be read.
    #[must_use]
    pub fn of(container: &Container) -> Option<Self> {
        serde_json::from_str(container.label(label::ROUTE)?).ok()
    }
}

/// One replica behind the proxy of its host.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Server {
    /// The container's name.
    pub name: String,
    /// On the host's loopback.
    pub port: u16,
}

impl Server {
    /// The server that a container is, by its labels.
    #[must_use]
    pub fn of(container: &Container) -> Option<Self> {
        Some(Self {
            name: container.name.clone(),
            port: container.label(label::SERVER_PORT)?.parse().ok()?,
        })
    }
}

/// How an environment stands at the proxy of one host.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Traffic {
    /// Who gets the requests now; in the order of their names.
    pub serving: Vec<Server>,
    /// Who would get them after a restart of the proxy.
    pub at_boot: Vec<Server>,
    /// Requests are answered by the maintenance page.
    pub maintenance: bool,
}
