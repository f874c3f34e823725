//! [`ContainerRunner`] over the engines' API. Imports `ports` and `model`.
//!
//! Invariants: a container is told by its labels and its name, nothing is
//! remembered here, so every call may be made again after a cut; what the
//! runner makes and cannot use it removes; environment values and command
//! words leave only in the body of a request. The usual case needs no
//! question before an act: the engine is told what to do, and what it answers
//! decides what is made up for.

use std::collections::{BTreeMap, HashSet};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use async_trait::async_trait;

use crate::model::command_line::CommandLine;
use crate::model::container::{Container, ContainerSpec, EngineFacts, Exit, StopPolicy};
use crate::model::fault::Fault;
use crate::model::host::{HostAddress, TakenPorts};
use crate::model::image::{Digest, PinnedImage};
use crate::ports::{Attached, ContainerRunner, Cx, FolderEntry, ImageCheck, StateFolders};

use super::auth::Auth;
use super::client::{Engine, Engines};

mod attach;
mod body;
mod create;
mod exec;
mod facts;
mod folder;
mod frames;
mod image;
mod job;
mod life;
mod lines;
mod logs;
mod ports;
mod pull;
mod refusal;
mod seen;
mod start;

pub(super) use logs::each_line;

/// How long work that a signal interrupts may take to come to a rest.
const SETTLE: Duration = Duration::from_secs(5);

/// Containers on the hosts that `engines` reaches. `auth` has the logins for
/// registries that hosts pull from.
#[must_use]
pub fn runner(engines: Arc<Engines>, auth: Arc<Auth>) -> Arc<dyn ContainerRunner> {
    made(engines, auth, None, Span::Host)
}

/// The same; every container says in which folder its host keeps the record.
#[must_use]
pub fn runner_of(
    engines: Arc<Engines>,
    auth: Arc<Auth>,
    folders: Arc<dyn StateFolders>,
    span: Span,
) -> Arc<dyn ContainerRunner> {
    made(engines, auth, Some(folders), span)
}

fn made(
    engines: Arc<Engines>,
    auth: Arc<Auth>,
    folders: Option<Arc<dyn StateFolders>>,
    span: Span,
) -> Arc<dyn ContainerRunner> {
    Arc::new(Runner {
        engines,
        auth,
        folders,
        span,
        confirmed: Mutex::default(),
        made: Mutex::default(),
        networks: tokio::sync::Mutex::default(),
    })
}

/// How far the networks reach that the runner makes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Span {
    /// One host.
    Host,
    /// All nodes of the Swarm, whose manager makes them.
    Swarm,
}

struct Runner {
    engines: Arc<Engines>,
    auth: Arc<Auth>,
    folders: Option<Arc<dyn StateFolders>>,
    span: Span,
    /// Image ids that were seen to be the pinned image. An id is a hash of
    /// what it names, so this cannot go stale.
    confirmed: Mutex<HashSet<(HostAddress, Digest, String)>>,
    /// Ids of what this process made and has not started: made with the values
    /// of this very run.
    made: Mutex<HashSet<String>>,
    /// One network is made at a time: older engines make two of one name.
    networks: tokio::sync::Mutex<()>,
}

impl Runner {
    fn remember_made(&self, id: String) {
        let mut made = self.made.lock().unwrap_or_else(PoisonError::into_inner);
        made.insert(id);
    }

    fn made_here(&self, id: &str) -> bool {
        let made = self.made.lock().unwrap_or_else(PoisonError::into_inner);
        made.contains(id)
    }

    fn on(&self, host: &HostAddress) -> Result<Engine, Fault> {
        self.engines.engine(host)
    }
}

/// Work that leaves half of something behind when it is dropped: on a signal
/// it gets a moment to come to its end, whose outcome no longer matters.
async fn settled<T>(cx: &Cx, work: impl Future<Output = Result<T, Fault>>) -> Result<T, Fault> {
    cx.check()?;
    let mut work = std::pin::pin!(work);
    tokio::select! {
        biased;
        done = &mut work => done,
        () = cx.token().cancelled() => {
            let _ = tokio::time::timeout(SETTLE, work).await;
            Err(Fault::interrupted())
        }
    }
}

/// `/containers/<name>` and what follows.
fn container_path(name: &str, rest: &str) -> String {
    let name: String = url::form_urlencoded::byte_serialize(name.as_bytes()).collect();
    format!("/containers/{name}{rest}")
}

#[async_trait]
impl ContainerRunner for Runner {
    async fn engine(&self, cx: &Cx, host: &HostAddress) -> Result<EngineFacts, Fault> {
        let engine = self.on(host)?;
        cx.or_interrupted(facts::read(&engine)).await
    }

    async fn has_image(
        &self,
        cx: &Cx,
        host: &HostAddress,
        image: &PinnedImage,
    ) -> Result<ImageCheck, Fault> {
        let engine = self.on(host)?;
        let found = cx.or_interrupted(self.find_image(&engine, image)).await?;
        Ok(match found {
            Some(_) => ImageCheck::Present,
            None => ImageCheck::Absent,
        })
    }

    async fn ensure_image(
        &self,
        cx: &Cx,
        host: &HostAddress,
        image: &PinnedImage,
    ) -> Result<(), Fault> {
        let cx = cx.on_host(host);
        let engine = self.on(host)?;
        cx.or_interrupted(self.make_image_present(&cx, &engine, image))
            .await
    }

    async fn resolve_image(
        &self,
        cx: &Cx,
        host: &HostAddress,
        reference: &str,
    ) -> Result<PinnedImage, Fault> {
        let cx = cx.on_host(host);
        let engine = self.on(host)?;
        cx.or_interrupted(self.resolve(&cx, &engine, reference))
            .await
    }

