//! The schema gate: every answer that is in the way leaves the old release
//! serving. The numbers are those of the requirements.

use std::time::Duration;

use stagecraft::deploy::{Stopped, Wanted};
use stagecraft::model::container::{ContainerState, label};
use stagecraft::model::fault::{Fault, FaultKind};
use stagecraft::model::phase::{Phase, Status};
use stagecraft::model::project::MigrationStrategy::{PostDeploy, PreDeploy};
use stagecraft::model::project::{SchemaGate, Strategy};
use stagecraft::model::release::Outcome;
use stagecraft::plan::SchemaCheck;

use super::fleet::Says;
use super::stage::Stage;

fn status(current: i64, min: i64, max: i64, compatible: bool) -> Says {
    Says::Body(format!(
        r#"{{"current_schema_version": {current}, "code_min_schema_version": {min}, "code_max_schema_version": {max}, "pending_migrations": ["043_notes.sql"], "compatible": {compatible}}}"#
    ))
}

fn gated() -> Stage {
    let mut stage = Stage::new();
    stage.environment.rollout.strategy = Strategy::Recreate;
    stage.environment.schema_gate = Some(SchemaGate {
        path: "/schema/status".into(),
        port: 9090,
        timeout: Duration::from_millis(20),
        role: Some("web".parse().unwrap()),
        database: Some("main".parse().unwrap()),
    });
    stage
}

/// v1 is live and fine with what is there.
async fn live_v1() -> Stage {
    let mut stage = gated();
    stage.fleet.says("v1", status(42, 38, 43, true));
    stage.deploy("v1").await.unwrap();
    stage.fleet.with(|state| state.actions.clear());
    stage
}

/// The old release serves, was never stopped, and nothing else is left.
fn untouched(stage: &Stage, version: &str) {
    stage.serves(version);
    assert_eq!(stage.fleet.count(), 3, "nothing stays aside");
    let actions = stage.fleet.with(|state| state.actions.clone());
    let stops = actions.iter().filter(|action| action.contains(": stop "));
    assert_eq!(stops.count(), 0, "{actions:?}");
}

fn is_refused(stopped: &Stopped, words: &[&str]) {
    assert_eq!(stopped.phase, Some(Phase::Rollout));
    says(&stopped.fault, words);
}

fn says(fault: &Fault, words: &[&str]) {
    assert_eq!(fault.kind, FaultKind::Refused, "{fault:?}");
    assert!(fault.what.contains("stage `probe`"), "{fault}");
    assert!(!fault.hints.is_empty());
    let text = format!("{fault:?}");
    for word in words {
        assert!(text.contains(word), "{word}: {text}");
    }
}

/// E27, E39
#[tokio::test]
async fn e27_a_release_that_may_serve_is_asked_aside_on_every_host_before_anything_stops() {
    let mut stage = live_v1().await;
    stage.fleet.says("v2", status(42, 40, 43, true));
    stage.deploy("v2").await.unwrap();
    stage.serves("v2");
    assert_eq!(stage.fleet.count(), 3);
    let actions = stage.fleet.with(|state| state.actions.clone());
    let first_stop = actions.iter().position(|action| action.contains(": stop "));
    let (before, after) = actions.split_at(first_stop.unwrap());
    let aside = |verb: &str| {
        let is_it = |action: &&String| action.contains(verb) && action.contains("-schema-rel-");
        before.iter().filter(is_it).count()
    };
    assert_eq!(
        (aside(": start "), aside(": remove ")),
        (3, 3),
        "{before:?}"
    );
    assert!(!after.iter().any(|action| action.contains("-schema-")));
    let asked = stage.fleet.with(|state| state.asked.clone());
    assert_eq!(
        asked
            .iter()
            .filter(|name| name.contains("-schema-"))
            .count(),
        6
    );
    assert_eq!(
        asked.len(),
        12,
        "aside and in place, of both versions: {asked:?}"
    );
}

