use std::collections::BTreeMap;

use async_trait::async_trait;

use crate::model::fault::Fault;
use crate::model::host::HostAddress;
use crate::model::service::{Node, Service, ServiceSpec, Task};

use super::Cx;

/// Services of a Swarm, by way of the engine of one of its managers. Every
/// method may be called again after a cut.
#[async_trait]
pub trait Services: Send + Sync {
    /// # Errors
    /// The engine is no manager, or cannot be reached.
    async fn nodes(&self, cx: &Cx, manager: &HostAddress) -> Result<Vec<Node>, Fault>;

    /// Those that carry all these labels, in order of their names.
    ///
    /// # Errors
    /// As [`Services::nodes`].
    async fn list(
        &self,
        cx: &Cx,
        manager: &HostAddress,
        labels: &BTreeMap<String, String>,
    ) -> Result<Vec<Service>, Fault>;

    /// Makes the service, and the network that it names; one of that name
    /// gets the new specification, and the engine changes its tasks. One that
    /// is of the same release already is left alone.
    ///
    /// # Errors
    /// The engine's refusal. Nothing waits here for tasks.
    async fn put(&self, cx: &Cx, manager: &HostAddress, spec: &ServiceSpec) -> Result<(), Fault>;

    /// Gives the service the specification that it had before its last
    /// update, which the engine keeps itself.
    ///
    /// # Errors
    /// There is no such service, or it has none.
    async fn go_back(&self, cx: &Cx, manager: &HostAddress, name: &str) -> Result<(), Fault>;

    /// One that is gone is fine. Its tasks get their time to end.
    ///
    /// # Errors
    /// The engine's refusal.
    async fn remove(&self, cx: &Cx, manager: &HostAddress, name: &str) -> Result<(), Fault>;

    /// All tasks that the Swarm still knows of, ended ones too, the newest
    /// last.
    ///
    /// # Errors
    /// As [`Services::nodes`].
    async fn tasks(
        &self,
        cx: &Cx,
        manager: &HostAddress,
        service: &str,
    ) -> Result<Vec<Task>, Fault>;

    /// The last lines of all its tasks together.
    ///
    /// # Errors
    /// As [`Services::nodes`].
    async fn logs(
        &self,
        cx: &Cx,
        manager: &HostAddress,
        service: &str,
        lines: usize,
    ) -> Result<Vec<String>, Fault>;
}
