//! Asks a container whether it is ready: through its port from here, by a
//! command inside it, or by its state. Imports `ports`, `model`.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;

use crate::model::command_line::CommandLine;
use crate::model::container::{Container, ContainerState};
use crate::model::fault::Fault;
use crate::model::host::HostAddress;
use crate::model::project::HealthCheck;
use crate::ports::{Answer, ContainerRunner, Cx, HostLink, Probe};

use super::ask::first_line;
use super::port::Port;

/// A command may have to start an interpreter first.
const PATIENCE: Duration = Duration::from_secs(30);

pub struct Prober {
    link: Arc<dyn HostLink>,
    runner: Arc<dyn ContainerRunner>,
}

impl Prober {
    #[must_use]
    pub fn new(link: Arc<dyn HostLink>, runner: Arc<dyn ContainerRunner>) -> Self {
        Self { link, runner }
    }

    pub(super) fn link(&self) -> &dyn HostLink {
        &*self.link
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
            .exec(cx, host, &container.name, &command, PATIENCE)
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
        let port_of = |number| Port {
            link: &*self.link,
            host,
            container,
            number,
        };
        let answer = async {
            match check {
                HealthCheck::Http {
                    path,
                    port,
                    host: name,
                } => port_of(*port).get(path, name.as_deref()).await,
                HealthCheck::Tcp { port } => port_of(*port).opens().await,
                HealthCheck::Command(words) => self.command(cx, host, container, words).await,
                HealthCheck::None => self.runs(cx, host, container).await,
            }
        };
        cx.or_interrupted(answer).await
    }
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
