use std::time::Duration;

use tokio::time::{Instant, sleep_until};

use crate::model::container::Container;
use crate::model::fault::Fault;
use crate::model::host::HostAddress;
use crate::model::project::SchemaGate;
use crate::model::schema::SchemaStatus;

use super::{Cx, Fetch, Method, Request, Target};

/// Of an answer; more is no status.
const MOST: usize = 1 << 20;
/// A container that has just become healthy may open its internal port a
/// moment after the one that users reach.
const TRIES: u32 = 4;
const BETWEEN: Duration = Duration::from_millis(250);
/// As much of a failed answer as a message shows.
const SAID: usize = 200;

/// What one replica answers at the gate's endpoint: asked through the host's
/// connection, the whole within the gate's timeout. The inner error is why the
/// answer is of no use, in words: whoever asked fails closed.
///
/// # Errors
/// The host itself cannot be reached, or the signal came.
pub async fn schema_status(
    cx: &Cx,
    fetch: &dyn Fetch,
    gate: &SchemaGate,
    host: &HostAddress,
    container: &Container,
) -> Result<Result<SchemaStatus, String>, Fault> {
    let SchemaGate { path, port, .. } = gate;
    let Some((address, published)) = container.reached_at(*port) else {
        return Ok(Err(format!(
            "port {port} cannot be reached: the container has no address"
        )));
    };
    let target = Target::Tcp(address, published);
    let deadline = Instant::now() + gate.timeout;
    let mut tried = 0;
    loop {
        let request = Request {
            method: Method::Get,
            path: path.clone(),
            name: format!("localhost:{port}"),
            headers: vec![],
            patience: deadline.saturating_duration_since(Instant::now()),
            most: MOST,
        };
        tried += 1;
        let why = match fetch.fetch(cx, host, &target, &request).await? {
            Ok(answer) if answer.status != 200 => {
                let said = first_line(&answer.body);
                let status = answer.status;
                return Ok(Err(format!(
                    "GET {path} on port {port} answered {status}{said}, and only 200 is an answer"
                )));
            }
            Ok(answer) => return Ok(SchemaStatus::parse(&answer.body)),
            Err(why) => why,
        };
        let next = Instant::now() + BETWEEN;
        if tried == TRIES || next >= deadline {
            return Ok(Err(format!("GET {path} on port {port}: {why}")));
        }
        tokio::select! {
            () = cx.token().cancelled() => return Err(Fault::interrupted()),
            () = sleep_until(next) => {}
        }
    }
}

fn first_line(body: &[u8]) -> String {
    let text = String::from_utf8_lossy(&body[..body.len().min(SAID)]).into_owned();
    text.lines()
        .map(|line| line.replace(char::is_control, " ").trim().to_owned())
        .find(|line| !line.is_empty())
        .map(|line| format!(" ({line})"))
        .unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use async_trait::async_trait;
    use tokio_util::sync::CancellationToken;

    use super::*;
    use crate::model::container::{ContainerState, PortBinding};
    use crate::ports::Fetched;

    /// Gives one answer after the other, the last one again and again.
    struct Says {
        answers: Vec<Result<(u16, &'static str), &'static str>>,
        asked: Mutex<Vec<(Target, Request)>>,
    }

    #[async_trait]
    impl Fetch for Says {
        async fn fetch(
            &self,
            _: &Cx,
            _: &HostAddress,
            target: &Target,
            request: &Request,
        ) -> Result<Result<Fetched, String>, Fault> {
            let mut asked = self.asked.lock().expect("free");
            asked.push((target.clone(), request.clone()));
            let answer = &self.answers[asked.len().min(self.answers.len()) - 1];
            Ok(match answer {
                Ok((status, body)) => Ok(Fetched {
                    status: *status,
                    headers: vec![],
                    body: body.as_bytes().to_vec(),
                }),
                Err(why) => Err((*why).to_owned()),
            })
        }
    }

    const GOOD: &str = r#"{"current_schema_version": 42, "code_min_schema_version": 40,
        "code_max_schema_version": 43, "pending_migrations": [], "compatible": true}"#;

    async fn asking(
        answers: Vec<Result<(u16, &'static str), &'static str>>,
        ports: Vec<PortBinding>,
    ) -> (Result<SchemaStatus, String>, Vec<(Target, Request)>) {
        let says = Says {
            answers,
            asked: Mutex::default(),
        };
        let (events, _) = tokio::sync::mpsc::unbounded_channel();
        let gate = SchemaGate {
            path: "/schema/status".to_owned(),
            port: 9090,
            timeout: Duration::from_secs(5),
            role: None,
            database: None,
        };
        let container = Container {
            id: String::new(),
            name: "shop-prod-web-1".to_owned(),
            state: ContainerState::Running,
            exit_code: None,
            oom_killed: false,
            restarts: 0,
            image_id: String::new(),
            labels: std::collections::BTreeMap::new(),
            ports,
            address: Some("172.18.0.2".to_owned()),
            started_at: None,
        };
        let cx = Cx::new(events, CancellationToken::new());
        let host = "deploy@web1".parse().expect("an address");
        let answer = schema_status(&cx, &says, &gate, &host, &container).await;
        let asked = says.asked.into_inner().expect("free");
        (answer.expect("the host is there"), asked)
    }

    /// E32, E33, E41
    #[tokio::test]
    async fn e41_the_internal_port_is_asked_with_a_limit_to_time_and_size() {
        let (answer, asked) = asking(vec![Ok((200, GOOD))], vec![]).await;
        assert_eq!(answer.map(|status| status.current), Ok(42));
        let (target, get) = &asked[0];
        assert_eq!(*target, Target::Tcp("172.18.0.2".to_owned(), 9090));
        assert_eq!((get.path.as_str(), get.most), ("/schema/status", 1 << 20));
        assert!(get.patience <= Duration::from_secs(5));
        assert_eq!(asked.len(), 1);
    }

    #[tokio::test]
    async fn e55_a_port_on_the_hosts_loopback_is_asked_there() {
        let published = PortBinding {
            container: 9090,
            host: 20_001,
            address: "127.0.0.1".to_owned(),
        };
        let (_, asked) = asking(vec![Ok((200, GOOD))], vec![published]).await;
        assert_eq!(asked[0].0, Target::Tcp("127.0.0.1".to_owned(), 20_001));
    }

    #[tokio::test]
    async fn e41_every_status_but_200_is_a_refusal_whatever_the_body_says() {
        for status in [201, 204, 301, 302, 404, 500, 503] {
            let (answer, asked) = asking(vec![Ok((status, GOOD))], vec![]).await;
            let why = answer.expect_err("not 200");
            assert!(why.contains(&format!("answered {status}")), "{why}");
            assert_eq!(asked.len(), 1, "an answer is an answer");
        }
    }

    #[tokio::test]
    async fn e41_an_endpoint_that_nobody_serves_is_a_refusal_after_a_few_tries() {
        let (answer, asked) = asking(vec![Err("connection refused")], vec![]).await;
        let why = answer.expect_err("unreachable");
        assert_eq!(why, "GET /schema/status on port 9090: connection refused");
        assert_eq!(asked.len(), 4);
    }

    #[tokio::test]
    async fn a_port_that_opens_a_moment_late_is_asked_again() {
        let late = vec![Err("connection refused"), Ok((200, GOOD))];
        let (answer, asked) = asking(late, vec![]).await;
        assert!(answer.is_ok());
        assert_eq!(asked.len(), 2);
    }
}
