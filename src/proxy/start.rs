//! Starting the proxy's container, and why it does not start. Imports `ports`,
//! `model`.

use std::time::Duration;

use indexmap::IndexMap;
use tokio::time::Instant;

use crate::model::container::{Container, ContainerSpec, ContainerState, Mount, StopPolicy, label};
use crate::model::fault::Fault;
use crate::model::route::Route;

use super::base::Base;
use super::machine::{FOLDER, Machine, NAME};
use super::runtime::Silent;
use super::state::{Map, State, read};

/// From its start to its first answer.
const STARTS: Duration = Duration::from_secs(20);

impl Machine<'_> {
    pub(super) async fn start(
        &self,
        route: &Route,
        https: Option<u16>,
    ) -> Result<Container, Fault> {
        let proxy = &route.proxy;
        let (image, group, holder) = tokio::try_join!(
            self.runner.resolve_image(self.cx, self.host, &proxy.image),
            self.group(),
            self.runner
                .publisher_of(self.cx, self.host, proxy.http_port),
        )?;
        if let Some(holder) = holder {
            return Err(self.port_taken(proxy.http_port, Some(&holder)));
        }
        let base = Base {
            image: proxy.image.clone(),
            http_port: proxy.http_port,
            https_port: route.label(0).https.or(https),
            group,
        };
        let mount = |source: &str, target: &str| Mount {
            source: source.to_owned(),
            target: target.to_owned(),
            read_only: false,
        };
        let spec = ContainerSpec {
            name: NAME.to_owned(),
            image,
            entrypoint: Some(vec!["sh".to_owned(), "-c".to_owned()]),
            command: Some(vec![base.script()]),
            env: IndexMap::new(),
            labels: [(label::PROXY.to_owned(), base.version())].into(),
            mounts: vec![mount(NAME, "/data")],
            made_folders: vec![mount(FOLDER, FOLDER)],
            // For the ports below 1024; HAProxy gives it up once it has them.
            user: Some("0".to_owned()),
            network: "host".to_owned(),
            aliases: vec![],
            ports: vec![],
            stop: StopPolicy {
                // Lets requests end.
                signal: "SIGUSR1".to_owned(),
                timeout: Duration::from_secs(30),
            },
            restart: true,
        };
        let Self {
            runner, cx, host, ..
        } = *self;
        let version = spec.labels.get(label::PROXY).map(String::as_str);
        if let Some(found) = runner.inspect(cx, host, NAME).await?
            && !found.running()
            && found.label(label::PROXY) != version
        {
            runner.remove(cx, host, &found.id).await?;
        }
        self.made(&spec).await
    }

    /// A container of that name, running. Whoever makes it, all may start it.
    pub(super) async fn made(&self, spec: &ContainerSpec) -> Result<Container, Fault> {
        let Self {
            runner, cx, host, ..
        } = *self;
        let name = &spec.name;
        runner.make(cx, host, spec).await?;
        let deadline = Instant::now() + STARTS;
        // An engine gives a name away before it knows the container by it.
        while Instant::now() < deadline && runner.inspect(cx, host, name).await?.is_none() {
            self.pause().await?;
        }
        runner.start_again(cx, host, name).await
    }

    /// Waits until that very container answers; removes it when it does not.
    pub(super) async fn answering(&self, container: &Container) -> Result<State, Fault> {
        let version = container.label(label::PROXY).unwrap_or_default();
        let deadline = Instant::now() + STARTS;
        let why = loop {
            let silent = match read(self.link, self.host).await {
                Ok(state) if state.value(Map::About, "version") == Some(version) => {
                    return Ok(state);
                }
                Ok(_) => Silent("another one answers".to_owned()),
                Err(silent) => silent,
            };
            let found = self
                .runner
                .inspect(self.cx, self.host, &container.id)
                .await?;
            match found {
                None => break "its container was removed".to_owned(),
                Some(found) if found.state != ContainerState::Running || found.restarts > 0 => {
                    break format!(
                        "it ends at once, with exit code {}",
                        found.exit_code.unwrap_or(1)
                    );
                }
                Some(_) if Instant::now() >= deadline => break silent.0,
                Some(_) => self.pause().await?,
            }
        };
        let last = self.last_words(&container.id).await;
        // The failure that is being told comes first.
        let _ = self.runner.remove(self.cx, self.host, &container.id).await;
        if let Some(port) = last.iter().find_map(|line| port_in_use(line)) {
            return Err(self.port_taken(port, None));
        }
        Err(
            Fault::failed(format!("the proxy does not start on `{}`", self.host))
                .because(why)
                .showing(format!("last lines from {NAME} on {}", self.host), last),
        )
    }

    fn port_taken(&self, port: u16, holder: Option<&str>) -> Fault {
        let host = self.host;
        let fault = Fault::failed(format!("port {port} of `{host}` is in use"))
            .because("the proxy is to answer there");
        match holder {
            Some(holder) => fault
                .because(format!("the container `{holder}` publishes it now"))
                .hint(format!(
                    "let it publish another port, or write another `http_port` in `proxy`; \
                     see what it is: `docker inspect {holder}`"
                )),
            None => fault
                .because("no container publishes it: another program on the host listens there")
                .hint(format!(
                    "see who listens, on the host: `sudo ss -ltnp 'sport = :{port}'`"
                )),
        }
    }

    /// Whoever may use the engine may use the proxy.
    async fn group(&self) -> Result<u32, Fault> {
        let script = "stat -L -c %g /var/run/docker.sock 2>/dev/null || id -g";
        let exit = self.link.exec(self.host, script, &[]).await?;
        let said = String::from_utf8_lossy(&exit.stdout).trim().to_owned();
        said.parse().map_err(|_| {
            Fault::failed(format!(
                "cannot find out who may use Docker on `{}`",
                self.host
            ))
            .because(format!("`{script}` says `{said}`"))
        })
    }
}

/// `… cannot bind socket (Address already in use) for [0.0.0.0:80]`
fn port_in_use(line: &str) -> Option<u16> {
    let (_, rest) = line.split_once("(Address already in use)")?;
    let (_, address) = rest.split_once('[')?;
    let (address, _) = address.split_once(']')?;
    address.rsplit(':').next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_port_in_use_is_read_from_what_haproxy_says() {
        let line = "[ALERT]    (1) : Starting frontend http: cannot bind socket (Address already in use) for [0.0.0.0:80]";
        assert_eq!(port_in_use(line), Some(80));
        assert_eq!(port_in_use("[ALERT] (1) : config : no"), None);
    }
}
