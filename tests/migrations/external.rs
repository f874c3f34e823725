//! External engines: what they are told, and what comes of what they say.

use std::os::unix::fs::PermissionsExt;

use stagecraft::model::fault::FaultKind;

use super::support::{Project, states};

/// A project whose engine `x` is this shell script.
fn project(script: &str) -> Project {
    let mut project = Project::sqlite();
    let bin = project.dir.path().join("bin");
    std::fs::create_dir(&bin).unwrap();
    let file = bin.join("stagecraft-engine-x");
    std::fs::write(&file, format!("#!/bin/sh\nq=$(cat)\n{script}\n")).unwrap();
    std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o755)).unwrap();
    project.path = Some(bin);
    project.main().engine = "x".to_owned();
    project
}

const ONE: &str = r#"{"id": "1", "state": "pending", "checksum": "c"}"#;

fn says(result: &str) -> String {
    format!("printf %s '{{\"protocol\": 1, \"result\": {result}}}'")
}

#[tokio::test]
async fn the_url_reaches_the_process_in_a_variable_and_only_where_it_is_needed() {
    let plan = says(r#"{"migrations": []}"#);
    let other = says("{}");
    let project = project(&format!(
        "case $q in *'\"call\":\"plan\"'*) echo \"$# ${{STAGECRAFT_DATABASE_URL-none}} $(pwd)\" >>told; {plan};; *) [ -z \"${{STAGECRAFT_DATABASE_URL-}}\" ] && {other};; esac"
    ));
    assert_eq!(project.problems().await, [] as [String; 0]);
    project.plan().await;
    let told = |place: &str| std::fs::read_to_string(project.dir.path().join(place));
    assert_eq!(
        told("told").unwrap().trim(),
        format!("0 sqlite:app.db {}", project.dir.path().display())
    );
}

#[tokio::test]
async fn what_it_needs_it_says_when_it_is_asked_to_validate() {
    let mut project = project(&says(r#"{"needs_path": true, "needs_connection": true}"#));
    project.main().path = None;
    project.environment.databases[0].connection_env = None;
    let problems = project.problems().await;
    assert_eq!(problems.len(), 2, "{problems:?}");
    assert!(problems[0].contains("`migrations.path`"), "{problems:?}");
    assert!(problems[1].contains("`connection_env`"), "{problems:?}");
}

#[tokio::test]
async fn a_run_that_claims_more_than_the_database_has_is_a_failure() {
    let plan = says(&format!(r#"{{"migrations": [{ONE}]}}"#));
    let run = says(r#"{"applied": [{"id": "1", "duration_ms": 5}]}"#);
    let project = project(&format!(
        "case $q in *'\"call\":\"run\"'*) {run};; *) {plan};; esac"
    ));
    let ran = project.run().await;
    assert_eq!(ran.results(), ["1 failed"]);
    let fault = ran.fault().to_string();
    assert!(fault.contains("still has `1` as not applied"), "{fault}");
}

#[tokio::test]
async fn a_crash_in_the_middle_is_told_with_what_is_known() {
    let plan = says(&format!(
        r#"{{"migrations": [{{"id": "0", "state": "'$(test -e half && echo applied || echo pending)'"}}, {ONE}]}}"#
    ));
    let project = project(&format!(
        "case $q in *'\"call\":\"run\"'*) touch half; echo dying >&2; kill -9 $$;; *) {plan};; esac"
    ));
    let ran = project.run().await;
    assert_eq!(ran.results(), ["0 applied", "1 failed"]);
    let fault = ran.fault();
    assert_eq!(fault.kind, FaultKind::Failed);
    assert!(
        fault
            .to_string()
            .contains("ended without an answer: signal: 9")
    );
    assert_eq!(fault.evidence[0].lines, ["dying"]);
    assert!(fault.state[0].contains("kept: `0`"), "{fault:?}");
    assert!(ran.texts.contains(&"dying".to_owned()));
}

#[tokio::test]
async fn a_plan_that_is_not_true_any_more_is_refused() {
    let plan =
        says(r#"{"migrations": [{"id": "1", "state": "pending", "checksum": "'$(cat sum)'"}]}"#);
    let project = project(&plan);
    let sum = |text: &str| std::fs::write(project.dir.path().join("sum"), text).unwrap();
    sum("a");
    let planned = project.plan().await;
    assert_eq!(states(&planned), ["1 pending"]);
    sum("b");
    let ran = project.run_plans(&[planned]).await;
    assert_eq!(ran.fault().kind, FaultKind::Refused);
    assert!(ran.fault().to_string().contains("`1` was changed since"));
}

#[tokio::test]
async fn a_database_that_stagecraft_cannot_open_is_locked_by_the_environment_alone() {
    let plan = says(
        r#"{"migrations": [{"id": "1", "state": "'$(test -e ran && echo applied || echo pending)'"}]}"#,
    );
    let run = says("{}");
    let mut project = project(&format!(
        "case $q in *'\"call\":\"run\"'*) touch ran; {run};; *) {plan};; esac"
    ));
    project.set("MAIN_URL", "mongodb://db/shop");
    let ran = project.run().await;
    assert_eq!(ran.results(), ["1 applied"]);
    let warned = ran
        .texts
        .iter()
        .any(|text| text.contains("only the environment lock"));
    assert!(warned, "{:?}", ran.texts);
}

#[tokio::test]
async fn two_migrations_of_one_id_are_refused() {
    let project = project(&says(&format!(r#"{{"migrations": [{ONE}, {ONE}]}}"#)));
    let refusals = project.plan().await.refusals;
    assert_eq!(refusals, ["the engine names `1` twice"]);
}
