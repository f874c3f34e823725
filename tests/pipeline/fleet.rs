//! A fleet in memory: hosts with containers, and the two ports that see them.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use stagecraft::model::command_line::CommandLine;
use stagecraft::model::container::{
    Container, ContainerSpec, ContainerState, EngineFacts, Exit, StopPolicy, label,
};
use stagecraft::model::fault::Fault;
use stagecraft::model::host::{HostAddress, TakenPorts};
use stagecraft::model::image::PinnedImage;
use stagecraft::model::project::HealthCheck;
use stagecraft::ports::{
    Answer, Attached, ContainerRunner, Cx, Fetch, Fetched, FolderEntry, ImageCheck, Probe, Request,
    Target,
};

/// What a schema endpoint does.
#[derive(Clone)]
pub(crate) enum Says {
    Body(String),
    Status(u16),
    /// No answer of use, with the reason.
    Nothing(&'static str),
}

#[derive(Default)]
pub(crate) struct State {
    pub(crate) containers: BTreeMap<(String, String), Container>,
    /// Versions whose containers never get healthy.
    pub(crate) sick: BTreeSet<String>,
    /// Checks by command fail, whoever is asked.
    pub(crate) refuses_commands: bool,
    /// Where programs listen that are no containers, on every host.
    pub(crate) foreign_ports: BTreeSet<u16>,
    /// Hosts that answer nothing.
    pub(crate) dead: BTreeSet<String>,
    /// Everything that was changed, in order.
    pub(crate) actions: Vec<String>,
    /// What schema endpoints say: the first whose words all stand in the
    /// host's, the container's or the version's name.
    pub(crate) schema: Vec<(String, Says)>,
    /// Names of the containers whose schema endpoint was asked.
    pub(crate) asked: Vec<String>,
    /// `INTERNAL_PORT` of each container that was started.
    pub(crate) told: Vec<Option<String>>,
    /// One-off containers that were started.
    pub(crate) aside: Vec<ContainerSpec>,
}

#[derive(Clone, Default)]
pub(crate) struct Fleet(Arc<Mutex<State>>);

impl Fleet {
    pub(crate) fn with<T>(&self, work: impl FnOnce(&mut State) -> T) -> T {
        work(&mut self.0.lock().unwrap())
    }

    /// From now on, unless an earlier word fits too.
    pub(crate) fn says(&self, who: &str, says: Says) {
        self.with(|state| state.schema.push((who.to_owned(), says)));
    }

    /// The versions that run on each host.
    pub(crate) fn serving(&self) -> BTreeMap<String, Vec<String>> {
        self.with(|state| {
            let mut serving: BTreeMap<String, Vec<String>> = BTreeMap::new();
            for ((host, _), container) in &state.containers {
                let versions = serving.entry(host.clone()).or_default();
                if container.running() {
                    versions.push(container.label(label::VERSION).unwrap_or("?").to_owned());
                }
            }
            serving
        })
    }

    /// Every container, running or not.
    pub(crate) fn count(&self) -> usize {
        self.with(|state| state.containers.len())
    }

    fn reach(&self, host: &HostAddress) -> Result<(), Fault> {
        if self.with(|state| state.dead.contains(host.as_str())) {
            return Err(
                Fault::unreachable(format!("cannot reach `{host}`")).because("connection refused")
            );
        }
        Ok(())
    }

    fn change<T>(
        &self,
        host: &HostAddress,
        what: String,
        work: impl FnOnce(&mut State) -> Result<T, Fault>,
    ) -> Result<T, Fault> {
        self.reach(host)?;
        self.with(|state| {
            state.actions.push(format!("{host}: {what}"));
            work(state)
        })
    }
}

fn key(host: &HostAddress, name: &str) -> (String, String) {
    (host.to_string(), name.to_owned())
}

#[async_trait]
impl ContainerRunner for Fleet {
    async fn engine(&self, _: &Cx, host: &HostAddress) -> Result<EngineFacts, Fault> {
        self.reach(host)?;
        Ok(EngineFacts {
            id: host.to_string(),
            version: "20.10".into(),
            platform: "linux/amd64".into(),
            containerd_store: false,
            member: None,
        })
    }

    async fn volume_exists(&self, _: &Cx, host: &HostAddress, _: &str) -> Result<bool, Fault> {
        self.reach(host)?;
        Ok(false)
    }

    async fn folder(
        &self,
        _: &Cx,
        _: &HostAddress,
        _: &ContainerSpec,
        _: &str,
    ) -> Result<Option<Vec<FolderEntry>>, Fault> {
        Ok(None)
    }

    async fn has_image(
        &self,
        _: &Cx,
        host: &HostAddress,
        _: &PinnedImage,
    ) -> Result<ImageCheck, Fault> {
        self.reach(host)?;
        Ok(ImageCheck::Present)
    }

