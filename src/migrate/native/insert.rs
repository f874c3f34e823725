//! The row that a tool would have written for a migration. Imports `files`.

use uuid::Uuid;

use super::{History, Table};
use crate::migrate::files::MigrationFile;
use crate::migrate::files::layouts::flyway;
use crate::ports::Dialect;

impl Table {
    /// The statements that write it; none of them depends on a setting of the
    /// session.
    #[must_use]
    pub fn insert(&self, file: &MigrationFile, took_ms: i64) -> Vec<String> {
        let table = &self.name;
        let tool = &file.tool;
        let text = |text: &str| self.dialect.literal(text);
        let key = text(&tool.key);
        let number = file.version.unwrap_or_default();
        vec![match self.history {
            History::Dbmate => format!("INSERT INTO {table} (version) VALUES ({key})"),
            History::Goose => {
                format!("INSERT INTO {table} (version_id, is_applied) VALUES ({number}, true)")
            }
            // One that ran behind later ones does not take the number back.
            History::GolangMigrate => {
                let from = match self.dialect {
                    Dialect::Mysql => " FROM DUAL",
                    Dialect::Postgres | Dialect::Sqlite => "",
                };
                return vec![
                    format!("DELETE FROM {table} WHERE version <= {number}"),
                    format!(
                        "INSERT INTO {table} (version, dirty) SELECT {number}, false{from} WHERE NOT EXISTS (SELECT 1 FROM {table})"
                    ),
                ];
            }
            History::Sqlx => {
                let checksum = self.bytes(&tool.checksum);
                format!(
                    "INSERT INTO {table} (version, description, success, checksum, execution_time) VALUES ({number}, {}, true, {checksum}, {})",
                    text(&tool.description),
                    nanoseconds(took_ms)
                )
            }
            History::Refinery => format!(
                "INSERT INTO {table} (version, name, applied_on, checksum) VALUES ({number}, {}, {}, {})",
                text(&tool.description),
                text(&now()),
                text(self.width.pick(&tool.checksum))
            ),
            History::Diesel => format!("INSERT INTO {table} (version) VALUES ({key})"),
            History::Flyway => format!(
                "INSERT INTO {table} (installed_rank, version, description, type, script, checksum, installed_by, execution_time, success) \
                 SELECT COALESCE(MAX(installed_rank), 0) + 1, {}, {}, 'SQL', {}, {}, {}, {took_ms}, true FROM {table}",
                text(&flyway::written(&file.name)),
                text(&tool.description),
                text(&file.name),
                tool.checksum,
                match self.dialect {
                    Dialect::Postgres => "current_user",
                    Dialect::Mysql | Dialect::Sqlite => "SUBSTRING_INDEX(USER(), '@', 1)",
                }
            ),
            History::Prisma => format!(
                "INSERT INTO {table} (id, checksum, finished_at, migration_name, started_at, applied_steps_count) VALUES ('{}', {}, now(), {key}, now(), 1)",
                Uuid::now_v7(),
                text(&tool.checksum)
            ),
            History::Drizzle => format!(
                "INSERT INTO {table} (hash, created_at) VALUES ({}, {})",
                text(&tool.checksum),
                tool.when
            ),
            // Nothing is ever written there: its files are code.
            History::Knex => return vec![],
            History::NodePgMigrate => {
                format!("INSERT INTO {table} (name, run_on) VALUES ({key}, now())")
            }
        }]
    }

    /// What makes the row of a migration speak of the text that its file has now.
    #[must_use]
    pub fn rewrite(&self, file: &MigrationFile) -> Vec<String> {
        let table = &self.name;
        let tool = &file.tool;
        let text = |text: &str| self.dialect.literal(text);
        let set = match self.history {
            History::Sqlx => format!(
                "checksum = {} WHERE version = {}",
                self.bytes(&tool.checksum),
                tool.key
            ),
            History::Refinery => format!(
                "checksum = {} WHERE version = {}",
                text(self.width.pick(&tool.checksum)),
                tool.key
            ),
            History::Flyway => format!(
                "checksum = {} WHERE version IS NOT NULL AND script = {}",
                tool.checksum,
                text(&file.name)
            ),
            History::Prisma => format!(
                "checksum = {} WHERE migration_name = {} AND rolled_back_at IS NULL",
                text(&tool.checksum),
                text(&tool.key)
            ),
            History::Drizzle => format!(
                "hash = {} WHERE created_at = {}",
                text(&tool.checksum),
                tool.when
            ),
            // They keep none.
            History::Dbmate
            | History::Goose
            | History::GolangMigrate
            | History::Diesel
            | History::Knex
            | History::NodePgMigrate => return vec![],
        };
        vec![format!("UPDATE {table} SET {set}")]
    }

    fn bytes(&self, hex: &str) -> String {
        match self.dialect {
            Dialect::Postgres => format!("decode('{hex}', 'hex')"),
            Dialect::Mysql | Dialect::Sqlite => format!("X'{hex}'"),
        }
    }

    /// The time that it took, for a row that stands already.
    #[must_use]
    pub fn measured(&self, file: &MigrationFile, took_ms: i64) -> Vec<String> {
        let table = &self.name;
        match self.history {
            History::Sqlx => vec![format!(
                "UPDATE {table} SET execution_time = {} WHERE version = {}",
                nanoseconds(took_ms),
                file.version.unwrap_or_default()
            )],
            History::Flyway => vec![format!(
                "UPDATE {table} SET execution_time = {took_ms} WHERE script = {}",
                self.dialect.literal(&file.name)
            )],
            History::Dbmate
            | History::Goose
            | History::GolangMigrate
            | History::Refinery
            | History::Diesel
            | History::Prisma
            | History::Drizzle
            | History::Knex
            | History::NodePgMigrate => vec![],
        }
    }
}

fn nanoseconds(milliseconds: i64) -> i64 {
    milliseconds.saturating_mul(1_000_000)
}

fn now() -> String {
    chrono::Utc::now().to_rfc3339_opts(chrono::SecondsFormat::Nanos, true)
}
