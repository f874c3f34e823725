//! Who gets the requests of an environment: the switch, and who is forgotten.
//! Imports `ports`, `model`.
//!
//! Invariant: the backend that serves is never changed. The other one of the
//! pair is filled, and one entry of a map decides between them: a request sees
//! the old servers or the new ones, whole, and keeps what it saw.
//!
//! Until they are forgotten, those from before stand by. The new ones weigh
//! nothing then, so that only the map [`Map::First`] sends a request to one of
//! them; one that is tried again goes by weight, and so to one that stands by.
//! A container's published port takes connections for a while after its
//! process died: who comes then is answered by the old release at the second
//! try.

use crate::model::fault::Fault;
use crate::model::host::HostAddress;
use crate::model::route::Server;
use crate::ports::HostLink;

use super::base::{SERVER, backends};
use super::runtime::{Command, SOCKET, ask_at};
use super::state::{Map, STANDS_BY, Standing, State};

/// The first request that a new server does not take marks it down.
const NEW: &str = "observe layer4 error-limit 1 on-error mark-down";

/// Sends all new requests of the pair to `to`.
pub(super) async fn switch(
    link: &dyn HostLink,
    host: &HostAddress,
    state: &State,
    pair: &str,
    to: &[Server],
) -> Result<(), Fault> {
    let mut wanted = to.to_vec();
    wanted.sort();
    wanted.dedup();
    let before = state.serving(pair);
    if before == wanted && !wanted.is_empty() {
        return Ok(());
    }
    let socket = state.socket();
    if wanted.is_empty() {
        // Nobody: every request is answered with 503.
        let nobody = state.value(Map::Live, pair).map(|_| Map::Live.del(pair));
        return obey_at(link, host, &socket, nobody.as_slice()).await;
    }
    // On the way back to what is confirmed, nobody is to meet those that it
    // leads away from.
    let back = state.kept(pair).as_ref() == Some(&wanted);
    let mut standbys = before;
    standbys.retain(|server| !back && !wanted.contains(server));
    let idle = state.idle(pair);
    let filled = fill(state, &idle, &wanted, &standbys);
    obey_at(link, host, &socket, &filled).await?;
    let now = match state.value(Map::Live, pair) {
        Some(_) => Map::Live.set(pair, &idle),
        None => Map::Live.add(pair, &idle),
    };
    obey_at(link, host, &socket, &[now]).await
}

/// Makes a backend that serves nobody hold exactly these.
fn fill(state: &State, backend: &str, wanted: &[Server], standbys: &[Server]) -> Vec<Command> {
    let mut commands = vec![];
    for standing in state.of_backend(backend) {
        let stays = match standing.stands_by {
            true => standbys.contains(&standing.server),
            false => wanted.contains(&standing.server),
        };
        if !stays {
            commands.extend(forgotten(backend, standing));
        }
    }
    for server in standbys {
        let name = format!("{STANDS_BY}{}", server.name);
        let stands = state
            .of_backend(backend)
            .any(|standing| standing.server == *server && standing.stands_by);
        let added = (!stands).then_some(&[SERVER][..]);
        commands.extend(readied(backend, &name, server.port, added));
    }
    let weight = if standbys.is_empty() { "1" } else { "0" };
    for server in wanted {
        let stands = state
            .of_backend(backend)
            .any(|standing| standing.server == *server && !standing.stands_by);
        let added = (!stands).then_some(&[SERVER, NEW][..]);
        commands.extend(readied(backend, &server.name, server.port, added));
        commands.push(weighs(backend, &server.name, weight));
    }
    commands.extend(unasked(state, backend));
    if !standbys.is_empty() {
        commands.push(Map::First.add(backend, &wanted.len().to_string()));
        let numbered = wanted.iter().enumerate();
        commands.extend(
            numbered.map(|(number, server)| {
                Map::First.add(&format!("{backend}.{number}"), &server.name)
            }),
        );
    }
    commands
}

/// A server that takes requests. `added`: how, where it is not there yet.
fn readied(backend: &str, name: &str, port: u16, added: Option<&[&str]>) -> Vec<Command> {
    let name = format!("{backend}/{name}");
    let address = format!("127.0.0.1:{port}");
    let added = added.map(|options| {
        let mut add = vec!["add", "server", &name, &address];
        add.extend(options.iter().flat_map(|option| option.split(' ')));
        Command::new(&add)
    });
    let ready = [
        Command::new(&["enable", "health", &name]),
        // It was healthy a moment ago; the checks say when it no longer is.
        Command::new(&["set", "server", &name, "health", "up"]),
        Command::new(&["enable", "server", &name]),
    ];
    added.into_iter().chain(ready).collect()
}

fn weighs(backend: &str, name: &str, weight: &str) -> Command {
    let name = format!("{backend}/{name}");
    Command::new(&["set", "server", &name, "weight", weight])
}

