//! `databases`: connections, migrations, backups, safety.

use crate::model::names::RoleName;
use crate::model::project::{MigrationSource, MigrationStrategy, Safety, Via};

use super::super::leaf::{List, Options, PathText, Period, Variable};
use super::super::read::section;

section! {
    /// A database and how its migrations run.
    Database {
        /// The variable that holds the connection URL.
        connection_env: Variable,
        /// The same past a pooler, for migrations.
        direct_connection_env: Variable,
        /// Who opens the connection.
        via: Via,
        /// How its migrations run.
        migrations: Migrations,
        /// Copies before migrations.
        backup: Backup,
        /// What happens to risky statements.
        safety: SafetySection,
    }
}

section! {
    /// How one database's migrations run.
    Migrations {
        /// `raw`, `prisma`, `drizzle`, `knex`, `node-pg-migrate`, `command`, `app`, or an external engine's id.
        engine: String,
        /// The folder of the migrations.
        path: PathText,
        /// Where the files are read: the checkout, or the release's image (default for a prebuilt image).
        source: MigrationSource,
        /// When they run.
        strategy: MigrationStrategy,
        /// Waits for another migrator.
        lock_wait: Period,
        /// The longest wait for a lock on a relation; the first attempts give way much sooner (after 100 ms), so that nobody queues up behind them.
        lock_timeout: Period,
        /// How often it tries again.
        lock_retries: u32,
        /// The longest one statement may take.
        statement_timeout: Period,
        /// The longest the whole step may take.
        timeout: Period,
        /// Rules for the files.
        files: Files,
        /// Statements at the beginning of each session.
        session_sql: List<String>,
        /// The role whose environment and volumes one-off containers get; left out, the first.
        role: RoleName,
        /// Handed to the engine whole.
        options: Options,
    }
}

section! {
    /// Rules for the files of migrations.
    Files {
        /// A regular expression that every file name matches.
        pattern: String,
        /// The file that keeps their checksums.
        ledger: PathText,
    }
}

section! {
    /// Copies of a database.
    Backup {
        /// Takes one before migrations are applied.
        before_migrate: bool,
        /// How many are kept.
        keep: u16,
    }
}

section! {
    /// What happens to risky statements: `off`, `warn`, `approve` or `block`.
    SafetySection {
        /// Statements that break the code that runs now.
        breaking: Safety,
        /// Statements that block traffic.
        blocking: Safety,
    }
}
