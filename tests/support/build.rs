//! What the tests of building and pushing share: a checkout, secret values
//! from a table, a reporter that remembers, this machine played by a host.

use std::collections::HashMap;
use std::fs;
use std::path::Path;
use std::sync::Arc;

use async_trait::async_trait;
use indexmap::IndexMap;
use stagecraft::model::event::{Event, EventKind};
use stagecraft::model::fault::Fault;
use stagecraft::model::host::HostAddress;
use stagecraft::model::project::BuildSpec;
use stagecraft::model::secret::Secret;
use stagecraft::ports::{
    ByteStream, Connections, Cx, HostLink, RemoteExit, RemoteProcess, ReverseForward, Target,
};
use tokio::sync::mpsc::{UnboundedReceiver, unbounded_channel};
use tokio_util::sync::CancellationToken;

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
pub struct Played {
    pub link: Arc<dyn HostLink>,
    pub by: HostAddress,
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
        self.link.reverse(self.whom(host), socket).await
    }

    async fn close(&self) {
        self.link.close().await;
    }
}
