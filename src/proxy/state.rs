//! What the proxy of a host knows now, read whole. Imports `ports`, `model`.

use crate::model::fault::Fault;
use crate::model::host::HostAddress;
use crate::model::route::{Server, Traffic};
use crate::ports::HostLink;

use super::base::backends;
use super::runtime::{Command, SOCKET, Silent, ask_at, socket_of};

/// Before the name of a server that stands by.
pub(super) const STANDS_BY: &str = "was.";

/// A map of HAProxy's.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Map {
    /// What it was made from.
    About,
    /// Name and path → pair.
    Names,
    /// Pair → route key. The first of a pair owns it.
    Owners,
    /// Pair → the backend that serves.
    Live,
    /// Pair → the servers that its file names.
    Kept,
    /// Pairs that show the maintenance page.
    Maintenance,
    /// Pairs whose requests belong on HTTPS → whose their certificate is.
    Secure,
    /// Name → whose its certificate is, a dot, pair.
    Tls,
    /// Pair → bytes of a body.
    Limits,
    /// Pair → milliseconds until an answer begins.
    Timeouts,
    /// While servers stand by: backend → how many others are asked first;
    /// backend, a dot, number → which.
    First,
}

pub(super) const MAPS: [Map; 11] = [
    Map::About,
    Map::Names,
    Map::Owners,
    Map::Live,
    Map::Kept,
    Map::Maintenance,
    Map::Secure,
    Map::Tls,
    Map::Limits,
    Map::Timeouts,
    Map::First,
];

impl Map {
    /// As the runtime interface knows it.
    pub(super) fn file(self) -> &'static str {
        match self {
            Map::About => "/tmp/stagecraft/about.map",
            Map::Names => "/tmp/stagecraft/names.map",
            Map::Owners => "/tmp/stagecraft/owners.map",
            Map::Live => "/tmp/stagecraft/live.map",
            Map::Kept => "/tmp/stagecraft/kept.map",
            Map::Maintenance => "/tmp/stagecraft/maintenance.map",
            Map::Secure => "/tmp/stagecraft/secure.map",
            Map::Tls => "/tmp/stagecraft/tls.map",
            Map::Limits => "/tmp/stagecraft/limits.map",
            Map::Timeouts => "/tmp/stagecraft/timeouts.map",
            Map::First => "/tmp/stagecraft/first.map",
        }
    }

    pub(super) fn show(self) -> Command {
        Command::new(&["show", "map", self.file()])
    }

    pub(super) fn add(self, key: &str, value: &str) -> Command {
        Command::new(&["add", "map", self.file(), key, value])
    }

    pub(super) fn set(self, key: &str, value: &str) -> Command {
        Command::new(&["set", "map", self.file(), key, value])
    }

    /// That very entry, others of its key not.
    pub(super) fn del_entry(self, entry: &Entry) -> Command {
        self.del(&format!("#{}", entry.reference))
    }

    /// All entries of that key.
    pub(super) fn del(self, key: &str) -> Command {
        Command::new(&["del", "map", self.file(), key])
    }
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Entry {
    /// Names this one entry among those of its key.
    pub(super) reference: String,
    pub(super) key: String,
    pub(super) value: String,
}

/// A server of a backend.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Standing {
    pub(super) backend: String,
    pub(super) server: Server,
    /// Only gets what the others of its backend did not answer.
    pub(super) stands_by: bool,
    /// Takes new requests, as far as we asked for it.
    pub(super) enabled: bool,
}

/// See the module's own words.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct State {
    maps: Vec<Vec<Entry>>,
    /// It lacks a map: it was started by an older version of this program.
    pub(super) older: bool,
    pub(super) servers: Vec<Standing>,
}

/// How HAProxy answers where it does not know a map.
const NO_SUCH_MAP: &str = "Unknown map";

pub(super) async fn read(link: &dyn HostLink, host: &HostAddress) -> Result<State, Silent> {
    read_at(link, host, SOCKET).await
}

