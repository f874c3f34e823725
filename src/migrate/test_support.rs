//! What the tests of this folder share.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;

use crate::model::fault::Fault;
use crate::model::project::{
    DatabaseSpec, MigrationSource, MigrationSpec, MigrationStrategy, Safety, Via,
};
use crate::ports::{Cx, Database, Databases, Job, Route, SessionOptions};

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

/// A database `main` without a file.
pub(crate) fn database() -> DatabaseSpec {
    DatabaseSpec {
        name: "main".parse().expect("a name"),
        connection_env: Some("DATABASE_URL".into()),
        direct_connection_env: None,
        via: Via::Direct,
        migrations: spec(Path::new("db")),
        backup_before_migrate: false,
        backup_keep: 5,
        safety_breaking: Safety::Warn,
        safety_blocking: Safety::Warn,
    }
}

/// Databases that nobody opens.
pub(crate) fn no_databases() -> Arc<dyn Databases> {
    struct None;

    #[async_trait]
    impl Databases for None {
        async fn route(&self, _: &Job<'_>) -> Result<Route, Fault> {
            Err(Fault::internal("not part of this test"))
        }

        async fn open(
            &self,
            _: &Cx,
            _: &Job<'_>,
            _: &SessionOptions,
        ) -> Result<Box<dyn Database>, Fault> {
            Err(Fault::internal("not part of this test"))
        }
    }

    Arc::new(None)
}
