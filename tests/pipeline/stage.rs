//! A project with three hosts in memory, and the verbs of the tests.

use std::collections::{BTreeSet, HashMap};
use std::path::PathBuf;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use indexmap::IndexMap;
use stagecraft::deploy::{Deployer, Observer, Origin, Stopped, Wanted, new_deploy, new_rollback};
use stagecraft::model::compat::Compat;
use stagecraft::model::container::StopPolicy;
use stagecraft::model::fault::Fault;
use stagecraft::model::history::History;
use stagecraft::model::host::{Host, HostAddress};
use stagecraft::model::image::{BuiltImage, Carriage, PinnedImage};
use stagecraft::model::migration::{
    AppliedBy, DatabaseReport, Files, Migration, MigrationFailure, MigrationOutcome, MigrationPlan,
    MigrationReport, MigrationRequest, MigrationResult, MigrationState,
};
use stagecraft::model::phase::{Mark, Phase, Status};
use stagecraft::model::project::{
    Batch, BuildSpec, EnvSpec, Environment, Health, HealthCheck, ImageSource, MigrationStrategy,
    Mode, OnFailure, Proxy, Role, Rollout, Strategy, Tls,
};
use stagecraft::model::release::{Release, ReleaseId};
use stagecraft::model::risk::{Forecast, Outlook};
use stagecraft::plan::{
    self, DeployRequest, Facts, ReadyRole, RollbackRequest, SchemaCheck, SourceFacts,
};
use stagecraft::ports::{Builder, Cx, Migrator, Pusher, RolloutStrategy, StateFolders};
use tokio_util::sync::CancellationToken;

use super::fleet::Fleet;
use super::ledger::{Cut, CutLedger};
use super::proxies::Proxies;

pub(crate) const HOSTS: [&str; 3] = ["web1", "web2", "web3"];

pub(crate) struct Stage {
    pub(crate) environment: Environment,
    pub(crate) fleet: Fleet,
    pub(crate) proxies: Proxies,
    /// Of every role's environment today.
    pub(crate) print: Option<String>,
    pub(crate) history: History,
    pub(crate) shop: Arc<Shop>,
    pub(crate) cancel: CancellationToken,
    pub(crate) writes: usize,
}

/// What the builder, the registry and the database hold.
#[derive(Default)]
pub(crate) struct Shop {
    pub(crate) breaks: Mutex<Option<Phase>>,
    interrupts: Mutex<Option<(Phase, CancellationToken)>>,
    pub(crate) files: Mutex<Vec<(String, MigrationStrategy)>>,
    /// What is judged of a file; additive where nothing stands.
    pub(crate) judged: Mutex<HashMap<String, Compat>>,
    /// What is expected of every file.
    pub(crate) forecast: Mutex<Forecast>,
    /// Only the image has the files.
    pub(crate) awaited: Mutex<bool>,
    /// The database gives no answer.
    pub(crate) silent: Mutex<bool>,
    pub(crate) applied: Mutex<Vec<String>>,
    /// Migration → the release that applied it.
    applied_by: Mutex<HashMap<String, String>>,
    pub(crate) builds: Mutex<usize>,
    pub(crate) forgotten: Mutex<Vec<String>>,
}

/// The hosts of the stage have one folder for everybody.
#[async_trait]
impl StateFolders for Shop {
    async fn folder(&self, _: &HostAddress) -> Result<String, Fault> {
        Ok("/var/lib/stagecraft/shop/prod".to_owned())
    }

    async fn confirm(&self, _: &HostAddress, _: &BTreeSet<String>) -> Result<(), Fault> {
        Ok(())
    }
}

impl Shop {
    /// Somebody applied it, and no release knows.
    pub(crate) fn by_hand(&self, id: &str) {
        let mut applied = self.applied_by.lock().unwrap();
        applied.insert(id.to_owned(), String::new());
    }

    fn judged(&self, id: &str) -> Compat {
        let judged = self.judged.lock().unwrap();
        judged.get(id).cloned().unwrap_or(Compat::Additive)
    }

    fn fails(&self, phase: Phase) -> Result<(), Fault> {
        if let Some((at, signal)) = &*self.interrupts.lock().unwrap()
            && *at == phase
        {
            signal.cancel();
        }
        if *self.breaks.lock().unwrap() == Some(phase) {
            Err(Fault::failed(format!("{phase} broke")))
        } else {
            Ok(())
        }
    }
}

