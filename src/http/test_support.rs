//! A link that answers, for the tests of this module.

use std::path::Path;
use std::sync::Mutex;

use async_trait::async_trait;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use crate::model::fault::Fault;
use crate::model::host::HostAddress;
use crate::ports::{ByteStream, HostLink, RemoteExit, RemoteProcess, ReverseForward, Target};

/// A host on which whatever is dialled answers with these bytes, and then closes or hangs.
pub(super) struct Answering {
    bytes: &'static [u8],
    hangs: bool,
    pub(super) dialled: Mutex<Option<Target>>,
    pub(super) asked: Mutex<Option<tokio::task::JoinHandle<String>>>,
}

#[async_trait]
impl HostLink for Answering {
    async fn connect(&self, _: &HostAddress) -> Result<(), Fault> {
        Ok(())
    }

    async fn dial(&self, _: &HostAddress, to: &Target) -> Result<Box<dyn ByteStream>, Fault> {
        let (near, mut far) = tokio::io::duplex(4096);
        let (bytes, hangs) = (self.bytes, self.hangs);
        *self.dialled.lock().expect("free") = Some(to.clone());
        *self.asked.lock().expect("free") = Some(tokio::spawn(async move {
            let mut request = vec![0; 4096];
            let read = if bytes.is_empty() && !hangs {
                0
            } else {
                far.read(&mut request).await.expect("a request")
            };
            // Who has heard enough may go.
            let _ = far.write_all(bytes).await;
            if hangs {
                std::future::pending::<()>().await;
            }
            String::from_utf8_lossy(&request[..read]).into_owned()
        }));
        Ok(Box::new(near))
    }

    async fn exec(&self, _: &HostAddress, _: &str, _: &[u8]) -> Result<RemoteExit, Fault> {
        unreachable!("a probe runs no command")
    }

    async fn spawn(&self, _: &HostAddress, _: &str) -> Result<Box<dyn RemoteProcess>, Fault> {
        unreachable!("a probe runs no command")
    }

    async fn reverse(&self, _: &HostAddress, _: &Path) -> Result<Box<dyn ReverseForward>, Fault> {
        unreachable!("a probe lends no port")
    }

    async fn close(&self) {}
}

impl Answering {
    pub(super) fn closing(bytes: &'static [u8]) -> Self {
        Self {
            bytes,
            hangs: false,
            dialled: Mutex::default(),
            asked: Mutex::default(),
        }
    }

    pub(super) fn hanging(bytes: &'static [u8]) -> Self {
        Self {
            hangs: true,
            ..Self::closing(bytes)
        }
    }
}
