//! Drizzle: a journal lists the files with a time each. `drizzle-kit migrate`
//! runs what is newer than the newest time in its table: anything else that is
//! not applied is skipped for ever, with exit code 0.

use std::collections::HashSet;
use std::sync::Arc;

use async_trait::async_trait;
use serde::Deserialize;

use crate::migrate::files::Format;
use crate::migrate::hashing;
use crate::model::fault::Fault;
use crate::model::project::DatabaseSpec;
use crate::model::secret::Secret;
use crate::ports::{Content, Database, Databases, Dialect, FolderEntry};

use super::framework::{File, Found, Framework, Gaps, Options, Tool};
use super::tables::{self, Recorded, Records, Table};

const JOURNAL: &str = "meta/_journal.json";

pub struct Drizzle;

#[must_use]
pub fn engine(databases: Arc<dyn Databases>) -> Framework<Drizzle> {
    Framework::of(Drizzle, databases)
}

#[derive(Deserialize)]
struct Journal {
    entries: Vec<Entry>,
}

#[derive(Deserialize)]
struct Entry {
    when: i64,
    tag: String,
}

#[async_trait]
impl Tool for Drizzle {
    fn id(&self) -> &'static str {
        "drizzle"
    }

    fn speaks(&self) -> &'static [Dialect] {
        &[Dialect::Postgres, Dialect::Mysql, Dialect::Sqlite]
    }

    fn table(&self, options: &Options, dialect: Dialect) -> Table {
        let schema = (dialect == Dialect::Postgres).then_some("drizzle");
        options.table(schema, "__drizzle_migrations")
    }

    async fn records(&self, database: &mut dyn Database, table: &Table) -> Result<Records, Fault> {
        tables::drizzle::read(database, table).await
    }

    fn files(&self, entries: &[FolderEntry], folder: &str) -> Found {
        let mut found = Found::default();
        let bytes = |name: &str| {
            let entry = entries.iter().find(|entry| entry.name == name)?;
            match &entry.content {
                Content::File(bytes) => Some(bytes),
                Content::Folder | Content::Other => None,
            }
        };
        let place = format!("{folder}/{JOURNAL}");
        let Some(journal) = bytes(JOURNAL) else {
            found
                .problems
                .push(format!("`{place}` is missing: it lists the migrations"));
            return found;
        };
        let journal: Journal = match serde_json::from_slice(journal) {
            Ok(journal) => journal,
            Err(error) => {
                found
                    .problems
                    .push(format!("`{place}` is no journal of Drizzle: {error}"));
                return found;
            }
        };
        for pair in journal.entries.windows(2) {
            if pair[0].when >= pair[1].when {
                found.problems.push(format!(
                    "`{place}` gives `{}` no later time (`when`) than `{}` before it, so Drizzle would never run it: correct the number",
                    pair[1].tag, pair[0].tag
                ));
            }
        }
        let known: HashSet<&str> = journal
            .entries
            .iter()
            .map(|entry| entry.tag.as_str())
            .collect();
        for entry in entries {
            let tag = entry.name.strip_suffix(".sql");
            if let Some(tag) = tag.filter(|tag| !tag.contains('/') && !known.contains(tag)) {
                found.problems.push(format!(
                    "`{folder}/{tag}.sql` does not stand in `{place}`, so Drizzle would never run it"
                ));
            }
        }
        for Entry { when, tag } in &journal.entries {
            match bytes(&format!("{tag}.sql")) {
                Some(bytes) => found.files.push(File {
                    id: tag.clone(),
                    checksum: hashing::sha256(bytes),
                    when: Some(*when),
                }),
                None => found
                    .problems
                    .push(format!("`{folder}/{tag}.sql` is missing: bring it back")),
            }
        }
        found
    }

    fn format(&self) -> Option<Format> {
        Some(Format::Drizzle)
    }

    /// Its own configuration names the database, and its journal binds none.
    fn mismatch(&self, _: &[FolderEntry], _: Dialect, _: &Secret) -> Vec<String> {
        vec![]
    }

    /// Its time finds a file; by its hash it is known under another time.
    fn is(&self, file: &File, row: &Recorded) -> bool {
        file.when == row.when || row.checksum.as_ref() == Some(&file.checksum)
    }

    fn overtaken(&self, at: usize, files: &[File], records: &Records) -> Option<String> {
        let when = files.get(at)?.when;
        let newest = records.rows.iter().max_by_key(|row| row.when)?;
        if newest.when < when {
            return None;
        }
        let named = files.iter().find(|file| self.is(file, newest));
        Some(named.map_or_else(|| newest.id.clone(), |file| file.id.clone()))
    }

    /// No flag of Drizzle's would run it.
    fn late(&self, file: &File, after: &str, _: Gaps) -> Option<String> {
        Some(format!(
            "`{}` is not applied, and its time in `{JOURNAL}` (`when`) is not later than that of `{after}`, which is applied, {}: give it the time of now, `node -p 'Date.now()'`",
            file.id,
            self.about_late()
        ))
    }

    fn about_late(&self) -> &'static str {
        "so Drizzle would skip it for ever without a word"
    }

    fn about_missing(&self) -> &'static str {
        "which Drizzle ignores"
    }

    fn about_edited(&self) -> &'static str {
        "which Drizzle ignores"
    }

    fn command(&self, _: &DatabaseSpec, _: &Options, _: Gaps) -> Vec<String> {
        ["npx", "--no-install", "drizzle-kit", "migrate"]
            .map(str::to_owned)
            .to_vec()
    }

    /// It compares the schema of the checkout with its newest snapshot, and makes
    /// nothing where they are alike.
    fn creates(&self, _: &DatabaseSpec, name: &str) -> Vec<String> {
        [
            "npx",
            "--no-install",
            "drizzle-kit",
            "generate",
            "--name",
            name,
        ]
        .map(str::to_owned)
        .to_vec()
    }

    /// A failure undoes the whole run.
    fn repair(&self, _: &str) -> Vec<String> {
        vec![]
    }

    fn silence(&self) -> Option<&'static str> {
        Some(
            "`drizzle-kit migrate` prints no reason: the server's log has it; from now on let `options.command` run a program that calls `migrate()` of drizzle-orm, which does",
        )
    }

    fn unlock(&self) -> Option<&'static str> {
        None
    }
}
