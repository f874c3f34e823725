//! The proxy's container on a host: started when it is first needed, replaced
//! when another is wanted. Imports `ports`, `model`.
//!
//! Invariant: while one serves, it goes on serving until its successor does.

use std::collections::BTreeMap;
use std::time::Duration;

use tokio::time::Instant;

use crate::model::container::{Container, label};
use crate::model::fault::{Fault, FaultKind};
use crate::model::host::HostAddress;
use crate::model::route::{Route, RouteLabel};
use crate::ports::{ContainerRunner, Cx, HostLink};

use super::base::FORMAT;
use super::files::sh;
use super::runtime::Silent;
use super::state::{Map, State, read};
use super::{rebuild, replace};

/// Of its container.
pub const NAME: &str = "stagecraft-proxy";
pub(super) const FOLDER: &str = "/run/stagecraft-proxy";

const LOOK_AGAIN: Duration = Duration::from_millis(50);
/// Of its log, in a fault.
const LAST_WORDS: usize = 20;
/// How long what another command has begun may take.
const SOON: Duration = Duration::from_secs(3);
/// What another command does at the same time may be in the way.
const ATTEMPTS: usize = 5;

/// A host, and the ways to it.
pub(super) struct Machine<'a> {
    pub(super) link: &'a dyn HostLink,
    pub(super) runner: &'a dyn ContainerRunner,
    pub(super) cx: &'a Cx,
    pub(super) host: &'a HostAddress,
}

/// Whether a proxy that runs is the one that a route wants.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Fit {
    Right,
    /// Older, or of another image; why.
    Replace(String),
}

