//! Planning: files and rows compared, read-only. Imports `ports`, `model`.

use std::time::Duration;

use crate::migrate::drift::{self, Gaps};
use crate::migrate::engines::forecast::{self, Look};
use crate::migrate::files::{Format, Options};
use crate::migrate::native::History;
use crate::migrate::rehearse::rehearsed;
use crate::migrate::snapshot::{self, Standing};
use crate::migrate::{select, words};
use crate::model::fault::Fault;
use crate::model::migration::{Files, MigrationPlan, MigrationRequest};
use crate::model::project::DatabaseSpec;
use crate::model::risk::Outlook;
use crate::ports::{Cx, Database, Databases, Job, LedgerRow, SessionOptions, Who};

use super::ledger::{self, Found};
use super::source::{Read, Source, Sources};

/// For opening a session, in a container too, and reading a small table.
const PATIENCE: Duration = Duration::from_secs(60);

pub(super) async fn plan(
    databases: &dyn Databases,
    sources: &Sources,
    cx: &Cx,
    job: &Job<'_>,
    request: &MigrationRequest,
) -> Result<MigrationPlan, Fault> {
    let name = &job.database.name;
    let route = databases.route(job).await?;
    let read = sources.read(cx, job, route.dialect).await?;
    let unread = (route.needs_image && job.image.is_none())
        .then(|| "no release yet, database not read".to_owned());
    let known = match &read {
        Read::Known(source, _) => Some(source.as_ref()),
        Read::Awaited => None,
    };
    let mut session = match unread {
        Some(_) => None,
        None => Some(answered(job.database, PATIENCE, open(databases, cx, job)).await?),
    };
    let (found, notes) = match &mut session {
        Some(session) => {
            answered(job.database, PATIENCE, look(session.as_mut(), job, known)).await?
        }
        None => (Found::default(), vec![]),
    };
    let rows = found.rows;
    let format = Options::of(&job.database.migrations)
        .map_err(Fault::config)?
        .format;
    let plan = MigrationPlan {
        database: name.clone(),
        engine: super::ID.to_owned(),
        migrations: vec![],
        selected: vec![],
        refusals: vec![],
        notes,
        unread,
        files: Files::Awaited,
        schema_version: version(format.unwrap_or_default(), &rows),
        route: route.words,
        outlook: Outlook::default(),
    };
    let (source, files) = match read {
        Read::Known(source, files) => (source, files),
        Read::Awaited => return Ok(plan),
    };
    let gaps = match request.allow_out_of_order {
        true => Gaps::Allow,
        false => Gaps::Refuse,
    };
    let compared = drift::compare(&source.candidates, &rows, gaps);
    let selection = select::select(&compared.migrations, &source.order(), request);
    let mut refusals = source.problems.clone();
    refusals.extend(found.refusals);
    refusals.extend(compared.refusals);
    refusals.extend(selection.refusals);
    let look = Look {
        files: source.forecast(),
        selected: &selection.selected,
        dialect: route.dialect,
        detail: request.detail,
        rehearsed: rehearsed(&job.environment.root, name),
    };
    let mut migrations = compared.migrations;
    let filling = async {
        let session = session.as_mut().map(|session| session.as_mut() as _);
        Ok(forecast::fill(&look, session, &mut migrations).await)
    };
    let outlook = answered(job.database, PATIENCE, filling).await?;
    Ok(MigrationPlan {
        notes: [plan.notes, source.folder.notes.clone()].concat(),
        migrations,
        outlook,
        selected: selection.selected,
        refusals,
        files,
        ..plan
    })
}

async fn open(
    databases: &dyn Databases,
    cx: &Cx,
    job: &Job<'_>,
) -> Result<Box<dyn Database>, Fault> {
    databases.open(cx, job, &reading(job)).await
}

