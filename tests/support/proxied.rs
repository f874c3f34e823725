//! What the tests of the proxy share: a host of their own, applications that
//! run in the test and answer on the host's loopback, and clients.

use std::convert::Infallible;
use std::fs::File;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper::{Request, Response, StatusCode};
use hyper_util::rt::TokioIo;
use stagecraft::docker::auth::{Auth, DockerStore};
use stagecraft::docker::client::Engines;
use stagecraft::http::Prober;
use stagecraft::model::host::HostAddress;
use stagecraft::model::project::{Proxy as ProxySpec, Tls};
use stagecraft::model::route::{Acme, Route, Server};
use stagecraft::ports::{ContainerRunner, Cx, HostLink, Proxy, ReverseForward};
use stagecraft::ssh::Links;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpStream, UnixListener};
use tokio::task::JoinHandle;

use super::build::{cx, lab};
use super::lab::{engine, proxy_of_host_2};

pub(crate) use super::lab::HTTP;

/// Host 2 and its proxy, for one test at a time.
pub struct Stand {
    pub proxy: Arc<dyn Proxy>,
    pub link: Arc<dyn HostLink>,
    pub runner: Arc<dyn ContainerRunner>,
    pub host: HostAddress,
    pub cx: Cx,
    pub folder: tempfile::TempDir,
    _lock: File,
}

impl Stand {
    pub async fn new() -> Self {
        let lock = proxy_of_host_2();
        let lock = tokio::task::spawn_blocking(move || lock.lock().map(|()| lock));
        let lock = lock.await.unwrap().unwrap();
        let link: Arc<dyn HostLink> = Links::new().unwrap();
        let nobody = Auth::with_store(DockerStore::at("/nonexistent"));
        let runner = stagecraft::docker::runner(Engines::new(Arc::clone(&link)), Arc::new(nobody));
        let fetch = Arc::new(Prober::new(Arc::clone(&link), Arc::clone(&runner)));
        let stand = Self {
            proxy: stagecraft::proxy::proxies(
                Arc::clone(&link),
                Arc::clone(&runner),
                fetch,
                Acme::default(),
            ),
            link,
            runner,
            host: lab("LAB_HOST2_ALIAS").parse().unwrap(),
            cx: cx().0,
            folder: tempfile::tempdir().unwrap(),
            _lock: lock,
        };
        stand.clear();
        stand
    }

    pub fn clear(&self) {
        self.sh(
            "docker ps -aq --filter label=stagecraft.proxy | xargs -r docker rm -fv >/dev/null
             docker volume rm -f stagecraft-proxy >/dev/null
             rm -rf /run/stagecraft-proxy",
        );
    }

    /// As root on the host.
    #[track_caller]
    pub fn sh(&self, script: &str) -> String {
        engine(2).sh(script)
    }

    pub async fn app(&self, name: &str) -> App {
        App::start(self, name).await
    }

    /// The proxy's image under another name.
    pub fn other_reference(&self) -> String {
        let known = self.sh(&format!(
            "docker image inspect -f '{{{{index .RepoDigests 0}}}}' {}",
            lab("LAB_IMAGE_HAPROXY")
        ));
        assert!(known.contains("@sha256:"), "{known}");
        known
    }

    /// A certificate that vouches for itself, in files of that name.
    pub fn certificate(&self, name: &str, file: &str) -> Tls {
        let folder = self.folder.path();
        let (cert, key) = (
            folder.join(format!("{file}.pem")),
            folder.join(format!("{file}.key")),
        );
        super::lab::here().sh(&format!(
            "openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 30 \
             -subj /CN={name} -addext subjectAltName=DNS:{name} -keyout {} -out {} 2>/dev/null",
            key.display(),
            cert.display()
        ));
        Tls::Files { cert, key }
    }

    /// A certificate with the key of another.
    pub fn mismatched(&self) -> Tls {
        let folder = self.folder.path();
        Tls::Files {
            cert: folder.join("second.pem"),
            key: folder.join("first.key"),
        }
    }

