use std::time::Duration;

use tokio::time::{Instant, sleep_until};

use crate::model::container::Container;
use crate::model::fault::Fault;
use crate::model::host::HostAddress;
use crate::model::project::SchemaGate;
use crate::model::schema::SchemaStatus;

use super::{Cx, Fetch, Get, Target};

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
        let get = Get {
            path: path.clone(),
            name: format!("localhost:{port}"),
            headers: vec![],
            patience: deadline.saturating_duration_since(Instant::now()),
            most: MOST,
        };
        tried += 1;
        let why = match fetch.get(cx, host, &target, &get).await? {
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
