//! An engine written outside the crate, by its public API alone: the example.

use std::sync::Arc;

use serde_json::json;
use stagecraft::migrate::RegistryError;

use super::support::{Project, states};

#[path = "../../examples/custom_engine.rs"]
#[allow(dead_code, unreachable_pub, reason = "a program of its own")]
mod custom_engine;

fn project() -> Project {
    let mut project = Project::sqlite();
    project.write("1", "a");
    project.write("2", "b");
    project.engine = Some(Arc::new(custom_engine::Folders));
    let options = json!({ "target": project.dir.path() });
    let main = project.main();
    main.engine = "folders".to_owned();
    main.options = options.as_object().unwrap().clone();
    project
}

#[tokio::test]
async fn an_engine_of_one_s_own_validates_plans_and_runs() {
    let mut project = project();
    assert_eq!(project.problems().await, [] as [String; 0]);
    assert_eq!(states(&project.plan().await), ["1 pending", "2 pending"]);
    let ran = project.run().await;
    assert_eq!(ran.results(), ["1 applied", "2 applied"]);
    assert!(project.dir.path().join("b").is_dir());
    assert_eq!(project.run().await.applied(), 0);
    project.main().options.clear();
    let problems = project.problems().await;
    assert!(
        problems[0].contains("missing field `target`"),
        "{problems:?}"
    );
}

#[tokio::test]
async fn a_second_engine_of_its_id_is_refused() {
    let again = project().with(Arc::new(custom_engine::Folders));
    assert_eq!(
        again.err(),
        Some(RegistryError::Duplicate("folders".into()))
    );
}
