//! The `app` engine, with an application that answers over real HTTP.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use serde_json::json;
use stagecraft::model::container::{Container, ContainerState, PortBinding, label};
use stagecraft::model::fault::FaultKind;
use stagecraft::model::project::SchemaGate;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;

use super::support::{Project, states};

/// Everything the application knows of itself.
#[derive(Default)]
struct World {
    pending: Vec<&'static str>,
    /// How `/migrations/run` is answered.
    answer: (u16, &'static str),
    /// Whether it migrates when it is told to.
    obeys: bool,
    /// How many more times it says that it is still at work.
    works: usize,
    asked: Vec<String>,
}

async fn application(world: &Arc<Mutex<World>>) -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let world = Arc::clone(world);
    tokio::spawn(async move {
        loop {
            let (mut stream, _) = listener.accept().await.unwrap();
            let mut bytes = [0; 4096];
            let read = stream.read(&mut bytes).await.unwrap();
            let request = String::from_utf8_lossy(&bytes[..read]).into_owned();
            let (status, body) = answer(&mut world.lock().unwrap(), &request);
            let reply = format!(
                "HTTP/1.1 {status} x\r\nContent-Length: {}\r\n\r\n{body}",
                body.len()
            );
            let _ = stream.write_all(reply.as_bytes()).await;
        }
    });
    port
}

fn answer(world: &mut World, request: &str) -> (u16, String) {
    let line = request.lines().next().unwrap_or_default().to_owned();
    world.asked.push(line.clone());
    if line.starts_with("POST /migrations/run ") {
        if world.obeys && world.works == 0 {
            world.pending.clear();
        }
        return (world.answer.0, world.answer.1.to_owned());
    }
    if world.works > 0 && world.asked.iter().any(|line| line.starts_with("POST")) {
        world.works -= 1;
        if world.works == 0 {
            world.pending.clear();
        }
    }
    let current = 42 - world.pending.len();
    let status = json!({
        "current_schema_version": current, "code_min_schema_version": 40,
        "code_max_schema_version": 42, "pending_migrations": world.pending, "compatible": true,
    });
    (200, status.to_string())
}

async fn project(world: &Arc<Mutex<World>>) -> Project {
    let port = application(world).await;
    let mut project = Project::new("nobody://opens/this");
    project.main().engine = "app".to_owned();
    project.main().path = None;
    project.environment.databases[0].connection_env = None;
    project.environment.schema_gate = Some(SchemaGate {
        path: "/schema/status".to_owned(),
        port: 9090,
        timeout: Duration::from_secs(2),
        role: Some("web".parse().unwrap()),
        database: Some("main".parse().unwrap()),
    });
    project.containers = vec![container("shop-prod-web-1", "web", port)];
    project
}

fn container(name: &str, role: &str, port: u16) -> Container {
    Container {
        id: String::new(),
        name: name.to_owned(),
        state: ContainerState::Running,
        exit_code: None,
        oom_killed: false,
        restarts: 0,
        image_id: String::new(),
        labels: BTreeMap::from([(label::ROLE.to_owned(), role.to_owned())]),
        ports: vec![PortBinding {
            container: 9090,
            host: port,
            address: "127.0.0.1".to_owned(),
        }],
        address: None,
        started_at: None,
    }
}

fn world(world: World) -> Arc<Mutex<World>> {
    Arc::new(Mutex::new(world))
}

fn posts(world: &Arc<Mutex<World>>) -> usize {
    let asked = &world.lock().unwrap().asked;
    asked.iter().filter(|line| line.starts_with("POST")).count()
}

/// E30, E31, E32: no connection, no variable, no SQL; only JSON is read.
#[tokio::test]
async fn e30_what_is_pending_is_what_the_live_release_says() {
    let world = world(World {
        pending: vec!["041_a.sql", "042_b.sql"],
        ..World::default()
    });
    let project = project(&world).await;
    let plan = project.plan().await;
    assert_eq!(states(&plan), ["041_a.sql pending", "042_b.sql pending"]);
    assert_eq!(plan.schema_version, Some(40));
    let route = &plan.route;
    assert!(route.contains("`shop-prod-web-1` on local"), "{route}");
    assert!(
        route.contains("version 40") && route.contains("40 to 42"),
        "{route}"
    );
    assert_eq!(posts(&world), 0);
}

/// E15: a direct operation on the application, on its internal port.
#[tokio::test]
async fn e15_a_run_posts_once_and_asks_until_nothing_is_pending() {
    let world = world(World {
        pending: vec!["042_b.sql"],
        answer: (202, "begun"),
        obeys: true,
        works: 2,
        ..World::default()
    });
    let project = project(&world).await;
    let ran = project.run().await;
    assert_eq!(ran.results(), ["042_b.sql applied"]);
    assert_eq!(posts(&world), 1);
    assert!(
        ran.texts
            .iter()
            .any(|text| text.contains("pending: `042_b.sql`"))
    );
    assert_eq!(ran.outcome.unwrap().databases[0].schema_after, Some(42));
    assert!(project.plan().await.selected.is_empty());
}

#[tokio::test]
async fn a_refusal_is_told_with_the_application_s_own_answer() {
    let world = world(World {
        pending: vec!["042_b.sql"],
        answer: (500, "column \"x\"\ndoes not exist"),
        ..World::default()
    });
    let ran = project(&world).await.run().await;
    assert_eq!(ran.results(), ["042_b.sql failed"]);
    let fault = ran.fault();
    assert!(fault.to_string().contains("answered 500"), "{fault}");
    assert_eq!(fault.evidence[0].lines, ["column \"x\"", "does not exist"]);
    assert!(
        fault
            .hints
            .iter()
            .any(|hint| hint.contains("stagecraft logs --env prod"))
    );
}

#[tokio::test]
async fn one_that_never_gets_done_runs_into_the_timeout_of_the_step() {
    let world = world(World {
        pending: vec!["042_b.sql"],
        answer: (200, ""),
        ..World::default()
    });
    let mut project = project(&world).await;
    project.main().timeout = Duration::from_secs(1);
    let ran = project.run().await;
    assert_eq!(ran.fault().kind, FaultKind::Failed);
    assert!(
        ran.fault().to_string().contains("timeout of 1s"),
        "{}",
        ran.fault()
    );
    assert_eq!(ran.results(), ["042_b.sql failed"]);
}

#[tokio::test]
async fn without_a_live_release_nothing_is_asked_and_nothing_fails() {
    let mut project = project(&world(World::default())).await;
    project.containers[0].state = ContainerState::Exited;
    let plan = project.plan().await;
    assert_eq!((plan.migrations.len(), plan.refusals.len()), (0, 0));
    assert!(plan.unread.unwrap().contains("no container of `web` runs"));
}

#[tokio::test]
async fn another_role_s_container_is_never_asked() {
    let world = world(World {
        pending: vec!["042_b.sql"],
        ..World::default()
    });
    let mut project = project(&world).await;
    project.containers[0] = container("shop-prod-jobs-1", "jobs", 1);
    assert!(project.plan().await.unread.is_some());
    assert!(world.lock().unwrap().asked.is_empty());
}

#[tokio::test]
async fn what_became_pending_since_the_plan_is_not_run() {
    let world = world(World {
        pending: vec!["042_b.sql"],
        ..World::default()
    });
    let project = project(&world).await;
    let plan = project.plan().await;
    world.lock().unwrap().pending = vec!["042_b.sql", "043_c.sql"];
    let ran = project.run_plans(&[plan]).await;
    assert_eq!(ran.fault().kind, FaultKind::Refused);
    assert_eq!(posts(&world), 0);
}
