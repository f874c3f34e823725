//! The row that a tool would have written for a migration. Imports `files`.

use uuid::Uuid;

use super::{History, Table};
use crate::migrate::files::MigrationFile;
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
            History::GolangMigrate => {
                return vec![
                    format!("DELETE FROM {table}"),
                    format!("INSERT INTO {table} (version, dirty) VALUES ({number}, false)"),
                ];
            }
            History::Sqlx => {
                let checksum = &tool.checksum;
                let checksum = match self.dialect {
                    Dialect::Postgres => format!("decode('{checksum}', 'hex')"),
                    Dialect::Mysql | Dialect::Sqlite => format!("X'{checksum}'"),
                };
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
                text(tool.checksum.split(' ').next().unwrap_or_default())
            ),
            History::Diesel => format!("INSERT INTO {table} (version) VALUES ({key})"),
            History::Flyway => format!(
                "INSERT INTO {table} (installed_rank, version, description, type, script, checksum, installed_by, execution_time, success) \
                 SELECT COALESCE(MAX(installed_rank), 0) + 1, {key}, {}, 'SQL', {}, {}, {}, {took_ms}, true FROM {table}",
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