pub(crate) fn role(name: &str) -> Role {
    Role {
        name: name.parse().unwrap(),
        port: Some(3000),
        publish: None,
        command: None,
        health: Health {
            check: HealthCheck::Http {
                path: "/up".into(),
                port: 3000,
                host: None,
            },
            timeout: Duration::from_millis(60),
            interval: Duration::from_millis(5),
        },
        replicas: 1,
        volumes: vec![],
        stop: StopPolicy {
            timeout: Duration::from_millis(20),
            ..StopPolicy::default()
        },
        overlap: true,
    }
}

fn environment() -> Environment {
    Environment {
        project: "shop".parse().unwrap(),
        name: "prod".parse().unwrap(),
        root: PathBuf::from("/nowhere"),
        config_file: PathBuf::from("/nowhere/stagecraft.yml"),
        config_hash: "c0ffee".into(),
        mode: Mode::Deploy,
        protected: false,
        hosts: HOSTS
            .iter()
            .enumerate()
            .map(|(index, address)| Host {
                address: address.parse().unwrap(),
                roles: vec!["web".parse().unwrap()],
                primary: index == 0,
            })
            .collect(),
        registry: None,
        source: ImageSource::Build(BuildSpec {
            context: "/nowhere".into(),
            dockerfile: "/nowhere/Dockerfile".into(),
            target: None,
            args: IndexMap::new(),
            secrets: vec![],
            platform: None,
        }),
        env: EnvSpec::default(),
        roles: IndexMap::from([("web".parse().unwrap(), role("web"))]),
        databases: IndexMap::from([("main".parse().unwrap(), database())]),
        rollout: Rollout {
            strategy: Strategy::Rolling,
            batch: Batch::Hosts(1),
            pause: Duration::ZERO,
            keep: 2,
        },
        schema_gate: None,
        proxy: None,
        health_before: true,
        health_after: true,
        on_failure: OnFailure::Stop,
        env_file: None,
        secrets_command: None,
    }
}

fn database() -> stagecraft::model::project::DatabaseSpec {
    use stagecraft::model::project::{DatabaseSpec, MigrationSource, MigrationSpec, Safety, Via};
    DatabaseSpec {
        name: "main".parse().unwrap(),
        connection_env: Some("DATABASE_URL".into()),
        direct_connection_env: None,
        via: Via::Auto,
        migrations: MigrationSpec {
            engine: "raw".into(),
            path: Some("/nowhere/migrations".into()),
            path_written: Some("migrations".into()),
            source: MigrationSource::Checkout,
            strategy: MigrationStrategy::PreDeploy,
            lock_wait: Duration::ZERO,
            lock_timeout: Duration::ZERO,
            lock_retries: 0,
            statement_timeout: Duration::ZERO,
            timeout: Duration::from_secs(60),
            pattern: None,
            ledger: None,
            session_sql: vec![],
            role: "web".parse().unwrap(),
            options: serde_json::Map::new(),
        },
        backup_before_migrate: false,
        backup_keep: 0,
        safety_breaking: Safety::Warn,
        safety_blocking: Safety::Warn,
    }
}

impl Stage {
    pub(crate) fn new() -> Self {
        let fleet = Fleet::default();
        Self {
            environment: environment(),
            proxies: Proxies::of(&fleet),
            print: None,
            fleet,
            history: History::default(),
            shop: Arc::new(Shop::default()),
            cancel: CancellationToken::new(),
            writes: 0,
        }
    }

    /// The same project behind a proxy, in `blue_green`.
    pub(crate) fn behind_proxies() -> Self {
        let mut stage = Self::new();
        stage.environment.rollout.strategy = Strategy::BlueGreen;
        stage.environment.proxy = Some(Proxy {
            hosts: vec!["shop.example.com".into()],
            role: "web".parse().unwrap(),
            tls: Tls::Off,
            image: "haproxy:3.2".into(),
            edge_image: "caddy:2".into(),
            http_port: 80,
            https_port: 443,
            path_prefix: None,
            max_request_body: None,
            response_timeout: std::time::Duration::from_secs(60),
        });
        stage
    }

    pub(crate) fn file(&self, id: &str, strategy: MigrationStrategy) {
        self.shop
            .files
            .lock()
            .unwrap()
            .push((id.to_owned(), strategy));
    }

