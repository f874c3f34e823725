//! All connections of this process: one for each host that is reached over SSH,
//! none for `local`. Imports `ports`, `model`.
//!
//! Callers that come at the same time share one attempt and its outcome. A
//! connection that died is opened again at the next use: nothing is repeated
//! that had already begun.

use std::collections::HashMap;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};

use async_trait::async_trait;
use futures_util::FutureExt;
use futures_util::future::{BoxFuture, Shared, join_all};

use crate::model::fault::Fault;
use crate::model::host::HostAddress;
use crate::ports::{ByteStream, HostLink, RemoteExit, RemoteProcess, ReverseForward, Target};

use super::control::ControlDir;
use super::master::Master;
use super::pipes::Pipes;
use super::{engine, here, reverse};

type Connecting = Shared<BoxFuture<'static, Result<Arc<Master>, Fault>>>;

pub struct Links {
    control: Arc<ControlDir>,
    hosts: Mutex<HashMap<HostAddress, Connecting>>,
}

impl Links {
    /// Opens nothing yet.
    ///
    /// # Errors
    /// This machine has no place for a private folder.
    pub fn new() -> Result<Arc<Self>, Fault> {
        Ok(Arc::new(Self {
            control: Arc::new(ControlDir::create()?),
            hosts: Mutex::default(),
        }))
    }

    async fn master(&self, host: &HostAddress) -> Result<Arc<Master>, Fault> {
        let connecting = self
            .hosts()
            .entry(host.clone())
            .or_insert_with(|| {
                Master::open(Arc::clone(&self.control), host.clone())
                    .boxed()
                    .shared()
            })
            .clone();
        let opened = connecting.clone().await;
        if opened.is_err() {
            // The next caller tries again; who waited beside us is told the same.
            self.forget(host, |known| known.ptr_eq(&connecting));
        }
        opened
    }

    /// A connection that answers now: a command that had begun when its
    /// connection broke must not begin again, so it is asked before.
    async fn living(&self, host: &HostAddress) -> Result<Arc<Master>, Fault> {
        let master = self.master(host).await?;
        if master.alive().await {
            Ok(master)
        } else {
            self.renewed(host, &master).await
        }
    }

    /// The living connection in place of one that died.
    async fn renewed(&self, host: &HostAddress, dead: &Arc<Master>) -> Result<Arc<Master>, Fault> {
        self.forget(
            host,
            |known| matches!(known.peek(), Some(Ok(master)) if Arc::ptr_eq(master, dead)),
        );
        dead.end().await;
        self.master(host).await
    }

    fn forget(&self, host: &HostAddress, which: impl Fn(&Connecting) -> bool) {
        let mut hosts = self.hosts();
        if hosts.get(host).is_some_and(which) {
            hosts.remove(host);
        }
    }

    fn hosts(&self) -> std::sync::MutexGuard<'_, HashMap<HostAddress, Connecting>> {
        self.hosts.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn start(&self, host: &HostAddress, script: &str) -> Result<Pipes, Fault> {
        if host.is_local() {
            return here::start(host, script);
        }
        self.living(host).await?.start(script).await
    }
}

#[async_trait]
impl HostLink for Links {
    async fn connect(&self, host: &HostAddress) -> Result<(), Fault> {
        if !host.is_local() {
            self.living(host).await?;
        }
        Ok(())
    }

    async fn dial(
        &self,
        host: &HostAddress,
        target: &Target,
    ) -> Result<Box<dyn ByteStream>, Fault> {
        if host.is_local() {
            return here::dial(target).await;
        }
        let master = self.master(host).await?;
        match dial(&master, target).await {
            // Nothing was sent yet.
            Err(_) if !master.alive().await => {
                dial(&*self.renewed(host, &master).await?, target).await
            }
            done => done,
        }
    }

    async fn exec(
        &self,
        host: &HostAddress,
        script: &str,
        input: &[u8],
    ) -> Result<RemoteExit, Fault> {
        self.start(host, script).await?.run(input).await
    }

    async fn spawn(
        &self,
        host: &HostAddress,
        script: &str,
    ) -> Result<Box<dyn RemoteProcess>, Fault> {
        Ok(self.start(host, script).await?.held())
    }

    async fn reverse(
        &self,
        host: &HostAddress,
        socket: &Path,
    ) -> Result<Box<dyn ReverseForward>, Fault> {
        if host.is_local() {
            return reverse::here(socket).await;
        }
        reverse::over_ssh(&*self.living(host).await?, socket).await
    }

    async fn close(&self) {
        let connections: Vec<Connecting> = self.hosts().drain().map(|(_, host)| host).collect();
        // One that is still being opened ends when its `ssh` is dropped here.
        let ends = connections.iter().filter_map(|host| match host.peek() {
            Some(Ok(master)) => Some(master.end()),
            _ => None,
        });
        join_all(ends).await;
    }
}

async fn dial(master: &Master, target: &Target) -> Result<Box<dyn ByteStream>, Fault> {
    match target {
        Target::Engine => engine::dial(master).await,
        Target::Unix(_) | Target::Tcp(..) => Ok(Box::new(master.dial(target).await?)),
    }
}
