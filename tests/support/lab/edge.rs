//! What tests of the TLS edge need: an authority that gives certificates, and
//! clients that speak TLS.

use std::fs::File;
use std::net::SocketAddr;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;

use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName};
use tokio::net::{TcpListener, TcpStream};
use tokio::runtime::Runtime;
use tokio_rustls::TlsConnector;

use super::{Host, PATIENCE, Project, engine, free_port, here, lab, lab_folder, within};

/// Pebble, a small Let's Encrypt, whose DNS sends every name to host 1; and the
/// edge of that host, for one test at a time.
pub(crate) struct Authority {
    folder: tempfile::TempDir,
    directory: String,
    programs: Vec<Child>,
    _lock: File,
}

impl Authority {
    #[track_caller]
    pub(crate) fn new() -> Self {
        let path = format!("{}/run/edge-host1", lab_folder());
        let lock = File::create(path).expect("the lab is up: `tests/lab/up`");
        lock.lock().expect("a lock");
        let [port, management, dns, dns_management] = [(); 4].map(|()| free_port());
        let folder = tempfile::tempdir().expect("a folder");
        let gateway = lab("LAB_GATEWAY");
        let at = |name: &str| folder.path().join(name).display().to_string();
        here().sh(&format!(
            "openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 2 \
             -subj /CN=pebble -addext subjectAltName=IP:{gateway} -keyout {} -out {} 2>/dev/null",
            at("own.key"),
            at("own.pem")
        ));
        let config = serde_json::json!({ "pebble": {
            "listenAddress": format!("{gateway}:{port}"),
            "managementListenAddress": format!("{gateway}:{management}"),
            "certificate": at("own.pem"),
            "privateKey": at("own.key"),
            "httpPort": 80,
            "tlsPort": 443,
        }});
        std::fs::write(at("config"), config.to_string()).expect("written");
        let mut resolver = Command::new("pebble-challtestsrv");
        resolver
            .args(["-dns01", &format!("127.0.0.1:{dns}")])
            .args(["-management", &format!("127.0.0.1:{dns_management}")])
            .args(["-defaultIPv4", &Host(1).ip(), "-defaultIPv6", ""])
            .args(["-http01", "", "-https01", "", "-tlsalpn01", ""]);
        let mut pebble = Command::new("pebble");
        pebble
            .args(["-config", &at("config")])
            .args(["-dnsserver", &format!("127.0.0.1:{dns}")])
            .env("PEBBLE_VA_NOSLEEP", "1");
        let programs = [resolver, pebble].map(|mut program| {
            let log = File::create(at(&program.get_program().to_string_lossy())).expect("a log");
            let quiet = program.stdin(Stdio::null()).stderr(Stdio::null());
            quiet.stdout(log).spawn().expect("`pebble` is installed")
        });
        let root = format!(
            "curl -fsS --cacert {} https://{gateway}:{management}/roots/0 >{}",
            at("own.pem"),
            at("root.pem")
        );
        within(PATIENCE, "the authority answers", || {
            here().try_sh(&root).status.success()
        });
        let authority = Self {
            directory: format!("https://{gateway}:{port}/dir"),
            folder,
            programs: programs.into(),
            _lock: lock,
        };
        authority.clear();
        authority
    }

    /// On host 1 behind its proxy, with certificates of this kind.
    pub(crate) fn project(&self, name: &str, tls: serde_json::Value) -> Project {
        let mut project = Project::new(name).on(&[1]).behind_the_proxy();
        project.set("/proxy/tls", tls);
        project.set("/proxy/edge_image", lab("LAB_IMAGE_CADDY").into());
        project.variable("STAGECRAFT_ACME_DIRECTORY", &self.directory);
        project.variable("STAGECRAFT_ACME_CA", &self.path("own.pem"));
        project
    }

    /// The certificate by which what it gives is trusted.
    pub(crate) fn root(&self) -> String {
        self.path("root.pem")
    }

    pub(crate) fn path(&self, name: &str) -> String {
        self.folder.path().join(name).display().to_string()
    }

    /// What the authority printed.
    pub(crate) fn log(&self) -> String {
        std::fs::read_to_string(self.path("pebble")).expect("a log")
    }

    fn clear(&self) {
        engine(1).sh("docker ps -aq --filter label=stagecraft.edge | xargs -r docker rm -fv >/dev/null
             docker volume ls -q --filter name=^stagecraft-edge | xargs -r docker volume rm >/dev/null");
    }
}

impl Drop for Authority {
    fn drop(&mut self) {
        if std::thread::panicking() {
            let said = engine(1).try_sh(
                "for edge in $(docker ps -aq --filter label=stagecraft.edge); do docker logs --tail 30 $edge 2>&1; done",
            );
            super::says(&String::from_utf8_lossy(&said.stdout));
            super::says(&self.log());
        } else {
            self.clear();
        }
        for program in &mut self.programs {
            let _ = program.kill();
            let _ = program.wait();
        }
    }
}

/// What speaks plainly to its address speaks TLS to host 1: each connection is
/// one of its own, whose certificate must be right.
pub(crate) struct Tunnel {
    pub(crate) address: SocketAddr,
    _runtime: Runtime,
}

impl Tunnel {
    #[track_caller]
    pub(crate) fn to(name: &str, root: &str) -> Self {
        let pem = std::fs::read(root).expect("a certificate");
        let mut roots = rustls::RootCertStore::empty();
        for certificate in CertificateDer::pem_slice_iter(&pem) {
            roots.add(certificate.expect("a certificate")).expect("one");
        }
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let config = rustls::ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .expect("versions")
            .with_root_certificates(roots)
            .with_no_client_auth();
        let connector = TlsConnector::from(Arc::new(config));
        let name = ServerName::try_from(name.to_owned()).expect("a name");
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .enable_all()
            .build()
            .expect("a runtime");
        let listener = runtime
            .block_on(TcpListener::bind("127.0.0.1:0"))
            .expect("a port");
        let address = listener.local_addr().expect("an address");
        let host = format!("{}:443", Host(1).ip());
        runtime.spawn(async move {
            while let Ok((mut plain, _)) = listener.accept().await {
                let (connector, name, host) = (connector.clone(), name.clone(), host.clone());
                tokio::spawn(async move {
                    let _ = plain.set_nodelay(true);
                    // Whoever connected sees that it ends.
                    let Ok(stream) = TcpStream::connect(host).await else {
                        return;
                    };
                    let _ = stream.set_nodelay(true);
                    let Ok(mut secure) = connector.connect(name, stream).await else {
                        return;
                    };
                    let _ = tokio::io::copy_bidirectional(&mut plain, &mut secure).await;
                });
            }
        });
        Self {
            address,
            _runtime: runtime,
        }
    }
}
