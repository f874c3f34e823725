//! One request to an engine as a value. Its body may hold secrets: it has no
//! `Debug`, and nothing here logs.

use std::time::Duration;

use bollard::errors::Error;
use bytes::Bytes;
use futures_util::{Stream, TryStreamExt};
use http_body_util::{Either, Full, StreamBody};
use hyper::Method;
use hyper::body::Frame;
use hyper::header::{CONNECTION, CONTENT_TYPE, HeaderName, HeaderValue, UPGRADE};
use serde::Serialize;

use super::{Body, EngineRequest};

/// What is waited for an answer unless said otherwise: an engine under load
/// may take its time to make a container.
const PATIENCE: Duration = Duration::from_secs(60);

/// See the module's own words.
#[must_use]
pub struct Call {
    method: Method,
    path: String,
    query: Vec<(&'static str, String)>,
    headers: Vec<(HeaderName, HeaderValue)>,
    body: Result<Body, serde_json::Error>,
    patience: Duration,
}

impl Call {
    /// `path` is whole and escaped, such as `/containers/json`; see
    /// [`Call::to`] for parts that are not.
    pub fn new(method: Method, path: impl Into<String>) -> Self {
        Self {
            method,
            path: path.into(),
            query: vec![],
            headers: vec![],
            body: Ok(Either::Left(Full::default())),
            patience: PATIENCE,
        }
    }

    pub fn get(path: impl Into<String>) -> Self {
        Self::new(Method::GET, path)
    }

    pub fn post(path: impl Into<String>) -> Self {
        Self::new(Method::POST, path)
    }

    pub fn put(path: impl Into<String>) -> Self {
        Self::new(Method::PUT, path)
    }

    pub fn delete(path: impl Into<String>) -> Self {
        Self::new(Method::DELETE, path)
    }

    pub fn query(mut self, key: &'static str, value: impl Into<String>) -> Self {
        self.query.push((key, value.into()));
        self
    }

    pub fn header(mut self, name: HeaderName, value: HeaderValue) -> Self {
        self.headers.push((name, value));
        self
    }

    /// A JSON body.
    pub fn json(mut self, value: &impl Serialize) -> Self {
        self.body = serde_json::to_vec(value).map(|bytes| Either::Left(Full::from(bytes)));
        self.content("application/json")
    }

    /// A body of bytes that are here already, such as a tar archive.
    pub fn bytes(mut self, content: &'static str, bytes: impl Into<Bytes>) -> Self {
        self.body = Ok(Either::Left(Full::new(bytes.into())));
        self.content(content)
    }

    /// A body that is made while it is sent.
    pub fn stream(
        mut self,
        content: &'static str,
        body: impl Stream<Item = Result<Bytes, std::io::Error>> + Send + 'static,
    ) -> Self {
        self.body = Ok(Either::Right(StreamBody::new(Box::pin(
            body.map_ok(Frame::data),
        ))));
        self.content(content)
    }

    /// Asks to take the connection over as `protocol` (`tcp`, `h2c`).
    pub fn upgrading(self, protocol: &'static str) -> Self {
        self.header(CONNECTION, HeaderValue::from_static("Upgrade"))
            .header(UPGRADE, HeaderValue::from_static(protocol))
    }

    /// How long the answer's headers, and a short body, are waited for.
    pub fn within(mut self, patience: Duration) -> Self {
        self.patience = patience;
        self
    }

    pub(super) fn patience(&self) -> Duration {
        self.patience
    }

    fn content(self, content: &'static str) -> Self {
        self.header(CONTENT_TYPE, HeaderValue::from_static(content))
    }

    pub(super) fn into_request(self) -> Result<(EngineRequest, Duration), Error> {
        let mut uri = format!("http://engine{}", self.path);
        if !self.query.is_empty() {
            let query = url::form_urlencoded::Serializer::new(String::new())
                .extend_pairs(&self.query)
                .finish();
            uri.push('?');
            uri.push_str(&query);
        }
        let mut request = EngineRequest::new(self.body?);
        *request.method_mut() = self.method;
        *request.uri_mut() = uri.parse().map_err(|err| Error::InvalidURIError { err })?;
        request.headers_mut().extend(self.headers);
        Ok((request, self.patience))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_query_is_escaped_and_no_api_version_is_named() {
        let call = Call::get("/containers/json").query("filters", r#"{"label":["a=b c"]}"#);
        let (request, _) = call.into_request().unwrap();
        assert_eq!(
            request.uri().to_string(),
            "http://engine/containers/json?filters=%7B%22label%22%3A%5B%22a%3Db+c%22%5D%7D"
        );
    }
}