/// Requests of the backend go by weight alone.
fn unasked(state: &State, backend: &str) -> Vec<Command> {
    let first = state.map(Map::First).iter();
    first
        .filter(|entry| entry.key.split('.').next() == Some(backend))
        .map(|entry| Map::First.del_entry(entry))
        .collect()
}

/// Takes no new request. It is gone as soon as it serves nobody; until then
/// its connections are left alone.
fn forgotten(backend: &str, standing: &Standing) -> [Command; 2] {
    let mark = if standing.stands_by { STANDS_BY } else { "" };
    let name = format!("{backend}/{mark}{}", standing.server.name);
    [
        Command::new(&["disable", "server", &name]),
        Command::new(&["del", "server", &name]),
    ]
}

/// Nobody is left in it.
pub(super) fn emptied(state: &State, backend: &str) -> Vec<Command> {
    let standing = state.of_backend(backend);
    let gone = standing.flat_map(|standing| forgotten(backend, standing));
    gone.chain(unasked(state, backend)).collect()
}

/// Forgets all servers of the pair but these.
pub(super) async fn forget_others(
    link: &dyn HostLink,
    host: &HostAddress,
    state: &State,
    pair: &str,
    serving: &[Server],
) -> Result<(), Fault> {
    let mut commands = vec![];
    for backend in backends(pair) {
        let (stay, go): (Vec<_>, Vec<_>) = state
            .of_backend(&backend)
            .partition(|standing| serving.contains(&standing.server));
        let own = stay.iter().filter(|standing| !standing.stands_by);
        commands.extend(own.map(|standing| weighs(&backend, &standing.server.name, "1")));
        // After a way back, those that serve stand by in the backend that was
        // left: a request that waits there to be tried again needs them.
        commands.extend(go.iter().flat_map(|standing| forgotten(&backend, standing)));
        commands.extend(unasked(state, &backend));
    }
    obey_at(link, host, &state.socket(), &commands).await
}

/// Commands whose answers must be one of the few that mean well.
pub(super) async fn obey(
    link: &dyn HostLink,
    host: &HostAddress,
    commands: &[Command],
) -> Result<(), Fault> {
    obey_at(link, host, SOCKET, commands).await
}

async fn obey_at(
    link: &dyn HostLink,
    host: &HostAddress,
    socket: &str,
    commands: &[Command],
) -> Result<(), Fault> {
    if commands.is_empty() {
        return Ok(());
    }
    let answers = ask_at(link, host, socket, commands)
        .await
        .map_err(|silent| silent.fault(host))?;
    quiet(host, &answers)
}

pub(super) fn quiet(host: &HostAddress, answers: &[String]) -> Result<(), Fault> {
    match answers.iter().find(|answer| !means_well(answer)) {
        None => Ok(()),
        Some(answer) => Err(Fault::failed(format!("the proxy on `{host}` refuses"))
            .because(answer.lines().next().unwrap_or_default())),
    }
}

fn means_well(answer: &str) -> bool {
    answer.is_empty()
        || answer.starts_with("New server registered")
        || answer.starts_with("Server deleted")
        // It goes when its last connection does.
        || answer.starts_with("Server still has connections")
        // Somebody else has deleted it meanwhile.
        || answer.starts_with("No such server")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::proxy::testing::standing;

    fn web(name: &str, port: u16) -> Server {
        Server {
            name: name.into(),
            port,
        }
    }

    fn said(commands: &[Command]) -> Vec<&str> {
        commands.iter().map(Command::text).collect()
    }

    #[test]
    fn while_the_old_ones_stand_by_only_the_map_sends_requests_to_the_new_ones() {
        let (old, new) = (web("old", 20_001), web("new", 20_002));
        let commands = fill(&State::default(), "e01_green", &[new], &[old]);
        let said = said(&commands);
        for line in [
            "set server e01_green/new weight 0",
            "add map /tmp/stagecraft/first.map e01_green 1",
            "add map /tmp/stagecraft/first.map e01_green.0 new",
        ] {
            assert!(said.contains(&line), "{line}: {said:#?}");
        }
        let stands_by = said
            .iter()
            .find(|line| line.contains("add server e01_green/was.old"));
        assert!(!stands_by.unwrap().contains("mark-down"), "{said:#?}");
    }

    #[test]
    fn where_nobody_stands_by_requests_go_by_weight() {
        let mut state = State::of(
            Map::First,
            &[("e01_blue", "1"), ("e01_blue.0", "new"), ("e01", "x")],
        );
        state.servers = vec![standing("e01_blue", "new", 20_002)];
        let commands = fill(&state, "e01_blue", &[web("new", 20_002)], &[]);
        let said = said(&commands);
        assert!(
            said.contains(&"set server e01_blue/new weight 1"),
            "{said:#?}"
        );
        let gone = said.iter().filter(|line| line.starts_with("del map"));
        assert_eq!(gone.count(), 2, "{said:#?}");
        assert!(
            !said.iter().any(|line| line.starts_with("add")),
            "{said:#?}"
        );
    }
}
