//! Services of a Docker Swarm, and the tasks that the Swarm's own scheduler
//! makes of them.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::container::ContainerSpec;

/// What an engine says of its part in a Swarm.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Member {
    /// Its id as a node.
    pub node: String,
    /// It takes orders for the whole Swarm.
    pub manager: bool,
    /// As a manager knows it; a worker does not say.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub nodes: Option<u64>,
}

/// A service as it should be.
#[derive(Debug, Clone)]
pub struct ServiceSpec {
    /// Its name is the service's; its ports are those of each node's own
    /// addresses.
    pub container: ContainerSpec,
    pub replicas: u64,
    /// At most so many on one node.
    pub per_node: Option<u64>,
    /// Asked by the engine itself, inside the container.
    pub check: Option<ServiceCheck>,
    pub update: UpdatePolicy,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ServiceCheck {
    pub command: Vec<String>,
    pub interval: Duration,
    /// How long it may fail after a start.
    pub patience: Duration,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UpdatePolicy {
    /// Tasks that change at the same time; 0: all.
    pub parallelism: u64,
    pub pause: Duration,
    pub order: UpdateOrder,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum UpdateOrder {
    StartFirst,
    StopFirst,
}

/// A service as a manager knows it. What it runs with may hold secrets and is
/// not kept here.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Service {
    pub id: String,
    pub name: String,
    pub labels: BTreeMap<String, String>,
    pub replicas: u64,
    /// Such as `updating`, `completed`, `paused`, `rollback_completed`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub update: Option<UpdateState>,
    /// The labels that it had before its last update, while the engine can
    /// still go back to that.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub labels_before: Option<BTreeMap<String, String>>,
}

impl Service {
    #[must_use]
    pub fn label(&self, key: &str) -> Option<&str> {
        self.labels.get(key).map(String::as_str)
    }
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct UpdateState {
    pub state: String,
    pub message: String,
}

impl UpdateState {
    /// The engine is at work.
    #[must_use]
    pub fn moves(&self) -> bool {
        matches!(self.state.as_str(), "updating" | "rollback_started")
    }

    /// The engine gave the new specification up.
    #[must_use]
    pub fn gave_up(&self) -> bool {
        matches!(
            self.state.as_str(),
            "paused" | "rollback_started" | "rollback_paused" | "rollback_completed"
        )
    }
}

/// One replica of a service, or what is left of one.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Task {
    pub id: String,
    /// Of the slot: 1 and up.
    pub replica: u64,
    /// The release that it was made for.
    pub release: Option<String>,
    pub node: Option<String>,
    pub state: TaskState,
    /// It is to run; otherwise it is on its way out.
    pub wanted: bool,
    /// The engine's own words: `no such image`, `task: non-zero exit (1)`.
    pub error: Option<String>,
    pub container: Option<String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum TaskState {
    /// Waits for a place, an image, a start or its first health check.
    Coming,
    Running,
    /// Ended badly, or could not begin.
    Failed,
    /// Ended as it was told to, or by itself.
    Ended,
}

/// A node of the Swarm.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Node {
    pub id: String,
    pub name: String,
    /// It is up, and takes tasks.
    pub available: bool,
    pub state: String,
}