impl Machine<'_> {
    /// The state of a proxy that runs and fits the route.
    pub(super) async fn running(&self, route: &Route) -> Result<State, Fault> {
        let mut attempt = 1;
        loop {
            let done = match read(self.link, self.host).await {
                Ok(state) => match self.fit(route, &state)? {
                    Fit::Right => return Ok(state),
                    Fit::Replace(why) => self.replace(route, &state, &why).await,
                },
                Err(silent) => self.revive(route, silent).await,
            };
            match done {
                Ok(Some(state)) => return Ok(state),
                Ok(None) if attempt < ATTEMPTS => {}
                Ok(None) => return Err(self.restless()),
                // Somebody else's container of that name came or went.
                Err(fault) if fault.kind == FaultKind::Failed && attempt < ATTEMPTS => {
                    if !self.stirred().await? {
                        return Err(fault);
                    }
                }
                Err(fault) => return Err(fault),
            }
            attempt += 1;
        }
    }

    fn fit(&self, route: &Route, state: &State) -> Result<Fit, Fault> {
        let about = |word: &str| state.value(Map::About, word).unwrap_or_default();
        let (host, wanted) = (self.host, route.proxy.http_port);
        if about("http") != wanted.to_string() {
            return Err(Fault::refused(format!(
                "the proxy on `{host}` answers on port {}, and `{}` wants {wanted}",
                about("http"),
                route.key
            ))
            .because("a host has one proxy for all projects")
            .hint(format!("write `http_port: {}` in `proxy`", about("http"))));
        }
        let secure = route.label(0).https.or(state.https());
        if secure != state.https() {
            return match state.https() {
                None => Ok(Fit::Replace(format!("`{}` wants TLS", route.key))),
                Some(port) => Err(Fault::refused(format!(
                    "the proxy on `{host}` takes TLS on port {port}, and `{}` wants {}",
                    route.key, route.proxy.https_port
                ))
                .because("a host has one proxy for all projects")
                .hint(format!("write `https_port: {port}` in `proxy`"))),
            };
        }
        let format: u32 = about("format").parse().unwrap_or_default();
        if format > FORMAT {
            return Err(Fault::refused(format!(
                "the proxy on `{host}` was started by a newer stagecraft"
            ))
            .hint("use that version, or a later one"));
        }
        if format < FORMAT || state.older {
            return Ok(Fit::Replace(
                "it was started by an older stagecraft".to_owned(),
            ));
        }
        if about("image") != route.proxy.image {
            return Ok(Fit::Replace(format!(
                "it runs `{}`, and `{}` is wanted",
                about("image"),
                route.proxy.image
            )));
        }
        Ok(Fit::Right)
    }

    /// Nobody answers: starts it, waits for it, or says why not. `None`: look
    /// again.
    async fn revive(&self, route: &Route, silent: Silent) -> Result<Option<State>, Fault> {
        let found = self.runner.inspect(self.cx, self.host, NAME).await?;
        match found {
            Some(found) if found.running() => self.awaken(&found, silent).await,
            Some(_) => self.started(route).await.map(Some),
            None if self.relink().await? => Ok(None),
            None => self.started(route).await.map(Some),
        }
    }

    async fn started(&self, route: &Route) -> Result<State, Fault> {
        // Others may want TLS where this one does not.
        let any = BTreeMap::new();
        let all = self.runner.list(self.cx, self.host, &any).await?;
        let https = all
            .iter()
            .filter_map(RouteLabel::of)
            .find_map(|label| label.https);
        let container = self.start(route, https).await?;
        let state = self.answering(&container).await?;
        self.cx.on_host(self.host).step("started the proxy");
        rebuild::rebuild(self, &state).await
    }

    /// It runs and does not answer: it may have begun a moment ago.
    async fn awaken(&self, found: &Container, silent: Silent) -> Result<Option<State>, Fault> {
        if self.answers_soon().await? {
            return Ok(None);
        }
        // Somebody may have cleared the folder up.
        if self.link_to(found).await.is_ok() && self.answers_soon().await? {
            return Ok(None);
        }
        let last = self.last_words(&found.id).await;
        Err(silent
            .fault(self.host)
            .showing(format!("last lines from {NAME} on {}", self.host), last)
            .hint(format!(
                "start it again, on `{}`: `docker restart {NAME}`",
                self.host
            )))
    }

    async fn answers_soon(&self) -> Result<bool, Fault> {
        let deadline = Instant::now() + SOON;
        while Instant::now() < deadline {
            if read(self.link, self.host).await.is_ok() {
                return Ok(true);
            }
            self.pause().await?;
        }
        Ok(false)
    }

    /// A replacement that was cut off has left the old one without the link
    /// to its socket and without its name: both are given back.
    async fn relink(&self) -> Result<bool, Fault> {
        let old = self.proxies().await?.into_iter().find(Container::running);
        let Some(old) = old else {
            return Ok(false);
        };
        // Or it goes on: then the new one comes in a moment.
        let deadline = Instant::now() + SOON;
        while Instant::now() < deadline {
            if self.stirred().await? {
                return Ok(true);
            }
        }
        self.link_to(&old).await?;
        self.runner
            .rename(self.cx, self.host, &old.id, NAME)
            .await?;
        Ok(true)
    }

    /// The links by which its sockets are found.
    async fn link_to(&self, proxy: &Container) -> Result<(), Fault> {
        let version = proxy.label(label::PROXY).unwrap_or_default();
        let script = format!(
            "cd {FOLDER} && ln -sfn {version}.sock admin.sock &&
             ln -sfn {version}.tls.sock tls.sock && ln -sfn {version}.sock edge/http.sock"
        );
        let words = vec!["sh", "-c", script.as_str()];
        let what = "reach the proxy that runs";
        sh(self.runner, self.cx, self.host, &proxy.id, words, what).await
    }

    /// All containers of proxies, running or not.
    pub(super) async fn proxies(&self) -> Result<Vec<Container>, Fault> {
        let any = BTreeMap::new();
        let all = self.runner.list(self.cx, self.host, &any).await?;
        Ok(all
            .into_iter()
            .filter(|container| container.label(label::PROXY).is_some())
            .collect())
    }

    pub(super) async fn last_words(&self, name: &str) -> Vec<String> {
        let logs = self.runner.logs(self.cx, self.host, name, LAST_WORDS).await;
        logs.unwrap_or_default()
    }

    /// HAProxy does not announce that it is ready.
    pub(super) async fn pause(&self) -> Result<(), Fault> {
        self.cx
            .or_interrupted(async {
                tokio::time::sleep(LOOK_AGAIN).await;
                Ok(())
            })
            .await
    }

    async fn replace(
        &self,
        route: &Route,
        state: &State,
        why: &str,
    ) -> Result<Option<State>, Fault> {
        replace::replace(self, route, state, why).await.map(Some)
    }

    /// Whether there is a proxy all the same: somebody else's.
    async fn stirred(&self) -> Result<bool, Fault> {
        let found = self.runner.inspect(self.cx, self.host, NAME).await?;
        self.pause().await?;
        Ok(found.is_some())
    }

    fn restless(&self) -> Fault {
        Fault::failed(format!("the proxy on `{}` comes and goes", self.host))
            .because("somebody else starts or removes it at the same time")
            .hint("deploy again: `stagecraft deploy`")
    }
}
