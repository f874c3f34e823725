//! One SSH connection: opened by the system's `ssh`, so that the user's own
//! configuration, agent and jump hosts count, and spoken to through its control
//! socket. Imports `ports`, `model`.
//!
//! `ssh` is started here and not by the openssh crate, because a start that is
//! given up (a signal) must not leave an `ssh` behind that connects later.

use std::collections::HashMap;
use std::fs::{File, OpenOptions};
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use openssh::{ForwardType, Session, Socket};
use tokio::process::Command;
use tokio::sync::{OnceCell, OwnedSemaphorePermit, Semaphore};
use tokio::time::Instant;

use crate::model::fault::Fault;
use crate::model::host::{HostAddress, SshTarget};
use crate::ports::Target;

use super::control::{ControlDir, end_master};
use super::engine::EngineWay;
use super::pipes::{Closing, Pipes, lost};
use super::refusal;
use super::stream::Forwarded;

/// OpenSSH's server allows ten sessions in one connection unless told
/// otherwise; two stay free for a person's own.
const SESSIONS: usize = 8;
/// How long the connection outlives a killed process that nobody stood by for.
const PERSIST: &str = "ControlPersist=600";
/// How long a burst of dials may wait for `ssh` to accept them.
const BUSY: Duration = Duration::from_secs(10);

pub(super) struct Master {
    pub(super) host: HostAddress,
    /// Speaks to the connection without owning it: what runs in the background
    /// may hold it and still never keep the connection up.
    pub(super) session: Arc<Session>,
    /// Dropping it ends the connection.
    owner: Mutex<Option<Session>>,
    folder: PathBuf,
    sessions: Arc<Semaphore>,
    sessions_allowed: AtomicUsize,
    forwards: Mutex<HashMap<Target, Arc<OnceCell<PathBuf>>>>,
    forwards_made: AtomicUsize,
    pub(super) engine: OnceCell<EngineWay>,
    /// The folder above this connection's own.
    _control: Arc<ControlDir>,
}

impl Master {
    pub(super) async fn open(
        control: Arc<ControlDir>,
        host: HostAddress,
    ) -> Result<Arc<Self>, Fault> {
        let target = host
            .ssh_target()
            .ok_or_else(|| Fault::internal(format!("`{host}` is not reached over SSH")))?;
        control.tidy_up().await;
        let here = |error: std::io::Error| {
            Fault::internal("cannot prepare an SSH connection").caused_by(&error)
        };
        let folder = control.folder().map_err(here)?;
        let log = log_file(folder.path()).map_err(here)?;
        let status = ssh(&control, &target, folder.path(), log)
            .status()
            .await
            .map_err(|error| no_ssh(&host, &error))?;
        if !status.success() {
            let log = std::fs::read(folder.path().join("log")).unwrap_or_default();
            return Err(refusal::explain(&host, &String::from_utf8_lossy(&log)));
        }
        let path = folder.path().to_owned();
        Ok(Arc::new(Self {
            host,
            session: Arc::new(Session::resume_mux(path.join("master").into(), None)),
            owner: Mutex::new(Some(Session::new_native_mux(folder))),
            folder: path,
            sessions: Arc::new(Semaphore::new(SESSIONS)),
            sessions_allowed: AtomicUsize::new(SESSIONS),
            forwards: Mutex::default(),
            forwards_made: AtomicUsize::new(0),
            engine: OnceCell::new(),
            _control: control,
        }))
    }

    pub(super) async fn alive(&self) -> bool {
        self.session.check().await.is_ok()
    }

    /// Ends the connection and everything that runs over it.
    pub(super) async fn end(&self) {
        end_master(self.session.control_socket()).await;
        let owner = self
            .owner
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .take();
        // Removes the folder; may speak to `ssh` without yielding.
        let _ = tokio::task::spawn_blocking(move || drop(owner)).await;
    }

    /// Starts `script` there. Nothing has run yet when this fails.
    pub(super) async fn start(&self, script: &str) -> Result<Pipes, Fault> {
        let (mut child, permit) = self.session(&format!("sh -c {}", quote(script))).await?;
        let cut = || Fault::internal("a started command has no pipes");
        let stdin = child.stdin().take().ok_or_else(cut)?;
        let stdout = child.stdout().take().ok_or_else(cut)?;
        let stderr = child.stderr().take().ok_or_else(cut)?;
        let host = self.host.clone();
        let end = async move {
            let ended = child.wait().await;
            drop(permit);
            match ended {
                Ok(status) => status
                    .code()
                    .ok_or_else(|| lost(&host, &openssh::Error::RemoteProcessTerminated)),
                // The crate's word for the exit code 127.
                Err(openssh::Error::Remote(_)) => Ok(127),
                Err(error) => Err(lost(&host, &error)),
            }
        };
        Ok(Pipes {
            host: self.host.clone(),
            stdin: Box::new(Closing::new(stdin)),
            stdout: Box::new(stdout),
            stderr: Box::new(stderr),
            end: Box::pin(end),
        })
    }

    /// A session for `command`, among those that the server allows.
    pub(super) async fn session(
        &self,
        command: &str,
    ) -> Result<(openssh::Child<Arc<Session>>, OwnedSemaphorePermit), Fault> {
        loop {
            let permit = Arc::clone(&self.sessions)
                .acquire_owned()
                .await
                .map_err(|error| Fault::internal("no more sessions").caused_by(&error))?;
            let started = Arc::clone(&self.session)
                .arc_raw_command(command)
                .stdin(openssh::Stdio::piped())
                .stdout(openssh::Stdio::piped())
                .stderr(openssh::Stdio::piped())
                .spawn()
                .await;
            match started {
                Ok(child) => return Ok((child, permit)),
                // A server with a lower limit: make do with what it gives.
                Err(error) if too_many(&error) && self.fewer_sessions() => permit.forget(),
                Err(error) => return Err(self.no_session(&error)),
            }
        }
    }

