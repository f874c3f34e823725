//! What the engines of framework tools (Prisma, Drizzle, Knex, node-pg-migrate)
//! have in common. Imports `ports`, `model` and `migrate`'s pure parts.
//!
//! What is pending comes from the tool's own table and the files, never from
//! what it prints. What runs is the tool's own production command, in a one-off
//! container of the release's image, under Stagecraft's database lock; what came
//! of it is read from the table again.

mod compare;
mod files;
mod options;
mod plan;
mod run;
mod statements;

use std::sync::Arc;

use async_trait::async_trait;

use crate::migrate::files::{Format, shown};
use crate::model::fault::Fault;
use crate::model::migration::{MigrationPlan, MigrationRequest};
use crate::model::project::{DatabaseSpec, EngineNeeds, MigrationSource};
use crate::model::secret::Secret;
use crate::ports::{Begun, Claim, Cx, Database, Databases, Dialect, Engine, FolderEntry, Job};

use super::tables::{Recorded, Records, Table};
pub(super) use compare::Gaps;
pub(super) use files::{File, Found};
pub(super) use options::Options;

/// One tool: its files, its table, its command, its traps.
#[async_trait]
pub(super) trait Tool: Send + Sync {
    fn id(&self) -> &'static str;

    /// The kinds of database that it works with.
    fn speaks(&self) -> &'static [Dialect];

    /// Its table under these options.
    fn table(&self, options: &Options, dialect: Dialect) -> Table;

    async fn records(&self, database: &mut dyn Database, table: &Table) -> Result<Records, Fault>;

    /// The migrations among what lies in the folder, in the tool's order.
    fn files(&self, entries: &[FolderEntry], shown: &str) -> Found;

    /// How its SQL files are read; nothing where all are code.
    fn format(&self) -> Option<Format>;

    /// Why the tool would not take this database, or would take another one,
    /// for what lies in the folder.
    fn mismatch(&self, entries: &[FolderEntry], dialect: Dialect, url: &Secret) -> Vec<String>;

    /// Whether a row is about a file.
    fn is(&self, file: &File, row: &Recorded) -> bool {
        file.id == row.id
    }

    /// What is applied already although it comes after this pending file: its
    /// name for people.
    fn overtaken(&self, at: usize, files: &[File], records: &Records) -> Option<String> {
        let applied = |file: &&File| records.rows.iter().any(|row| self.is(file, row));
        let later = files[at + 1..].iter().find(applied);
        later.map(|file| file.id.clone())
    }

    /// Why a file that was overtaken must not run; `None`: it may.
    fn late(&self, file: &File, after: &str, gaps: Gaps) -> Option<String> {
        match gaps {
            Gaps::Allow => None,
            Gaps::Refuse => Some(format!(
                "`{}` is pending, but `{after}` after it is applied already, {}: give it a later time, or run it all the same with `--allow-out-of-order`",
                file.id,
                self.about_late()
            )),
        }
    }

    /// What the tool makes of a file that was overtaken.
    fn about_late(&self) -> &'static str;

    /// What the tool makes of a row without a file.
    fn about_missing(&self) -> &'static str;

    /// What the tool makes of an edited file.
    fn about_edited(&self) -> &'static str;

    /// Its production command, to be run where the image works.
    fn command(&self, database: &DatabaseSpec, options: &Options, gaps: Gaps) -> Vec<String>;

    /// Its development command that begins a migration, to be run in the
    /// checkout.
    fn creates(&self, database: &DatabaseSpec, name: &str) -> Vec<String>;

