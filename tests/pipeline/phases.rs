//! Every phase fails once: the release stops there, later phases are skipped
//! with the reason, and the world stands where the error says.

use stagecraft::deploy::Stopped;
use stagecraft::model::fault::FaultKind;
use stagecraft::model::phase::{Phase, Status};
use stagecraft::model::project::MigrationStrategy::{Manual, PostDeploy, PreDeploy};
use stagecraft::model::release::Outcome;

use super::stage::Stage;

async fn live_v1() -> Stage {
    let mut stage = Stage::new();
    stage.file("001_first.sql", PreDeploy);
    stage.deploy("v1").await.unwrap();
    stage.file("002_second.sql", PreDeploy);
    stage.file("003_backfill.sql", PostDeploy);
    stage.file("004_by_hand.sql", Manual);
    stage
}

async fn fails_at(phase: Phase) -> (Stage, Stopped) {
    let mut stage = live_v1().await;
    stage.breaks(Some(phase));
    let stopped = stage.deploy("v2").await.unwrap_err();
    assert_eq!(stopped.phase, Some(phase));
    assert_eq!(stage.last().outcome, Outcome::Failed);
    for later in phase.later() {
        let record = stage.last().phase(later);
        assert_eq!(record.status, Status::Skipped, "{later}");
        assert!(record.reason.unwrap().contains("not reached"), "{later}");
    }
    (stage, stopped)
}

#[tokio::test]
async fn a_release_goes_through_all_six_phases() {
    let mut stage = live_v1().await;
    let release = stage.deploy("v2").await.unwrap();
    assert_eq!(stage.statuses(), [Status::Completed; 6]);
    assert_eq!(release.outcome, Outcome::Done);
    assert_eq!(
        *stage.shop.applied.lock().unwrap(),
        ["001_first.sql", "002_second.sql", "003_backfill.sql"]
    );
    assert_eq!(stage.fleet.count(), 3, "the old containers are gone");
    stage.serves("v2");
}

#[tokio::test]
async fn a_failed_build_changes_nothing() {
    let (stage, stopped) = fails_at(Phase::Build).await;
    stage.serves("v1");
    assert!(
        stopped
            .fault
            .state
            .iter()
            .any(|line| line.contains("nothing was rolled out")),
        "{:?}",
        stopped.fault.state
    );
}

#[tokio::test]
async fn a_failed_push_changes_nothing() {
    let (stage, _) = fails_at(Phase::Push).await;
    stage.serves("v1");
}

#[tokio::test]
async fn a_failed_migration_stops_before_any_new_code_runs() {
    let (stage, stopped) = fails_at(Phase::MigratePre).await;
    stage.serves("v1");
    assert!(
        stopped
            .fault
            .state
            .iter()
            .any(|line| line.contains("0 of 1 migrations applied")),
        "{:?}",
        stopped.fault.state
    );
    assert!(
        stopped
            .fault
            .hints
            .iter()
            .any(|hint| hint.contains("--resume"))
    );
}

#[tokio::test]
async fn a_version_that_never_gets_healthy_leaves_the_old_one_serving_everywhere() {
    let mut stage = live_v1().await;
    stage.fleet.with(|state| state.sick.insert("v2".into()));
    let stopped = stage.deploy("v2").await.unwrap_err();
    assert_eq!(stopped.phase, Some(Phase::Rollout));
    assert_eq!(stopped.fault.kind, FaultKind::Failed);
    assert!(
        stopped.fault.to_string().contains("503"),
        "{}",
        stopped.fault
    );
    assert_eq!(
        stopped.fault.evidence.len(),
        1,
        "the container's last lines"
    );
    stage.serves("v1");
}

#[tokio::test]
async fn a_version_that_fails_on_the_last_host_is_taken_back_on_all() {
    let mut stage = live_v1().await;
    // The third host's engine cannot start it: its port is taken.
    stage.fleet.with(|state| {
        let mut blocker = state.containers.values().next().unwrap().clone();
        blocker.name = "other".into();
        blocker.labels.clear();
        state
            .containers
            .insert(("web3".into(), "other".into()), blocker);
        let old = state
            .containers
            .iter_mut()
            .find(|((host, name), _)| host == "web3" && name != "other")
            .unwrap();
        old.1.ports.clear();
    });
    let stopped = stage.deploy("v2").await.unwrap_err();
    assert_eq!(stopped.fault.kind, FaultKind::Failed);
    stage.fleet.with(|state| {
        state
            .containers
            .remove(&("web3".to_owned(), "other".to_owned()))
    });
    stage.serves("v1");
}

