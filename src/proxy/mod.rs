//! The proxy on each host: HAProxy in one container, `stagecraft-proxy`, for
//! all projects. Imports `ports`, `model`.
//!
//! Its configuration is the same for every environment and never changes while
//! it runs ([`base`]); nothing here reloads it. It holds pairs of empty
//! backends, and maps:
//!
//! ```text
//! Host + path ─names─▶ pair ─live─▶ e07_blue | e07_green ─▶ 127.0.0.1:200xx
//! ```
//!
//! An environment takes a pair when it is first seen ([`claim`]). To switch is
//! to fill the backend that serves nobody and to change one entry of `live`
//! ([`traffic`]). Everything is said over the runtime socket in
//! `/run/stagecraft-proxy` through the host's connection ([`runtime`]); it
//! belongs to the group that may use Docker, and is no TCP port.
//!
//! What a restart reads are files in the volume `stagecraft-proxy`, one an
//! environment, written by `keep` alone ([`files`]); the container's script
//! turns them into maps and servers. When they are lost, the labels of the
//! containers that run tell the same ([`rebuild`]):
//!
//! `stagecraft.route` is a [`RouteLabel`], and the published loopback port of
//! the port it names is where the proxy sends to.
//!
//! TLS with a certificate of one's own ends here too ([`certificate`]), that
//! with one that is asked for in Caddy ([`edge`]); [`secure`] knows which name
//! has which. The first environment that wants TLS makes the proxy take
//! `https_port`. Names are
//! added when a route is ensured and taken away only when it is
//! kept: until the fleet is confirmed, the old release answers under its own.

use std::sync::Arc;

use async_trait::async_trait;

use crate::model::container::ContainerState;
use crate::model::fault::Fault;
use crate::model::host::HostAddress;
use crate::model::route::{Acme, Route, RouteLabel, Server, Traffic};
use crate::ports::{ContainerRunner, Cx, Fetch, HostLink, Maintenance, Proxy};

mod base;
mod catch_up;
mod certificate;
mod claim;
mod confirm;
mod edge;
mod files;
mod forget;
mod machine;
mod names;
mod open;
mod rebuild;
mod replace;
mod runtime;
mod secure;
mod start;
mod state;
mod traffic;

use files::{RouteFile, names_of, write};
pub use machine::NAME;

use machine::Machine;
use runtime::Command;
use state::{Map, State, list, read};
use traffic::obey;

/// The proxies of all hosts. `acme`: of those that are to ask for certificates.
#[must_use]
pub fn proxies(
    link: Arc<dyn HostLink>,
    runner: Arc<dyn ContainerRunner>,
    fetch: Arc<dyn Fetch>,
    acme: Acme,
) -> Arc<dyn Proxy> {
    Arc::new(HaProxy {
        link,
        runner,
        fetch,
        acme,
    })
}

struct HaProxy {
    link: Arc<dyn HostLink>,
    runner: Arc<dyn ContainerRunner>,
    fetch: Arc<dyn Fetch>,
    acme: Acme,
}

impl HaProxy {
    async fn state(&self, host: &HostAddress) -> Result<State, Fault> {
        read(&*self.link, host)
            .await
            .map_err(|silent| silent.fault(host))
    }

    /// What the proxy knows, and the pair of the route.
    async fn found(&self, host: &HostAddress, route: &Route) -> Result<(State, String), Fault> {
        let state = self.state(host).await?;
        let pair = state.known_pair(host, &route.key)?.to_owned();
        Ok((state, pair))
    }

    fn machine<'a>(&'a self, cx: &'a Cx, host: &'a HostAddress) -> Machine<'a> {
        Machine {
            link: &*self.link,
            runner: &*self.runner,
            cx,
            host,
        }
    }

    /// Writes the file of a pair as it stands.
    async fn write(&self, cx: &Cx, host: &HostAddress, file: RouteFile) -> Result<(), Fault> {
        write(&*self.runner, cx, host, NAME, "/data/routes", &[file]).await
    }
}

#[async_trait]
impl Proxy for HaProxy {
    async fn look(
        &self,
        cx: &Cx,
        host: &HostAddress,
        route: &Route,
    ) -> Result<Option<Traffic>, Fault> {
        let work = async {
            let silent = match read(&*self.link, host).await {
                Ok(state) => return Ok(state.pair(&route.key).map(|pair| state.traffic(pair))),
                Err(silent) => silent,
            };
            match self.runner.inspect(cx, host, NAME).await? {
                Some(found) => match found.state {
                    ContainerState::Created | ContainerState::Exited => Ok(None),
                    ContainerState::Running
                    | ContainerState::Restarting
                    | ContainerState::Other => Err(silent.fault(host)),
                },
                None => Ok(None),
            }
        };
        cx.or_interrupted(work).await
    }

    async fn ensure(
        &self,
        cx: &Cx,
        host: &HostAddress,
        route: &Route,
        serving: &[Server],
    ) -> Result<(), Fault> {
        let link = &*self.link;
        let machine = self.machine(cx, host);
        let state = machine.running(route).await?;
        let known = known(route);
        let (state, pair) = claim::pair(&machine, state, &route.key).await?;
        claim::names(link, host, &state, &pair, &known).await?;
        if state.value(Map::Timeouts, &pair).is_none() {
            obey(link, host, &limits(&state, &pair, &known)).await?;
        }
        edge::running(&machine, route, &self.acme).await?;
        certificate::level(link, &*self.runner, cx, host, route).await?;
        secure::ensure(link, host, &state, &pair, &known).await?;
        if state.serving(&pair).is_empty() && !serving.is_empty() {
            traffic::switch(link, host, &state, &pair, serving).await?;
        }
        Ok(())
    }

