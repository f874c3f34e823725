//! Planning: files and rows compared, read-only. Imports `ports`, `model`.

use crate::migrate::drift::{self, Gaps};
use crate::migrate::select;
use crate::model::fault::Fault;
use crate::model::migration::{Files, MigrationPlan, MigrationRequest};
use crate::model::project::MigrationSpec;
use crate::ports::{Cx, Databases, Job, LedgerRow, SessionOptions};

use super::source::{Read, Sources};

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
    let rows = match unread {
        Some(_) => vec![],
        None => {
            let mut session = databases
                .open(cx, job, &reading(&job.database.migrations))
                .await?;
            let rows = session.rows(name.as_str()).await?;
            rows.unwrap_or_default()
        }
    };
    let plan = MigrationPlan {
        database: name.clone(),
        engine: "raw".to_owned(),
        migrations: vec![],
        selected: vec![],
        refusals: vec![],
        unread,
        files: Files::Awaited,
        schema_version: version(&rows),
        route: route.words,
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

/// The highest number among the applied files.
pub(super) fn version(rows: &[LedgerRow]) -> Option<i64> {
    rows.iter()
        .filter(|row| row.finished_at.is_some())
        .filter_map(|row| {
            crate::migrate::files::leading_number(&row.id)
                .ok()
                .flatten()
        })
        .max()
}

fn reading(spec: &MigrationSpec) -> SessionOptions {
    SessionOptions {
        lock_timeout: spec.lock_timeout,
        statement_timeout: spec.statement_timeout,
        session_sql: vec![],
        application_name: "stagecraft/plan".to_owned(),
        read_only: true,
    }
}
