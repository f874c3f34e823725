//! The environment lock: a file here, then the primary host, which decides the
//! winner, then the others at once. Imports `ports`, `model`.
//!
//! Everywhere or nowhere. The host's end holds its part and lets go when the
//! connection ends or falls silent, so no lock outlives its holder.
//!
//! A host's part is three things, because two users of one host may have
//! different state folders. A file in the state folder keeps out everybody who
//! has the same one. A notice in `/tmp` keeps out the host's other users, and
//! says who it is. And a name that is claimed on the host's engine keeps out
//! whoever shares only that, such as two jobs of a CI in containers. None can go
//! stale: the first two are the kernel's locks on files, the third ends with its
//! connection.
//!
//! An engine may notice that end late, so a name that is taken while a holder
//! let go of this very folder a moment ago is no reason to stop; one that stays
//! taken is. An engine that does not answer holds up nobody (`releases mark-bad`,
//! or migrating a database elsewhere, need none): it is asked until it does, and
//! whoever then finds the name taken has lost the lock.

mod file;
mod remote;
mod script;
#[cfg(test)]
mod tests;

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use futures_util::future::join_all;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use tokio_util::task::AbortOnDropHandle;

use crate::model::fault::{Fault, FaultKind};
use crate::model::host::HostAddress;
use crate::model::names::{EnvironmentName, ProjectName};
use crate::model::project::Environment;
use crate::ports::{Claimed, Cx, EngineClaims, Held, Holder, HostLink, Lock, Loss};

use file::FileLock;

/// Letting go takes a round trip; a host that does not answer frees it itself.
const FAREWELL: Duration = Duration::from_secs(5);
/// After this no engine holds a name for a holder who let go of the lock: it
/// asks every 5 s whether somebody is there, gives an answer 30 s, and does so
/// twice (measured: 1 s on Engine 20.10, 10 s on 28 after an orderly end).
const LINGERING: Duration = Duration::from_secs(75);

pub struct EnvironmentLock {
    link: Arc<dyn HostLink>,
    claims: Arc<dyn EngineClaims>,
    project: ProjectName,
    environment: EnvironmentName,
    /// The primary first.
    hosts: Vec<HostAddress>,
    file: PathBuf,
}

impl EnvironmentLock {
    /// `state` is the folder `.stagecraft` beside the configuration.
    #[must_use]
    pub fn new(
        link: Arc<dyn HostLink>,
        claims: Arc<dyn EngineClaims>,
        environment: &Environment,
        state: &Path,
    ) -> Self {
        let mut hosts = vec![environment.primary().address.clone()];
        for host in &environment.hosts {
            if !hosts.contains(&host.address) {
                hosts.push(host.address.clone());
            }
        }
        Self {
            link,
            claims,
            project: environment.project.clone(),
            environment: environment.name.clone(),
            hosts,
            file: state.join(format!("lock-{}", environment.name)),
        }
    }

    /// Ends the holding processes on the hosts, for `lock release`: the holder's
    /// command sees its lock lost and stops. Returns whom it took the lock from.
    ///
    /// # Errors
    /// A host cannot be reached, or the process belongs to another user.
    pub async fn break_open(&self, cx: &Cx) -> Result<Vec<(String, Holder)>, Fault> {
        let asked = join_all(self.hosts.iter().map(|host| {
            remote::break_open(
                &*self.link,
                host,
                script::break_open(&self.project, &self.environment),
            )
        }));
        let ended = cx.or_interrupted(async { all(asked.await) }).await?;
        Ok(self.named(ended))
    }

