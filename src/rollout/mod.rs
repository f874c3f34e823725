//! Strategies: how new containers take the place of old ones. Do and undo
//! stand side by side. Imports `ports`, `model`.
//!
//! `recreate` is `rolling` with one batch for the whole fleet: both replace
//! containers on a host in place, since both bind the same port. One strategy,
//! [`replace`], does both.

mod aside;
mod health;
mod host;
mod replace;
mod schema;

use std::sync::Arc;

use crate::ports::{ContainerRunner, Fetch, Probe, RolloutStrategy};

/// The strategy for roles that no proxy stands in front of.
#[must_use]
pub fn in_place(
    runner: Arc<dyn ContainerRunner>,
    probe: Arc<dyn Probe>,
    fetch: Arc<dyn Fetch>,
) -> Arc<dyn RolloutStrategy> {
    Arc::new(replace::Replace {
        runner,
        probe,
        fetch,
    })
}
