//! A project with one or two databases in a temporary folder, and the migrator
//! over the real adapters. Containers are stood for by processes of this
//! machine: what an engine asks of them is the same.

use std::collections::{BTreeMap, HashMap};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use indexmap::IndexMap;
use stagecraft::database::databases;
use stagecraft::http::Prober;
use stagecraft::migrate::{Registry, RegistryError, Tools, migrator, reset};
use stagecraft::model::command_line::CommandLine;
use stagecraft::model::container::{Container, ContainerSpec, EngineFacts, Exit, StopPolicy};
use stagecraft::model::event::{Event, EventKind};
use stagecraft::model::fault::Fault;
use stagecraft::model::host::{Host, HostAddress};
use stagecraft::model::image::{Carriage, PinnedImage};
use stagecraft::model::migration::{
    MigrationFailure, MigrationPlan, MigrationReport, MigrationRequest,
};
use stagecraft::model::names::DatabaseName;
use stagecraft::model::project::{
    ClearValue, DatabaseSpec, EnvSpec, Environment, Health, HealthCheck, ImageSource,
    MigrationSource, MigrationSpec, MigrationStrategy, Mode, OnFailure, Role, Rollout, Safety,
    Strategy, Via,
};
use stagecraft::model::release::ReleaseId;
use stagecraft::model::secret::Secret;
use stagecraft::ports::{
    Attached, ByteStream, Connections, ContainerRunner, Content, Cx, Database, Databases, Engine,
    FolderEntry, HostLink, ImageCheck, Job, Migrator, RemoteExit, RemoteProcess, ReverseForward,
    SessionOptions, Target, Which, Who,
};
use tokio::sync::mpsc::UnboundedReceiver;
use tokio_util::sync::CancellationToken;

/// A project folder, its databases, and everything that a run is given.
pub(crate) struct Project {
    pub(crate) dir: tempfile::TempDir,
    pub(crate) environment: Environment,
    values: HashMap<String, String>,
    pub(crate) cancel: CancellationToken,
    /// What runs on the primary host.
    pub(crate) containers: Vec<Container>,
    /// One that is added to those that are known.
    pub(crate) engine: Option<Arc<dyn Engine>>,
    /// Where engines are looked for.
    pub(crate) path: Option<PathBuf>,
    /// Runs are done for this release.
    pub(crate) release: ReleaseId,
}