    /// The signal comes while this phase works.
    pub(crate) fn interrupt_in(&self, phase: Phase) {
        *self.shop.interrupts.lock().unwrap() = Some((phase, self.cancel.clone()));
    }

    pub(crate) fn breaks(&self, phase: Option<Phase>) {
        *self.shop.breaks.lock().unwrap() = phase;
    }

    pub(crate) fn cx(&self) -> Cx {
        let (events, _) = tokio::sync::mpsc::unbounded_channel();
        Cx::new(events, self.cancel.clone())
    }

    pub(crate) fn next_id(&self) -> ReleaseId {
        ReleaseId::next(chrono::Utc::now(), self.history.newest_id())
    }

    pub(crate) async fn observe(&self, wanted: Wanted) -> Facts {
        let observer = Observer {
            environment: &self.environment,
            runner: &self.fleet,
            pusher: &*self.shop,
            migrator: &*self.shop,
            folders: &*self.shop,
            proxy: &self.proxies,
        };
        let hosts = observer.hosts(&self.cx()).await.unwrap();
        observer
            .observe(
                &self.cx(),
                self.history.clone(),
                SourceFacts::default(),
                hosts,
                wanted,
            )
            .await
            .unwrap()
    }

    pub(crate) fn ready(&self) -> IndexMap<stagecraft::model::names::RoleName, ReadyRole> {
        self.environment
            .roles
            .iter()
            .map(|(name, role)| {
                (
                    name.clone(),
                    ReadyRole {
                        role: role.clone(),
                        env: IndexMap::new(),
                        print: self.print.clone(),
                    },
                )
            })
            .collect()
    }

