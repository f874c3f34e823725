//! The container that answers for the live release: one of the gate's role on
//! the primary host. Imports `ports`, `model`.

use std::collections::BTreeMap;

use crate::model::container::{Container, label};
use crate::model::fault::Fault;
use crate::model::host::HostAddress;
use crate::model::project::SchemaGate;
use crate::model::schema::SchemaStatus;
use crate::ports::{Cx, Fetch, Job, schema_status};

pub(super) struct Live<'a> {
    pub(super) host: &'a HostAddress,
    pub(super) container: Container,
    pub(super) gate: &'a SchemaGate,
}

/// The inner error is why there is none to be asked, in words.
///
/// # Errors
/// No gate is configured; the host cannot be reached.
pub(super) async fn find<'a>(cx: &Cx, job: &Job<'a>) -> Result<Result<Live<'a>, String>, Fault> {
    let environment = job.environment;
    let Some(gate) = &environment.schema_gate else {
        return Err(Fault::config(format!(
            "engine `app` of `{}` needs `schema_gate`: its endpoint says what is pending",
            job.database.name
        ))
        .hint("add `schema_gate: { path: /schema/status, port: 9090 }`"));
    };
    let labels = BTreeMap::from([
        (label::PROJECT.to_owned(), environment.project.to_string()),
        (label::ENVIRONMENT.to_owned(), environment.name.to_string()),
    ]);
    let answers = |container: &Container| {
        let role = container.label(label::ROLE).map(str::parse);
        container.running()
            && container.label(label::JOB).is_none()
            && role.is_some_and(|role| role.is_ok_and(|role| gate.asks(&role)))
    };
    let found = job.runner.list(cx, job.host, &labels).await?;
    let newest = found
        .into_iter()
        .filter(answers)
        .max_by(|a, b| (&a.started_at, &a.name).cmp(&(&b.started_at, &b.name)));
    Ok(match newest {
        Some(container) => Ok(Live {
            host: job.host,
            container,
            gate,
        }),
        None => {
            let role = gate.role.as_ref().map_or("web", |role| role.as_str());
            Err(format!(
                "no container of `{role}` runs on {}, so the application was not asked",
                job.host
            ))
        }
    })
}

impl Live<'_> {
    pub(super) async fn status(
        &self,
        cx: &Cx,
        fetch: &dyn Fetch,
    ) -> Result<Result<SchemaStatus, String>, Fault> {
        schema_status(cx, fetch, self.gate, self.host, &self.container).await
    }

    pub(super) fn words(&self) -> String {
        format!("`{}` on {}", self.container.name, self.host)
    }
}
