//! What the tests of building and pushing share: a checkout, secret values
//! from a table, a reporter that remembers, this machine played by a host.

use std::collections::HashMap;
use std::fs;
use std::path::Path;
use std::sync::Arc;

use async_trait::async_trait;
use indexmap::IndexMap;
use stagecraft::docker::auth::{Auth, DockerStore};
use stagecraft::docker::client::{Call, Engines};
use stagecraft::docker::{self, Delivery};
use stagecraft::model::event::{Event, EventKind};
use stagecraft::model::fault::Fault;
use stagecraft::model::host::HostAddress;
use stagecraft::model::image::BuiltImage;
use stagecraft::model::project::{BuildSpec, Registry};
use stagecraft::model::secret::Secret;
use stagecraft::ports::{
    Builder, ByteStream, Connections, Cx, HostLink, Pusher, RemoteExit, RemoteProcess,
    ReverseForward, Target,
};
use stagecraft::ssh::Links;
use tokio::sync::mpsc::{UnboundedReceiver, unbounded_channel};
use tokio_util::sync::CancellationToken;

/// Small, and on the machine that runs the lab.
pub const BASE: &str = "stagecraft-lab/busybox:latest";

/// A value of `lab.env`.
pub fn lab(name: &str) -> String {
    let text = fs::read_to_string("/tmp/stagecraft-lab/lab.env").expect("the lab is up");
    let value = text
        .lines()
        .find_map(|line| line.strip_prefix(name)?.strip_prefix('='));
    value.expect("a name of lab.env").to_owned()
}

pub fn host(number: u8) -> HostAddress {
    let alias = lab(&format!("LAB_HOST{number}_ALIAS"));
    alias.parse().expect("an address")
}

pub fn this_machine() -> HostAddress {
    "local".parse().expect("an address")
}

/// Files in a folder of their own.
pub fn tree(files: &[(&str, &str)]) -> tempfile::TempDir {
    let dir = tempfile::tempdir().expect("a folder");
    for (name, text) in files {
        let path = dir.path().join(name);
        fs::create_dir_all(path.parent().expect("a parent")).expect("folders");
        fs::write(path, text).expect("a file");
    }
    dir
}

pub fn spec(context: &Path) -> BuildSpec {
    BuildSpec {
        context: context.to_owned(),
        dockerfile: context.join("Dockerfile"),
        target: None,
        args: IndexMap::new(),
        secrets: vec![],
        platform: None,
    }
}

/// Secret values from a table.
pub struct Values(HashMap<String, String>);

impl Values {
    pub fn of(pairs: &[(&str, &str)]) -> Arc<Self> {
        let own = |(name, value): &(&str, &str)| ((*name).to_owned(), (*value).to_owned());
        Arc::new(Self(pairs.iter().map(own).collect()))
    }
}

#[async_trait]
impl Connections for Values {
    async fn get(&self, name: &str) -> Result<Secret, Fault> {
        match self.0.get(name) {
            Some(value) => Ok(Secret::new(value.clone())),
            None => Err(Fault::config(format!("`{name}` is not set"))),
        }
    }
}

/// What a reporter heard.
pub struct Heard(UnboundedReceiver<Event>);

pub fn cx() -> (Cx, Heard, CancellationToken) {
    let (events, heard) = unbounded_channel();
    let cancel = CancellationToken::new();
    (Cx::new(events, cancel.clone()), Heard(heard), cancel)
}

impl Heard {
    /// Every step, output line and warning so far.
    pub fn texts(&mut self) -> Vec<String> {
        let mut texts = vec![];
        while let Ok(event) = self.0.try_recv() {
            match event.kind {
                EventKind::Step { text } | EventKind::Warning { text } => texts.push(text),
                EventKind::Output { line } => texts.push(line),
                _ => {}
            }
        }
        texts
    }

    /// The steps so far of each of these hosts.
    pub fn steps_of(&mut self, hosts: &[HostAddress]) -> Vec<Vec<String>> {
        let mut steps = vec![vec![]; hosts.len()];
        while let Ok(event) = self.0.try_recv() {
            let at = hosts
                .iter()
                .position(|host| event.scope.host.as_ref() == Some(host));
            if let (EventKind::Step { text }, Some(at)) = (event.kind, at) {
                steps[at].push(text);
            }
        }
        steps
    }

    /// Waits for an output line that contains `text`.
    pub async fn until(&mut self, text: &str) {
        while let Some(event) = self.0.recv().await {
            if matches!(event.kind, EventKind::Output { line } if line.contains(text)) {
                return;
            }
        }
    }
}

/// A link whose `local` is a host of the lab: its engine plays this machine's.
struct Played {
    link: Arc<dyn HostLink>,
    by: HostAddress,
    ports: Ports,
}

/// Whether hosts lend a port of their loopback.
enum Ports {
    Lent,
    Refused,
}

impl Played {
    fn whom<'a>(&'a self, host: &'a HostAddress) -> &'a HostAddress {
        if host.is_local() { &self.by } else { host }
    }
}

