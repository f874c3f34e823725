//! The evidence of migration steps, `migration.json`: failed or empty too.
//! Imports `model`. A plain function over data; no secret can be in it,
//! because faults carry none, and every text is masked once more.

mod audit;
mod write;

use std::path::{Path, PathBuf};
use std::time::Duration;

use chrono::{DateTime, SecondsFormat, Utc};
use serde_json::{Value, json};

use crate::model::backup::{AutoRestore, BackupTaken};
use crate::model::fault::{Fault, FaultKind};
use crate::model::health::Verdict;
use crate::model::migration::{
    DatabaseReport, MigrationFailure, MigrationOutcome, MigrationReport, Risk,
};
use crate::model::phase::Phase;
use crate::model::release::{Approved, ReleaseId};
pub use write::write_atomically;

/// One migration step of one release.
#[derive(Debug, Clone)]
pub struct Step<'a> {
    pub release: &'a ReleaseId,
    /// `None` for `migrate run`.
    pub phase: Option<Phase>,
    pub head_sha: Option<&'a str>,
    pub started: DateTime<Utc>,
    pub finished: DateTime<Utc>,
    /// The longest that the step may take, all its databases together.
    pub timeout: Duration,
    pub outcome: Result<&'a MigrationReport, &'a MigrationFailure>,
    pub environment: &'a str,
    /// Who ran it.
    pub actor: &'a str,
    /// Who agreed to it, where somebody had to.
    pub approved: Option<&'a Approved>,
    pub risk: Risk,
}

/// Writes the evidence below `state` (the folder of `releases.json`), and with
/// a commit below `root` (the folder of the configuration) too. A second step
/// of the same release is added to the first. Every text goes through `mask`,
/// which takes secrets out.
///
/// # Errors
/// A file that cannot be written.
pub fn write(
    state: &Path,
    root: &Path,
    step: &Step<'_>,
    mask: &(dyn Fn(&str) -> String + Send + Sync),
) -> Result<PathBuf, Fault> {
    let release = step.release.as_str();
    let path = state.join("artifacts").join(release).join("migration.json");
    let before = std::fs::read(&path)
        .ok()
        .and_then(|bytes| serde_json::from_slice(&bytes).ok());
    let document = masked(document(step, before), mask);
    let mut bytes = serde_json::to_vec_pretty(&document)
        .map_err(|error| Fault::internal("cannot write the evidence as JSON").caused_by(&error))?;
    bytes.push(b'\n');
    write_atomically(&path, &bytes)?;
    if let Some(sha) = step.head_sha {
        let folder = root.join(".artifacts").join("deploy").join(sha);
        write_atomically(&folder.join("migration.json"), &bytes)?;
    }
    Ok(path)
}

/// The document; `before` is what an earlier step of the release left.
#[must_use]
pub fn document(step: &Step<'_>, before: Option<Value>) -> Value {
    let fault = step.outcome.err().map(|failure| &failure.fault);
    let status = status(fault);
    let mut runs = kept(before.as_ref(), step);
    runs.extend(databases(step).iter().map(|report| run(step, report)));
    let passed = fault.is_none() && runs.iter().all(|run| run["status"] == "success");
    let timeline_before = before
        .as_ref()
        .and_then(|document| document["statusTimeline"].as_array().cloned());
    let mut timeline = timeline_before.unwrap_or_default();
    timeline.push(json!({ "at": time(step.started), "status": "running", "detail": phase(step) }));
    timeline.push(json!({ "at": time(step.finished), "status": status, "detail": phase(step) }));
    let logs = fault.map(logs).unwrap_or_default();
    json!({
        "schemaVersion": "2",
        "generatedAt": time(step.finished),
        "headSha": step.head_sha,
        "status": if passed { "pass" } else { "fail" },
        "reasonCode": fault.map(reason_code),
        "reason": fault.map(ToString::to_string),
        "jobName": "migrate",
        "executionName": step.release.as_str(),
        "executionStatus": status,
        "executionSummary": {
            "status": status,
            "startTime": time(step.started),
            "endTime": time(step.finished),
        },
        "timeoutSeconds": step.timeout.as_secs(),
        // Nothing is polled for: the work reports its own end.
        "pollIntervalMs": 0,
        "elapsedSeconds": elapsed(step),
        "statusTimeline": timeline,
        "logs": logs,
        "logsSource": if logs.is_empty() { "none" } else { "job-cli" },
        "runs": runs,
        "audit": audit::records(step, before.as_ref()),
    })
}

/// Without secrets, in whatever depth a text stands.
fn masked(value: Value, mask: &(dyn Fn(&str) -> String + Send + Sync)) -> Value {
    match value {
        Value::String(text) => Value::String(mask(&text)),
        Value::Array(values) => values
            .into_iter()
            .map(|value| masked(value, mask))
            .collect(),
        Value::Object(fields) => fields
            .into_iter()
            .map(|(name, value)| (name, masked(value, mask)))
            .collect(),
        Value::Null | Value::Bool(_) | Value::Number(_) => value,
    }
}

/// The runs of other steps of this release.
fn kept(before: Option<&Value>, step: &Step<'_>) -> Vec<Value> {
    let runs = before.and_then(|document| document["runs"].as_array());
    runs.into_iter()
        .flatten()
        .filter(|run| run["phase"] != phase(step))
        .cloned()
        .collect()
}

fn databases<'a>(step: &Step<'a>) -> &'a [DatabaseReport] {
    match step.outcome {
        Ok(report) => &report.databases,
        Err(failure) => &failure.report.databases,
    }
}

