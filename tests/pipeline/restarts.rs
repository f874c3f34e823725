//! A restart: the live release's containers made anew, and nothing lost by it.

use stagecraft::deploy::{Origin, Wanted, new_rollback, reopen};
use stagecraft::model::container::label;
use stagecraft::model::fault::Fault;
use stagecraft::model::phase::{Phase, Status};
use stagecraft::model::release::{Outcome, Release};
use stagecraft::plan::{self, RestartRequest, RollbackPlan};

use super::ledger::{Cut, CutLedger};
use super::stage::{HOSTS, Stage, role};

impl Stage {
    async fn plan_restart(&self, only: &[&str]) -> Result<RollbackPlan, Fault> {
        let facts = self.observe(Wanted::Hosts).await;
        let request = RestartRequest {
            release: self.next_id(),
            only: only.iter().map(|name| name.parse().unwrap()).collect(),
        };
        plan::restart(&self.environment, &facts, &request)
    }

    /// `None`: the process died on the way.
    async fn restart_cut(&mut self, only: &[&str], cut: Option<Cut>) -> Option<Release> {
        let plan = self.plan_restart(only).await.unwrap();
        let actor = "test".into();
        let release = new_rollback(&self.environment, &plan, &Origin { actor });
        self.restart_as(release, &plan, cut).await
    }

    async fn restart_as(
        &mut self,
        release: Release,
        plan: &RollbackPlan,
        cut: Option<Cut>,
    ) -> Option<Release> {
        let facts = self.observe(Wanted::Hosts).await;
        let ledger = CutLedger::holding(&self.history, cut);
        let strategy = self.strategy();
        let ended = {
            let (cx, ready) = (self.cx(), self.ready());
            let deployer = self.deployer(&*strategy, &ledger);
            tokio::select! {
                biased;
                () = ledger.death() => None,
                result = deployer.roll_back(&cx, release, plan, &facts, &ready) => {
                    Some(result.unwrap_or_else(|stopped| panic!("{}", stopped.fault)))
                }
            }
        };
        self.history = ledger.history();
        self.writes = ledger.writes();
        ended
    }

    pub(crate) async fn restart(&mut self, only: &[&str]) -> Release {
        self.restart_cut(only, None).await.unwrap()
    }

    /// What `deploy --resume` does of one.
    async fn resume_restart(&mut self) -> Release {
        let found = plan::resumable(&self.history, &self.environment).unwrap();
        let mut release = found.release;
        assert!(release.restarts());
        let facts = self.observe(Wanted::Hosts).await;
        let request = RestartRequest {
            release: release.id.clone(),
            only: release.plan.roles.clone(),
        };
        let plan = plan::restart(&self.environment, &facts, &request).unwrap();
        reopen(&mut release).unwrap();
        self.restart_as(release, &plan, None).await.unwrap()
    }

    /// The writes of one whole rollback.
    async fn roll_back_writes(&mut self) -> usize {
        let plan = self
            .plan_back(None, plan::SchemaCheck::Refuse)
            .await
            .unwrap();
        let actor = "test".into();
        let release = new_rollback(&self.environment, &plan, &Origin { actor });
        self.restart_as(release, &plan, None).await.unwrap();
        self.writes
    }

    /// Names of the containers on a host, with whether each runs.
    fn names(&self, host: &str) -> Vec<(String, bool)> {
        self.fleet.with(|state| {
            let here = state.containers.iter().filter(|((on, _), _)| on == host);
            here.map(|((_, name), container)| (name.clone(), container.running()))
                .collect()
        })
    }
}

async fn live(version: &str) -> Stage {
    let mut stage = Stage::behind_proxies();
    stage.deploy(version).await.unwrap();
    stage
}

#[tokio::test]
async fn a_restart_makes_every_container_anew_and_moves_traffic_once() {
    let mut stage = live("v1").await;
    let before: Vec<_> = HOSTS.iter().map(|host| stage.names(host)).collect();
    let switches = stage.proxies.with(|state| state.switches.len());
    let release = stage.restart(&[]).await;
    assert_eq!(
        (release.label(), release.outcome),
        ("restart", Outcome::Done)
    );
    assert_eq!(release.phase(Phase::MigratePre).status, Status::Skipped);
    stage.proxies.answer_with("v1", &HOSTS);
    let moved = stage.proxies.with(|state| state.switches.len()) - switches;
    assert_eq!(moved, HOSTS.len());
    for (host, before) in HOSTS.iter().zip(before) {
        let now = stage.names(host);
        assert_eq!(now.len(), 1, "{now:?}");
        assert_ne!(now, before, "{host}");
    }
}

#[tokio::test]
async fn after_a_restart_the_way_back_and_forth_is_what_it_was() {
    let mut stage = live("v1").await;
    stage.deploy("v2").await.unwrap();
    stage.restart(&[]).await;
    stage.restart(&[]).await;
    // The slot of v1 stayed.
    assert_eq!(stage.names("web2").len(), 2);
    stage.roll_back(None).await.unwrap();
    stage.proxies.answer_with("v1", &HOSTS);
    stage.restart(&[]).await;
    stage.proxies.answer_with("v1", &HOSTS);
    stage.deploy("v3").await.unwrap();
    // Not to v2, which was rolled back from; and v1 as it was restarted wakes up.
    stage.fleet.with(|state| state.actions.clear());
    stage.roll_back(None).await.unwrap();
    stage.proxies.answer_with("v1", &HOSTS);
    let actions = stage.fleet.with(|state| state.actions.clone());
    let again = actions.iter().filter(|one| one.contains("start again"));
    assert_eq!(again.count(), HOSTS.len(), "{actions:#?}");
}

