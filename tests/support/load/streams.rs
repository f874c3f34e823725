//! Server-sent events: one answer that goes on until somebody ends it.

use std::time::Duration;

use bytes::Bytes;
use http_body_util::BodyExt;
use hyper::Method;
use hyper::body::Incoming;

use super::client::{Client, PATIENCE, answers, chain, in_time, shortened};
use super::requests::{comes, pace};
use super::tally::{End, Ended};

/// How often the application sends an event.
pub(super) const EVERY: Duration = Duration::from_millis(100);

/// Listens until the load ends, and comes back when the server ends it.
pub(super) async fn listens(client: Client) {
    let mut pace = pace(Duration::ZERO, Duration::from_millis(100));
    while comes(&mut pace, &client).await {
        let opened = client.tally.now();
        let heard = tokio::select! {
            biased;
            () = client.stop.cancelled() => return,
            heard = hears(&client) => heard,
        };
        match heard {
            Ok(version) => client.tally.ended(Ended {
                kind: client.kind,
                host: client.host,
                version,
                opened,
                at: client.tally.now(),
                how: End::Goodbye,
            }),
            Err(reason) => client.failed(reason),
        }
    }
}

/// One answer to its proper end.
async fn hears(client: &Client) -> Result<String, String> {
    let response = in_time(PATIENCE, async {
        let mut connection = client.opens().await?;
        let request = client.request(Method::GET, "/events?every=0.1", Bytes::new());
        answers(&mut connection, request).await
    })
    .await?;
    client.tally.opened(client.kind, client.host);
    let mut events = Events {
        body: response.into_body(),
        text: String::new(),
    };
    let (mut version, mut next) = (String::new(), 0);
    loop {
        let begun = client.tally.now();
        let event = in_time(PATIENCE, events.next()).await?;
        if let Some(bye) = event.strip_prefix("event: bye\ndata: ") {
            if bye != version {
                return Err(format!("{version} began and {bye} said goodbye"));
            }
            in_time(PATIENCE, events.ends()).await?;
            return Ok(version);
        }
        let (by, number) = event
            .strip_prefix("data: ")
            .and_then(|data| data.split_once(' '))
            .ok_or_else(|| format!("a broken event: {}", shortened(&event)))?;
        if next == 0 {
            by.clone_into(&mut version);
        }
        if by != version || number != next.to_string() {
            return Err(format!("event {next} of {version} is {number} of {by}"));
        }
        next += 1;
        client.tally.answered(client.kind, client.host, by, begun);
    }
}

struct Events {
    body: Incoming,
    text: String,
}

impl Events {
    async fn next(&mut self) -> Result<String, String> {
        loop {
            if let Some((event, rest)) = self.text.split_once("\n\n") {
                let event = event.to_owned();
                self.text = rest.to_owned();
                return Ok(event);
            }
            let Some(frame) = self.body.frame().await else {
                return Err("the events ended without a goodbye".to_owned());
            };
            let frame = frame.map_err(|error| format!("between events: {}", chain(&error)))?;
            if let Some(data) = frame.data_ref() {
                self.text.push_str(&String::from_utf8_lossy(data));
            }
        }
    }

    /// After the goodbye comes the proper end of the answer.
    async fn ends(mut self) -> Result<(), String> {
        match self.body.frame().await {
            None => Ok(()),
            Some(Ok(_)) => Err("something came after the goodbye".to_owned()),
            Some(Err(error)) => Err(format!("after the goodbye: {}", chain(&error))),
        }
    }
}
