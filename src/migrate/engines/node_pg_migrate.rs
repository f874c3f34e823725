//! node-pg-migrate: files with a time in their names, code or SQL, whose names
//! without suffix stand in its table. It refuses by itself to run one that
//! comes before an applied one.

use std::sync::Arc;

use async_trait::async_trait;

use crate::migrate::files::{Format, shown};
use crate::model::fault::Fault;
use crate::model::project::DatabaseSpec;
use crate::model::secret::Secret;
use crate::ports::{Content, Database, Databases, Dialect, FolderEntry};

use super::framework::{Found, Framework, Gaps, Options, Tool};
use super::tables::{self, Records, Table};

const SUFFIXES: [&str; 7] = ["js", "cjs", "mjs", "ts", "cts", "mts", "sql"];

pub struct NodePgMigrate;

#[must_use]
pub fn engine(databases: Arc<dyn Databases>) -> Framework<NodePgMigrate> {
    Framework::of(NodePgMigrate, databases)
}

#[async_trait]
impl Tool for NodePgMigrate {
    fn id(&self) -> &'static str {
        "node-pg-migrate"
    }

    fn speaks(&self) -> &'static [Dialect] {
        &[Dialect::Postgres]
    }

    fn table(&self, options: &Options, _: Dialect) -> Table {
        options.table(None, "pgmigrations")
    }

    async fn records(&self, database: &mut dyn Database, table: &Table) -> Result<Records, Fault> {
        tables::node_pg_migrate::read(database, table).await
    }

    fn files(&self, entries: &[FolderEntry], folder: &str) -> Found {
        let mut found = Found::default();
        for FolderEntry { name, content } in entries {
            let Some((stem, suffix)) = name.rsplit_once('.') else {
                continue;
            };
            let apart = name.contains('/') || name.starts_with('.') || name.ends_with(".d.ts");
            let Content::File(bytes) = content else {
                continue;
            };
            if apart || !SUFFIXES.contains(&suffix) {
                continue;
            }
            if moment(stem).is_none() {
                found.problems.push(format!(
                    "`{folder}/{name}` begins with no time and `_`, as node-pg-migrate wants: make it anew with `npx node-pg-migrate create NAME`"
                ));
            }
            if found.files.iter().any(|file| file.id == stem) {
                found.problems.push(format!(
                    "`{folder}/{stem}` stands there with two suffixes, and its table keeps none: give one another name"
                ));
            }
            found.add(stem, bytes);
        }
        found
            .files
            .sort_by_cached_key(|file| (moment(&file.id), file.id.clone()));
        found
    }

    fn format(&self) -> Option<Format> {
        Some(Format::NodePgMigrate)
    }

    /// It takes the same URL.
    fn mismatch(&self, _: &[FolderEntry], _: Dialect, _: &Secret) -> Vec<String> {
        vec![]
    }

    fn about_late(&self) -> &'static str {
        "which node-pg-migrate refuses to run without `--no-check-order`"
    }

    fn about_missing(&self) -> &'static str {
        "so node-pg-migrate would refuse to run"
    }

    fn about_edited(&self) -> &'static str {
        "which node-pg-migrate ignores"
    }

    fn command(&self, database: &DatabaseSpec, options: &Options, gaps: Gaps) -> Vec<String> {
        let folder = shown(&database.migrations);
        let mut words = ["npx", "--no-install", "node-pg-migrate", "up"]
            .map(str::to_owned)
            .to_vec();
        let mut add = |flag: &str, value: &str| {
            words.extend([flag.to_owned(), value.to_owned()]);
        };
        add("--migrations-dir", folder);
        let named = database.direct_connection_env.as_ref();
        if let Some(variable) = named.or(database.connection_env.as_ref()) {
            add("--database-url-var", variable);
        }
        if let Some(table) = &options.table {
            add("--migrations-table", table);
        }
        if let Some(schema) = &options.schema {
            add("--migrations-schema", schema);
        }
        if gaps == Gaps::Allow {
            words.push("--no-check-order".to_owned());
        }
        words
    }

    fn creates(&self, database: &DatabaseSpec, name: &str) -> Vec<String> {
        let folder = shown(&database.migrations);
        [
            "npx",
            "--no-install",
            "node-pg-migrate",
            "create",
            name,
            "--migrations-dir",
            folder,
        ]
        .map(str::to_owned)
        .to_vec()
    }

    fn repair(&self, _: &str) -> Vec<String> {
        vec![]
    }

    fn unlock(&self) -> Option<&'static str> {
        None
    }
}

/// The time at the beginning of a name, in milliseconds: as such, or as
/// `YYYYMMDDhhmmssSSS`.
fn moment(stem: &str) -> Option<i64> {
    let (digits, _) = stem.split_once(['_', '-'])?;
    let number: i64 = digits.parse().ok()?;
    if digits.len() != 17 {
        return Some(number);
    }
    let time = chrono::NaiveDateTime::parse_from_str(&digits[..14], "%Y%m%d%H%M%S").ok()?;
    Some(time.and_utc().timestamp_millis() + number % 1000)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_kinds_of_times_are_one_order_and_others_are_named() {
        let file = |name: &str| FolderEntry {
            name: name.to_owned(),
            content: Content::File(vec![]),
        };
        let entries = [
            "20240101000000000_b.js",
            "1700000000000_a.sql",
            "x.js",
            "1_t.d.ts",
            "README.md",
        ]
        .map(file);
        let found = NodePgMigrate.files(&entries, "migrations");
        let ids: Vec<&str> = found.files.iter().map(|file| file.id.as_str()).collect();
        assert_eq!(ids, ["x", "1700000000000_a", "20240101000000000_b"]);
        assert_eq!(found.problems.len(), 1, "{:?}", found.problems);
        assert!(found.problems[0].contains("`migrations/x.js` begins with no time"));
    }
}
