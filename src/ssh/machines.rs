//! Hosts that are folders of this machine: their scripts run in its own `sh`.
//! For tests of what a script does.

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use async_trait::async_trait;

use crate::model::fault::Fault;
use crate::model::host::HostAddress;
use crate::ports::{ByteStream, HostLink, RemoteExit, RemoteProcess, ReverseForward, Target};

use super::here;

pub(super) struct Machines {
    state: HashMap<HostAddress, PathBuf>,
    /// Input is cut off after so many bytes, as by a dying connection.
    cut_after: usize,
}

impl Machines {
    /// Each host with the folder that is its `/var/lib/stagecraft` and its
    /// `/tmp`.
    pub(super) fn new(state: HashMap<HostAddress, PathBuf>) -> Self {
        Self {
            state,
            cut_after: usize::MAX,
        }
    }

    pub(super) fn cutting_after(mut self, bytes: usize) -> Self {
        self.cut_after = bytes;
        self
    }

    fn script(&self, host: &HostAddress, script: &str) -> Result<String, Fault> {
        let folder = self
            .state
            .get(host)
            .ok_or_else(|| Fault::unreachable(format!("cannot connect to `{host}`")))?;
        let folder = folder.display().to_string();
        Ok(script
            .replace("/var/lib/stagecraft", &folder)
            .replace("/tmp/stagecraft", &format!("{folder}/stagecraft")))
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