    async fn run(
        &self,
        cx: &Cx,
        host: &HostAddress,
        spec: &ContainerSpec,
        deadline: Duration,
    ) -> Result<Exit, Fault> {
        let engine = self.on(host)?;
        self.run_job(&cx.on_host(host), &engine, spec, deadline)
            .await
    }

    async fn attach(
        &self,
        cx: &Cx,
        host: &HostAddress,
        spec: &ContainerSpec,
        files: &[(String, u32, Vec<u8>)],
    ) -> Result<Attached, Fault> {
        let cx = cx.on_host(host);
        let engine = self.on(host)?;
        settled(&cx, self.converse(&cx, &engine, spec, files)).await
    }

    async fn folder(
        &self,
        cx: &Cx,
        host: &HostAddress,
        spec: &ContainerSpec,
        folder: &str,
    ) -> Result<Option<Vec<FolderEntry>>, Fault> {
        let engine = self.on(host)?;
        settled(cx, self.read_folder(&engine, spec, folder)).await
    }

    async fn start(
        &self,
        cx: &Cx,
        host: &HostAddress,
        spec: &ContainerSpec,
    ) -> Result<Container, Fault> {
        let engine = self.on(host)?;
        settled(cx, self.start_service(&engine, spec)).await
    }

    async fn make(&self, cx: &Cx, host: &HostAddress, spec: &ContainerSpec) -> Result<(), Fault> {
        let engine = self.on(host)?;
        let made = settled(cx, self.create(&engine, spec, body::Purpose::Service)).await?;
        match made {
            create::Made::New(id) => self.remember_made(id),
            create::Made::Taken => {}
        }
        Ok(())
    }

    async fn start_again(
        &self,
        cx: &Cx,
        host: &HostAddress,
        name: &str,
    ) -> Result<Container, Fault> {
        let engine = self.on(host)?;
        settled(cx, self.start_stopped(&engine, name)).await
    }

    async fn stop(
        &self,
        cx: &Cx,
        host: &HostAddress,
        name: &str,
        stop: &StopPolicy,
    ) -> Result<Option<Exit>, Fault> {
        let engine = self.on(host)?;
        cx.or_interrupted(life::stop(&engine, name, stop)).await
    }

    async fn let_go(
        &self,
        cx: &Cx,
        host: &HostAddress,
        name: &str,
        signal: &str,
    ) -> Result<(), Fault> {
        let engine = self.on(host)?;
        cx.or_interrupted(life::let_go(&engine, name, signal)).await
    }

    async fn rename(&self, cx: &Cx, host: &HostAddress, name: &str, to: &str) -> Result<(), Fault> {
        let engine = self.on(host)?;
        cx.or_interrupted(life::rename(&engine, name, to)).await
    }

    async fn copy_in(
        &self,
        cx: &Cx,
        host: &HostAddress,
        name: &str,
        files: &[(String, u32, Vec<u8>)],
    ) -> Result<(), Fault> {
        let engine = self.on(host)?;
        cx.or_interrupted(attach::copy_in(&engine, name, files))
            .await
    }

    async fn remove(&self, cx: &Cx, host: &HostAddress, name: &str) -> Result<(), Fault> {
        let engine = self.on(host)?;
        cx.or_interrupted(life::remove(&engine, name)).await
    }

    async fn inspect(
        &self,
        cx: &Cx,
        host: &HostAddress,
        name: &str,
    ) -> Result<Option<Container>, Fault> {
        let engine = self.on(host)?;
        cx.or_interrupted(life::inspect(&engine, name)).await
    }

    async fn list(
        &self,
        cx: &Cx,
        host: &HostAddress,
        labels: &BTreeMap<String, String>,
    ) -> Result<Vec<Container>, Fault> {
        let engine = self.on(host)?;
        cx.or_interrupted(life::list(&engine, labels)).await
    }

    async fn volume_exists(&self, cx: &Cx, host: &HostAddress, name: &str) -> Result<bool, Fault> {
        let engine = self.on(host)?;
        cx.or_interrupted(life::volume_exists(&engine, name)).await
    }

    async fn publisher_of(
        &self,
        cx: &Cx,
        host: &HostAddress,
        port: u16,
    ) -> Result<Option<String>, Fault> {
        let engine = self.on(host)?;
        cx.or_interrupted(refusal::publisher(&engine, port)).await
    }

    async fn taken_ports(&self, cx: &Cx, host: &HostAddress) -> Result<TakenPorts, Fault> {
        let engine = self.on(host)?;
        cx.or_interrupted(ports::taken(&engine, self.engines.link()))
            .await
    }

    async fn logs(
        &self,
        cx: &Cx,
        host: &HostAddress,
        name: &str,
        lines: usize,
    ) -> Result<Vec<String>, Fault> {
        let engine = self.on(host)?;
        cx.or_interrupted(logs::last(&engine, name, lines)).await
    }

    async fn follow_logs(
        &self,
        cx: &Cx,
        host: &HostAddress,
        name: &str,
        lines: usize,
    ) -> Result<(), Fault> {
        let engine = self.on(host)?;
        logs::follow(&cx.on_host(host), &engine, name, lines).await
    }

    async fn exec(
        &self,
        cx: &Cx,
        host: &HostAddress,
        name: &str,
        command: &CommandLine,
        deadline: Duration,
    ) -> Result<Exit, Fault> {
        let cx = cx.on_host(host);
        let engine = self.on(host)?;
        cx.or_interrupted(exec::exec(&cx, &engine, name, command, deadline))
            .await
    }
}

#[cfg(test)]
pub(super) mod test_support;
