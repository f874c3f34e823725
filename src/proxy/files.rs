//! What a restart of the proxy reads: a file an environment, in the volume.
//! Imports `ports`, `model`.
//!
//! Invariant: a file is whole or not there. It is written beside its name,
//! brought to the disk, and renamed; it ends with `end`, without which it is
//! not read.

use std::time::Duration;

use crate::model::command_line::CommandLine;
use crate::model::fault::Fault;
use crate::model::host::HostAddress;
use crate::model::route::{RouteLabel, Server};
use crate::ports::{ContainerRunner, Cx};

use super::names::keys;
use super::secure;
use super::state::{Map, State};

const PATIENCE: Duration = Duration::from_secs(30);

const WRITE: &str = r#"cd "$1" || exit 1; shift
while [ $# -gt 1 ]; do
    printf %s "$2" >"$1.next" || exit 1
    sync "$1.next" 2>/dev/null || sync
    mv -f "$1.next" "$1" || exit 1
    shift 2
done
sync . 2>/dev/null || sync"#;

/// One environment's file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct RouteFile {
    pub(super) key: String,
    pub(super) text: String,
}

impl RouteFile {
    /// As the route is, in the mode that the pair is in.
    pub(super) fn new(state: &State, pair: &str, route: &RouteLabel, servers: &[Server]) -> Self {
        let limits = [
            ("limit", route.limit.map(|limit| limit.to_string())),
            ("timeout", Some(route.timeout.to_string())),
        ];
        Self {
            key: route.key.clone(),
            text: text(
                state,
                pair,
                &keys(route),
                &limits,
                servers,
                secure::word(route.tls),
            ),
        }
    }

    /// As the pair stands.
    pub(super) fn of(state: &State, pair: &str, servers: &[Server]) -> Self {
        let limits = [("limit", Map::Limits), ("timeout", Map::Timeouts)];
        let secure = state.value(Map::Secure, pair);
        let limits = limits.map(|(word, map)| (word, state.value(map, pair).map(str::to_owned)));
        Self {
            key: state.owner(pair).unwrap_or_default().to_owned(),
            text: text(
                state,
                pair,
                &names_of(state, pair),
                &limits,
                servers,
                secure,
            ),
        }
    }
}

fn text(
    state: &State,
    pair: &str,
    names: &[String],
    limits: &[(&str, Option<String>)],
    servers: &[Server],
    secure: Option<&str>,
) -> String {
    let mut text = "stagecraft 1\n".to_owned();
    for name in names {
        text.push_str(&format!("name {name}\n"));
    }
    for server in servers {
        text.push_str(&format!("server {} {}\n", server.name, server.port));
    }
    for (word, value) in limits {
        if let Some(value) = value {
            text.push_str(&format!("{word} {value}\n"));
        }
    }
    if state.value(Map::Maintenance, pair).is_some() {
        text.push_str("maintenance\n");
    }
    if let Some(whose) = secure {
        text.push_str(&format!("secure {whose}\n"));
    }
    text.push_str("end\n");
    text
}

pub(super) fn names_of(state: &State, pair: &str) -> Vec<String> {
    let names = state.map(Map::Names).iter();
    let own = names.filter(|entry| entry.value == pair);
    own.map(|entry| entry.key.clone()).collect()
}

pub(super) async fn write(
    runner: &dyn ContainerRunner,
    cx: &Cx,
    host: &HostAddress,
    container: &str,
    folder: &str,
    files: &[RouteFile],
) -> Result<(), Fault> {
    let mut words = vec!["sh", "-c", WRITE, "sh", folder];
    for file in files {
        words.extend([file.key.as_str(), file.text.as_str()]);
    }
    sh(
        runner,
        cx,
        host,
        container,
        words,
        "keep what the proxy reads when it starts",
    )
    .await
}

/// A script in the proxy's container.
pub(super) async fn sh(
    runner: &dyn ContainerRunner,
    cx: &Cx,
    host: &HostAddress,
    container: &str,
    words: Vec<&str>,
    what: &str,
) -> Result<(), Fault> {
    let command = CommandLine::from_words(words.into_iter().map(str::to_owned));
    let failed = format!("cannot {what} on `{host}`");
    match runner.exec(cx, host, container, &command, PATIENCE).await {
        Ok(exit) if exit.success() => Ok(()),
        Ok(exit) => Err(Fault::failed(failed)
            .because(format!("its script ended with exit code {}", exit.code))
            .showing(format!("what `{container}` says"), exit.tail)),
        // The script would say nothing to anybody.
        Err(fault) => Err(Fault {
            what: failed,
            ..fault
        }),
    }
}
