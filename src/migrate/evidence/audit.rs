//! The audit record of a step: who changed what, when, on whose word. One each
//! time that a step ran; none is ever taken out. Imports `model`.

use serde_json::{Value, json};

use crate::model::migration::MigrationOutcome;

use super::{Step, databases, elapsed, phase, status, time};

pub(super) fn records(step: &Step<'_>, before: Option<&Value>) -> Vec<Value> {
    let kept = before.and_then(|document| document["audit"].as_array());
    let mut records: Vec<Value> = kept.into_iter().flatten().cloned().collect();
    records.push(record(step));
    records
}

fn record(step: &Step<'_>) -> Value {
    let results = || {
        databases(step)
            .iter()
            .flat_map(|database| &database.results)
    };
    let applied = results().filter(|result| result.outcome == MigrationOutcome::Applied);
    let operations = results().map(|result| {
        json!({
            "database": result.database,
            "migration": result.id,
            "checksum": result.checksum,
            "outcome": result.outcome,
        })
    });
    json!({
        "log_type": "migration",
        "operation": "apply",
        "environment": step.environment,
        "release": step.release,
        "phase": phase(step),
        "actor": step.actor,
        "approver": step.approved.map(|approved| approved.by.as_str()),
        "approval": step.approved.map(|approved| approved.how.as_str()),
        "approved_risks": step.approved.map(|approved| approved.risks.clone()).unwrap_or_default(),
        "risk": step.risk,
        "operations": operations.collect::<Vec<_>>(),
        "migrations_applied": applied.count(),
        "duration_seconds": elapsed(step),
        "backup_id": super::backups(step).first().map(|backup| &backup.id),
        "status": status(step.outcome.err().map(|failure| &failure.fault)),
        "timestamp": time(step.finished),
    })
}
