//! Planning: files and rows compared, read-only. Imports `ports`, `model`.

use std::time::Duration;

use crate::migrate::drift::{self, Gaps};
use crate::migrate::files::{Format, Options};
use crate::migrate::{select, words};
use crate::model::fault::Fault;
use crate::model::migration::{Files, MigrationPlan, MigrationRequest};
use crate::model::project::DatabaseSpec;
use crate::model::risk::Outlook;
use crate::ports::{Cx, Databases, Job, LedgerRow, SessionOptions, Who};

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
    let found = match unread {
        Some(_) => Found::default(),
        None => answered(job.database, PATIENCE, found(databases, cx, job, known)).await?,
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
    for note in &source.folder.notes {
        cx.warn(note.clone());
    }
    let mut refusals = source.problems.clone();
    refusals.extend(found.refusals);
    refusals.extend(compared.refusals);
    refusals.extend(selection.refusals);
    Ok(MigrationPlan {
        migrations: compared.migrations,
        selected: selection.selected,
        refusals,
        files,
        ..plan
    })
}

async fn found(
    databases: &dyn Databases,
    cx: &Cx,
    job: &Job<'_>,
    source: Option<&Source>,
) -> Result<Found, Fault> {
    let mut session = databases.open(cx, job, &reading(job)).await?;
    ledger::read(session.as_mut(), job.database.name.as_str(), source).await
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
    use crate::migrate::test_support::spec;
    use crate::model::fault::FaultKind;
    use crate::model::project::{Safety, Via};

    #[tokio::test]
    async fn a_database_that_never_answers_is_given_up_with_a_way_to_look() {
        let database = DatabaseSpec {
            name: "main".parse().expect("a name"),
            connection_env: Some("DATABASE_URL".into()),
            direct_connection_env: None,
            via: Via::Direct,
            migrations: spec(std::path::Path::new("db")),
            backup_before_migrate: false,
            backup_keep: 5,
            safety_breaking: Safety::Warn,
            safety_blocking: Safety::Warn,
        };
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
