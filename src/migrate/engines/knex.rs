//! Knex: migrations are code, named by their files. Its own lock is a row that
//! stays behind where a run was killed; a file that is gone stops every one of
//! its commands.

use std::sync::Arc;

use async_trait::async_trait;

use crate::migrate::files::Format;
use crate::model::fault::Fault;
use crate::model::project::DatabaseSpec;
use crate::model::secret::Secret;
use crate::ports::{Content, Database, Databases, Dialect, FolderEntry};

use super::framework::{Found, Framework, Gaps, Options, Tool};
use super::tables::{self, Records, Table};

/// What Knex takes for a migration.
const SUFFIXES: [&str; 8] = ["js", "cjs", "mjs", "ts", "cts", "mts", "coffee", "ls"];

pub struct Knex;

#[must_use]
pub fn engine(databases: Arc<dyn Databases>) -> Framework<Knex> {
    Framework::of(Knex, databases)
}

#[async_trait]
impl Tool for Knex {
    fn id(&self) -> &'static str {
        "knex"
    }

    fn speaks(&self) -> &'static [Dialect] {
        &[Dialect::Postgres, Dialect::Mysql, Dialect::Sqlite]
    }

    fn table(&self, options: &Options, _: Dialect) -> Table {
        options.table(None, "knex_migrations")
    }

    async fn records(&self, database: &mut dyn Database, table: &Table) -> Result<Records, Fault> {
        tables::knex::read(database, table).await
    }

    fn files(&self, entries: &[FolderEntry], _: &str) -> Found {
        let mut found = Found::default();
        for FolderEntry { name, content } in entries {
            let suffix = name.rsplit_once('.').map(|(_, suffix)| suffix);
            let is_code = suffix.is_some_and(|suffix| SUFFIXES.contains(&suffix));
            if let (Content::File(bytes), true) = (content, is_code && !apart(name)) {
                found.add(name, bytes);
            }
        }
        found.files.sort_by(|a, b| a.id.cmp(&b.id));
        found
    }

    fn format(&self) -> Option<Format> {
        None
    }

    /// Its own configuration names the database.
    fn mismatch(&self, _: &[FolderEntry], _: Dialect, _: &Secret) -> Vec<String> {
        vec![]
    }

    fn about_late(&self) -> &'static str {
        "which Knex would not mind"
    }

    fn about_missing(&self) -> &'static str {
        "so Knex would refuse every command (\"the migration directory is corrupt\")"
    }

    fn about_edited(&self) -> &'static str {
        "which Knex ignores"
    }

    fn command(&self, _: &DatabaseSpec, _: &Options, _: Gaps) -> Vec<String> {
        ["npx", "--no-install", "knex", "migrate:latest"]
            .map(str::to_owned)
            .to_vec()
    }

    fn creates(&self, _: &DatabaseSpec, name: &str) -> Vec<String> {
        ["npx", "--no-install", "knex", "migrate:make", name]
            .map(str::to_owned)
            .to_vec()
    }

    fn repair(&self, _: &str) -> Vec<String> {
        vec![]
    }

    fn unlock(&self) -> Option<&'static str> {
        Some(
            "Knex's own lock is taken, and stays so where a run was killed: when no other run goes on, free it with `npx knex migrate:unlock`",
        )
    }
}

/// Not one of the folder itself, or only types.
fn apart(name: &str) -> bool {
    name.contains('/') || name.ends_with(".d.ts")
}
