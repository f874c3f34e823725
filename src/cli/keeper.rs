//! Where releases are kept: here, on the primary host (both before a mark
//! counts as saved), and on the other hosts (brought level later).

use std::path::{Path, PathBuf};
use std::sync::Arc;

use async_trait::async_trait;
use futures_util::future::join_all;

use crate::model::fault::Fault;
use crate::model::history::History;
use crate::model::host::HostAddress;
use crate::model::project::Environment;
use crate::model::release::{Release, ReleaseId};
use crate::model::secret::Secret;
use crate::ports::{Cx, Ledger};
use crate::release::{self, Conflict, Source, Store};
use crate::ssh::HostFiles;

use super::secrets::{self, Masker};

/// What the names of a host's copies begin with: a file a release, so that a
/// mark writes little however long the history is.
const PREFIX: &str = "release-";

pub(crate) struct Keeper {
    environment: Arc<Environment>,
    mask: Masker,
    store: Store,
    files: HostFiles,
}

/// What a rebuild brought together.
pub(crate) struct Rebuilt {
    /// The copy of the damaged file; `None` when it was not damaged.
    pub(crate) kept: Option<PathBuf>,
    /// Read out of the damaged file.
    pub(crate) salvaged: usize,
    /// New, or newer than what was salvaged, from the hosts.
    pub(crate) adopted: Vec<ReleaseId>,
    pub(crate) releases: usize,
}

/// Whether merged copies are kept here, or only looked at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Access {
    Read,
    Write,
}

impl Keeper {
    pub(crate) fn new(environment: Arc<Environment>, files: HostFiles, mask: Masker) -> Self {
        let path = release::path(
            &environment.root,
            std::env::var_os(release::STATE_FILE_VARIABLE),
        );
        let store = Store::at(path).of(environment.name.clone());
        Self {
            environment,
            mask,
            store,
            files,
        }
    }

    /// The history of every place, merged.
    ///
    /// # Errors
    /// A damaged or unreadable record; a host that cannot be reached.
    pub(crate) async fn load(&self, cx: &Cx, access: Access) -> Result<History, Fault> {
        let hosts: Vec<&HostAddress> = self
            .environment
            .hosts
            .iter()
            .map(|host| &host.address)
            .collect();
        let copies = join_all(hosts.iter().map(|host| self.copy_of(host))).await;
        let release::Contents { mut history, note } = self.store.look()?;
        if let Some(note) = note {
            cx.warn(note);
        }
        let mut conflicts = vec![];
        for (host, copy) in hosts.into_iter().zip(copies) {
            let copy = copy?;
            if copy.is_empty() {
                continue;
            }
            let source = self.source(host);
            let report = match access {
                Access::Read => {
                    let (merged, report) = release::merge(&history, copy, source);
                    history = merged;
                    report
                }
                Access::Write => {
                    let mut locked = self.store.lock()?;
                    let report = locked.merge(copy, source)?;
                    history = self.ours(locked.history());
                    report
                }
            };
            conflicts.extend(
                report
                    .conflicts
                    .into_iter()
                    .map(|conflict| (host, conflict)),
            );
        }
        for (host, conflict) in conflicts {
            report_conflict(cx, host, &conflict);
        }
        Ok(history)
    }

    /// Writes a damaged record again: what is still readable in it, and the
    /// hosts' copies. A copy that cannot be read itself is named and left out.
    ///
    /// # Errors
    /// A record of a newer format; a disk that does not take it.
    pub(crate) async fn rebuild(&self, cx: &Cx) -> Result<Rebuilt, Fault> {
        let hosts: Vec<&HostAddress> = self.environment.hosts.iter().map(|h| &h.address).collect();
        let copies = join_all(hosts.iter().map(|host| self.copy_of(host))).await;
        let mut rebuild = self.store.rebuild()?;
        let mut adopted = vec![];
        for (host, copy) in hosts.into_iter().zip(copies) {
            match copy {
                Ok(copy) => {
                    let report = rebuild.store.merge(copy, self.source(host))?;
                    adopted.extend(report.adopted);
                    for conflict in report.conflicts {
                        report_conflict(cx, host, &conflict);
                    }
                }
                Err(fault) => cx.warn(format!("the copy on {host} was left out: {fault}")),
            }
        }
        rebuild.store.write_whole()?;
        adopted.sort();
        adopted.dedup();
        Ok(Rebuilt {
            kept: rebuild.kept,
            salvaged: rebuild.salvaged,
            adopted,
            releases: rebuild.store.history().all().len(),
        })
    }

