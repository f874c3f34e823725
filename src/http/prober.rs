//! Asks a container whether it is ready, from here: by HTTP or TCP through its
//! published port, by a command inside it, or by its state. Imports `ports`,
//! `model`.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use tokio::io::AsyncReadExt;
use tokio::time::timeout;

use crate::model::command_line::CommandLine;
use crate::model::container::{Container, ContainerState};
use crate::model::fault::Fault;
use crate::model::host::HostAddress;
use crate::model::project::HealthCheck;
use crate::ports::{Answer, ByteStream, ContainerRunner, Cx, HostLink, Probe, Target};

use super::get::get;

const PATIENCE: Duration = Duration::from_secs(5);
/// A command may have to start an interpreter first.
const COMMAND_PATIENCE: Duration = Duration::from_secs(30);
/// A port that nobody serves is accepted on the way (by the engine, by `ssh`)
/// and closed again; one that stays open so long is served.
const STAYS_OPEN: Duration = Duration::from_millis(500);
/// Of an answer's first line.
const FIRST_LINE: usize = 200;

pub struct Prober {
    link: Arc<dyn HostLink>,
    runner: Arc<dyn ContainerRunner>,
}

impl Prober {
    #[must_use]
    pub fn new(link: Arc<dyn HostLink>, runner: Arc<dyn ContainerRunner>) -> Self {
        Self { link, runner }
    }

    async fn http(
        &self,
        host: &HostAddress,
        container: &Container,
        path: &str,
        port: u16,
        name: Option<&str>,
    ) -> Result<Answer, Fault> {
        let stream = match self.dial(host, container, port).await? {
            Ok(stream) => stream,
            Err(why) => return Ok(Answer::Unhealthy(format!("GET {path}: {why}"))),
        };
        let name = name.map_or_else(|| format!("localhost:{port}"), str::to_owned);
        let asked = timeout(PATIENCE, get(stream, path, &name, FIRST_LINE)).await;
        Ok(match asked {
            Err(_) => Answer::Unhealthy(format!(
                "GET {path} got no answer within {}s",
                PATIENCE.as_secs()
            )),
            Ok(Err(why)) => Answer::Unhealthy(format!("GET {path}: {why}")),
            Ok(Ok(response))
                if response.status.is_success() || response.status.is_redirection() =>
            {
                Answer::Healthy
            }
            Ok(Ok(response)) => {
                let status = response.status.as_u16();
                let said = first_line(&response.body);
                let colon = if said.is_empty() { "" } else { ": " };
                Answer::Unhealthy(format!("GET {path} answered {status}{colon}{said}"))
            }
        })
    }

    async fn tcp(
        &self,
        host: &HostAddress,
        container: &Container,
        port: u16,
    ) -> Result<Answer, Fault> {
        let unhealthy = |why: &str| Answer::Unhealthy(format!("port {port}: {why}"));
        let mut stream = match self.dial(host, container, port).await? {
            Ok(stream) => stream,
            Err(why) => return Ok(unhealthy(&why)),
        };
        let mut byte = [0];
        Ok(match timeout(STAYS_OPEN, stream.read(&mut byte)).await {
            Err(_) | Ok(Ok(1..)) => Answer::Healthy,
            Ok(Ok(0)) => unhealthy("nothing listens on it"),
            Ok(Err(error)) => unhealthy(&error.to_string()),
        })
    }

    async fn command(
        &self,
        cx: &Cx,
        host: &HostAddress,
        container: &Container,
        words: &[String],
    ) -> Result<Answer, Fault> {
        let command = CommandLine::from_words(words);
        let exit = self
            .runner
            .exec(cx, host, &container.name, &command, COMMAND_PATIENCE)
            .await?;
        if exit.success() {
            return Ok(Answer::Healthy);
        }
        let said = exit
            .tail
            .last()
            .map(|line| first_line(line.as_bytes()))
            .filter(|line| !line.is_empty())
            .map(|line| format!(": {line}"))
            .unwrap_or_default();
        Ok(Answer::Unhealthy(format!(
            "`{command}` exited with {}{said}",
            exit.code
        )))
    }