    /// A small image with a web server, on the host.
    pub async fn app_image(&self) -> String {
        let reference = format!("{}/lab-proxied:1", lab("LAB_REGISTRY"));
        super::lab::here().sh(&format!(
            "docker tag stagecraft-lab/busybox {reference} && docker push -q {reference}"
        ));
        self.runner
            .resolve_image(&self.cx, &self.host, &reference)
            .await
            .unwrap();
        reference
    }

    /// One GET by a client of the outside.
    pub async fn get(&self, name: &str, path: &str) -> Got {
        self.get_with(name, path, "").await
    }

    pub async fn get_with(&self, name: &str, path: &str, headers: &str) -> Got {
        let request =
            format!("GET {path} HTTP/1.1\r\nHost: {name}\r\nConnection: close\r\n{headers}\r\n");
        let mut stream = connect(HTTP).await;
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut text = String::new();
        stream.read_to_string(&mut text).await.unwrap();
        Got::parse(&text)
    }
}

pub async fn connect(port: u16) -> TcpStream {
    TcpStream::connect((lab("LAB_HOST2"), port)).await.unwrap()
}

#[derive(Debug)]
pub struct Got {
    pub status: u16,
    pub head: String,
    pub body: String,
}

impl Got {
    #[track_caller]
    fn parse(text: &str) -> Self {
        let (head, body) = text.split_once("\r\n\r\n").unwrap_or((text, ""));
        let status = head.split(' ').nth(1).unwrap_or("0").parse();
        Self {
            status: status.unwrap(),
            head: head.to_ascii_lowercase(),
            body: body.trim().to_owned(),
        }
    }
}

pub fn route(key: &str, hosts: &[&str], prefix: Option<&str>) -> Route {
    Route {
        key: key.to_owned(),
        proxy: ProxySpec {
            hosts: hosts.iter().map(|host| (*host).to_owned()).collect(),
            role: "web".parse().unwrap(),
            tls: Tls::Off,
            image: lab("LAB_IMAGE_HAPROXY"),
            edge_image: lab("LAB_IMAGE_CADDY"),
            http_port: HTTP,
            https_port: 18_443,
            path_prefix: prefix.map(str::to_owned),
            max_request_body: None,
            response_timeout: std::time::Duration::from_secs(60),
        },
    }
}

/// An application in this process that answers on the host's loopback.
pub struct App {
    pub server: Server,
    _forward: Box<dyn ReverseForward>,
    serving: JoinHandle<()>,
}

impl App {
    async fn start(stand: &Stand, name: &str) -> Self {
        let socket = stand.folder.path().join(format!("{name}.sock"));
        let listener = UnixListener::bind(&socket).unwrap();
        let forward = stand.link.reverse(&stand.host, &socket).await.unwrap();
        let name: &'static str = name.to_owned().leak();
        let serving = tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(async move {
                    let answer = service_fn(move |request| answer(name, request));
                    let _ = hyper::server::conn::http1::Builder::new()
                        .serve_connection(TokioIo::new(stream), answer)
                        .with_upgrades()
                        .await;
                });
            }
        });
        Self {
            server: Server {
                name: name.to_owned(),
                port: forward.port(),
            },
            _forward: forward,
            serving,
        }
    }
}

impl Drop for App {
    fn drop(&mut self) {
        self.serving.abort();
    }
}

/// `/slow` takes two seconds, `/ws` becomes an echo, `/headers` shows what was
/// asked; everything answers with the application's name.
async fn answer(
    name: &'static str,
    request: Request<Incoming>,
) -> Result<Response<Full<Bytes>>, Infallible> {
    let path = request.uri().path().to_owned();
    if path.ends_with("/ws") {
        tokio::spawn(async move {
            let Ok(upgraded) = hyper::upgrade::on(request).await else {
                return;
            };
            let mut stream = TokioIo::new(upgraded);
            let mut bytes = [0; 64];
            while let Ok(count @ 1..) = stream.read(&mut bytes).await {
                let said = format!("{name}:{}", String::from_utf8_lossy(&bytes[..count]));
                if stream.write_all(said.as_bytes()).await.is_err() {
                    break;
                }
            }
        });
        let response = Response::builder()
            .status(StatusCode::SWITCHING_PROTOCOLS)
            .header("upgrade", "websocket")
            .header("connection", "upgrade")
            // Of the key that `Socket` sends.
            .header("sec-websocket-accept", "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=");
        return Ok(response.body(Full::default()).unwrap());
    }
    let mut body = format!("{name} {path}\n");
    if path.ends_with("/headers") {
        for (header, value) in request.headers() {
            body.push_str(&format!("{header}: {}\n", value.to_str().unwrap()));
        }
    }
    let _ = request.into_body().collect().await;
    if path.ends_with("/slow") {
        tokio::time::sleep(Duration::from_secs(2)).await;
    }
    Ok(Response::new(Full::from(body)))
}

