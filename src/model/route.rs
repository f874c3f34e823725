//! Traffic: which requests belong to an environment, and which containers
//! answer them on a host.

use serde::{Deserialize, Serialize};

use super::project::Proxy;

/// What the proxy of a host knows an environment by.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Route {
    /// `<project>-<environment>`: one a host.
    pub key: String,
    /// Names, path, certificate, ports and images.
    pub proxy: Proxy,
}

/// One replica behind the proxy of its host.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Server {
    /// The container's name.
    pub name: String,
    /// On the host's loopback.
    pub port: u16,
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