/// E40
#[tokio::test]
async fn e40_without_the_key_nobody_is_asked() {
    let mut stage = Stage::new();
    stage.deploy("v1").await.unwrap();
    stage.deploy("v2").await.unwrap();
    assert_eq!(stage.fleet.with(|state| state.asked.len()), 0);
}

/// E41, E42, E43, E46
#[tokio::test]
async fn e41_to_e43_every_answer_that_is_in_the_way_leaves_the_old_release_serving() {
    let whole = |current, min, max, compatible| match status(current, min, max, compatible) {
        Says::Body(body) => body,
        Says::Status(_) | Says::Nothing(_) => unreachable!(),
    };
    let without = whole(42, 40, 43, true).replace("\"compatible\": true", "\"other\": 1");
    let text = whole(42, 40, 43, true).replace("42", "\"42\"");
    let cases: Vec<(Says, &[&str])> = vec![
        // E18 to E22, each field by field: `model::schema`.
        (
            Says::Body(without),
            &["`compatible` is missing", "INTERNAL_PORT"],
        ),
        (Says::Body(text), &["`current_schema_version` is a text"]),
        (Says::Body("<html>".into()), &["not a JSON object"]),
        // E41.
        (Says::Nothing("connection refused"), &["connection refused"]),
        (
            Says::Nothing("no whole answer within 5.0 s"),
            &["no whole answer"],
        ),
        (
            Says::Nothing("the answer is longer than 1048576 bytes"),
            &["longer than"],
        ),
        (Says::Status(500), &["answered 500", "only 200"]),
        (Says::Status(302), &["answered 302"]),
        // E42: the last word, with what is pending; E25, E23 to E24.
        (
            status(42, 43, 44, false),
            &[
                "compatible: false",
                "current_schema_version: 42",
                "code_min_schema_version: 43",
                "code_max_schema_version: 44",
                "pending_migrations: 043_notes.sql",
                "`stagecraft migrate run --env prod --database main`",
            ],
        ),
        (status(42, 40, 43, false), &["compatible: false"]),
        // E43.
        (
            status(42, 43, 44, true),
            &["although it says `compatible: true`"],
        ),
        (status(42, 38, 41, true), &["42 is above", "releases list"]),
        (status(42, 50, 40, true), &["contradicts itself"]),
    ];
    for (answer, words) in cases {
        let mut stage = live_v1().await;
        stage.fleet.says("v2", answer);
        let stopped = stage.deploy("v2").await.unwrap_err();
        is_refused(&stopped, words);
        // E46: where, and that live is untouched.
        says(
            &stopped.fault,
            &[
                "-schema-rel-",
                "web1",
                "web2",
                "web3",
                "no container was stopped",
                "last words of",
            ],
        );
        untouched(&stage, "v1");
        let release = stage.last();
        assert_eq!(release.outcome, Outcome::Failed);
        assert_eq!(release.phase(Phase::Rollout).status, Status::Failed);
        let reason = release.phase(Phase::Rollout).reason.unwrap();
        assert!(reason.contains("schema gate"), "{reason}");
        assert_eq!(release.phase(Phase::Finalize).status, Status::Skipped);
    }
}

#[tokio::test]
async fn one_host_that_disagrees_is_enough() {
    for (answer, words) in [
        (
            status(41, 38, 43, true),
            "do not agree: `current_schema_version`",
        ),
        (
            status(42, 39, 43, true),
            "do not agree: `code_min_schema_version`",
        ),
        (Says::Nothing("connection refused"), "on web3: GET"),
        (status(42, 38, 43, false), "on web3: it says"),
    ] {
        let mut stage = live_v1().await;
        stage.fleet.says("web3 v2", answer);
        stage.fleet.says("v2", status(42, 38, 43, true));
        let stopped = stage.deploy("v2").await.unwrap_err();
        is_refused(&stopped, &[words, "web3"]);
        untouched(&stage, "v1");
    }
}

