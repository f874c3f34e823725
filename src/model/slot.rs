//! A slot: the old or the new set of an environment's containers on a host,
//! and how one takes the place of the other.

use serde::{Deserialize, Serialize};

/// How a new container takes the place of an old one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Manner {
    /// It starts and proves itself beside the old one, which ends later.
    Beside,
    /// The old one ends first: both need the same port, or must never run at
    /// the same time.
    InPlace,
}

/// Where a slot's container comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Arrival {
    Made,
    /// A kept one, stopped, is started again.
    StartedAgain,
}

/// What becomes of the old containers once the new ones are recorded as live.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum OldOnes {
    /// They stay, stopped: the way back takes a second.
    Kept,
    Removed,
}