#[async_trait]
impl HostLink for Played {
    async fn connect(&self, host: &HostAddress) -> Result<(), Fault> {
        self.link.connect(self.whom(host)).await
    }

    async fn dial(
        &self,
        host: &HostAddress,
        target: &Target,
    ) -> Result<Box<dyn ByteStream>, Fault> {
        self.link.dial(self.whom(host), target).await
    }

    async fn exec(
        &self,
        host: &HostAddress,
        script: &str,
        input: &[u8],
    ) -> Result<RemoteExit, Fault> {
        self.link.exec(self.whom(host), script, input).await
    }

    async fn spawn(
        &self,
        host: &HostAddress,
        script: &str,
    ) -> Result<Box<dyn RemoteProcess>, Fault> {
        self.link.spawn(self.whom(host), script).await
    }

    async fn reverse(
        &self,
        host: &HostAddress,
        socket: &Path,
    ) -> Result<Box<dyn ReverseForward>, Fault> {
        match self.ports {
            Ports::Lent => self.link.reverse(self.whom(host), socket).await,
            Ports::Refused => Err(Fault::unreachable("it lends no port")),
        }
    }

    async fn close(&self) {
        self.link.close().await;
    }
}

/// One machine, its engines and what it may do with them.
pub struct Bench {
    link: Arc<dyn HostLink>,
    pub engines: Arc<Engines>,
    cache: tempfile::TempDir,
}

impl Bench {
    pub fn new() -> Self {
        Self::with(Links::new().expect("links"))
    }

    /// A bench whose own engine is a lab host's.
    pub fn on(host: HostAddress) -> Self {
        let link = Links::new().expect("links");
        let ports = Ports::Lent;
        Self::with(Arc::new(Played {
            link,
            by: host,
            ports,
        }))
    }

    /// A bench whose hosts lend no ports.
    pub fn without_ports() -> Self {
        let link = Links::new().expect("links");
        let (by, ports) = (this_machine(), Ports::Refused);
        Self::with(Arc::new(Played { link, by, ports }))
    }

    pub fn with(link: Arc<dyn HostLink>) -> Self {
        Self {
            engines: Engines::new(Arc::clone(&link)),
            link,
            cache: tempfile::tempdir().expect("a folder"),
        }
    }

    pub fn builder(&self, secrets: &[(&str, &str)]) -> Arc<dyn Builder> {
        let engines = Arc::clone(&self.engines);
        docker::builder(engines, Values::of(secrets), Arc::new(no_store()))
    }

    pub async fn build(&self, spec: &BuildSpec, reference: &str) -> BuiltImage {
        let (cx, _heard, _) = cx();
        let builder = self.builder(&[]);
        let built = builder.build(&cx, spec, None, reference).await;
        built.expect("built")
    }

    pub fn pusher(
        &self,
        registry: Option<&str>,
        auth: Auth,
        hosts: &[HostAddress],
    ) -> Arc<dyn Pusher> {
        let delivery = Delivery {
            registry: registry.map(|repository| Registry {
                repository: repository.to_owned(),
                username_env: None,
                password_env: None,
            }),
            hosts: hosts.to_vec(),
            project: "lab-build".parse().expect("a name"),
            environment: "lab".parse().expect("a name"),
            cache: self.cache.path().to_owned(),
        };
        let engines = Arc::clone(&self.engines);
        docker::pusher(engines, Arc::clone(&self.link), Arc::new(auth), delivery)
    }

    pub async fn image_id(&self, host: &HostAddress, name: &str) -> Option<String> {
        let engine = self.engines.engine(host).expect("an engine");
        let call = Call::get(format!("/images/{name}/json"));
        let image: serde_json::Value = engine.json(call).await.ok()?;
        Some(image["Id"].as_str().expect("an id").to_owned())
    }

    pub async fn forget(&self, host: &HostAddress, name: &str) {
        let engine = self.engines.engine(host).expect("an engine");
        let call = Call::delete(format!("/images/{name}")).query("force", "true");
        let _ = engine.done(call).await;
    }

    /// Names of images on the host that belong to no lasting reference.
    pub async fn litter(&self, host: &HostAddress) -> usize {
        let engine = self.engines.engine(host).expect("an engine");
        let images: serde_json::Value = engine
            .json(Call::get("/images/json"))
            .await
            .expect("a list");
        images.to_string().matches("127.0.0.1:").count()
    }
}

pub fn no_store() -> Auth {
    Auth::with_store(DockerStore::at("/nonexistent/config.json"))
}

pub fn unique(name: &str) -> String {
    let nanos = std::time::SystemTime::UNIX_EPOCH
        .elapsed()
        .expect("a clock");
    format!("{name}-{}", nanos.as_nanos())
}

pub fn dockerfile(dir: &Path, text: &str) {
    fs::write(dir.join("Dockerfile"), text).expect("a file");
}