impl Project {
    /// One database `main` at `url`, its files in `db/migrations`.
    pub(crate) fn new(url: &str) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let root = dir.path().to_owned();
        std::fs::create_dir(root.join("image")).unwrap();
        let web: stagecraft::model::names::RoleName = "web".parse().unwrap();
        let environment = Environment {
            project: "shop".parse().unwrap(),
            name: "prod".parse().unwrap(),
            config_file: root.join("stagecraft.yml"),
            root,
            config_hash: String::new(),
            mode: Mode::Deploy,
            protected: false,
            hosts: vec![Host {
                address: "local".parse().unwrap(),
                roles: vec![web.clone()],
                primary: true,
            }],
            registry: None,
            source: ImageSource::Prebuilt("x".into()),
            env: EnvSpec::default(),
            roles: IndexMap::from([(web.clone(), role(web))]),
            databases: IndexMap::new(),
            rollout: Rollout {
                strategy: Strategy::Recreate,
                batch: stagecraft::model::project::Batch::Percent(100),
                pause: Duration::ZERO,
                keep: 2,
            },
            schema_gate: None,
            proxy: None,
            health_before: false,
            health_after: false,
            on_failure: OnFailure::Stop,
            env_file: None,
            secrets_command: None,
        };
        let mut project = Self {
            dir,
            environment,
            values: HashMap::new(),
            cancel: CancellationToken::new(),
            containers: vec![],
            path: None,
            engine: None,
            release: "rel-20260101-000000001".parse().unwrap(),
        };
        project.database("main", url, "db/migrations");
        project
    }

    /// A project on a new SQLite file.
    pub(crate) fn sqlite() -> Self {
        Self::new("sqlite:app.db")
    }

    pub(crate) fn database(&mut self, name: &str, url: &str, path: &str) {
        let variable = format!("{}_URL", name.to_uppercase());
        let folder = self.dir.path().join(path);
        std::fs::create_dir_all(&folder).unwrap();
        self.values.insert(variable.clone(), url.to_owned());
        let spec = DatabaseSpec {
            name: name.parse().unwrap(),
            connection_env: Some(variable),
            direct_connection_env: None,
            via: Via::Direct,
            migrations: MigrationSpec {
                engine: "raw".into(),
                path: Some(folder),
                path_written: Some(path.to_owned()),
                source: MigrationSource::Checkout,
                strategy: MigrationStrategy::PreDeploy,
                lock_wait: Duration::from_secs(5),
                lock_timeout: Duration::from_millis(300),
                lock_retries: 2,
                statement_timeout: Duration::from_secs(30),
                timeout: Duration::from_secs(60),
                pattern: None,
                ledger: None,
                session_sql: vec![],
                role: "web".parse().unwrap(),
                options: serde_json::Map::new(),
            },
            backup_before_migrate: false,
            backup_keep: 1,
            safety_breaking: Safety::Off,
            safety_blocking: Safety::Off,
        };
        self.environment.databases.insert(spec.name.clone(), spec);
    }

    /// Sets a variable of the containers.
    pub(crate) fn clear(&mut self, name: &str, value: &str) {
        let value = ClearValue {
            written: value.to_owned(),
            value: value.to_owned(),
        };
        self.environment.env.clear.insert(name.to_owned(), value);
    }

    /// From now on the application has a login of its own, beside the
    /// migrator's.
    pub(crate) fn application(&mut self, database: &str, own: &str, migrator: &str) {
        let variable = format!("{}_URL", database.to_uppercase());
        let direct = format!("{}_DIRECT_URL", database.to_uppercase());
        self.values.insert(variable, own.to_owned());
        self.values.insert(direct.clone(), migrator.to_owned());
        let name: DatabaseName = database.parse().unwrap();
        let spec = self.environment.databases.get_mut(&name).unwrap();
        spec.direct_connection_env = Some(direct);
    }

    /// Gives a variable another value.
    pub(crate) fn set(&mut self, variable: &str, value: &str) {
        self.values.insert(variable.to_owned(), value.to_owned());
    }

    pub(crate) fn main(&mut self) -> &mut MigrationSpec {
        &mut self
            .environment
            .databases
            .get_mut(&"main".parse::<DatabaseName>().unwrap())
            .unwrap()
            .migrations
    }

    pub(crate) fn write(&self, name: &str, sql: &str) {
        std::fs::write(self.dir.path().join("db/migrations").join(name), sql).unwrap();
    }

    pub(crate) fn remove(&self, name: &str) {
        std::fs::remove_file(self.dir.path().join("db/migrations").join(name)).unwrap();
    }

    fn migrator(&self) -> Arc<dyn Migrator> {
        let link: Arc<dyn HostLink> = Arc::new(Here);
        let runner: Arc<dyn ContainerRunner> = Arc::new(Processes {
            image: self.dir.path().join("image"),
            containers: self.containers.clone(),
            work: self.dir.path().to_owned(),
            ..Processes::default()
        });
        let registry = self.registry(&link, &runner);
        let databases = databases(Arc::clone(&link), Arc::clone(&runner));
        migrator(
            Arc::new(self.environment.clone()),
            Tools {
                registry: Arc::new(registry),
                values: Arc::new(Values(self.values.clone())),
                runner,
                link,
                databases,
                safeguard: None,
            },
        )
    }

    fn registry(&self, link: &Arc<dyn HostLink>, runner: &Arc<dyn ContainerRunner>) -> Registry {
        let databases = databases(Arc::clone(link), Arc::clone(runner));
        let prober = Arc::new(Prober::new(Arc::clone(link), Arc::clone(runner)));
        let mut registry = Registry::builtin(Arc::clone(&databases), prober);
        if let Some(engine) = &self.engine {
            registry = registry.with(Arc::clone(engine)).unwrap();
        }
        match &self.path {
            Some(path) => registry.on_path(path.as_os_str(), &databases),
            None => registry,
        }
    }

    /// The engines, and one more.
    pub(crate) fn with(&self, engine: Arc<dyn Engine>) -> Result<Registry, RegistryError> {
        let link: Arc<dyn HostLink> = Arc::new(Here);
        let runner: Arc<dyn ContainerRunner> = Arc::new(Processes::default());
        self.registry(&link, &runner).with(engine)
    }

    /// What the engine of `main` says of the configuration.
    pub(crate) async fn problems(&self) -> Vec<String> {
        let link: Arc<dyn HostLink> = Arc::new(Here);
        let runner: Arc<dyn ContainerRunner> = Arc::new(Processes::default());
        let registry = self.registry(&link, &runner);
        let main = &self.environment.databases[0];
        let engine = registry.get(&main.migrations.engine).unwrap();
        engine.validate(main).await
    }

    /// A reading session of its own on `main`.
    pub(crate) async fn session(&self) -> Box<dyn Database> {
        let options = SessionOptions {
            lock_timeout: Duration::from_millis(300),
            statement_timeout: Duration::from_secs(20),
            session_sql: vec![],
            application_name: "stagecraft/look".to_owned(),
            read_only: true,
            who: Who::Migrator,
            which: Which::Configured,
        };
        self.on_main(async |cx, job, databases| databases.open(cx, job, &options).await)
            .await
    }

    /// Drops everything in `main`, as `migrate reset` does.
    pub(crate) async fn empty(&self) {
        self.on_main(async |cx, job, databases| reset::empty(databases, cx, job).await)
            .await;
    }

    async fn on_main<T>(
        &self,
        work: impl AsyncFnOnce(&Cx, &Job<'_>, &dyn Databases) -> Result<T, Fault>,
    ) -> T {
        let link: Arc<dyn HostLink> = Arc::new(Here);
        let runner: Arc<dyn ContainerRunner> = Arc::new(Processes::default());
        let values = Values(self.values.clone());
        let job = Job {
            environment: &self.environment,
            database: &self.environment.databases[0],
            which: Which::Configured,
            host: &self.environment.hosts[0].address,
            image: None,
            files: None,
            release: None,
            values: &values,
            runner: &*runner,
            link: &*link,
        };
        let databases = databases(Arc::clone(&link), Arc::clone(&runner));
        work(&self.cx().0, &job, &*databases).await.unwrap()
    }

    pub(crate) fn cx(&self) -> (Cx, UnboundedReceiver<Event>) {
        let (sender, receiver) = tokio::sync::mpsc::unbounded_channel();
        (Cx::new(sender, self.cancel.clone()), receiver)
    }

    pub(crate) async fn plans(
        &self,
        request: &MigrationRequest,
    ) -> Result<Vec<MigrationPlan>, Fault> {
        let mut request = request.clone();
        request.image = Some(image());
        self.migrator().plan(&self.cx().0, &request).await
    }

    /// The plan of `main`.
    pub(crate) async fn plan(&self) -> MigrationPlan {
        let mut plans = self.plans(&MigrationRequest::default()).await.unwrap();
        plans.remove(0)
    }

    pub(crate) async fn run_plans(&self, plans: &[MigrationPlan]) -> Ran {
        self.run_for(plans, &self.release).await
    }

    /// For a release of the caller's own.
    pub(crate) async fn run_for(&self, plans: &[MigrationPlan], release: &ReleaseId) -> Ran {
        let (cx, mut events) = self.cx();
        let outcome = self
            .migrator()
            .run(&cx, plans, Some(&image()), release)
            .await;
        let mut texts = vec![];
        while let Ok(event) = events.try_recv() {
            match event.kind {
                EventKind::Step { text } | EventKind::Warning { text } => texts.push(text),
                EventKind::Retry { reason, .. } => texts.push(reason),
                EventKind::Output { line } => texts.push(line),
                _ => {}
            }
        }
        Ran { outcome, texts }
    }

    /// Plans everything and runs it.
    pub(crate) async fn run(&self) -> Ran {
        let plans = self.plans(&MigrationRequest::default()).await.unwrap();
        self.run_plans(&plans).await
    }
}

