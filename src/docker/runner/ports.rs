//! Ports of a host that somebody has, container or not.

use std::collections::{BTreeMap, BTreeSet};

use serde::Deserialize;

use crate::docker::client::{Call, Engine, fault};
use crate::model::container::label;
use crate::model::fault::Fault;
use crate::model::host::{HostAddress, TakenPorts};
use crate::ports::HostLink;

/// What Linux says of its sockets; other systems have no such files, and their
/// engines refuse a port that is taken.
const SOCKETS: &str = "cat /proc/net/tcp /proc/net/tcp6 2>/dev/null || true";

/// The state of a socket that listens.
const LISTENS: &str = "0A";

/// # Errors
/// The host cannot be reached.
pub(super) async fn taken(engine: &Engine, link: &dyn HostLink) -> Result<TakenPorts, Fault> {
    let (mut taken, heard) = tokio::try_join!(published(engine), heard(link, engine.host()))?;
    taken.busy.extend(heard);
    Ok(taken)
}

/// From the list of containers alone: those that run show their ports there,
/// and ours carry the others in a label.
async fn published(engine: &Engine) -> Result<TakenPorts, Fault> {
    #[derive(Deserialize)]
    #[serde(rename_all = "PascalCase")]
    struct Listed {
        ports: Option<Vec<Published>>,
        labels: Option<BTreeMap<String, String>>,
    }
    #[derive(Deserialize)]
    #[serde(rename_all = "PascalCase")]
    struct Published {
        public_port: Option<u16>,
    }
    let listed: Vec<Listed> = engine
        .json(Call::get("/containers/json").query("all", "1"))
        .await
        .map_err(|error| fault(engine.host(), "cannot list containers", error))?;
    let mut taken = TakenPorts::default();
    for container in listed {
        let published = container.ports.unwrap_or_default();
        taken
            .busy
            .extend(published.iter().filter_map(|port| port.public_port));
        let labels = container.labels.unwrap_or_default();
        let reserved = labels.get(label::LOOPBACK).map_or("", String::as_str);
        let pairs = reserved.split(',').filter_map(|pair| pair.split_once('='));
        taken
            .reserved
            .extend(pairs.filter_map(|(_, host)| host.parse::<u16>().ok()));
    }
    Ok(taken)
}

async fn heard(link: &dyn HostLink, host: &HostAddress) -> Result<BTreeSet<u16>, Fault> {
    let exit = link.exec(host, SOCKETS, &[]).await?;
    Ok(listening(&String::from_utf8_lossy(&exit.stdout)))
}

fn listening(sockets: &str) -> BTreeSet<u16> {
    let ports = sockets.lines().filter_map(|line| {
        let mut words = line.split_whitespace();
        let (_, port) = words.nth(1)?.rsplit_once(':')?;
        let listens = words.nth(1)? == LISTENS;
        listens.then(|| u16::from_str_radix(port, 16).ok())?
    });
    ports.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sockets_that_listen_are_told_from_those_that_talk() {
        let sockets = "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt\n   \
             0: 0100007F:4E20 00000000:0000 0A 00000000:00000000 00:00000000 00000000 0\n   \
             1: 0B07D50A:0016 0107D50A:D431 01 00000000:00000000 02:000A6A17 00000000 0\n  \
             sl  local_address                         remote_address\n   \
             0: 00000000000000000000000000000000:1F90 00000000000000000000000000000000:0000 0A 0\n";
        assert_eq!(listening(sockets), BTreeSet::from([20_000, 8080]));
        assert!(listening("cat: not found").is_empty());
    }
}
