//! Scratch databases of the lab's servers, and jobs on them.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use indexmap::IndexMap;
use stagecraft::database;
use stagecraft::model::event::{Event, EventKind};
use stagecraft::model::fault::Fault;
use stagecraft::model::host::{Host, HostAddress};
use stagecraft::model::image::PinnedImage;
use stagecraft::model::project::{
    Batch, DatabaseSpec, EnvSpec, Environment, ImageSource, MigrationSource, MigrationSpec,
    MigrationStrategy, Mode, OnFailure, Rollout, Safety, Strategy, Via, Volume,
};
use stagecraft::model::secret::Secret;
use stagecraft::ports::{
    Claim, Connections, ContainerRunner, Cx, Database, Databases, HostLink, Job, LedgerRow, Route,
    SessionOptions, Which, Who,
};
use tokio::sync::mpsc::{UnboundedReceiver, unbounded_channel};
use tokio_util::sync::CancellationToken;

pub struct Values(pub HashMap<String, String>);

#[async_trait]
impl Connections for Values {
    async fn get(&self, name: &str) -> Result<Secret, Fault> {
        let value = self.0.get(name).cloned();
        value
            .map(Secret::new)
            .ok_or_else(|| Fault::config(format!("`{name}` is not set")))
    }
}

pub struct Heard(UnboundedReceiver<Event>);

impl Heard {
    pub fn warnings(&mut self) -> Vec<String> {
        let mut texts = vec![];
        while let Ok(event) = self.0.try_recv() {
            if let EventKind::Warning { text } = event.kind {
                texts.push(text);
            }
        }
        texts
    }

    pub fn output(&mut self) -> Vec<String> {
        let mut lines = vec![];
        while let Ok(event) = self.0.try_recv() {
            if let EventKind::Output { line } = event.kind {
                lines.push(line);
            }
        }
        lines
    }
}

pub fn cx() -> (Cx, Heard, CancellationToken) {
    let (events, heard) = unbounded_channel();
    let token = CancellationToken::new();
    (Cx::new(events, token.clone()), Heard(heard), token)
}

/// A value of `lab.env`.
pub fn lab(key: &str) -> String {
    let text = std::fs::read_to_string("/tmp/stagecraft-lab/lab.env")
        .expect("the lab is up: `tests/lab/up`");
    text.lines()
        .filter_map(|line| line.split_once('='))
        .find(|(name, _)| *name == key)
        .map(|(_, value)| value.to_owned())
        .unwrap_or_else(|| panic!("lab.env has no {key}"))
}

/// A scratch database, dropped in the end.
pub struct Scratch {
    pub name: String,
    dialect: Kind,
}

#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    Postgres,
    Mysql,
}

impl Scratch {
    pub fn new(kind: Kind) -> Self {
        let scratch = Self {
            name: format!("scratch_{}", uuid::Uuid::now_v7().simple()),
            dialect: kind,
        };
        scratch.admin(&match kind {
            Kind::Postgres => format!("CREATE DATABASE {} OWNER app", scratch.name),
            Kind::Mysql => format!("CREATE DATABASE {}", scratch.name),
        });
        scratch
    }

    /// Runs SQL by the database's own program, as a user who may make databases.
    pub fn admin(&self, sql: &str) -> String {
        match self.dialect {
            Kind::Postgres => psql(&lab("LAB_POSTGRES_ADMIN_URL"), sql),
            Kind::Mysql => mysql(&lab("LAB_MYSQL_URL"), sql),
        }
    }

