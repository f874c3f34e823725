//! Prisma Migrate: a folder a migration, with `migration.sql`. Its `deploy`
//! ignores what was edited, applies what is out of order, and runs nothing
//! after a failure that nobody settled.

use std::sync::Arc;

use async_trait::async_trait;

use crate::model::fault::Fault;
use crate::model::project::DatabaseSpec;
use crate::ports::{Content, Database, Databases, Dialect, FolderEntry};

use super::framework::{Found, Framework, Gaps, Options, Tool};
use super::tables::{self, Records, Table};

const INSIDE: &str = "migration.sql";

pub struct Prisma;

#[must_use]
pub fn engine(databases: Arc<dyn Databases>) -> Framework<Prisma> {
    Framework::of(Prisma, databases)
}

#[async_trait]
impl Tool for Prisma {
    fn id(&self) -> &'static str {
        "prisma"
    }

    fn speaks(&self, _: Dialect) -> bool {
        true
    }

    fn table(&self, options: &Options, _: Dialect) -> Table {
        options.table(None, "_prisma_migrations")
    }

    async fn records(&self, database: &mut dyn Database, table: &Table) -> Result<Records, Fault> {
        tables::prisma::read(database, table).await
    }

    fn files(&self, entries: &[FolderEntry], folder: &str) -> Found {
        let mut found = Found::default();
        let mut folders: Vec<&str> = entries
            .iter()
            .filter(|entry| entry.content == Content::Folder && !entry.name.contains('/'))
            .map(|entry| entry.name.as_str())
            .collect();
        folders.sort_unstable();
        for name in folders {
            let place = format!("{name}/{INSIDE}");
            let file = entries.iter().find(|entry| entry.name == place);
            match file.map(|file| &file.content) {
                Some(Content::File(bytes)) => found.add(name, bytes),
                Some(Content::Folder | Content::Other) | None => found.problems.push(format!(
                    "`{folder}/{place}` is missing: bring it back, or remove the folder"
                )),
            }
        }
        found
    }

    fn about_late(&self) -> &'static str {
        "which Prisma would not mind"
    }

    fn about_missing(&self) -> &'static str {
        "which Prisma ignores"
    }

    fn about_edited(&self) -> &'static str {
        "which `prisma migrate deploy` ignores"
    }

    fn command(&self, _: &DatabaseSpec, _: &Options, _: Gaps) -> Vec<String> {
        ["npx", "--no-install", "prisma", "migrate", "deploy"]
            .map(str::to_owned)
            .to_vec()
    }

    fn repair(&self, id: &str) -> Vec<String> {
        vec![
            format!(
                "undo what it did, then say so: `npx prisma migrate resolve --rolled-back {id}`"
            ),
            format!(
                "or finish it by hand, then say so: `npx prisma migrate resolve --applied {id}`"
            ),
        ]
    }

    /// Its lock is the session's, and goes with it.
    fn unlock(&self) -> Option<&'static str> {
        None
    }
}