    async fn take(&self, held: &mut HeldLock, holder: &Holder) -> Result<(), Fault> {
        // Waiting for one host must not make another one's lock go silent, and
        // all of them are needed soon anyway.
        let script = script::hold(&self.project, &self.environment);
        let ends = self.hosts.iter().map(|host| async {
            self.link.connect(host).await?;
            remote::wait(&*self.link, host, &script).await
        });
        let mut ends = all(join_all(ends).await)?.into_iter();
        let (Some((first, others)), Some(end)) = (self.hosts.split_first(), ends.next()) else {
            return Err(Fault::internal("an environment without hosts"));
        };
        // The primary host decides; only then are the others asked.
        let mut claims = vec![];
        if let Some(place) = self.take_one(first, end, holder).await? {
            claims.push(self.hold(held, first, place));
        }
        let others = others.iter().zip(ends);
        let taken = join_all(others.map(async |(host, end)| {
            let taken = self.take_one(host, end, holder).await;
            taken.map(|place| (host, place))
        }));
        let (claimed, taken) = tokio::join!(join_all(claims), taken);
        let mut refused = vec![];
        let mut claims = vec![];
        for taken in taken {
            match taken {
                Ok((host, Some(place))) => claims.push(self.hold(held, host, place)),
                Ok((_, None)) => {}
                Err(fault) => refused.push(Err(fault)),
            }
        }
        held.claims.extend(all(claimed)?);
        all(refused).map(|_: Vec<()>| ())?;
        held.claims.extend(all(join_all(claims).await)?);
        Ok(())
    }

    /// Beats for this host from now on; what is returned claims its engine.
    fn hold<'a>(
        &'a self,
        held: &mut HeldLock,
        host: &'a HostAddress,
        place: remote::Place,
    ) -> impl Future<Output = Result<Box<dyn Send + Sync>, Fault>> + use<'a> {
        let gone = held.watch(host);
        let claim = self.claim(host, place.free_for, &gone);
        held.beat(place, gone);
        claim
    }

    /// The same against whoever shares nothing but the engine.
    fn claim<'a>(
        &'a self,
        host: &'a HostAddress,
        free_for: Option<Duration>,
        lost: &CancellationToken,
    ) -> impl Future<Output = Result<Box<dyn Send + Sync>, Fault>> + use<'a> {
        let name = format!("stagecraft-lock.{}.{}", self.project, self.environment);
        let lingering = free_for.and_then(|free| LINGERING.checked_sub(free));
        let lost = lost.clone();
        async move {
            match self.claims.claim(host, &name, lingering, &lost).await? {
                Claimed::Ours(claim) => Ok(claim),
                Claimed::Taken => Err(self.busy(
                    None,
                    format!(
                        "the engine of `{host}` is being worked on by somebody whose state folder is on another system, or whose connection broke less than {}s ago",
                        LINGERING.as_secs()
                    ),
                )),
            }
        }
    }

    /// `None` where another address of the same host already holds it for us.
    async fn take_one(
        &self,
        host: &HostAddress,
        end: remote::Waiting,
        holder: &Holder,
    ) -> Result<Option<remote::Place>, Fault> {
        match remote::take(end, host, holder).await? {
            remote::Answer::Taken(place) => Ok(Some(place)),
            remote::Answer::Busy(Some(other)) | remote::Answer::Elsewhere(Some(other), _)
                if other == *holder =>
            {
                Ok(None)
            }
            remote::Answer::Busy(other) => {
                Err(self.busy(other.as_ref(), format!("it is held on `{host}`")))
            }
            remote::Answer::Elsewhere(other, folder) => Err(self.busy(
                other.as_ref(),
                format!("it is held on `{host}`, with the state folder `{folder}`"),
            )),
        }
    }

    fn busy(&self, holder: Option<&Holder>, place: String) -> Fault {
        let environment = &self.environment;
        let what = match holder {
            Some(holder) => format!(
                "the environment `{environment}` is locked by {} on {} since {} (running `{}`)",
                holder.who,
                holder.machine,
                holder.since.format("%Y-%m-%d %H:%M:%S UTC"),
                holder.command
            ),
            None => format!("the environment `{environment}` is locked by somebody else"),
        };
        Fault::new(FaultKind::Locked, what)
            .because(place)
            .hint("wait until it is done, or add `--wait-lock` to wait here")
            .hint(format!(
                "see who holds it with `stagecraft lock show --env {environment}`"
            ))
    }

    fn named(&self, found: Vec<Option<Holder>>) -> Vec<(String, Holder)> {
        let hosts = self.hosts.iter().map(ToString::to_string);
        hosts
            .zip(found)
            .filter_map(|(host, holder)| Some((host, holder?)))
            .collect()
    }
}

