//! Traffic: which requests belong to an environment, and which containers
//! answer them on a host.

use std::fmt;

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
    /// The host's port for it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub https: Option<u16>,
    /// Where the container listens.
    pub port: u16,
    /// Bytes of a body.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub limit: Option<u64>,
    /// Milliseconds for an answer.
    pub timeout: u64,
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

/// Where certificates are asked for, if not where Caddy asks by itself. What
/// is empty was not said.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Acme {
    /// The server's directory, a URL.
    pub directory: String,
    /// Certificates that the server itself is trusted by, as PEM.
    pub authority: String,
    /// Whom the server may write to.
    pub email: String,
}

impl Acme {
    /// Whether anything was said.
    #[must_use]
    pub fn is_given(&self) -> bool {
        *self != Self::default()
    }
}

/// The value of [`label::ACME`].
impl fmt::Display for Acme {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let json = serde_json::to_string(self).map_err(|_| fmt::Error)?;
        f.write_str(&json)
    }
}

impl Route {
    /// What the label of a container says that listens on `port`.
    #[must_use]
    pub fn label(&self, port: u16) -> RouteLabel {
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
            https: match self.proxy.tls {
                Tls::Off => None,
                Tls::Auto | Tls::Internal | Tls::Files { .. } => Some(self.proxy.https_port),
            },
            port,
            limit: self.proxy.max_request_body,
            timeout: u64::try_from(self.proxy.response_timeout.as_millis()).unwrap_or(u64::MAX),
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

    /// The server that its container is.
    #[must_use]
    pub fn server(&self, container: &Container) -> Option<Server> {
        Some(Server {
            name: container.name.clone(),
            port: container.host_port(self.port)?,
        })
    }
}

/// The value of [`label::ROUTE`].
impl fmt::Display for RouteLabel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let json = serde_json::to_string(self).map_err(|_| fmt::Error)?;
        f.write_str(&json)
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_label_is_short_and_tells_the_whole_route() {
        let route = RouteLabel {
            key: "shop-prod".into(),
            hosts: vec!["shop.example.com".into()],
            path_prefix: None,
            tls: Certificate::Auto,
            https: Some(443),
            port: 3000,
            limit: None,
            timeout: 60_000,
        };
        let text = r#"{"key":"shop-prod","hosts":["shop.example.com"],"tls":"auto","https":443,"port":3000,"timeout":60000}"#;
        assert_eq!(route.to_string(), text);
        assert_eq!(serde_json::from_str::<RouteLabel>(text).unwrap(), route);
    }
}
