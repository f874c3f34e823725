//! The `raw` engine: `.sql` files, run by Stagecraft itself on PostgreSQL,
//! MySQL and SQLite. Imports `ports`, `model` and `migrate`'s pure parts.
//!
//! What can run in a transaction does, together with its row. The rest runs
//! statement by statement, with a row before each, and goes on at the statement
//! that failed. Nothing runs that was not in the plan.

mod adopt;
mod baseline;
mod catalogue;
mod check;
mod fault;
mod ledger;
mod plan;
mod progress;
mod repair;
mod run;
mod source;
mod steps;

use std::sync::Arc;

use async_trait::async_trait;

use crate::model::fault::Fault;
use crate::model::migration::{MigrationPlan, MigrationRequest};
use crate::model::project::{DatabaseSpec, EngineNeeds, MigrationSource};
use crate::ports::{Begun, Claim, Cx, Databases, Engine, Job};

use super::super::files::Options;
use source::Sources;

pub use adopt::{Adopted, AdoptedRow, Adoption, Writing, adopt};
pub use baseline::Baseline;
pub use repair::{Choice, Finding, Outcome};

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

/// The everyday life of its rows.
impl Raw {
    /// What marking the files up to `to` as applied would mean. Read-only.
    ///
    /// # Errors
    /// Rows or files that say something else; an unreachable database.
    pub async fn baseline(&self, cx: &Cx, job: &Job<'_>, to: &str) -> Result<Baseline, Fault> {
        baseline::look(self.databases.as_ref(), &self.sources, cx, job, to).await
    }

    /// Marks what was agreed, under the database's lock. `who` stands where a
    /// run's release would.
    ///
    /// # Errors
    /// `Locked`; refused, where it is not as it was shown any more.
    pub async fn mark(
        &self,
        cx: &Cx,
        job: &Job<'_>,
        agreed: &Baseline,
        who: &str,
    ) -> Result<(), Fault> {
        baseline::mark(self.databases.as_ref(), &self.sources, cx, job, agreed, who).await
    }

    /// What is not as it should be with the rows. Read-only.
    ///
    /// # Errors
    /// An unreachable database.
    pub async fn findings(&self, cx: &Cx, job: &Job<'_>) -> Result<Vec<Finding>, Fault> {
        repair::look(self.databases.as_ref(), &self.sources, cx, job).await
    }

    /// Mends what can be mended, under the database's lock, and says what was.
    ///
    /// # Errors
    /// `Locked`; refused, where a person has to answer first.
    pub async fn repair(
        &self,
        cx: &Cx,
        job: &Job<'_>,
        choice: &Choice,
    ) -> Result<Vec<Finding>, Fault> {
        repair::mend(self.databases.as_ref(), &self.sources, cx, job, choice).await
    }
}

#[async_trait]
impl Engine for Raw {
    fn id(&self) -> &str {
        ID
    }

    fn needs(&self) -> EngineNeeds {
        EngineNeeds {
            path: true,
            connection: true,
        }
    }

    async fn validate(&self, database: &DatabaseSpec) -> Vec<String> {
        let spec = &database.migrations;
        let mut problems = vec![];
        if database.connection_env.is_none() {
            problems.push(
                "engine `raw` needs `connection_env`, the variable that holds the database's URL"
                    .to_owned(),
            );
        }
        let options = Options::of(spec).unwrap_or_else(|problem| {
            problems.push(problem);
            Options::default()
        });
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

    fn creates(&self, _: &DatabaseSpec, _: &str) -> Option<Vec<String>> {
        None
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
