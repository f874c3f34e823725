//! A machine without an engine: any use of it fails the test.

use std::collections::BTreeMap;
use std::time::Duration;

use async_trait::async_trait;
use stagecraft::model::command_line::CommandLine;
use stagecraft::model::container::{Container, ContainerSpec, EngineFacts, Exit, StopPolicy};
use stagecraft::model::fault::Fault;
use stagecraft::model::host::HostAddress;
use stagecraft::model::image::PinnedImage;
use stagecraft::ports::{Attached, ContainerRunner, Cx, FolderEntry, ImageCheck};

pub struct NoRunner;

fn none<T>() -> Result<T, Fault> {
    Err(Fault::internal("no engine is needed here"))
}

#[async_trait]
impl ContainerRunner for NoRunner {
    async fn engine(&self, _: &Cx, _: &HostAddress) -> Result<EngineFacts, Fault> {
        none()
    }
    async fn has_image(
        &self,
        _: &Cx,
        _: &HostAddress,
        _: &PinnedImage,
    ) -> Result<ImageCheck, Fault> {
        none()
    }
    async fn ensure_image(&self, _: &Cx, _: &HostAddress, _: &PinnedImage) -> Result<(), Fault> {
        none()
    }
    async fn resolve_image(&self, _: &Cx, _: &HostAddress, _: &str) -> Result<PinnedImage, Fault> {
        none()
    }
    async fn make(&self, _: &Cx, _: &HostAddress, _: &ContainerSpec) -> Result<(), Fault> {
        none()
    }
    async fn let_go(&self, _: &Cx, _: &HostAddress, _: &str, _: &str) -> Result<(), Fault> {
        none()
    }
    async fn rename(&self, _: &Cx, _: &HostAddress, _: &str, _: &str) -> Result<(), Fault> {
        none()
    }
    async fn copy_in(
        &self,
        _: &Cx,
        _: &HostAddress,
        _: &str,
        _: &[(String, u32, Vec<u8>)],
    ) -> Result<(), Fault> {
        none()
    }
    async fn run(
        &self,
        _: &Cx,
        _: &HostAddress,
        _: &ContainerSpec,
        _: Duration,
    ) -> Result<Exit, Fault> {
        none()
    }
    async fn folder(
        &self,
        _: &Cx,
        _: &HostAddress,
        _: &ContainerSpec,
        _: &str,
    ) -> Result<Option<Vec<FolderEntry>>, Fault> {
        none()
    }
    async fn attach(
        &self,
        _: &Cx,
        _: &HostAddress,
        _: &ContainerSpec,
        _: &[(String, u32, Vec<u8>)],
    ) -> Result<Attached, Fault> {
        none()
    }
    async fn start(&self, _: &Cx, _: &HostAddress, _: &ContainerSpec) -> Result<Container, Fault> {
        none()
    }
    async fn start_again(&self, _: &Cx, _: &HostAddress, _: &str) -> Result<Container, Fault> {
        none()
    }
    async fn stop(
        &self,
        _: &Cx,
        _: &HostAddress,
        _: &str,
        _: &StopPolicy,
    ) -> Result<Option<Exit>, Fault> {
        none()
    }
    async fn remove(&self, _: &Cx, _: &HostAddress, _: &str) -> Result<(), Fault> {
        none()
    }
    async fn inspect(&self, _: &Cx, _: &HostAddress, _: &str) -> Result<Option<Container>, Fault> {
        none()
    }
    async fn list(
        &self,
        _: &Cx,
        _: &HostAddress,
        _: &BTreeMap<String, String>,
    ) -> Result<Vec<Container>, Fault> {
        none()
    }
    async fn volume_exists(&self, _: &Cx, _: &HostAddress, _: &str) -> Result<bool, Fault> {
        none()
    }
    async fn taken_ports(
        &self,
        _: &Cx,
        _: &HostAddress,
    ) -> Result<stagecraft::model::host::TakenPorts, Fault> {
        none()
    }
    async fn publisher_of(
        &self,
        _: &Cx,
        host: &HostAddress,
        port: u16,
    ) -> Result<Option<String>, Fault> {
        let _ = (host, port);
        Ok(None)
    }

    async fn logs(&self, _: &Cx, _: &HostAddress, _: &str, _: usize) -> Result<Vec<String>, Fault> {
        none()
    }
    async fn follow_logs(&self, _: &Cx, _: &HostAddress, _: &str, _: usize) -> Result<(), Fault> {
        none()
    }
    async fn exec(
        &self,
        _: &Cx,
        _: &HostAddress,
        _: &str,
        _: &CommandLine,
        _: Duration,
    ) -> Result<Exit, Fault> {
        none()
    }
}
