//! Where this machine's Docker engine listens, by the rules of Docker's own
//! client: `DOCKER_HOST`, `DOCKER_CONTEXT`, the current context, the usual
//! socket. Imports `model`.

use std::path::{Path, PathBuf};

use serde::Deserialize;
use sha2::{Digest, Sha256};

use crate::model::fault::Fault;

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Endpoint {
    Unix(PathBuf),
    Tcp(String, u16),
}

/// What the process environment says.
#[derive(Debug, Default)]
pub(super) struct Surroundings {
    pub(super) docker_host: Option<String>,
    pub(super) docker_context: Option<String>,
    /// `~/.docker`, or what `DOCKER_CONFIG` says.
    pub(super) config: Option<PathBuf>,
    pub(super) home: Option<PathBuf>,
}

impl Surroundings {
    pub(super) fn of_this_process() -> Self {
        let text = |name| std::env::var(name).ok().filter(|value| !value.is_empty());
        let home = std::env::home_dir();
        Self {
            docker_host: text("DOCKER_HOST"),
            docker_context: text("DOCKER_CONTEXT"),
            config: text("DOCKER_CONFIG")
                .map(PathBuf::from)
                .or_else(|| home.as_ref().map(|home| home.join(".docker"))),
            home,
        }
    }

    pub(super) fn endpoint(&self) -> Result<Endpoint, Fault> {
        if let Some(host) = &self.docker_host {
            return parse(host, "`DOCKER_HOST`");
        }
        match self.context() {
            Some(name) => {
                let source = context_source(&name);
                parse(&self.context_host(&name, &source)?, &source)
            }
            None => Ok(Endpoint::Unix(self.usual_socket())),
        }
    }

    /// Who named the endpoint, and how to go back to the usual one. `None`:
    /// nobody did.
    pub(super) fn named_by(&self) -> Option<(String, &'static str)> {
        if self.docker_host.is_some() {
            return Some(("`DOCKER_HOST`".to_owned(), "`unset DOCKER_HOST`"));
        }
        let way_back = match self.docker_context {
            Some(_) => "`unset DOCKER_CONTEXT`",
            None => "`docker context use default`",
        };
        Some((context_source(&self.context()?), way_back))
    }

    /// The context in use, unless it is the built-in one.
    fn context(&self) -> Option<String> {
        #[derive(Deserialize)]
        struct Config {
            #[serde(rename = "currentContext")]
            current: Option<String>,
        }
        let configured = || {
            let text = std::fs::read_to_string(self.config.as_ref()?.join("config.json")).ok()?;
            serde_json::from_str::<Config>(&text).ok()?.current
        };
        self.docker_context
            .clone()
            .or_else(configured)
            .filter(|name| !name.is_empty() && name != "default")
    }

    fn context_host(&self, name: &str, source: &str) -> Result<String, Fault> {
        #[derive(Deserialize)]
        struct Meta {
            #[serde(rename = "Endpoints")]
            endpoints: std::collections::HashMap<String, Host>,
        }
        #[derive(Deserialize)]
        struct Host {
            #[serde(rename = "Host")]
            host: String,
        }
        let unusable = || {
            unreachable_here()
                .hint("see the contexts with `docker context ls`, choose one with `docker context use NAME`")
        };
        let folder: String = Sha256::digest(name.as_bytes())
            .iter()
            .map(|byte| format!("{byte:02x}"))
            .collect();
        let path = self
            .config
            .clone()
            .unwrap_or_default()
            .join("contexts/meta")
            .join(folder)
            .join("meta.json");
        let text = std::fs::read_to_string(&path).map_err(|error| {
            unusable()
                .because(format!("{source} cannot be read from `{}`", path.display()))
                .caused_by(&error)
        })?;
        let meta: Meta = serde_json::from_str(&text).map_err(|error| {
            unusable()
                .because(format!("`{}` is damaged", path.display()))
                .caused_by(&error)
        })?;
        let docker = meta
            .endpoints
            .get("docker")
            .map(|docker| docker.host.clone());
        docker.ok_or_else(|| unusable().because(format!("{source} names no Docker engine")))
    }

