//! SQLite copies itself where its file lies; the copy is compressed beside the
//! ledger.

use crate::model::fault::Fault;
use crate::ports::{Cx, Job};

use super::super::remote::{BESIDE, Yard};
use super::super::route::{self, Way};
use super::super::sqlite::files::{self, FileReport, FileWork};
use super::super::url::ConnectionUrl;
use super::nook::Nook;
use super::{Vault, quoted};

pub(super) const FORMAT: &str = "sqlite.gz";
pub(super) const EXTENSION: &str = "sqlite.gz";

pub(super) const TABLES: &str = "SELECT count(*) FROM sqlite_schema WHERE type = 'table' AND name NOT LIKE 'sqlite\\_%' ESCAPE '\\'";
pub(super) const SIZE: &str =
    "SELECT page_count * page_size FROM pragma_page_count(), pragma_page_size()";

/// What the file work is done with, in the folder of backups.
pub(super) enum Step<'a> {
    /// Copies the database into `name` there.
    Out {
        name: &'a str,
    },
    /// Makes the file `as_` beside the database of the file `name` there.
    In {
        name: &'a str,
        as_: &'a str,
    },
    Swap {
        name: &'a str,
        keep: &'a str,
    },
    Drop {
        name: &'a str,
    },
}

impl Vault {
    pub(super) async fn file_work(
        &self,
        cx: &Cx,
        job: &Job<'_>,
        url: &ConnectionUrl,
        nook: &Nook,
        step: Step<'_>,
    ) -> Result<FileReport, Fault> {
        let way = route::way(job.database.via, url, job.host)?;
        let folder = match &way {
            Way::Container(_) => BESIDE.to_owned(),
            Way::Direct | Way::Host(_) => nook.folder.clone(),
        };
        let there = |name: &str| format!("{folder}/{name}").into();
        let work = match step {
            Step::Out { name } => FileWork::CopyOut { to: there(name) },
            Step::In { name, as_ } => FileWork::CopyIn {
                from: there(name),
                name: as_.to_owned(),
            },
            Step::Swap { name, keep } => FileWork::Swap {
                name: name.to_owned(),
                keep: keep.to_owned(),
            },
            Step::Drop { name } => FileWork::Drop {
                name: name.to_owned(),
            },
        };
        match way {
            Way::Container(_) => {
                let yard = Yard {
                    link: &*self.link,
                    runner: &*self.runner,
                };
                yard.files(cx, job, url, &nook.folder, work).await
            }
            Way::Direct | Way::Host(_) => {
                files::perform(&job.environment.root.join(url.file()?), work).await
            }
        }
    }

    /// Packs `from` into `to`, and reads that back; or unpacks it.
    ///
    /// # Errors
    /// The disk is full; the file is damaged.
    pub(super) async fn pack(
        &self,
        cx: &Cx,
        nook: &Nook,
        packing: Packing,
        from: &str,
        to: &str,
    ) -> Result<(), Fault> {
        let work = match packing {
            Packing::Pack => "gzip -c <\"$s\" >\"$f\" && gzip -t <\"$f\" && rm -f \"$s\"",
            Packing::Unpack => "gzip -dc <\"$s\" >\"$f\"",
        };
        let script = format!(
            "{}s=\"$d\"/{}\nf=\"$d\"/{}\n{work} || {{ rm -f \"$f\"; exit 1; }}\n",
            nook.preamble(),
            quoted(from),
            quoted(to),
        );
        let exit = cx
            .or_interrupted(self.link.exec(&nook.host, &script, b""))
            .await?;
        if exit.code == 0 {
            return Ok(());
        }
        let said = String::from_utf8_lossy(&exit.stderr).into_owned();
        Err(Fault::failed(format!(
            "cannot compress or unpack the copy in {}",
            nook.words()
        ))
        .because(said.lines().next_back().unwrap_or("gzip failed").trim()))
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Packing {
    Pack,
    Unpack,
}
