//! One call: a process in a group of its own, its question on standard input,
//! its answer on standard output, whatever it tells people on standard error.
//! Imports `ports::Cx` and `model`.
//!
//! Invariant: when a call returns, its process group is gone.

use std::path::Path;
use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process_group};
use tokio::io::{AsyncBufReadExt, AsyncRead, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::process::{Child, Command};
use tokio::time::timeout;

use crate::migrate::words;
use crate::model::fault::Fault;
use crate::model::secret::Secret;
use crate::ports::Cx;

use super::protocol::{Question, URL};

/// More than any answer is.
const MOST: u64 = 64 << 20;
/// As much of standard error as a failure shows.
const TAIL: usize = 20;
/// To end by itself once it was asked to.
const GRACE: Duration = Duration::from_secs(5);
/// For what is still in the pipes when the process is gone.
const DRAIN: Duration = Duration::from_secs(1);

/// What a process said before it ended.
pub(super) struct Said {
    pub(super) status: ExitStatus,
    pub(super) answer: Vec<u8>,
    /// The last lines of standard error.
    pub(super) tail: Vec<String>,
}

/// A program, and what it is given beside the question.
pub(super) struct Caller<'a> {
    pub(super) program: &'a Path,
    pub(super) folder: Option<&'a Path>,
    pub(super) url: Option<&'a Secret>,
    pub(super) patience: Duration,
    /// Hears standard error, and cancels.
    pub(super) cx: Option<&'a Cx>,
}

impl Caller<'_> {
    /// # Errors
    /// It cannot be started, ran into its deadline, or was interrupted.
    pub(super) async fn call(&self, question: &Question) -> Result<Said, Fault> {
        let mut child = self.spawn()?;
        let group = Group::of(&child);
        let (stdin, stdout, stderr) =
            (child.stdin.take(), child.stdout.take(), child.stderr.take());
        let text = serde_json::to_vec(question)
            .map_err(|error| Fault::internal("cannot write the question").caused_by(&error))?;
        let mut answer = vec![];
        let mut tail = vec![];
        let write = async {
            if let Some(mut stdin) = stdin {
                // One that does not read its question may still answer it.
                let _ = stdin.write_all(&text).await;
            }
        };
        let read = async {
            if let Some(stdout) = stdout {
                let _ = stdout.take(MOST).read_to_end(&mut answer).await;
            }
        };
        let hear = async {
            if let Some(stderr) = stderr {
                self.hear(stderr, &mut tail).await;
            }
        };
        let status = {
            let talk = async { tokio::join!(write, read, hear) };
            tokio::pin!(talk);
            let ended = async {
                tokio::select! {
                    status = child.wait() => {
                        // What it left behind would keep the pipes open.
                        group.signal(Signal::KILL);
                        let _ = timeout(DRAIN, &mut talk).await;
                        status
                    }
                    // Output may close long before the end.
                    _ = &mut talk => child.wait().await,
                }
            };
            tokio::pin!(ended);
            tokio::select! {
                biased;
                status = &mut ended => Ok(status),
                why = self.enough() => {
                    group.signal(Signal::TERM);
                    let _ = timeout(GRACE, &mut ended).await;
                    group.signal(Signal::KILL);
                    Err(why)
                }
            }
        };
        let shown = format!("last lines of `{}`", self.name());
        match status {
            Ok(Ok(status)) => Ok(Said {
                status,
                answer,
                tail,
            }),
            Ok(Err(error)) => Err(self.failed("cannot be waited for").caused_by(&error)),
            Err(why) => Err(why.showing(shown, tail)),
        }
    }

    fn spawn(&self) -> Result<Child, Fault> {
        let mut command = Command::new(self.program);
        command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .env_remove(URL)
            .process_group(0)
            .kill_on_drop(true);
        if let Some(folder) = self.folder {
            command.current_dir(folder);
        }
        if let Some(url) = self.url {
            command.env(URL, url.reveal());
        }
        command.spawn().map_err(|error| {
            Fault::config(format!("`{}` cannot be started", self.name()))
                .caused_by(&error)
                .hint(format!("run it by hand: `{}`", self.program.display()))
        })
    }

    async fn hear(&self, stderr: impl AsyncRead + Unpin, tail: &mut Vec<String>) {
        let mut lines = BufReader::new(stderr).split(b'\n');
        while let Ok(Some(line)) = lines.next_segment().await {
            let line = String::from_utf8_lossy(&line).trim_end().to_owned();
            if let Some(cx) = self.cx {
                cx.output(line.clone());
            }
            if tail.len() == TAIL {
                tail.remove(0);
            }
            tail.push(line);
        }
    }

    /// Returns when the call has to end, with the reason.
    async fn enough(&self) -> Fault {
        let deadline = tokio::time::sleep(self.patience);
        let interrupted = async {
            match self.cx {
                Some(cx) => cx.token().cancelled().await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            () = deadline => self
                .failed("gave no answer in time")
                .because(format!(
                    "it was ended, with everything it had started, after {}",
                    words::duration(self.patience)
                ))
                .hint("raise `migrations.timeout` when the work needs longer"),
            () = interrupted => Fault::interrupted(),
        }
    }

    pub(super) fn name(&self) -> String {
        let name = self.program.file_name().unwrap_or_default();
        name.to_string_lossy().into_owned()
    }

    pub(super) fn failed(&self, why: &str) -> Fault {
        Fault::failed(format!("`{}` {why}", self.name()))
    }
}

/// The processes that a call started; dropping it ends them.
struct Group(Option<Pid>);

impl Group {
    fn of(child: &Child) -> Self {
        let id = child.id().and_then(|id| i32::try_from(id).ok());
        Self(id.and_then(Pid::from_raw))
    }

    fn signal(&self, signal: Signal) {
        if let Some(group) = self.0 {
            // It may be gone already.
            let _ = kill_process_group(group, signal);
        }
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        self.signal(Signal::KILL);
    }
}
