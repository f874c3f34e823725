//! The resolved configuration of one environment: what every command works on.
//! After this no `Option` means "invalid".

use std::path::PathBuf;
use std::time::Duration;

use indexmap::IndexMap;
use serde::{Deserialize, Serialize};

use super::container::StopPolicy;
use super::host::Host;
use super::names::{DatabaseName, EnvironmentName, ProjectName, RoleName};
use super::route::Route;

/// One environment of one project, merged and checked.
#[derive(Debug, Clone)]
pub struct Environment {
    pub project: ProjectName,
    pub name: EnvironmentName,
    /// The folder of the configuration file; every relative path is resolved
    /// against it already.
    pub root: PathBuf,
    pub config_file: PathBuf,
    /// SHA-256 (hexadecimal) of the merged configuration as written, before
    /// expansion: equal text gives equal hashes on every machine.
    pub config_hash: String,
    pub mode: Mode,
    pub protected: bool,
    /// At least one; in file order.
    pub hosts: Vec<Host>,
    pub registry: Option<Registry>,
    pub source: ImageSource,
    pub env: EnvSpec,
    pub roles: IndexMap<RoleName, Role>,
    pub databases: IndexMap<DatabaseName, DatabaseSpec>,
    pub rollout: Rollout,
    pub schema_gate: Option<SchemaGate>,
    pub proxy: Option<Proxy>,
    pub health_before: bool,
    pub health_after: bool,
    pub on_failure: OnFailure,
    /// Where secret values come from after the process environment.
    pub env_file: Option<PathBuf>,
    pub secrets_command: Option<Vec<String>>,
}

impl Environment {
    /// The host that runs one-off jobs: the first one marked `primary`.
    #[must_use]
    pub fn primary(&self) -> &Host {
        self.hosts
            .iter()
            .find(|host| host.primary)
            .unwrap_or(&self.hosts[0])
    }

    /// `<project>-<environment>`: the network, and the prefix of every
    /// container and volume.
    #[must_use]
    pub fn prefix(&self) -> String {
        format!("{}-{}", self.project, self.name)
    }

    /// What the proxies know this environment by.
    #[must_use]
    pub fn route(&self) -> Option<Route> {
        Some(Route {
            key: self.prefix(),
            proxy: self.proxy.clone()?,
        })
    }

    /// Whether its containers get ports of their hosts that nobody wrote down.
    #[must_use]
    pub fn chooses_ports(&self) -> bool {
        let reached = self.proxy.is_some() || self.schema_gate.is_some();
        reached || self.rollout.strategy == Strategy::Swarm
    }

    /// Whether old containers stay on their hosts, stopped, as the fast way
    /// back.
    #[must_use]
    pub fn keeps_slots(&self) -> bool {
        let side_by_side = match self.rollout.strategy {
            Strategy::BlueGreen => true,
            Strategy::Rolling => self.proxy.is_some(),
            Strategy::Recreate | Strategy::Swarm => false,
        };
        side_by_side && self.rollout.keep > 0
    }

