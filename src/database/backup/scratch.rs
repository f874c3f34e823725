//! A new database beside the one that is there, filled from a backup.

use chrono::Utc;

use crate::model::backup::{BackupRecord, Contents};
use crate::model::fault::Fault;
use crate::ports::{Cx, Dialect, Job, Which, Who};

use super::super::connection;
use super::super::url::{ConnectionUrl, Place};
use super::create::dialect;
use super::hands::{File, Task};
use super::nook::{Nook, PARTIAL};
use super::sqlite::{Packing, Step};
use super::{Use, Vault, contents, mysql, postgres, quoted};

/// Longest name that every server takes.
const NAME_LENGTH: usize = 63;

/// Everything that a restore works with.
pub(super) struct Site<'a> {
    pub(super) job: &'a Job<'a>,
    pub(super) url: ConnectionUrl,
    pub(super) nook: Nook,
    pub(super) backup: &'a BackupRecord,
}

impl Site<'_> {
    /// As the server calls the database; for SQLite the file's name.
    pub(super) fn live(&self) -> String {
        match &self.url.place {
            Place::Server(server) => server.database.clone(),
            Place::File(path) => path
                .file_name()
                .map(|name| name.to_string_lossy().into_owned())
                .unwrap_or_default(),
        }
    }

    /// `shop_restore_20261121141316042`: with milliseconds, because two restores
    /// of a small database fit into one second.
    pub(super) fn named(&self, word: &str) -> String {
        let end = format!("_{word}_{}", Utc::now().format("%Y%m%d%H%M%S%3f"));
        let mut name = self.live();
        while name.len() + end.len() > NAME_LENGTH {
            name.pop();
        }
        name + &end
    }
}

