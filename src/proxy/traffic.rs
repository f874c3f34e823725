//! Who gets the requests of an environment: the switch, what is still open,
//! and who is forgotten. Imports `ports`, `model`.
//!
//! Invariant: the backend that serves is never changed. The other one of the
//! pair is filled, and one entry of a map decides between them: a request sees
//! the old servers or the new ones, whole, and keeps what it saw.

use crate::model::fault::Fault;
use crate::model::host::HostAddress;
use crate::model::route::Server;
use crate::ports::HostLink;

use super::base::{SERVER, backends};
use super::runtime::{Command, ask};
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
    if state.serving(pair) == wanted && !wanted.is_empty() {
        return Ok(());
    }
    if wanted.is_empty() {
        // Nobody: every request is answered with 503.
        let nobody = state.value(Map::Live, pair).map(|_| Map::Live.del(pair));
        return obey(link, host, nobody.as_slice()).await;
    }
    let idle = state.idle(pair);
    let before = state.serving(pair);
    obey(link, host, &fill(state, &idle, &wanted, &before)).await?;
    let now = match state.value(Map::Live, pair) {
        Some(_) => Map::Live.set(pair, &idle),
        None => Map::Live.add(pair, &idle),
    };
    obey(link, host, &[now]).await
}

/// Makes a backend that serves nobody hold exactly these. Until they are
/// forgotten, those from before stand by: a new server that dies in its first
/// moments loses no request, because the first one that it does not take marks
/// it down and goes to an old one.
fn fill(state: &State, backend: &str, wanted: &[Server], before: &[Server]) -> Vec<Command> {
    let mut commands = vec![];
    let stands_by = |server: &Server| before.contains(server) && !wanted.contains(server);
    for standing in state.of_backend(backend) {
        let stays = match standing.stands_by {
            true => stands_by(&standing.server),
            false => wanted.contains(&standing.server),
        };
        if !stays {
            commands.extend(forgotten(backend, standing));
        }
    }
    for server in before.iter().filter(|server| stands_by(server)) {
        let name = format!("{backend}/{STANDS_BY}{}", server.name);
        let address = format!("127.0.0.1:{}", server.port);
        let stands = state
            .of_backend(backend)
            .any(|standing| standing.server == *server && standing.stands_by);
        if !stands {
            let mut add = vec!["add", "server", &name, &address, "backup"];
            add.extend(SERVER.split(' '));
            commands.push(Command::new(&add));
        }
        commands.push(Command::new(&["enable", "health", &name]));
        commands.push(Command::new(&["set", "server", &name, "health", "up"]));
        commands.push(Command::new(&["enable", "server", &name]));
    }
    for server in wanted {
        let name = format!("{backend}/{}", server.name);
        let address = format!("127.0.0.1:{}", server.port);
        let stands = state
            .of_backend(backend)
            .any(|standing| standing.server == *server && !standing.stands_by);
        if !stands {
            let mut add = vec!["add", "server", &name, &address];
            add.extend(SERVER.split(' '));
            add.extend(NEW.split(' '));
            commands.push(Command::new(&add));
        }
        commands.push(Command::new(&["enable", "health", &name]));
        // It was healthy a moment ago; the checks say when it no longer is.
        commands.push(Command::new(&["set", "server", &name, "health", "up"]));
        commands.push(Command::new(&["enable", "server", &name]));
    }
    commands
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
        for standing in state.of_backend(&backend) {
            // After a way back, those that serve stand by in the backend that
            // was left: a request that waits there to be tried again needs them.
            if !serving.contains(&standing.server) {
                commands.extend(forgotten(&backend, standing));
            }
        }
    }
    obey(link, host, &commands).await
}

/// Requests that run and connections that are open at these; idle ones do not
/// count.
pub(super) async fn open_connections(
    link: &dyn HostLink,
    host: &HostAddress,
    pair: &str,
    of: &[Server],
) -> Result<u64, Fault> {
    let commands =
        backends(pair).map(|backend| Command::new(&["show", "servers", "conn", &backend]));
    let answers = ask(link, host, &commands)
        .await
        .map_err(|silent| silent.fault(host))?;
    let mut open = 0;
    for answer in &answers {
        open += used(answer, of).ok_or_else(|| {
            Fault::failed(format!(
                "what the proxy on `{host}` says of its connections cannot be read"
            ))
            .showing("its answer", answer.lines().map(str::to_owned).collect())
        })?;
    }
    Ok(open)
}

fn used(answer: &str, of: &[Server]) -> Option<u64> {
    let mut lines = answer.lines();
    let columns: Vec<&str> = lines.next()?.strip_prefix("# ")?.split(' ').collect();
    let at = columns.iter().position(|column| *column == "used_cur")?;
    let mut open = 0;
    for line in lines.filter(|line| !line.is_empty()) {
        let words: Vec<&str> = line.split(' ').collect();
        let (_, name) = words.first()?.split_once('/')?;
        let name = name.strip_prefix(STANDS_BY).unwrap_or(name);
        if of.iter().any(|server| server.name == name) {
            open += words.get(at)?.parse::<u64>().ok()?;
        }
    }
    Some(open)
}

/// Commands whose answers must be one of the few that mean well.
pub(super) async fn obey(
    link: &dyn HostLink,
    host: &HostAddress,
    commands: &[Command],
) -> Result<(), Fault> {
    if commands.is_empty() {
        return Ok(());
    }
    let answers = ask(link, host, commands)
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

    #[test]
    fn open_connections_are_those_in_use_of_the_servers_asked_for() {
        let answer = "# bkname/svname bkid/svid addr port - purge_delay used_cur used_max\n\
                      e01_blue/web-1 3/1 127.0.0.1 20001 - 5000 2 9\n\
                      e01_blue/web-2 3/2 127.0.0.1 20002 - 5000 40 90\n\
                      e01_green/was.web-2 4/1 127.0.0.1 20002 - 5000 1 1\n";
        let web = |name: &str| Server {
            name: name.into(),
            port: 1,
        };
        assert_eq!(used(answer, &[web("web-1")]), Some(2));
        assert_eq!(used(answer, &[web("web-1"), web("web-2")]), Some(43));
        assert_eq!(used("Can't find backend.", &[web("web-1")]), None);
    }
}
