//! People who use an application while it is deployed: paced requests of every
//! kind against every host, each answer checked to its last byte.
//!
//! ```ignore
//! let load = Load::on(&addresses).starts();
//! shop.deploy("v2").succeeds();
//! let load = load.ends();
//! load.lost_nothing().saw_only(&["v1", "v2"]);
//! load.websockets_survived();
//! ```
//!
//! The application is `tests/fixtures/loadapp`. A load that asked too little
//! proves nothing: every check first fails when a kind or a host came short.

mod client;
mod flawed;
mod report;
mod requests;
mod spans;
mod streams;
mod tally;
mod websocket;

use std::io::Write;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::runtime::Runtime;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use client::Client;
pub(crate) use flawed::{Flaw, Flawed};
pub(crate) use report::Report;
use tally::Tally;
pub(crate) use tally::{End, Kind};

/// Connections of each kind to each host.
const KEPT_ALIVE: u32 = 4;
const FRESH: u32 = 3;
const POSTING: u32 = 2;
const SLOW: u32 = 2;
const EVENTS: u32 = 1;
const WEBSOCKETS: u32 = 2;

/// How often a WebSocket says something.
const WORD_EVERY: Duration = Duration::from_millis(200);

/// What is to be asked of whom.
#[derive(Clone)]
pub(crate) struct Load {
    addresses: Vec<SocketAddr>,
    name: String,
    rate: u32,
    slow: Duration,
}

impl Load {
    pub(crate) fn on(addresses: &[SocketAddr]) -> Self {
        Self {
            addresses: addresses.to_vec(),
            name: "shop.example.com".to_owned(),
            rate: 300,
            slow: Duration::from_secs(2),
        }
    }

    /// The `Host` that every request names.
    pub(crate) fn named(mut self, name: &str) -> Self {
        name.clone_into(&mut self.name);
        self
    }

    /// Short requests a second, over all hosts.
    pub(crate) fn rate(mut self, rate: u32) -> Self {
        self.rate = rate;
        self
    }

    /// How long the application takes for a slow request.
    pub(crate) fn slow(mut self, slow: Duration) -> Self {
        self.slow = slow;
        self
    }

    /// Begins, and returns once every kind was tried on every host.
    #[track_caller]
    pub(crate) fn starts(self) -> Loading {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .thread_name("load")
            .enable_all()
            .build()
            .expect("a runtime");
        let tally = Arc::new(Tally::new());
        let stop = CancellationToken::new();
        let people = {
            let _inside = runtime.enter();
            self.people(&tally, &stop)
        };
        let loading = Loading {
            plan: self,
            tally,
            stop,
            people,
            runtime: Some(runtime),
        };
        let deadline = Instant::now() + Duration::from_secs(15);
        while !loading.tally.tried_all(loading.plan.addresses.len()) {
            assert!(
                Instant::now() < deadline,
                "not every kind of request got as far as an answer or a failure"
            );
            std::thread::sleep(Duration::from_millis(10));
        }
        loading
    }

    fn people(&self, tally: &Arc<Tally>, stop: &CancellationToken) -> JoinSet<()> {
        let mut people = JoinSet::new();
        for (host, address) in self.addresses.iter().enumerate() {
            let client = |kind| Client {
                kind,
                host,
                address: *address,
                name: self.name.clone(),
                tally: tally.clone(),
                stop: stop.clone(),
            };
            for (kind, count) in [
                (Kind::KeptAlive, KEPT_ALIVE),
                (Kind::Fresh, FRESH),
                (Kind::Post, POSTING),
            ] {
                let every = self.every(kind);
                for number in 0..count {
                    // They do not all ask in the same moment.
                    let first = every * number / count;
                    people.spawn(requests::asks(client(kind), first, every));
                }
            }
            for number in 0..SLOW {
                people.spawn(requests::waits(client(Kind::Slow), number, self.slow));
            }
            for _ in 0..EVENTS {
                people.spawn(streams::listens(client(Kind::Events)));
            }
            for number in 0..WEBSOCKETS {
                let first = WORD_EVERY * number / WEBSOCKETS;
                people.spawn(websocket::talks(client(Kind::WebSocket), first));
            }
        }
        people
    }

    /// The pace of one connection of a kind, so that all make up the rate.
    fn every(&self, kind: Kind) -> Duration {
        let (percent, count) = match kind {
            Kind::KeptAlive => (50, KEPT_ALIVE),
            Kind::Fresh => (30, FRESH),
            Kind::Post => (20, POSTING),
            Kind::Slow => return self.slow * 100,
            Kind::Events => return streams::EVERY,
            Kind::WebSocket => return WORD_EVERY,
        };
        let hosts = u32::try_from(self.addresses.len()).expect("few hosts");
        Duration::from_secs(1) * count * hosts * 100 / (percent * self.rate)
    }

    /// How many answers of a kind each host gives in this time, when nothing
    /// is late.
    fn expected(&self, kind: Kind, time: Duration) -> u32 {
        let (every, count) = match kind {
            Kind::KeptAlive => (self.every(kind), KEPT_ALIVE),
            Kind::Fresh => (self.every(kind), FRESH),
            Kind::Post => (self.every(kind), POSTING),
            Kind::Slow => (self.slow, SLOW),
            Kind::Events => (self.every(kind), EVENTS),
            Kind::WebSocket => (self.every(kind), WEBSOCKETS),
        };
        let rounds = time.as_secs_f64() / every.as_secs_f64();
        (rounds * f64::from(count)) as u32
    }
}

/// A load that goes on. It ends with this value.
pub(crate) struct Loading {
    plan: Load,
    tally: Arc<Tally>,
    stop: CancellationToken,
    people: JoinSet<()>,
    runtime: Option<Runtime>,
}

impl Loading {
    /// How it stands now.
    pub(crate) fn so_far(&self) -> Report {
        Report::new(&self.plan, &self.tally)
    }

    pub(crate) fn goes_on_for(&self, time: Duration) {
        std::thread::sleep(time);
    }

    /// What is under way is answered to its end, nothing new is asked.
    pub(crate) fn ends(mut self) -> Report {
        let asked = self.tally.now();
        self.stop.cancel();
        let mut people = std::mem::take(&mut self.people);
        if let Some(runtime) = &self.runtime {
            runtime.block_on(async { while people.join_next().await.is_some() {} });
        }
        let report = Report::until(asked, &self.plan, &self.tally);
        says(&report);
        report
    }
}

/// What it saw is what one wants to know when a test fails.
fn says(report: &Report) {
    let _ = writeln!(std::io::stderr(), "{report}");
}

impl Drop for Loading {
    fn drop(&mut self) {
        if std::thread::panicking() {
            says(&self.so_far());
        }
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}