fn backups<'a>(step: &Step<'a>) -> &'a [BackupTaken] {
    match step.outcome {
        Ok(report) => &report.backups,
        Err(failure) => &failure.report.backups,
    }
}

fn run(step: &Step<'_>, report: &DatabaseReport) -> Value {
    let of = |outcome| report.results.iter().filter(move |r| r.outcome == outcome);
    let failed = of(MigrationOutcome::Failed).next();
    // Where several databases were asked for, one that was not reached did not
    // fail itself.
    let reached = report
        .results
        .iter()
        .any(|r| r.outcome != MigrationOutcome::NotAttempted);
    let fault = step
        .outcome
        .err()
        .map(|failure| &failure.fault)
        .filter(|_| failed.is_some() || !complete(report));
    let backup = backups(step)
        .iter()
        .find(|one| one.database == report.database);
    let restore = backup.map(|one| one.restore.clone()).unwrap_or_default();
    let milliseconds: u64 = report.results.iter().map(|result| result.duration_ms).sum();
    let migrations: Vec<Value> = report
        .results
        .iter()
        .map(|result| {
            let reason = fault.filter(|_| result.outcome == MigrationOutcome::Failed);
            json!({
                "name": result.id,
                "status": result.outcome.to_string(),
                "checksum": result.checksum,
                "duration_seconds": seconds(result.duration_ms),
                "reason": reason.map(ToString::to_string),
            })
        })
        .collect();
    json!({
        "database": report.database,
        "phase": phase(step),
        "status": status(fault),
        "migrations_applied": of(MigrationOutcome::Applied).count(),
        "migrations": migrations,
        "duration_seconds": seconds(milliseconds),
        "backup_id": backup.map(|backup| &backup.id),
        "schema_before": report.schema_before,
        "schema_after": report.schema_after,
        "error": fault.map(ToString::to_string),
        "failed_migration": failed.map(|result| result.id.as_str()),
        "attempted": reached || fault.is_none(),
        // No migration is ever run backwards: a database is restored, or stays.
        "rollback_status": fault.map(|_| restore.label()),
        "auto_rollback_triggered": matches!(restore, AutoRestore::Restored { .. } | AutoRestore::Failed { .. }),
        "rollback": restore,
        "migrations_applied_before_failure": fault.map(|_| match &restore {
            AutoRestore::Restored { undone, .. } => undone.len(),
            _ => of(MigrationOutcome::Applied).count(),
        }),
        "recovery": {
            "backup_id": backup.map(|backup| &backup.id),
            "rollback_command": backup.map(|backup| format!(
                "stagecraft backup restore {} --database {} --env {}",
                backup.id, backup.database, step.environment
            )),
            "suggestions": fault.map(|fault| fault.hints.clone()).unwrap_or_default(),
        },
        "state": fault.map(|fault| fault.state.clone()).unwrap_or_default(),
        "health_check_before": report.health_before,
        "health_check_after": report.health_after,
        "next_steps": next_steps(step, report, fault),
        "approver": step.approved.map(|approved| approved.by.as_str()),
        "approval": step.approved.map(|approved| approved.how.as_str()),
        "risk": step.risk,
    })
}

/// After a success: what was amiss all the same, and where to look.
fn next_steps(step: &Step<'_>, report: &DatabaseReport, fault: Option<&Fault>) -> Vec<String> {
    if let Some(fault) = fault {
        return fault.hints.clone();
    }
    let amiss = report.health_after.iter().chain(&report.health_before);
    let amiss = amiss.flat_map(|health| health.at_least(Verdict::Warning));
    let mut steps: Vec<String> = amiss.map(|check| format!("look into: {check}")).collect();
    steps.push(format!(
        "see where it stands: `stagecraft migrate status --env {}`",
        step.environment
    ));
    steps
}

fn complete(report: &DatabaseReport) -> bool {
    let mut results = report.results.iter();
    results.all(|result| result.outcome == MigrationOutcome::Applied)
}

fn status(fault: Option<&Fault>) -> &'static str {
    match fault.map(|fault| fault.kind) {
        None => "success",
        Some(FaultKind::Cancelled | FaultKind::Interrupted) => "cancelled",
        Some(_) => "error",
    }
}

fn reason_code(fault: &Fault) -> &'static str {
    let timed_out = fault
        .causes
        .iter()
        .chain([&fault.what])
        .any(|t| t.contains("timeout of"));
    match fault.kind {
        FaultKind::Unreachable => "MIGRATION_EXECUTION_QUERY_ERROR",
        FaultKind::Failed if timed_out => "MIGRATION_EXECUTION_TIMEOUT",
        _ => "MIGRATION_EXECUTION_FAILED",
    }
}

/// At most the last 300 lines.
fn logs(fault: &Fault) -> Vec<String> {
    let lines = fault.evidence.iter().flat_map(|evidence| {
        std::iter::once(format!("{}:", evidence.title)).chain(evidence.lines.iter().cloned())
    });
    let lines: Vec<String> = lines.collect();
    lines[lines.len().saturating_sub(300)..].to_vec()
}

fn phase(step: &Step<'_>) -> &'static str {
    step.phase.map_or("migrate", Phase::key)
}

fn time(at: DateTime<Utc>) -> String {
    at.to_rfc3339_opts(SecondsFormat::Millis, true)
}

fn elapsed(step: &Step<'_>) -> f64 {
    let elapsed = (step.finished - step.started).num_milliseconds();
    seconds(u64::try_from(elapsed).unwrap_or_default())
}

fn seconds(milliseconds: u64) -> f64 {
    Duration::from_millis(milliseconds).as_secs_f64()
}

#[cfg(test)]
mod tests;