    pub(crate) fn deployer<'a>(
        &'a self,
        strategy: &'a dyn RolloutStrategy,
        ledger: &'a CutLedger,
    ) -> Deployer<'a> {
        Deployer {
            environment: &self.environment,
            builder: &*self.shop,
            pusher: &*self.shop,
            migrator: &*self.shop,
            runner: &self.fleet,
            strategy,
            fetch: &self.fleet,
            ledger,
        }
    }

    /// Deploys a version; `None` when the process died on the way.
    pub(crate) async fn deploy_cut(
        &mut self,
        version: &str,
        cut: Option<Cut>,
    ) -> Option<Result<Release, Stopped>> {
        let facts = self.observe(Wanted::Everything).await;
        let request = DeployRequest {
            release: self.next_id(),
            version: Some(version.to_owned()),
        };
        let plan = plan::deploy(&self.environment, &facts, &request).unwrap();
        let release = new_deploy(
            &self.environment,
            &plan,
            &Origin {
                actor: "test".into(),
            },
        );
        self.run(release, &plan, &facts, cut).await
    }

    pub(crate) fn strategy(&self) -> Arc<dyn RolloutStrategy> {
        stagecraft::rollout::fleet(stagecraft::rollout::Hands {
            runner: Arc::new(self.fleet.clone()),
            probe: Arc::new(self.fleet.clone()),
            fetch: Arc::new(self.fleet.clone()),
            proxy: Arc::new(self.proxies.clone()),
        })
    }

    async fn run(
        &mut self,
        release: Release,
        plan: &plan::DeployPlan,
        facts: &Facts,
        cut: Option<Cut>,
    ) -> Option<Result<Release, Stopped>> {
        let ledger = CutLedger::holding(&self.history, cut);
        let strategy = self.strategy();
        let ended = {
            let deployer = self.deployer(&*strategy, &ledger);
            let (cx, ready) = (self.cx(), self.ready());
            tokio::select! {
                biased;
                () = ledger.death() => None,
                result = deployer.deploy(&cx, release, plan, facts, &ready) => Some(result),
            }
        };
        self.history = ledger.history();
        self.writes = ledger.writes();
        ended
    }

    pub(crate) async fn deploy(&mut self, version: &str) -> Result<Release, Stopped> {
        self.deploy_cut(version, None).await.unwrap()
    }

    /// What `deploy --resume` does.
    pub(crate) async fn resume(&mut self) -> Result<Release, Stopped> {
        let found = plan::resumable(&self.history, &self.environment).unwrap();
        let mut release = found.release;
        let facts = self.observe(Wanted::Everything).await;
        let request = DeployRequest {
            release: release.id.clone(),
            version: Some(release.version.clone()),
        };
        let today = plan::deploy(&self.environment, &facts, &request).unwrap();
        plan::matches_today(&release, &today).unwrap();
        stagecraft::deploy::reopen(&mut release).unwrap();
        self.run(release, &today, &facts, None).await.unwrap()
    }

    /// What `deploy --abort` does.
    pub(crate) async fn abort(&mut self) -> Result<Release, Stopped> {
        let found = plan::abortable(&self.history, &self.environment).unwrap();
        let facts = self.observe(Wanted::Hosts).await;
        let outline = plan::outline(
            &self.environment,
            &self.environment.roles,
            &facts,
            &found.release.id,
            None,
        )
        .unwrap();
        let ledger = CutLedger::holding(&self.history, None);
        let strategy = self.strategy();
        let deployer = self.deployer(&*strategy, &ledger);
        let result = deployer
            .abort(&self.cx(), found.release, &outline, &facts, &self.ready())
            .await;
        self.history = ledger.history();
        result
    }

    /// The plan that `deploy --dry-run` prints.
    pub(crate) async fn plan_deploy(&self, version: &str) -> plan::DeployPlan {
        let facts = self.observe(Wanted::Everything).await;
        let request = DeployRequest {
            release: self.next_id(),
            version: Some(version.to_owned()),
        };
        plan::deploy(&self.environment, &facts, &request).unwrap()
    }

    /// The plan that `rollback --dry-run` prints.
    pub(crate) async fn plan_back(
        &self,
        to: Option<&ReleaseId>,
        schema: SchemaCheck,
    ) -> Result<plan::RollbackPlan, Fault> {
        let facts = self.observe(Wanted::Rollback).await;
        let request = RollbackRequest {
            release: self.next_id(),
            to: to.cloned(),
            schema,
        };
        let target = plan::rollback_target(&self.environment, &facts, &request)?;
        plan::rollback(&self.environment, &facts, &request, target, &self.ready())
    }

    pub(crate) async fn roll_back(&mut self, to: Option<&ReleaseId>) -> Result<Release, Fault> {
        self.roll_back_as(to, SchemaCheck::Refuse).await
    }

    pub(crate) async fn roll_back_as(
        &mut self,
        to: Option<&ReleaseId>,
        schema: SchemaCheck,
    ) -> Result<Release, Fault> {
        let facts = self.observe(Wanted::Rollback).await;
        let plan = self.plan_back(to, schema).await?;
        let release = new_rollback(
            &self.environment,
            &plan,
            &Origin {
                actor: "test".into(),
            },
        );
        let ledger = CutLedger::holding(&self.history, None);
        let strategy = self.strategy();
        let deployer = self.deployer(&*strategy, &ledger);
        let result = deployer
            .roll_back(&self.cx(), release, &plan, &facts, &self.ready())
            .await;
        self.history = ledger.history();
        result.map_err(|stopped| stopped.fault)
    }

    /// Every host serves exactly this version.
    pub(crate) fn serves(&self, version: &str) {
        let serving = self.fleet.serving();
        for host in HOSTS {
            assert_eq!(
                serving.get(host),
                Some(&vec![version.to_owned()]),
                "{host} of {serving:?}"
            );
        }
    }

    pub(crate) fn last(&self) -> Release {
        self.history.all().last().unwrap().clone()
    }

    pub(crate) fn statuses(&self) -> Vec<Status> {
        let release = self.last();
        Phase::ALL
            .into_iter()
            .map(|phase| release.phase(phase).status)
            .collect()
    }
}

/// Whether a phase of a cut-off release may still be marked.
pub(crate) fn may_resume(status: Status) -> bool {
    status.after(Mark::Resume).is_ok()
}

fn pinned(version: &str) -> PinnedImage {
    use sha2::{Digest, Sha256};
    let hex: String = Sha256::digest(version.as_bytes())
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect();
    PinnedImage {
        repository: "stagecraft/shop".into(),
        digest: format!("sha256:{hex}").parse().unwrap(),
        id: None,
        carriage: Carriage::Direct,
        local_reference: format!("stagecraft/shop:{version}"),
    }
}

#[async_trait]
impl Builder for Shop {
    async fn build(
        &self,
        _: &Cx,
        _: &BuildSpec,
        _: Option<&str>,
        reference: &str,
    ) -> Result<BuiltImage, Fault> {
        self.fails(Phase::Build)?;
        *self.builds.lock().unwrap() += 1;
        Ok(BuiltImage {
            reference: reference.to_owned(),
            id: pinned(reference).digest,
        })
    }
}

