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
        fingerprint: None,
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
        environment: "prod",
        actor: "ada@laptop",
        approved: None,
        risk: Risk::Medium,
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
            backups: vec![],
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
        backups: vec![],
    };
    for phase in [Phase::MigratePre, Phase::MigratePost, Phase::MigratePost] {
        let step = step(&release, phase, Ok(&nothing));
        write(&state, dir.path(), &step, &str::to_owned).expect("written");
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

/// D57 to D62, D69: status, count, duration, backup, health and next steps of
/// a run that went well.
#[test]
fn a_success_says_what_it_did_how_long_it_took_and_how_healthy_it_left_the_database() {
    use crate::model::health::{Check, CheckName, Health};
    let health = |verdict| {
        let check = Check::new(CheckName::Connections, verdict, "95 of 100 are taken");
        Some(Health::of(vec![check], 7))
    };
    let mut done = report("main", &[("1.sql", MigrationOutcome::Applied)]);
    done.health_before = health(Verdict::Passed);
    done.health_after = health(Verdict::Warning);
    let report = MigrationReport {
        databases: vec![done],
        ..MigrationReport::default()
    };
    let release = release();
    let document = document(&step(&release, Phase::MigratePre, Ok(&report)), None);
    assert_eq!(document["status"], "pass");
    let run = &document["runs"][0];
    assert_eq!(run["status"], "success");
    assert_eq!(run["migrations_applied"], 1);
    assert_eq!(run["duration_seconds"], 1.5);
    assert_eq!(run["backup_id"], Value::Null);
    assert_eq!(run["health_check_before"]["status"], "healthy");
    assert_eq!(run["health_check_after"]["status"], "degraded");
    assert_eq!(
        run["next_steps"],
        json!([
            "look into: connections: 95 of 100 are taken",
            "see where it stands: `stagecraft migrate status --env prod`"
        ])
    );
}

/// D56, D85: one audit record a run, with the approver, the risk, what was
/// done and how long it took.
#[test]
fn every_run_leaves_one_audit_record_and_none_is_lost() {
    let approved = Approved {
        by: "bob@ci".into(),
        at: "2026-01-01T00:00:00Z".parse().expect("a time"),
        how: "`--approve 1f2e`".into(),
        risk: Risk::High,
        risks: vec!["it breaks v1".into()],
    };
    let release = release();
    let failure = MigrationFailure {
        fault: Fault::new(FaultKind::Interrupted, "interrupted"),
        report: MigrationReport {
            databases: vec![report("main", &[("1.sql", MigrationOutcome::Applied)])],
            ..MigrationReport::default()
        },
    };
    let mut step = step(&release, Phase::MigratePre, Err(&failure));
    step.approved = Some(&approved);
    let once = document(&step, None);
    let twice = document(&step, Some(once));
    let records = twice["audit"].as_array().expect("records");
    assert_eq!(records.len(), 2);
    let record = &records[0];
    for (key, value) in [
        ("log_type", json!("migration")),
        ("operation", json!("apply")),
        ("environment", json!("prod")),
        ("migrations_applied", json!(1)),
        ("duration_seconds", json!(2.5)),
        ("status", json!("cancelled")),
        ("actor", json!("ada@laptop")),
        ("approver", json!("bob@ci")),
        ("approval", json!("`--approve 1f2e`")),
        ("risk", json!("medium")),
        ("approved_risks", json!(["it breaks v1"])),
    ] {
        assert_eq!(record[key], value, "{key}");
    }
    assert_eq!(record["operations"][0]["migration"], "1.sql");
}

/// C27: what is written is redacted, however deep it stands.
#[test]
fn no_text_of_the_evidence_shows_a_secret() {
    let dir = tempfile::tempdir().expect("a folder");
    let failure = MigrationFailure {
        fault: Fault::failed("login with hunter22 was refused")
            .because("the server said hunter22")
            .showing("its last lines", vec!["password hunter22".into()])
            .hint("try hunter22"),
        report: MigrationReport {
            databases: vec![report("main", &[("1.sql", MigrationOutcome::Failed)])],
            ..MigrationReport::default()
        },
    };
    let release = release();
    let step = step(&release, Phase::MigratePre, Err(&failure));
    let mask = |text: &str| text.replace("hunter22", "•••");
    let path = write(dir.path(), dir.path(), &step, &mask).expect("written");
    let text = std::fs::read_to_string(path).expect("there");
    assert!(!text.contains("hunter22"), "{text}");
    assert!(text.contains("password •••"), "{text}");
}
