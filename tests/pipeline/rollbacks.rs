//! Rollbacks: the image alone, along the chain of what was live.

use stagecraft::model::phase::{Phase, Status};
use stagecraft::model::project::MigrationStrategy::PreDeploy;

use super::stage::Stage;

async fn three_versions() -> Stage {
    let mut stage = Stage::new();
    for version in ["v1", "v2", "v3"] {
        stage.file(&format!("{version}.sql"), PreDeploy);
        stage.deploy(version).await.unwrap();
    }
    stage
}

#[tokio::test]
async fn a_rollback_brings_the_last_good_release_back_and_touches_no_database() {
    let mut stage = three_versions().await;
    let applied = stage.shop.applied.lock().unwrap().clone();
    let release = stage.roll_back(None).await.unwrap();
    stage.serves("v2");
    for phase in [
        Phase::Build,
        Phase::Push,
        Phase::MigratePre,
        Phase::MigratePost,
    ] {
        assert_eq!(release.phase(phase).status, Status::Skipped, "{phase}");
    }
    assert_eq!(*stage.shop.applied.lock().unwrap(), applied);
}

#[tokio::test]
async fn a_second_rollback_goes_one_further_and_a_third_has_no_target() {
    let mut stage = three_versions().await;
    stage.roll_back(None).await.unwrap();
    stage.roll_back(None).await.unwrap();
    stage.serves("v1");
    let fault = stage.roll_back(None).await.unwrap_err();
    assert!(fault.what.contains("no release to roll back to"), "{fault}");
    stage.serves("v1");
}

#[tokio::test]
async fn a_rollback_is_itself_a_target() {
    let mut stage = three_versions().await;
    let back = stage.roll_back(None).await.unwrap();
    stage.deploy("v4").await.unwrap();
    stage.roll_back(Some(&back.id)).await.unwrap();
    stage.serves("v2");
}

#[tokio::test]
async fn a_failed_release_is_stepped_over() {
    let mut stage = three_versions().await;
    stage.fleet.with(|state| state.sick.insert("v4".into()));
    stage.deploy("v4").await.unwrap_err();
    stage.roll_back(None).await.unwrap();
    stage.serves("v2");
}

#[tokio::test]
async fn the_live_release_and_an_unknown_one_are_no_targets() {
    let mut stage = three_versions().await;
    let live = stage.last().id;
    assert!(
        stage
            .roll_back(Some(&live))
            .await
            .unwrap_err()
            .what
            .contains("live already")
    );
    let unknown = "rel-20200101-000000000".parse().unwrap();
    assert!(
        stage
            .roll_back(Some(&unknown))
            .await
            .unwrap_err()
            .what
            .contains("no release")
    );
}

#[tokio::test]
async fn only_images_that_are_no_way_back_are_forgotten() {
    let mut stage = Stage::new();
    stage.environment.rollout.keep = 2;
    let mut references = vec![];
    for version in ["v1", "v2", "v3", "v4", "v5"] {
        let release = stage.deploy(version).await.unwrap();
        references.push(release.image.unwrap().local_reference);
    }
    let forgotten = stage.shop.forgotten.lock().unwrap().clone();
    for (index, reference) in references.iter().enumerate() {
        assert_eq!(forgotten.contains(reference), index < 2, "v{}", index + 1);
    }
    stage.roll_back(None).await.unwrap();
    stage.roll_back(None).await.unwrap();
    let forgotten = stage.shop.forgotten.lock().unwrap().clone();
    assert!(
        !forgotten.contains(&references[2]),
        "the image that runs is never forgotten"
    );
    stage.serves("v3");
}
