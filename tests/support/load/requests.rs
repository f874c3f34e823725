//! Requests that begin and end: one after the other at a steady pace.

use std::time::Duration;

use bytes::Bytes;
use hyper::{Method, Request, Response, header};
use tokio::time::{Instant, Interval, MissedTickBehavior, interval_at};

use super::Kind;
use super::client::{
    Client, Connection, PATIENCE, all_of, answers, in_time, shortened, version_of,
};

/// Asks every so often until the load ends.
pub(super) async fn asks(client: Client, first: Duration, every: Duration) {
    let mut pace = pace(first, every);
    let mut connection = None;
    let mut number = 0;
    while comes(&mut pace, &client).await {
        number += 1;
        let asked = match client.kind {
            Kind::Post => Asked::Echo(said(number)),
            _ => Asked::Page("/".to_owned()),
        };
        asks_once(&client, &mut connection, asked, PATIENCE).await;
        if client.kind == Kind::Fresh {
            connection = None;
        }
    }
}

/// Always waits for an answer that takes long: either all of it, or, for every
/// second person, only its end.
pub(super) async fn waits(client: Client, number: u32, slow: Duration) {
    let drip = if number % 2 == 1 { "&drip" } else { "" };
    let path = format!("/slow?seconds={}{drip}", slow.as_secs_f64());
    let mut connection = None;
    // One that is refused does not hurry.
    let mut pace = pace(Duration::ZERO, Duration::from_millis(100));
    while comes(&mut pace, &client).await {
        let asked = Asked::Page(path.clone());
        asks_once(&client, &mut connection, asked, PATIENCE + slow).await;
    }
}

pub(super) fn pace(first: Duration, every: Duration) -> Interval {
    let mut pace = interval_at(Instant::now() + first, every);
    pace.set_missed_tick_behavior(MissedTickBehavior::Delay);
    pace
}

/// Waits for its turn; `false` when the load ends.
pub(super) async fn comes(pace: &mut Interval, client: &Client) -> bool {
    tokio::select! {
        biased;
        () = client.stop.cancelled() => false,
        _ = pace.tick() => true,
    }
}

enum Asked {
    Page(String),
    Echo(String),
}

async fn asks_once(
    client: &Client,
    connection: &mut Option<Connection>,
    asked: Asked,
    patience: Duration,
) {
    let begun = client.tally.now();
    match in_time(patience, exchange(client, connection, asked)).await {
        Ok(version) => {
            client
                .tally
                .answered(client.kind, client.host, &version, begun);
        }
        Err(reason) => {
            *connection = None;
            client.failed(reason);
        }
    }
}

/// The version that answers, when all of the answer is as it should be.
async fn exchange(
    client: &Client,
    kept: &mut Option<Connection>,
    asked: Asked,
) -> Result<String, String> {
    let mut connection = match kept.take() {
        // What is written in that moment is lost: only an announced end is good.
        Some(connection) if connection.is_closed() => {
            return Err("the open connection was closed without a word".to_owned());
        }
        Some(connection) => connection,
        None => client.opens().await?,
    };
    let response = answers(&mut connection, request(client, &asked)).await?;
    let stays = stays(&response);
    let body = all_of(response).await?;
    let (version, rest) = version_of(&body)?;
    let complete = match &asked {
        Asked::Page(_) => rest.ends_with("\nend\n"),
        Asked::Echo(said) => rest == said,
    };
    if !complete {
        return Err(format!("not the whole answer: {}", shortened(rest)));
    }
    if stays {
        *kept = Some(connection);
    }
    Ok(version.to_owned())
}

fn request(client: &Client, asked: &Asked) -> Request<http_body_util::Full<Bytes>> {
    let mut request = match asked {
        Asked::Page(path) => client.request(Method::GET, path, Bytes::new()),
        Asked::Echo(said) => client.request(Method::POST, "/echo", said.clone().into()),
    };
    if client.kind == Kind::Fresh {
        let close = header::HeaderValue::from_static("close");
        request.headers_mut().insert(header::CONNECTION, close);
    }
    request
}

fn stays<T>(response: &Response<T>) -> bool {
    let said = response.headers().get(header::CONNECTION);
    !said.is_some_and(|said| said.as_bytes().eq_ignore_ascii_case(b"close"))
}

/// A body whose length and text are another each time, up to 16 kB.
fn said(number: usize) -> String {
    format!("{number} ").repeat(1 + number * 37 % 2000)
}
