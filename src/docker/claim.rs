//! [`EngineClaims`]: a name on an engine that one process at a time holds.
//!
//! A claim is a session (see `session`) whose id is the name: the engine opens
//! one session of an id at a time, whoever asks, needs no image and no network
//! for it, keeps nothing of it, and ends it with its connection. So it cannot
//! go stale: a process that is killed closes its connection, which the engine
//! sees within 1 s (20.10) or 10 s (28); one that is stopped or cut off does not
//! answer the engine's health check, and is out after 11 s (20.10) or 70 s (28).
//!
//! It does not let two through. A claim that ends by itself (the engine
//! restarted, or its check came too late) is made again at once; whoever took
//! it meanwhile keeps it, and this process is told that it lost.

use std::collections::HashSet;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use bollard::errors::Error;
use serde::Deserialize;
use tokio::sync::oneshot;
use tokio::time::{Instant, sleep, timeout};
use tokio_util::sync::CancellationToken;
use tokio_util::task::AbortOnDropHandle;

use super::client::{Call, Engine, Engines, fault, status};
use super::session;
use crate::model::fault::Fault;
use crate::model::host::HostAddress;
use crate::ports::{Claimed, EngineClaims};

/// What is waited for an engine's first word. One that takes longer is asked
/// on beside the work: what it says then still counts.
const FIRST_WORD: Duration = Duration::from_secs(5);
/// What it gets later on, beside the work.
const LATER_WORD: Duration = Duration::from_secs(60);
/// By then an engine has seen that a connection was closed.
const ORDERLY_END: Duration = Duration::from_secs(12);
/// Until an engine that does not answer is asked again.
const AGAIN: Duration = Duration::from_secs(5);
/// Until a name is asked for again that may belong to somebody who is gone.
const PAUSE: Duration = Duration::from_millis(500);

/// Claims on the engines that `engines` reaches.
#[must_use]
pub fn claims(engines: Arc<Engines>) -> Arc<dyn EngineClaims> {
    Arc::new(Claims {
        engines,
        held: Arc::default(),
    })
}

#[derive(Clone)]
struct Claims {
    engines: Arc<Engines>,
    /// By host and name: two addresses may lead to one engine.
    held: Held,
}

type Held = Arc<Mutex<HashSet<(HostAddress, String)>>>;

enum Answer {
    Open(std::pin::Pin<Box<dyn Future<Output = ()> + Send>>),
    Taken,
    Silent,
    Unknown(Error),
}

#[async_trait]
impl EngineClaims for Claims {
    async fn claim(
        &self,
        host: &HostAddress,
        name: &str,
        lingering: Option<Duration>,
        lost: &CancellationToken,
    ) -> Result<Claimed, Fault> {
        let (tell, told) = oneshot::channel();
        let claim = Claim {
            engine: self.engines.engine(host)?,
            claims: self.clone(),
            key: (host.clone(), name.to_owned()),
            lost: lost.clone(),
            lingering_until: lingering.map(|lingering| Instant::now() + lingering),
            asked: Instant::now(),
        };
        let lost = lost.clone();
        let keeping = AbortOnDropHandle::new(tokio::spawn(async move {
            lost.run_until_cancelled(claim.keep(tell)).await;
        }));
        match told.await {
            Ok(First::Taken) => Ok(Claimed::Taken),
            Ok(First::Unknown(error)) => Err(fault(
                host,
                "the engine keeps no sessions, by which one deploy at a time is told",
                error,
            )
            .hint("Docker Engine 18.09 or newer is needed")),
            Ok(First::Open | First::Silent) | Err(_) => Ok(Claimed::Ours(Box::new(keeping))),
        }
    }
}

impl Claims {
    /// This process holds it through another address of the same engine.
    async fn is_ours(&self, (host, name): &(HostAddress, String)) -> bool {
        let others: Vec<HostAddress> = lock(&self.held)
            .iter()
            .filter(|(other, held)| other != host && held == name)
            .map(|(other, _)| other.clone())
            .collect();
        if others.is_empty() {
            return false;
        }
        let Some(id) = self.id(host).await else {
            return false;
        };
        for other in others {
            if self.id(&other).await.as_ref() == Some(&id) {
                return true;
            }
        }
        false
    }

    async fn id(&self, host: &HostAddress) -> Option<String> {
        #[derive(Deserialize)]
        struct Info {
            #[serde(rename = "ID")]
            id: String,
        }
        let engine = self.engines.engine(host).ok()?;
        let info: Info = engine.json(Call::get("/info")).await.ok()?;
        Some(info.id).filter(|id| !id.is_empty())
    }
}

/// The engine's first word on a claim.
enum First {
    Open,
    Taken,
    Silent,
    Unknown(Error),
}

struct Claim {
    engine: Engine,
    claims: Claims,
    key: (HostAddress, String),
    lost: CancellationToken,
    /// Until then a name that is taken is a holder's who is gone, it seems.
    lingering_until: Option<Instant>,
    asked: Instant,
}

impl Claim {
    /// Holds the name for as long as this runs, and tells how it began.
    async fn keep(self, tell: oneshot::Sender<First>) {
        let mut tell = Some(tell);
        let mut limit = FIRST_WORD;
        // Whether somebody still waits for the first word.
        let mut said = |first| tell.take().is_some_and(|tell| tell.send(first).is_ok());
        loop {
            let asked = timeout(limit, self.ask()).await;
            limit = LATER_WORD;
            match asked.unwrap_or(Answer::Silent) {
                Answer::Open(serving) => {
                    let _held = Entry::new(&self.claims.held, &self.key);
                    said(First::Open);
                    serving.await;
                }
                Answer::Taken if self.lingers() => {
                    said(First::Open);
                    sleep(PAUSE).await;
                }
                Answer::Taken if self.asked.elapsed() < ORDERLY_END => sleep(PAUSE).await,
                Answer::Taken => {
                    if self.claims.is_ours(&self.key).await {
                        said(First::Open);
                    } else if !said(First::Taken) {
                        self.lost.cancel();
                    }
                    return;
                }
                Answer::Unknown(error) => {
                    said(First::Unknown(error));
                    return;
                }
                Answer::Silent => {
                    said(First::Silent);
                    sleep(AGAIN).await;
                }
            }
        }
    }

    fn lingers(&self) -> bool {
        self.lingering_until
            .is_some_and(|until| Instant::now() < until)
    }

    async fn ask(&self) -> Answer {
        let opened = session::open(&self.engine, &self.key.1, None, &[], session::routes());
        match opened.await {
            Ok(serving) => Answer::Open(Box::pin(serving)),
            Err(error) if taken(&error) => Answer::Taken,
            Err(error) if matches!(status(&error), Some(404 | 501)) => Answer::Unknown(error),
            Err(_) => Answer::Silent,
        }
    }
}

fn taken(error: &Error) -> bool {
    matches!(error, Error::DockerResponseServerError { message, .. } if message.ends_with("already exists"))
}

/// That this process holds a name, while it does.
struct Entry<'a>(&'a Held, &'a (HostAddress, String));

impl<'a> Entry<'a> {
    fn new(held: &'a Held, key: &'a (HostAddress, String)) -> Self {
        lock(held).insert(key.clone());
        Self(held, key)
    }
}

impl Drop for Entry<'_> {
    fn drop(&mut self) {
        lock(self.0).remove(self.1);
    }
}

fn lock(held: &Held) -> std::sync::MutexGuard<'_, HashSet<(HostAddress, String)>> {
    held.lock().unwrap_or_else(PoisonError::into_inner)
}