/// What a run ended with, and what it said on the way.
pub(crate) struct Ran {
    pub(crate) outcome: Result<MigrationReport, MigrationFailure>,
    pub(crate) texts: Vec<String>,
}

impl Ran {
    #[track_caller]
    pub(crate) fn fault(&self) -> &Fault {
        &self.outcome.as_ref().unwrap_err().fault
    }

    /// `id outcome`, over all databases.
    pub(crate) fn results(&self) -> Vec<String> {
        let report = match &self.outcome {
            Ok(report) => report,
            Err(failure) => &failure.report,
        };
        let results = report.results();
        results
            .map(|result| format!("{} {}", result.id, result.outcome))
            .collect()
    }

    #[track_caller]
    pub(crate) fn applied(&self) -> usize {
        let report = self.outcome.as_ref().unwrap();
        report.count(stagecraft::model::migration::MigrationOutcome::Applied)
    }
}

pub(crate) fn states(plan: &MigrationPlan) -> Vec<String> {
    let all = plan.migrations.iter();
    all.map(|m| format!("{} {}", m.id, m.state.label()))
        .collect()
}

pub(crate) fn image() -> PinnedImage {
    PinnedImage {
        repository: "shop".into(),
        digest: format!("sha256:{}", "a".repeat(64)).parse().unwrap(),
        id: None,
        carriage: Carriage::Direct,
        local_reference: "shop:1".into(),
    }
}