/// What the one knows that listens there.
pub(super) async fn read_at(
    link: &dyn HostLink,
    host: &HostAddress,
    socket: &str,
) -> Result<State, Silent> {
    let mut commands: Vec<Command> = MAPS.into_iter().map(Map::show).collect();
    commands.push(Command::new(&["show", "servers", "state"]));
    let answers = ask_at(link, host, socket, &commands).await?;
    parse(&answers).ok_or_else(|| Silent("it is not of our making".to_owned()))
}

fn parse(answers: &[String]) -> Option<State> {
    let (servers, maps) = answers.split_last()?;
    let is_there = |map: &String| !map.starts_with(NO_SUCH_MAP);
    // What is no proxy of ours has none of them.
    maps.first().filter(|about| is_there(about))?;
    let known = |map: &String| match is_there(map) {
        true => entries(map),
        false => Some(vec![]),
    };
    Some(State {
        maps: maps.iter().map(known).collect::<Option<_>>()?,
        older: !maps.iter().all(is_there),
        servers: standing(servers)?,
    })
}

/// `0x7f86e07fe600 key value` a line.
pub(super) fn entries(answer: &str) -> Option<Vec<Entry>> {
    let entry = |line: &str| {
        let mut words = line.splitn(3, ' ');
        let reference = words.next().filter(|word| word.starts_with("0x"))?;
        Some(Entry {
            reference: reference.to_owned(),
            key: words.next()?.to_owned(),
            value: words.next().unwrap_or_default().to_owned(),
        })
    };
    answer.lines().map(entry).collect()
}

/// Its columns are named by its second line; the first is its version.
fn standing(answer: &str) -> Option<Vec<Standing>> {
    let mut lines = answer.lines();
    let columns: Vec<&str> = lines
        .by_ref()
        .find_map(|line| line.strip_prefix("# "))?
        .split(' ')
        .collect();
    let at = |name: &str| columns.iter().position(|column| *column == name);
    let backend = at("be_name")?;
    let name = at("srv_name")?;
    let admin = at("srv_admin_state")?;
    let port = at("srv_port")?;
    let server = |line: &str| {
        let words: Vec<&str> = line.split(' ').collect();
        let name = *words.get(name)?;
        let standing_by = name.strip_prefix(STANDS_BY);
        Some(Standing {
            backend: (*words.get(backend)?).to_owned(),
            stands_by: standing_by.is_some(),
            server: Server {
                name: standing_by.unwrap_or(name).to_owned(),
                port: words.get(port)?.parse().ok()?,
            },
            enabled: *words.get(admin)? == "0",
        })
    };
    lines.filter(|line| !line.is_empty()).map(server).collect()
}

#[cfg(test)]
impl State {
    /// One map's entries, in their order.
    pub(super) fn of(map: Map, entries: &[(&str, &str)]) -> Self {
        let entry = |(number, (key, value)): (usize, &(&str, &str))| Entry {
            reference: format!("0x{number}"),
            key: (*key).to_owned(),
            value: (*value).to_owned(),
        };
        let all = MAPS.iter().map(|known| match *known == map {
            true => entries.iter().enumerate().map(entry).collect(),
            false => vec![],
        });
        Self {
            maps: all.collect(),
            older: false,
            servers: vec![],
        }
    }
}

impl State {
    pub(super) fn map(&self, map: Map) -> &[Entry] {
        let at = MAPS.iter().position(|known| *known == map);
        at.and_then(|at| self.maps.get(at)).map_or(&[], |map| map)
    }

    /// The first value: the one that counts.
    pub(super) fn value(&self, map: Map, key: &str) -> Option<&str> {
        let found = self.map(map).iter().find(|entry| entry.key == key);
        found.map(|entry| entry.value.as_str())
    }

    /// Of the proxy that this was read from: another may have the link by now,
    /// and know other pairs.
    pub(super) fn socket(&self) -> String {
        let version = self.value(Map::About, "version");
        version.map_or_else(|| SOCKET.to_owned(), socket_of)
    }

