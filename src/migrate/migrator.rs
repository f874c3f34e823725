//! All databases of an environment, in the order of the file. Imports `ports`,
//! `model`. Stateless: plans and runs hold no connection between them.

use std::sync::Arc;

use async_trait::async_trait;
use futures_util::future::join_all;

use crate::model::fault::{Fault, FaultKind};
use crate::model::image::PinnedImage;
use crate::model::migration::{
    DatabaseReport, MigrationFailure, MigrationOutcome, MigrationPlan, MigrationReport,
    MigrationRequest, MigrationResult,
};
use crate::model::names::DatabaseName;
use crate::model::project::{DatabaseSpec, Environment};
use crate::model::release::ReleaseId;
use crate::ports::{Connections, ContainerRunner, Cx, Engine, HostLink, Job, Migrator};

use super::registry::Registry;
use super::words;

/// The migrator of one environment.
#[must_use]
pub fn migrator(
    environment: Arc<Environment>,
    registry: Arc<Registry>,
    values: Arc<dyn Connections>,
    runner: Arc<dyn ContainerRunner>,
    link: Arc<dyn HostLink>,
) -> Arc<dyn Migrator> {
    Arc::new(All {
        environment,
        registry,
        values,
        runner,
        link,
    })
}

struct All {
    environment: Arc<Environment>,
    registry: Arc<Registry>,
    values: Arc<dyn Connections>,
    runner: Arc<dyn ContainerRunner>,
    link: Arc<dyn HostLink>,
}

#[async_trait]
impl Migrator for All {
    async fn plan(&self, cx: &Cx, request: &MigrationRequest) -> Result<Vec<MigrationPlan>, Fault> {
        let wanted = self.wanted(&request.databases)?;
        let plans = wanted.into_iter().map(|database| async move {
            let engine = self.engine(database)?;
            let job = self.job(database, request.image.as_ref(), None);
            engine
                .plan(&cx.on_database(&database.name), &job, request)
                .await
                .map_err(|fault| {
                    let what = "cannot plan the migrations of";
                    reachable(in_database(fault, &database.name, what), database)
                })
        });
        // Every database answers before the first error is returned: no
        // session is dropped in the middle of a question.
        join_all(plans).await.into_iter().collect()
    }

    async fn run(
        &self,
        cx: &Cx,
        plans: &[MigrationPlan],
        image: Option<&PinnedImage>,
        release: &ReleaseId,
    ) -> Result<MigrationReport, MigrationFailure> {
        let mut report = MigrationReport::default();
        if let Some(fault) = refused(plans) {
            return Err(stopped(fault, report, plans));
        }
        for (index, plan) in plans.iter().enumerate() {
            if plan.selected.is_empty() {
                report.databases.push(untouched(plan));
                continue;
            }
            match self.one(cx, plan, image, release).await {
                Ok(done) => report.databases.push(done),
                Err(failure) => {
                    report.databases.extend(failure.report.databases);
                    let what = match failure.fault.kind {
                        FaultKind::Interrupted => "interrupted in the migrations of",
                        FaultKind::Config
                        | FaultKind::Locked
                        | FaultKind::Refused
                        | FaultKind::Cancelled
                        | FaultKind::Unreachable
                        | FaultKind::Failed
                        | FaultKind::UndoFailed
                        | FaultKind::Internal => "migrations failed on",
                    };
                    let fault = in_database(failure.fault, &plan.database, what);
                    return Err(stopped(fault, report, &plans[index + 1..]));
                }
            }
        }
        Ok(report)
    }
}

impl All {
    async fn one(
        &self,
        cx: &Cx,
        plan: &MigrationPlan,
        image: Option<&PinnedImage>,
        release: &ReleaseId,
    ) -> Result<DatabaseReport, MigrationFailure> {
        let before = |fault| MigrationFailure {
            fault,
            report: MigrationReport {
                databases: vec![untouched(plan)],
            },
        };
        let Some(database) = self.environment.databases.get(&plan.database) else {
            let what = format!("there is no database `{}` any more", plan.database);
            return Err(before(Fault::refused(what)));
        };
        let engine = self.engine(database).map_err(before)?;
        let job = self.job(database, image, Some(release));
        engine
            .run(&cx.on_database(&database.name), &job, plan)
            .await
    }

