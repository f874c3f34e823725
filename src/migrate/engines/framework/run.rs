//! Running a tool's own command under Stagecraft's lock, and reading from its
//! table what came of it. Imports `ports`, `model` and `migrate`'s pure parts.

use std::time::Instant;

use async_trait::async_trait;

use crate::migrate::engines::tables::{End, Records, Table};
use crate::migrate::engines::{agreed, container};
use crate::migrate::words;
use crate::model::container::Exit;
use crate::model::fault::Fault;
use crate::model::migration::{
    DatabaseReport, Migration, MigrationFailure, MigrationOutcome, MigrationPlan, MigrationReport,
    MigrationResult, MigrationState,
};
use crate::ports::{
    Begun, Claim, Cx, Database, Databases, Dialect, Ended, Job, SessionOptions, Which, Who,
};

use super::compare::{Gaps, compare};
use super::{File, Options, Tool, files, plan};

/// Opens, locks and looks again.
pub(super) async fn begin<'a>(
    tool: &'a dyn Tool,
    databases: &'a dyn Databases,
    cx: &Cx,
    job: &'a Job<'a>,
    planned: &'a MigrationPlan,
    claim: &Claim,
) -> Result<Box<dyn Begun<'a> + 'a>, Fault> {
    let options = Options::of(job.database).map_err(Fault::config)?;
    container::refuse_second_run(cx, job).await?;
    if let Some(image) = job.image {
        job.runner.ensure_image(cx, job.host, image).await?;
    }
    let Some((entries, _)) = files::entries(cx, job).await? else {
        let what = format!(
            "the image with the migrations of `{}` is not there",
            planned.database
        );
        return Err(Fault::refused(what)
            .state("nothing was changed")
            .hint("name one with `--image` or `--release`"));
    };
    let route = databases.route(job).await?;
    super::spoken(tool, job, route.dialect)?;
    let mut session = databases.open(cx, job, &writing(job)).await?;
    session
        .lock(cx, claim, job.database.migrations.lock_wait)
        .await?;
    let table = tool.table(&options, route.dialect);
    let records = tool.records(session.as_mut(), &table).await?;
    let late = |one: &Migration| matches!(one.state, MigrationState::OutOfOrder { .. });
    let gaps = match planned.to_run().any(late) {
        true => Gaps::Allow,
        false => Gaps::Refuse,
    };
    let found = super::found(tool, job, route.dialect, &entries).await?;
    let strategy = job.database.migrations.strategy;
    let now = compare(tool, &found.files, &records, strategy, gaps);
    let results = agree(planned, &now.migrations, found.problems, now.refusals, job)?;
    let (command, silence) = match &options.command {
        Some(command) => (command.clone(), None),
        None => (tool.command(job.database, &options, gaps), tool.silence()),
    };
    Ok(Box::new(Ready {
        work: Work {
            tool,
            databases,
            job,
            planned,
            files: found.files,
            dialect: route.dialect,
            table,
            command,
            silence,
        },
        report: DatabaseReport {
            database: planned.database.clone(),
            results,
            schema_before: plan::version(&records),
            schema_after: plan::version(&records),
            fingerprint: None,
            health_before: None,
            health_after: None,
        },
        session,
    }))
}

/// What was approved is what would run. A plan that could not read the database
/// takes what is pending now, of what it named.
fn agree(
    planned: &MigrationPlan,
    now: &[Migration],
    problems: Vec<String>,
    refusals: Vec<String>,
    job: &Job<'_>,
) -> Result<Vec<MigrationResult>, Fault> {
    let mut reasons = problems;
    reasons.extend(refusals);
    let runs: Vec<&Migration> = now.iter().filter(|one| one.state.will_run()).collect();
    for one in planned.to_run() {
        let same = |other: &&&Migration| other.id == one.id && other.checksum != one.checksum;
        if runs.iter().find(same).is_some() {
            reasons.push(format!("`{}` was changed since the plan was made", one.id));
        }
    }
    if !reasons.is_empty() {
        let fault = Fault::refused(format!(
            "the migrations of `{}` may not run",
            planned.database
        ));
        let fault = reasons.into_iter().fold(fault, Fault::because);
        return Err(fault.state("nothing was changed"));
    }
    let ids: Vec<String> = runs.iter().map(|one| one.id.clone()).collect();
    if planned.unread.is_none() {
        agreed::still(planned, &ids, job.environment)?;
    }
    Ok(runs
        .into_iter()
        .map(|one| MigrationResult::waiting(&planned.database, one))
        .collect())
}

