//! A backup into the very database that is there, for where a new one cannot
//! take its place: a role that may make none, views and routines that MySQL
//! does not rename.
//!
//! PostgreSQL is emptied and filled in one transaction: all of it or nothing.
//! MySQL commits with every statement: a failure leaves a part, and the fault
//! says so and is one that a person must look at.

use crate::model::backup::{BackupRecord, Restored};
use crate::model::fault::{Fault, FaultKind};
use crate::ports::{Cx, Dialect, Job, Which};

use super::super::url::{Place, Server};
use super::hands::{File, Task};
use super::scratch::{Site, same};
use super::{Use, Vault, contents, mysql, postgres};

impl Vault {
    pub(super) async fn overwrite(
        &self,
        cx: &Cx,
        job: &Job<'_>,
        backup: &BackupRecord,
    ) -> Result<Restored, Fault> {
        let site = self.site(job, backup).await?;
        let server = match &site.url.place {
            Place::Server(server) => server,
            Place::File(_) => return Err(needless()),
        };
        self.intact(cx, &site).await?;
        cx.check()?;
        // From here on nothing may stop half-way.
        let cx = &cx.uncancellable();
        match server.dialect {
            Dialect::Postgres => self.in_one_transaction(cx, &site, server).await?,
            Dialect::Mysql | Dialect::Sqlite => self.piece_by_piece(cx, &site, server).await?,
        }
        let live = site.live();
        let checked = async {
            let mut session = self.session(cx, job, Which::Configured, Use::Read).await?;
            let found = contents(&mut *session, job).await?;
            same(backup, &found)?;
            Ok::<_, Fault>(found)
        };
        let contents = checked.await.map_err(|fault| Fault {
            kind: FaultKind::UndoFailed,
            ..fault.state(format!(
                "`{live}` was filled again from {}, and is not what that has to make of it",
                backup.id
            ))
        })?;
        cx.step(format!(
            "`{live}` was emptied and filled again from {}",
            backup.id
        ));
        Ok(Restored {
            database: job.database.name.clone(),
            from: backup.id.clone(),
            before: None,
            contents,
        })
    }

    async fn in_one_transaction(
        &self,
        cx: &Cx,
        site: &Site<'_>,
        server: &Server,
    ) -> Result<(), Fault> {
        let mut session = self
            .session(cx, site.job, Which::Configured, Use::Read)
            .await?;
        let script = postgres::overwrite(postgres::owners(&mut *session).await?);
        drop(session);
        let filled = self.fill_from(cx, site, server, &script).await;
        filled.map_err(|fault| {
            fault.state(format!(
                "it was one transaction, which was not committed: `{}` is what it was",
                site.live()
            ))
        })
    }

    async fn piece_by_piece(&self, cx: &Cx, site: &Site<'_>, server: &Server) -> Result<(), Fault> {
        let live = site.live();
        let half = |fault: Fault, what: String| Fault {
            kind: FaultKind::UndoFailed,
            ..fault.state(what)
        };
        let mut session = self
            .session(cx, site.job, Which::Configured, Use::Change)
            .await?;
        mysql::empty(cx, &mut *session)
            .await
            .map_err(|fault| half(fault, format!("a part of what was in `{live}` is gone")))?;
        drop(session);
        self.fill_from(cx, site, server, mysql::LOAD)
            .await
            .map_err(|fault| {
                half(
                    fault,
                    format!(
                        "`{live}` was emptied, and holds a part of {} or nothing",
                        site.backup.id
                    ),
                )
            })
    }

    async fn fill_from(
        &self,
        cx: &Cx,
        site: &Site<'_>,
        server: &Server,
        script: &str,
    ) -> Result<(), Fault> {
        let room = site.nook.prepare(&*self.link).await?;
        let (_, file) = site.backup.path.rsplit_once('/').unwrap_or_default();
        let task = Task {
            what: "restore the copy",
            script,
            name: file,
            database: &site.live(),
            file: File::Read,
        };
        let done = self.work(cx, site.job, &site.nook, &room, server, &task);
        done.await.map(|_| ())
    }
}

fn needless() -> Fault {
    Fault::refused("an SQLite database is not restored with `--in-place`")
        .because(
            "its file is always filled where it is, and what was in it is kept in a file beside it",
        )
        .state("no database was touched")
        .hint("run the same command without `--in-place`")
}