    async fn ensure_image(&self, _: &Cx, host: &HostAddress, _: &PinnedImage) -> Result<(), Fault> {
        self.reach(host)
    }

    async fn resolve_image(&self, _: &Cx, _: &HostAddress, _: &str) -> Result<PinnedImage, Fault> {
        Err(Fault::failed("a fleet in memory has no such thing"))
    }
    async fn make(&self, _: &Cx, _: &HostAddress, _: &ContainerSpec) -> Result<(), Fault> {
        Err(Fault::failed("a fleet in memory has no such thing"))
    }
    async fn let_go(&self, _: &Cx, _: &HostAddress, _: &str, _: &str) -> Result<(), Fault> {
        Err(Fault::failed("a fleet in memory has no such thing"))
    }
    async fn rename(&self, _: &Cx, _: &HostAddress, _: &str, _: &str) -> Result<(), Fault> {
        Err(Fault::failed("a fleet in memory has no such thing"))
    }
    async fn copy_in(
        &self,
        _: &Cx,
        _: &HostAddress,
        _: &str,
        _: &[(String, u32, Vec<u8>)],
    ) -> Result<(), Fault> {
        Err(Fault::failed("a fleet in memory has no such thing"))
    }
    async fn run(
        &self,
        _: &Cx,
        host: &HostAddress,
        _: &ContainerSpec,
        _: Duration,
    ) -> Result<Exit, Fault> {
        self.reach(host)?;
        Ok(Exit {
            code: 0,
            oom_killed: false,
            tail: vec![],
        })
    }

    async fn attach(
        &self,
        _: &Cx,
        _: &HostAddress,
        _: &ContainerSpec,
        _: &[(String, u32, Vec<u8>)],
    ) -> Result<Attached, Fault> {
        Err(Fault::failed("a fleet in memory runs nothing"))
    }

    async fn start(
        &self,
        _: &Cx,
        host: &HostAddress,
        spec: &ContainerSpec,
    ) -> Result<Container, Fault> {
        self.change(host, format!("start {}", spec.name), |state| {
            let taken = state.containers.iter().find(|((on, name), other)| {
                on == host.as_str()
                    && *name != spec.name
                    && other.running()
                    && other
                        .ports
                        .iter()
                        .any(|port| spec.ports.iter().any(|wanted| wanted.host == port.host))
            });
            if let Some(((_, name), _)) = taken {
                return Err(Fault::failed(format!("port is taken by `{name}`")));
            }
            if spec.labels.contains_key(label::JOB) {
                state.aside.push(spec.clone());
            }
            let told = spec.env.get("INTERNAL_PORT");
            state.told.push(told.map(|port| port.reveal().to_owned()));
            let container = Container {
                id: spec.name.clone(),
                name: spec.name.clone(),
                state: ContainerState::Running,
                exit_code: None,
                oom_killed: false,
                restarts: 0,
                image_id: spec.image.digest.to_string(),
                labels: spec.labels.clone(),
                ports: spec.ports.clone(),
                // The way in which its endpoint is found below.
                address: Some(format!("{host} {}", spec.name)),
                started_at: None,
            };
            state
                .containers
                .insert(key(host, &spec.name), container.clone());
            Ok(container)
        })
    }

    async fn start_again(
        &self,
        _: &Cx,
        host: &HostAddress,
        name: &str,
    ) -> Result<Container, Fault> {
        self.change(host, format!("start again {name}"), |state| {
            let container = state
                .containers
                .get_mut(&key(host, name))
                .ok_or_else(|| Fault::failed("gone"))?;
            container.state = ContainerState::Running;
            Ok(container.clone())
        })
    }

    async fn stop(
        &self,
        _: &Cx,
        host: &HostAddress,
        name: &str,
        _: &StopPolicy,
    ) -> Result<Option<Exit>, Fault> {
        self.change(host, format!("stop {name}"), |state| {
            let Some(container) = state.containers.get_mut(&key(host, name)) else {
                return Ok(None);
            };
            container.state = ContainerState::Exited;
            container.exit_code = Some(143);
            Ok(Some(Exit {
                code: 143,
                oom_killed: false,
                tail: vec![],
            }))
        })
    }

    async fn remove(&self, _: &Cx, host: &HostAddress, name: &str) -> Result<(), Fault> {
        self.change(host, format!("remove {name}"), |state| {
            state.containers.remove(&key(host, name));
            Ok(())
        })
    }

    async fn inspect(
        &self,
        _: &Cx,
        host: &HostAddress,
        name: &str,
    ) -> Result<Option<Container>, Fault> {
        self.reach(host)?;
        Ok(self.with(|state| state.containers.get(&key(host, name)).cloned()))
    }