/// A WebSocket, as far as the proxy sees it.
pub struct Socket(TcpStream);

impl Socket {
    pub async fn open(name: &str) -> Self {
        let mut stream = connect(HTTP).await;
        let request = format!(
            "GET /ws HTTP/1.1\r\nHost: {name}\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
             Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
        );
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut socket = Self(stream);
        let head = socket.read().await;
        assert!(head.starts_with("HTTP/1.1 101"), "{head}");
        socket
    }

    async fn read(&mut self) -> String {
        let mut bytes = [0; 4096];
        let count = self.0.read(&mut bytes).await.unwrap();
        String::from_utf8_lossy(&bytes[..count]).into_owned()
    }

    /// Who answers, and what.
    pub async fn says(&mut self, word: &str) -> String {
        self.0.write_all(word.as_bytes()).await.unwrap();
        self.read().await
    }
}

/// Clients that never stop: each keeps its connection and asks again at once,
/// GET and POST in turns; a failure is counted, whatever it is.
pub struct Load {
    stop: Arc<AtomicBool>,
    asked: Arc<AtomicU64>,
    clients: Vec<JoinHandle<Vec<String>>>,
}

impl Load {
    pub fn start(clients: usize, name: &str) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let asked = Arc::new(AtomicU64::new(0));
        let client = |_| {
            let (stop, asked, name) = (Arc::clone(&stop), Arc::clone(&asked), name.to_owned());
            tokio::spawn(client(name, stop, asked))
        };
        Self {
            clients: (0..clients).map(client).collect(),
            stop,
            asked,
        }
    }

    pub fn asked(&self) -> u64 {
        self.asked.load(Ordering::Relaxed)
    }

    /// Every failure.
    pub async fn end(self) -> Vec<String> {
        self.stop.store(true, Ordering::Relaxed);
        let mut failures = vec![];
        for client in self.clients {
            failures.extend(client.await.unwrap());
        }
        failures
    }
}

async fn client(name: String, stop: Arc<AtomicBool>, asked: Arc<AtomicU64>) -> Vec<String> {
    let mut failures = vec![];
    let mut sender = None;
    for number in 0_u64.. {
        if stop.load(Ordering::Relaxed) {
            break;
        }
        // Some connections are young, some are old.
        if number % 50 == 0 {
            sender = None;
        }
        // Its last answer may have said that it closes.
        if let Some(open) = &mut sender {
            let open: &mut hyper::client::conn::http1::SendRequest<Full<Bytes>> = open;
            if open.ready().await.is_err() {
                sender = None;
            }
        }
        if sender.is_none() {
            let stream = TokioIo::new(connect(HTTP).await);
            let (new, connection) = hyper::client::conn::http1::handshake(stream).await.unwrap();
            tokio::spawn(connection);
            sender = Some(new);
        }
        let request = match number % 2 {
            0 => Request::get("/"),
            _ => Request::post("/"),
        };
        let body: Full<Bytes> = Full::from(if number % 2 == 0 { "" } else { "body" });
        let request = request.header("host", &name).body(body).unwrap();
        let Some(open) = &mut sender else { continue };
        let done = async {
            let response = open
                .send_request(request)
                .await
                .map_err(|error| format!("{error:?}"))?;
            let status = response.status();
            let body = response
                .into_body()
                .collect()
                .await
                .map_err(|error| format!("{error:?}"))?;
            match status.as_u16() {
                200 => Ok(()),
                _ => Err(format!("{status} {:?}", body.to_bytes())),
            }
        };
        if let Err(failure) = done.await {
            failures.push(format!("request {number}: {failure}"));
            sender = None;
        }
        asked.fetch_add(1, Ordering::Relaxed);
    }
    failures
}
