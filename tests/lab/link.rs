//! Connections, locks and files on the lab's real hosts.

use std::path::PathBuf;
use std::process::Stdio;
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::join_all;
use stagecraft::config::{self, Engines};
use stagecraft::model::fault::{Fault, FaultKind};
use stagecraft::model::host::HostAddress;
use stagecraft::model::project::EngineNeeds;
use stagecraft::ports::{Cx, Held, Holder, HostLink, Lock, Target};
use stagecraft::ssh::{EnvironmentLock, HostFiles, Links};
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::UnixListener;
use tokio::process::Command;
use tokio::time::{Instant, timeout};
use tokio_util::sync::CancellationToken;

/// A value of the lab's description.
fn lab(name: &str) -> String {
    let state = std::env::var("STAGECRAFT_LAB").unwrap_or_else(|_| "/tmp/stagecraft-lab".into());
    let file = format!("{state}/lab.env");
    let text = std::fs::read_to_string(&file).expect("the lab is up: run `tests/lab/up`");
    text.lines()
        .find_map(|line| line.strip_prefix(&format!("{name}=")).map(str::to_owned))
        .unwrap_or_else(|| panic!("{file} has {name}"))
}

fn address(text: impl AsRef<str>) -> HostAddress {
    text.as_ref().parse().expect("an address")
}

/// Runs `script` as root inside the first host, past SSH.
async fn inside(script: &str) -> String {
    let output = Command::new("docker")
        .env("DOCKER_HOST", "unix:///var/run/docker.sock")
        .args(["exec", &lab("LAB_HOST1_CONTAINER"), "sh", "-c", script])
        .output()
        .await
        .expect("docker runs");
    String::from_utf8_lossy(&output.stdout).trim().to_owned()
}

/// A second sshd on the first host, for what must not happen to the others.
struct Sshd {
    port: u16,
}

impl Sshd {
    async fn start(port: u16, options: &str) -> Self {
        let options = format!("-p {port} -o PidFile=/run/sshd-{port}.pid {options}");
        let started = inside(&format!(
            "mkdir -p /run/sshd; /usr/sbin/sshd {options} -f /etc/ssh/sshd_config && echo started"
        ))
        .await;
        assert_eq!(started, "started");
        Self { port }
    }

    fn host(&self) -> HostAddress {
        address(format!("{}:{}", lab("LAB_HOST1"), self.port))
    }

    /// Ends its logins, not itself.
    async fn drop_connections(&self) {
        let kill = format!(
            "for p in $(pgrep -P $(cat /run/sshd-{}.pid)); do pkill -KILL -P $p; kill -KILL $p; done",
            self.port
        );
        inside(&kill).await;
    }

    async fn stop(self) {
        self.drop_connections().await;
        inside(&format!("kill $(cat /run/sshd-{}.pid)", self.port)).await;
    }
}

async fn ping(links: &Links, host: &HostAddress) -> Result<(), Fault> {
    let mut stream = links.dial(host, &Target::Engine).await?;
    let gone = |error: std::io::Error| Fault::unreachable("no answer").caused_by(&error);
    stream
        .write_all(b"GET /_ping HTTP/1.1\r\nHost: docker\r\n\r\n")
        .await
        .map_err(gone)?;
    let mut answer = vec![];
    while !answer.ends_with(b"OK") {
        answer.push(stream.read_u8().await.map_err(gone)?);
    }
    Ok(())
}

/// The private folder of this process's connections: where its own lock is.
fn control_folder() -> PathBuf {
    std::fs::read_dir("/proc/self/fd")
        .expect("the open files")
        .filter_map(|entry| std::fs::read_link(entry.ok()?.path()).ok())
        .find(|path| path.ends_with("alive"))
        .and_then(|path| path.parent().map(ToOwned::to_owned))
        .expect("a control folder")
}

/// The `ssh` processes whose control sockets are in this folder.
async fn masters(folder: &std::path::Path) -> usize {
    let output = Command::new("ps").args(["axo", "args"]).output().await;
    let text = output.expect("ps runs").stdout;
    let mark = format!("{}/", folder.display());
    String::from_utf8_lossy(&text)
        .lines()
        .filter(|line| line.starts_with("ssh") && line.contains(&mark))
        .count()
}