    async fn list(
        &self,
        _: &Cx,
        host: &HostAddress,
        labels: &BTreeMap<String, String>,
    ) -> Result<Vec<Container>, Fault> {
        self.reach(host)?;
        Ok(self.with(|state| {
            let here = state
                .containers
                .iter()
                .filter(|((on, _), _)| on == host.as_str())
                .map(|(_, container)| container);
            here.filter(|container| {
                labels
                    .iter()
                    .all(|(name, value)| container.label(name) == Some(value))
            })
            .cloned()
            .collect()
        }))
    }

    async fn publisher_of(
        &self,
        _: &Cx,
        host: &HostAddress,
        port: u16,
    ) -> Result<Option<String>, Fault> {
        self.reach(host)?;
        Ok(self.with(|state| {
            let mut here = state
                .containers
                .iter()
                .filter(|((on, _), _)| on == host.as_str());
            let publisher = here.find(|(_, container)| {
                container.running() && container.ports.iter().any(|known| known.host == port)
            });
            publisher.map(|((_, name), _)| name.clone())
        }))
    }

    async fn taken_ports(&self, _: &Cx, host: &HostAddress) -> Result<TakenPorts, Fault> {
        self.reach(host)?;
        Ok(self.with(|state| {
            let containers = state.containers.iter();
            let here = containers.filter(|((on, _), _)| on == host.as_str());
            let mut taken = TakenPorts::default();
            for (_, container) in here {
                let ports = container.ports.iter().map(|port| port.host);
                match container.running() {
                    true => taken.busy.extend(ports),
                    false => taken.reserved.extend(ports),
                }
            }
            taken.busy.extend(&state.foreign_ports);
            taken
        }))
    }

    async fn logs(
        &self,
        _: &Cx,
        _: &HostAddress,
        name: &str,
        _: usize,
    ) -> Result<Vec<String>, Fault> {
        Ok(vec![format!("last words of {name}")])
    }

    async fn follow_logs(&self, _: &Cx, _: &HostAddress, _: &str, _: usize) -> Result<(), Fault> {
        Ok(())
    }

    async fn exec(
        &self,
        _: &Cx,
        _: &HostAddress,
        _: &str,
        _: &CommandLine,
        _: Duration,
    ) -> Result<Exit, Fault> {
        Ok(Exit {
            code: 0,
            oom_killed: false,
            tail: vec![],
        })
    }
}

#[async_trait]
impl Probe for Fleet {
    async fn ask(
        &self,
        _: &Cx,
        host: &HostAddress,
        container: &Container,
        check: &HealthCheck,
    ) -> Result<Answer, Fault> {
        self.reach(host)?;
        let version = container.label(label::VERSION).unwrap_or("?").to_owned();
        Ok(self.with(|state| {
            let runs = state
                .containers
                .get(&key(host, &container.name))
                .is_some_and(Container::running);
            let refused = state.refuses_commands && matches!(check, HealthCheck::Command(_));
            if runs && !refused && !state.sick.contains(&version) {
                Answer::Healthy
            } else {
                Answer::Unhealthy("GET /up answered 503: starting".to_owned())
            }
        }))
    }
}

#[async_trait]
impl Fetch for Fleet {
    async fn fetch(
        &self,
        _: &Cx,
        host: &HostAddress,
        target: &Target,
        request: &Request,
    ) -> Result<Result<Fetched, String>, Fault> {
        self.reach(host)?;
        assert_eq!(
            (request.path.as_str(), request.most),
            ("/schema/status", 1 << 20)
        );
        let Target::Tcp(address, port) = target else {
            return Ok(Err(format!("nobody serves {target:?}")));
        };
        // On the host's loopback, or on the container's network.
        let is_it = |name: &str, container: &Container| {
            let on_loopback = container.ports.iter().any(|known| {
                (known.container, known.host) == (9090, *port) && known.address == *address
            });
            let inside = (address.as_str(), *port) == (&format!("{host} {name}"), 9090);
            container.running() && (on_loopback || inside)
        };
        Ok(self.with(|state| {
            let mut found = state.containers.iter();
            let Some(((_, name), container)) =
                found.find(|((on, name), container)| on == host.as_str() && is_it(name, container))
            else {
                return Err("connection refused".to_owned());
            };
            state.asked.push(name.clone());
            let version = container.label(label::VERSION).unwrap_or("?");
            let whole = format!("{host} {name} {version}");
            let fits = |who: &str| who.split(' ').all(|word| whole.contains(word));
            let answer = |status, body: &str| {
                Ok(Fetched {
                    status,
                    headers: vec![],
                    body: body.as_bytes().to_vec(),
                })
            };
            match state.schema.iter().find(|(who, _)| fits(who)) {
                None => answer(404, "nothing here"),
                Some((_, Says::Body(body))) => answer(200, body),
                Some((_, Says::Status(status))) => answer(*status, "{}"),
                Some((_, Says::Nothing(why))) => Err((*why).to_owned()),
            }
        }))
    }
}
