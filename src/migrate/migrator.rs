//! All databases of an environment, in the order of the file. Imports `ports`,
//! `model`. Stateless: plans and runs hold no connection between them.

use std::sync::Arc;

use async_trait::async_trait;
use futures_util::future::join_all;

use crate::model::fault::{Fault, FaultKind};
use crate::model::image::PinnedImage;
use crate::model::migration::{MigrationFailure, MigrationPlan, MigrationReport, MigrationRequest};
use crate::model::names::DatabaseName;
use crate::model::project::{DatabaseSpec, Environment};
use crate::model::release::ReleaseId;
use crate::ports::{Connections, ContainerRunner, Cx, Engine, HostLink, Job, Migrator};

use super::registry::Registry;
use super::safeguard::{Safeguard, with_backups};
use super::step::{self, Entry, in_database};
use super::words;

/// The migrator of one environment.
#[must_use]
pub fn migrator(
    environment: Arc<Environment>,
    registry: Arc<Registry>,
    values: Arc<dyn Connections>,
    runner: Arc<dyn ContainerRunner>,
    link: Arc<dyn HostLink>,
    safeguard: Safeguard,
) -> Arc<dyn Migrator> {
    Arc::new(All {
        environment,
        registry,
        values,
        runner,
        link,
        safeguard,
    })
}

struct All {
    environment: Arc<Environment>,
    registry: Arc<Registry>,
    values: Arc<dyn Connections>,
    runner: Arc<dyn ContainerRunner>,
    link: Arc<dyn HostLink>,
    safeguard: Safeguard,
}

#[async_trait]
impl Migrator for All {
    async fn plan(&self, cx: &Cx, request: &MigrationRequest) -> Result<Vec<MigrationPlan>, Fault> {
        let wanted = self.wanted(&request.databases)?;
        let plans = wanted.into_iter().map(|database| async move {
            let engine = self.engine(database)?;
            let job = self.job(
                database,
                [&request.image, &request.files].map(Option::as_ref),
                None,
            );
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
        let stopped = |fault| MigrationFailure {
            fault,
            report: whole(plans, MigrationReport::default()),
        };
        if let Some(fault) = refused(plans) {
            return Err(stopped(fault));
        }
        let entries = self.entries(plans, image, release).map_err(stopped)?;
        let locked = step::lock(cx, &entries).await.map_err(stopped)?;
        // Here every database is locked and as planned, and none is changed yet:
        // the place of what must be true of all of them first.
        let (guard, environment) = (&self.safeguard, &*self.environment);
        let before = guard.before(cx, environment, &entries).await;
        let taken = before.map_err(stopped)?;
        match locked.apply(cx).await {
            Ok(report) => {
                guard.after(cx, environment, &taken).await;
                Ok(whole(plans, with_backups(report, &taken)))
            }
            Err(failure) => {
                let failure = guard
                    .after_failure(cx, environment, &entries, &taken, failure)
                    .await;
                Err(MigrationFailure {
                    fault: failure.fault,
                    report: whole(plans, failure.report),
                })
            }
        }
    }
}

impl All {
    /// The databases that have something to do.
    fn entries<'a>(
        &'a self,
        plans: &'a [MigrationPlan],
        image: Option<&'a PinnedImage>,
        release: &'a ReleaseId,
    ) -> Result<Vec<Entry<'a>>, Fault> {
        let busy = plans.iter().filter(|plan| !plan.selected.is_empty());
        let entries = busy.map(|plan| {
            let database = self.environment.databases.get(&plan.database);
            let database = database.ok_or_else(|| {
                Fault::refused(format!("there is no database `{}` any more", plan.database))
            })?;
            Ok(Entry {
                engine: self.engine(database)?.as_ref(),
                job: self.job(database, [image, image], Some(release)),
                plan,
            })
        });
        entries.collect()
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
        [image, files]: [Option<&'a PinnedImage>; 2],
        release: Option<&'a ReleaseId>,
    ) -> Job<'a> {
        Job {
            environment: &self.environment,
            database,
            host: &self.environment.primary().address,
            image,
            files,
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

/// A report on every plan, in their order: those that nothing was done with too.
fn whole(plans: &[MigrationPlan], mut report: MigrationReport) -> MigrationReport {
    let databases = plans.iter().map(|plan| {
        let done = report
            .databases
            .iter()
            .position(|done| done.database == plan.database);
        done.map_or_else(
            || step::untouched(plan),
            |index| report.databases.swap_remove(index),
        )
    });
    MigrationReport {
        databases: databases.collect(),
        backups: report.backups,
    }
}
