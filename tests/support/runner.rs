//! A workbench for the tests of containers: a runner, a host, a project of its
//! own, and an image that the host can pull.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use async_trait::async_trait;
use indexmap::IndexMap;
use stagecraft::docker;
use stagecraft::docker::auth::{Auth, DockerStore};
use stagecraft::docker::client::{Call, Engine, Engines};
use stagecraft::model::container::{ContainerSpec, PortBinding, StopPolicy};
use stagecraft::model::fault::Fault;
use stagecraft::model::host::HostAddress;
use stagecraft::model::image::{Carriage, PinnedImage};
use stagecraft::model::secret::Secret;
use stagecraft::ports::{
    ByteStream, ContainerRunner, Cx, HostLink, RemoteExit, RemoteProcess, ReverseForward, Target,
};
use stagecraft::ssh::Links;
use tokio::task::AbortHandle;
use tokio_util::sync::CancellationToken;

use super::build::{Heard, cx, lab};

/// See the module's own words. Call [`Bench::clear`] at the end.
pub struct Bench {
    pub runner: Arc<dyn ContainerRunner>,
    pub host: HostAddress,
    pub cx: Cx,
    pub heard: Heard,
    pub cancel: CancellationToken,
    pub image: PinnedImage,
    pub engine: Engine,
    /// Holds the Docker client's configuration with a login for the registry.
    folder: tempfile::TempDir,
    project: String,
    link: Arc<dyn HostLink>,
}

impl Bench {
    /// `test` must be unique among the tests: it names everything.
    pub async fn new(test: &str, host: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let registry = lab("LAB_REGISTRY_AUTH");
        log_in(folder.path(), &registry);
        let image = push(folder.path(), &registry, test);
        let link = Links::new().unwrap();
        let engines = Engines::new(Arc::clone(&link) as Arc<dyn HostLink>);
        let host: HostAddress = host.parse().unwrap();
        let (cx, heard, cancel) = cx();
        let bench = Self {
            runner: docker::runner(
                Arc::clone(&engines),
                Arc::new(Auth::with_store(DockerStore::at(config(folder.path())))),
            ),
            engine: engines.engine(&host).unwrap(),
            project: format!("lab-runner-{test}"),
            host,
            cx,
            heard,
            cancel,
            image,
            folder,
            link,
        };
        bench.clear().await;
        bench
    }

    /// A runner without any login.
    pub fn stranger(&self) -> Arc<dyn ContainerRunner> {
        let nowhere = DockerStore::at(self.folder.path().join("nowhere"));
        docker::runner(
            Engines::new(Arc::clone(&self.link)),
            Arc::new(Auth::with_store(nowhere)),
        )
    }

    /// A runner whose connections can be cut.
    pub fn fragile(&self) -> (Arc<dyn ContainerRunner>, Arc<Fragile>) {
        let link = Arc::new(Fragile::over(&self.link));
        let nowhere = DockerStore::at(self.folder.path().join("nowhere"));
        let engines = Engines::new(Arc::clone(&link) as Arc<dyn HostLink>);
        let runner = docker::runner(engines, Arc::new(Auth::with_store(nowhere)));
        (runner, link)
    }

    pub fn labels(&self) -> BTreeMap<String, String> {
        [("stagecraft.project".to_owned(), self.project.clone())].into()
    }

    /// A container that runs `script` by the image's shell.
    pub fn spec(&self, name: &str, script: &str) -> ContainerSpec {
        let mut labels = self.labels();
        labels.insert("stagecraft.release".into(), "rel-20260101-000000001".into());
        ContainerSpec {
            name: format!("{}-{name}", self.project),
            image: self.image.clone(),
            entrypoint: None,
            command: Some(vec!["sh".into(), "-c".into(), script.into()]),
            env: IndexMap::new(),
            labels,
            mounts: vec![],
            made_folders: vec![],
            user: None,
            network: self.project.clone(),
            aliases: vec![name.to_owned()],
            ports: vec![],
            stop: StopPolicy {
                signal: "SIGTERM".into(),
                timeout: Duration::from_secs(2),
            },
            restart: false,
        }
    }

    pub async fn names(&self) -> Vec<String> {
        let all = self.runner.list(&self.cx, &self.host, &self.labels()).await;
        all.unwrap().into_iter().map(|found| found.name).collect()
    }

    /// The image is on the host.
    pub async fn pulled(&self) {
        self.runner
            .ensure_image(&self.cx, &self.host, &self.image)
            .await
            .unwrap();
    }

    /// Removes what the tests of this name made on the host.
    pub async fn clear(&self) {
        let cx = self.cx.uncancellable();
        for name in self.names().await {
            self.runner.remove(&cx, &self.host, &name).await.unwrap();
        }
        for path in [
            format!("/networks/{}", self.project),
            format!("/volumes/{}", self.project),
            format!("/images/{}?force=1", self.image.local_reference),
            format!("/images/{}?force=1", self.image.reference()),
        ] {
            // Most of them are not there.
            let _ = self.engine.done(Call::delete(path)).await;
        }
    }

