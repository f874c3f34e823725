//! How each tool names and makes its table. Imports `ports::Dialect`.

use super::{History, Width};
use crate::model::fault::Fault;
use crate::ports::{Database, Dialect};

impl History {
    pub(super) fn table(self) -> &'static str {
        match self {
            History::Dbmate | History::GolangMigrate => "schema_migrations",
            History::Goose => "goose_db_version",
            History::Sqlx => "_sqlx_migrations",
            History::Refinery => "refinery_schema_history",
            History::Diesel => "__diesel_schema_migrations",
            History::Flyway => "flyway_schema_history",
            History::Prisma => "_prisma_migrations",
            History::Drizzle => "__drizzle_migrations",
            History::Knex => "knex_migrations",
            History::NodePgMigrate => "pgmigrations",
        }
    }

    /// Those that are read.
    pub(super) fn columns(self) -> &'static [&'static str] {
        match self {
            History::Dbmate => &["version"],
            History::Goose => &["version_id", "is_applied", "tstamp"],
            History::GolangMigrate => &["version", "dirty"],
            History::Sqlx => &["version", "checksum", "installed_on", "success"],
            History::Refinery => &["version", "checksum", "applied_on"],
            History::Diesel => &["version", "run_on"],
            History::Flyway => &["version", "type", "script", "checksum", "success"],
            History::Prisma => &[
                "migration_name",
                "checksum",
                "finished_at",
                "rolled_back_at",
            ],
            History::Drizzle => &["hash", "created_at"],
            History::Knex => &["name", "migration_time"],
            History::NodePgMigrate => &["name", "run_on"],
        }
    }

    /// As PostgreSQL looks it up.
    fn found_as(self) -> String {
        match self {
            History::Drizzle => format!("drizzle.{}", self.table()),
            _ => self.table().to_owned(),
        }
    }

    pub(super) fn ask_columns(self, dialect: Dialect) -> String {
        match dialect {
            Dialect::Postgres => format!(
                "SELECT attname::text FROM pg_catalog.pg_attribute \
                 WHERE attrelid = to_regclass('{}') AND attnum > 0 AND NOT attisdropped",
                self.found_as()
            ),
            Dialect::Mysql => format!(
                "SELECT column_name FROM information_schema.columns \
                 WHERE table_schema = DATABASE() AND table_name = '{}'",
                self.table()
            ),
            Dialect::Sqlite => format!("SELECT name FROM pragma_table_info('{}')", self.table()),
        }
    }

    pub(super) fn ask_name(self, dialect: Dialect) -> String {
        match dialect {
            Dialect::Postgres => format!(
                "SELECT quote_ident(n.nspname) || '.' || quote_ident(c.relname) \
                 FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace \
                 WHERE c.oid = to_regclass('{}')",
                self.found_as()
            ),
            Dialect::Mysql => format!(
                "SELECT CONCAT('`', REPLACE(DATABASE(), '`', '``'), '`.{}')",
                self.table()
            ),
            Dialect::Sqlite => format!("SELECT 'main.{}'", self.table()),
        }
    }

    /// Where a table that is missing would be made.
    pub(super) async fn new_name(self, database: &mut dyn Database) -> Result<String, Fault> {
        let ask = match (database.dialect(), self) {
            (Dialect::Postgres, History::Drizzle) => return Ok(self.found_as()),
            (Dialect::Postgres, _) => {
                format!(
                    "SELECT quote_ident(current_schema()) || '.{}'",
                    self.table()
                )
            }
            (dialect @ (Dialect::Mysql | Dialect::Sqlite), _) => self.ask_name(dialect),
        };
        let name = database.query(&ask).await?;
        name.into_iter().flatten().next().ok_or_else(|| {
            Fault::failed("no schema of the `search_path` exists")
                .hint("create the schema, or set another `search_path` in `session_sql`")
        })
    }

    /// The statements that make the table; `None` where it is not known how the
    /// tool does that.
    pub(super) fn create(self, dialect: Dialect, name: &str, width: Width) -> Option<Vec<String>> {
        let make = |columns: &str| format!("CREATE TABLE IF NOT EXISTS {name} ({columns})");
        let by = |postgres: &str, mysql: &str, sqlite: &str| {
            make(match dialect {
                Dialect::Postgres => postgres,
                Dialect::Mysql => mysql,
                Dialect::Sqlite => sqlite,
            })
        };
        Some(match (self, dialect) {
            (History::Dbmate, _) => vec![by(
                "version varchar PRIMARY KEY",
                "version varchar(128) PRIMARY KEY",
                "version varchar(128) PRIMARY KEY",
            )],
            (History::Goose, _) => vec![
                by(
                    "id serial NOT NULL, version_id bigint NOT NULL, is_applied boolean NOT NULL, tstamp timestamp NULL DEFAULT now(), PRIMARY KEY (id)",
                    "id serial NOT NULL, version_id bigint NOT NULL, is_applied boolean NOT NULL, tstamp timestamp NULL DEFAULT now(), PRIMARY KEY (id)",
                    "id INTEGER PRIMARY KEY AUTOINCREMENT, version_id INTEGER NOT NULL, is_applied INTEGER NOT NULL, tstamp TIMESTAMP DEFAULT (datetime('now'))",
                ),
                // The one that stands for no migration.
                format!("INSERT INTO {name} (version_id, is_applied) VALUES (0, true)"),
            ],
            (History::GolangMigrate, Dialect::Sqlite) => vec![
                make("version uint64, dirty bool"),
                "CREATE UNIQUE INDEX IF NOT EXISTS main.version_unique ON schema_migrations (version)"
                    .to_owned(),
            ],
            (History::GolangMigrate, Dialect::Postgres | Dialect::Mysql) => {
                vec![make("version bigint NOT NULL PRIMARY KEY, dirty boolean NOT NULL")]
            }
            (History::Sqlx, _) => vec![by(
                "version BIGINT PRIMARY KEY, description TEXT NOT NULL, installed_on TIMESTAMPTZ NOT NULL DEFAULT now(), success BOOLEAN NOT NULL, checksum BYTEA NOT NULL, execution_time BIGINT NOT NULL",
                "version BIGINT PRIMARY KEY, description TEXT NOT NULL, installed_on TIMESTAMP NOT NULL DEFAULT CURRENT_TIMESTAMP, success BOOLEAN NOT NULL, checksum BLOB NOT NULL, execution_time BIGINT NOT NULL",
                "version BIGINT PRIMARY KEY, description TEXT NOT NULL, installed_on TIMESTAMP NOT NULL DEFAULT CURRENT_TIMESTAMP, success BOOLEAN NOT NULL, checksum BLOB NOT NULL, execution_time BIGINT NOT NULL",
            )],
            (History::Refinery, _) => vec![make(&format!(
                "version {} PRIMARY KEY, name VARCHAR(255), applied_on VARCHAR(255), checksum VARCHAR(255)",
                width.column()
            ))],
            (History::Diesel, _) => vec![make(
                "version VARCHAR(50) PRIMARY KEY NOT NULL, run_on TIMESTAMP NOT NULL DEFAULT CURRENT_TIMESTAMP",
            )],
            (History::Flyway, Dialect::Postgres | Dialect::Mysql) => {
                let index = match dialect {
                    Dialect::Postgres => format!(
                        "CREATE INDEX flyway_schema_history_s_idx ON {name} (success)"
                    ),
                    Dialect::Mysql | Dialect::Sqlite => format!(
                        "CREATE INDEX flyway_schema_history_s_idx ON {name} (success)"
                    ),
                };
                let made = by(
                    "installed_rank INT NOT NULL CONSTRAINT flyway_schema_history_pk PRIMARY KEY, version VARCHAR(50), description VARCHAR(200) NOT NULL, type VARCHAR(20) NOT NULL, script VARCHAR(1000) NOT NULL, checksum INTEGER, installed_by VARCHAR(100) NOT NULL, installed_on TIMESTAMP NOT NULL DEFAULT now(), execution_time INTEGER NOT NULL, success BOOLEAN NOT NULL",
                    "installed_rank INT NOT NULL PRIMARY KEY, version VARCHAR(50), description VARCHAR(200) NOT NULL, type VARCHAR(20) NOT NULL, script VARCHAR(1000) NOT NULL, checksum INT, installed_by VARCHAR(100) NOT NULL, installed_on TIMESTAMP NOT NULL DEFAULT CURRENT_TIMESTAMP, execution_time INT NOT NULL, success BOOL NOT NULL",
                    "",
                );
                vec![made, index]
            }
            (History::Prisma, Dialect::Postgres) => vec![make(
                "id VARCHAR(36) PRIMARY KEY NOT NULL, checksum VARCHAR(64) NOT NULL, finished_at TIMESTAMPTZ, migration_name VARCHAR(255) NOT NULL, logs TEXT, rolled_back_at TIMESTAMPTZ, started_at TIMESTAMPTZ NOT NULL DEFAULT now(), applied_steps_count INTEGER NOT NULL DEFAULT 0",
            )],
            (History::Drizzle, Dialect::Postgres) => vec![
                "CREATE SCHEMA IF NOT EXISTS drizzle".to_owned(),
                make("id SERIAL PRIMARY KEY, hash text NOT NULL, created_at bigint"),
            ],
            (History::Drizzle, Dialect::Mysql) => vec![make(
                "id serial PRIMARY KEY, hash text NOT NULL, created_at bigint",
            )],
            (History::Drizzle, Dialect::Sqlite) => vec![make(
                "id SERIAL PRIMARY KEY, hash text NOT NULL, created_at numeric",
            )],
            (History::NodePgMigrate, Dialect::Postgres) => vec![make(
                "id SERIAL PRIMARY KEY, name varchar(255) NOT NULL, run_on timestamp NOT NULL",
            )],
            (History::Flyway, Dialect::Sqlite)
            | (History::Prisma | History::NodePgMigrate, Dialect::Mysql | Dialect::Sqlite)
            | (History::Knex, _) => return None,
        })
    }
}