    /// The lab's URL with this database; `hosts`: as the lab's hosts see it.
    pub fn url(&self, hosts: Seen) -> String {
        let key = match (self.dialect, hosts) {
            (Kind::Postgres, Seen::Here) => "LAB_POSTGRES_URL",
            (Kind::Postgres, Seen::FromHosts) => "LAB_POSTGRES_URL_HOSTS",
            (Kind::Mysql, Seen::Here) => "LAB_MYSQL_URL",
            (Kind::Mysql, Seen::FromHosts) => "LAB_MYSQL_URL_HOSTS",
        };
        let url = lab(key);
        let (server, _) = url.rsplit_once('/').expect("a URL with a database");
        format!("{server}/{}", self.name)
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Seen {
    Here,
    FromHosts,
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let force = match self.dialect {
            Kind::Postgres => " WITH (FORCE)",
            Kind::Mysql => "",
        };
        self.admin(&format!("DROP DATABASE {}{force}", self.name));
    }
}

pub fn psql(url: &str, sql: &str) -> String {
    let mut psql = std::process::Command::new("psql");
    output(psql.args([url, "-XAtqc", sql]))
}

pub fn mysql(url: &str, sql: &str) -> String {
    let (_, rest) = url.split_once("://").expect("a URL");
    let (login, place) = rest.split_once('@').expect("a login");
    let (user, password) = login.split_once(':').expect("a password");
    let (address, database) = place.split_once('/').expect("a database");
    let (host, port) = address.split_once(':').expect("a port");
    let mut mysql = std::process::Command::new("mysql");
    output(
        mysql
            .env("MYSQL_PWD", password)
            .args(["-h", host, "-P", port, "-u", user, "-Ne", sql, database]),
    )
}

fn output(command: &mut std::process::Command) -> String {
    let output = command.output().expect("the program runs");
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    String::from_utf8_lossy(&output.stdout).trim().to_owned()
}

/// What a session is opened with; every field may be changed.
pub struct Bench {
    pub environment: Environment,
    pub values: Values,
    pub image: Option<PinnedImage>,
    pub link: Arc<dyn HostLink>,
    pub runner: Arc<dyn ContainerRunner>,
    pub options: SessionOptions,
    databases: Arc<dyn Databases>,
}

impl Bench {
    pub fn new(
        url: &str,
        host: &str,
        link: Arc<dyn HostLink>,
        runner: Arc<dyn ContainerRunner>,
    ) -> Self {
        let host: HostAddress = host.parse().expect("an address");
        Self {
            databases: database::databases(Arc::clone(&link), Arc::clone(&runner)),
            environment: environment(host),
            values: Values(HashMap::from([("DATABASE_URL".to_owned(), url.to_owned())])),
            image: None,
            link,
            runner,
            options: SessionOptions {
                lock_timeout: Duration::from_millis(500),
                statement_timeout: Duration::from_secs(20),
                session_sql: vec![],
                application_name: "stagecraft/rel-1".to_owned(),
                read_only: false,
                who: Who::Migrator,
                which: Which::Configured,
            },
        }
    }

    pub fn via(mut self, via: Via) -> Self {
        self.environment.databases[0].via = via;
        self
    }

    /// Volumes of the role that one-off containers stand for.
    pub fn volume(mut self, source: &str, target: &str) -> Self {
        self.environment.roles[0].volumes.push(Volume {
            source: source.to_owned(),
            target: target.to_owned(),
            read_only: false,
        });
        self
    }

    fn job(&self) -> Job<'_> {
        Job {
            environment: &self.environment,
            database: &self.environment.databases[0],
            host: &self.environment.hosts[0].address,
            image: self.image.as_ref(),
            files: None,
            release: None,
            which: self.options.which.clone(),
            values: &self.values,
            runner: &*self.runner,
            link: &*self.link,
        }
    }

    pub async fn route(&self) -> Route {
        self.databases.route(&self.job()).await.expect("a route")
    }

    pub async fn try_open(&self, cx: &Cx) -> Result<Box<dyn Database>, Fault> {
        self.databases.open(cx, &self.job(), &self.options).await
    }

    pub async fn open(&self) -> Box<dyn Database> {
        self.try_open(&cx().0).await.expect("a session")
    }

