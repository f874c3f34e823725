//! The tables in which other tools keep their history: found, read, and written
//! as the tool itself would write them. Imports `ports`, `model` and `files`.
//!
//! Invariant: a row is written together with what it speaks of or not at all,
//! and only for a migration that is done. One that was cut off in the middle
//! stands in Stagecraft's own table alone.

mod compare;
mod insert;
mod read;
mod schema;
mod width;

use serde::{Deserialize, Serialize};

use crate::model::fault::Fault;
use crate::ports::{Cx, Database, Dialect};

use super::files::{Format, MigrationFile};
pub use compare::{Compared, Finding, Known, compare};
pub use read::Row;
use width::Width;

/// Whose history.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum History {
    Dbmate,
    Goose,
    GolangMigrate,
    Sqlx,
    Refinery,
    Diesel,
    Flyway,
    Prisma,
    Drizzle,
    Knex,
    NodePgMigrate,
}

/// A table that is there, with its schema: a script may leave another
/// `search_path` behind.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Table {
    pub history: History,
    pub dialect: Dialect,
    pub name: String,
    width: Width,
}

impl History {
    pub const ALL: [Self; 11] = [
        History::Dbmate,
        History::Goose,
        History::GolangMigrate,
        History::Sqlx,
        History::Refinery,
        History::Diesel,
        History::Flyway,
        History::Prisma,
        History::Drizzle,
        History::Knex,
        History::NodePgMigrate,
    ];

    /// The tool of a layout; Stagecraft's own has none.
    #[must_use]
    pub fn of(format: Format) -> Option<Self> {
        Some(match format {
            Format::Raw => return None,
            Format::Dbmate => History::Dbmate,
            Format::Goose => History::Goose,
            Format::GolangMigrate => History::GolangMigrate,
            Format::Sqlx => History::Sqlx,
            Format::Refinery => History::Refinery,
            Format::Diesel => History::Diesel,
            Format::Flyway => History::Flyway,
            Format::Prisma => History::Prisma,
            Format::Drizzle => History::Drizzle,
            Format::NodePgMigrate => History::NodePgMigrate,
        })
    }

    /// As the command line writes it.
    #[must_use]
    pub fn label(self) -> &'static str {
        match self {
            History::Dbmate => "dbmate",
            History::Goose => "goose",
            History::GolangMigrate => "golang-migrate",
            History::Sqlx => "sqlx",
            History::Refinery => "refinery",
            History::Diesel => "diesel",
            History::Flyway => "flyway",
            History::Prisma => "prisma",
            History::Drizzle => "drizzle",
            History::Knex => "knex",
            History::NodePgMigrate => "node-pg-migrate",
        }
    }

    /// What the tool makes of a checksum that is not the file's.
    #[must_use]
    pub fn on_edits(self) -> String {
        let tool = self.label();
        match self {
            History::Sqlx | History::Refinery | History::Flyway => {
                format!("{tool} itself would refuse to go on")
            }
            // The others go on, or keep no checksum at all.
            History::Dbmate
            | History::Goose
            | History::GolangMigrate
            | History::Diesel
            | History::Prisma
            | History::Drizzle
            | History::Knex
            | History::NodePgMigrate => format!("{tool} itself takes it for edited"),
        }
    }

    /// How a migration is settled that the tool's table calls not done.
    #[must_use]
    pub fn settles(self, key: &str) -> String {
        match self {
            History::GolangMigrate => {
                "undo what of it took effect, then set the version before it: `migrate … force VERSION`".to_owned()
            }
            History::Sqlx => format!(
                "undo what of it took effect, then `DELETE FROM _sqlx_migrations WHERE version = {key}`"
            ),
            History::Flyway => "undo what of it took effect, then `flyway repair`".to_owned(),
            History::Prisma => format!(
                "undo what of it took effect, then `prisma migrate resolve --rolled-back {key}`"
            ),
            // Their tables hold what is done, and nothing else.
            History::Dbmate
            | History::Goose
            | History::Refinery
            | History::Diesel
            | History::Drizzle
            | History::Knex
            | History::NodePgMigrate => format!("put that in order with {}", self.label()),
        }
    }

    /// Why the tool's table cannot be kept for these files.
    #[must_use]
    pub fn objections(self, dialect: Dialect, files: &[MigrationFile]) -> Vec<String> {
        let mut objections = vec![];
        if self.create(dialect, "t", Width::of(files)).is_none() {
            objections.push(format!(
                "`options.table: native` is not known for {} on this kind of database: leave it out",
                self.label()
            ));
        }
        // One number stands for all files up to it.
        if self == History::GolangMigrate {
            let late = files.iter().filter(|file| file.header.post);
            objections.extend(late.map(|file| {
                format!(
                    "`{}` says `phase=post`, and golang-migrate's table cannot hold a migration that waits while later ones run: leave `options.table: native` or the directive out",
                    file.shown
                )
            }));
        }
        objections
    }

    /// The table, where there is one with the columns that it should have.
    ///
    /// # Errors
    /// The database cannot be read.
    pub async fn find(self, database: &mut dyn Database) -> Result<Option<Table>, Fault> {
        let dialect = database.dialect();
        let columns = database.query(&self.ask_columns(dialect)).await?;
        let columns: Vec<String> = columns
            .into_iter()
            .flatten()
            .map(|name| name.to_lowercase())
            .collect();
        let has = |name: &str| columns.iter().any(|column| column == name);
        let other = self == History::Dbmate && has("dirty");
        if other || !self.columns().iter().all(|name| has(name)) {
            return Ok(None);
        }
        let name = database.query(&self.ask_name(dialect)).await?;
        let Some(name) = name.into_iter().flatten().next() else {
            return Ok(None);
        };
        let width = match self {
            History::Refinery => Width::ask(database, self.table()).await?,
            _ => Width::default(),
        };
        Ok(Some(Table {
            history: self,
            dialect,
            name,
            width,
        }))
    }

    /// The table, made where it is missing, as these files need it.
    ///
    /// # Errors
    /// It cannot be made, or something else has its name.
    pub async fn prepare(
        self,
        cx: &Cx,
        database: &mut dyn Database,
        files: &[MigrationFile],
    ) -> Result<Table, Fault> {
        if let Some(table) = self.find(database).await? {
            return Ok(table);
        }
        let dialect = database.dialect();
        let cannot = || Fault::failed(format!("cannot make the table of {}", self.label()));
        let name = self.new_name(database).await?;
        let width = Width::of(files);
        for sql in self.create(dialect, &name, width).unwrap_or_default() {
            database
                .execute(cx, &sql)
                .await
                .map_err(|error| cannot().because(error.message))?;
        }
        let made = self.find(database).await?;
        made.ok_or_else(|| cannot().because("another table has its name"))
    }
}

#[cfg(test)]
mod tests;
