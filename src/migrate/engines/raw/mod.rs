//! The `raw` engine: `.sql` files, run by Stagecraft itself on PostgreSQL,
//! MySQL and SQLite. Imports `ports`, `model` and `migrate`'s pure parts.
//!
//! What can run in a transaction does, together with its row. The rest runs
//! statement by statement, with a row before each, and goes on at the statement
//! that failed. Nothing runs that was not in the plan.

mod adopt;
mod catalogue;
mod check;
mod deadline;
mod fault;
mod image;
mod ledger;
mod plan;
mod progress;
mod run;
mod source;
mod steps;

use std::sync::Arc;

use async_trait::async_trait;

use crate::model::fault::Fault;
use crate::model::migration::{MigrationPlan, MigrationRequest};
use crate::model::project::{DatabaseSpec, MigrationSource};
use crate::ports::{Begun, Claim, Cx, Databases, Engine, Job};

use super::super::files::Options;
use source::Sources;

pub use adopt::{Adopted, AdoptedRow, Adoption, Writing, adopt};

/// The engine's id.
pub const ID: &str = "raw";

pub struct Raw {
    databases: Arc<dyn Databases>,
    sources: Sources,
}

impl Raw {
    #[must_use]
    pub fn new(databases: Arc<dyn Databases>) -> Self {
        Self {
            databases,
            sources: Sources::default(),
        }
    }
}

#[async_trait]
impl Engine for Raw {
    fn id(&self) -> &'static str {
        ID
    }

    fn needs_path(&self) -> bool {
        true
    }

    fn validate(&self, database: &DatabaseSpec) -> Vec<String> {
        let spec = &database.migrations;
        let mut problems = vec![];
        if database.connection_env.is_none() {
            problems.push(
                "engine `raw` needs `connection_env`, the variable that holds the database's URL"
                    .to_owned(),
            );
        }
        let options = match Options::of(spec) {
            Ok(options) => options,
            Err(problem) => {
                problems.push(problem);
                return problems;
            }
        };
        let Some(path) = &spec.path else {
            return problems;
        };
        // What the image holds is not known here.
        if spec.source == MigrationSource::Image {
            return problems;
        }
        match self.sources.folder(spec, path, &options.way(spec)) {
            Ok(folder) => problems.extend(folder.problems.iter().map(ToString::to_string)),
            Err(fault) => problems.push(fault.to_string()),
        }
        problems
    }

    async fn plan(
        &self,
        cx: &Cx,
        job: &Job<'_>,
        request: &MigrationRequest,
    ) -> Result<MigrationPlan, Fault> {
        plan::plan(self.databases.as_ref(), &self.sources, cx, job, request).await
    }

    async fn begin<'a>(
        &'a self,
        cx: &Cx,
        job: &'a Job<'a>,
        plan: &'a MigrationPlan,
        claim: &Claim,
    ) -> Result<Box<dyn Begun<'a> + 'a>, Fault> {
        run::begin(self.databases.as_ref(), &self.sources, cx, job, plan, claim).await
    }
}