    /// The hosts that run a role, in file order.
    pub fn hosts_of<'a>(&'a self, role: &'a RoleName) -> impl Iterator<Item = &'a Host> {
        let hosts = self.hosts.iter();
        hosts.filter(move |host| host.roles.contains(role))
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Mode {
    /// Committed migrations only, never a question about creating or resetting.
    Deploy,
    Dev,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum OnFailure {
    Stop,
    Restore,
}

/// The image repository and, where the Docker client's own store is not used,
/// the names of the variables that hold its credentials.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Registry {
    pub repository: String,
    pub username_env: Option<String>,
    pub password_env: Option<String>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ImageSource {
    Build(BuildSpec),
    /// A reference, by tag or digest.
    Prebuilt(String),
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BuildSpec {
    /// Absolute.
    pub context: PathBuf,
    /// Absolute.
    pub dockerfile: PathBuf,
    pub target: Option<String>,
    pub args: IndexMap<String, String>,
    /// Names; the values come from the secret sources.
    pub secrets: Vec<String>,
    /// `None`: what the hosts report.
    pub platform: Option<String>,
}

#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct EnvSpec {
    pub clear: IndexMap<String, ClearValue>,
    /// Names only.
    pub secret: Vec<String>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClearValue {
    /// As the file has it, before expansion: what records keep.
    pub written: String,
    pub value: String,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Role {
    pub name: RoleName,
    /// Inside the container.
    pub port: Option<u16>,
    /// On the host; the same number as `port` by default, when no proxy stands
    /// in front.
    pub publish: Option<u16>,
    pub command: Option<Vec<String>>,
    pub health: Health,
    pub replicas: u16,
    /// As written: `name:/path[:ro]` or `/host/path:/path[:ro]`.
    pub volumes: Vec<Volume>,
    pub stop: StopPolicy,
    /// Old and new may run at the same time.
    pub overlap: bool,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Volume {
    /// A volume's name as written (without prefix), or an absolute path.
    pub source: String,
    pub target: String,
    pub read_only: bool,
}

impl Volume {
    /// Named volumes belong to one environment of one project.
    #[must_use]
    pub fn engine_source(&self, prefix: &str) -> String {
        if self.source.starts_with('/') {
            self.source.clone()
        } else {
            format!("{prefix}-{}", self.source)
        }
    }
}

/// How a container proves that it is ready.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Health {
    pub check: HealthCheck,
    /// How long it may take until it is healthy, from its start.
    pub timeout: Duration,
    /// Between two probes.
    pub interval: Duration,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum HealthCheck {
    /// `GET path` answers with 2xx or 3xx.
    Http {
        path: String,
        port: u16,
        host: Option<String>,
    },
    /// Runs inside the container and exits 0.
    Command(Vec<String>),
    /// The port accepts a connection.
    Tcp { port: u16 },
    /// It is enough that the container runs.
    None,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rollout {
    pub strategy: Strategy,
    pub batch: Batch,
    pub pause: Duration,
    /// Stopped slots that stay on each host.
    pub keep: u16,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Strategy {
    BlueGreen,
    Rolling,
    Recreate,
    Swarm,
}

impl Strategy {
    #[must_use]
    pub fn label(self) -> &'static str {
        match self {
            Strategy::BlueGreen => "blue_green",
            Strategy::Rolling => "rolling",
            Strategy::Recreate => "recreate",
            Strategy::Swarm => "swarm",
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Batch {
    Hosts(u16),
    /// 1 to 100.
    Percent(u8),
}

impl Batch {
    /// Hosts in one batch of a fleet; at least one.
    #[must_use]
    pub fn size(self, fleet: usize) -> usize {
        match self {
            Batch::Hosts(hosts) => usize::from(hosts).max(1),
            Batch::Percent(percent) => (fleet * usize::from(percent) / 100).max(1),
        }
    }
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SchemaGate {
    pub path: String,
    pub port: u16,
    pub timeout: Duration,
    pub role: Option<RoleName>,
    pub database: Option<DatabaseName>,
}

impl SchemaGate {
    /// Whether the containers of this role answer at it.
    #[must_use]
    pub fn asks(&self, role: &RoleName) -> bool {
        self.role.as_ref().is_none_or(|asked| asked == role)
    }
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Proxy {
    pub hosts: Vec<String>,
    pub role: RoleName,
    pub tls: Tls,
    pub image: String,
    pub edge_image: String,
    pub http_port: u16,
    pub https_port: u16,
    pub path_prefix: Option<String>,
    /// Bytes. `None`: the application decides.
    pub max_request_body: Option<u64>,
    /// Until an answer begins, and between two pieces of it.
    pub response_timeout: Duration,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Tls {
    Auto,
    Off,
    Internal,
    Files { cert: PathBuf, key: PathBuf },
}

/// A database and how its migrations run.
#[derive(Debug, Clone, PartialEq)]
pub struct DatabaseSpec {
    pub name: DatabaseName,
    /// The variable that holds the connection URL. `None` only for engines
    /// that open no connection (`app`).
    pub connection_env: Option<String>,
    pub direct_connection_env: Option<String>,
    pub via: Via,
    pub migrations: MigrationSpec,
    pub backup_before_migrate: bool,
    pub backup_keep: u16,
    pub safety_breaking: Safety,
    pub safety_blocking: Safety,
}

/// Who opens the connection to a database.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Via {
    Auto,
    Direct,
    Host,
    Container,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Safety {
    Off,
    Warn,
    Approve,
    Block,
}

/// The keys of a database that its engine cannot do without.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct EngineNeeds {
    /// `migrations.path`.
    pub path: bool,
    /// `connection_env`.
    pub connection: bool,
}

#[derive(Debug, Clone, PartialEq)]
pub struct MigrationSpec {
    /// An id that the engine registry knows.
    pub engine: String,
    /// Absolute; `None` where the engine declares that it has none.
    pub path: Option<PathBuf>,
    /// As the file has it, for messages.
    pub path_written: Option<String>,
    pub source: MigrationSource,
    pub strategy: MigrationStrategy,
    pub lock_wait: Duration,
    pub lock_timeout: Duration,
    pub lock_retries: u32,
    pub statement_timeout: Duration,
    pub timeout: Duration,
    /// A regular expression that every file name must match.
    pub pattern: Option<String>,
    pub ledger: Option<PathBuf>,
    pub session_sql: Vec<String>,
    /// The role whose environment and volumes one-off containers get.
    pub role: RoleName,
    /// For the engine, whole.
    pub options: serde_json::Map<String, serde_json::Value>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum MigrationSource {
    Checkout,
    Image,
}

/// When a database's migrations run.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, schemars::JsonSchema,
)]
#[serde(rename_all = "snake_case")]
pub enum MigrationStrategy {
    PreDeploy,
    PostDeploy,
    Manual,
}

impl MigrationStrategy {
    #[must_use]
    pub fn label(self) -> &'static str {
        match self {
            MigrationStrategy::PreDeploy => "pre_deploy",
            MigrationStrategy::PostDeploy => "post_deploy",
            MigrationStrategy::Manual => "manual",
        }
    }
}