fn role(name: stagecraft::model::names::RoleName) -> Role {
    Role {
        name,
        port: Some(3000),
        publish: None,
        command: None,
        health: Health {
            check: HealthCheck::None,
            timeout: Duration::from_secs(1),
            interval: Duration::from_secs(1),
        },
        replicas: 1,
        volumes: vec![],
        stop: StopPolicy::default(),
        overlap: true,
    }
}

struct Values(HashMap<String, String>);

#[async_trait]
impl Connections for Values {
    async fn get(&self, name: &str) -> Result<Secret, Fault> {
        let value = self.0.get(name);
        value
            .map(Secret::new)
            .ok_or_else(|| Fault::config(format!("`{name}` is not set")))
    }
}

fn unused<T>() -> Result<T, Fault> {
    Err(Fault::internal("not part of these tests"))
}

/// This machine, as a host.
struct Here;

#[async_trait]
impl HostLink for Here {
    async fn connect(&self, _: &HostAddress) -> Result<(), Fault> {
        unused()
    }
    async fn dial(&self, _: &HostAddress, target: &Target) -> Result<Box<dyn ByteStream>, Fault> {
        let Target::Tcp(address, port) = target else {
            return unused();
        };
        let stream = tokio::net::TcpStream::connect((address.as_str(), *port)).await;
        let stream = stream.map_err(|error| Fault::failed(error.to_string()))?;
        Ok(Box::new(stream))
    }
    async fn exec(&self, _: &HostAddress, _: &str, _: &[u8]) -> Result<RemoteExit, Fault> {
        unused()
    }
    async fn spawn(&self, _: &HostAddress, _: &str) -> Result<Box<dyn RemoteProcess>, Fault> {
        unused()
    }
    async fn reverse(&self, _: &HostAddress, _: &Path) -> Result<Box<dyn ReverseForward>, Fault> {
        unused()
    }
    async fn close(&self) {}
}

/// A process with everything it started: gone when this is.
struct Group(u32);

impl Drop for Group {
    fn drop(&mut self) {
        use rustix::process::{Pid, Signal, kill_process_group};
        let group = Pid::from_raw(i32::try_from(self.0).unwrap()).unwrap();
        let _ = kill_process_group(group, Signal::KILL);
    }
}

/// One-off containers as processes.
#[derive(Default)]
struct Processes {
    names: Mutex<Vec<String>>,
    image: PathBuf,
    /// Where they run.
    work: PathBuf,
    containers: Vec<Container>,
}