impl Vault {
    /// # Errors
    /// The backup is of another kind of database.
    pub(super) async fn site<'a>(
        &self,
        job: &'a Job<'a>,
        backup: &'a BackupRecord,
    ) -> Result<Site<'a>, Fault> {
        let url = connection(job, Who::Migrator).await?;
        if dialect(url.dialect()) != backup.dialect {
            return Err(Fault::refused(format!(
                "{} is a backup of {}, and `{}` is {}",
                backup.id,
                backup.dialect,
                job.database.name,
                dialect(url.dialect())
            )));
        }
        let (folder, _) = backup.path.rsplit_once('/').unwrap_or_default();
        let nook = Nook {
            host: backup.host.clone(),
            folder: folder.to_owned(),
        };
        Ok(Site {
            job,
            url,
            nook,
            backup,
        })
    }

    /// That the file is the one that was recorded.
    ///
    /// # Errors
    /// It is gone, or another one.
    pub(super) async fn intact(&self, cx: &Cx, site: &Site<'_>) -> Result<(), Fault> {
        let backup = site.backup;
        let look = site.nook.look(&*self.link, &backup.path);
        let seen = cx.or_interrupted(look).await?;
        if seen.checksum == backup.checksum && seen.size == backup.compressed {
            return Ok(());
        }
        Err(
            Fault::failed(format!("the file of {} is damaged", backup.id))
                .because(format!(
                    "it has {} bytes and the checksum {}; recorded were {} and {}",
                    seen.size, seen.checksum, backup.compressed, backup.checksum
                ))
                .state("no database was touched")
                .hint(format!(
                    "restore another one: `stagecraft backup list --env {}`",
                    backup.environment
                )),
        )
    }

    /// Fills the new database `name`; what failed is removed again. Returns
    /// what is in it, which is what the ledger says.
    ///
    /// # Errors
    /// It cannot be filled; it is not what was recorded.
    pub(super) async fn fill(
        &self,
        cx: &Cx,
        site: &Site<'_>,
        name: &str,
    ) -> Result<Contents, Fault> {
        match self.filled(cx, site, name).await {
            Ok(found) => Ok(found),
            Err(fault) => Err(match self.discard(&cx.uncancellable(), site, name).await {
                Ok(()) => fault.state(format!("`{}` was not touched", site.live())),
                Err(_) => fault.state(format!(
                    "`{}` was not touched; `{name}` may have stayed",
                    site.live()
                )),
            }),
        }
    }

    /// Fills an empty database, and looks at it.
    ///
    /// # Errors
    /// It cannot be filled; it is not what was recorded.
    pub(super) async fn filled(
        &self,
        cx: &Cx,
        site: &Site<'_>,
        name: &str,
    ) -> Result<Contents, Fault> {
        self.load(cx, site, name).await?;
        let which = Which::Other(name.to_owned());
        let mut session = self.session(cx, site.job, which, Use::Read).await?;
        let found = cx.or_interrupted(contents(&mut *session, site.job)).await?;
        same(site.backup, &found)?;
        Ok(found)
    }

    /// An empty database; SQLite makes its file when it is filled.
    ///
    /// # Errors
    /// The login may make none.
    pub(super) async fn make(&self, cx: &Cx, site: &Site<'_>, name: &str) -> Result<(), Fault> {
        let (job, live) = (site.job, site.live());
        match site.url.dialect() {
            Dialect::Postgres => {
                let mut admin = self.beside(cx, job).await?;
                postgres::make(cx, &mut *admin, &live, name).await
            }
            Dialect::Mysql => {
                let mut admin = self
                    .session(cx, job, Which::Configured, Use::Change)
                    .await?;
                mysql::make(cx, &mut *admin, &live, name).await
            }
            Dialect::Sqlite => Ok(()),
        }
    }

    async fn load(&self, cx: &Cx, site: &Site<'_>, name: &str) -> Result<(), Fault> {
        let (job, nook) = (site.job, &site.nook);
        let (_, file) = site.backup.path.rsplit_once('/').unwrap_or_default();
        let room = cx.or_interrupted(nook.prepare(&*self.link)).await?;
        let server = match &site.url.place {
            Place::Server(server) => server,
            Place::File(_) => {
                let plain = format!("{file}{PARTIAL}.plain");
                self.pack(cx, nook, Packing::Unpack, file, &plain).await?;
                let step = Step::In {
                    name: &plain,
                    as_: name,
                };
                let copied = self.file_work(cx, job, &site.url, nook, step).await;
                let _ = nook.clear(&*self.link, file).await;
                return copied.map(|_| ());
            }
        };
        let script = match server.dialect {
            Dialect::Postgres => {
                let mut admin = self.beside(cx, job).await?;
                postgres::load(postgres::owners(&mut *admin).await?)
            }
            Dialect::Mysql | Dialect::Sqlite => mysql::LOAD.to_owned(),
        };
        let task = Task {
            what: "restore the copy",
            script: &script,
            name: file,
            database: name,
            file: File::Read,
        };
        self.work(cx, job, nook, &room, server, &task)
            .await
            .map(|_| ())
    }

    /// A copy of an SQLite database, as a file of this machine.
    ///
    /// # Errors
    /// The copy lies on another machine; the disk is full.
    pub(super) async fn unpack_here(
        &self,
        cx: &Cx,
        site: &Site<'_>,
        into: &str,
    ) -> Result<(), Fault> {
        let backup = site.backup;
        if !site.nook.host.is_local() {
            return Err(Fault::refused(format!(
                "{} lies on {}, and a backup never travels",
                backup.id, backup.host
            ))
            .because("a scratch SQLite database is a file of this machine"));
        }
        let script = format!(
            "umask 077\ngzip -dc <{} >{}\n",
            quoted(&backup.path),
            quoted(into)
        );
        let unpacking = self.link.exec(&site.nook.host, &script, b"");
        let exit = cx.or_interrupted(unpacking).await?;
        match exit.code {
            0 => Ok(()),
            _ => {
                let said = String::from_utf8_lossy(&exit.stderr).into_owned();
                let why = said.lines().next_back().unwrap_or("gzip failed").trim();
                Err(Fault::failed(format!("cannot unpack {}", backup.id)).because(why))
            }
        }
    }

    /// Removes a database that this very command made.
    pub(super) async fn discard(&self, cx: &Cx, site: &Site<'_>, name: &str) -> Result<(), Fault> {
        let job = site.job;
        match site.url.dialect() {
            Dialect::Postgres => {
                let mut admin = self.beside(cx, job).await?;
                postgres::discard(cx, &mut *admin, name).await
            }
            Dialect::Mysql => {
                let mut admin = self
                    .session(cx, job, Which::Configured, Use::Change)
                    .await?;
                mysql::discard(cx, &mut *admin, name).await
            }
            Dialect::Sqlite => {
                let step = Step::Drop { name };
                let done = self.file_work(cx, job, &site.url, &site.nook, step).await;
                done.map(|_| ())
            }
        }
    }
}

/// Whether a copy holds what was recorded of its source.
pub(super) fn same(backup: &BackupRecord, found: &Contents) -> Result<(), Fault> {
    let recorded = &backup.contents;
    let mut fault = Fault::failed(format!(
        "what {} restores is not what was recorded",
        backup.id
    ));
    if found.schema_version != recorded.schema_version {
        let version = |version: Option<i64>| version.map_or("none".to_owned(), |v| v.to_string());
        fault = fault.because(format!(
            "its schema version is {}, recorded was {}",
            version(found.schema_version),
            version(recorded.schema_version)
        ));
    }
    if found.migrations != recorded.migrations {
        fault = fault.because(format!(
            "it has {} applied migrations, recorded were {}",
            found.migrations.len(),
            recorded.migrations.len()
        ));
    }
    if found.tables != recorded.tables {
        fault = fault.because(format!(
            "it has {} tables, recorded were {}",
            found.tables, recorded.tables
        ));
    }
    match fault.causes.is_empty() {
        true => Ok(()),
        false => Err(fault),
    }
}