    /// It took the place of another, which may still have connections.
    pub(super) fn has_replaced(&self) -> bool {
        self.value(Map::About, "before").is_some()
    }

    /// Where TLS is taken.
    pub(super) fn https(&self) -> Option<u16> {
        self.value(Map::About, "https")?.parse().ok()
    }

    pub(super) fn owner(&self, pair: &str) -> Option<&str> {
        self.value(Map::Owners, pair)
    }

    /// The pair of a route.
    pub(super) fn pair(&self, key: &str) -> Option<&str> {
        let mut owners = self.map(Map::Owners).iter();
        let own = owners.find(|entry| entry.value == key && self.owner(&entry.key) == Some(key));
        own.map(|entry| entry.key.as_str())
    }

    /// # Errors
    /// The proxy does not know the route.
    pub(super) fn known_pair(&self, host: &HostAddress, key: &str) -> Result<&str, Fault> {
        self.pair(key).ok_or_else(|| {
            Fault::failed(format!("the proxy on `{host}` does not know `{key}`"))
                .because("it lost what it knew, or was made anew")
                .hint("deploy again: `stagecraft deploy`")
        })
    }

    pub(super) fn of_backend<'a>(&'a self, backend: &'a str) -> impl Iterator<Item = &'a Standing> {
        self.servers
            .iter()
            .filter(move |standing| standing.backend == backend)
    }

    /// Who gets the requests of a pair; in the order of their names.
    pub(super) fn serving(&self, pair: &str) -> Vec<Server> {
        let Some(live) = self.value(Map::Live, pair) else {
            return vec![];
        };
        let enabled = self
            .of_backend(live)
            .filter(|standing| standing.enabled && !standing.stands_by);
        let mut servers: Vec<Server> = enabled.map(|standing| standing.server.clone()).collect();
        servers.sort();
        servers
    }

    /// The backend of a pair that serves nobody now.
    pub(super) fn idle(&self, pair: &str) -> String {
        let [blue, green] = backends(pair);
        match self.value(Map::Live, pair) == Some(blue.as_str()) {
            true => green,
            false => blue,
        }
    }

    pub(super) fn kept(&self, pair: &str) -> Option<Vec<Server>> {
        self.value(Map::Kept, pair).map(read_list)
    }

    pub(super) fn traffic(&self, pair: &str) -> Traffic {
        Traffic {
            serving: self.serving(pair),
            at_boot: self.kept(pair).unwrap_or_default(),
            maintenance: self.value(Map::Maintenance, pair).is_some(),
        }
    }
}

/// `,name=port,name=port`; a lone comma for none.
pub(super) fn list(servers: &[Server]) -> String {
    let mut list = String::new();
    for server in servers {
        list.push_str(&format!(",{}={}", server.name, server.port));
    }
    match list.is_empty() {
        true => ",".to_owned(),
        false => list,
    }
}

fn read_list(list: &str) -> Vec<Server> {
    let server = |item: &str| {
        let (name, port) = item.split_once('=')?;
        Some(Server {
            name: name.to_owned(),
            port: port.parse().ok()?,
        })
    };
    let mut servers: Vec<Server> = list.split(',').filter_map(server).collect();
    servers.sort();
    servers
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_proxy_that_lacks_a_map_is_an_older_one_of_ours() {
        let mut answers = vec![String::new(); MAPS.len()];
        answers[0] = "0x1 format 1".to_owned();
        answers.push("1\n# be_name srv_name srv_admin_state srv_port".to_owned());
        assert!(!parse(&answers).unwrap().older);
        answers[3] = "Unknown map identifier. Please use #<id> or <name>.".to_owned();
        let state = parse(&answers).unwrap();
        assert!(state.older);
        assert_eq!(state.value(Map::About, "format"), Some("1"));
        answers[0] = answers[3].clone();
        assert_eq!(parse(&answers), None);
    }
}
