use std::collections::BTreeMap;

use async_trait::async_trait;
use serde::{Deserialize, Serialize};

use crate::model::container::{Container, ContainerSpec, StopPolicy};
use crate::model::fault::Fault;
use crate::model::host::HostAddress;
use crate::model::image::PinnedImage;
use crate::model::names::RoleName;
use crate::model::project::{Health, Rollout, SchemaGate};
use crate::model::release::ReleaseId;
use crate::model::route::{Route, Server};
use crate::model::service::ServiceSpec;
use crate::model::slot::{Arrival, Manner, OldOnes};

use super::Cx;

/// One replica of one role on one host, new and old.
#[derive(Debug, Clone)]
pub struct Slot {
    pub role: RoleName,
    pub manner: Manner,
    pub arrival: Arrival,
    /// The port inside the container that the proxy sends requests to.
    pub behind_proxy: Option<u16>,
    pub new: ContainerSpec,
    pub health: Health,
    /// The containers that it takes the place of, and the rules that they were
    /// started under: an undo judges them by these, never by the new ones.
    pub old: Vec<Container>,
    pub old_health: Health,
    pub old_stop: StopPolicy,
}

/// What happens on one host.
#[derive(Debug, Clone)]
pub struct HostStep {
    pub host: HostAddress,
    pub slots: Vec<Slot>,
    /// Who answers behind the proxy until this rollout.
    pub old_servers: Vec<Server>,
    pub old_ones: OldOnes,
    /// Containers that no longer belong here: of roles that this host no longer
    /// runs, or left by earlier releases. They stop with the old ones; the live
    /// release's come back with an undo.
    pub leftovers: Vec<Container>,
    /// Stopped ones that are no way back any more: removed at the very end.
    pub outdated: Vec<Container>,
}

/// The whole rollout, complete before anything is changed.
#[derive(Debug, Clone)]
pub struct RolloutPlan {
    pub release: ReleaseId,
    /// The release that serves until this one does.
    pub live: Option<ReleaseId>,
    pub image: PinnedImage,
    pub rollout: Rollout,
    /// What the proxies know the environment by.
    pub route: Option<Route>,
    /// Hosts whose proxies know the environment, by this key, and have nothing
    /// of it behind them any more.
    pub unrouted: Vec<(HostAddress, String)>,
    /// Asked before any traffic moves.
    pub gate: Option<SchemaGate>,
    /// In running order; hosts of one batch go at the same time.
    pub batches: Vec<Vec<HostStep>>,
    /// Where the roles are services of a Swarm: the hosts above are its nodes,
    /// without slots, for their proxies alone.
    pub swarm: Option<SwarmPlan>,
}

/// What becomes of the services of a Swarm.
#[derive(Debug, Clone)]
pub struct SwarmPlan {
    /// Takes the orders.
    pub manager: HostAddress,
    /// Hosts by their ids as nodes.
    pub nodes: Vec<(String, HostAddress)>,
    /// The labels of everything of this environment.
    pub labels: BTreeMap<String, String>,
    pub services: Vec<ServiceStep>,
}

/// One role as a service.
#[derive(Debug, Clone)]
pub struct ServiceStep {
    pub role: RoleName,
    /// Beside: a service of its own, next to the old release's. In place: the
    /// same service is updated by the engine.
    pub manner: Manner,
    pub behind_proxy: Option<u16>,
    pub new: ServiceSpec,
    pub health: Health,
    /// How the old release's tasks end, for what drains.
    pub old_stop: StopPolicy,
}

/// What a finished rollout left running.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct RolloutReport {
    /// Host and the names of its new containers.
    pub hosts: Vec<(HostAddress, Vec<String>)>,
}

/// A rollout that failed, and what became of its undo.
#[derive(Debug, Clone)]
pub struct RolloutFailure {
    pub fault: Fault,
    /// Hosts on which something was changed and is as before again.
    pub undone: Vec<HostAddress>,
    /// Hosts that could not be put back, with the reason. Empty: the old
    /// release serves everywhere again.
    pub not_undone: Vec<(HostAddress, String)>,
}

/// How new containers take the place of old ones: do and undo side by side.
#[async_trait]
pub trait RolloutStrategy: Send + Sync {
    /// Rolls out, and on any failure or interruption puts back every host that
    /// it changed. Looks before each action, so it can be run again.
    ///
    /// # Errors
    /// The first failure; its undo is done by then.
    async fn roll(&self, cx: &Cx, plan: &RolloutPlan) -> Result<RolloutReport, RolloutFailure>;

    /// Brings the old containers back on every host, by looking at what is
    /// there: for `deploy --abort` after a cut.
    ///
    /// # Errors
    /// Hosts that could not be put back.
    async fn put_back(&self, cx: &Cx, plan: &RolloutPlan) -> Result<(), RolloutFailure>;

    /// Ends what the finished rollout left behind: the old containers drain
    /// and stop, and what is no way back any more is removed. Only called once
    /// the rollout is recorded as completed; until then they are the way back.
    /// Returns what could not be ended, in words.
    async fn retire(&self, cx: &Cx, plan: &RolloutPlan) -> Vec<String>;
}
