//! Taking a backup: look, make room, copy, read back, measure, record.

use chrono::Utc;
use tokio::time::Instant;

use crate::model::backup::{BackupOrder, BackupRecord, Contents};
use crate::model::event::EventKind;
use crate::model::fault::Fault;
use crate::ports::Which;
use crate::ports::{Cx, Database, Dialect, Job, Who};

use super::super::connection;
use super::super::url::{ConnectionUrl, Place};
use super::census::Census;
use super::hands::{FULL, File, Task};
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

/// One copy that is being made.
struct Work<'a> {
    job: &'a Job<'a>,
    url: &'a ConnectionUrl,
    nook: &'a Nook,
    room: &'a Room,
    source: &'a Source,
    name: &'a str,
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
        let session = self.session(cx, job, Which::Configured, Use::Read).await?;
        let mut census = cx
            .or_interrupted(async { Ok(Census::open(session).await) })
            .await?;
        let source = source(cx, job, &url, &mut *census.session).await?;
        let room = cx.or_interrupted(nook.prepare(&*self.link)).await?;
        enough(&source, &room, &nook, url.dialect())?;
        census.before(cx).await?;
        let name = format!("{}.{database}.{}", order.id, extension(url.dialect()));
        let made = async {
            let work = Work {
                job,
                url: &url,
                nook: &nook,
                room: &room,
                source: &source,
                name: &name,
            };
            let copying = Instant::now();
            let method = self.copy_in_view(cx, &work, &mut census).await?;
            let rows = census.after(cx, copying.elapsed()).await?;
            let file = format!("{name}{PARTIAL}");
            let seen = cx
                .or_interrupted(nook.look(&*self.link, &nook.path(&file)))
                .await?;
            Ok::<_, Fault>((method, rows, seen))
        };
        let unrecorded =
            |fault: Fault| fault.state(format!("no backup of `{database}` was recorded"));
        let (method, rows, seen) = match made.await {
            Ok(made) => made,
            Err(fault) => {
                // Where it cannot be removed now, the next backup does it.
                let _ = nook.clear(&*self.link, &name).await;
                return Err(unrecorded(with_room(fault, &nook)));
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
            rows,
            keep: job.database.backup_keep,
            verified_at: now,
            proved_at: None,
        };
        let kept = async {
            nook.settle(&*self.link, &name).await?;
            let mut ledger = nook.ledger(&*self.link).await?;
            ledger.backups.push(record.clone());
            nook.write(&*self.link, &ledger).await
        };
        if let Err(fault) = kept.await {
            let _ = nook.withdraw(&*self.link, &name).await;
            return Err(unrecorded(with_room(fault, &nook)));
        }
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

    /// A view that another server's copy program does not find, behind a
    /// balancer, is done without.
    async fn copy_in_view(
        &self,
        cx: &Cx,
        work: &Work<'_>,
        census: &mut Census,
    ) -> Result<String, Fault> {
        let copied = self.copy(cx, work, census.shared()).await;
        let lost = |fault: &Fault| fault.causes.iter().any(|why| why.contains("snapshot"));
        match copied {
            Err(fault) if census.shared().is_some() && lost(&fault) => {
                census.forgo(&fault);
                self.copy(cx, work, None).await
            }
            copied => copied,
        }
    }

    /// Makes the unfinished file and reads it back; says how.
    async fn copy(&self, cx: &Cx, work: &Work<'_>, view: Option<&str>) -> Result<String, Fault> {
        let Work {
            job,
            url,
            nook,
            room,
            source,
            name,
        } = *work;
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
        let (program, dump, read_back) = match server.dialect {
            Dialect::Postgres => ("pg_dump", postgres::dump(view), postgres::READ_BACK),
            Dialect::Mysql | Dialect::Sqlite => {
                ("mysqldump", mysql::DUMP.to_owned(), mysql::READ_BACK)
            }
        };
        let task = |what, script, file| Task {
            what,
            script,
            name: partial,
            database: &source.name,
            file,
        };
        let copying = task("copy the database", &dump, File::Made);
        let place = self.work(cx, job, nook, room, server, &copying).await?;
        let reading = task("read back the copy", read_back, File::Read);
        self.work(cx, job, nook, room, server, &reading).await?;
        Ok(format!("{program} {place}"))
    }
}

async fn source(
    cx: &Cx,
    job: &Job<'_>,
    url: &ConnectionUrl,
    session: &mut dyn Database,
) -> Result<Source, Fault> {
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

/// How room is made, where there was none.
fn with_room(fault: Fault, nook: &Nook) -> Fault {
    let full = |why: &String| why.contains(FULL) || why.contains("disk is full");
    match fault.causes.iter().any(full) {
        false => fault,
        true => fault.hint(format!(
            "make room on the disk of {}, or remove old backups with `stagecraft backup prune`",
            nook.words()
        )),
    }
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
