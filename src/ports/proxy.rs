use async_trait::async_trait;

use crate::model::fault::Fault;
use crate::model::host::HostAddress;
use crate::model::route::{Route, Server, Traffic};

use super::Cx;

/// Whether an environment's requests reach it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Maintenance {
    /// Every request is answered with 503 and a page.
    On,
    Off,
}

/// The proxy of a host: one for all projects, each of which sees only its own
/// route. Nothing here reloads it or closes a connection of a client. Every
/// method may be called again after a cut.
#[async_trait]
pub trait Proxy: Send + Sync {
    /// How the route stands. `None`: no proxy on this host, or one that does
    /// not know the route. Read-only.
    ///
    /// # Errors
    /// The host cannot be reached, or the proxy does not answer.
    async fn look(
        &self,
        cx: &Cx,
        host: &HostAddress,
        route: &Route,
    ) -> Result<Option<Traffic>, Fault>;

    /// Makes the proxy run and know the route, with everything it needs from
    /// its files or, where these are lost, from the labels of the containers
    /// that run. Traffic stays as it is: where the route is new, or its state
    /// is lost, `serving` get it (none: it answers 503).
    ///
    /// # Errors
    /// `Refused`: another project uses this host's proxy with other ports, or
    /// answers under the same names. `Failed`: it does not start, with its
    /// last lines.
    async fn ensure(
        &self,
        cx: &Cx,
        host: &HostAddress,
        route: &Route,
        serving: &[Server],
    ) -> Result<(), Fault>;

    /// From this moment every new request goes to `to` and to nobody else, in
    /// one step. Requests that run, and connections that are open (WebSocket),
    /// stay with whom they are.
    ///
    /// # Errors
    /// The proxy cannot be reached, or refuses; it is as it was then.
    async fn switch(
        &self,
        cx: &Cx,
        host: &HostAddress,
        route: &Route,
        to: &[Server],
    ) -> Result<(), Fault>;

    /// Asks `path` through the proxy, as a client would, until one of `expected`
    /// answers or a few seconds are over.
    ///
    /// # Errors
    /// Somebody else answers, or nobody does.
    async fn confirm(
        &self,
        cx: &Cx,
        host: &HostAddress,
        route: &Route,
        path: &str,
        expected: &[Server],
    ) -> Result<(), Fault>;

    /// Writes what a restart of the proxy reads: only what the whole fleet has
    /// confirmed.
    ///
    /// # Errors
    /// The host cannot be reached, or does not take it.
    async fn keep(
        &self,
        cx: &Cx,
        host: &HostAddress,
        route: &Route,
        serving: &[Server],
    ) -> Result<(), Fault>;

    /// How many requests and connections these still have open.
    ///
    /// # Errors
    /// The proxy cannot be reached.
    async fn open_connections(
        &self,
        cx: &Cx,
        host: &HostAddress,
        route: &Route,
        of: &[Server],
    ) -> Result<u64, Fault>;

    /// Forgets every server of the route that is not in `serving`: they are
    /// drained, or will be cut off.
    ///
    /// # Errors
    /// The proxy cannot be reached.
    async fn forget_others(
        &self,
        cx: &Cx,
        host: &HostAddress,
        route: &Route,
        serving: &[Server],
    ) -> Result<(), Fault>;

    /// Gives back the place of a route (by its key) that has nothing behind
    /// the proxy any more. Nothing of it is left; where the proxy does not
    /// know it, or does not run, nothing happens.
    ///
    /// # Errors
    /// The host cannot be reached, or does not take it.
    async fn forget(&self, cx: &Cx, host: &HostAddress, key: &str) -> Result<(), Fault>;

    /// Survives a restart of the proxy.
    ///
    /// # Errors
    /// The proxy cannot be reached.
    async fn maintenance(
        &self,
        cx: &Cx,
        host: &HostAddress,
        route: &Route,
        mode: Maintenance,
    ) -> Result<(), Fault>;
}
