//! Prisma Migrate: a folder a migration, with `migration.sql`. Its `deploy`
//! ignores what was edited, applies what is out of order, and runs nothing
//! after a failure that nobody settled.

use std::sync::Arc;

use async_trait::async_trait;

use crate::migrate::files::Format;
use crate::model::fault::Fault;
use crate::model::project::DatabaseSpec;
use crate::model::secret::Secret;
use crate::ports::{Content, Database, Databases, Dialect, FolderEntry};

use super::framework::{Found, Framework, Gaps, Options, Tool};
use super::tables::{self, Records, Table};

const INSIDE: &str = "migration.sql";
/// Says which kind of database the files were made for.
const LOCK: &str = "migration_lock.toml";

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

    fn speaks(&self) -> &'static [Dialect] {
        &[Dialect::Postgres, Dialect::Mysql, Dialect::Sqlite]
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

    fn format(&self) -> Option<Format> {
        Some(Format::Prisma)
    }

    fn mismatch(&self, entries: &[FolderEntry], dialect: Dialect, url: &Secret) -> Vec<String> {
        let mut found = vec![];
        if let Some(provider) = provider(entries)
            && !providers(dialect).contains(&provider.as_str())
        {
            found.push(format!(
                "`{LOCK}` says `{provider}`, and the database is {dialect}: Prisma would refuse to run (P3019)"
            ));
        }
        if dialect == Dialect::Sqlite && is_relative(url) {
            found.push(
                "the connection URL names a file by a relative path, which Prisma takes from the folder of its schema and Stagecraft from where the image works: write the whole path, such as `file:/data/app.db`".to_owned(),
            );
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

    /// It compares the schema of the checkout with the database, which it may ask
    /// to empty.
    fn creates(&self, _: &DatabaseSpec, name: &str) -> Vec<String> {
        [
            "npx",
            "--no-install",
            "prisma",
            "migrate",
            "dev",
            "--create-only",
            "--name",
            name,
        ]
        .map(str::to_owned)
        .to_vec()
    }

    fn keeps(&self, dialect: Dialect) -> Option<&'static str> {
        match dialect {
            Dialect::Postgres => None,
            Dialect::Mysql | Dialect::Sqlite => Some("Prisma runs it without a transaction"),
        }
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

/// What the folder was made for, in Prisma's words.
fn provider(entries: &[FolderEntry]) -> Option<String> {
    let entry = entries.iter().find(|entry| entry.name == LOCK)?;
    let Content::File(bytes) = &entry.content else {
        return None;
    };
    let text = String::from_utf8_lossy(bytes);
    let (_, value) = text.lines().find_map(|line| {
        let (key, value) = line.split_once('=')?;
        (key.trim() == "provider").then_some((key, value))
    })?;
    Some(value.trim().trim_matches(['"', '\'']).to_owned())
}

fn providers(dialect: Dialect) -> &'static [&'static str] {
    match dialect {
        Dialect::Postgres => &["postgresql", "postgres", "cockroachdb"],
        Dialect::Mysql => &["mysql"],
        Dialect::Sqlite => &["sqlite"],
    }
}

fn is_relative(url: &Secret) -> bool {
    let text = url.reveal().trim();
    let path = text.split_once(':').map_or(text, |(_, path)| path);
    !path.strip_prefix("//").unwrap_or(path).starts_with('/')
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::migrate::test_support::database;

    fn against(lock: &str, dialect: Dialect, url: &str) -> Vec<String> {
        let entries = [FolderEntry {
            name: LOCK.to_owned(),
            content: Content::File(lock.as_bytes().to_vec()),
        }];
        Prisma.mismatch(&entries, dialect, &Secret::new(url))
    }

    /// D73.
    #[test]
    fn a_migration_is_begun_by_its_development_command_and_not_applied() {
        assert_eq!(
            Prisma.creates(&database(), "add_notes").join(" "),
            "npx --no-install prisma migrate dev --create-only --name add_notes"
        );
    }

    #[test]
    fn a_folder_that_was_made_for_another_kind_of_database_is_refused() {
        let lock = "# Do not edit\nprovider = \"mysql\"\n";
        assert_eq!(against(lock, Dialect::Mysql, "mysql://db/shop"), [""; 0]);
        let found = against(lock, Dialect::Postgres, "postgres://db/shop");
        assert_eq!(
            found,
            [
                "`migration_lock.toml` says `mysql`, and the database is PostgreSQL: Prisma would refuse to run (P3019)"
            ]
        );
    }

    #[test]
    fn a_file_is_named_by_its_whole_path_since_prisma_looks_elsewhere() {
        let count = |url| against("", Dialect::Sqlite, url).len();
        for whole in [
            "file:/data/app.db",
            "file:///data/app.db?mode=rw",
            "/data/app.db",
        ] {
            assert_eq!(count(whole), 0, "{whole}");
        }
        for relative in [
            "file:./dev.db",
            "file:dev.db",
            "sqlite://dev.db",
            "./dev.db",
        ] {
            assert_eq!(count(relative), 1, "{relative}");
        }
        assert_eq!(against("", Dialect::Mysql, "mysql://db/shop").len(), 0);
    }
}
