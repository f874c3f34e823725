//! Asking the application to migrate, and asking it again until it says that
//! nothing is pending. Imports `ports`, `model`.

use std::time::{Duration, Instant};

use async_trait::async_trait;

use crate::migrate::engines::{agreed, deadline};
use crate::migrate::words;
use crate::model::fault::Fault;
use crate::model::migration::{
    DatabaseReport, MigrationFailure, MigrationOutcome, MigrationPlan, MigrationReport,
    MigrationResult,
};
use crate::model::schema::SchemaStatus;
use crate::ports::{Begun, Cx, Ended, Fetch, Fetched, Job, Method, Request, Target};

use super::Options;
use super::live::{self, Live};

/// Between two questions to an application that is still at work.
const BETWEEN: Duration = Duration::from_millis(500);
/// Of an answer; more is no answer.
const MOST: usize = 1 << 20;
/// As much of it as a message shows.
const SHOWN: usize = 10;

/// Asks the application once more.
pub(super) async fn begin<'a>(
    fetch: &'a dyn Fetch,
    cx: &Cx,
    job: &'a Job<'a>,
    plan: &'a MigrationPlan,
) -> Result<Box<dyn Begun<'a> + 'a>, Fault> {
    let options = Options::of(job.database).map_err(Fault::config)?;
    let live = live::find(cx, job).await?.map_err(|why| {
        Fault::refused("there is no application that could migrate")
            .because(why)
            .hint(format!(
                "deploy it first: `stagecraft deploy --env {}`",
                job.environment.name
            ))
    })?;
    let status = live.status(cx, fetch).await?.map_err(|why| {
        Fault::refused("the application does not say what is pending")
            .because(format!("{}: {why}", live.words()))
            .state("nothing was changed")
    })?;
    agreed::still(plan, &status.pending, job.environment)?;
    Ok(Box::new(Ready {
        fetch,
        job,
        plan,
        live,
        options,
    }))
}

/// The application said what the plan says.
struct Ready<'a> {
    fetch: &'a dyn Fetch,
    job: &'a Job<'a>,
    plan: &'a MigrationPlan,
    live: Live<'a>,
    options: Options,
}

#[async_trait]
impl<'a> Begun<'a> for Ready<'a> {
    async fn run(self: Box<Self>, cx: &Cx) -> Ended<'a> {
        let began = Instant::now();
        let limit = deadline::Limit {
            whole: self.job.database.migrations.timeout,
            spent: Duration::ZERO,
        };
        let what = format!("the migrations of `{}`", self.plan.database);
        let ran = deadline::within(cx, limit, &what, async |cx: &Cx| self.go(cx).await).await;
        // It is asked even after a signal: what it did cannot be taken back.
        let after = self.live.status(&cx.uncancellable(), self.fetch).await;
        let after = after.ok().and_then(Result::ok);
        let took = u64::try_from(began.elapsed().as_millis()).unwrap_or(u64::MAX);
        let report = self.report(after.as_ref(), took);
        Ended {
            outcome: match ran {
                Ok(()) => Ok(report),
                Err(fault) => Err(MigrationFailure {
                    fault: self.explained(fault, &report),
                    report: MigrationReport {
                        databases: vec![report],
                        backups: vec![],
                    },
                }),
            },
            // There is no lock but that of the environment.
            kept: Box::new(()),
        }
    }
}

