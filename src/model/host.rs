//! A machine with Docker: `local`, or reached over SSH.

use std::collections::BTreeSet;
use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use super::names::RoleName;

/// Where a host is, as the configuration writes it: `local`, `web1`,
/// `deploy@10.0.0.10`, `deploy@10.0.0.10:2222`, `[fe80::1]:22`. It is the
/// host's identity in plans, records and output.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct HostAddress(String);

/// The parts of an address that is reached over SSH. What is absent is left
/// to the user's own SSH configuration.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SshTarget {
    pub user: Option<String>,
    pub host: String,
    pub port: Option<u16>,
}

impl SshTarget {
    /// What a person types to log in there.
    #[must_use]
    pub fn by_hand(&self) -> String {
        let port = self.port.map(|port| format!("-p {port} "));
        let user = self.user.as_ref().map(|user| format!("{user}@"));
        let (port, user) = (port.unwrap_or_default(), user.unwrap_or_default());
        format!("ssh {port}{user}{}", self.host)
    }
}

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is not a host address: write `local`, `host`, `user@host` or `user@host:port`")]
pub struct NotAnAddress(pub String);

impl HostAddress {
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    #[must_use]
    pub fn is_local(&self) -> bool {
        self.0 == "local"
    }

    /// What a person types here to run a command on this host. The command's
    /// own words must need no quoting.
    #[must_use]
    pub fn command(&self, command: &str) -> String {
        match self.ssh_target() {
            None => command.to_owned(),
            Some(target) => format!("{} {command}", target.by_hand()),
        }
    }

    /// `None` for `local`.
    #[must_use]
    pub fn ssh_target(&self) -> Option<SshTarget> {
        if self.is_local() {
            None
        } else {
            parse(&self.0)
        }
    }
}

fn parse(text: &str) -> Option<SshTarget> {
    let (user, rest) = match text.rsplit_once('@') {
        Some((user, rest)) => (Some(user.to_owned()), rest),
        None => (None, text),
    };
    let (host, port) = if let Some(inner) = rest.strip_prefix('[') {
        let (host, tail) = inner.split_once(']')?;
        match tail.strip_prefix(':') {
            Some(port) => (host, Some(port.parse().ok()?)),
            None if tail.is_empty() => (host, None),
            None => return None,
        }
    } else if rest.matches(':').count() == 1 {
        let (host, port) = rest.split_once(':')?;
        (host, Some(port.parse().ok()?))
    } else {
        (rest, None)
    };
    let clean = |text: &str| {
        !text.is_empty()
            && !text.starts_with('-')
            && !text.contains(|c: char| {
                c.is_whitespace() || c.is_control() || "/'\"`$;&|<>".contains(c)
            })
    };
    if !clean(host) || user.as_deref().is_some_and(|user| !clean(user)) {
        return None;
    }
    Some(SshTarget {
        user,
        host: host.to_owned(),
        port,
    })
}

impl FromStr for HostAddress {
    type Err = NotAnAddress;
    fn from_str(text: &str) -> Result<Self, NotAnAddress> {
        if text == "local" || parse(text).is_some() {
            Ok(Self(text.to_owned()))
        } else {
            Err(NotAnAddress(text.to_owned()))
        }
    }
}

impl TryFrom<String> for HostAddress {
    type Error = NotAnAddress;
    fn try_from(text: String) -> Result<Self, NotAnAddress> {
        text.parse()
    }
}

impl From<HostAddress> for String {
    fn from(address: HostAddress) -> String {
        address.0
    }
}

impl fmt::Display for HostAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// A host of an environment and what runs on it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Host {
    pub address: HostAddress,
    /// The roles whose containers run here; never contains `primary`.
    pub roles: Vec<RoleName>,
    /// Runs the one-off jobs of the environment.
    pub primary: bool,
}

/// Ports of a host that somebody has.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct TakenPorts {
    /// Containers keep them for when they are started again.
    pub reserved: BTreeSet<u16>,
    /// Published by a container that runs, or another program listens there.
    pub busy: BTreeSet<u16>,
}

impl TakenPorts {
    #[must_use]
    pub fn all(&self) -> BTreeSet<u16> {
        &self.reserved | &self.busy
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_keeps_its_parts_apart() {
        let target = |text: &str| {
            text.parse::<HostAddress>()
                .ok()
                .and_then(|a| a.ssh_target())
        };
        let full = target("deploy@10.0.0.10:2222").expect("an address");
        assert_eq!(
            (full.user.as_deref(), full.host.as_str(), full.port),
            (Some("deploy"), "10.0.0.10", Some(2222))
        );
        let v6 = target("[fe80::1]:22").expect("an address");
        assert_eq!((v6.host.as_str(), v6.port), ("fe80::1", Some(22)));
        assert_eq!(target("local"), None);
    }

    #[test]
    fn a_command_for_a_person_goes_to_the_host_it_is_meant_for() {
        let typed = |text: &str| {
            let address: HostAddress = text.parse().expect("an address");
            address.command("docker ps")
        };
        assert_eq!(typed("local"), "docker ps");
        assert_eq!(typed("web1"), "ssh web1 docker ps");
        assert_eq!(
            typed("deploy@10.0.0.10:2222"),
            "ssh -p 2222 deploy@10.0.0.10 docker ps"
        );
        assert_eq!(typed("[fe80::1]"), "ssh fe80::1 docker ps");
    }

    #[test]
    fn what_ssh_would_read_as_an_option_or_a_shell_as_code_is_no_address() {
        for bad in [
            "-oProxyCommand=x",
            "a b",
            "a;b",
            "",
            "u@-x",
            "h:port",
            "$(x)",
        ] {
            assert!(bad.parse::<HostAddress>().is_err(), "{bad}");
        }
    }
}
