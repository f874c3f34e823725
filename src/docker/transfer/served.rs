//! A registry for one image and one host: read-only, on a unix socket in a
//! folder of our own, gone when dropped.
//!
//! While it stands behind a port of the host's loopback every user of that
//! host could ask it, so its repository has a name that cannot be guessed.

use std::convert::Infallible;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};

use bytes::Bytes;
use futures_util::TryStreamExt;
use http_body_util::combinators::BoxBody;
use http_body_util::{BodyExt, Empty, Full, StreamBody};
use hyper::body::{Frame, Incoming};
use hyper::header::{CONTENT_LENGTH, CONTENT_RANGE, CONTENT_TYPE, RANGE};
use hyper::service::service_fn;
use hyper::{Method, Request, Response, StatusCode};
use hyper_util::rt::TokioIo;
use tokio::net::UnixListener;
use tokio_util::task::AbortOnDropHandle;

use super::archive::{Archive, Part};
use super::pieces::pieces;
use crate::model::image::Digest;

/// A registry that stands.
pub(super) struct Served {
    folder: tempfile::TempDir,
    /// The first part of the repository's name.
    pub(super) token: String,
    counts: Arc<Counts>,
    _serving: AbortOnDropHandle<()>,
}

/// What the host took.
#[derive(Default)]
struct Counts {
    asked: AtomicBool,
    bytes: Arc<AtomicU64>,
    asked_bytes: AtomicU64,
    blobs: AtomicUsize,
}

impl Served {
    pub(super) fn stand(archive: Arc<Archive>) -> io::Result<Self> {
        // Such a folder is for its owner only.
        let folder = tempfile::Builder::new().prefix("stagecraft-").tempdir()?;
        let listener = UnixListener::bind(socket(folder.path()))?;
        // 74 bits of it are random.
        let token = uuid::Uuid::now_v7().simple().to_string();
        let counts = Arc::new(Counts::default());
        let shop = Arc::new(Shop {
            archive,
            prefix: format!("/v2/{token}/"),
            counts: Arc::clone(&counts),
        });
        let serving = tokio::spawn(async move {
            let mut connections = tokio::task::JoinSet::new();
            while let Ok((stream, _)) = listener.accept().await {
                let shop = Arc::clone(&shop);
                connections.spawn(async move {
                    let answer = service_fn(move |request| {
                        let answer = shop.answer(&request);
                        async move { Ok::<_, Infallible>(answer) }
                    });
                    // A client that goes away is its own affair.
                    let _ = hyper::server::conn::http1::Builder::new()
                        .serve_connection(TokioIo::new(stream), answer)
                        .await;
                });
                while connections.try_join_next().is_some() {}
            }
        });
        Ok(Self {
            folder,
            token,
            counts,
            _serving: AbortOnDropHandle::new(serving),
        })
    }

    pub(super) fn socket(&self) -> PathBuf {
        socket(self.folder.path())
    }

    /// Bytes that were taken, and how many were asked for so far.
    pub(super) fn bytes(&self) -> (u64, u64) {
        let read = |count: &AtomicU64| count.load(Ordering::Relaxed);
        (read(&self.counts.bytes), read(&self.counts.asked_bytes))
    }

    /// Whether anybody came at all.
    pub(super) fn was_asked(&self) -> bool {
        self.counts.asked.load(Ordering::Relaxed)
    }

    /// Configurations and layers that were taken.
    pub(super) fn blobs(&self) -> usize {
        self.counts.blobs.load(Ordering::Relaxed)
    }
}

fn socket(folder: &Path) -> PathBuf {
    folder.join("registry.sock")
}

type Answer = Response<BoxBody<Bytes, io::Error>>;

struct Shop {
    archive: Arc<Archive>,
    prefix: String,
    counts: Arc<Counts>,
}

impl Shop {
    fn answer(&self, request: &Request<Incoming>) -> Answer {
        self.counts.asked.store(true, Ordering::Relaxed);
        let path = request.uri().path();
        if !matches!(*request.method(), Method::GET | Method::HEAD) {
            return plain(StatusCode::METHOD_NOT_ALLOWED);
        }
        if path == "/v2/" || path == "/v2" {
            return plain(StatusCode::OK);
        }
        let Some((kind, digest)) = path.strip_prefix(&self.prefix).and_then(asked) else {
            return plain(StatusCode::NOT_FOUND);
        };
        match kind {
            Kind::Manifest => self.manifest(request, &digest),
            Kind::Blob => self.blob(request, &digest),
        }
    }

