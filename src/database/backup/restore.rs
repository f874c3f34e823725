//! Putting a backup in the place of the database that is there, and trying one
//! out.

use std::time::Duration;

use chrono::Utc;

use crate::model::backup::{BackupRecord, Kept, Restored, RowCounts};
use crate::model::fault::{Fault, FaultKind};
use crate::ports::{Cx, Dialect, Job, Which};

use super::census;
use super::scratch::Site;
use super::sqlite::Step;
use super::{Use, Vault, mysql, postgres};

/// Counting a whole copy takes as long as it takes.
const COUNTING: Duration = Duration::from_secs(6 * 3600);

impl Vault {
    pub(super) async fn put_back(
        &self,
        cx: &Cx,
        job: &Job<'_>,
        backup: &BackupRecord,
    ) -> Result<Restored, Fault> {
        let site = self.site(job, backup).await?;
        self.intact(cx, &site).await?;
        self.movable(cx, &site).await?;
        let (new, keep) = (site.named("restore"), site.named("before"));
        self.make(cx, &site, &new).await.map_err(|fault| {
            fault.state("no database was touched").hint(
                "or empty and fill again the database that is there: the same command with `--in-place`",
            )
        })?;
        let contents = self.fill(cx, &site, &new).await?;
        cx.step(format!("restored {} as `{new}` and verified it", backup.id));
        if let Err(fault) = self.swap(cx, &site, &new, &keep).await {
            return Err(match fault.kind {
                FaultKind::UndoFailed => fault,
                _ => fault
                    .state(format!("`{}` is the database that it was", site.live()))
                    .state(format!("the restored one stays beside it as `{new}`")),
            });
        }
        cx.step(format!(
            "`{}` is the restored database now; the one before is kept as `{keep}`",
            site.live()
        ));
        Ok(Restored {
            database: job.database.name.clone(),
            from: backup.id.clone(),
            before: Some(Kept {
                remove: removal(&site, &keep),
                kept: keep,
            }),
            contents,
        })
    }

    pub(super) async fn try_out(
        &self,
        cx: &Cx,
        job: &Job<'_>,
        backup: &BackupRecord,
    ) -> Result<BackupRecord, Fault> {
        let site = self.site(job, backup).await?;
        self.intact(cx, &site).await?;
        let scratch = site.named("prove");
        self.make(cx, &site, &scratch).await?;
        self.fill(cx, &site, &scratch).await?;
        let compared = self.compare(cx, &site, &scratch).await;
        self.discard(&cx.uncancellable(), &site, &scratch).await?;
        compared?;
        let proved = BackupRecord {
            proved_at: Some(Utc::now()),
            ..backup.clone()
        };
        let mut ledger = site.nook.ledger(&*self.link).await?;
        for known in &mut ledger.backups {
            if known.id == proved.id && known.database == proved.database {
                *known = proved.clone();
            }
        }
        site.nook.write(&*self.link, &ledger).await?;
        cx.step(format!(
            "proved {}: it was restored into a scratch database; {}",
            proved.id,
            proved.rows.words()
        ));
        Ok(proved)
    }

    /// That a restored copy has the rows that were counted.
    async fn compare(&self, cx: &Cx, site: &Site<'_>, name: &str) -> Result<(), Fault> {
        let rows = &site.backup.rows;
        if matches!(rows, RowCounts::Unknown { .. }) {
            return Ok(());
        }
        let which = Which::Other(name.to_owned());
        let mut session = self.session(cx, site.job, which, Use::Read).await?;
        let counting = census::count(&mut *session, COUNTING);
        let differences = rows.against(&cx.or_interrupted(counting).await?);
        if differences.is_empty() {
            return Ok(());
        }
        let what = format!(
            "{} does not hold the rows that were counted",
            site.backup.id
        );
        let mut fault = Fault::failed(what);
        for difference in differences {
            fault = fault.because(difference);
        }
        Err(match rows {
            RowCounts::Exactly { .. } => fault,
            RowCounts::Around { .. } | RowCounts::Unknown { .. } => fault.because(
                "they were counted just before and just after the copy: what was written and taken back between the two is not seen",
            ),
        }
        .state(format!("`{}` was not touched", site.live())))
    }

    /// What a rename would leave behind is found before anything is made.
    async fn movable(&self, cx: &Cx, site: &Site<'_>) -> Result<(), Fault> {
        if site.url.dialect() != Dialect::Mysql {
            return Ok(());
        }
        let mut session = self
            .session(cx, site.job, Which::Configured, Use::Read)
            .await?;
        let fixed = mysql::immovable(&mut *session, &site.live()).await?;
        if fixed.is_empty() {
            return Ok(());
        }
        Err(
            Fault::refused(format!("`{}` cannot be swapped by rename", site.live()))
                .because(format!(
                    "MySQL renames tables only, and it has {}",
                    fixed.join(", ")
                ))
                .state("no database was touched")
                .hint("empty and fill again the database that is there: the same command with `--in-place`")
                .hint(format!(
                    "or restore by hand into a new database, and let the application's URL name that: the file is {} on {}",
                    site.backup.path, site.backup.host
                )),
        )
    }

    async fn swap(&self, cx: &Cx, site: &Site<'_>, new: &str, keep: &str) -> Result<(), Fault> {
        let (job, live) = (site.job, site.live());
        match site.url.dialect() {
            Dialect::Postgres => {
                let mut admin = self.beside(cx, job).await?;
                postgres::swap(cx, &mut *admin, &live, new, keep).await
            }
            Dialect::Mysql => {
                let mut admin = self
                    .session(cx, job, Which::Configured, Use::Change)
                    .await?;
                mysql::swap(cx, &mut *admin, &live, new, keep).await
            }
            Dialect::Sqlite => {
                let step = Step::Swap { name: new, keep };
                let cx = &cx.uncancellable();
                let swapped = self.file_work(cx, job, &site.url, &site.nook, step).await;
                swapped.map(|_| ())
            }
        }
    }
}

/// How the database that was there is removed when nobody needs it any more.
fn removal(site: &Site<'_>, kept: &str) -> String {
    match site.url.dialect() {
        Dialect::Postgres => format!("DROP DATABASE {}", postgres::identifier(kept)),
        Dialect::Mysql => format!("DROP DATABASE `{kept}`"),
        Dialect::Sqlite => match site.url.file() {
            Ok(path) => format!("rm {}", path.with_file_name(kept).display()),
            Err(_) => format!("rm {kept}"),
        },
    }
}
