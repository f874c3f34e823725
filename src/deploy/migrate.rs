//! The migration phases of a deploy, and a migration run by itself.

use std::collections::{BTreeMap, HashMap};

use serde_json::{Value, json};

use crate::model::backup::{AutoRestore, BackupTaken};
use crate::model::fault::Fault;
use crate::model::image::PinnedImage;
use crate::model::migration::{
    Files, MigrationFailure, MigrationOutcome, MigrationPlan, MigrationReport, MigrationRequest,
    MigrationResult,
};
use crate::model::names::DatabaseName;
use crate::model::phase::Phase;
use crate::model::release::Release;
use crate::plan::{Broken, DeployPlan, Facts, MigrateStep, Step};
use crate::ports::Cx;

use super::deployer::Deployer;
use super::journal::{Journal, Stopped};

impl Deployer<'_> {
    /// One of the two phases. It is skipped where nothing is left to do, unless
    /// this very release did it before it was cut off.
    pub(super) async fn migrations(
        &self,
        journal: &mut Journal<'_>,
        plan: &DeployPlan,
        facts: &Facts,
        phase: Phase,
        step: &Step<MigrateStep>,
        image: &PinnedImage,
    ) -> Result<(), Stopped> {
        match step {
            Step::Skip(reason) if !begun_before(plan, phase) => journal.skip(phase, reason),
            Step::Skip(_) | Step::Do(_) => journal
                .run(phase, async |cx, release| {
                    self.migrate(cx, release, plan, facts, phase, image).await
                })
                .await
                .map(|_| ()),
        }
    }

    /// Applies what the plan has for this phase, and nothing else.
    async fn migrate(
        &self,
        cx: &Cx,
        release: &mut Release,
        plan: &DeployPlan,
        facts: &Facts,
        phase: Phase,
        image: &PinnedImage,
    ) -> Result<Value, Fault> {
        let plans = self.read_again(cx, &plan.migrations, image).await?;
        remember_awaited(release, &plan.migrations, &plans);
        self.gate_again(release, plan, facts, &plans)?;
        recall(release, &plans);
        let plans: Vec<MigrationPlan> = plans
            .into_iter()
            .map(|plan| only(plan, phase))
            // What this release did before it was cut off is looked at again.
            .filter(|one| !one.selected.is_empty() || one.done_by(&plan.release).next().is_some())
            .collect();
        let busy = |plan: &&MigrationPlan| !plan.selected.is_empty();
        let busy: Vec<MigrationPlan> = plans.iter().filter(busy).cloned().collect();
        self.live_tolerates(cx, release, facts, &busy).await?;
        let ran = self.migrator.run(cx, &plans, Some(image), &plan.release);
        record_run(release, phase, ran.await)
    }

    /// What was not known when the plan was approved meets the gate now: a
    /// risk that nobody could see was approved by nobody.
    fn gate_again(
        &self,
        release: &Release,
        plan: &DeployPlan,
        facts: &Facts,
        plans: &[MigrationPlan],
    ) -> Result<(), Fault> {
        let unknown = |now: &&MigrationPlan| {
            let then = plan
                .migrations
                .iter()
                .find(|one| one.database == now.database);
            then.is_some_and(|then| then.unread.is_some() || !then.files.are_final())
        };
        let fresh: Vec<MigrationPlan> = plans.iter().filter(unknown).cloned().collect();
        let broken = Broken::of(self.environment, &facts.history, &fresh);
        let mut risks = broken.risks;
        risks.retain(|risk| !plan.risks.contains(risk));
        if broken.refusals.is_empty() && risks.is_empty() {
            return Ok(());
        }
        let (what, refused) = match broken.refusals.is_empty() {
            true => (
                "nobody approved what the migrations of the image risk",
                false,
            ),
            false => ("the migrations of the image may not run", true),
        };
        let fault = broken.refusals.iter().chain(&risks);
        let fault = fault.fold(Fault::refused(what), |fault, why| fault.because(why));
        let (environment, id) = (&self.environment.name, &release.id);
        let fault = fault
            .because("they were not known before the image was there")
            .state("no migration was applied")
            .hint(format!(
                "see what they do: `stagecraft migrate plan --env {environment} --release {id} --sql`"
            ));
        Err(match refused {
            true => fault.hint("change the migration, or what `safety` says of it"),
            false => fault.hint(format!(
                "approve them by themselves, then deploy again: `stagecraft migrate run --env {environment} --release {id} --dry-run` prints the plan's id"
            )),
        })
    }

    /// What could not be read without the image is read now that it is there:
    /// databases that only a container reaches, and files that only it holds.
    /// What may not run stops the release before anything is applied.
    async fn read_again(
        &self,
        cx: &Cx,
        plans: &[MigrationPlan],
        image: &PinnedImage,
    ) -> Result<Vec<MigrationPlan>, Fault> {
        let incomplete = |plan: &&MigrationPlan| plan.unread.is_some() || !plan.files.are_final();
        let incomplete: Vec<_> = plans
            .iter()
            .filter(incomplete)
            .map(|plan| plan.database.clone())
            .collect();
        if incomplete.is_empty() {
            return Ok(plans.to_vec());
        }
        if plans.iter().any(|plan| !plan.files.are_final()) {
            // Out of a registry no host has it yet.
            let primary = &self.environment.primary().address;
            self.runner.ensure_image(cx, primary, image).await?;
        }
        let request = MigrationRequest {
            databases: incomplete,
            image: Some(image.clone()),
            files: Some(image.clone()),
            ..deploy_request()
        };
        let fresh = self.migrator.plan(cx, &request).await?;
        for plan in plans.iter().filter(|plan| plan.files == Files::Provisional) {
            let now = fresh.iter().find(|now| now.database == plan.database);
            now.map_or(Ok(()), |now| same_files(plan, now))?;
        }
        if let Some(plan) = fresh.iter().find(|plan| !plan.refusals.is_empty()) {
            let mut fault = Fault::refused(format!(
                "the migrations of `{}` were refused",
                plan.database
            ));
            for refusal in &plan.refusals {
                fault = fault.because(refusal.clone());
            }
            return Err(fault);
        }
        Ok(plans
            .iter()
            .map(|plan| {
                fresh
                    .iter()
                    .find(|fresh| fresh.database == plan.database)
                    .unwrap_or(plan)
                    .clone()
            })
            .collect())
    }
}