impl Ready<'_> {
    async fn go(&self, cx: &Cx) -> Result<(), Fault> {
        cx.step(format!(
            "asked {} to migrate: POST {}",
            self.live.words(),
            self.options.run_path
        ));
        match self.post(cx).await? {
            Ok(answer) if (200..300).contains(&answer.status) => {}
            Ok(answer) => return Err(self.refused(&answer)),
            // It may be at work all the same: its endpoint knows.
            Err(why) => cx.warn(format!(
                "POST {} gave no whole answer: {why}",
                self.options.run_path
            )),
        }
        loop {
            let asked = Instant::now();
            match self.live.status(cx, self.fetch).await? {
                Ok(status) if status.pending.is_empty() => {
                    cx.step(format!(
                        "the application says that nothing is pending: schema version {}",
                        status.current
                    ));
                    return Ok(());
                }
                Ok(status) => cx.output(format!(
                    "schema version {}, pending: {}",
                    status.current,
                    words::list(&status.pending)
                )),
                Err(why) => cx.output(format!("{} does not say: {why}", self.live.words())),
            }
            // Nothing announces that an application is done.
            cx.or_interrupted(async {
                tokio::time::sleep(BETWEEN.saturating_sub(asked.elapsed())).await;
                Ok(())
            })
            .await?;
        }
    }

    async fn post(&self, cx: &Cx) -> Result<Result<Fetched, String>, Fault> {
        let port = self.live.gate.port;
        let Some((address, published)) = self.live.container.reached_at(port) else {
            return Ok(Err(format!(
                "port {port} cannot be reached: the container has no address"
            )));
        };
        let request = Request {
            method: Method::Post("{}".to_owned()),
            path: self.options.run_path.clone(),
            name: format!("localhost:{port}"),
            headers: vec![],
            patience: self.job.database.migrations.timeout,
            most: MOST,
        };
        let target = Target::Tcp(address, published);
        self.fetch
            .fetch(cx, self.live.host, &target, &request)
            .await
    }

    fn refused(&self, answer: &Fetched) -> Fault {
        let text = String::from_utf8_lossy(&answer.body).into_owned();
        let lines = text.lines().map(|line| line.replace(char::is_control, " "));
        Fault::failed("the application did not migrate")
            .because(format!(
                "POST {} on port {} answered {}",
                self.options.run_path, self.live.gate.port, answer.status
            ))
            .showing(
                format!("answer of {}", self.live.words()),
                lines.take(SHOWN).collect(),
            )
    }

    /// What it does not call pending any more was applied.
    fn report(&self, after: Option<&SchemaStatus>, took: u64) -> DatabaseReport {
        let mut results: Vec<MigrationResult> = self
            .plan
            .to_run()
            .map(|one| MigrationResult::waiting(&self.plan.database, one))
            .collect();
        let pending = |id: &String| after.is_none_or(|status| status.pending.contains(id));
        let mut failed = false;
        for result in &mut results {
            result.outcome = match (pending(&result.id), failed) {
                (false, _) => MigrationOutcome::Applied,
                (true, false) => MigrationOutcome::Failed,
                (true, true) => MigrationOutcome::NotAttempted,
            };
            failed |= result.outcome == MigrationOutcome::Failed;
        }
        // It tells no time of a single one: the last has it all.
        let attempted = |r: &&mut MigrationResult| r.outcome != MigrationOutcome::NotAttempted;
        if let Some(last) = results.iter_mut().rev().find(attempted) {
            last.duration_ms = took;
        }
        DatabaseReport {
            database: self.plan.database.clone(),
            results,
            schema_before: self.plan.schema_version,
            schema_after: after.map_or(self.plan.schema_version, |status| Some(status.current)),
            fingerprint: None,
            health_before: None,
            health_after: None,
        }
    }

    fn explained(&self, fault: Fault, report: &DatabaseReport) -> Fault {
        let open: Vec<&str> = report
            .results
            .iter()
            .filter(|result| result.outcome != MigrationOutcome::Applied)
            .map(|result| result.id.as_str())
            .collect();
        let environment = &self.job.environment.name;
        let database = &self.plan.database;
        let fault = match open.is_empty() {
            true => fault,
            false => fault.state(format!(
                "still pending as far as is known: {}",
                words::list(&open)
            )),
        };
        fault
            .hint(format!(
                "see what it logged: `stagecraft logs --env {environment}`"
            ))
            .hint(format!(
                "then run `stagecraft migrate run --env {environment} --database {database}`"
            ))
    }
}