#[tokio::test]
async fn a_replica_that_objects_after_its_start_brings_the_old_release_back() {
    let mut stage = live_v1().await;
    stage.fleet.says("-schema- v2", status(42, 38, 43, true));
    stage.fleet.says("v2", status(42, 38, 43, false));
    let stopped = stage.deploy("v2").await.unwrap_err();
    is_refused(&stopped, &["compatible: false", "shop-prod-web-1"]);
    stage.serves("v1");
    assert_eq!(stage.fleet.count(), 3);
}

/// v1 and v2 went through the proxies, v2 is live.
async fn live_v2_behind_proxies() -> Stage {
    let mut stage = Stage::behind_proxies();
    stage.environment.schema_gate = gated().environment.schema_gate;
    stage.fleet.says("v1", status(42, 38, 43, true));
    stage.fleet.says("v2", status(42, 40, 43, true));
    stage.deploy("v1").await.unwrap();
    stage.deploy("v2").await.unwrap();
    stage.fleet.with(|state| {
        let aside = state.asked.iter().any(|name| name.contains("-schema-"));
        assert!(!aside, "the new slot is asked itself: {:?}", state.asked);
        assert_eq!(state.asked.len(), 6);
        state.actions.clear();
    });
    stage
}

/// E27
#[tokio::test]
async fn e27_behind_the_proxies_one_slot_that_objects_moves_no_traffic_anywhere() {
    for (who, answer) in [
        ("v3", status(42, 43, 44, false)),
        ("web3 v3", Says::Nothing("connection refused")),
        ("web2 v3", status(41, 40, 43, true)),
    ] {
        let mut stage = live_v2_behind_proxies().await;
        let switches = stage.proxies.with(|state| state.switches.len());
        stage.fleet.says(who, answer);
        stage.fleet.says("v3", status(42, 40, 43, true));
        let stopped = stage.deploy("v3").await.unwrap_err();
        is_refused(&stopped, &["shop-prod-web-1-rel-"]);
        assert_eq!(stage.proxies.with(|state| state.switches.len()), switches);
        stage.proxies.answer_with("v2", &super::stage::HOSTS);
        stage.serves("v2");
    }
}

/// E28, E44
#[tokio::test]
async fn e28_e44_behind_the_proxies_the_kept_slot_is_asked_and_goes_back_to_sleep() {
    let mut stage = live_v2_behind_proxies().await;
    let switches = stage.proxies.with(|state| state.switches.len());
    stage.fleet.with(|state| state.schema.clear());
    stage.fleet.says("v1", status(42, 38, 40, false));
    let fault = stage.roll_back(None).await.unwrap_err();
    says(&fault, &["42 is above `code_max_schema_version` 40"]);
    assert_eq!(stage.proxies.with(|state| state.switches.len()), switches);
    stage.proxies.answer_with("v2", &super::stage::HOSTS);
    stage.serves("v2");
    assert_eq!(stage.fleet.count(), 6, "and stays for another time");
}

#[tokio::test]
async fn a_release_that_has_nobody_to_ask_is_refused() {
    let mut stage = live_v1().await;
    let mut other = stage.environment.roles[0].clone();
    other.name = "api".parse().unwrap();
    stage.environment.roles = [(other.name.clone(), other)].into_iter().collect();
    for host in &mut stage.environment.hosts {
        host.roles = vec!["api".parse().unwrap()];
    }
    stage.fleet.says("v2", status(42, 38, 43, true));
    let stopped = stage.deploy("v2").await.unwrap_err();
    is_refused(
        &stopped,
        &["no container of `web`", "no container was stopped"],
    );
    untouched(&stage, "v1");
}

#[tokio::test]
async fn the_container_that_runs_aside_is_found_by_nobody() {
    let stage = live_v1().await;
    stage.fleet.with(|state| {
        let aside = state.aside.first().unwrap();
        assert!(aside.ports.is_empty() && aside.aliases.is_empty() && !aside.restart);
        assert!(!aside.labels.contains_key(label::ROLE));
        assert_eq!(aside.labels[label::JOB], label::job::SCHEMA);
        assert_eq!(aside.network, "shop-prod");
    });
}