/// The files of the image against those of the checkout, which the plan was
/// made from.
fn same_files(planned: &MigrationPlan, image: &MigrationPlan) -> Result<(), Fault> {
    let (then, now): (BTreeMap<_, _>, BTreeMap<_, _>) = (
        planned.known_files().collect(),
        image.known_files().collect(),
    );
    let mut fault = Fault::refused(format!(
        "the migrations of `{}` in the image are not those of the checkout",
        planned.database
    ));
    for (id, checksum) in &then {
        match now.get(id) {
            None => fault = fault.because(format!("`{id}` is not in the image")),
            Some(other) if other != checksum => {
                fault = fault.because(format!("`{id}` is another file in the image"));
            }
            Some(_) => {}
        }
    }
    for id in now.keys().filter(|id| !then.contains_key(*id)) {
        fault = fault.because(format!("`{id}` is only in the image"));
    }
    match fault.causes.is_empty() {
        true => Ok(()),
        false => Err(fault.state("no migration was applied").hint(
            "see what the build puts into the image (`.dockerignore`, a generated file), or set `source: checkout`",
        )),
    }
}

/// What was known only when the image was there: a resumed release compares
/// with it, and a later rollback asks for it.
fn remember_awaited(release: &mut Release, planned: &[MigrationPlan], now: &[MigrationPlan]) {
    let awaited = |plan: &&MigrationPlan| plan.files == Files::Awaited;
    for plan in planned.iter().filter(awaited) {
        let Some(now) = now.iter().find(|now| now.database == plan.database) else {
            continue;
        };
        let ids = now.migrations.iter().map(|migration| migration.id.clone());
        release
            .known_migrations
            .insert(plan.database.clone(), ids.collect());
        let planned = now.to_run();
        let planned = planned.map(|one| (one.id.clone(), one.checksum.clone()));
        let known = release.plan.migrations.entry(plan.database.clone());
        let known = known.or_default();
        for migration in planned {
            if !known.contains(&migration) {
                known.push(migration);
            }
        }
    }
}

