//! How many requests and connections servers still have open: at the proxy that
//! runs, and at those that it replaced. Imports `ports`, `model`.
//!
//! One that was replaced takes no command any more and ends with its last
//! connection. While one is there, the host's own table of connections tells
//! what the proxy that runs does not account for.

use crate::model::fault::Fault;
use crate::model::route::Server;

use super::base::backends;
use super::machine::{Machine, NAME};
use super::runtime::{Command, ask_at};
use super::state::{STANDS_BY, State};

const TABLE: &str = "cat /proc/net/tcp 2>/dev/null || true";
/// As the table writes 127.0.0.1, and a connection that is established.
const LOOPBACK: &str = "0100007F";
const ESTABLISHED: &str = "01";

/// Idle connections do not count.
pub(super) async fn connections(
    machine: &Machine<'_>,
    state: &State,
    pair: &str,
    of: &[Server],
) -> Result<u64, Fault> {
    let Machine { link, host, .. } = *machine;
    let commands =
        backends(pair).map(|backend| Command::new(&["show", "servers", "conn", &backend]));
    // First: what ends between the two is not counted twice.
    let all = match replaced_one_runs(machine, state).await? {
        true => {
            let table = link.exec(host, TABLE, &[]).await?;
            established(&String::from_utf8_lossy(&table.stdout), of)
        }
        false => 0,
    };
    let answers = ask_at(link, host, &state.socket(), &commands)
        .await
        .map_err(|silent| silent.fault(host))?;
    let mut here = Held::default();
    for answer in &answers {
        let held = held(answer, of).ok_or_else(|| {
            Fault::failed(format!(
                "what the proxy on `{host}` says of its connections cannot be read"
            ))
            .showing("its answer", answer.lines().map(str::to_owned).collect())
        })?;
        here.used += held.used;
        here.idle += held.idle;
    }
    Ok(here.used + all.saturating_sub(here.used + here.idle))
}

async fn replaced_one_runs(machine: &Machine<'_>, state: &State) -> Result<bool, Fault> {
    if !state.has_replaced() {
        return Ok(false);
    }
    let all = machine.proxies().await?;
    Ok(all.iter().any(|one| one.running() && one.name != NAME))
}

#[derive(Debug, Default, PartialEq, Eq)]
struct Held {
    used: u64,
    idle: u64,
}

fn held(answer: &str, of: &[Server]) -> Option<Held> {
    let mut lines = answer.lines();
    let columns: Vec<&str> = lines.next()?.strip_prefix("# ")?.split(' ').collect();
    let at = |name: &str| columns.iter().position(|column| *column == name);
    let (used, idle) = (at("used_cur")?, at("idle_cur")?);
    let mut held = Held::default();
    for line in lines.filter(|line| !line.is_empty()) {
        let words: Vec<&str> = line.split(' ').collect();
        let (_, name) = words.first()?.split_once('/')?;
        let name = name.strip_prefix(STANDS_BY).unwrap_or(name);
        if of.iter().any(|server| server.name == name) {
            held.used += words.get(used)?.parse::<u64>().ok()?;
            held.idle += words.get(idle)?.parse::<u64>().ok()?;
        }
    }
    Some(held)
}

/// Connections that somebody on the host has to these.
fn established(table: &str, of: &[Server]) -> u64 {
    let to = |line: &&str| {
        let mut words = line.split_whitespace().skip(2);
        let (Some(remote), Some(ESTABLISHED)) = (words.next(), words.next()) else {
            return false;
        };
        of.iter()
            .any(|server| remote == format!("{LOOPBACK}:{:04X}", server.port))
    };
    table.lines().filter(to).count() as u64
}

#[cfg(test)]
mod tests {
    use super::*;

    fn web(name: &str, port: u16) -> Server {
        Server {
            name: name.into(),
            port,
        }
    }

    #[test]
    fn open_connections_are_those_in_use_of_the_servers_asked_for() {
        let answer = "# bkname/svname bkid/svid addr port - purge_delay used_cur used_max idle_cur\n\
                      e01_blue/web-1 3/1 127.0.0.1 20001 - 5000 2 9 1\n\
                      e01_blue/web-2 3/2 127.0.0.1 20002 - 5000 40 90 0\n\
                      e01_green/was.web-2 4/1 127.0.0.1 20002 - 5000 1 1 3\n";
        let (one, two) = (web("web-1", 1), web("web-2", 1));
        let both = Held { used: 43, idle: 4 };
        assert_eq!(
            held(answer, std::slice::from_ref(&one)),
            Some(Held { used: 2, idle: 1 })
        );
        assert_eq!(held(answer, &[one.clone(), two]), Some(both));
        assert_eq!(held("Can't find backend.", &[one]), None);
    }

    #[test]
    fn a_hosts_table_tells_who_is_connected_to_a_server() {
        let table = "  sl  local_address rem_address   st tx_queue rx_queue\n   \
            0: 0100007F:4E21 00000000:0000 0A 00000000:00000000\n   \
            1: 0100007F:9C40 0100007F:4E21 01 00000000:00000000\n   \
            2: 0100007F:4E21 0100007F:9C40 01 00000000:00000000\n   \
            3: 0100007F:9C42 0100007F:4E21 06 00000000:00000000\n   \
            4: 0100007F:9C44 0100007F:4E22 01 00000000:00000000\n";
        assert_eq!(established(table, &[web("web-1", 20_001)]), 1);
        assert_eq!(
            established(table, &[web("web-1", 20_001), web("web-2", 20_002)]),
            2
        );
        assert_eq!(established("", &[web("web-1", 20_001)]), 0);
    }
}