    fn wanted(&self, names: &[DatabaseName]) -> Result<Vec<&DatabaseSpec>, Fault> {
        let databases = &self.environment.databases;
        if let Some(name) = names.iter().find(|name| !databases.contains_key(*name)) {
            let known = databases.keys().map(DatabaseName::as_str);
            return Err(
                Fault::config(format!("there is no database `{name}`")).hint(format!(
                    "known, nearest first: {}",
                    words::list(&words::nearest(name.as_str(), known))
                )),
            );
        }
        let all = databases.values();
        Ok(all
            .filter(|database| names.is_empty() || names.contains(&database.name))
            .collect())
    }

    fn engine(&self, database: &DatabaseSpec) -> Result<&Arc<dyn Engine>, Fault> {
        self.registry
            .get(&database.migrations.engine)
            .map_err(|error| Fault::config(error.to_string()))
    }

    fn job<'a>(
        &'a self,
        database: &'a DatabaseSpec,
        image: Option<&'a PinnedImage>,
        release: Option<&'a ReleaseId>,
    ) -> Job<'a> {
        Job {
            environment: &self.environment,
            database,
            host: &self.environment.primary().address,
            image,
            release,
            values: self.values.as_ref(),
            runner: self.runner.as_ref(),
            link: self.link.as_ref(),
        }
    }
}

/// What to look at when a database gave no session.
fn reachable(fault: Fault, database: &DatabaseSpec) -> Fault {
    if fault.kind != FaultKind::Unreachable || !fault.hints.is_empty() {
        return fault;
    }
    let named = database.direct_connection_env.as_ref();
    let Some(variable) = named.or(database.connection_env.as_ref()) else {
        return fault;
    };
    fault.hint(format!(
        "see whether it runs, and whether `{variable}` has the right address, name and login"
    ))
}

fn in_database(mut fault: Fault, database: &DatabaseName, what: &str) -> Fault {
    let inner = std::mem::replace(&mut fault.what, format!("{what} `{database}`"));
    fault.causes.insert(0, inner);
    fault
}

/// All plans have to be free of refusals before the first database is touched.
fn refused(plans: &[MigrationPlan]) -> Option<Fault> {
    let plan = plans.iter().find(|plan| !plan.refusals.is_empty())?;
    let what = format!("the migrations of `{}` may not run", plan.database);
    let fault = plan
        .refusals
        .iter()
        .fold(Fault::refused(what), |fault, why| fault.because(why));
    Some(fault.state("no database was touched"))
}

/// Adds the databases that were not attempted.
fn stopped(fault: Fault, mut report: MigrationReport, later: &[MigrationPlan]) -> MigrationFailure {
    let mut fault = fault;
    let kept: Vec<&str> = report
        .databases
        .iter()
        .filter(|database| {
            let results = &database.results;
            !results.is_empty()
                && results
                    .iter()
                    .all(|r| r.outcome == MigrationOutcome::Applied)
        })
        .map(|database| database.database.as_str())
        .collect();
    if !kept.is_empty() {
        fault = fault.state(format!("{} stays migrated", words::list(&kept)));
    }
    let waiting: Vec<&str> = later
        .iter()
        .filter(|plan| !plan.selected.is_empty())
        .map(|plan| plan.database.as_str())
        .collect();
    if !report.databases.is_empty() && !waiting.is_empty() {
        fault = fault.state(format!("not attempted: {}", words::list(&waiting)));
    }
    report.databases.extend(later.iter().map(untouched));
    MigrationFailure { fault, report }
}

fn untouched(plan: &MigrationPlan) -> DatabaseReport {
    let results = plan.to_run().map(|migration| MigrationResult {
        database: plan.database.clone(),
        id: migration.id.clone(),
        checksum: migration.checksum.clone(),
        duration_ms: 0,
        outcome: MigrationOutcome::NotAttempted,
    });
    DatabaseReport {
        database: plan.database.clone(),
        results: results.collect(),
        schema_before: plan.schema_version,
        schema_after: plan.schema_version,
    }
}