async fn until(what: &str, seconds: u64, done: impl AsyncFn() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(seconds);
    while !done().await {
        assert!(Instant::now() < deadline, "not within {seconds}s: {what}");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

#[tokio::test]
async fn a_hundred_callers_share_one_connection_and_none_is_left_behind() {
    let links = Links::new().expect("a private folder");
    let host = address(lab("LAB_HOST1"));
    let pings = join_all((0..100).map(|_| ping(&links, &host))).await;
    let execs = join_all((0..20).map(|_| links.exec(&host, "cat", b"x"))).await;
    assert!(pings.iter().all(Result::is_ok), "{pings:?}");
    assert!(
        execs
            .iter()
            .all(|exit| exit.as_ref().is_ok_and(|exit| exit.stdout == b"x"))
    );
    let folder = control_folder();
    assert_eq!(masters(&folder).await, 1);
    let _still_open = links.dial(&host, &Target::Engine).await.expect("a stream");
    links.close().await;
    until("its end", 2, async || masters(&folder).await == 0).await;
    drop(links);
    assert!(!folder.exists());
}

#[tokio::test]
async fn a_refused_connection_says_why_and_what_to_do() {
    let links = Links::new().expect("a private folder");
    let ip = lab("LAB_HOST1");
    let other_key = "[ -e /tmp/other_key ] || ssh-keygen -q -t ed25519 -N '' -f /tmp/other_key";
    inside(other_key).await;
    let other = Sshd::start(2231, "-h /tmp/other_key").await;
    let mut said = vec![];
    for host in [
        format!("{ip}:1"),
        "stagecraft-nowhere.invalid".to_owned(),
        format!("nobody@{ip}"),
        format!("{ip}:{}", other.port),
    ] {
        let fault = links.connect(&address(&host)).await.expect_err("refused");
        assert_eq!(fault.kind, FaultKind::Unreachable, "{fault}");
        assert!(
            !fault.hints.is_empty() && !fault.evidence.is_empty(),
            "{fault:?}"
        );
        said.push(fault.causes[0].clone());
    }
    assert_eq!(
        said,
        [
            "nothing listens on its SSH port",
            "the name `stagecraft-nowhere.invalid` is not known",
            "it accepts none of this machine's SSH keys",
            "its host key is not known on this machine",
        ]
    );
    other.stop().await;
}

#[tokio::test]
async fn a_connection_that_dies_under_a_command_is_told_and_made_again() {
    let links = Links::new().expect("a private folder");
    let sshd = Sshd::start(2232, "").await;
    let host = sshd.host();
    links.connect(&host).await.expect("it is there");
    let (cut, ()) = tokio::join!(links.exec(&host, "sleep 20", b""), async {
        tokio::time::sleep(Duration::from_millis(500)).await;
        sshd.drop_connections().await;
    });
    let fault = cut.expect_err("its outcome is not known");
    assert!(fault.to_string().contains("not known"), "{fault}");
    let again = links.exec(&host, "echo here", b"").await;
    assert_eq!(again.expect("a new connection").stdout, b"here\n");
    links.close().await;
    sshd.stop().await;
}

#[tokio::test]
async fn the_engine_is_reached_through_the_client_where_sockets_are_not_forwarded() {
    let links = Links::new().expect("a private folder");
    let sshd = Sshd::start(2233, "-o AllowStreamLocalForwarding=no").await;
    let host = sshd.host();
    // More at once than the sessions kept for it.
    let pings = join_all((0..12).map(|_| ping(&links, &host))).await;
    assert!(pings.iter().all(Result::is_ok), "{pings:?}");
    links.close().await;
    sshd.stop().await;
}

#[tokio::test]
async fn an_address_that_nothing_serves_is_named_with_its_reason() {
    let links = Links::new().expect("a private folder");
    let host = address(lab("LAB_HOST1"));
    for (target, reason) in [
        (
            Target::Tcp("127.0.0.1".into(), 1),
            "`127.0.0.1:1`: connection refused",
        ),
        (
            Target::Unix("/nowhere.sock".into()),
            "`/nowhere.sock`: missing",
        ),
    ] {
        let mut stream = links.dial(&host, &target).await.expect("a stream");
        let _ = stream.write_all(b"hello").await;
        let error = stream.read_u8().await.expect_err("nobody is there");
        assert!(error.to_string().contains(reason), "{error}");
    }
    links.close().await;
}

#[tokio::test]
async fn a_host_reaches_a_socket_of_this_machine_through_its_own_loopback() {
    let links = Links::new().expect("a private folder");
    let host = address(lab("LAB_HOST1"));
    let folder = tempfile::tempdir().expect("a folder");
    let socket = folder.path().join("s");
    let listener = UnixListener::bind(&socket).expect("a socket");
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let mut request = [0; 1024];
            let _ = stream.read(&mut request).await;
            let _ = stream
                .write_all(b"HTTP/1.0 200 OK\r\nContent-Length: 5\r\n\r\nhello")
                .await;
        }
    });
    let lent = links.reverse(&host, &socket).await.expect("a port");
    let get = format!("curl -sS http://127.0.0.1:{}/", lent.port());
    let answer = links.exec(&host, &get, b"").await.expect("it runs");
    assert_eq!(
        String::from_utf8_lossy(&answer.stdout),
        "hello",
        "{answer:?}"
    );
    drop(lent);
    until("the port is closed", 5, async || {
        links
            .exec(&host, &get, b"")
            .await
            .is_ok_and(|exit| exit.code != 0)
    })
    .await;
    links.close().await;
}