#[tokio::test]
async fn a_batch_is_asked_before_the_next_one_begins() {
    let mut stage = live_v1().await;
    stage.environment.rollout.strategy = Strategy::Rolling;
    stage.fleet.says("-schema- v2", status(42, 38, 43, true));
    stage.fleet.says("v2", status(42, 38, 43, false));
    is_refused(
        &stage.deploy("v2").await.unwrap_err(),
        &["compatible: false"],
    );
    stage.serves("v1");
    let actions = stage.fleet.with(|state| state.actions.clone());
    assert!(
        !actions
            .iter()
            .any(|action| action.starts_with("web2: stop")),
        "{actions:?}"
    );
}

/// E28, E29, E39, E44
#[tokio::test]
async fn e28_e29_e44_a_rollback_to_code_that_does_not_know_the_schema_is_refused() {
    let mut stage = live_v1().await;
    stage.fleet.says("v2", status(42, 40, 43, true));
    stage.deploy("v2").await.unwrap();
    // The database moved on since v1 was deployed: it would say so now.
    stage.fleet.with(|state| {
        state.schema.clear();
        state.actions.clear();
    });
    stage.fleet.says("v1", status(42, 38, 40, false));
    let fault = stage.roll_back(None).await.unwrap_err();
    says(
        &fault,
        &[
            "42 is above `code_max_schema_version` 40",
            "no container was stopped",
            "releases list",
        ],
    );
    untouched(&stage, "v2");
    assert_eq!(stage.last().phase(Phase::Rollout).status, Status::Failed);
    // It is asked anew each time.
    stage.fleet.with(|state| state.schema.clear());
    stage.fleet.says("v1", status(42, 38, 42, true));
    let back = stage.roll_back(None).await.unwrap();
    stage.serves("v1");
    assert_eq!(back.roles[0].internal_port, Some(9090));
}

/// E47
#[tokio::test]
async fn e47_nothing_overrules_the_answer_of_an_endpoint() {
    let mut stage = live_v1().await;
    stage.fleet.says("v2", status(42, 40, 43, true));
    stage.deploy("v2").await.unwrap();
    stage.fleet.with(|state| {
        state.schema.clear();
        state.actions.clear();
    });
    stage.fleet.says("v1", status(42, 38, 40, true));
    let forced = stage.roll_back_as(None, SchemaCheck::Force).await;
    let fault = forced.unwrap_err();
    assert_eq!(fault.kind, FaultKind::Refused);
    says(&fault, &["42 is above `code_max_schema_version` 40"]);
    untouched(&stage, "v2");
}

#[tokio::test]
async fn a_release_that_never_gets_healthy_aside_stops_nothing() {
    let mut stage = live_v1().await;
    stage.fleet.with(|state| state.sick.insert("v2".into()));
    let stopped = stage.deploy("v2").await.unwrap_err();
    assert_eq!(stopped.fault.kind, FaultKind::Failed);
    assert!(
        stopped.fault.to_string().contains("503"),
        "{}",
        stopped.fault
    );
    untouched(&stage, "v1");
}

#[tokio::test]
async fn an_interruption_while_it_runs_aside_leaves_nothing_behind() {
    let mut stage = live_v1().await;
    stage.fleet.with(|state| state.sick.insert("v2".into()));
    stage.environment.roles[0].health.timeout = Duration::from_secs(60);
    let (fleet, cancel) = (stage.fleet.clone(), stage.cancel.clone());
    tokio::spawn(async move {
        while fleet.count() < 6 {
            tokio::task::yield_now().await;
        }
        cancel.cancel();
    });
    let stopped = stage.deploy("v2").await.unwrap_err();
    assert_eq!(stopped.fault.kind, FaultKind::Interrupted);
    untouched(&stage, "v1");
}

