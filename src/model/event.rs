//! What happens, as data: the interface between the pipeline and its displays.
//!
//! Only the journal sends the life-cycle kinds (phases, release); adapters may
//! send steps, output, progress, retries and warnings. They cannot claim that
//! a phase succeeded.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use super::host::HostAddress;
use super::names::DatabaseName;
use super::phase::{Phase, Status};

/// Where in the work an event belongs.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Scope {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub phase: Option<Phase>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub host: Option<HostAddress>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub database: Option<DatabaseName>,
}

/// One thing that happened.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Event {
    pub at: DateTime<Utc>,
    #[serde(flatten)]
    pub scope: Scope,
    #[serde(flatten)]
    pub kind: EventKind,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Unit {
    Bytes,
    Items,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "event", rename_all = "snake_case")]
pub enum EventKind {
    /// A release was recorded as begun.
    ReleaseStarted {
        release: String,
        version: String,
    },
    PhaseStarted,
    /// Terminal for the phase: no more events of it will follow.
    PhaseFinished {
        status: Status,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        reason: Option<String>,
        elapsed_ms: u64,
    },
    /// Something was done, in the past tense: `started shop-prod-web-1`.
    Step {
        text: String,
    },
    /// A line that a tool, container or database printed.
    Output {
        line: String,
    },
    /// May be dropped by a display.
    Progress {
        what: String,
        done: u64,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        total: Option<u64>,
        unit: Unit,
    },
    /// Something is tried again.
    Retry {
        what: String,
        attempt: u32,
        of: u32,
        reason: String,
    },
    /// The run goes on.
    Warning {
        text: String,
    },
}