#[tokio::test]
async fn a_host_that_cannot_be_put_back_is_named_and_the_code_is_30() {
    let mut stage = live_v1().await;
    stage
        .fleet
        .with(|state| state.sick.extend(["v1".to_owned(), "v2".to_owned()]));
    let stopped = stage.deploy("v2").await.unwrap_err();
    assert_eq!(stopped.fault.kind, FaultKind::UndoFailed);
    assert_eq!(
        stage.last().outcome,
        Outcome::Open,
        "--abort finishes the undo"
    );
    assert!(
        stopped
            .fault
            .state
            .iter()
            .any(|line| line.contains("web1 could not be put back")),
        "{:?}",
        stopped.fault.state
    );
}

#[tokio::test]
async fn a_failed_backfill_leaves_the_new_release_serving() {
    let (stage, stopped) = fails_at(Phase::MigratePost).await;
    stage.serves("v2");
    assert!(
        stopped
            .fault
            .state
            .iter()
            .any(|line| line.contains("v2") && line.contains("serves")),
        "{:?}",
        stopped.fault.state
    );
    assert_eq!(
        stage.history.live(&stage.environment.name).unwrap().version,
        "v2"
    );
}

#[tokio::test]
async fn a_failed_backfill_is_resumed_without_doing_anything_twice() {
    let (mut stage, _) = fails_at(Phase::MigratePost).await;
    stage.breaks(None);
    let builds = *stage.shop.builds.lock().unwrap();
    let release = stage.resume().await.unwrap();
    assert_eq!(release.outcome, Outcome::Done);
    assert_eq!(*stage.shop.builds.lock().unwrap(), builds);
    assert_eq!(stage.statuses(), [Status::Completed; 6]);
    assert_eq!(stage.history.all().len(), 2, "it is the same release");
}

#[tokio::test]
async fn an_interruption_is_recorded_and_leaves_the_old_release_serving() {
    for phase in [Phase::Build, Phase::Push, Phase::MigratePre] {
        let mut stage = live_v1().await;
        stage.interrupt_in(phase);
        let stopped = stage.deploy("v2").await.unwrap_err();
        assert_eq!(stopped.fault.kind, FaultKind::Interrupted, "{phase}");
        assert_eq!(stage.last().outcome, Outcome::Failed, "{phase}");
        assert!(
            stage.statuses().iter().all(|status| status.is_final()),
            "{phase}"
        );
        stage.serves("v1");
    }
}

#[tokio::test]
async fn an_interruption_while_containers_are_replaced_is_undone_everywhere() {
    let mut stage = live_v1().await;
    stage.fleet.with(|state| state.sick.insert("v2".into()));
    stage.environment.roles[0].health.timeout = std::time::Duration::from_secs(60);
    let (fleet, cancel) = (stage.fleet.clone(), stage.cancel.clone());
    tokio::spawn(async move {
        while !fleet
            .serving()
            .values()
            .flatten()
            .any(|version| version == "v2")
        {
            tokio::task::yield_now().await;
        }
        cancel.cancel();
    });
    let stopped = stage.deploy("v2").await.unwrap_err();
    assert_eq!(
        (stopped.phase, stopped.fault.kind),
        (Some(Phase::Rollout), FaultKind::Interrupted)
    );
    stage.serves("v1");
}

#[tokio::test]
async fn the_same_plan_has_the_same_id_and_another_migration_another_one() {
    let stage = live_v1().await;
    let id = async || {
        let facts = stage.observe(stagecraft::deploy::Wanted::Everything).await;
        let request = stagecraft::plan::DeployRequest {
            release: stage.next_id(),
            version: Some("v2".into()),
        };
        stagecraft::plan::deploy(&stage.environment, &facts, &request)
            .unwrap()
            .id
    };
    let first = id().await;
    assert_eq!(first, id().await);
    stage.file("005_more.sql", PreDeploy);
    assert_ne!(first, id().await);
}

