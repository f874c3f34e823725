//! The proxies of the fleet in memory: who gets the requests of each host.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use stagecraft::model::fault::Fault;
use stagecraft::model::host::HostAddress;
use stagecraft::model::route::{Route, Server, Traffic};
use stagecraft::ports::{Cx, Maintenance, Proxy};

use super::fleet::Fleet;

#[derive(Default)]
pub(crate) struct State {
    pub(crate) traffic: BTreeMap<String, Traffic>,
    /// Hosts whose proxy takes no new servers.
    pub(crate) refuses: BTreeSet<String>,
    /// Hosts where the new container dies in the moment of the switch.
    pub(crate) deadly: BTreeSet<String>,
    /// Hosts whose proxy takes no page.
    pub(crate) silent: BTreeSet<String>,
    /// Hosts whose proxy takes one, and no other.
    pub(crate) once: BTreeSet<String>,
    /// Hosts that die in the moment of the switch.
    pub(crate) last_words: BTreeSet<String>,
    /// Every change of traffic, in order.
    pub(crate) switches: Vec<(String, Vec<String>)>,
}

#[derive(Clone)]
pub(crate) struct Proxies {
    state: Arc<Mutex<State>>,
    fleet: Fleet,
}

impl Proxies {
    pub(crate) fn of(fleet: &Fleet) -> Self {
        Self {
            state: Arc::default(),
            fleet: fleet.clone(),
        }
    }

    pub(crate) fn with<T>(&self, work: impl FnOnce(&mut State) -> T) -> T {
        work(&mut self.state.lock().unwrap())
    }

    fn reach(&self, host: &HostAddress) -> Result<(), Fault> {
        if self.fleet.with(|fleet| fleet.dead.contains(host.as_str())) {
            return Err(Fault::unreachable(format!("cannot reach `{host}`")));
        }
        Ok(())
    }

    fn running(&self, host: &HostAddress, name: &str) -> bool {
        self.fleet.with(|fleet| {
            let found = fleet.containers.get(&(host.to_string(), name.to_owned()));
            found.is_some_and(stagecraft::model::container::Container::running)
        })
    }

    /// Every host sends its requests to a container that runs, of this
    /// version.
    pub(crate) fn answer_with(&self, version: &str, hosts: &[&str]) {
        for host in hosts {
            let serving = self.with(|state| state.traffic[*host].serving.clone());
            assert!(!serving.is_empty(), "{host} answers nobody");
            for server in serving {
                let address = host.parse().unwrap();
                assert!(self.running(&address, &server.name), "{host}: {server:?}");
                let found = self.fleet.with(|fleet| {
                    let key = ((*host).to_owned(), server.name.clone());
                    fleet.containers[&key].labels["stagecraft.version"].clone()
                });
                assert_eq!(found, version, "{host}");
            }
        }
    }
}

#[async_trait]
impl Proxy for Proxies {
    async fn look(&self, _: &Cx, host: &HostAddress, _: &Route) -> Result<Option<Traffic>, Fault> {
        self.reach(host)?;
        Ok(self.with(|state| state.traffic.get(host.as_str()).cloned()))
    }

    async fn forget(&self, _: &Cx, host: &HostAddress, _: &str) -> Result<(), Fault> {
        self.reach(host)?;
        self.with(|state| state.traffic.remove(host.as_str()));
        Ok(())
    }

    async fn ensure(
        &self,
        _: &Cx,
        host: &HostAddress,
        _: &Route,
        serving: &[Server],
    ) -> Result<(), Fault> {
        self.reach(host)?;
        self.with(|state| {
            let fresh = || Traffic {
                serving: serving.to_vec(),
                at_boot: serving.to_vec(),
                maintenance: false,
            };
            state.traffic.entry(host.to_string()).or_insert_with(fresh);
        });
        Ok(())
    }

    async fn switch(
        &self,
        _: &Cx,
        host: &HostAddress,
        _: &Route,
        to: &[Server],
    ) -> Result<(), Fault> {
        if self.with(|state| state.last_words.remove(host.as_str())) {
            let host = host.to_string();
            self.fleet.with(|fleet| fleet.dead.insert(host));
        }
        self.reach(host)?;
        for server in to {
            assert!(
                self.running(host, &server.name),
                "{host}: traffic would go to {server:?}, which does not run"
            );
        }
        self.with(|state| {
            if state.refuses.remove(host.as_str()) {
                return Err(Fault::failed("the proxy refuses").because("no memory"));
            }
            let names = to.iter().map(|server| server.name.clone()).collect();
            state.switches.push((host.to_string(), names));
            state.traffic.entry(host.to_string()).or_default().serving = to.to_vec();
            if state.deadly.remove(host.as_str()) {
                for server in to {
                    let key = (host.to_string(), server.name.clone());
                    self.fleet.with(|fleet| {
                        fleet.containers.get_mut(&key).unwrap().state =
                            stagecraft::model::container::ContainerState::Exited;
                    });
                }
            }
            Ok(())
        })
    }

    async fn confirm(
        &self,
        _: &Cx,
        host: &HostAddress,
        _: &Route,
        _: &str,
        expected: &[Server],
    ) -> Result<(), Fault> {
        self.reach(host)?;
        let answers = expected
            .iter()
            .any(|server| self.running(host, &server.name));
        if answers {
            Ok(())
        } else {
            Err(Fault::failed("nobody answers behind the proxy"))
        }
    }

    async fn keep(
        &self,
        _: &Cx,
        host: &HostAddress,
        _: &Route,
        serving: &[Server],
    ) -> Result<(), Fault> {
        self.reach(host)?;
        self.with(|state| {
            state.traffic.entry(host.to_string()).or_default().at_boot = serving.to_vec();
        });
        Ok(())
    }

    async fn open_connections(
        &self,
        _: &Cx,
        host: &HostAddress,
        _: &Route,
        _: &[Server],
    ) -> Result<u64, Fault> {
        self.reach(host)?;
        Ok(0)
    }

    async fn forget_others(
        &self,
        _: &Cx,
        host: &HostAddress,
        _: &Route,
        _: &[Server],
    ) -> Result<(), Fault> {
        self.reach(host)
    }

    async fn maintenance(
        &self,
        _: &Cx,
        host: &HostAddress,
        _: &Route,
        mode: Maintenance,
    ) -> Result<(), Fault> {
        self.reach(host)?;
        if self.with(|state| state.silent.contains(host.as_str())) {
            return Err(Fault::unreachable(format!(
                "the proxy on `{host}` does not answer"
            )));
        }
        self.with(|state| {
            if state.once.remove(host.as_str()) {
                state.silent.insert(host.to_string());
            }
            let traffic = state.traffic.entry(host.to_string()).or_default();
            traffic.maintenance = mode == Maintenance::On;
        });
        Ok(())
    }
}
