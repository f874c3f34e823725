//! How wide refinery's versions are: its feature `int8-versions` makes them 64
//! bits, in its table and in what its checksums are made of. Imports `ports`
//! and `files`.

use crate::migrate::files::MigrationFile;
use crate::model::fault::Fault;
use crate::ports::{Database, Dialect};

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) enum Width {
    #[default]
    Narrow,
    Wide,
}

impl Width {
    /// What a new table needs: one version that takes 64 bits makes all wide.
    pub(super) fn of(files: &[MigrationFile]) -> Self {
        let versions = files.iter().filter_map(|file| file.version);
        match versions.max().unwrap_or_default() > i64::from(i32::MAX) {
            true => Width::Wide,
            false => Width::Narrow,
        }
    }

    /// That of a table that is there.
    pub(super) async fn ask(database: &mut dyn Database, table: &str) -> Result<Self, Fault> {
        let ask = match database.dialect() {
            Dialect::Postgres => format!(
                "SELECT format_type(atttypid, NULL) FROM pg_catalog.pg_attribute \
                 WHERE attrelid = to_regclass('{table}') AND attname = 'version'"
            ),
            Dialect::Mysql => format!(
                "SELECT data_type FROM information_schema.columns \
                 WHERE table_schema = DATABASE() AND table_name = '{table}' AND column_name = 'version'"
            ),
            Dialect::Sqlite => {
                format!("SELECT type FROM pragma_table_info('{table}') WHERE name = 'version'")
            }
        };
        let kind = database.query(&ask).await?;
        let kind = kind.into_iter().flatten().next().unwrap_or_default();
        Ok(match kind.to_lowercase().as_str() {
            "int8" | "bigint" => Width::Wide,
            _ => Width::Narrow,
        })
    }

    pub(super) fn column(self) -> &'static str {
        match self {
            Width::Narrow => "int4",
            Width::Wide => "int8",
        }
    }

    /// Of a file's checksums, which are narrow (where its version fits) and wide.
    pub(super) fn pick(self, checksums: &str) -> &str {
        let (narrow, wide) = checksums.split_once(' ').unwrap_or((checksums, checksums));
        match self {
            Width::Narrow => narrow,
            Width::Wide => wide,
        }
    }
}
