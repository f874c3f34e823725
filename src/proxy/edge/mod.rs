//! The TLS edge: Caddy before HAProxy, for certificates that are asked for.
//! Imports `ports`, `model`.
//!
//! ```text
//!         ┌ tls.map: files ────▶ HAProxy's own frontend ──────────┐
//! TCP 443 ┤                                                       ├▶ rules ▶ pair
//!         └ auto, internal ───▶ Caddy ─▶ edge/http.sock ─ HAProxy ┘
//! UDP 443 ────── HTTP/3 ──────▶ Caddy (auto)
//! ```
//!
//! HAProxy keeps the port and hands connections over still encrypted, with the
//! client's address; so routes of both kinds live on one host, and a switch is
//! HAProxy's alone. All between them are sockets in a folder that only they
//! enter. Caddy asks HAProxy's plain port whether a name is to have a
//! certificate ([`base`]), gets it at the first visit and renews it by itself.
//!
//! Invariant: while one serves, it goes on until its successor listens.

use std::time::Duration;

use indexmap::IndexMap;
use tokio::time::Instant;

use crate::model::container::{Container, ContainerSpec, ContainerState, Mount, StopPolicy, label};
use crate::model::fault::Fault;
use crate::model::route::{Acme, Certificate, Route};
use crate::model::secret::Secret;

use super::files::sh;
use super::machine::{FOLDER, Machine, NAME};

mod base;

use base::{EdgeBase, Kind};

/// From its start until it listens.
const STARTS: Duration = Duration::from_secs(30);

/// Makes the edge run that the route needs, if it needs one. `acme`: what the
/// user says; where he says nothing, what the edge that runs was told.
pub(super) async fn running(
    machine: &Machine<'_>,
    route: &Route,
    acme: &Acme,
) -> Result<(), Fault> {
    let kind = match route.label(0).tls {
        Certificate::Off | Certificate::Files => return Ok(()),
        Certificate::Auto => Kind::Auto,
        Certificate::Internal => Kind::Internal,
    };
    Edge { machine, kind }.running(route, acme).await
}

struct Edge<'a> {
    machine: &'a Machine<'a>,
    kind: Kind,
}