/// Locked, and as its plan says.
struct Ready<'a> {
    work: Work<'a>,
    report: DatabaseReport,
    session: Box<dyn Database>,
}

struct Work<'a> {
    tool: &'a dyn Tool,
    databases: &'a dyn Databases,
    job: &'a Job<'a>,
    planned: &'a MigrationPlan,
    files: Vec<File>,
    dialect: Dialect,
    table: Table,
    command: Vec<String>,
    /// What helps where this command says nothing.
    silence: Option<&'static str>,
}

#[async_trait]
impl<'a> Begun<'a> for Ready<'a> {
    async fn run(self: Box<Self>, cx: &Cx) -> Ended<'a> {
        let Self {
            work,
            mut report,
            mut session,
        } = *self;
        let outcome = match work.go(cx, &mut report, &mut session).await {
            Ok(()) => Ok(report),
            Err(fault) => Err(MigrationFailure {
                fault,
                report: MigrationReport {
                    databases: vec![report],
                    backups: vec![],
                },
            }),
        };
        Ended {
            outcome,
            kept: Box::new(session),
        }
    }
}

impl Work<'_> {
    async fn go(
        &self,
        cx: &Cx,
        report: &mut DatabaseReport,
        session: &mut Box<dyn Database>,
    ) -> Result<(), Fault> {
        if report.results.is_empty() {
            return Ok(());
        }
        let began = Instant::now();
        let ran = container::run(cx, self.job, container::RUN, &self.command).await;
        // Asked even after a signal: what it did cannot be taken back.
        let records = self.look(&cx.uncancellable(), session).await;
        let took = u64::try_from(began.elapsed().as_millis()).unwrap_or(u64::MAX);
        let lines = ran.as_ref().map(|ended| ended.lines.as_slice());
        match &records {
            Ok(records) => {
                self.attribute(records, lines.unwrap_or_default(), report);
                report.schema_after = plan::version(records);
            }
            Err(_) => set(report, MigrationOutcome::Failed),
        }
        // The tool tells no time of a single one: the last has it all.
        let attempted = |r: &&mut MigrationResult| r.outcome != MigrationOutcome::NotAttempted;
        if let Some(last) = report.results.iter_mut().rev().find(attempted) {
            last.duration_ms = took;
        }
        let open = ids(report, |outcome| outcome != MigrationOutcome::Applied);
        let fault = match (ran, open.is_empty()) {
            (Ok(ended), true) if ended.exit.success() => {
                for result in &report.results {
                    cx.step(format!("applied {}", result.id));
                }
                return Ok(());
            }
            (Ok(ended), _) => self.told(&ended.exit, &open),
            (Err(fault), _) => fault,
        };
        Err(self.explained(fault, records, report))
    }

    /// The rows as they are now, by a new session where this one was lost.
    async fn look(&self, cx: &Cx, session: &mut Box<dyn Database>) -> Result<Records, Fault> {
        if let Ok(records) = self.tool.records(session.as_mut(), &self.table).await {
            return Ok(records);
        }
        let mut again = self
            .databases
            .open(cx, self.job, &writing(self.job))
            .await?;
        self.tool.records(again.as_mut(), &self.table).await
    }

    /// By the table; of those that are not in it, the last that the tool spoke
    /// of failed, or the first.
    fn attribute(&self, records: &Records, lines: &[String], report: &mut DatabaseReport) {
        let row = |id: &str| {
            let file = self.files.iter().find(|file| file.id == id)?;
            records.rows.iter().find(|row| self.tool.is(file, row))
        };
        for result in &mut report.results {
            result.outcome = match row(&result.id).map(|row| &row.end) {
                Some(End::Done) => MigrationOutcome::Applied,
                Some(End::Failed { .. }) => MigrationOutcome::Failed,
                None => MigrationOutcome::NotAttempted,
            };
        }
        let has_failed = |r: &MigrationResult| r.outcome == MigrationOutcome::Failed;
        if report.results.iter().any(has_failed) {
            return;
        }
        let mut open: Vec<&mut MigrationResult> = report
            .results
            .iter_mut()
            .filter(|result| result.outcome == MigrationOutcome::NotAttempted)
            .collect();
        let said = |result: &&mut MigrationResult| {
            lines
                .iter()
                .rposition(|line| line.contains(result.id.as_str()))
        };
        let last = open.iter().map(said).enumerate();
        let last = last.filter_map(|(at, said)| Some((said?, at))).max();
        if let Some(result) = open.get_mut(last.map_or(0, |(_, at)| at)) {
            result.outcome = MigrationOutcome::Failed;
        }
    }

    fn told(&self, exit: &Exit, open: &[String]) -> Fault {
        let command = self.command.join(" ");
        let fault = match (exit.success(), exit.oom_killed) {
            (true, _) => Fault::failed(format!(
                "`{command}` ended well, and did not apply {}",
                words::list(open)
            ))
            .because(format!(
                "{} is not in its table `{}`",
                words::list(open),
                self.table.name
            )),
            (false, true) => Fault::failed(format!("`{command}` exited with status {}", exit.code))
                .because("it ran out of memory and was killed"),
            (false, false) => {
                Fault::failed(format!("`{command}` exited with status {}", exit.code))
            }
        };
        fault.showing(
            format!("last lines of {} on {}", self.tool.id(), self.job.host),
            exit.tail.clone(),
        )
    }

    /// Where the database stands, and the tool's own way out.
    fn explained(
        &self,
        mut fault: Fault,
        records: Result<Records, Fault>,
        report: &DatabaseReport,
    ) -> Fault {
        let database = &self.planned.database;
        let again = format!(
            "mend the cause, then run `stagecraft migrate run --env {} --database {database}`; it runs what the image holds, so a file that you mend needs a deploy",
            self.job.environment.name
        );
        let records = match records {
            Ok(records) => records,
            Err(unread) => {
                let fault = fault.state(format!(
                    "how much of it took effect in `{database}` is not known: its table cannot be read ({unread})"
                ));
                return self.next(fault, again);
            }
        };
        let applied = ids(report, |outcome| outcome == MigrationOutcome::Applied);
        let open = ids(report, |outcome| outcome != MigrationOutcome::Applied);
        if !applied.is_empty() {
            let list = words::list(&applied);
            fault = fault.state(format!("applied to `{database}` and kept: {list}"));
        }
        if !open.is_empty() {
            let list = words::list(&open);
            let table = &self.table.name;
            fault = fault.state(format!("not applied, as `{table}` says: {list}"));
        }
        fault = self.halves(fault, report);
        for row in &records.rows {
            if let End::Failed { error, .. } = &row.end {
                let lines = error.iter().flat_map(|error| error.lines());
                fault = fault.because(format!("`{}` failed", row.id)).showing(
                    format!("what {} recorded of `{}`", self.tool.id(), row.id),
                    lines.take(10).map(str::to_owned).collect(),
                );
                fault = self
                    .tool
                    .repair(&row.id)
                    .into_iter()
                    .fold(fault, Fault::hint);
            }
        }
        if let (true, Some(unlock)) = (records.locked, self.tool.unlock()) {
            fault = fault.hint(unlock);
        }
        self.next(fault, again)
    }

    /// Of a tool that prints no reason, where one is to be had comes first.
    fn next(&self, fault: Fault, again: String) -> Fault {
        match self.silence {
            Some(silence) => fault.hint(silence).hint(again),
            None => fault.hint(again),
        }
    }

    /// What a failed migration did before it failed, where that stays.
    fn halves(&self, fault: Fault, report: &DatabaseReport) -> Fault {
        let failed = ids(report, |outcome| outcome == MigrationOutcome::Failed);
        let (Some(why), Some(id)) = (self.tool.keeps(self.dialect), failed.first()) else {
            return fault;
        };
        let fault = fault.state(format!(
            "what `{id}` did before it failed may be there still: {why}"
        ));
        match self.tool.repair(id).is_empty() {
            true => fault.hint(format!(
                "undo that by hand: the next run begins `{id}` from its first statement"
            )),
            // The tool's own way out says so.
            false => fault,
        }
    }
}

fn ids(report: &DatabaseReport, wanted: impl Fn(MigrationOutcome) -> bool) -> Vec<String> {
    let results = report.results.iter();
    let results = results.filter(|result| wanted(result.outcome));
    results.map(|result| result.id.clone()).collect()
}

fn set(report: &mut DatabaseReport, outcome: MigrationOutcome) {
    for result in &mut report.results {
        result.outcome = outcome;
    }
}

fn writing(job: &Job<'_>) -> SessionOptions {
    let spec = &job.database.migrations;
    let release = job.release.map(ToString::to_string).unwrap_or_default();
    SessionOptions {
        lock_timeout: spec.lock_timeout,
        statement_timeout: spec.statement_timeout,
        session_sql: vec![],
        application_name: format!("stagecraft/{release}"),
        read_only: false,
        who: Who::Migrator,
        which: Which::Configured,
    }
}