    fn fewer_sessions(&self) -> bool {
        self.sessions_allowed
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, |allowed| {
                (allowed > 2).then(|| allowed - 1)
            })
            .is_ok()
    }

    fn no_session(&self, error: &openssh::Error) -> Fault {
        let fault =
            Fault::unreachable(format!("cannot run a command on `{}`", self.host)).caused_by(error);
        if too_many(error) {
            fault.hint("allow at least 4 sessions in its `sshd_config`: `MaxSessions 10`")
        } else {
            fault
        }
    }

    pub(super) async fn dial(&self, target: &Target) -> Result<Forwarded, Fault> {
        let socket = self.forward(target).await?;
        let name = target_name(target);
        let log = self.folder.join("log");
        let deadline = Instant::now() + BUSY;
        loop {
            match Forwarded::connect(&socket, name.clone(), log.clone()).await {
                // More dials at once than the socket's queue takes.
                Err(error)
                    if error.kind() == std::io::ErrorKind::WouldBlock
                        && Instant::now() < deadline =>
                {
                    tokio::time::sleep(Duration::from_millis(2)).await;
                }
                done => return done.map_err(|error| self.cannot_reach(&name, &error)),
            }
        }
    }

    /// The local socket of the forward to this target, made once.
    async fn forward(&self, target: &Target) -> Result<PathBuf, Fault> {
        let cell = Arc::clone(
            self.forwards
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
                .entry(target.clone())
                .or_default(),
        );
        let made = cell.get_or_try_init(|| async {
            let number = self.forwards_made.fetch_add(1, Ordering::Relaxed);
            let local = self.folder.join(format!("f{number}"));
            let remote = match target {
                Target::Engine => Socket::from(Path::new("/var/run/docker.sock")),
                Target::Unix(path) => Socket::from(Path::new(path)),
                Target::Tcp(name, port) => Socket::new(name.as_str(), *port),
            };
            self.session
                .request_port_forward(ForwardType::Local, &*local, remote)
                .await
                .map_err(|error| self.cannot_reach(&target_name(target), &error))?;
            Ok(local)
        });
        made.await.cloned()
    }

    fn cannot_reach(&self, name: &str, error: &(dyn std::error::Error + 'static)) -> Fault {
        Fault::unreachable(format!("cannot reach {name} through `{}`", self.host)).caused_by(error)
    }
}

/// In words, for messages.
pub(super) fn target_name(target: &Target) -> String {
    match target {
        Target::Engine => "the Docker engine".to_owned(),
        Target::Unix(path) => format!("`{path}`"),
        Target::Tcp(name, port) => format!("`{name}:{port}`"),
    }
}

fn log_file(folder: &Path) -> std::io::Result<File> {
    OpenOptions::new()
        .create(true)
        .append(true)
        .open(folder.join("log"))
}

/// `ssh` that goes into the background once it is logged in; until then it dies
/// with whoever waits for it. Its own process group keeps Ctrl-C from it. What
/// a jump host's `ssh` says arrives on its standard error.
fn ssh(control: &ControlDir, target: &SshTarget, folder: &Path, log: File) -> Command {
    let mut command = Command::new("ssh");
    command
        .arg("-F")
        .arg(control.config())
        .arg("-E")
        .arg(folder.join("log"))
        .arg("-S")
        .arg(folder.join("master"))
        .args(["-M", "-f", "-N", "-o", PERSIST]);
    if let Some(port) = target.port {
        command.args(["-p", &port.to_string()]);
    }
    if let Some(user) = &target.user {
        command.args(["-l", user]);
    }
    command
        .arg("--")
        .arg(&target.host)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(log)
        .process_group(0)
        .kill_on_drop(true);
    command
}

fn no_ssh(host: &HostAddress, error: &std::io::Error) -> Fault {
    let fault = Fault::unreachable(format!("cannot connect to `{host}`"));
    if error.kind() == std::io::ErrorKind::NotFound {
        fault
            .because("the program `ssh` is not installed on this machine")
            .hint("install OpenSSH's client: `apt-get install openssh-client`")
    } else {
        fault.because("`ssh` cannot be started").caused_by(error)
    }
}

fn too_many(error: &openssh::Error) -> bool {
    let openssh::Error::SshMux(error) = error else {
        return false;
    };
    error.to_string().contains("Session open refused")
}

/// One word for any login shell. Fish reads a backslash inside single quotes
/// as an escape, so it stands outside of them too.
fn quote(script: &str) -> String {
    let mut quoted = String::with_capacity(script.len() + 16);
    quoted.push('\'');
    for c in script.chars() {
        match c {
            '\'' => quoted.push_str(r"'\''"),
            '\\' => quoted.push_str(r"'\\'"),
            c => quoted.push(c),
        }
    }
    quoted.push('\'');
    quoted
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_script_reaches_the_inner_shell_byte_for_byte() {
        let script = r#"printf '%s\n' "it's \$HOME" '!' `echo a`"#;
        let echoed = std::process::Command::new("sh")
            .arg("-c")
            .arg(format!("printf %s {}", quote(script)))
            .output()
            .expect("sh runs");
        assert_eq!(String::from_utf8_lossy(&echoed.stdout), script);
    }
}