    /// A session that holds the lock, with the table made.
    pub async fn migrator(&self) -> Box<dyn Database> {
        let mut session = self.open().await;
        session
            .lock(&cx().0, &claim(), Duration::ZERO)
            .await
            .expect("the lock");
        session.prepare().await.expect("the table");
        session
    }
}

/// Of a step of its own.
pub fn claim() -> Claim {
    Claim {
        step: uuid::Uuid::now_v7(),
        entry: "main".to_owned(),
    }
}

pub fn row(id: &str) -> LedgerRow {
    LedgerRow {
        database: "main".to_owned(),
        id: id.to_owned(),
        checksum: "it's \\ é".to_owned(),
        transactional: true,
        started_at: "2026-01-01T00:00:00Z".to_owned(),
        finished_at: Some("2026-01-01T00:00:01Z".to_owned()),
        duration_ms: Some(1000),
        statements_total: 2,
        statements_begun: 2,
        statements_done: 2,
        release: "rel-1".to_owned(),
        tool_version: "0.1.0".to_owned(),
        ..LedgerRow::default()
    }
}

fn environment(host: HostAddress) -> Environment {
    let web: stagecraft::model::names::RoleName = "web".parse().expect("a name");
    let main: stagecraft::model::names::DatabaseName = "main".parse().expect("a name");
    Environment {
        project: format!("db{}", std::process::id()).parse().expect("a name"),
        name: "lab".parse().expect("a name"),
        root: std::env::temp_dir(),
        config_file: std::env::temp_dir().join("stagecraft.yml"),
        config_hash: String::new(),
        mode: Mode::Deploy,
        protected: false,
        hosts: vec![Host {
            address: host,
            roles: vec![web.clone()],
            primary: true,
        }],
        registry: None,
        source: ImageSource::Prebuilt("none".to_owned()),
        env: EnvSpec::default(),
        roles: IndexMap::from([(web.clone(), role(&web))]),
        databases: IndexMap::from([(main.clone(), spec(main, web))]),
        rollout: Rollout {
            strategy: Strategy::Recreate,
            batch: Batch::Percent(100),
            pause: Duration::ZERO,
            keep: 0,
        },
        schema_gate: None,
        proxy: None,
        health_before: false,
        health_after: false,
        on_failure: OnFailure::Stop,
        env_file: None,
        secrets_command: None,
    }
}

fn role(name: &stagecraft::model::names::RoleName) -> stagecraft::model::project::Role {
    use stagecraft::model::project::{Health, HealthCheck, Role};
    Role {
        name: name.clone(),
        port: None,
        publish: None,
        command: None,
        health: Health {
            check: HealthCheck::None,
            timeout: Duration::from_secs(1),
            interval: Duration::from_secs(1),
        },
        replicas: 1,
        volumes: vec![],
        stop: stagecraft::model::container::StopPolicy::default(),
        overlap: true,
    }
}

fn spec(
    name: stagecraft::model::names::DatabaseName,
    role: stagecraft::model::names::RoleName,
) -> DatabaseSpec {
    DatabaseSpec {
        name,
        connection_env: Some("DATABASE_URL".to_owned()),
        direct_connection_env: None,
        via: Via::Auto,
        migrations: MigrationSpec {
            engine: "raw".to_owned(),
            path: None,
            path_written: None,
            source: MigrationSource::Checkout,
            strategy: MigrationStrategy::PreDeploy,
            lock_wait: Duration::from_secs(1),
            lock_timeout: Duration::from_secs(1),
            lock_retries: 1,
            statement_timeout: Duration::from_secs(1),
            timeout: Duration::from_secs(60),
            pattern: None,
            ledger: None,
            session_sql: vec![],
            role,
            options: serde_json::Map::new(),
        },
        backup_before_migrate: false,
        backup_keep: 1,
        safety_breaking: Safety::Off,
        safety_blocking: Safety::Off,
    }
}
