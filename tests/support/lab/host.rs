//! Hosts of the lab, and what can happen to them.

use std::fs::File;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::process::Command;
use std::time::{Duration, Instant};

use super::{engine, lab_folder};

/// A value of `lab.env`.
#[track_caller]
pub(crate) fn lab(name: &str) -> String {
    let file = format!("{}/lab.env", lab_folder());
    let text = std::fs::read_to_string(&file).expect("the lab is up: `tests/lab/up`");
    text.lines()
        .find_map(|line| line.strip_prefix(name)?.strip_prefix('='))
        .unwrap_or_else(|| panic!("{file} has {name}"))
        .to_owned()
}

/// A host of the lab, by its number.
#[derive(Clone, Copy)]
pub(crate) struct Host(pub(crate) u8);

impl Host {
    pub(crate) fn ip(self) -> String {
        lab(&format!("LAB_HOST{}", self.0))
    }

    /// As the configuration writes it.
    pub(crate) fn address(self) -> String {
        format!("deploy@{}", self.ip())
    }

    /// What a GET of a published port answers, without its head.
    pub(crate) fn get(self, port: u16, path: &str) -> Result<String, String> {
        self.get_as("shop", port, path)
    }

    /// The same, asked for by this name.
    pub(crate) fn get_as(self, name: &str, port: u16, path: &str) -> Result<String, String> {
        let address: SocketAddr = format!("{}:{port}", self.ip())
            .parse()
            .map_err(|error| format!("{error}"))?;
        let patience = Duration::from_secs(5);
        let answer = || -> std::io::Result<String> {
            let mut stream = TcpStream::connect_timeout(&address, patience)?;
            stream.set_read_timeout(Some(patience))?;
            write!(stream, "GET {path} HTTP/1.0\r\nHost: {name}\r\n\r\n")?;
            let mut text = String::new();
            stream.read_to_string(&mut text)?;
            Ok(text)
        };
        let text = answer().map_err(|error| format!("{address} does not answer: {error}"))?;
        let (head, body) = text.split_once("\r\n\r\n").unwrap_or((&text, ""));
        match head.split(' ').nth(1) {
            Some("200") => Ok(body.trim().to_owned()),
            _ => Err(format!("{address} answers {head:?} {body:?}")),
        }
    }

    /// Takes the host for this test alone until the value is dropped, which
    /// also heals it. Only for what would hurt others: every test that breaks
    /// a host breaks one of these.
    pub(crate) fn alone() -> Breakable {
        let lent = |host: &Host| {
            let path = format!("{}/run/breakable-host-{}", lab_folder(), host.0);
            File::create(path).expect("the lab is up: `tests/lab/up`")
        };
        let free = BREAKABLE.into_iter().find_map(|host| {
            let file = lent(&host);
            file.try_lock().is_ok().then_some((host, file))
        });
        let (host, lock) = free.unwrap_or_else(|| {
            let file = lent(&BREAKABLE[0]);
            file.lock().expect("a lock");
            (BREAKABLE[0], file)
        });
        let host = Breakable { host, _lock: lock };
        host.heal();
        host
    }

    /// Starts another sshd there, beside the one that everybody uses.
    #[track_caller]
    pub(crate) fn sshd(self, port: u16, options: &str) -> Sshd {
        engine(self.0).sh(&format!(
            "mkdir -p /run/sshd
             [ -e /run/other-key ] || ssh-keygen -q -t ed25519 -N '' -f /run/other-key
             /usr/sbin/sshd -p {port} -o PidFile=/run/sshd-{port}.pid {options}"
        ));
        Sshd { host: self, port }
    }
}

/// A second SSH server on a host; ends with this value.
pub(crate) struct Sshd {
    host: Host,
    port: u16,
}

impl Sshd {
    /// As the configuration writes it.
    pub(crate) fn address(&self) -> String {
        format!("{}:{}", self.host.address(), self.port)
    }

    /// Makes this machine expect `key` of it.
    #[track_caller]
    pub(crate) fn is_known_by(&self, key: &str) {
        let mut file = File::options()
            .append(true)
            .open(lab("LAB_KNOWN_HOSTS"))
            .expect("known hosts");
        writeln!(file, "[{}]:{} {key}", self.host.ip(), self.port).expect("written");
    }
}

impl Drop for Sshd {
    fn drop(&mut self) {
        engine(self.host.0).try_sh(&format!("kill $(cat /run/sshd-{}.pid)", self.port));
    }
}

/// The hosts on which bad things happen.
const BREAKABLE: [Host; 2] = [Host(3), Host(5)];

/// One of them, lent.
pub(crate) struct Breakable {
    pub(crate) host: Host,
    _lock: File,
}

impl Breakable {
    /// Does what `tests/lab/hosts VERB` does.
    #[track_caller]
    pub(crate) fn suffers(&self, verb: &str, more: &[&str]) {
        let script = format!("{}/tests/lab/hosts", env!("CARGO_MANIFEST_DIR"));
        let begun = Instant::now();
        let output = Command::new(script)
            .args([verb, &self.host.0.to_string()])
            .args(more)
            .output()
            .expect("the lab's script");
        let took = begun.elapsed();
        let _ = writeln!(
            std::io::stderr(),
            "host {}: {verb} took {took:.1?}",
            self.host.0
        );
        assert!(
            output.status.success(),
            "{verb}: {}",
            String::from_utf8_lossy(&output.stderr)
        );
    }

    #[track_caller]
    pub(crate) fn heal(&self) {
        self.suffers("heal", &[]);
    }
}

impl Drop for Breakable {
    fn drop(&mut self) {
        if std::thread::panicking() {
            let script = format!("{}/tests/lab/hosts", env!("CARGO_MANIFEST_DIR"));
            let _ = Command::new(script)
                .args(["heal", &self.host.0.to_string()])
                .output();
        } else {
            self.heal();
        }
    }
}
