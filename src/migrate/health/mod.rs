//! Looking at databases around a run: before the first change, and after the
//! last one, then as the application connects. Imports `ports`, `model`.
//!
//! Invariant: nothing is changed. Every check is asked, whatever another one
//! said; what a server does not tell is `unknown` and never guessed.

mod ask;
mod ledger;
mod mysql;
mod postgres;
mod sqlite;
mod verdict;

use std::time::{Duration, Instant};

use futures_util::future::join_all;
use indexmap::IndexMap;

use crate::model::fault::Fault;
use crate::model::health::{Check, CheckName, Health, Verdict};
use crate::model::migration::MigrationPlan;
use crate::model::names::DatabaseName;
use crate::ports::{Cx, Database, Databases, Dialect, Job, SessionOptions, Who};

pub(super) use verdict::{refusal, tell, unhealthy, unsound};

/// For one look at one database, all its checks together.
const LIMIT: Duration = Duration::from_secs(60);
/// For one question, where the server keeps time itself.
const QUESTION: Duration = Duration::from_secs(10);

/// When a look is taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Moment {
    Before,
    After,
}

/// What was seen, database by database.
pub(super) type Seen = IndexMap<DatabaseName, Health>;

/// Looks at all these databases at the same time. Those that nobody connects
/// to (`app`) are left out.
///
/// # Errors
/// The signal, which leaves nothing behind.
pub(super) async fn look(
    cx: &Cx,
    databases: &dyn Databases,
    at: &[(&Job<'_>, &MigrationPlan)],
    moment: Moment,
) -> Result<Seen, Fault> {
    let reached = at
        .iter()
        .filter(|(job, _)| job.database.connection_env.is_some());
    let looks = reached.map(|(job, plan)| async move {
        let name = job.database.name.clone();
        let health = one(&cx.on_database(&name), databases, job, plan, moment).await;
        (name, health)
    });
    cx.or_interrupted(async { Ok(join_all(looks).await) })
        .await
        .map(Seen::from_iter)
}

async fn one(
    cx: &Cx,
    databases: &dyn Databases,
    job: &Job<'_>,
    plan: &MigrationPlan,
    moment: Moment,
) -> Health {
    let began = Instant::now();
    let mut checks = vec![];
    let asking = asked(cx, databases, job, plan, moment, &mut checks);
    if tokio::time::timeout(LIMIT, asking).await.is_err() {
        // What takes a connection and then says nothing is not well.
        checks.push(Check::new(
            CheckName::Connection,
            Verdict::Critical,
            format!("it did not answer everything within {} s", LIMIT.as_secs()),
        ));
    }
    let took = u64::try_from(began.elapsed().as_millis()).unwrap_or(u64::MAX);
    Health::of(checks, took)
}

async fn asked(
    cx: &Cx,
    databases: &dyn Databases,
    job: &Job<'_>,
    plan: &MigrationPlan,
    moment: Moment,
    checks: &mut Vec<Check>,
) {
    // Where both log in by one variable, one session is both of them.
    let own_way = job.database.direct_connection_env.is_some();
    if moment == Moment::After {
        let options = reading(job, Who::Application);
        match databases.open(cx, job, &options).await {
            Err(fault) => checks.push(Check::new(
                CheckName::Application,
                Verdict::Critical,
                format!("it cannot connect any more: {fault}"),
            )),
            Ok(mut session) => {
                let may_read = application(&mut *session).await;
                checks.push(may_read);
                if !own_way {
                    questions(&mut *session, plan, moment, checks).await;
                }
            }
        }
        if !own_way {
            return;
        }
    }
    match databases.open(cx, job, &reading(job, Who::Migrator)).await {
        Err(fault) => checks.push(Check::new(
            CheckName::Connection,
            Verdict::Critical,
            fault.to_string(),
        )),
        Ok(mut session) => questions(&mut *session, plan, moment, checks).await,
    }
}

async fn questions(
    session: &mut dyn Database,
    plan: &MigrationPlan,
    moment: Moment,
    checks: &mut Vec<Check>,
) {
    checks.push(match session.query("SELECT 1").await {
        Ok(_) => Check::new(CheckName::Connection, Verdict::Passed, "it answers"),
        Err(fault) => Check::new(CheckName::Connection, Verdict::Critical, fault.to_string()),
    });
    checks.push(ledger::check(session, plan, moment).await);
    match session.dialect() {
        Dialect::Postgres => postgres::ask(session, moment, checks).await,
        Dialect::Mysql => mysql::ask(session, moment, checks).await,
        Dialect::Sqlite => sqlite::ask(session, moment, checks).await,
    }
    // One that ended meanwhile left its questions unanswered, not answered well.
    if let Err(fault) = session.query("SELECT 1").await {
        checks.push(Check::new(
            CheckName::Connection,
            Verdict::Critical,
            format!("the session ended while it was looked at: {fault}"),
        ));
    }
}

/// The application's own session: that it is one, and what it may not read.
async fn application(session: &mut dyn Database) -> Check {
    let hidden: &[&str] = match session.dialect() {
        Dialect::Postgres => &[postgres::HIDDEN],
        // There a table that may not be read is not even listed.
        Dialect::Mysql | Dialect::Sqlite => &["SELECT NULL"],
    };
    match ask::ask(session, hidden).await {
        Ok(tables) if tables.is_empty() => {
            Check::new(CheckName::Application, Verdict::Passed, "it connects")
        }
        Ok(tables) => Check::new(
            CheckName::Application,
            Verdict::Warning,
            format!("it connects, and may not read {}", tables.join(", ")),
        ),
        Err(why) => Check::new(CheckName::Application, Verdict::Error, why),
    }
}

fn reading(job: &Job<'_>, who: Who) -> SessionOptions {
    SessionOptions {
        lock_timeout: job.database.migrations.lock_timeout,
        statement_timeout: QUESTION,
        session_sql: vec![],
        application_name: "stagecraft/health".to_owned(),
        read_only: true,
        who,
        which: job.which.clone(),
    }
}
