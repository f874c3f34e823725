//! A run that goes on: its events as they come, and ways to disturb it.

use std::io::{BufRead, BufReader, Read, Write};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::thread::JoinHandle;
use std::time::Instant;

use serde_json::Value;

use super::{PATIENCE, Run};

pub(crate) struct Running {
    child: Child,
    command: String,
    started: Instant,
    lines: Receiver<String>,
    stdout: String,
    stderr: Option<JoinHandle<String>>,
}

impl Running {
    #[track_caller]
    pub(crate) fn new(mut command: Command, words: String) -> Self {
        let mut child = command
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("the binary runs");
        let (said, lines) = channel();
        let stdout = child.stdout.take().expect("a pipe");
        std::thread::spawn(move || {
            for line in BufReader::new(stdout).lines().map_while(Result::ok) {
                let _ = said.send(line);
            }
        });
        let mut pipe = child.stderr.take().expect("a pipe");
        let stderr = std::thread::spawn(move || {
            let mut text = vec![];
            let _ = pipe.read_to_end(&mut text);
            String::from_utf8_lossy(&text).into_owned()
        });
        Self {
            child,
            command: words,
            started: Instant::now(),
            lines,
            stdout: String::new(),
            stderr: Some(stderr),
        }
    }

    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Waits for the event line (`--format ndjson`) that `is_it` knows.
    #[track_caller]
    pub(crate) fn until(&mut self, what: &str, is_it: impl Fn(&Value) -> bool) -> Value {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let left = deadline.saturating_duration_since(Instant::now());
            match self.lines.recv_timeout(left) {
                Ok(line) => {
                    self.stdout.push_str(&line);
                    self.stdout.push('\n');
                    match serde_json::from_str(&line) {
                        Ok(event) if is_it(&event) => return event,
                        _ => {}
                    }
                }
                Err(RecvTimeoutError::Timeout) => {
                    panic!("{what} did not come in {PATIENCE:?}: {}", self.stdout)
                }
                Err(RecvTimeoutError::Disconnected) => {
                    let _ = self.child.wait();
                    let stderr = self.stderr.take().and_then(|reader| reader.join().ok());
                    panic!(
                        "it ended before {what}: {}{}",
                        self.stdout,
                        stderr.unwrap_or_default()
                    )
                }
            }
        }
    }

    /// Waits until a phase begins.
    #[track_caller]
    pub(crate) fn until_phase(&mut self, phase: &str) {
        self.until(phase, |event| {
            event["phase"] == phase && event["event"] == "phase_started"
        });
    }

    /// Waits until something was done whose words contain `text`.
    #[track_caller]
    pub(crate) fn until_step(&mut self, text: &str) {
        self.until(text, |event| {
            event["text"]
                .as_str()
                .is_some_and(|step| step.contains(text))
        });
    }

    /// Waits until that was done on each of these hosts.
    #[track_caller]
    pub(crate) fn until_step_on(&mut self, hosts: &[super::Host], text: &str) {
        let mut missing: Vec<String> = hosts.iter().map(|host| host.address()).collect();
        while !missing.is_empty() {
            let event = self.until(text, |event| {
                let step = event["text"].as_str().unwrap_or_default();
                step.contains(text)
            });
            missing.retain(|address| event["host"] != *address.as_str());
        }
    }

    /// Ends it in the middle, so that it can do nothing more.
    #[track_caller]
    pub(crate) fn is_killed(mut self) -> Run {
        self.child.kill().expect("killed");
        self.ends()
    }

    /// What Ctrl-C does.
    #[track_caller]
    pub(crate) fn is_interrupted(&self) {
        let status = Command::new("kill")
            .args(["-INT", &self.pid().to_string()])
            .status();
        assert!(status.expect("kill").success());
    }

    /// Waits for its end.
    #[track_caller]
    pub(crate) fn ends(mut self) -> Run {
        let deadline = Instant::now() + 2 * PATIENCE;
        let status = loop {
            if let Some(status) = self.child.try_wait().expect("a status") {
                break status;
            }
            if Instant::now() > deadline {
                let _ = self.child.kill();
                let _ = self.child.wait();
                self.take_lines();
                panic!("`{}` did not end: {}", self.command, self.stdout);
            }
            std::thread::sleep(std::time::Duration::from_millis(10));
        };
        let took = self.started.elapsed();
        self.take_lines();
        let stderr = self.stderr.take().map(|reader| reader.join());
        let run = Run {
            command: std::mem::take(&mut self.command),
            code: status.code(),
            stdout: std::mem::take(&mut self.stdout),
            stderr: stderr.and_then(Result::ok).unwrap_or_default(),
            took,
        };
        // What was run before is what one wants to know when a test fails.
        let _ = writeln!(std::io::stderr(), "{run}");
        run
    }

    fn take_lines(&mut self) {
        while let Ok(line) = self.lines.recv_timeout(PATIENCE) {
            self.stdout.push_str(&line);
            self.stdout.push('\n');
        }
    }
}

/// A test that fails leaves nothing running.
impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The processes of this machine that were started for a checkout, by their
/// home: the program, its `ssh`s, its helpers.
pub(crate) fn processes_of(checkout: &super::Checkout) -> Vec<String> {
    let home = format!("HOME={}", checkout.home().display());
    let processes = std::fs::read_dir("/proc").expect("processes");
    processes
        .flatten()
        .map(|entry| entry.path())
        .filter(|process| {
            std::fs::read(process.join("environ")).is_ok_and(|variables| {
                let mut variables = variables.split(|byte| *byte == 0);
                variables.any(|variable| variable == home.as_bytes())
            })
        })
        .filter_map(|process| std::fs::read(process.join("cmdline")).ok())
        .map(|words| String::from_utf8_lossy(&words).replace('\0', " "))
        .collect()
}