    /// Why what a migration did before it failed stays in such a database;
    /// `None`: it is taken back.
    fn keeps(&self, dialect: Dialect) -> Option<&'static str> {
        match dialect {
            Dialect::Postgres | Dialect::Sqlite => None,
            Dialect::Mysql => Some("MySQL commits each change of the schema at once"),
        }
    }

    /// Its documented repair, after a failure of `id`: whole sentences with
    /// commands in backticks.
    fn repair(&self, id: &str) -> Vec<String>;

    /// What helps where its own command fails without a word; `None`: it says
    /// why.
    fn silence(&self) -> Option<&'static str> {
        None
    }

    /// The repair of its own lock, where it has one that can stay behind.
    fn unlock(&self) -> Option<&'static str>;
}

/// Refuses a kind of database that the tool does not work with.
fn spoken(tool: &dyn Tool, job: &Job<'_>, dialect: Dialect) -> Result<(), Fault> {
    if tool.speaks().contains(&dialect) {
        return Ok(());
    }
    let spoken: Vec<String> = tool.speaks().iter().map(ToString::to_string).collect();
    Err(Fault::config(format!(
        "{} works with {} alone, and `{}` is {dialect}",
        tool.id(),
        spoken.join(" and "),
        job.database.name
    ))
    .state("nothing was changed")
    .hint("choose another engine for it, or see what its connection URL names"))
}

/// The tool's migrations, with everything that stands against them.
async fn found(
    tool: &dyn Tool,
    job: &Job<'_>,
    dialect: Dialect,
    entries: &[FolderEntry],
) -> Result<Found, Fault> {
    let database = job.database;
    let mut found = tool.files(entries, shown(&database.migrations));
    let direct = database.direct_connection_env.as_ref();
    if let Some(variable) = direct.or(database.connection_env.as_ref()) {
        let url = job.values.get(variable).await?;
        let problems = tool.mismatch(entries, dialect, &url);
        found.problems.extend(problems);
    }
    Ok(found)
}

/// The engine of one tool.
pub struct Framework<T> {
    tool: T,
    databases: Arc<dyn Databases>,
}

impl<T> Framework<T> {
    pub(super) fn of(tool: T, databases: Arc<dyn Databases>) -> Self {
        Self { tool, databases }
    }
}

#[async_trait]
impl<T: Tool> Engine for Framework<T> {
    fn id(&self) -> &str {
        self.tool.id()
    }

    fn needs(&self) -> EngineNeeds {
        EngineNeeds {
            path: true,
            connection: true,
        }
    }

    async fn validate(&self, database: &DatabaseSpec) -> Vec<String> {
        let spec = &database.migrations;
        let mut problems: Vec<String> = Options::of(database).err().into_iter().collect();
        if !spec.session_sql.is_empty() {
            problems.push(format!(
                "`session_sql` cannot be kept: engine `{}` opens its own session",
                self.tool.id()
            ));
        }
        // What the image holds is not known here.
        if let (Some(path), MigrationSource::Checkout) = (&spec.path, spec.source) {
            let shown = shown(spec);
            match files::checkout(path, shown) {
                Ok(entries) => problems.extend(self.tool.files(&entries, shown).problems),
                Err(fault) => problems.push(fault.to_string()),
            }
        }
        problems
    }

    fn creates(&self, database: &DatabaseSpec, name: &str) -> Option<Vec<String>> {
        // What is wrong with the options was said by `validate`.
        let own = Options::of(database).ok();
        let own = own.and_then(|options| options.create(name));
        Some(own.unwrap_or_else(|| self.tool.creates(database, name)))
    }

    async fn plan(
        &self,
        cx: &Cx,
        job: &Job<'_>,
        request: &MigrationRequest,
    ) -> Result<MigrationPlan, Fault> {
        plan::plan(&self.tool, self.databases.as_ref(), cx, job, request).await
    }

    async fn begin<'a>(
        &'a self,
        cx: &Cx,
        job: &'a Job<'a>,
        plan: &'a MigrationPlan,
        claim: &Claim,
    ) -> Result<Box<dyn Begun<'a> + 'a>, Fault> {
        run::begin(&self.tool, self.databases.as_ref(), cx, job, plan, claim).await
    }
}
