//! A container's port as the host sees it, asked by HTTP or by connecting.
//! Imports `ports`, `model`.

use std::time::Duration;

use tokio::io::AsyncReadExt;
use tokio::time::timeout;

use crate::model::container::Container;
use crate::model::fault::Fault;
use crate::model::host::HostAddress;
use crate::ports::{Answer, ByteStream, HostLink, Method, Request, Target};

use super::ask::{Body, FIRST_LINE, ask, first_line};

const PATIENCE: Duration = Duration::from_secs(5);
/// A port that nobody serves is accepted on the way (by the engine, by `ssh`)
/// and closed again; one that stays open so long is served.
const STAYS_OPEN: Duration = Duration::from_millis(500);

pub(super) struct Port<'a> {
    pub(super) link: &'a dyn HostLink,
    pub(super) host: &'a HostAddress,
    pub(super) container: &'a Container,
    /// Inside the container.
    pub(super) number: u16,
}

impl Port<'_> {
    /// Healthy when the answer is 2xx or 3xx.
    pub(super) async fn get(&self, path: &str, name: Option<&str>) -> Result<Answer, Fault> {
        let stream = match self.dial().await? {
            Ok(stream) => stream,
            Err(why) => return Ok(Answer::Unhealthy(format!("GET {path}: {why}"))),
        };
        let request = Request {
            method: Method::Get,
            path: path.to_owned(),
            name: name.map_or_else(|| format!("localhost:{}", self.number), str::to_owned),
            headers: vec![],
            patience: PATIENCE,
            most: FIRST_LINE,
        };
        let asking = ask(stream, &request, FIRST_LINE, Body::Beginning);
        let response = match timeout(request.patience, asking).await {
            Ok(Ok(response)) => response,
            Ok(Err(why)) => return Ok(Answer::Unhealthy(format!("GET {path}: {why}"))),
            Err(_) => {
                let waited = PATIENCE.as_secs();
                return Ok(Answer::Unhealthy(format!(
                    "GET {path} got no answer within {waited}s"
                )));
            }
        };
        let status = response.status;
        if (200..400).contains(&status) {
            return Ok(Answer::Healthy);
        }
        Ok(Answer::Unhealthy(match first_line(&response.body) {
            said if said.is_empty() => format!("GET {path} answered {status}"),
            said => format!("GET {path} answered {status}: {said}"),
        }))
    }

    /// Healthy when a connection is accepted and kept.
    pub(super) async fn opens(&self) -> Result<Answer, Fault> {
        let unhealthy = |why: &str| Answer::Unhealthy(format!("port {}: {why}", self.number));
        let mut stream = match self.dial().await? {
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

    /// The inner error is an answer in words; the outer one means that the host
    /// itself cannot be reached.
    async fn dial(&self) -> Result<Result<Box<dyn ByteStream>, String>, Fault> {
        let Some(target) = self.target() else {
            return Ok(Err("the container has no address yet".to_owned()));
        };
        dial(self.link, self.host, &target).await
    }

    fn target(&self) -> Option<Target> {
        let (address, port) = self.container.reached_at(self.number)?;
        Some(Target::Tcp(address, port))
    }
}

/// The inner error is an answer in words; the outer one means that the host
/// itself cannot be reached.
pub(super) async fn dial(
    link: &dyn HostLink,
    host: &HostAddress,
    target: &Target,
) -> Result<Result<Box<dyn ByteStream>, String>, Fault> {
    let dial = link.dial(host, target);
    if !host.is_local() {
        return Ok(Ok(dial.await?));
    }
    // This machine is always there: what fails is the port.
    Ok(match timeout(PATIENCE, dial).await {
        Ok(Ok(stream)) => Ok(stream),
        Ok(Err(fault)) => Err(fault.causes.last().cloned().unwrap_or(fault.what)),
        Err(_) => Err(format!("no answer within {}s", PATIENCE.as_secs())),
    })
}

#[cfg(test)]
mod tests {
    use super::super::test_support::Answering;
    use super::*;
    use crate::model::container::{ContainerState, PortBinding};

    fn answering(bytes: &'static [u8]) -> Answering {
        Answering::closing(bytes)
    }

    fn container(published: Option<(&str, u16)>) -> Container {
        Container {
            id: String::new(),
            name: "shop-prod-web-1".to_owned(),
            state: ContainerState::Running,
            exit_code: None,
            oom_killed: false,
            restarts: 0,
            image_id: String::new(),
            labels: std::collections::BTreeMap::new(),
            ports: published
                .map(|(address, host)| PortBinding {
                    container: 3000,
                    host,
                    address: address.to_owned(),
                })
                .into_iter()
                .collect(),
            address: Some("172.18.0.2".to_owned()),
            started_at: None,
        }
    }

    async fn ask(link: &Answering, container: &Container, name: Option<&str>) -> Answer {
        let host = "deploy@web1".parse().expect("an address");
        let port = Port {
            link,
            host: &host,
            container,
            number: 3000,
        };
        port.get("/up", name).await.expect("the host is there")
    }

    #[tokio::test]
    async fn the_published_port_is_asked_under_the_name_the_check_gives() {
        let link = answering(b"HTTP/1.1 302 Found\r\nContent-Length: 0\r\n\r\n");
        let published = container(Some(("0.0.0.0", 20_001)));
        let answer = ask(&link, &published, Some("shop.example.com")).await;
        assert_eq!(answer, Answer::Healthy);
        let dialled = link.dialled.lock().expect("free").take();
        assert_eq!(dialled, Some(Target::Tcp("127.0.0.1".to_owned(), 20_001)));
        let asked = link.asked.lock().expect("free").take().expect("dialled");
        let request = asked.await.expect("it was served");
        assert!(request.starts_with("GET /up HTTP/1.1\r\n"), "{request}");
        assert!(request.contains("host: shop.example.com\r\n"), "{request}");
    }

    #[tokio::test]
    async fn a_port_that_is_not_published_is_asked_on_the_container_s_network() {
        let link = answering(b"HTTP/1.1 200 OK\r\n\r\n");
        assert_eq!(ask(&link, &container(None), None).await, Answer::Healthy);
        let dialled = link.dialled.lock().expect("free").take();
        assert_eq!(dialled, Some(Target::Tcp("172.18.0.2".to_owned(), 3000)));
    }

    #[tokio::test]
    async fn a_refusal_carries_its_status_and_its_first_line() {
        let link = answering(
            b"HTTP/1.1 503 Service Unavailable\r\nContent-Length: 24\r\n\r\nmigrating\nplease wait...",
        );
        let answer = ask(&link, &container(None), None).await;
        assert_eq!(
            answer,
            Answer::Unhealthy("GET /up answered 503: migrating".to_owned())
        );
    }

    #[tokio::test]
    async fn a_connection_that_is_closed_at_once_is_an_answer_too() {
        let answer = ask(&answering(b""), &container(None), None).await;
        let Answer::Unhealthy(why) = answer else {
            panic!("nobody answered, so it is not healthy");
        };
        assert!(why.starts_with("GET /up: "), "{why}");
    }

    #[tokio::test]
    async fn a_port_is_open_when_its_connection_stays_and_not_when_it_is_closed_again() {
        let host = "deploy@web1".parse().expect("an address");
        let container = container(None);
        let open = async |link: &Answering| {
            let port = Port {
                link,
                host: &host,
                container: &container,
                number: 3000,
            };
            port.opens().await.expect("the host is there")
        };
        // Waits for a request that never comes.
        assert_eq!(open(&answering(b"x")).await, Answer::Healthy);
        assert_eq!(
            open(&answering(b"")).await,
            Answer::Unhealthy("port 3000: nothing listens on it".to_owned())
        );
    }
}