    async fn switch(
        &self,
        cx: &Cx,
        host: &HostAddress,
        route: &Route,
        to: &[Server],
    ) -> Result<(), Fault> {
        let work = async {
            let (state, pair) = self.found(host, route).await?;
            traffic::switch(&*self.link, host, &state, &pair, to).await
        };
        cx.or_interrupted(work).await
    }

    async fn confirm(
        &self,
        cx: &Cx,
        host: &HostAddress,
        route: &Route,
        path: &str,
        expected: &[Server],
    ) -> Result<(), Fault> {
        confirm::confirm(&*self.fetch, cx, host, route, path, expected).await
    }

    async fn keep(
        &self,
        cx: &Cx,
        host: &HostAddress,
        route: &Route,
        serving: &[Server],
    ) -> Result<(), Fault> {
        let (state, pair) = self.found(host, route).await?;
        let pair = &*pair;
        let known = known(route);
        let file = RouteFile::new(&state, pair, &known, serving);
        self.write(cx, host, file).await?;
        let names = names::keys(&known);
        let mut commands = limits(&state, pair, &known);
        commands.extend(secure::others(&state, pair, &known));
        let old = names_of(&state, pair).into_iter();
        let gone = old.filter(|name| !names.contains(name));
        commands.extend(gone.map(|name| Map::Names.del(&name)));
        let list = list(serving);
        commands.push(match state.kept(pair) {
            Some(_) => Map::Kept.set(pair, &list),
            None => Map::Kept.add(pair, &list),
        });
        obey(&*self.link, host, &commands).await
    }

    async fn open_connections(
        &self,
        cx: &Cx,
        host: &HostAddress,
        route: &Route,
        of: &[Server],
    ) -> Result<u64, Fault> {
        let work = async {
            let (state, pair) = self.found(host, route).await?;
            open::connections(&self.machine(cx, host), &state, &pair, of).await
        };
        cx.or_interrupted(work).await
    }

    async fn forget_others(
        &self,
        cx: &Cx,
        host: &HostAddress,
        route: &Route,
        serving: &[Server],
    ) -> Result<(), Fault> {
        let work = async {
            let (state, pair) = self.found(host, route).await?;
            traffic::forget_others(&*self.link, host, &state, &pair, serving).await
        };
        cx.or_interrupted(work).await
    }

    async fn forget(&self, cx: &Cx, host: &HostAddress, key: &str) -> Result<(), Fault> {
        let work = async {
            // No proxy, no place.
            let Ok(state) = read(&*self.link, host).await else {
                return Ok(());
            };
            let Some(pair) = state.pair(key) else {
                return Ok(());
            };
            forget::pair(&self.machine(cx, host), &state, pair, key).await
        };
        cx.or_interrupted(work).await
    }

    async fn maintenance(
        &self,
        cx: &Cx,
        host: &HostAddress,
        route: &Route,
        mode: Maintenance,
    ) -> Result<(), Fault> {
        let (state, pair) = self.found(host, route).await?;
        let pair = &*pair;
        let on = state.value(Map::Maintenance, pair).is_some();
        let change = match (mode, on) {
            (Maintenance::On, false) => vec![Map::Maintenance.add(pair, "1")],
            (Maintenance::Off, true) => vec![Map::Maintenance.del(pair)],
            (Maintenance::On, true) | (Maintenance::Off, false) => vec![],
        };
        obey(&*self.link, host, &change).await?;
        let state = self.state(host).await?;
        let kept = state.kept(pair).unwrap_or_default();
        self.write(cx, host, RouteFile::of(&state, pair, &kept))
            .await
    }
}

/// Where its containers listen does not matter to a proxy that runs.
fn known(route: &Route) -> RouteLabel {
    route.label(0)
}

/// Brings a pair's limits level with its route.
fn limits(state: &State, pair: &str, route: &RouteLabel) -> Vec<Command> {
    let wanted = [
        (Map::Limits, route.limit),
        (Map::Timeouts, Some(route.timeout)),
    ];
    let change = |(map, wanted): (Map, Option<u64>)| {
        let wanted = wanted.map(|number| number.to_string());
        match (state.value(map, pair), wanted) {
            (None, None) => None,
            (Some(_), None) => Some(map.del(pair)),
            (None, Some(wanted)) => Some(map.add(pair, &wanted)),
            (Some(now), Some(wanted)) => (now != wanted).then(|| map.set(pair, &wanted)),
        }
    };
    wanted.into_iter().filter_map(change).collect()
}

#[cfg(test)]
mod testing {
    use super::state::Standing;
    use crate::model::project::{Proxy, Tls};
    use crate::model::route::{Route, Server};

    pub(super) fn standing(backend: &str, name: &str, port: u16) -> Standing {
        Standing {
            backend: backend.to_owned(),
            server: Server {
                name: name.to_owned(),
                port,
            },
            stands_by: false,
            enabled: true,
        }
    }

    pub(super) fn route(key: &str, hosts: &[&str], prefix: Option<&str>) -> Route {
        Route {
            key: key.to_owned(),
            proxy: Proxy {
                hosts: hosts.iter().map(|host| (*host).to_owned()).collect(),
                role: "web".parse().unwrap(),
                tls: Tls::Off,
                image: "haproxy:3.2".to_owned(),
                edge_image: "caddy:2".to_owned(),
                http_port: 80,
                https_port: 443,
                path_prefix: prefix.map(str::to_owned),
                max_request_body: None,
                response_timeout: std::time::Duration::from_secs(60),
            },
        }
    }
}