#[tokio::test]
async fn what_a_killed_run_left_aside_goes_with_the_next_rollout_and_never_comes_back() {
    let mut stage = live_v1().await;
    stage.fleet.with(|state| {
        let mut left = state.containers.values().next().unwrap().clone();
        left.name = "shop-prod-schema-rel-20260101-000000001".into();
        left.labels
            .insert(label::JOB.into(), label::job::SCHEMA.into());
        left.ports.clear();
        assert_eq!(left.state, ContainerState::Running);
        let key = ("web1".to_owned(), left.name.clone());
        state.containers.insert(key, left);
    });
    // It carries the live release's label, and is still none of it.
    stage.fleet.says("-schema- v2", status(42, 38, 43, true));
    stage.fleet.says("v2", status(42, 38, 43, false));
    stage.deploy("v2").await.unwrap_err();
    let actions = stage.fleet.with(|state| state.actions.clone());
    assert!(
        !actions
            .iter()
            .any(|a| a.contains("start again shop-prod-schema")),
        "{actions:?}"
    );
    stage.fleet.says("v3", status(42, 38, 43, true));
    stage.deploy("v3").await.unwrap();
    stage.serves("v3");
    assert_eq!(stage.fleet.count(), 3);
}

#[tokio::test]
async fn e50_containers_are_told_the_internal_port_and_it_is_never_published_to_the_world() {
    let mut stage = live_v1().await;
    stage.fleet.says("v2", status(42, 38, 43, true));
    stage.deploy("v2").await.unwrap();
    let (told, ports) = stage.fleet.with(|state| {
        let ports: Vec<_> = state
            .containers
            .values()
            .flat_map(|c| c.ports.clone())
            .collect();
        (state.told.clone(), ports)
    });
    assert_eq!(told.len(), 12, "in place and aside");
    assert!(
        told.iter().all(|port| port.as_deref() == Some("9090")),
        "{told:?}"
    );
    let public = |port: &&stagecraft::model::container::PortBinding| port.address != "127.0.0.1";
    assert!(
        ports
            .iter()
            .filter(public)
            .all(|port| port.container != 9090)
    );
    assert_eq!(stage.last().roles[0].internal_port, Some(9090));
}

#[tokio::test]
async fn a_role_that_never_runs_twice_cannot_be_asked_aside() {
    let mut stage = gated();
    stage.environment.roles[0].overlap = false;
    let facts = stage.observe(Wanted::Hosts).await;
    let fault = stagecraft::plan::outline(
        &stage.environment,
        &stage.environment.roles,
        &facts,
        &stage.next_id(),
        None,
    )
    .unwrap_err();
    assert_eq!(fault.kind, FaultKind::Config);
}

/// v1 is live, works up to version 43, and one more migration waits.
async fn a_migration_waits(id: &str) -> Stage {
    let stage = live_v1().await;
    stage.fleet.says("v2", status(42, 38, 44, true));
    stage.file(id, PreDeploy);
    stage
}

#[tokio::test]
async fn a_migration_that_the_live_release_does_not_tolerate_is_not_applied() {
    let mut stage = a_migration_waits("044_drop.sql").await;
    let stopped = stage.deploy("v2").await.unwrap_err();
    assert_eq!(stopped.phase, Some(Phase::MigratePre));
    says(
        &stopped.fault,
        &[
            "`code_max_schema_version` is 43, and the schema would be 44",
            "web1",
            "web3",
            "no migration was applied",
            "is still live",
        ],
    );
    assert!(stage.shop.applied.lock().unwrap().is_empty());
    untouched(&stage, "v1");
    let statuses = stage.statuses();
    assert_eq!(
        statuses[2..],
        [
            Status::Failed,
            Status::Skipped,
            Status::Skipped,
            Status::Skipped
        ]
    );
    let reason = stage.last().phase(Phase::Rollout).reason.unwrap();
    assert!(reason.contains("not reached"), "{reason}");
}