#[tokio::test]
async fn a_record_that_cannot_be_saved_stops_the_deploy_before_anything_changes() {
    let mut stage = live_v1().await;
    let actions = stage.fleet.with(|state| state.actions.len());
    let ledger = super::ledger::CutLedger::holding(&stage.history, None);
    ledger.fill_disk_after(0);
    let facts = stage.observe(stagecraft::deploy::Wanted::Everything).await;
    let request = stagecraft::plan::DeployRequest {
        release: stage.next_id(),
        version: Some("v2".into()),
    };
    let plan = stagecraft::plan::deploy(&stage.environment, &facts, &request).unwrap();
    let release = stagecraft::deploy::new_deploy(
        &stage.environment,
        &plan,
        &stagecraft::deploy::Origin {
            actor: "test".into(),
        },
    );
    let strategy = stage.strategy();
    let stopped = stage
        .deployer(&*strategy, &ledger)
        .deploy(&stage.cx(), release, &plan, &facts, &stage.ready())
        .await
        .unwrap_err();
    assert_eq!(stopped.phase, None);
    assert_eq!(stage.fleet.with(|state| state.actions.len()), actions);
    stage.history = ledger.history();
    stage.serves("v1");
}

#[tokio::test]
async fn an_undo_that_failed_is_finished_by_abort_once_the_host_is_back() {
    let mut stage = live_v1().await;
    stage
        .fleet
        .with(|state| state.sick.extend(["v1".to_owned(), "v2".to_owned()]));
    stage.deploy("v2").await.unwrap_err();
    stage.fleet.with(|state| state.sick.clear());
    let release = stage.abort().await.unwrap();
    assert_eq!(release.outcome, Outcome::Aborted);
    stage.serves("v1");
}

#[tokio::test]
async fn a_role_that_is_renamed_gives_its_port_to_the_new_one_and_gets_it_back_on_failure() {
    let mut stage = live_v1().await;
    stage.environment.roles.clear();
    stage
        .environment
        .roles
        .insert("app".parse().unwrap(), super::stage::role("app"));
    for host in &mut stage.environment.hosts {
        host.roles = vec!["app".parse().unwrap()];
    }
    stage.fleet.with(|state| state.sick.insert("v2".into()));
    stage.deploy("v2").await.unwrap_err();
    stage.serves("v1");
    stage.deploy("v3").await.unwrap();
    stage.serves("v3");
    assert_eq!(stage.fleet.count(), 3);
}

#[tokio::test]
async fn a_changed_health_check_does_not_judge_the_old_release() {
    let mut stage = live_v1().await;
    stage.fleet.with(|state| state.sick.insert("v2".into()));
    stage.environment.roles[0].health.check =
        stagecraft::model::project::HealthCheck::Command(vec!["new".into()]);
    stage.fleet.with(|state| state.refuses_commands = true);
    let stopped = stage.deploy("v2").await.unwrap_err();
    assert_eq!(stopped.fault.kind, FaultKind::Failed, "{:?}", stopped.fault);
    stage.serves("v1");
}

#[tokio::test]
async fn the_session_of_a_plan_that_just_ended_is_left_to_remove_itself() {
    use stagecraft::model::container::{ContainerState, label};
    let mut stage = live_v1().await;
    let beside = |stage: &Stage, name: &str, state: ContainerState| {
        stage.fleet.with(|fleet| {
            let (place, container) = fleet.containers.iter().next().unwrap();
            let (host, mut one) = (place.0.clone(), container.clone());
            one.name = name.to_owned();
            one.state = state;
            one.ports.clear();
            one.labels.remove(label::ROLE);
            one.labels.insert(label::JOB.into(), "database".into());
            fleet.containers.insert((host, name.to_owned()), one);
        });
    };
    beside(&stage, "being-removed", ContainerState::Other);
    beside(&stage, "left-behind", ContainerState::Exited);
    stage.deploy("v2").await.unwrap();
    let there = |name: &str| {
        let names = |fleet: &mut super::fleet::State| {
            fleet.containers.keys().any(|(_, known)| known == name)
        };
        stage.fleet.with(names)
    };
    assert!(there("being-removed"));
    assert!(!there("left-behind"));
}
