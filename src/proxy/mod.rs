//! The proxy on each host. Imports `ports`, `model`.

use std::sync::Arc;

use async_trait::async_trait;

use crate::model::fault::Fault;
use crate::model::host::HostAddress;
use crate::model::route::{Route, Server, Traffic};
use crate::ports::{ContainerRunner, Cx, Fetch, HostLink, Maintenance, Proxy};

/// The proxies of all hosts.
#[must_use]
pub fn proxies(
    _: Arc<dyn HostLink>,
    _: Arc<dyn ContainerRunner>,
    _: Arc<dyn Fetch>,
) -> Arc<dyn Proxy> {
    Arc::new(Absent)
}

/// Hosts have no proxy yet; a configuration that asks for one is refused
/// before anything comes here.
struct Absent;

fn absent<T>() -> Result<T, Fault> {
    Err(Fault::internal("hosts have no proxy yet"))
}

#[async_trait]
impl Proxy for Absent {
    async fn look(&self, _: &Cx, _: &HostAddress, _: &Route) -> Result<Option<Traffic>, Fault> {
        absent()
    }

    async fn ensure(&self, _: &Cx, _: &HostAddress, _: &Route, _: &[Server]) -> Result<(), Fault> {
        absent()
    }

    async fn switch(&self, _: &Cx, _: &HostAddress, _: &Route, _: &[Server]) -> Result<(), Fault> {
        absent()
    }

    async fn confirm(
        &self,
        _: &Cx,
        _: &HostAddress,
        _: &Route,
        _: &str,
        _: &[Server],
    ) -> Result<(), Fault> {
        absent()
    }

    async fn keep(&self, _: &Cx, _: &HostAddress, _: &Route, _: &[Server]) -> Result<(), Fault> {
        absent()
    }

    async fn open_connections(
        &self,
        _: &Cx,
        _: &HostAddress,
        _: &Route,
        _: &[Server],
    ) -> Result<u64, Fault> {
        absent()
    }

    async fn forget_others(
        &self,
        _: &Cx,
        _: &HostAddress,
        _: &Route,
        _: &[Server],
    ) -> Result<(), Fault> {
        absent()
    }

    async fn maintenance(
        &self,
        _: &Cx,
        _: &HostAddress,
        _: &Route,
        _: Maintenance,
    ) -> Result<(), Fault> {
        absent()
    }
}