impl Edge<'_> {
    async fn running(&self, route: &Route, acme: &Acme) -> Result<(), Fault> {
        let Machine {
            runner, cx, host, ..
        } = *self.machine;
        let name = self.kind.name();
        let found = runner.inspect(cx, host, name).await?;
        let base = EdgeBase {
            kind: self.kind,
            image: route.proxy.edge_image.clone(),
            http_port: route.proxy.http_port,
            https_port: route.proxy.https_port,
            acme: match (self.kind, acme.is_given()) {
                (Kind::Internal, _) => Acme::default(),
                (Kind::Auto, true) => acme.clone(),
                (Kind::Auto, false) => found.as_ref().and_then(told).unwrap_or_default(),
            },
        };
        let version = base.version();
        let Some(found) = found else {
            return self.begun(&base).await;
        };
        let right = found.label(label::EDGE) == Some(version.as_str());
        match (found.running(), right) {
            (true, true) => self.listening(&found, &version).await,
            (true, false) => self.replaced(&found, &base).await,
            (false, _) => {
                runner.remove(cx, host, &found.id).await?;
                self.begun(&base).await
            }
        }
    }

    async fn begun(&self, base: &EdgeBase) -> Result<(), Fault> {
        self.started(base).await?;
        let Machine { cx, host, .. } = *self.machine;
        cx.on_host(host).step("started the TLS edge");
        Ok(())
    }

    async fn replaced(&self, old: &Container, base: &EdgeBase) -> Result<(), Fault> {
        let Machine {
            runner, cx, host, ..
        } = *self.machine;
        let name = self.kind.name();
        for other in self.left_behind().await? {
            runner.remove(cx, host, &other.id).await?;
        }
        // An image that cannot be had changes nothing.
        runner.resolve_image(cx, host, &base.image).await?;
        let aside = format!("{name}-old-{}", &old.id[..old.id.len().min(12)]);
        runner.rename(cx, host, &old.id, &aside).await?;
        match self.started(base).await {
            Ok(()) => {
                runner.let_go(cx, host, &old.id, "SIGTERM").await?;
                cx.on_host(host).step("replaced the TLS edge");
                Ok(())
            }
            Err(fault) => {
                runner
                    .rename(&cx.uncancellable(), host, &old.id, name)
                    .await?;
                Err(fault)
            }
        }
    }

    /// Predecessors that have ended.
    async fn left_behind(&self) -> Result<Vec<Container>, Fault> {
        let Machine {
            runner, cx, host, ..
        } = *self.machine;
        let all = runner.list(cx, host, &Default::default()).await?;
        let prefix = format!("{}-old-", self.kind.name());
        Ok(all
            .into_iter()
            .filter(|container| container.label(label::EDGE).is_some())
            .filter(|container| container.name.starts_with(&prefix) && !container.running())
            .collect())
    }

    async fn started(&self, base: &EdgeBase) -> Result<(), Fault> {
        let Machine {
            runner, cx, host, ..
        } = *self.machine;
        let name = self.kind.name();
        let image = runner.resolve_image(cx, host, &base.image).await?;
        let version = base.version();
        let mount = |source: String, target: &str| Mount {
            source,
            target: target.to_owned(),
            read_only: false,
        };
        let spec = ContainerSpec {
            name: name.to_owned(),
            image,
            entrypoint: Some(vec!["sh".to_owned(), "-c".to_owned()]),
            command: Some(vec![base.script()]),
            env: IndexMap::from_iter([
                ("XDG_DATA_HOME".to_owned(), Secret::new("/data")),
                ("XDG_CONFIG_HOME".to_owned(), Secret::new("/config")),
            ]),
            labels: [
                (label::EDGE.to_owned(), version.clone()),
                (label::ACME.to_owned(), base.acme.to_string()),
            ]
            .into(),
            mounts: vec![
                mount(format!("{name}-data"), "/data"),
                mount(format!("{name}-config"), "/config"),
            ],
            made_folders: vec![mount(format!("{FOLDER}/edge"), "/run/stagecraft-edge")],
            user: Some("0".to_owned()),
            network: "host".to_owned(),
            aliases: vec![],
            ports: vec![],
            stop: StopPolicy {
                signal: "SIGTERM".to_owned(),
                timeout: Duration::from_secs(30),
            },
            restart: true,
        };
        let container = self.machine.made(&spec).await?;
        let listens = self.listening(&container, &version).await;
        if listens.is_err() {
            // The failure that is being told comes first.
            let _ = runner.remove(cx, host, &container.id).await;
        }
        listens
    }

    /// Waits until HAProxy reaches that very version.
    async fn listening(&self, container: &Container, version: &str) -> Result<(), Fault> {
        let Machine {
            runner, cx, host, ..
        } = *self.machine;
        let word = self.kind.word();
        let script = format!(
            r#"[ "$(readlink {FOLDER}/edge/{word}.sock)" = {word}.{version}.sock ] && [ -S {FOLDER}/edge/{word}.sock ]"#
        );
        let deadline = Instant::now() + STARTS;
        let why = loop {
            let words = vec!["sh", "-c", script.as_str()];
            if sh(runner, cx, host, NAME, words, "reach the TLS edge")
                .await
                .is_ok()
            {
                return Ok(());
            }
            match runner.inspect(cx, host, &container.id).await? {
                None => break "its container was removed".to_owned(),
                Some(found) if found.state != ContainerState::Running || found.restarts > 0 => {
                    break format!(
                        "it ends at once, with exit code {}",
                        found.exit_code.unwrap_or(1)
                    );
                }
                Some(_) if Instant::now() >= deadline => {
                    break format!("it does not listen after {} seconds", STARTS.as_secs());
                }
                Some(_) => self.machine.pause().await?,
            }
        };
        let name = self.kind.name();
        let last = self.machine.last_words(&container.id).await;
        Err(
            Fault::failed(format!("the TLS edge does not start on `{host}`"))
                .because(why)
                .showing(format!("last lines from {name} on {host}"), last),
        )
    }
}

/// What an edge was made with.
fn told(container: &Container) -> Option<Acme> {
    serde_json::from_str(container.label(label::ACME)?).ok()
}
