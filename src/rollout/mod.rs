//! How new containers take the place of old ones on a whole fleet: do and undo
//! side by side. Imports `ports`, `model`.
//!
//! One strategy, [`fleet`], does `blue_green`, `rolling` and `recreate`: they
//! are the same steps, and the plan has decided everything in which they
//! differ. Which hosts go at the same time (`blue_green` and `recreate`: all of
//! them; `rolling`: batch after batch), and for each slot whether the new
//! container starts beside the old one or in its place. Three strategies would
//! be three undos, and an undo is what must not differ. [`swarm`] is the other
//! one: there the engine does the placing.
//!
//! ```text
//! images, ports, proxies ready on every host; what will be replaced in place
//! is asked aside whether it accepts the schema
//!   for each batch: new ones start beside the old, healthy, schema accepted
//!                   ── barrier: all hosts of the batch are ready ──
//!                   traffic moves on all of them, and is seen to have moved
//!                   what cannot run twice is replaced in place
//! every new container still runs; what the proxies read at boot is written
//!   (recorded by the deployer)
//! retire: old ones drain, stop, stay for a rollback; outdated ones go
//! ```

mod aside;
mod beside;
mod fleet;
mod health;
mod in_place;
mod retire;
mod schema;
mod swarm;
mod traffic;
mod watch;

use std::sync::Arc;

use crate::ports::{ContainerRunner, Fetch, Probe, Proxy, RolloutStrategy, Services};

/// What every step of a rollout works with.
#[derive(Clone)]
pub struct Hands {
    pub runner: Arc<dyn ContainerRunner>,
    pub probe: Arc<dyn Probe>,
    pub fetch: Arc<dyn Fetch>,
    pub proxy: Arc<dyn Proxy>,
}

/// The strategy of hosts whose containers Stagecraft places itself.
#[must_use]
pub fn fleet(hands: Hands) -> Arc<dyn RolloutStrategy> {
    Arc::new(fleet::Fleet { hands })
}

/// The strategy of hosts that are the nodes of a Swarm.
#[must_use]
pub fn swarm(hands: Hands, services: Arc<dyn Services>) -> Arc<dyn RolloutStrategy> {
    Arc::new(swarm::Swarm { hands, services })
}
