//! The schema gate: every replica is asked whether it may serve on the schema
//! that is there. Nothing overrules its answer; none is a refusal too.

use std::time::Duration;

use futures_util::future::try_join_all;

use crate::model::container::{Container, label};
use crate::model::fault::Fault;
use crate::model::host::HostAddress;
use crate::model::project::SchemaGate;
use crate::model::schema::{Objection, Remedy, SchemaStatus};
use crate::ports::{Cx, Fetch, schema_status};

/// One replica, its host, and what came of asking it.
type Asked<'a> = (&'a HostAddress, &'a Container, Result<SchemaStatus, String>);

/// Asks all replicas at once; returns when each may serve and all say the same.
/// Where there are none, nobody vouches for the release: refused.
///
/// # Errors
/// `Refused` (12), with every answer that is in the way.
pub(super) async fn agree(
    cx: &Cx,
    fetch: &dyn Fetch,
    gate: &SchemaGate,
    asked: &[(HostAddress, Container)],
) -> Result<(), Fault> {
    let answers = try_join_all(asked.iter().map(|(host, container)| async move {
        let answer = schema_status(cx, fetch, gate, host, container).await?;
        Ok::<_, Fault>((host, container, answer))
    }))
    .await?;
    judge(gate, &answers)?;
    if let Some((_, _, Ok(status))) = answers.first() {
        cx.step(format!(
            "the schema gate agreed: {} at version {}, code from {} to {}",
            database(gate),
            status.current,
            status.code_min,
            status.code_max
        ));
    }
    Ok(())
}

fn database(gate: &SchemaGate) -> String {
    match &gate.database {
        Some(name) => format!("`{name}`"),
        None => "the schema".to_owned(),
    }
}

fn judge(gate: &SchemaGate, answers: &[Asked<'_>]) -> Result<(), Fault> {
    let mut fault = Fault::refused("the schema gate refused the release (stage `probe`)");
    if answers.is_empty() {
        let role = gate.role.as_ref().map_or("any role", |role| role.as_str());
        return Err(fault
            .because(format!(
                "the release has no container of `{role}` on any host: nobody can be asked"
            ))
            .hint("let `schema_gate.role` name a role that the release has"));
    }
    let before = fault.clone();
    for (host, container, answer) in answers {
        fault = match answer {
            Err(why) => unusable(fault, gate, host, container, why),
            Ok(status) => match status.judge() {
                Ok(()) => fault,
                Err(objection) => objected(fault, gate, host, container, status, &objection),
            },
        };
    }
    if fault == before {
        fault = disagreeing(fault, answers);
    }
    if fault == before { Ok(()) } else { Err(fault) }
}

/// No answer, or none that can be read: fail closed.
fn unusable(
    fault: Fault,
    gate: &SchemaGate,
    host: &HostAddress,
    container: &Container,
    why: &str,
) -> Fault {
    fault
        .because(format!("`{}` on {host}: {why}", container.name))
        .hint(format!(
            "let the application answer `GET {}` on its `INTERNAL_PORT` ({}) within {} s, with 200 and all five fields",
            gate.path,
            gate.port,
            seconds(gate.timeout)
        ))
}

fn seconds(time: Duration) -> f64 {
    time.as_secs_f64()
}

fn objected(
    fault: Fault,
    gate: &SchemaGate,
    host: &HostAddress,
    container: &Container,
    status: &SchemaStatus,
    objection: &Objection,
) -> Fault {
    let reasons = objection.reasons.join("; ");
    let fault = fault.because(format!("`{}` on {host}: {reasons}", container.name));
    let fault = showing(fault, host, container, status);
    let env = container.label(label::ENVIRONMENT).unwrap_or("ENV");
    match objection.remedy {
        Remedy::Migrate => {
            let database = gate
                .database
                .as_ref()
                .map(|name| format!(" --database {name}"))
                .unwrap_or_default();
            fault.hint(format!(
                "run the pending migrations: `stagecraft migrate run --env {env}{database}`; see them before: `stagecraft migrate plan --env {env}{database}`"
            ))
        }
        Remedy::OtherCode => fault.hint(format!(
            "release code whose `code_max_schema_version` reaches {}; see which releases there are: `stagecraft releases list --env {env}`",
            status.current
        )),
        Remedy::Endpoint => fault.hint(format!(
            "look at what `GET {}` of the application computes: nothing overrules its answer",
            gate.path
        )),
    }
}

fn showing(
    fault: Fault,
    host: &HostAddress,
    container: &Container,
    status: &SchemaStatus,
) -> Fault {
    fault.showing(
        format!("answer of {} on {host}", container.name),
        status.lines(),
    )
}

/// Replicas of one release that see one database differently: which of them is
/// right cannot be known from here.
fn disagreeing(fault: Fault, answers: &[Asked<'_>]) -> Fault {
    let mut known = answers
        .iter()
        .filter_map(|(host, container, answer)| Some((host, container, answer.as_ref().ok()?)));
    let Some((first_host, first_container, first)) = known.next() else {
        return fault;
    };
    let Some((host, container, status, how)) = known.find_map(|(host, container, status)| {
        let how = first.differs_from(status)?;
        Some((host, container, status, how))
    }) else {
        return fault;
    };
    let fault = fault.because(format!(
        "its replicas do not agree: {how} (`{}` on {first_host}, `{}` on {host})",
        first_container.name, container.name
    ));
    let fault = showing(fault, first_host, first_container, first);
    showing(fault, host, container, status)
        .hint("see that every replica reads the same database, and no cached version of it")
}
