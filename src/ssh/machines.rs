//! Hosts that are folders of this machine: their scripts run in its own `sh`.
//! For tests of what a script does.

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use async_trait::async_trait;

use crate::model::fault::Fault;
use crate::model::host::HostAddress;
use crate::ports::{ByteStream, HostLink, RemoteExit, RemoteProcess, ReverseForward, Target};

use super::here;

/// What stands for `/var/lib/stagecraft` and `/tmp`.
pub(super) struct Machine {
    pub(super) state: PathBuf,
    pub(super) tmp: PathBuf,
}

pub(super) struct Machines {
    machines: HashMap<HostAddress, Machine>,
    /// Input is cut off after so many bytes, as by a dying connection.
    cut_after: usize,
}

impl Machines {
    pub(super) fn new(machines: HashMap<HostAddress, Machine>) -> Self {
        Self {
            machines,
            cut_after: usize::MAX,
        }
    }

    /// One host whose folders are all this one.
    pub(super) fn one(host: &HostAddress, folder: &Path) -> Self {
        let machine = Machine {
            state: folder.to_owned(),
            tmp: folder.to_owned(),
        };
        Self::new([(host.clone(), machine)].into())
    }

    pub(super) fn cutting_after(mut self, bytes: usize) -> Self {
        self.cut_after = bytes;
        self
    }

    fn script(&self, host: &HostAddress, script: &str) -> Result<String, Fault> {
        let machine = self
            .machines
            .get(host)
            .ok_or_else(|| Fault::unreachable(format!("cannot connect to `{host}`")))?;
        let notices = format!("{}/stagecraft.", machine.tmp.display());
        Ok(script
            .replace("/tmp/stagecraft.", &notices)
            .replace("/var/lib/stagecraft", &machine.state.display().to_string()))
    }
}

#[async_trait]
impl HostLink for Machines {
    async fn connect(&self, host: &HostAddress) -> Result<(), Fault> {
        self.script(host, "").map(|_| ())
    }

    async fn dial(&self, _: &HostAddress, _: &Target) -> Result<Box<dyn ByteStream>, Fault> {
        unreachable!("scripts only")
    }

    async fn exec(
        &self,
        host: &HostAddress,
        script: &str,
        input: &[u8],
    ) -> Result<RemoteExit, Fault> {
        here::start(host, &self.script(host, script)?)?
            .run(&input[..input.len().min(self.cut_after)])
            .await
    }

    async fn spawn(
        &self,
        host: &HostAddress,
        script: &str,
    ) -> Result<Box<dyn RemoteProcess>, Fault> {
        Ok(here::start(host, &self.script(host, script)?)?.held())
    }

    async fn reverse(&self, _: &HostAddress, _: &Path) -> Result<Box<dyn ReverseForward>, Fault> {
        unreachable!("scripts only")
    }

    async fn close(&self) {}
}
