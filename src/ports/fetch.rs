use std::time::Duration;

use async_trait::async_trait;

use crate::model::fault::Fault;
use crate::model::host::HostAddress;

use super::{Cx, Target};

/// How something is asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Method {
    Get,
    /// With a JSON document as the body.
    Post(String),
}

impl Method {
    #[must_use]
    pub fn as_str(&self) -> &'static str {
        match self {
            Method::Get => "GET",
            Method::Post(_) => "POST",
        }
    }
}

/// One request to something on a host.
#[derive(Debug, Clone)]
pub struct Request {
    pub method: Method,
    /// With its query, if any.
    pub path: String,
    /// The `Host` header.
    pub name: String,
    /// Further headers; lower case.
    pub headers: Vec<(String, String)>,
    /// For the whole answer.
    pub patience: Duration,
    /// Bytes of the body; a longer one is an answer of no use.
    pub most: usize,
}

/// What was answered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fetched {
    pub status: u16,
    /// Names in lower case.
    pub headers: Vec<(String, String)>,
    pub body: Vec<u8>,
}

impl Fetched {
    #[must_use]
    pub fn header(&self, name: &str) -> Option<&str> {
        let found = self.headers.iter().find(|(known, _)| known == name);
        found.map(|(_, value)| value.as_str())
    }
}

/// Asks from here, through the host's connection: the image needs no tools,
/// and nothing is opened to the world.
#[async_trait]
pub trait Fetch: Send + Sync {
    /// The inner error is an answer in words: refused, closed, too slow, too
    /// long, not HTTP.
    ///
    /// # Errors
    /// The host itself cannot be reached.
    async fn fetch(
        &self,
        cx: &Cx,
        host: &HostAddress,
        target: &Target,
        request: &Request,
    ) -> Result<Result<Fetched, String>, Fault>;
}
