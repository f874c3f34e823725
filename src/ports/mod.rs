//! The seams: a trait a file. Adapters implement them, `deploy` and `rollout`
//! talk to nothing else.
//!
//! Every method is total (no default "unsupported"), idempotent by contract,
//! and given a [`Cx`]: a way to report and a way to be stopped.

mod backup;
mod builder;
mod claims;
mod connections;
mod cx;
mod database;
mod engine;
mod fetch;
mod folders;
mod ledger;
mod link;
mod lock;
mod migrator;
mod probe;
mod proxy;
mod pusher;
mod rollout;
mod runner;
mod schema;
mod services;

pub use backup::{Backups, SESSIONS_TO_COPY};
pub use builder::Builder;
pub use claims::{Claimed, EngineClaims};
pub use connections::{Connections, Lookup};
pub use cx::{Cx, Reporter};
pub use database::{
    Claim, Database, Databases, Dialect, Hold, LedgerRow, Route, SessionOptions, SqlError,
    SqlErrorKind, Which, Who,
};
pub use engine::{Begun, Ended, Engine, Job, Kept};
pub use fetch::{Fetch, Fetched, Method, Request};
pub use folders::StateFolders;
pub use ledger::Ledger;
pub use link::{ByteStream, HostLink, RemoteExit, RemoteProcess, ReverseForward, Target};
pub use lock::{Held, Holder, Lock, Loss};
pub use migrator::Migrator;
pub use probe::{Answer, Probe};
pub use proxy::{Maintenance, Proxy};
pub use pusher::Pusher;
pub use rollout::{
    HostStep, RolloutFailure, RolloutPlan, RolloutReport, RolloutStrategy, ServiceStep, Slot,
    SwarmPlan,
};
pub use runner::{Attached, ContainerRunner, Content, FolderEntry, ImageCheck};
pub use schema::schema_status;
pub use services::Services;
