//! A link to this machine's engine and, by the plain `ssh` program, to the
//! lab's hosts; and what the tests of building and pushing share.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::Mutex;

use async_trait::async_trait;
use stagecraft::model::event::{Event, EventKind};
use stagecraft::model::fault::Fault;
use stagecraft::model::host::HostAddress;
use stagecraft::model::secret::Secret;
use stagecraft::ports::{
    ByteStream, Connections, Cx, HostLink, RemoteExit, RemoteProcess, ReverseForward, Target,
};
use tokio::net::{TcpListener, UnixStream};
use tokio::sync::mpsc::{UnboundedReceiver, unbounded_channel};
use tokio_util::sync::CancellationToken;

/// Secret values from a table.
pub struct Values(pub HashMap<String, String>);

#[async_trait]
impl Connections for Values {
    async fn get(&self, name: &str) -> Result<Secret, Fault> {
        match self.0.get(name) {
            Some(value) => Ok(Secret::new(value.clone())),
            None => Err(Fault::config(format!("`{name}` is not set"))),
        }
    }
}

/// A reporter and what it heard.
pub struct Heard(UnboundedReceiver<Event>);

pub fn cx() -> (Cx, Heard, CancellationToken) {
    let (events, heard) = unbounded_channel();
    let cancel = CancellationToken::new();
    (Cx::new(events, cancel.clone()), Heard(heard), cancel)
}

impl Heard {
    /// Every step, output line and warning so far.
    pub fn texts(&mut self) -> Vec<String> {
        let mut texts = vec![];
        while let Ok(event) = self.0.try_recv() {
            match event.kind {
                EventKind::Step { text } | EventKind::Warning { text } => texts.push(text),
                EventKind::Output { line } => texts.push(line),
                _ => {}
            }
        }
        texts
    }
}

/// `lab.env`, or `None` where no lab is up.
pub fn lab() -> Option<HashMap<String, String>> {
    let text = std::fs::read_to_string("/tmp/stagecraft-lab/lab.env").ok()?;
    let pairs = text.lines().filter_map(|line| line.split_once('='));
    Some(pairs.map(|(k, v)| (k.to_owned(), v.to_owned())).collect())
}

/// See the module's own words.
pub struct TestLink {
    folder: tempfile::TempDir,
    ssh_config: PathBuf,
    open: tokio::sync::Mutex<HashMap<HostAddress, tokio::process::Child>>,
    reverse: Mutex<u32>,
}

impl TestLink {
    pub fn new() -> Self {
        Self {
            folder: tempfile::tempdir().expect("a folder"),
            ssh_config: "/tmp/stagecraft-lab/ssh_config".into(),
            open: tokio::sync::Mutex::default(),
            reverse: Mutex::new(0),
        }
    }

    fn file(&self, host: &HostAddress, kind: &str) -> PathBuf {
        self.folder.path().join(format!("{host}.{kind}"))
    }

    async fn ask(&self, host: &HostAddress, args: &[&str]) -> Result<String, Fault> {
        let output = tokio::process::Command::new("ssh")
            .arg("-F")
            .arg(&self.ssh_config)
            .arg("-S")
            .arg(self.file(host, "ctl"))
            .args(args)
            .arg(host.as_str())
            .output()
            .await
            .map_err(|error| Fault::internal("cannot run ssh").caused_by(&error))?;
        if !output.status.success() {
            return Err(Fault::unreachable(format!("ssh to {host}"))
                .because(String::from_utf8_lossy(&output.stderr)));
        }
        Ok(String::from_utf8_lossy(&output.stdout).trim().to_owned())
    }
}

struct Forward(u16, Option<tokio::task::JoinHandle<()>>);

impl ReverseForward for Forward {
    fn port(&self) -> u16 {
        self.0
    }
}

impl Drop for Forward {
    fn drop(&mut self) {
        if let Some(task) = &self.1 {
            task.abort();
        }
    }
}

#[async_trait]
impl HostLink for TestLink {
    async fn connect(&self, host: &HostAddress) -> Result<(), Fault> {
        if host.is_local() {
            return Ok(());
        }
        let mut open = self.open.lock().await;
        if open.contains_key(host) {
            return Ok(());
        }
        let forward = format!("{}:/var/run/docker.sock", self.file(host, "sock").display());
        let child = tokio::process::Command::new("ssh")
            .arg("-F")
            .arg(&self.ssh_config)
            .arg("-S")
            .arg(self.file(host, "ctl"))
            .args(["-M", "-N", "-o", "ExitOnForwardFailure=yes", "-L", &forward])
            .arg(host.as_str())
            .stdin(Stdio::null())
            .kill_on_drop(true)
            .spawn()
            .map_err(|error| Fault::internal("cannot run ssh").caused_by(&error))?;
        for _ in 0..200 {
            if UnixStream::connect(self.file(host, "sock")).await.is_ok() {
                open.insert(host.clone(), child);
                return Ok(());
            }
            tokio::time::sleep(std::time::Duration::from_millis(50)).await;
        }
        Err(Fault::unreachable(format!("no connection to {host}")))
    }

    async fn dial(
        &self,
        host: &HostAddress,
        target: &Target,
    ) -> Result<Box<dyn ByteStream>, Fault> {
        self.connect(host).await?;
        let socket = match target {
            Target::Engine if host.is_local() => PathBuf::from("/var/run/docker.sock"),
            Target::Engine => self.file(host, "sock"),
            Target::Unix(path) => PathBuf::from(path),
            Target::Tcp(..) => return Err(Fault::internal("not needed here")),
        };
        let stream = UnixStream::connect(socket).await.map_err(|error| {
            Fault::unreachable(format!("no engine on {host}")).caused_by(&error)
        })?;
        Ok(Box::new(stream))
    }

    async fn exec(&self, _: &HostAddress, _: &str, _: &[u8]) -> Result<RemoteExit, Fault> {
        Err(Fault::internal("not needed here"))
    }

    async fn spawn(&self, _: &HostAddress, _: &str) -> Result<Box<dyn RemoteProcess>, Fault> {
        Err(Fault::internal("not needed here"))
    }

    async fn reverse(
        &self,
        host: &HostAddress,
        socket: &Path,
    ) -> Result<Box<dyn ReverseForward>, Fault> {
        self.connect(host).await?;
        *self.reverse.lock().expect("not poisoned") += 1;
        if host.is_local() {
            let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
            let port = listener.local_addr().expect("an address").port();
            let socket = socket.to_owned();
            let task = tokio::spawn(async move {
                while let Ok((mut tcp, _)) = listener.accept().await {
                    let socket = socket.clone();
                    tokio::spawn(async move {
                        if let Ok(mut unix) = UnixStream::connect(socket).await {
                            let _ = tokio::io::copy_bidirectional(&mut tcp, &mut unix).await;
                        }
                    });
                }
            });
            return Ok(Box::new(Forward(port, Some(task))));
        }
        let forward = format!("127.0.0.1:0:{}", socket.display());
        let port = self.ask(host, &["-O", "forward", "-R", &forward]).await?;
        let port = port
            .parse()
            .map_err(|_| Fault::internal(format!("no port: {port}")))?;
        Ok(Box::new(Forward(port, None)))
    }

    async fn close(&self) {
        self.open.lock().await.clear();
    }
}
