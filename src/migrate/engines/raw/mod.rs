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
use serde::Deserialize;

use crate::model::fault::Fault;
use crate::model::migration::{MigrationPlan, MigrationRequest};
use crate::model::project::{DatabaseSpec, MigrationSource, MigrationSpec};
use crate::ports::{Begun, Claim, Cx, Databases, Engine, Job};

use super::super::files::{Format, Order, Way};
use super::super::native::History;
use source::Sources;

pub use adopt::{Adopted, AdoptedRow, Adoption, Writing, adopt};

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

/// The keys of `migrations.options`.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct Options {
    order: Option<Order>,
    /// Whose layout the folder has.
    format: Option<Format>,
    table: Table,
}

/// Where a migration is written down.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Table {
    /// In `stagecraft_migrations`.
    #[default]
    Stagecraft,
    /// There, and in the table of the tool that the layout is of, which counts.
    Native,
}

impl Options {
    fn of(database: &DatabaseSpec) -> Result<Self, String> {
        let options = serde_json::Value::Object(database.migrations.options.clone());
        let options: Self =
            serde_json::from_value(options).map_err(|error| format!("`options`: {error}"))?;
        let format = options.format.unwrap_or_default();
        if options.order.is_some() && format != Format::Raw {
            return Err(format!(
                "`options.order` has no meaning with `format: {}`: the tool has an order of its own",
                format.label()
            ));
        }
        if options.table == Table::Native && format == Format::Raw {
            return Err(
                "`options.table: native` needs `format`, the tool whose table it is".into(),
            );
        }
        Ok(options)
    }

    fn way<'a>(&self, spec: &'a MigrationSpec) -> Way<'a> {
        Way {
            format: self.format,
            order: self.order.unwrap_or_default(),
            pattern: spec.pattern.as_deref(),
        }
    }

    /// Whose table is kept beside Stagecraft's own.
    fn native(&self) -> Option<History> {
        match self.table {
            Table::Stagecraft => None,
            Table::Native => History::of(self.format.unwrap_or_default()),
        }
    }
}

#[async_trait]
impl Engine for Raw {
    fn id(&self) -> &'static str {
        "raw"
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
        let options = match Options::of(database) {
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
            Ok(folder) => problems.extend(folder.problems.iter().cloned()),
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