    fn manifest(&self, request: &Request<Incoming>, digest: &Digest) -> Answer {
        match self.archive.manifest(digest) {
            Ok(Some((media_type, bytes))) => {
                let length = bytes.len();
                let body = match *request.method() {
                    Method::HEAD => nothing(),
                    _ => whole(bytes),
                };
                built(
                    Response::builder()
                        .header(CONTENT_TYPE, media_type)
                        .header(CONTENT_LENGTH, length)
                        .header("docker-content-digest", digest.as_str()),
                    body,
                )
            }
            Ok(None) => plain(StatusCode::NOT_FOUND),
            Err(_) => plain(StatusCode::INTERNAL_SERVER_ERROR),
        }
    }

    fn blob(&self, request: &Request<Incoming>, digest: &Digest) -> Answer {
        let Some(part) = self.archive.blob(digest) else {
            return plain(StatusCode::NOT_FOUND);
        };
        // Engines go on where a connection was cut.
        let range = request.headers().get(RANGE).and_then(|v| v.to_str().ok());
        let start = range.and_then(from).filter(|start| *start < part.size);
        let answer = Response::builder()
            .header(CONTENT_TYPE, "application/octet-stream")
            .header("docker-content-digest", digest.as_str())
            .header(CONTENT_LENGTH, part.size - start.unwrap_or(0));
        let answer = match start {
            Some(start) => answer.status(StatusCode::PARTIAL_CONTENT).header(
                CONTENT_RANGE,
                format!("bytes {start}-{}/{}", part.size - 1, part.size),
            ),
            None => answer,
        };
        if *request.method() == Method::HEAD {
            return built(answer, nothing());
        }
        self.counts.blobs.fetch_add(1, Ordering::Relaxed);
        built(answer, self.stream(part, start.unwrap_or(0)))
    }

    fn stream(&self, part: Part, start: u64) -> BoxBody<Bytes, io::Error> {
        let asked = part.size - start;
        self.counts.asked_bytes.fetch_add(asked, Ordering::Relaxed);
        let taken = Arc::clone(&self.counts.bytes);
        let pieces = pieces(Arc::clone(&self.archive), part, start, taken);
        BodyExt::boxed(StreamBody::new(pieces.map_ok(Frame::data)))
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Manifest,
    Blob,
}

/// The end of a path: `…/manifests/sha256:…` or `…/blobs/sha256:…`.
fn asked(path: &str) -> Option<(Kind, Digest)> {
    let (rest, digest) = path.rsplit_once('/')?;
    let kind = match rest.rsplit_once('/')?.1 {
        "manifests" => Kind::Manifest,
        "blobs" => Kind::Blob,
        _ => return None,
    };
    Some((kind, digest.parse().ok()?))
}

/// `bytes=N-`; other ranges are answered with the whole.
fn from(range: &str) -> Option<u64> {
    range
        .strip_prefix("bytes=")?
        .strip_suffix('-')?
        .parse()
        .ok()
}

fn plain(status: StatusCode) -> Answer {
    built(
        Response::builder()
            .status(status)
            .header("docker-distribution-api-version", "registry/2.0"),
        nothing(),
    )
}

fn nothing() -> BoxBody<Bytes, io::Error> {
    Empty::new()
        .map_err(|never: Infallible| match never {})
        .boxed()
}

fn whole(bytes: Vec<u8>) -> BoxBody<Bytes, io::Error> {
    Full::from(bytes)
        .map_err(|never: Infallible| match never {})
        .boxed()
}

fn built(builder: hyper::http::response::Builder, body: BoxBody<Bytes, io::Error>) -> Answer {
    builder
        .body(body)
        .expect("the headers are digests, numbers and known words")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_of_manifests_and_blobs_are_told_apart() {
        let digest = format!("sha256:{}", "a".repeat(64));
        let (kind, found) = asked(&format!("stagecraft/shop/manifests/{digest}")).unwrap();
        assert_eq!((kind, found.as_str()), (Kind::Manifest, digest.as_str()));
        let (kind, _) = asked(&format!("stagecraft/shop/blobs/{digest}")).unwrap();
        assert_eq!(kind, Kind::Blob);
        assert!(asked("stagecraft/shop/manifests/latest").is_none());
        assert!(asked(&format!("stagecraft/shop/tags/{digest}")).is_none());
    }

    #[test]
    fn only_ranges_to_the_end_are_ranges() {
        assert_eq!(from("bytes=17-"), Some(17));
        assert_eq!(from("bytes=1-2"), None);
        assert_eq!(from("bytes=-5"), None);
    }
}
