//! Planning: the tool's files and its rows, read-only. Imports `ports`, `model`
//! and `migrate`'s pure parts.

use std::collections::HashMap;
use std::time::Duration;

use crate::migrate::engines::container;
use crate::migrate::engines::forecast::{self, Look};
use crate::migrate::engines::tables::{End, Records};
use crate::migrate::files::shown;
use crate::migrate::{select, words};
use crate::model::fault::Fault;
use crate::model::migration::{Files, MigrationPlan, MigrationRequest};
use crate::model::risk::Outlook;
use crate::model::schema::version_of;
use crate::ports::{Cx, Databases, Job, SessionOptions, Which, Who};

use super::compare::{Compared, Gaps, compare};
use super::statements::Statements;
use super::{Options, Tool, files};

/// For opening a session and reading a small table.
const PATIENCE: Duration = Duration::from_secs(60);

pub(super) async fn plan(
    tool: &dyn Tool,
    databases: &dyn Databases,
    cx: &Cx,
    job: &Job<'_>,
    request: &MigrationRequest,
) -> Result<MigrationPlan, Fault> {
    let name = &job.database.name;
    let options = Options::of(job.database).map_err(Fault::config)?;
    let route = databases.route(job).await?;
    super::spoken(tool, job, route.dialect)?;
    let read = files::entries(cx, job).await?;
    let unread = (route.needs_image && job.image.is_none())
        .then(|| "no release yet, database not read".to_owned());
    let (mut session, records) = match unread {
        Some(_) => (None, Records::default()),
        None => {
            let looking = async {
                let mut session = databases.open(cx, job, &reading(job)).await?;
                let table = tool.table(&options, route.dialect);
                let records = tool.records(session.as_mut(), &table).await?;
                Ok((Some(session), records))
            };
            answered(job, looking).await?
        }
    };
    let plan = MigrationPlan {
        database: name.clone(),
        engine: tool.id().to_owned(),
        migrations: vec![],
        selected: vec![],
        refusals: vec![],
        notes: vec![],
        unread,
        files: Files::Awaited,
        schema_version: version(&records),
        outlook: Outlook::default(),
        route: route.words,
    };
    let Some((entries, files)) = read else {
        return Ok(plan);
    };
    let found = super::found(tool, job, route.dialect, &entries).await?;
    let folder = shown(&job.database.migrations);
    let statements = Statements::of(tool, &found, &entries, folder, route.dialect);
    let gaps = match request.allow_out_of_order {
        true => Gaps::Allow,
        false => Gaps::Refuse,
    };
    let strategy = job.database.migrations.strategy;
    let Compared {
        mut migrations,
        refusals: against,
    } = compare(tool, &found.files, &records, strategy, gaps);
    // What a run that still goes on has not finished looks like a failure.
    let against = match unsettled(&records) {
        true => match container::going_on(cx, job).await? {
            Some(going) => vec![going],
            None => against,
        },
        false => against,
    };
    let order: Vec<&str> = found.files.iter().map(|file| file.id.as_str()).collect();
    let selection = select::select(&migrations, &order, request);
    let mut refusals = found.problems.clone();
    refusals.extend(against);
    refusals.extend(selection.refusals);
    if request.to.is_some() || request.steps.is_some() {
        refusals.push(format!(
            "engine `{}` of `{name}` runs all that is pending: `--to` and `--steps` cannot be used with it",
            tool.id()
        ));
    }
    statements.judge(&mut migrations);
    let look = Look {
        files: statements.forecast(),
        selected: &selection.selected,
        dialect: route.dialect,
        detail: request.detail,
        rehearsed: HashMap::new(),
    };
    let filling = async {
        let session = session.as_mut().map(|session| session.as_mut() as _);
        Ok(forecast::fill(&look, session, &mut migrations).await)
    };
    let outlook = answered(job, filling).await?;
    Ok(MigrationPlan {
        outlook,
        migrations,
        selected: selection.selected,
        refusals,
        notes: vec![],
        files,
        ..plan
    })
}

/// A lock is taken, or something was begun of which nobody knows how it ended.
fn unsettled(records: &Records) -> bool {
    let open = |end: &End| matches!(end, End::Failed { error: None, .. });
    records.locked || records.rows.iter().any(|row| open(&row.end))
}

/// The highest number among what is applied.
pub(super) fn version(records: &Records) -> Option<i64> {
    let done = records.rows.iter().filter(|row| row.end == End::Done);
    done.filter_map(|row| match row.when {
        // Drizzle keeps no name, and a hash may begin with digits.
        Some(_) => None,
        None => version_of(&row.id),
    })
    .max()
}

async fn answered<T>(
    job: &Job<'_>,
    look: impl Future<Output = Result<T, Fault>>,
) -> Result<T, Fault> {
    let answer = tokio::time::timeout(PATIENCE, look).await;
    answer.unwrap_or_else(|_| Err(silent(job)))
}

fn silent(job: &Job<'_>) -> Fault {
    Fault::unreachable(format!(
        "the database `{}` gave no answer within {}",
        job.database.name,
        words::duration(PATIENCE)
    ))
    .state("nothing was changed")
}

fn reading(job: &Job<'_>) -> SessionOptions {
    let spec = &job.database.migrations;
    SessionOptions {
        lock_timeout: spec.lock_timeout,
        statement_timeout: spec.statement_timeout,
        session_sql: vec![],
        application_name: "stagecraft/plan".to_owned(),
        read_only: true,
        who: Who::Migrator,
        which: Which::Configured,
    }
}