#[async_trait]
impl Pusher for Shop {
    async fn push(&self, _: &Cx, built: &BuiltImage, _: &str) -> Result<PinnedImage, Fault> {
        self.fails(Phase::Push)?;
        Ok(pinned(&built.reference))
    }

    async fn resolve(&self, _: &Cx, reference: &str) -> Result<PinnedImage, Fault> {
        Ok(pinned(reference))
    }

    async fn deliver(&self, _: &Cx, _: &PinnedImage) -> Result<(), Fault> {
        Ok(())
    }

    async fn forget(&self, _: &Cx, images: &[PinnedImage]) -> Vec<String> {
        let names = images.iter().map(|image| image.local_reference.clone());
        self.forgotten.lock().unwrap().extend(names);
        vec![]
    }
}

#[async_trait]
impl Migrator for Shop {
    async fn plan(&self, _: &Cx, request: &MigrationRequest) -> Result<Vec<MigrationPlan>, Fault> {
        if *self.silent.lock().unwrap() {
            return Err(Fault::unreachable("the database is down"));
        }
        let applied = self.applied_by.lock().unwrap().clone();
        let awaited = *self.awaited.lock().unwrap() && request.files.is_none();
        let migrations: Vec<Migration> = self
            .files
            .lock()
            .unwrap()
            .iter()
            .filter(|_| !awaited)
            .map(|(id, strategy)| Migration {
                id: id.clone(),
                state: match applied.get(id) {
                    Some(release) => MigrationState::Applied {
                        at: None,
                        by: Some(AppliedBy {
                            release: release.clone(),
                            duration_ms: 1,
                        }),
                    },
                    None => MigrationState::Pending,
                },
                strategy: *strategy,
                checksum: id.clone(),
                statements: 1,
                transactional: true,
                note: None,
                compat: Some(self.judged(id)),
                forecast: self.forecast.lock().unwrap().clone(),
            })
            .collect();
        let selected = migrations
            .iter()
            .filter(|migration| {
                migration.state.will_run() && request.strategies.contains(&migration.strategy)
            })
            .map(|migration| migration.id.clone())
            .collect();
        Ok(vec![MigrationPlan {
            database: "main".parse().unwrap(),
            engine: "raw".into(),
            migrations,
            selected,
            refusals: vec![],
            notes: vec![],
            unread: None,
            files: match awaited {
                true => Files::Awaited,
                false => Files::Final,
            },
            schema_version: None,
            route: "directly".into(),
            outlook: Outlook::default(),
        }])
    }

    async fn run(
        &self,
        _: &Cx,
        plans: &[MigrationPlan],
        _: Option<&PinnedImage>,
        release: &ReleaseId,
    ) -> Result<MigrationReport, MigrationFailure> {
        let mut results = vec![];
        let mut failed = None;
        for migration in plans.iter().flat_map(MigrationPlan::to_run) {
            let phase = if migration.strategy == MigrationStrategy::PreDeploy {
                Phase::MigratePre
            } else {
                Phase::MigratePost
            };
            let outcome = match (&failed, self.fails(phase)) {
                (Some(_), _) => MigrationOutcome::NotAttempted,
                (None, Err(fault)) => {
                    failed = Some(fault);
                    MigrationOutcome::Failed
                }
                (None, Ok(())) => {
                    self.applied.lock().unwrap().push(migration.id.clone());
                    let mut by = self.applied_by.lock().unwrap();
                    by.insert(migration.id.clone(), release.to_string());
                    MigrationOutcome::Applied
                }
            };
            results.push(MigrationResult {
                database: "main".parse().unwrap(),
                id: migration.id.clone(),
                checksum: migration.checksum.clone(),
                duration_ms: 1,
                outcome,
                compat: migration.compat.clone(),
            });
        }
        let report = MigrationReport {
            databases: vec![DatabaseReport {
                database: "main".parse().unwrap(),
                results,
                schema_before: None,
                schema_after: None,
                fingerprint: None,
                health_before: None,
                health_after: None,
            }],
            backups: vec![],
        };
        match failed {
            None => Ok(report),
            Some(fault) => Err(MigrationFailure { fault, report }),
        }
    }
}
