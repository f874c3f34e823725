//! The process dies at every write of the journal, once before and once after
//! the write reached the disk. The next command finds the release, and both
//! ways out end well: finished everywhere, or undone everywhere.

use stagecraft::model::migration::MigrationOutcome;
use stagecraft::model::phase::{Phase, Status};
use stagecraft::model::project::MigrationStrategy::{PostDeploy, PreDeploy};
use stagecraft::model::release::{Outcome, Release};

use super::ledger::Cut;
use super::stage::Stage;

async fn before_v2() -> Stage {
    let mut stage = Stage::new();
    stage.file("001_first.sql", PreDeploy);
    stage.deploy("v1").await.unwrap();
    stage.file("002_second.sql", PreDeploy);
    stage.file("003_backfill.sql", PostDeploy);
    stage
}

/// The writes of one whole deploy.
async fn writes() -> usize {
    let mut stage = before_v2().await;
    stage.deploy("v2").await.unwrap();
    stage.writes
}

fn cuts(writes: usize) -> impl Iterator<Item = Cut> {
    (1..=writes).flat_map(|number| [Cut::Before(number), Cut::After(number)])
}

#[tokio::test]
async fn a_deploy_writes_its_record_before_each_phase_and_at_its_end() {
    assert_eq!(writes().await, 7);
}

#[tokio::test]
async fn whatever_write_is_cut_resuming_finishes_the_release_and_migrates_once() {
    for cut in cuts(writes().await) {
        let mut stage = before_v2().await;
        assert!(stage.deploy_cut("v2", Some(cut)).await.is_none(), "{cut:?}");
        if stage.history.all().len() == 1 || stage.last().outcome == Outcome::Done {
            continue; // It died before it began, or after it was done.
        }
        let release = stage
            .resume()
            .await
            .unwrap_or_else(|stopped| panic!("{cut:?}: {}", stopped.fault));
        assert_eq!(release.outcome, Outcome::Done, "{cut:?}");
        stage.serves("v2");
        assert_eq!(
            *stage.shop.applied.lock().unwrap(),
            ["001_first.sql", "002_second.sql", "003_backfill.sql"],
            "{cut:?}"
        );
        assert_eq!(migrated(&release), ["002_second.sql", "003_backfill.sql"]);
        for phase in [Phase::MigratePre, Phase::MigratePost] {
            assert_eq!(release.phase(phase).status, Status::Completed, "{cut:?}");
        }
        assert_eq!(stage.fleet.count(), 3, "{cut:?}: nothing is left behind");
        assert!(*stage.shop.builds.lock().unwrap() <= 3, "{cut:?}");
    }
}

/// What the record says it applied, whichever process did.
fn migrated(release: &Release) -> Vec<&str> {
    let results = release.migrations.iter();
    results
        .inspect(|result| assert_eq!(result.outcome, MigrationOutcome::Applied))
        .map(|result| result.id.as_str())
        .collect()
}

#[tokio::test]
async fn a_failed_migration_that_is_resumed_stands_in_the_record_once() {
    let mut stage = before_v2().await;
    stage.breaks(Some(Phase::MigratePre));
    stage.deploy("v2").await.unwrap_err();
    stage.breaks(None);
    let release = stage.resume().await.unwrap();
    assert_eq!(migrated(&release), ["002_second.sql", "003_backfill.sql"]);
}

#[tokio::test]
async fn whatever_write_is_cut_aborting_puts_the_old_release_back_everywhere() {
    let mut aborted = 0;
    for cut in cuts(writes().await) {
        let mut stage = before_v2().await;
        assert!(stage.deploy_cut("v2", Some(cut)).await.is_none(), "{cut:?}");
        if stage.history.all().len() == 1 || stage.last().outcome == Outcome::Done {
            continue;
        }
        if stage.last().phase(Phase::Rollout).status == Status::Completed {
            let refused =
                stagecraft::plan::abortable(&stage.history, &stage.environment).unwrap_err();
            assert!(
                refused.hints.iter().any(|hint| hint.contains("rollback")),
                "{cut:?}"
            );
            continue;
        }
        let release = stage
            .abort()
            .await
            .unwrap_or_else(|stopped| panic!("{cut:?}: {}", stopped.fault));
        assert_eq!(release.outcome, Outcome::Aborted, "{cut:?}");
        stage.serves("v1");
        assert_eq!(
            stage.history.live(&stage.environment.name).unwrap().version,
            "v1",
            "{cut:?}"
        );
        aborted += 1;
    }
    // Once before and once after each write between the first and the rollout's end.
    assert_eq!(aborted, 8);
}

#[tokio::test]
async fn beside_a_cut_off_release_no_other_begins() {
    let mut stage = before_v2().await;
    assert!(stage.deploy_cut("v2", Some(Cut::After(4))).await.is_none());
    let found = stagecraft::plan::interrupted(&stage.history, &stage.environment).unwrap();
    let fault = stagecraft::plan::open_release_fault(&stage.environment, &found);
    assert_eq!(fault.hints.len(), 2, "{fault:?}");
    assert!(!fault.state.is_empty());
}

#[tokio::test]
async fn an_edited_configuration_is_not_resumed() {
    let mut stage = before_v2().await;
    assert!(stage.deploy_cut("v2", Some(Cut::After(4))).await.is_none());
    stage.environment.config_hash = "another".into();
    let found = stagecraft::plan::resumable(&stage.history, &stage.environment).unwrap();
    let facts = stage.observe(stagecraft::deploy::Wanted::Everything).await;
    let request = stagecraft::plan::DeployRequest {
        release: found.release.id.clone(),
        version: Some("v2".into()),
    };
    let today = stagecraft::plan::deploy(&stage.environment, &facts, &request).unwrap();
    assert!(stagecraft::plan::matches_today(&found.release, &today).is_err());
}

#[tokio::test]
async fn only_what_was_cut_or_failed_can_be_taken_up_again() {
    for (status, may) in [
        (Status::Running, true),
        (Status::Failed, true),
        (Status::Skipped, true),
        (Status::Completed, false),
    ] {
        assert_eq!(super::stage::may_resume(status), may, "{status}");
    }
}