    /// The key for fingerprints of secrets, when the primary host has one that
    /// this user may read.
    ///
    /// # Errors
    /// The host cannot be reached; a damaged key.
    pub(crate) async fn key(&self) -> Result<Option<Secret>, Fault> {
        match self.environment.env.secret.is_empty() {
            true => Ok(None),
            false => self.files.key(&self.environment.primary().address).await,
        }
    }

    /// The same, made when there is none.
    ///
    /// # Errors
    /// As [`Keeper::key`]; the host's folder cannot be written.
    pub(crate) async fn make_key(&self, known: Option<Secret>) -> Result<Option<Secret>, Fault> {
        match known {
            None if !self.environment.env.secret.is_empty() => {
                let primary = &self.environment.primary().address;
                self.files.make_key(primary).await
            }
            known => Ok(known),
        }
    }

    /// Where the record of this machine is.
    pub(crate) fn path(&self) -> &Path {
        self.store.path()
    }

    fn source(&self, host: &HostAddress) -> Source {
        if *host == self.environment.primary().address {
            Source::PrimaryHost
        } else {
            Source::OtherHost
        }
    }

    /// The record of this machine alone.
    ///
    /// # Errors
    /// A damaged or unreadable record.
    pub(crate) fn here(&self) -> Result<History, Fault> {
        self.store.read().map(|history| self.ours(history))
    }

    /// Without the releases of other projects that keep the same file.
    fn ours(&self, history: History) -> History {
        let project = &self.environment.project;
        let ours = history.all().iter().filter(|release| {
            release
                .project
                .as_ref()
                .is_none_or(|other| other == project)
        });
        History::new(ours.cloned().collect())
    }

    async fn copy_of(&self, host: &HostAddress) -> Result<Vec<Release>, Fault> {
        let files = self.files.read_all(host, PREFIX).await?;
        let mut releases = vec![];
        for bytes in files {
            releases.extend(release::decode(&bytes).map_err(|fault| {
                Fault::failed(format!("the release record on {host} cannot be read"))
                    .because(fault.to_string())
            })?);
        }
        Ok(releases)
    }

    /// Brings the other hosts' copies level. Never stops anything: a host that
    /// lags behind catches up next time.
    pub(crate) async fn level(&self, cx: &Cx, release: &Release) {
        let primary = &self.environment.primary().address;
        let others = self
            .environment
            .hosts
            .iter()
            .map(|host| &host.address)
            .filter(|host| *host != primary);
        for result in join_all(others.map(|host| self.write(host, release))).await {
            if let Err(fault) = result {
                cx.warn(format!("a host's copy of the record is behind: {fault}"));
            }
        }
    }

    async fn write(&self, host: &HostAddress, release: &Release) -> Result<(), Fault> {
        let release = &secrets::without(&self.mask, release);
        let name = format!("{PREFIX}{}.{}.json", release.id, release.uuid);
        self.files
            .write(host, &name, &release::encode(std::slice::from_ref(release)))
            .await
    }
}

fn report_conflict(cx: &Cx, host: &HostAddress, conflict: &Conflict) {
    cx.warn(format!(
        "{host} and this machine describe release {} differently at revision {}: the primary host's copy counts",
        conflict.id, conflict.revision
    ));
}

#[async_trait]
impl Ledger for Keeper {
    async fn save(&self, release: &Release) -> Result<(), Fault> {
        let release = &secrets::without(&self.mask, release);
        self.store.lock()?.save(release)?;
        self.write(&self.environment.primary().address, release)
            .await
    }
}