#[tokio::test]
async fn a_host_keeps_a_file_byte_for_byte_and_nothing_beside_it() {
    let links = Links::new().expect("a private folder");
    let host = address(lab("LAB_HOST2"));
    let project = "link-files".parse().expect("a name");
    let environment = "prod".parse().expect("a name");
    let files = HostFiles::new(
        Arc::clone(&links) as Arc<dyn HostLink>,
        &project,
        &environment,
    );
    let bytes: Vec<u8> = (0..=255).cycle().take(100_000).collect();
    assert_eq!(files.read(&host, "record.json").await.expect("read"), None);
    files
        .write(&host, "record.json", &bytes)
        .await
        .expect("written");
    let read = files.read(&host, "record.json").await.expect("read");
    assert!(read.as_deref() == Some(&*bytes));
    let place = stagecraft::ssh::host_state_dir(&*links, &host, &project, &environment)
        .await
        .expect("a place");
    let listed = links
        .exec(&host, &format!("ls -A {place}; rm -r {place}"), b"")
        .await;
    assert_eq!(listed.expect("listed").stdout, b"record.json\n");
    links.close().await;
}

/// Two hosts locked from a checkout of its own.
struct Locked {
    _held: Box<dyn Held>,
    _checkout: tempfile::TempDir,
    _links: Arc<Links>,
}

async fn lock_of_prod(who: &str) -> Result<Locked, Fault> {
    let checkout = tempfile::tempdir().expect("a folder");
    let file = checkout.path().join("stagecraft.yml");
    let (first, second) = (lab("LAB_HOST1"), lab("LAB_HOST2"));
    let text = format!(
        "version: 1\nproject: {{ name: link-lock }}\nbuild: {{ image: \"x:1\" }}\nroles: {{ web: {{ port: 80 }} }}\nenvironments:\n  prod:\n    hosts:\n      - {{ address: {second}, roles: [web] }}\n      - {{ address: {first}, roles: [primary, web] }}\n"
    );
    std::fs::write(&file, text).expect("a file");
    let engines = Engines::new(Vec::<(String, EngineNeeds)>::new());
    let loaded = config::load(&file, Some("prod"), &engines).expect("a valid configuration");
    let links = Links::new()?;
    let link = Arc::clone(&links) as Arc<dyn HostLink>;
    let engines = stagecraft::docker::client::Engines::new(Arc::clone(&link));
    let lock = EnvironmentLock::new(
        link,
        stagecraft::docker::claims(engines),
        &loaded.environment,
        &checkout.path().join(".stagecraft"),
    );
    let (events, _) = tokio::sync::mpsc::unbounded_channel();
    let cx = Cx::new(events, CancellationToken::new());
    let holder = Holder {
        who: who.to_owned(),
        machine: "here".to_owned(),
        since: chrono::Utc::now(),
        command: "stagecraft deploy".to_owned(),
        pid: std::process::id(),
    };
    Ok(Locked {
        _held: lock.acquire(&cx, &holder).await?,
        _checkout: checkout,
        _links: links,
    })
}

/// Tells the test below that it is the process which is to be killed.
const TO_BE_KILLED: &str = "STAGECRAFT_TEST_HOLDS_THE_LOCK";

async fn hold_the_lock_until_killed() {
    let _held = lock_of_prod("killed").await.expect("the lock");
    std::io::Write::write_all(&mut std::io::stderr(), b"HELD\n").expect("said");
    std::future::pending::<()>().await;
}

/// Starts itself once more as the process that holds the lock, and kills it.
#[tokio::test]
async fn the_lock_of_a_killed_process_is_free_within_seconds() {
    if std::env::var_os(TO_BE_KILLED).is_some() {
        return hold_the_lock_until_killed().await;
    }
    let mut first = Command::new(std::env::current_exe().expect("this program"))
        .args(["--exact", "--nocapture"])
        .arg("link::the_lock_of_a_killed_process_is_free_within_seconds")
        .env(TO_BE_KILLED, "1")
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .expect("it starts");
    let mut lines = BufReader::new(first.stderr.take().expect("its output")).lines();
    let held = async {
        while let Ok(Some(line)) = lines.next_line().await {
            if line == "HELD" {
                return;
            }
        }
        panic!("it ended before it held the lock");
    };
    timeout(Duration::from_secs(20), held).await.expect("held");
    let fault = lock_of_prod("second").await.err().expect("it is held");
    assert_eq!(fault.kind, FaultKind::Locked);
    assert!(fault.to_string().contains("locked by killed on"), "{fault}");
    first.start_kill().expect("killed");
    first.wait().await.expect("its end");
    until("the lock is free", 5, async || {
        lock_of_prod("second").await.is_ok()
    })
    .await;
}
