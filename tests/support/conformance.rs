//! What every engine owes, whatever its tool: the scenarios, and what an engine
//! brings to take part in them.
//!
//! The one invariant of all scenarios: what a run reports as applied is in the
//! database, and what it does not is not.

use std::time::{Duration, Instant};

use stagecraft::model::fault::FaultKind;
use stagecraft::model::migration::MigrationRequest;

use super::migrations::{Project, Ran, states};

/// What a migration does beside making its table.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Work {
    Good,
    /// Fails after it.
    Broken,
    /// Takes half a minute after it.
    Slow,
}

/// One engine and its way with files.
pub(crate) trait Contestant {
    /// A project with nothing in it.
    fn project(&self) -> Project;

    /// Writes migration `n`, which makes the table `t<n>`.
    fn write(&self, project: &Project, n: u32, work: Work);

    fn id(&self, n: u32) -> String;

    /// Whether the table `t<n>` is there.
    fn happened(&self, project: &Project, n: u32) -> bool;

    /// Whether anything at all is.
    fn untouched(&self, project: &Project) -> bool;

    /// Whether a run is inside a slow migration now.
    fn is_slow(&self, project: &Project) -> bool;

    /// What a person does after a failure or a kill in migration `n`, beside
    /// mending its file.
    fn repair(&self, project: &Project, n: u32);
}

/// What a run reports is so.
#[track_caller]
fn honest(with: &dyn Contestant, project: &Project, ran: &Ran, all: u32) {
    let results = ran.results();
    for n in 1..=all {
        let applied = results.contains(&format!("{} applied", with.id(n)));
        assert_eq!(
            applied,
            with.happened(project, n),
            "{n}: {results:?} {:?}",
            ran.outcome
        );
    }
}

pub(crate) async fn applies_once(with: &dyn Contestant) {
    let project = with.project();
    with.write(&project, 1, Work::Good);
    with.write(&project, 2, Work::Good);
    let plan = project.plan().await;
    let pending = [1, 2].map(|n| format!("{} pending", with.id(n)));
    assert_eq!(states(&plan), pending, "{:?}", plan.refusals);
    assert_eq!(plan.refusals, [] as [String; 0]);
    assert!(with.untouched(&project), "planning changes nothing");
    let ran = project.run_plans(&[plan]).await;
    ran.outcome.as_ref().unwrap();
    honest(with, &project, &ran, 2);
    let plan = project.plan().await;
    assert_eq!((plan.selected.len(), plan.refusals.len()), (0, 0));
    assert_eq!(project.run().await.applied(), 0);
    with.write(&project, 3, Work::Good);
    let ran = project.run().await;
    assert_eq!(ran.results(), [format!("{} applied", with.id(3))]);
    assert!(with.happened(&project, 3));
}

pub(crate) async fn refuses_what_was_edited(with: &dyn Contestant) {
    let project = with.project();
    with.write(&project, 1, Work::Good);
    project.run().await.outcome.unwrap();
    with.write(&project, 1, Work::Broken);
    with.write(&project, 2, Work::Good);
    let plan = project.plan().await;
    assert!(
        plan.refusals.iter().any(|why| why.contains(&with.id(1))),
        "{:?}",
        plan.refusals
    );
    let ran = project.run_plans(&[plan]).await;
    assert_eq!(ran.fault().kind, FaultKind::Refused);
    assert!(!with.happened(&project, 2));
}

pub(crate) async fn tells_a_failure_and_goes_on_when_it_is_mended(with: &dyn Contestant) {
    let project = with.project();
    with.write(&project, 1, Work::Good);
    with.write(&project, 2, Work::Broken);
    with.write(&project, 3, Work::Good);
    let ran = project.run().await;
    let fault = ran.fault();
    assert_eq!(fault.kind, FaultKind::Failed);
    honest(with, &project, &ran, 3);
    assert!(!with.happened(&project, 3));
    assert!(
        fault.hints.iter().any(|hint| hint.contains('`')),
        "a next command: {fault:?}"
    );
    with.repair(&project, 2);
    with.write(&project, 2, Work::Good);
    let ran = project.run().await;
    ran.outcome.as_ref().unwrap();
    assert!((1..=3).all(|n| with.happened(&project, n)));
    assert_eq!(project.plan().await.selected, [] as [String; 0]);
}

/// A run that ends by a signal inside its slow migration.
pub(crate) async fn killed(with: &dyn Contestant, project: &Project) -> Ran {
    let kill = async {
        let deadline = Instant::now() + Duration::from_secs(20);
        while !with.is_slow(project) {
            assert!(Instant::now() < deadline, "it never began");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        project.cancel.cancel();
    };
    let (ran, ()) = tokio::join!(project.run(), kill);
    ran
}

pub(crate) async fn survives_a_kill(with: &dyn Contestant) {
    let mut project = with.project();
    with.write(&project, 1, Work::Slow);
    with.write(&project, 2, Work::Good);
    let begun = Instant::now();
    let ran = killed(with, &project).await;
    assert_eq!(
        ran.fault().kind,
        FaultKind::Interrupted,
        "{:?}",
        ran.fault()
    );
    assert!(begun.elapsed() < Duration::from_secs(25), "it was ended");
    honest(with, &project, &ran, 2);
    // The next one, by another process.
    project.cancel = tokio_util::sync::CancellationToken::new();
    with.repair(&project, 1);
    with.write(&project, 1, Work::Good);
    project.run().await.outcome.unwrap();
    assert!((1..=2).all(|n| with.happened(&project, n)));
}

pub(crate) async fn lets_one_of_two_run(with: &dyn Contestant) {
    let project = with.project();
    with.write(&project, 1, Work::Good);
    with.write(&project, 2, Work::Good);
    let plans = project.plans(&MigrationRequest::default()).await.unwrap();
    let second = "rel-20260101-000000002".parse().unwrap();
    let (one, other) = tokio::join!(project.run_plans(&plans), project.run_for(&plans, &second));
    let ran = [one.outcome.is_ok(), other.outcome.is_ok()];
    assert!(ran.contains(&true), "{:?} {:?}", one.outcome, other.outcome);
    for lost in [&one, &other]
        .into_iter()
        .filter(|ran| ran.outcome.is_err())
    {
        let kind = lost.fault().kind;
        assert!(
            matches!(kind, FaultKind::Refused | FaultKind::Locked),
            "{:?}",
            lost.fault()
        );
    }
    // Whoever came second found nothing to do, or was refused.
    let applied = [&one, &other].map(|ran| {
        ran.results()
            .iter()
            .filter(|r| r.ends_with(" applied"))
            .count()
    });
    assert_eq!(applied.iter().sum::<usize>(), 2, "{applied:?}");
    assert!((1..=2).all(|n| with.happened(&project, n)));
}