#[tokio::test]
async fn every_live_replica_must_tolerate_it() {
    for (answer, words) in [
        (status(42, 38, 42, true), "the schema would be 43"),
        (Says::Nothing("connection refused"), "connection refused"),
        (Says::Status(404), "answered 404"),
        (Says::Body("{}".into()), "is missing"),
    ] {
        let mut stage = a_migration_waits("043_notes.sql").await;
        stage.fleet.with(|state| state.schema.clear());
        stage.fleet.says("web2 v1", answer);
        stage.fleet.says("v", status(42, 38, 43, true));
        let stopped = stage.deploy("v2").await.unwrap_err();
        assert_eq!(stopped.phase, Some(Phase::MigratePre));
        says(&stopped.fault, &["web2", words]);
        assert!(stage.shop.applied.lock().unwrap().is_empty());
    }
}

#[tokio::test]
async fn a_migration_that_the_live_release_tolerates_is_applied() {
    let mut stage = a_migration_waits("043_notes.sql").await;
    // After the rollout old code has no part in it any more.
    stage.file("044_backfill.sql", PostDeploy);
    stage.deploy("v2").await.unwrap();
    stage.serves("v2");
    assert_eq!(stage.shop.applied.lock().unwrap().len(), 2);
}

#[tokio::test]
async fn a_first_release_has_nobody_to_ask_and_the_plan_says_so() {
    let mut stage = gated();
    stage.file("001_first.sql", PreDeploy);
    let plan = plan(&stage).await;
    let text = stagecraft::ui::plan_text::deploy(&plan, stagecraft::ui::Style::Plain);
    assert!(
        text.contains("no running code has to tolerate the new schema: nothing is live"),
        "{text}"
    );
    assert!(
        text.contains("the schema gate asks a container of `web`"),
        "{text}"
    );
    stage.fleet.says("v", status(1, 1, 1, true));
    stage.deploy("v1").await.unwrap();
    assert_eq!(stage.shop.applied.lock().unwrap().len(), 1);
}

#[tokio::test]
async fn a_live_release_that_cannot_be_asked_stands_in_the_way_of_migrations_alone() {
    let mut stage = Stage::new();
    stage.deploy("v1").await.unwrap();
    stage.environment.schema_gate = gated().environment.schema_gate;
    stage.fleet.says("v2", status(42, 38, 43, true));
    stage.file("043_notes.sql", PreDeploy);
    let refusals = plan(&stage).await.refusals;
    assert!(
        refusals.len() == 1 && refusals[0].contains("without a schema endpoint"),
        "{refusals:?}"
    );
    let stopped = stage.deploy("v2").await.unwrap_err();
    assert_eq!(
        (stopped.phase, stopped.fault.kind),
        (Some(Phase::MigratePre), FaultKind::Refused)
    );
    // Without the migration the gate comes in, and with it the way on.
    stage.shop.files.lock().unwrap().clear();
    stage.deploy("v2").await.unwrap();
    stage.file("043_notes.sql", PreDeploy);
    stage.deploy("v2").await.unwrap();
    assert_eq!(stage.shop.applied.lock().unwrap().len(), 1);
}

#[tokio::test]
async fn a_migration_without_a_number_cannot_be_asked_about() {
    let stage = a_migration_waits("notes.sql").await;
    let refusals = plan(&stage).await.refusals;
    assert!(
        refusals.len() == 1 && refusals[0].contains("`notes.sql`"),
        "{refusals:?}"
    );
}

async fn plan(stage: &Stage) -> stagecraft::plan::DeployPlan {
    let facts = stage.observe(Wanted::Everything).await;
    let request = stagecraft::plan::DeployRequest {
        release: stage.next_id(),
        version: Some("v2".into()),
    };
    stagecraft::plan::deploy(&stage.environment, &facts, &request).unwrap()
}
