//! The `command` engine.

use serde_json::json;
use stagecraft::model::migration::MigrationRequest;

use super::support::{Project, states};

fn tool(options: serde_json::Value) -> Project {
    let mut project = Project::new("whatever://db");
    let main = project.main();
    main.engine = "command".into();
    main.path = None;
    main.options = options.as_object().unwrap().clone();
    project
}

#[tokio::test]
async fn a_tool_that_cannot_say_what_is_pending_always_runs() {
    let project = tool(json!({ "run": ["/bin/sh", "-c", "echo $MAIN_URL on $PORT"] }));
    assert_eq!(states(&project.plan().await), ["command pending"]);
    let ran = project.run().await;
    assert_eq!(ran.results(), ["command applied"]);
    assert!(
        ran.texts.contains(&"whatever://db on 3000".to_owned()),
        "{:?}",
        ran.texts
    );
}

#[tokio::test]
async fn a_tool_that_says_what_is_pending_runs_only_then_and_is_asked_again() {
    let folder = tempfile::tempdir().unwrap();
    let done = folder.path().join("done");
    let ask = format!(
        r#"test -e {0} && s=applied || s=pending; echo '{{"id":"7","state":"'$s'"}}'"#,
        done.display()
    );
    let project = tool(json!({ "plan": ask, "run": ["touch", done.to_str().unwrap()] }));
    let plan = project.plan().await;
    assert_eq!(states(&plan), ["7 pending"]);
    assert_eq!(
        project
            .run_plans(std::slice::from_ref(&plan))
            .await
            .results(),
        ["7 applied"]
    );
    assert_eq!(states(&project.plan().await), ["7 applied"]);
    let stale = project.run_plans(&[plan]).await;
    assert!(
        stale
            .fault()
            .to_string()
            .contains("planned: `7`; pending now: nothing")
    );
}

#[tokio::test]
async fn a_failing_tool_is_told_with_its_code_and_last_lines() {
    let project = tool(json!({ "run": "echo one; echo two >&2; exit 7" }));
    let ran = project.run().await;
    assert_eq!(ran.results(), ["command failed"]);
    assert!(ran.fault().causes[0].contains("exited with status 7"));
    assert_eq!(ran.fault().evidence[0].lines, ["one", "two"]);
}

#[tokio::test]
async fn a_tool_that_runs_all_or_nothing_takes_no_steps() {
    let project = tool(json!({ "run": ["true"] }));
    let steps = MigrationRequest {
        steps: Some(1),
        ..MigrationRequest::default()
    };
    let plans = project.plans(&steps).await.unwrap();
    assert!(plans[0].refusals[0].contains("`--steps` cannot be used"));
}

#[tokio::test]
async fn words_in_braces_are_the_names_of_the_job() {
    let words = json!([
        "/bin/sh",
        "-c",
        "echo $*",
        "tool",
        "{project}",
        "{environment}",
        "{database}",
        "{release}",
        "{x"
    ]);
    let project = tool(json!({ "run": words }));
    let ran = project.run().await;
    let said = format!("shop prod main {} {{x", project.release);
    assert!(ran.texts.contains(&said), "{:?}", ran.texts);
}