#[async_trait]
impl ContainerRunner for Processes {
    async fn run(
        &self,
        cx: &Cx,
        _: &HostAddress,
        spec: &ContainerSpec,
        deadline: Duration,
    ) -> Result<Exit, Fault> {
        self.names.lock().unwrap().push(spec.name.clone());
        let words = spec.command.clone().unwrap();
        let mut command = tokio::process::Command::new(&words[0]);
        command
            .args(&words[1..])
            .env_clear()
            .env("PATH", "/usr/bin:/bin")
            .env("HOME", &self.work)
            .current_dir(&self.work)
            .process_group(0)
            .stdin(std::process::Stdio::null())
            .stdout(std::process::Stdio::piped())
            .stderr(std::process::Stdio::piped())
            .kill_on_drop(true);
        for (name, value) in &spec.env {
            command.env(name, value.reveal());
        }
        let child = command.spawn().unwrap();
        let _group = Group(child.id().unwrap());
        let work = tokio::time::timeout(deadline, child.wait_with_output());
        let output = tokio::select! {
            () = cx.token().cancelled() => return Err(Fault::interrupted()),
            output = work => output,
        };
        let output = output
            .map_err(|_| Fault::failed("ran into its deadline"))?
            .unwrap();
        let text = [output.stdout, output.stderr].concat();
        let lines: Vec<String> = String::from_utf8(text)
            .unwrap()
            .lines()
            .map(str::to_owned)
            .collect();
        lines.iter().for_each(|line| cx.output(line));
        Ok(Exit {
            code: i64::from(output.status.code().unwrap_or(137)),
            oom_killed: false,
            tail: lines[lines.len().saturating_sub(3)..].to_vec(),
        })
    }
    async fn resolve_image(&self, _: &Cx, _: &HostAddress, _: &str) -> Result<PinnedImage, Fault> {
        unused()
    }
    async fn make(&self, _: &Cx, _: &HostAddress, _: &ContainerSpec) -> Result<(), Fault> {
        unused()
    }
    async fn let_go(&self, _: &Cx, _: &HostAddress, _: &str, _: &str) -> Result<(), Fault> {
        unused()
    }
    async fn rename(&self, _: &Cx, _: &HostAddress, _: &str, _: &str) -> Result<(), Fault> {
        unused()
    }
    async fn copy_in(
        &self,
        _: &Cx,
        _: &HostAddress,
        _: &str,
        _: &[(String, u32, Vec<u8>)],
    ) -> Result<(), Fault> {
        unused()
    }
    /// The image's folders lie below the folder `image`.
    async fn folder(
        &self,
        _: &Cx,
        _: &HostAddress,
        _: &ContainerSpec,
        folder: &str,
    ) -> Result<Option<Vec<FolderEntry>>, Fault> {
        let folder = self.image.join(folder);
        let mut found = vec![];
        let Ok(entries) = std::fs::read_dir(&folder) else {
            return Ok(None);
        };
        let mut left: Vec<_> = entries.map(|entry| entry.unwrap().path()).collect();
        while let Some(path) = left.pop() {
            let name = path.strip_prefix(&folder).unwrap();
            let content = match path.is_dir() {
                true => {
                    let inner = std::fs::read_dir(&path).unwrap();
                    left.extend(inner.map(|entry| entry.unwrap().path()));
                    Content::Folder
                }
                false => Content::File(std::fs::read(&path).unwrap()),
            };
            found.push(FolderEntry {
                name: name.to_str().unwrap().to_owned(),
                content,
            });
        }
        Ok(Some(found))
    }
    async fn has_image(
        &self,
        _: &Cx,
        _: &HostAddress,
        _: &PinnedImage,
    ) -> Result<ImageCheck, Fault> {
        Ok(match self.image.exists() {
            true => ImageCheck::Present,
            false => ImageCheck::Absent,
        })
    }
    async fn ensure_image(&self, _: &Cx, _: &HostAddress, _: &PinnedImage) -> Result<(), Fault> {
        Ok(())
    }
    async fn volume_exists(&self, _: &Cx, _: &HostAddress, _: &str) -> Result<bool, Fault> {
        Ok(true)
    }
    async fn taken_ports(
        &self,
        _: &Cx,
        _: &HostAddress,
    ) -> Result<stagecraft::model::host::TakenPorts, Fault> {
        unused()
    }
    async fn engine(&self, _: &Cx, _: &HostAddress) -> Result<EngineFacts, Fault> {
        unused()
    }
    async fn attach(
        &self,
        _: &Cx,
        _: &HostAddress,
        _: &ContainerSpec,
        _: &[(String, u32, Vec<u8>)],
    ) -> Result<Attached, Fault> {
        unused()
    }
    async fn start(&self, _: &Cx, _: &HostAddress, _: &ContainerSpec) -> Result<Container, Fault> {
        unused()
    }
    async fn start_again(&self, _: &Cx, _: &HostAddress, _: &str) -> Result<Container, Fault> {
        unused()
    }
    async fn stop(
        &self,
        _: &Cx,
        _: &HostAddress,
        _: &str,
        _: &StopPolicy,
    ) -> Result<Option<Exit>, Fault> {
        unused()
    }
    async fn remove(&self, _: &Cx, _: &HostAddress, _: &str) -> Result<(), Fault> {
        unused()
    }
    async fn inspect(&self, _: &Cx, _: &HostAddress, _: &str) -> Result<Option<Container>, Fault> {
        // A process that has ended leaves nothing, and two are never asked for
        // at once.
        Ok(None)
    }

    async fn list(
        &self,
        _: &Cx,
        _: &HostAddress,
        _: &BTreeMap<String, String>,
    ) -> Result<Vec<Container>, Fault> {
        Ok(self.containers.clone())
    }
    async fn publisher_of(
        &self,
        _: &Cx,
        host: &HostAddress,
        port: u16,
    ) -> Result<Option<String>, Fault> {
        let _ = (host, port);
        Ok(None)
    }

    async fn logs(&self, _: &Cx, _: &HostAddress, _: &str, _: usize) -> Result<Vec<String>, Fault> {
        unused()
    }
    async fn follow_logs(&self, _: &Cx, _: &HostAddress, _: &str, _: usize) -> Result<(), Fault> {
        unused()
    }
    async fn exec(
        &self,
        _: &Cx,
        _: &HostAddress,
        _: &str,
        _: &CommandLine,
        _: Duration,
    ) -> Result<Exit, Fault> {
        unused()
    }
}
