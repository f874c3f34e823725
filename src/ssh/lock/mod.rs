//! The environment lock: a file here, then the primary host, which decides the
//! winner, then the others at once. Imports `ports`, `model`.
//!
//! Everywhere or nowhere. The host's end holds its part and lets go when the
//! connection ends or falls silent, so no lock outlives its holder.

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

use crate::model::fault::{Fault, FaultKind};
use crate::model::host::HostAddress;
use crate::model::names::{EnvironmentName, ProjectName};
use crate::model::project::Environment;
use crate::ports::{Cx, Held, Holder, HostLink, Lock, Loss};

use file::FileLock;

/// Letting go takes a round trip; a host that does not answer frees it itself.
const FAREWELL: Duration = Duration::from_secs(5);

pub struct EnvironmentLock {
    link: Arc<dyn HostLink>,
    project: ProjectName,
    environment: EnvironmentName,
    /// The primary first.
    hosts: Vec<HostAddress>,
    file: PathBuf,
}

impl EnvironmentLock {
    /// `state` is the folder `.stagecraft` beside the configuration.
    #[must_use]
    pub fn new(link: Arc<dyn HostLink>, environment: &Environment, state: &Path) -> Self {
        let mut hosts = vec![environment.primary().address.clone()];
        for host in &environment.hosts {
            if !hosts.contains(&host.address) {
                hosts.push(host.address.clone());
            }
        }
        Self {
            link,
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
        all(join_all(self.hosts.iter().map(|host| self.link.connect(host))).await)?;
        let (first, others) = self
            .hosts
            .split_first()
            .ok_or_else(|| Fault::internal("an environment without hosts"))?;
        if let Some(place) = self.take_one(first, holder).await? {
            held.keep(first.clone(), place);
        }
        let taken = join_all(others.iter().map(async |host| {
            let place = self.take_one(host, holder).await?;
            Ok(place.map(|place| (host.clone(), place)))
        }));
        let (taken, refused): (Vec<_>, Vec<_>) = taken.await.into_iter().partition(Result::is_ok);
        for (host, place) in taken.into_iter().flatten().flatten() {
            held.keep(host, place);
        }
        all(refused).map(|_: Vec<_>| ())
    }

    /// `None` where another address of the same host already holds it for us.
    async fn take_one(
        &self,
        host: &HostAddress,
        holder: &Holder,
    ) -> Result<Option<remote::Place>, Fault> {
        let script = script::hold(&self.project, &self.environment);
        match remote::take(&*self.link, host, &script, holder).await? {
            remote::Answer::Taken(place) => Ok(Some(place)),
            remote::Answer::Busy(Some(other)) if other == *holder => Ok(None),
            remote::Answer::Busy(other) => {
                Err(self.busy(other.as_ref(), format!("it is held on `{host}`")))
            }
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
}

impl HeldLock {
    /// Beats for this place from now on.
    fn keep(&mut self, host: HostAddress, place: remote::Place) {
        let (released, lost, gone) = (
            self.released.clone(),
            self.lost.clone(),
            CancellationToken::new(),
        );
        self.places.push(tokio::spawn(async move {
            place.beat(released, gone.clone()).await;
            if gone.is_cancelled() {
                lost.report(host);
            }
        }));
    }
}

#[async_trait]
impl Held for HeldLock {
    fn lost(&self) -> Loss {
        self.lost.clone()
    }

    async fn release(mut self: Box<Self>) {
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