#[tokio::test]
async fn whatever_write_is_cut_a_restart_is_finished_or_undone() {
    let mut stage = live("v1").await;
    stage.restart(&[]).await;
    let writes = stage.writes;
    let cuts = (1..=writes).flat_map(|number| [Cut::Before(number), Cut::After(number)]);
    let mut seen = (0, 0);
    for cut in cuts {
        let mut stage = live("v1").await;
        assert!(stage.restart_cut(&[], Some(cut)).await.is_none(), "{cut:?}");
        stage.proxies.answer_with("v1", &HOSTS);
        let Some(found) = plan::interrupted(&stage.history, &stage.environment) else {
            continue;
        };
        let fault = plan::open_release_fault(&stage.environment, &found);
        assert!(fault.what.contains("(restart v1)"), "{fault}");
        let undoable = plan::abortable(&stage.history, &stage.environment).is_ok();
        // Every other time it is undone, where it can be.
        if undoable && matches!(cut, Cut::After(_)) {
            stage.abort().await.unwrap();
            seen.0 += 1;
        } else {
            let release = stage.resume_restart().await;
            assert_eq!(release.outcome, Outcome::Done, "{cut:?}");
            seen.1 += 1;
        }
        stage.proxies.answer_with("v1", &HOSTS);
        for host in HOSTS {
            assert_eq!(stage.names(host).len(), 1, "{cut:?}: {host}");
        }
        stage.deploy("v2").await.unwrap();
        stage.proxies.answer_with("v2", &HOSTS);
    }
    assert!(seen.0 > 0 && seen.1 > 0, "{seen:?}");
}

#[tokio::test]
async fn a_restart_of_one_role_leaves_the_others_as_they_are() {
    let mut stage = live("v1").await;
    let worker = "worker".parse().unwrap();
    let of_worker = stagecraft::model::project::Role {
        port: None,
        overlap: false,
        ..role("worker")
    };
    stage.environment.roles.insert(worker, of_worker);
    for host in &mut stage.environment.hosts {
        host.roles.push("worker".parse().unwrap());
    }
    stage.deploy("v2").await.unwrap();
    let workers = |stage: &Stage| {
        let names = stage.names("web2").into_iter();
        names
            .filter(|(name, runs)| name.contains("worker") && *runs)
            .collect::<Vec<_>>()
    };
    let before = workers(&stage);
    assert_eq!(before.len(), 1);
    let release = stage.restart(&["web"]).await;
    assert_eq!(workers(&stage), before);
    let web2: stagecraft::model::host::HostAddress = "web2".parse().unwrap();
    let recorded = &release.hosts[&web2].containers;
    assert_eq!(recorded.len(), 2, "{recorded:?}");
    stage.proxies.answer_with("v2", &HOSTS);
    // The next deploy takes the place of both.
    stage.deploy("v3").await.unwrap();
    let running = stage.names("web2").into_iter().filter(|(_, runs)| *runs);
    let versions: Vec<String> = running
        .map(|(name, _)| {
            let key = ("web2".to_owned(), name);
            stage
                .fleet
                .with(|state| state.containers[&key].labels[label::VERSION].clone())
        })
        .collect();
    assert_eq!(versions, ["v3", "v3"]);
    let fault = stage.plan_restart(&["cron"]).await.unwrap_err();
    assert!(fault.what.contains("has no role `cron`"), "{fault}");
}

#[tokio::test]
async fn without_a_proxy_it_takes_place_in_place() {
    let mut stage = Stage::new();
    stage.deploy("v1").await.unwrap();
    let plan = stage.plan_restart(&[]).await.unwrap();
    assert!(
        plan.rollout
            .notes
            .iter()
            .any(|note| note.contains("pauses"))
    );
    stage.restart(&[]).await;
    stage.serves("v1");
    assert_eq!(stage.fleet.count(), HOSTS.len());
}

#[tokio::test]
async fn what_is_not_live_cannot_be_restarted() {
    let stage = Stage::behind_proxies();
    let fault = stage.plan_restart(&[]).await.unwrap_err();
    assert!(fault.what.contains("nothing is live"), "{fault}");
}

#[tokio::test]
async fn a_rollback_that_was_cut_off_in_its_end_is_finished() {
    let mut stage = live("v1").await;
    stage.deploy("v2").await.unwrap();
    let plan = stage
        .plan_back(None, plan::SchemaCheck::Refuse)
        .await
        .unwrap();
    let actor = "test".into();
    let release = new_rollback(&stage.environment, &plan, &Origin { actor });
    // Its rollout is recorded, and the old ones are still there.
    let writes = {
        let mut whole = live("v1").await;
        whole.deploy("v2").await.unwrap();
        whole.roll_back_writes().await
    };
    let died = stage.restart_as(release, &plan, Some(Cut::After(writes - 1)));
    assert!(died.await.is_none());
    assert_eq!(stage.last().phase(Phase::Rollout).status, Status::Completed);
    let found = plan::resumable(&stage.history, &stage.environment).unwrap();
    assert_eq!(found.at, Phase::Finalize);
    let facts = stage.observe(Wanted::Rollback).await;
    let target = plan::resumed_target(&facts, &found.release).unwrap();
    let request = plan::RollbackRequest {
        release: found.release.id.clone(),
        to: None,
        schema: plan::SchemaCheck::Refuse,
    };
    let ready = stage.ready();
    let plan = plan::rollback(&stage.environment, &facts, &request, target, &ready).unwrap();
    let mut release = found.release;
    reopen(&mut release).unwrap();
    let release = stage.restart_as(release, &plan, None).await.unwrap();
    assert_eq!(release.outcome, Outcome::Done);
    stage.proxies.answer_with("v1", &HOSTS);
}