/// The rows, and what is worth knowing of the schema.
async fn look(
    session: &mut dyn Database,
    job: &Job<'_>,
    source: Option<&Source>,
) -> Result<(Found, Vec<String>), Fault> {
    let found = ledger::read(session, job.database.name.as_str(), source).await?;
    let drifted = match found.own {
        true => drifted(job, snapshot::standing(session).await),
        false => None,
    };
    let tool = source.and_then(|source| source.native);
    let unlike = tool.and_then(|tool| unlike(job, tool, &found.unlike));
    let notes = drifted.into_iter().chain(unlike).collect();
    Ok((found, notes))
}

/// Comments and layout may change, says Stagecraft; not so the tool.
fn unlike(job: &Job<'_>, tool: History, ids: &[String]) -> Option<String> {
    (!ids.is_empty()).then(|| format!(
        "{}'s table holds the checksum of another text of {}, so {}; only comments or layout differ: `stagecraft migrate repair --env {} --database {}` writes the new checksum there",
        tool.label(),
        words::list(ids),
        tool.on_edits(),
        job.environment.name,
        job.database.name
    ))
}

/// That somebody else changed the schema is no reason to stop, and neither is
/// a catalogue that cannot be read.
fn drifted(job: &Job<'_>, standing: Result<Standing, Fault>) -> Option<String> {
    match standing {
        Ok(Standing::Unknown | Standing::Same(_)) => None,
        Ok(Standing::Drifted(kept, changes)) => Some(format!(
            "the schema is not as the last run left it on {}{}: {} (`{}`); see `stagecraft migrate drift --env {} --database {}`",
            kept.at,
            match kept.release.as_str() {
                "" => String::new(),
                release => format!(", {release}"),
            },
            words::plural(changes.len(), "difference"),
            changes[0].object(),
            job.environment.name,
            job.database.name
        )),
        Err(fault) => Some(format!(
            "the schema was not compared with the last run's: {fault}"
        )),
    }
}

/// A server that takes a connection and then says nothing must not hold up
/// whoever only looks. (A run has the deadline of its step.)
async fn answered<T>(
    database: &DatabaseSpec,
    patience: Duration,
    look: impl Future<Output = Result<T, Fault>>,
) -> Result<T, Fault> {
    if let Ok(answer) = tokio::time::timeout(patience, look).await {
        return answer;
    }
    let fault = Fault::unreachable(format!(
        "the database `{}` gave no answer within {}",
        database.name,
        words::duration(patience)
    ))
    .because("a connection is taken, but what is asked over it stays unanswered")
    .state("nothing was changed");
    let named = database.direct_connection_env.as_ref();
    Err(match named.or(database.connection_env.as_ref()) {
        Some(variable) => fault.hint(format!(
            "open the URL in `{variable}` with the database's own client: where that hangs too, it is the server or a pooler before it"
        )),
        None => fault,
    })
}

/// The highest number among the applied files.
pub(super) fn version(format: Format, rows: &[LedgerRow]) -> Option<i64> {
    rows.iter()
        .filter(|row| row.finished_at.is_some())
        .filter_map(|row| format.version(&row.id))
        .max()
}

pub(super) fn reading(job: &Job<'_>) -> SessionOptions {
    let spec = &job.database.migrations;
    SessionOptions {
        lock_timeout: spec.lock_timeout,
        statement_timeout: spec.statement_timeout,
        session_sql: vec![],
        application_name: "stagecraft/plan".to_owned(),
        read_only: true,
        who: Who::Migrator,
        which: job.which.clone(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::migrate::test_support::database;
    use crate::model::fault::FaultKind;

    #[tokio::test]
    async fn a_database_that_never_answers_is_given_up_with_a_way_to_look() {
        let database = database();
        let never = std::future::pending::<Result<(), Fault>>();
        let fault = answered(&database, Duration::from_millis(10), never)
            .await
            .expect_err("no answer");
        assert_eq!(fault.kind, FaultKind::Unreachable);
        assert_eq!(fault.what, "the database `main` gave no answer within 10ms");
        assert_eq!(fault.causes.len(), 1, "{fault:?}");
        assert_eq!(fault.state, ["nothing was changed"]);
        assert!(fault.hints[0].contains("`DATABASE_URL`"), "{fault:?}");
    }
}
