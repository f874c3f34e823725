//! What the evidence says.

use super::*;
use crate::model::migration::MigrationResult;

fn report(database: &str, outcomes: &[(&str, MigrationOutcome)]) -> DatabaseReport {
    let database: crate::model::names::DatabaseName = database.parse().expect("a name");
    DatabaseReport {
        results: outcomes
            .iter()
            .map(|(id, outcome)| MigrationResult {
                database: database.clone(),
                id: (*id).to_owned(),
                checksum: "c".into(),
                duration_ms: 1500,
                outcome: *outcome,
                compat: None,
            })
            .collect(),
        database,
        schema_before: Some(1),
        schema_after: Some(2),
        health_before: None,
        health_after: None,
    }
}

fn step<'a>(
    release: &'a ReleaseId,
    phase: Phase,
    outcome: Result<&'a MigrationReport, &'a MigrationFailure>,
) -> Step<'a> {
    let started: DateTime<Utc> = "2026-01-01T00:00:00Z".parse().expect("a time");
    Step {
        release,
        phase: Some(phase),
        head_sha: Some("abc"),
        started,
        finished: started + chrono::Duration::milliseconds(2500),
        timeout: Duration::from_secs(1800),
        outcome,
        backup_id: None,
        approver: None,
        risk: None,
    }
}

fn release() -> ReleaseId {
    "rel-20260101-000000001".parse().expect("an id")
}

#[test]
fn a_failure_names_the_migration_the_reason_and_what_was_not_attempted() {
    use MigrationOutcome::{Applied, Failed, NotAttempted};
    let failure = MigrationFailure {
        fault: Fault::failed("2.sql:1:1: ERROR boom").hint("mend it"),
        report: MigrationReport {
            databases: vec![
                report("main", &[("1.sql", Applied), ("2.sql", Failed)]),
                report("more", &[("3.sql", NotAttempted)]),
            ],
        },
    };
    let release = release();
    let document = document(&step(&release, Phase::MigratePre, Err(&failure)), None);
    assert_eq!(document["status"], "fail");
    assert_eq!(document["reasonCode"], "MIGRATION_EXECUTION_FAILED");
    assert_eq!(document["elapsedSeconds"], 2.5);
    let main = &document["runs"][0];
    assert_eq!(main["status"], "error");
    assert_eq!(main["migrations_applied"], 1);
    assert_eq!(main["failed_migration"], "2.sql");
    assert_eq!(main["migrations"][1]["reason"], "2.sql:1:1: ERROR boom");
    assert_eq!(main["recovery"]["suggestions"][0], "mend it");
    assert_eq!(document["runs"][1]["attempted"], false);
}

#[test]
fn two_steps_of_a_release_stand_in_one_file_and_the_commit_has_a_copy() {
    let dir = tempfile::tempdir().expect("a folder");
    let (state, release) = (dir.path().join(".stagecraft"), release());
    let nothing = MigrationReport {
        databases: vec![report("main", &[])],
    };
    for phase in [Phase::MigratePre, Phase::MigratePost, Phase::MigratePost] {
        write(&state, dir.path(), &step(&release, phase, Ok(&nothing))).expect("written");
    }
    let copy = dir.path().join(".artifacts/deploy/abc/migration.json");
    let text = std::fs::read_to_string(copy).expect("there");
    let document: Value = serde_json::from_str(&text).expect("JSON");
    assert_eq!(
        (&document["schemaVersion"], &document["status"]),
        (&json!("2"), &json!("pass"))
    );
    let phases: Vec<&Value> = document["runs"]
        .as_array()
        .expect("runs")
        .iter()
        .map(|run| &run["phase"])
        .collect();
    assert_eq!(phases, ["migrate_pre", "migrate_post"]);
}
