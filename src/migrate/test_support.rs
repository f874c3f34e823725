//! What the tests of this folder share.

use std::path::Path;
use std::time::Duration;

use crate::model::project::{MigrationSource, MigrationSpec, MigrationStrategy};

pub(crate) fn spec(folder: &Path) -> MigrationSpec {
    MigrationSpec {
        engine: "raw".into(),
        path: Some(folder.to_owned()),
        path_written: Some("db/migrations".into()),
        source: MigrationSource::Checkout,
        strategy: MigrationStrategy::PreDeploy,
        lock_wait: Duration::from_secs(60),
        lock_timeout: Duration::from_secs(5),
        lock_retries: 2,
        statement_timeout: Duration::from_secs(900),
        timeout: Duration::from_secs(1800),
        pattern: None,
        ledger: None,
        session_sql: vec![],
        role: "web".parse().expect("a name"),
        options: serde_json::Map::new(),
    }
}