/// What a deploy plans: everything except `manual`.
pub(super) fn deploy_request() -> MigrationRequest {
    use crate::model::project::MigrationStrategy::{PostDeploy, PreDeploy};
    MigrationRequest {
        strategies: vec![PreDeploy, PostDeploy],
        ..MigrationRequest::default()
    }
}

fn only(mut plan: MigrationPlan, phase: Phase) -> MigrationPlan {
    plan.selected = plan
        .in_phase(phase)
        .map(|migration| migration.id.clone())
        .collect();
    plan
}

fn begun_before(plan: &DeployPlan, phase: Phase) -> bool {
    plan.migrations
        .iter()
        .flat_map(|database| database.done_by(&plan.release))
        .any(|(migration, _)| migration.runs_in(phase))
}

/// Adds what the databases say this release did: a process that was killed
/// could not record it.
pub fn recall(release: &mut Release, plans: &[MigrationPlan]) {
    for plan in plans {
        let done: Vec<MigrationResult> = plan
            .done_by(&release.id)
            .map(|(migration, duration_ms)| MigrationResult {
                duration_ms,
                outcome: MigrationOutcome::Applied,
                ..MigrationResult::waiting(&plan.database, migration)
            })
            .collect();
        if done.is_empty() {
            continue;
        }
        let record = release.schema.entry(plan.database.clone()).or_default();
        record.after = plan.schema_version;
        // What a process recorded itself is the better source.
        keep(release, done, |known| {
            known.outcome != MigrationOutcome::Applied
        });
    }
}

/// Keeps what a run did in the release's record, failed or not, and gives what
/// the phase puts out.
///
/// # Errors
/// The run's own failure.
pub fn record_run(
    release: &mut Release,
    phase: Phase,
    ran: Result<MigrationReport, MigrationFailure>,
) -> Result<Value, Fault> {
    let (report, failed) = match ran {
        Ok(report) => (report, None),
        Err(failure) => (failure.report, Some(failure.fault)),
    };
    release.backups.extend(report.backups.iter().cloned());
    for database in &report.databases {
        keep(release, database.results.clone(), |_| true);
        let record = release.schema.entry(database.database.clone()).or_default();
        if record.before.is_none() {
            record.before = database.schema_before;
        }
        record.after = database.schema_after;
        // A run with nothing to do looks at nothing.
        if database.fingerprint.is_some() || restored(&report, &database.database) {
            record.fingerprint.clone_from(&database.fingerprint);
        }
    }
    let output = output(&report);
    match failed {
        None => Ok(output),
        Some(fault) => {
            release.phases.entry(phase).or_default().output = output;
            Err(fault)
        }
    }
}

fn restored(report: &MigrationReport, database: &DatabaseName) -> bool {
    let restored = |one: &BackupTaken| matches!(one.restore, AutoRestore::Restored { .. });
    let mut backups = report.backups.iter();
    backups.any(|one| one.database == *database && restored(one))
}

/// In figures; the migrations themselves stand in the release.
fn output(report: &MigrationReport) -> Value {
    let databases = report.databases.iter().map(|database| {
        let applied = database
            .results
            .iter()
            .filter(|result| result.outcome == MigrationOutcome::Applied);
        let milliseconds: u64 = database.results.iter().map(|it| it.duration_ms).sum();
        json!({
            "database": database.database,
            "migrations_applied": applied.count(),
            "duration_ms": milliseconds,
            "backup": report.backups.iter().find(|one| one.database == database.database),
            "health_check_before": database.health_before,
            "health_check_after": database.health_after,
        })
    });
    json!({ "databases": databases.collect::<Vec<_>>() })
}

/// A migration stands in the record once, with what came of it in the end.
fn keep(
    release: &mut Release,
    results: Vec<MigrationResult>,
    gives_way: impl Fn(&MigrationResult) -> bool,
) {
    let key = |result: &MigrationResult| (result.database.clone(), result.id.clone());
    let places: HashMap<_, usize> = release.migrations.iter().map(key).zip(0..).collect();
    for result in results {
        match places.get(&key(&result)) {
            Some(&at) if gives_way(&release.migrations[at]) => release.migrations[at] = result,
            Some(_) => {}
            None => release.migrations.push(result),
        }
    }
}