    /// Docker Desktop may offer its socket in the home folder only.
    fn usual_socket(&self) -> PathBuf {
        let usual = Path::new("/var/run/docker.sock");
        let desktop = self
            .home
            .as_ref()
            .map(|home| home.join(".docker/run/docker.sock"));
        match desktop {
            Some(desktop) if !usual.exists() && desktop.exists() => desktop,
            _ => usual.to_owned(),
        }
    }
}

fn context_source(name: &str) -> String {
    format!("the Docker context `{name}`")
}

pub(super) fn unreachable_here() -> Fault {
    Fault::unreachable("cannot reach the Docker engine on this machine")
}

fn parse(url: &str, source: &str) -> Result<Endpoint, Fault> {
    let not_usable =
        |why: &str| unreachable_here().because(format!("{source} is `{url}`, and {why}"));
    if let Some(path) = url.strip_prefix("unix://") {
        return Ok(Endpoint::Unix(PathBuf::from(path)));
    }
    if let Some(address) = url.strip_prefix("ssh://") {
        return Err(
            not_usable("`local` means an engine that is reached without SSH").hint(format!(
                "write `address: {address}` instead of `local` in the configuration, or `unset DOCKER_HOST`"
            )),
        );
    }
    let tcp = url
        .strip_prefix("tcp://")
        .or_else(|| url.strip_prefix("http://"));
    let Some(tcp) = tcp else {
        return Err(not_usable("Stagecraft knows `unix://` and `tcp://` only")
            .hint("`unset DOCKER_HOST`, or `docker context use default`"));
    };
    let parsed = url::Url::parse(&format!("http://{tcp}"))
        .ok()
        .and_then(|url| {
            let host = url.host_str()?.trim_matches(['[', ']']).to_owned();
            Some((host, url.port().unwrap_or(2375)))
        });
    match parsed {
        Some((_, 2376)) => Err(not_usable("its port speaks TLS, which Stagecraft does not")
            .hint("reach that engine over SSH: write `address: user@host` in the configuration")),
        Some((host, port)) => Ok(Endpoint::Tcp(host, port)),
        None => {
            Err(not_usable("that is not `tcp://HOST:PORT`").hint("mend it, or `unset DOCKER_HOST`"))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn docker_host_wins_and_a_remote_one_is_refused_with_the_address_to_write() {
        let with = |host: &str| Surroundings {
            docker_host: Some(host.to_owned()),
            docker_context: Some("nonsense".to_owned()),
            ..Surroundings::default()
        };
        assert_eq!(
            with("unix:///run/user/1000/docker.sock").endpoint(),
            Ok(Endpoint::Unix("/run/user/1000/docker.sock".into()))
        );
        assert_eq!(
            with("tcp://[::1]:2375").endpoint(),
            Ok(Endpoint::Tcp("::1".to_owned(), 2375))
        );
        let refused = with("ssh://deploy@web1").endpoint().expect_err("refused");
        assert!(refused.hints[0].contains("`address: deploy@web1`"));
        assert!(with("npipe:////./pipe/docker").endpoint().is_err());
    }

    #[test]
    fn the_current_context_is_followed_to_its_socket() {
        let config = tempfile::tempdir().expect("a folder");
        let name: String = Sha256::digest(b"rootless")
            .iter()
            .map(|byte| format!("{byte:02x}"))
            .collect();
        let meta = config.path().join("contexts/meta").join(name);
        std::fs::create_dir_all(&meta).expect("a folder");
        std::fs::write(
            meta.join("meta.json"),
            r#"{"Name":"rootless","Metadata":{},"Endpoints":{"docker":{"Host":"unix:///run/x.sock","SkipTLSVerify":false}}}"#,
        )
        .expect("a file");
        std::fs::write(
            config.path().join("config.json"),
            r#"{"auths":{},"currentContext":"rootless"}"#,
        )
        .expect("a file");
        let mut here = Surroundings {
            config: Some(config.path().to_owned()),
            ..Surroundings::default()
        };
        assert_eq!(here.endpoint(), Ok(Endpoint::Unix("/run/x.sock".into())));
        here.docker_context = Some("gone".to_owned());
        let fault = here.endpoint().expect_err("no such context");
        assert!(fault.to_string().contains("the Docker context `gone`"));
        here.docker_context = Some("default".to_owned());
        assert_eq!(
            here.endpoint(),
            Ok(Endpoint::Unix("/var/run/docker.sock".into()))
        );
    }
}
