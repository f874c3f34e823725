//! Taking a backup: look, make room, copy, read back, measure, record.

use chrono::Utc;
use tokio::time::Instant;

use crate::model::backup::{BackupOrder, BackupRecord, Contents};
use crate::model::event::EventKind;
use crate::model::fault::Fault;
use crate::ports::Which;
use crate::ports::{Cx, Dialect, Job, Who};

use super::super::connection;
use super::super::url::{ConnectionUrl, Place, Server};
use super::hands::{File, Task};
use super::nook::{Nook, PARTIAL, Room};
use super::sqlite::{Packing, Step};
use super::{Use, Vault, contents, mysql, number, postgres, sqlite};

/// What is known of a database before it is copied.
struct Source {
    /// As the server calls it.
    name: String,
    size: u64,
    contents: Contents,
}

impl Vault {
    pub(super) async fn take(
        &self,
        cx: &Cx,
        job: &Job<'_>,
        order: &BackupOrder,
    ) -> Result<BackupRecord, Fault> {
        let began = Instant::now();
        let database = &job.database.name;
        let url = connection(job, Who::Migrator).await?;
        let nook = self.nook(job).await?;
        let source = self.source(cx, job, &url).await?;
        let room = cx.or_interrupted(nook.prepare(&*self.link)).await?;
        enough(&source, &room, &nook, url.dialect())?;
        let name = format!("{}.{database}.{}", order.id, extension(url.dialect()));
        let made = async {
            let method = self
                .copy(cx, job, &url, &nook, &room, &source, &name)
                .await?;
            let file = format!("{name}{PARTIAL}");
            let seen = cx
                .or_interrupted(nook.look(&*self.link, &nook.path(&file)))
                .await?;
            Ok::<_, Fault>((method, seen))
        };
        let (method, seen) = match made.await {
            Ok(made) => made,
            Err(fault) => {
                // Where it cannot be removed now, the next backup does it.
                let _ = nook.clear(&*self.link, &name).await;
                return Err(fault.state(format!("no backup of `{database}` was recorded")));
            }
        };
        let now = Utc::now();
        let record = BackupRecord {
            id: order.id.clone(),
            environment: job.environment.name.clone(),
            database: database.clone(),
            dialect: dialect(url.dialect()).to_owned(),
            source: source.name,
            created_at: now,
            created_by: order.by.clone(),
            reason: order.reason,
            before: order.before.clone(),
            live: order.live.clone(),
            host: nook.host.clone(),
            path: nook.path(&name),
            size: source.size,
            compressed: seen.size,
            ratio: ratio(seen.size, source.size),
            format: format(url.dialect()).to_owned(),
            method,
            checksum: seen.checksum,
            contents: source.contents,
            keep: job.database.backup_keep,
            verified_at: now,
            proved_at: None,
        };
        nook.settle(&*self.link, &name).await?;
        let mut ledger = nook.ledger(&*self.link).await?;
        ledger.backups.push(record.clone());
        nook.write(&*self.link, &ledger).await?;
        cx.send(EventKind::Step {
            text: format!(
                "backed up `{database}` as {} in {:.1} s: {}",
                record.id,
                began.elapsed().as_secs_f64(),
                nook.words()
            ),
        });
        Ok(record)
    }

    async fn source(&self, cx: &Cx, job: &Job<'_>, url: &ConnectionUrl) -> Result<Source, Fault> {
        let mut session = self.session(cx, job, Which::Configured, Use::Read).await?;
        let work = async {
            let (size, name) = match url.dialect() {
                Dialect::Postgres => (postgres::SIZE, Some(postgres::NAME)),
                Dialect::Mysql => (mysql::SIZE, Some(mysql::NAME)),
                Dialect::Sqlite => (sqlite::SIZE, None),
            };
            let name = match name {
                Some(sql) => session.query(sql).await?.into_iter().next().flatten(),
                None => Some(url.file()?.to_string_lossy().into_owned()),
            };
            Ok(Source {
                name: name.ok_or_else(|| Fault::internal("the database has no name"))?,
                size: number(&mut *session, size).await?,
                contents: contents(&mut *session, job).await?,
            })
        };
        cx.or_interrupted(work).await
    }

    /// Makes the unfinished file and reads it back; says how.
    #[expect(clippy::too_many_arguments, reason = "one caller")]
    async fn copy(
        &self,
        cx: &Cx,
        job: &Job<'_>,
        url: &ConnectionUrl,
        nook: &Nook,
        room: &Room,
        source: &Source,
        name: &str,
    ) -> Result<String, Fault> {
        let partial = &format!("{name}{PARTIAL}");
        let server = match &url.place {
            Place::Server(server) => server,
            Place::File(_) => {
                let plain = format!("{partial}.plain");
                let out = Step::Out { name: &plain };
                self.file_work(cx, job, url, nook, out).await?;
                self.pack(cx, nook, Packing::Pack, &plain, partial).await?;
                return Ok("VACUUM INTO, gzip".to_owned());
            }
        };
        let (program, dump, read_back) = programs(server);
        let task = |what, script, file| Task {
            what,
            script,
            name: partial,
            database: &source.name,
            file,
        };
        let copying = task("copy the database", dump, File::Made);
        let place = self.work(cx, job, nook, room, server, &copying).await?;
        let reading = task("read back the copy", read_back, File::Read);
        self.work(cx, job, nook, room, server, &reading).await?;
        Ok(format!("{program} {place}"))
    }
}

fn programs(server: &Server) -> (&'static str, &'static str, &'static str) {
    match server.dialect {
        Dialect::Postgres => ("pg_dump", postgres::DUMP, postgres::READ_BACK),
        Dialect::Mysql | Dialect::Sqlite => ("mysqldump", mysql::DUMP, mysql::READ_BACK),
    }
}

/// The database's size and a fifth more: a dump is smaller, but by how much is
/// known only afterwards. SQLite's copy lies beside its compressed form.
fn enough(source: &Source, room: &Room, nook: &Nook, dialect: Dialect) -> Result<(), Fault> {
    let size = match dialect {
        Dialect::Postgres | Dialect::Mysql => source.size,
        Dialect::Sqlite => source.size.saturating_mul(2),
    };
    let needed = size.saturating_add(size / 5);
    if room.free >= needed {
        return Ok(());
    }
    Err(
        Fault::failed(format!("too little space for a backup in {}", nook.words()))
            .because(format!(
                "`{}` has {} bytes, which needs {needed}, and {} are free",
                source.name, source.size, room.free
            ))
            .state("no backup was made")
            .hint("remove old backups with `stagecraft backup prune`, or make room on that disk"),
    )
}

fn ratio(file: u64, database: u64) -> f64 {
    match database {
        0 => 1.0,
        size => (file as f64 / size as f64 * 1000.0).round() / 1000.0,
    }
}

pub(super) fn dialect(dialect: Dialect) -> &'static str {
    match dialect {
        Dialect::Postgres => "postgres",
        Dialect::Mysql => "mysql",
        Dialect::Sqlite => "sqlite",
    }
}

fn format(dialect: Dialect) -> &'static str {
    match dialect {
        Dialect::Postgres => postgres::FORMAT,
        Dialect::Mysql => mysql::FORMAT,
        Dialect::Sqlite => sqlite::FORMAT,
    }
}

fn extension(dialect: Dialect) -> &'static str {
    match dialect {
        Dialect::Postgres => postgres::EXTENSION,
        Dialect::Mysql => mysql::EXTENSION,
        Dialect::Sqlite => sqlite::EXTENSION,
    }
}
