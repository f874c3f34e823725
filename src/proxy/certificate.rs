//! A user's own certificate: given to the proxy while it runs, and kept for
//! its next start. Imports `ports`, `model`.
//!
//! Invariant: the key travels in the body of a request to the engine and over
//! the runtime socket, and stands in one file of the volume that only root
//! reads. HAProxy accepts it before it is kept, so what is kept can be loaded.

use std::path::Path;

use crate::model::fault::Fault;
use crate::model::host::HostAddress;
use crate::model::project::Tls;
use crate::model::route::Route;
use crate::ports::{ContainerRunner, Cx, HostLink};

use super::files::sh;
use super::machine::NAME;
use super::runtime::{Command, ask};

const LIST: &str = "/tmp/stagecraft/certificates";

/// Brings the proxy's certificate of a route level with the configuration.
pub(super) async fn level(
    link: &dyn HostLink,
    runner: &dyn ContainerRunner,
    cx: &Cx,
    host: &HostAddress,
    route: &Route,
) -> Result<(), Fault> {
    match &route.proxy.tls {
        Tls::Files { cert, key } => {
            let pem = read(cert, key)?;
            give(link, host, &route.key, &pem).await?;
            keep(runner, cx, host, &route.key, pem).await
        }
        // Its names stay reachable by HTTPS until the route is kept.
        Tls::Off | Tls::Auto | Tls::Internal => Ok(()),
    }
}

/// Certificate, chain and key in one, as HAProxy wants it.
fn read(cert: &Path, key: &Path) -> Result<String, Fault> {
    let mut pem = String::new();
    for path in [cert, key] {
        let text = std::fs::read_to_string(path).map_err(|error| {
            Fault::config(format!("cannot read `{}`", path.display()))
                .caused_by(&error)
                .hint("see `tls` of `proxy` in stagecraft.yml")
        })?;
        // An empty line would end it on its way.
        for line in text.lines().map(str::trim).filter(|line| !line.is_empty()) {
            pem.push_str(line);
            pem.push('\n');
        }
    }
    Ok(pem)
}

fn file(key: &str) -> String {
    format!("/data/certificates/{key}.pem")
}

/// Changes it where it is known, without a reload.
async fn give(link: &dyn HostLink, host: &HostAddress, key: &str, pem: &str) -> Result<(), Fault> {
    let file = file(key);
    let listed = ask(
        link,
        host,
        &[Command::new(&["show", "ssl", "crt-list", LIST])],
    )
    .await
    .map_err(|silent| silent.fault(host))?;
    let known = listed
        .iter()
        .flat_map(|answer| answer.lines())
        .any(|line| line.split(' ').next() == Some(file.as_str()));
    let mut commands = vec![];
    if !known {
        commands.push(Command::new(&["new", "ssl", "cert", &file]));
    }
    commands.push(Command::with_payload(&["set", "ssl", "cert", &file], pem));
    commands.push(Command::new(&["commit", "ssl", "cert", &file]));
    if !known {
        commands.push(Command::new(&["add", "ssl", "crt-list", LIST, &file]));
    }
    let answers = ask(link, host, &commands)
        .await
        .map_err(|silent| silent.fault(host))?;
    let refused = answers.iter().find(|answer| !accepted(answer));
    let Some(refused) = refused else {
        return Ok(());
    };
    let mut undo = vec![Command::new(&["abort", "ssl", "cert", &file])];
    if !known {
        undo.push(Command::new(&["del", "ssl", "cert", &file]));
    }
    // What it says about the certificate comes first.
    let _ = ask(link, host, &undo).await;
    let lines = refused.lines().filter(|line| !line.is_empty());
    Err(Fault::config(format!(
        "the proxy on `{host}` does not accept the certificate of `{key}`"
    ))
    .showing("what it says", lines.map(str::to_owned).collect())
    .hint("see whether the key belongs to the certificate, and the chain is whole"))
}

fn accepted(answer: &str) -> bool {
    let answer = answer.trim();
    answer.ends_with("Success!")
        || answer.starts_with("New empty certificate store")
        || answer.starts_with("Transaction created")
        || answer.starts_with("Transaction updated")
}

async fn keep(
    runner: &dyn ContainerRunner,
    cx: &Cx,
    host: &HostAddress,
    key: &str,
    pem: String,
) -> Result<(), Fault> {
    let file = file(key);
    let next = [(format!("{file}.next"), 0o600, pem.into_bytes())];
    runner.copy_in(cx, host, NAME, &next).await?;
    let script = r#"sync "$1.next" 2>/dev/null || sync; mv -f "$1.next" "$1""#;
    let words = vec!["sh", "-c", script, "sh", &file];
    sh(runner, cx, host, NAME, words, "keep a certificate").await
}
