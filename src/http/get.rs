//! One HTTP request over a stream that is already there. Imports `ports`.

use http_body_util::{BodyExt, Empty, Limited};
use hyper::body::Bytes;
use hyper::{Request, StatusCode, header};
use hyper_util::rt::TokioIo;
use tokio_util::task::AbortOnDropHandle;

use crate::ports::ByteStream;

pub(super) struct Response {
    pub(super) status: StatusCode,
    /// At most so much as was asked for.
    pub(super) body: Bytes,
}

/// # Errors
/// In words, innermost first: no answer, or none that is HTTP.
pub(super) async fn get(
    stream: Box<dyn ByteStream>,
    path: &str,
    host: &str,
    most: usize,
) -> Result<Response, String> {
    let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream))
        .await
        .map_err(|error| innermost(&error))?;
    let _connection = AbortOnDropHandle::new(tokio::spawn(connection));
    let request = Request::get(path)
        .header(header::HOST, host)
        .header(header::USER_AGENT, "stagecraft")
        .header(header::ACCEPT, "*/*")
        .header(header::CONNECTION, "close")
        .body(Empty::<Bytes>::new())
        .map_err(|error| innermost(&error))?;
    let response = sender
        .send_request(request)
        .await
        .map_err(|error| innermost(&error))?;
    let status = response.status();
    let mut body = Limited::new(response.into_body(), most);
    let mut text = Vec::new();
    // A body that breaks off or is too long still has a beginning.
    while let Some(Ok(frame)) = body.frame().await {
        if let Ok(data) = frame.into_data() {
            text.extend_from_slice(&data);
        }
    }
    text.truncate(most);
    Ok(Response {
        status,
        body: text.into(),
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