    pub fn secret(&self, value: &str) -> Secret {
        Secret::new(value)
    }

    pub fn volume(&self) -> String {
        self.project.clone()
    }
}

/// What was heard until this line came.
pub async fn heard_until(heard: &mut Heard, line: &str) -> Vec<String> {
    let begun = Instant::now();
    let mut lines = vec![];
    while !lines.iter().any(|heard| heard == line) {
        assert!(
            begun.elapsed() < Duration::from_secs(30),
            "not `{line}`: {lines:?}"
        );
        tokio::time::sleep(Duration::from_millis(20)).await;
        lines.extend(heard.texts());
    }
    lines
}

pub fn published(container: u16, host: u16) -> PortBinding {
    PortBinding {
        container,
        host,
        address: "127.0.0.1".into(),
    }
}

fn config(folder: &Path) -> PathBuf {
    folder.join("config.json")
}

fn log_in(folder: &Path, registry: &str) {
    let mut child = docker_client(folder)
        .args(["login", "--username", &lab("LAB_REGISTRY_USER")])
        .args(["--password-stdin", registry])
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    use std::io::Write;
    let mut input = child.stdin.take().unwrap();
    input
        .write_all(lab("LAB_REGISTRY_PASSWORD").as_bytes())
        .unwrap();
    drop(input);
    assert!(child.wait().unwrap().success(), "cannot log in");
}

/// An image of its own content, in the registry alone.
fn push(folder: &Path, registry: &str, test: &str) -> PinnedImage {
    let repository = format!("{registry}/lab-runner");
    let reference = format!("{repository}:{test}");
    let base = "stagecraft-lab/busybox:latest";
    let made = run(
        folder,
        &["create", "--label", "stagecraft-lab", base, "true"],
    );
    let id = run(
        folder,
        &[
            "commit",
            "--change",
            &format!("LABEL test={test}"),
            &made,
            &reference,
        ],
    );
    run(folder, &["rm", &made]);
    let pushed = run(folder, &["push", &reference]);
    run(folder, &["rmi", "--force", &id]);
    let digest = pushed
        .split_whitespace()
        .find(|word| word.starts_with("sha256:"))
        .expect("a digest");
    PinnedImage {
        repository,
        digest: digest.parse().unwrap(),
        id: None,
        carriage: Carriage::Registry,
        local_reference: format!("stagecraft/lab-runner:{test}"),
    }
}

fn docker_client(folder: &Path) -> Command {
    let mut command = Command::new("docker");
    command.arg("--config").arg(folder);
    command
}

fn run(folder: &Path, args: &[&str]) -> String {
    let output = docker_client(folder).args(args).output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "docker {args:?}: {said}");
    String::from_utf8_lossy(&output.stdout).trim().to_owned()
}

/// A link whose connections can be cut, and whose host can be unplugged.
pub struct Fragile {
    link: Arc<dyn HostLink>,
    open: Mutex<Vec<AbortHandle>>,
    refusing: AtomicBool,
}

impl Fragile {
    fn over(link: &Arc<dyn HostLink>) -> Self {
        Self {
            link: Arc::clone(link),
            open: Mutex::default(),
            refusing: AtomicBool::new(false),
        }
    }

    /// Ends every connection there is.
    pub fn cut(&self) {
        self.open
            .lock()
            .unwrap()
            .drain(..)
            .for_each(|open| open.abort());
    }

    /// Opens no more of them.
    pub fn refuse(&self) {
        self.refusing.store(true, Ordering::Relaxed);
    }
}

#[async_trait]
impl HostLink for Fragile {
    async fn connect(&self, host: &HostAddress) -> Result<(), Fault> {
        self.link.connect(host).await
    }

    async fn dial(
        &self,
        host: &HostAddress,
        target: &Target,
    ) -> Result<Box<dyn ByteStream>, Fault> {
        if self.refusing.load(Ordering::Relaxed) {
            return Err(Fault::unreachable("the host is unplugged").hint("plug it in"));
        }
        let mut far = self.link.dial(host, target).await?;
        let (near, mut between) = tokio::io::duplex(64 << 10);
        let carrying =
            tokio::spawn(
                async move { tokio::io::copy_bidirectional(&mut between, &mut far).await },
            );
        self.open.lock().unwrap().push(carrying.abort_handle());
        Ok(Box::new(near))
    }

    async fn exec(
        &self,
        host: &HostAddress,
        script: &str,
        input: &[u8],
    ) -> Result<RemoteExit, Fault> {
        self.link.exec(host, script, input).await
    }

    async fn spawn(
        &self,
        host: &HostAddress,
        script: &str,
    ) -> Result<Box<dyn RemoteProcess>, Fault> {
        self.link.spawn(host, script).await
    }

    async fn reverse(
        &self,
        host: &HostAddress,
        socket: &Path,
    ) -> Result<Box<dyn ReverseForward>, Fault> {
        self.link.reverse(host, socket).await
    }

    async fn close(&self) {
        self.link.close().await;
    }
}