    async fn runs(
        &self,
        cx: &Cx,
        host: &HostAddress,
        container: &Container,
    ) -> Result<Answer, Fault> {
        // As it is now: what the caller holds may be from its start.
        let now = self.runner.inspect(cx, host, &container.name).await?;
        Ok(match now {
            None => Answer::Unhealthy("the container is gone".to_owned()),
            Some(now) => match now.state {
                ContainerState::Running => Answer::Healthy,
                ContainerState::Created => {
                    Answer::Unhealthy("the container has not started".to_owned())
                }
                ContainerState::Restarting => Answer::Unhealthy(ended("is being restarted", &now)),
                ContainerState::Exited => Answer::Unhealthy(ended("exited", &now)),
                ContainerState::Other => {
                    Answer::Unhealthy("the container is not running".to_owned())
                }
            },
        })
    }

    /// The inner error is an answer in words; the outer one means that the host
    /// itself cannot be reached.
    async fn dial(
        &self,
        host: &HostAddress,
        container: &Container,
        port: u16,
    ) -> Result<Result<Box<dyn ByteStream>, String>, Fault> {
        let Some(target) = target(container, port) else {
            return Ok(Err("the container has no address yet".to_owned()));
        };
        match timeout(PATIENCE, self.link.dial(host, &target)).await {
            Ok(Ok(stream)) => Ok(Ok(stream)),
            // This machine is always there: it is the port that is not.
            Ok(Err(fault)) if host.is_local() => {
                Ok(Err(fault.causes.last().cloned().unwrap_or(fault.what)))
            }
            Ok(Err(fault)) => Err(fault),
            Err(_) => Ok(Err(format!("no answer within {}s", PATIENCE.as_secs()))),
        }
    }
}

#[async_trait]
impl Probe for Prober {
    async fn ask(
        &self,
        cx: &Cx,
        host: &HostAddress,
        container: &Container,
        check: &HealthCheck,
    ) -> Result<Answer, Fault> {
        let answer = async {
            match check {
                HealthCheck::Http {
                    path,
                    port,
                    host: name,
                } => {
                    self.http(host, container, path, *port, name.as_deref())
                        .await
                }
                HealthCheck::Tcp { port } => self.tcp(host, container, *port).await,
                HealthCheck::Command(words) => self.command(cx, host, container, words).await,
                HealthCheck::None => self.runs(cx, host, container).await,
            }
        };
        cx.or_interrupted(answer).await
    }
}

/// Where the host reaches the container's port: on its own loopback, or on
/// the container's network where the port is not published.
fn target(container: &Container, port: u16) -> Option<Target> {
    let published = container.ports.iter().find(|known| known.container == port);
    let (address, port) = match published {
        Some(binding) if matches!(binding.address.as_str(), "" | "0.0.0.0" | "::") => {
            ("127.0.0.1".to_owned(), binding.host)
        }
        Some(binding) => (binding.address.clone(), binding.host),
        None => (
            container
                .address
                .clone()
                .filter(|address| !address.is_empty())?,
            port,
        ),
    };
    Some(Target::Tcp(address, port))
}

fn ended(how: &str, container: &Container) -> String {
    let memory = if container.oom_killed {
        " (out of memory)"
    } else {
        ""
    };
    match container.exit_code {
        Some(code) => format!("the container {how}, its last exit code is {code}{memory}"),
        None => format!("the container {how}{memory}"),
    }
}

/// Printable, and short enough for a line.
fn first_line(body: &[u8]) -> String {
    let text = String::from_utf8_lossy(&body[..body.len().min(FIRST_LINE)]).into_owned();
    text.lines()
        .map(|line| line.replace(char::is_control, " ").trim().to_owned())
        .find(|line| !line.is_empty())
        .unwrap_or_default()
}
