//! The pipeline over fakes that stand behind the ports: each phase fails once,
//! every journal write is cut once. The same ports are tested against the real
//! things in `tests/lab`.

#![expect(clippy::unwrap_used, reason = "tests")]

mod blue_green;
mod cuts;
mod fleet;
mod gate;
mod ledger;
mod maintenance;
mod phases;
mod proxies;
mod restarts;
mod rollbacks;
mod safety;
mod stage;
mod status;
mod swarm;
