//! Stagecraft takes an application from a checkout to running containers on
//! one or many Docker hosts, with its database migrations as first-class steps,
//! and takes it back again.
//!
//! # The map of the house
//!
//! ```text
//! argv ─cli─▶ args ─config─▶ Environment ─wiring─▶ ports ─observe─▶ Facts (read only)
//! Environment × History × Facts ─plan (pure)─▶ DeployPlan ─gate─▶ go / ask / refuse
//! DeployPlan ─Deployer(journal)─▶ Release ─ui─▶ people, JSON, exit code
//! ```
//!
//! | module | what it is | imports |
//! |---|---|---|
//! | [`model`] | the shared words: plain data, no I/O | nothing |
//! | [`ports`] | the seams, a trait a file | `model` |
//! | [`plan`] | pure: facts become a plan; gates | `model` |
//! | [`config`] | the only YAML; where secret values come from | `model`, `ports` (for `Connections` alone) |
//! | [`deploy`] | the deployer, its journal, observing, resuming | `plan`, `ports`, `model` |
//! | [`release`] | `releases.json`, durable | `ports`, `model` |
//! | [`migrate`] | the migrator and its engines | `ports`, `model` |
//! | [`database`] | PostgreSQL, MySQL, SQLite, and their backups | `ports`, `model` |
//! | [`rollout`] | strategies: do and undo side by side | `ports`, `model` |
//! | [`docker`] | the only bollard: build, push, transfer, run | `ports`, `model` |
//! | [`ssh`] | the only openssh: one connection a host, the lock | `ports`, `model` |
//! | [`proxy`] | the proxy on each host | `ports`, `model` |
//! | [`http`] | health probes | `ports`, `model` |
//! | [`ui`] | the only place that prints | `model`, `plan` |
//! | [`cli`] | the only clap; joins everything | everything |
//!
//! Adapters never import each other. `tests/architecture.rs` enforces the table.
//!
//! # One deploy, from end to end
//!
//! `cli::deploy` loads the [`config`], wires the ports (`cli::wiring`), takes the
//! environment lock, and lets [`deploy::Observer`] look: hosts, containers,
//! image, databases, history. [`plan::deploy`] makes a complete plan of it;
//! [`plan::gate`] says go, ask or refuse. [`deploy::Deployer`] runs it phase by
//! phase through [`deploy::Journal`], the only writer of phase marks:
//!
//! ```text
//! build → push → pre-deploy migrations → rollout → post-deploy migrations → finalize
//! ```
//!
//! What was built is what migrates and what runs: after the push only a
//! [`model::image::PinnedImage`] is accepted. A failed phase ends the release;
//! a rollout that fails has put every host back by the time it returns.
//!
//! # Words
//!
//! project: the application · environment: a named target · host: a machine with
//! Docker · role: what a container on a host is for · release: one attempt to put
//! an image into an environment · phase: one of the six steps · engine: how one
//! migration tool is driven · strategy: when a database's migrations run · gate:
//! a check that can stop or ask · ledger: the checksum file of the repository ·
//! journal: the durable record of a release's phases · slot: the old or the new
//! set of containers on a host.

pub mod cli;
pub mod config;
pub mod database;
pub mod deploy;
pub mod docker;
pub mod http;
pub mod migrate;
pub mod model;
pub mod plan;
pub mod ports;
pub mod proxy;
pub mod release;
pub mod rollout;
pub mod ssh;
pub mod ui;
