//! One HTTP request over a stream that is already there. Imports `ports`.

use std::time::Duration;

use http_body_util::{BodyExt, Full};
use hyper::body::Bytes;
use hyper::header;
use hyper_util::rt::TokioIo;
use tokio::time::timeout;
use tokio_util::task::AbortOnDropHandle;

use crate::ports::{ByteStream, Fetched, Method, Request};

/// The status is the answer; a body that trickles is not waited for.
const BODY_PATIENCE: Duration = Duration::from_secs(1);
/// How much of a body its reader needs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Body {
    /// One that breaks off or never ends still has a beginning.
    Beginning,
    /// Up to its end, or to the most that is taken; the caller has a deadline.
    Whole,
}

/// As much of an answer as an error shows.
pub(super) const FIRST_LINE: usize = 200;

/// The answer, with at most so many bytes of its body.
///
/// # Errors
/// In words, innermost first: no answer, or none that is HTTP.
pub(super) async fn ask(
    stream: Box<dyn ByteStream>,
    asked: &Request,
    most: usize,
    wanted: Body,
) -> Result<Fetched, String> {
    let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream))
        .await
        .map_err(|error| innermost(&error))?;
    let _connection = AbortOnDropHandle::new(tokio::spawn(connection));
    let mut request = hyper::Request::builder()
        .method(asked.method.as_str())
        .uri(&asked.path)
        .header(header::HOST, &asked.name)
        .header(header::USER_AGENT, "stagecraft")
        .header(header::ACCEPT, "*/*")
        .header(header::CONNECTION, "close");
    for (name, value) in &asked.headers {
        request = request.header(name, value);
    }
    let body = match &asked.method {
        Method::Get => Bytes::new(),
        Method::Post(json) => {
            request = request.header(header::CONTENT_TYPE, "application/json");
            Bytes::copy_from_slice(json.as_bytes())
        }
    };
    let request = request
        .body(Full::new(body))
        .map_err(|error| innermost(&error))?;
    let response = sender
        .send_request(request)
        .await
        .map_err(|error| innermost(&error))?;
    let status = response.status().as_u16();
    let text = |value: &header::HeaderValue| String::from_utf8_lossy(value.as_bytes()).into_owned();
    let headers = response.headers().iter();
    let headers = headers
        .map(|(name, value)| (name.as_str().to_owned(), text(value)))
        .collect();
    let mut body = response.into_body();
    let mut bytes = Vec::new();
    let reading = async {
        while bytes.len() < most {
            match body.frame().await {
                None => break,
                Some(Err(error)) => return Err(format!("it broke off: {}", innermost(&error))),
                Some(Ok(frame)) => {
                    if let Ok(data) = frame.into_data() {
                        bytes.extend_from_slice(&data);
                    }
                }
            }
        }
        Ok(())
    };
    match wanted {
        Body::Whole => reading.await?,
        Body::Beginning => {
            let _ = timeout(BODY_PATIENCE, reading).await;
        }
    }
    bytes.truncate(most);
    Ok(Fetched {
        status,
        headers,
        body: bytes,
    })
}

/// What hyper wraps says more than hyper.
fn innermost(error: &(dyn std::error::Error + 'static)) -> String {
    let mut at = error;
    while let Some(source) = at.source() {
        at = source;
    }
    at.to_string()
}

/// Of an answer: printable, and short enough for a line.
pub(super) fn first_line(text: &[u8]) -> String {
    let text = String::from_utf8_lossy(&text[..text.len().min(FIRST_LINE)]).into_owned();
    text.lines()
        .map(|line| line.replace(char::is_control, " ").trim().to_owned())
        .find(|line| !line.is_empty())
        .unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_for_people_has_no_control_characters_and_an_end() {
        assert_eq!(first_line(b"\n\n  \x1b[31mboom\tnow\nmore"), "[31mboom now");
        assert_eq!(first_line(&[b'x'; 5000]).len(), FIRST_LINE);
        assert_eq!(first_line(b""), "");
    }
}
