//! Who opens the connection: `via` and the kind of database decide.

use std::collections::BTreeMap;
use std::net::IpAddr;

use crate::model::container::Container;
use crate::model::fault::Fault;
use crate::model::host::HostAddress;
use crate::model::project::Via;
use crate::ports::{ContainerRunner, Cx, Dialect, Route};

use super::url::{ConnectionUrl, Place};

/// Where the session begins.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Way {
    /// On this machine.
    Direct,
    /// On this machine, by a connection of the host.
    Host(HostAddress),
    /// In a container on the host.
    Container(HostAddress),
}

/// # Errors
/// An SQLite file cannot be reached through a host.
pub(super) fn way(via: Via, url: &ConnectionUrl, host: &HostAddress) -> Result<Way, Fault> {
    let remote = || {
        if host.is_local() {
            Way::Direct
        } else {
            Way::Host(host.clone())
        }
    };
    match (via, &url.place) {
        (Via::Container, _) | (Via::Auto, Place::File(_)) => Ok(Way::Container(host.clone())),
        (Via::Direct, _) => Ok(Way::Direct),
        (Via::Host | Via::Auto, Place::Server(_)) => Ok(remote()),
        (Via::Host, Place::File(_)) => Err(Fault::config(format!(
            "`via: host` cannot open the SQLite file of `{}`",
            url.variable
        ))
        .hint("write `via: container`, or leave `via` out")),
    }
}

impl Way {
    pub(super) fn route(&self, dialect: Dialect) -> Route {
        let (words, needs_image) = match self {
            Way::Direct => ("directly".to_owned(), false),
            Way::Host(host) => (format!("through {host}"), false),
            Way::Container(host) if host.is_local() => ("in a container".to_owned(), true),
            Way::Container(host) => (format!("in a container on {host}"), true),
        };
        Route {
            dialect,
            words,
            needs_image,
        }
    }
}

/// The address of the running container that `name` means inside the
/// application's network: its own name, or its service's in a Compose project.
/// `None`: no container, so the name is one that the host resolves.
///
/// # Errors
/// The engine cannot be asked, the container does not run, or several containers answer to the name.
pub(super) async fn container_address(
    cx: &Cx,
    runner: &dyn ContainerRunner,
    host: &HostAddress,
    name: &str,
) -> Result<Option<String>, Fault> {
    let found = container(cx, runner, host, name).await?;
    Ok(found.and_then(|container| container.address))
}

/// The running container itself.
///
/// # Errors
/// As [`container_address`].
pub(super) async fn container(
    cx: &Cx,
    runner: &dyn ContainerRunner,
    host: &HostAddress,
    name: &str,
) -> Result<Option<Container>, Fault> {
    if name == "localhost" || name.contains('.') || name.parse::<IpAddr>().is_ok() {
        return Ok(None);
    }
    if let Some(container) = runner.inspect(cx, host, name).await? {
        if !container.running() {
            return Err(Fault::unreachable(format!(
                "the database's container `{name}` on {host} does not run"
            )));
        }
        return Ok(Some(container));
    }
    let service = BTreeMap::from([("com.docker.compose.service".to_owned(), name.to_owned())]);
    let mut running: Vec<_> = runner
        .list(cx, host, &service)
        .await?
        .into_iter()
        .filter(|container| container.running() && container.address.is_some())
        .collect();
    match running.as_slice() {
        [] => Ok(None),
        [_] => Ok(running.pop()),
        several => {
            let names: Vec<&str> = several.iter().map(|one| one.name.as_str()).collect();
            Err(Fault::config(format!(
                "the database's host name `{name}` means several containers on {host}"
            ))
            .because(names.join(", "))
            .hint("write the container's own name into the connection URL"))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::secret::Secret;

    fn words(via: Via, url: &str, host: &str) -> Result<String, Fault> {
        let url = ConnectionUrl::parse("DATABASE_URL", &Secret::new(url)).expect("a URL");
        let host = host.parse().expect("an address");
        way(via, &url, &host).map(|way| way.route(url.dialect()).words)
    }

    #[test]
    fn auto_goes_where_the_database_can_be_seen() {
        let (pg, file) = ("postgres://db/shop", "sqlite:///data/app.db");
        let auto = |url, host| words(Via::Auto, url, host).expect("a way");
        assert_eq!(auto(pg, "local"), "directly");
        assert_eq!(auto(pg, "deploy@10.0.0.4"), "through deploy@10.0.0.4");
        assert_eq!(auto(file, "local"), "in a container");
        assert_eq!(auto(file, "web1"), "in a container on web1");
    }

    #[test]
    fn what_is_asked_for_is_done_or_refused() {
        let file = "sqlite:///data/app.db";
        assert_eq!(words(Via::Direct, file, "web1").expect("a way"), "directly");
        assert!(words(Via::Host, file, "web1").is_err());
        assert_eq!(
            words(Via::Container, "mysql://db/x", "web1").expect("a way"),
            "in a container on web1"
        );
    }
}