#[async_trait]
impl Lock for EnvironmentLock {
    async fn acquire(&self, cx: &Cx, holder: &Holder) -> Result<Box<dyn Held>, Fault> {
        cx.check()?;
        let file = match FileLock::take(&self.file, holder).await? {
            file::Answer::Taken(file) => file,
            file::Answer::Busy(other) => {
                let place = format!("it is held in this folder, by `{}`", self.file.display());
                return Err(self.busy(other.as_ref(), place));
            }
        };
        let mut held = HeldLock {
            _file: file,
            released: CancellationToken::new(),
            lost: Loss::default(),
            places: vec![],
            claims: vec![],
            watchers: vec![],
        };
        match cx.or_interrupted(self.take(&mut held, holder)).await {
            Ok(()) => Ok(Box::new(held)),
            Err(fault) => {
                Box::new(held).release().await;
                Err(fault)
            }
        }
    }

    async fn show(&self, cx: &Cx) -> Result<Vec<(String, Holder)>, Fault> {
        let script = script::show(&self.project, &self.environment);
        let asked = join_all(
            self.hosts
                .iter()
                .map(|host| remote::show(&*self.link, host, &script)),
        );
        let found = cx.or_interrupted(async { all(asked.await) }).await?;
        let here = FileLock::holder(&self.file)
            .map(|holder| (format!("this folder ({})", self.file.display()), holder));
        Ok(here.into_iter().chain(self.named(found)).collect())
    }
}

struct HeldLock {
    _file: FileLock,
    released: CancellationToken,
    lost: Loss,
    places: Vec<JoinHandle<()>>,
    /// On the hosts' engines; each ends when it is dropped.
    claims: Vec<Box<dyn Send + Sync>>,
    watchers: Vec<AbortOnDropHandle<()>>,
}

impl HeldLock {
    /// Beats for this place from now on.
    fn beat(&mut self, place: remote::Place, gone: CancellationToken) {
        let released = self.released.clone();
        self.places.push(tokio::spawn(place.beat(released, gone)));
    }

    /// Whoever cancels the token tells that the lock was lost on this host.
    fn watch(&mut self, host: &HostAddress) -> CancellationToken {
        let gone = CancellationToken::new();
        let (lost, host, seen) = (self.lost.clone(), host.clone(), gone.clone());
        self.watchers
            .push(AbortOnDropHandle::new(tokio::spawn(async move {
                seen.cancelled().await;
                lost.report(host);
            })));
        gone
    }
}

#[async_trait]
impl Held for HeldLock {
    fn lost(&self) -> Loss {
        self.lost.clone()
    }

    async fn release(mut self: Box<Self>) {
        // First: the farewell below is a round trip in which the engines see it.
        self.claims.clear();
        self.released.cancel();
        let places = join_all(std::mem::take(&mut self.places));
        let _ = tokio::time::timeout(FAREWELL, places).await;
    }
}

impl Drop for HeldLock {
    fn drop(&mut self) {
        self.released.cancel();
    }
}

/// All results, or the first failure with what the other hosts said.
fn all<T>(results: Vec<Result<T, Fault>>) -> Result<Vec<T>, Fault> {
    let mut good = vec![];
    let mut bad: Option<Fault> = None;
    for result in results {
        match (result, &mut bad) {
            (Ok(value), _) => good.push(value),
            (Err(fault), None) => bad = Some(fault),
            (Err(fault), Some(first)) => {
                *first = first.clone().because(format!("also, {fault}"));
            }
        }
    }
    bad.map_or(Ok(good), Err)
}
