//! The rollout of a whole fleet, and its undo.

use std::sync::{Mutex, PoisonError};

use async_trait::async_trait;
use futures_util::future::{join_all, try_join_all};
use futures_util::stream::{FuturesUnordered, StreamExt};
use tokio_util::sync::CancellationToken;

use crate::model::fault::{Fault, FaultKind};
use crate::model::project::Strategy;
use crate::model::slot::Manner;
use crate::ports::{Cx, HostStep, RolloutFailure, RolloutPlan, RolloutReport, RolloutStrategy};

use super::{Hands, aside, beside, in_place, retire, schema, traffic, watch};

/// The hosts that were changed, or may have been.
#[derive(Default)]
struct Touched<'a> {
    steps: Vec<&'a HostStep>,
    /// Where an old container may be about to end.
    doubtful: Vec<&'a HostStep>,
}

pub(super) struct Fleet {
    pub(super) hands: Hands,
}

#[async_trait]
impl RolloutStrategy for Fleet {
    async fn roll(&self, cx: &Cx, plan: &RolloutPlan) -> Result<RolloutReport, RolloutFailure> {
        let mut touched = Touched::default();
        match self.do_it(cx, plan, &mut touched).await {
            Ok(()) => Ok(report(plan)),
            Err(fault) => {
                let deaf = cx.uncancellable();
                let doubtful = touched.doubtful.iter();
                join_all(doubtful.map(|step| in_place::settle(&deaf, &self.hands, step))).await;
                Err(self.undone(cx, plan, &touched.steps, fault).await)
            }
        }
    }

    async fn put_back(&self, cx: &Cx, plan: &RolloutPlan) -> Result<(), RolloutFailure> {
        let all: Vec<&HostStep> = plan.batches.iter().flatten().collect();
        let deaf = cx.uncancellable();
        let settled = all.iter();
        join_all(settled.map(|step| in_place::settle(&deaf, &self.hands, step))).await;
        let fault = Fault::new(FaultKind::UndoFailed, "some hosts could not be put back");
        let mut failure = self.undone(cx, plan, &all, fault).await;
        let proofs = all
            .iter()
            .map(|step| beside::olds_answer(&deaf, &self.hands, step));
        for (step, proof) in all.iter().zip(join_all(proofs).await) {
            if let (true, Err(reason)) = (failure.undone.contains(&step.host), proof) {
                failure.undone.retain(|host| *host != step.host);
                failure
                    .not_undone
                    .push((step.host.clone(), reason.to_string()));
            }
        }
        match failure.not_undone.is_empty() {
            true => Ok(()),
            false => Err(failure),
        }
    }

    async fn retire(&self, cx: &Cx, plan: &RolloutPlan) -> Vec<String> {
        let hosts = plan.batches.iter().flatten();
        let ends = hosts.map(|step| retire::host(cx, &self.hands, plan, step));
        let mut problems = join_all(ends).await.concat();
        problems.extend(retire::unroute(cx, &self.hands, plan).await);
        problems
    }
}

impl Fleet {
    async fn do_it<'a>(
        &self,
        cx: &Cx,
        plan: &'a RolloutPlan,
        touched: &mut Touched<'a>,
    ) -> Result<(), Fault> {
        self.prepare(cx, plan).await?;
        aside::ask(cx, &self.hands, plan).await?;
        for (index, batch) in plan.batches.iter().enumerate() {
            if index > 0 {
                self.pause(cx, plan).await?;
            }
            touched.steps.extend(batch);
            self.start_beside(cx, batch).await?;
            self.ask(cx, plan, index, Manner::Beside).await?;
            self.still_ready(cx, batch).await?;
            // Barrier: every host of the batch is ready, and none has changed
            // what its users see.
            self.move_traffic(cx, plan, batch).await?;
            self.replace_in_place(cx, plan, batch, touched).await?;
            self.ask(cx, plan, index, Manner::InPlace).await?;
            if plan.rollout.strategy == Strategy::Rolling {
                self.make_room(cx, plan, batch).await?;
            }
        }
        watch::confirm(cx, &self.hands, plan).await?;
        self.keep(cx, plan).await
    }

    /// Every host has the image, the ports and its proxy before the first
    /// container is touched.
    async fn prepare(&self, cx: &Cx, plan: &RolloutPlan) -> Result<(), Fault> {
        let hosts = plan.batches.iter().flatten();
        try_join_all(hosts.map(|step| {
            let cx = cx.on_host(&step.host);
            let hands = &self.hands;
            async move {
                let image = hands.runner.ensure_image(&cx, &step.host, &plan.image);
                let proxy = async {
                    match traffic::route(plan, step) {
                        Some(route) => {
                            let (proxy, old) = (&hands.proxy, &step.old_servers);
                            proxy.ensure(&cx, &step.host, route, old).await
                        }
                        None => Ok(()),
                    }
                };
                let all = async {
                    tokio::try_join!(image, proxy, in_place::ports_are_free(&cx, hands, step))
                };
                cx.or_interrupted(all).await
            }
        }))
        .await?;
        Ok(())
    }

    async fn pause(&self, cx: &Cx, plan: &RolloutPlan) -> Result<(), Fault> {
        let pause = plan.rollout.pause;
        if pause.is_zero() {
            return Ok(());
        }
        cx.step(format!(
            "pausing {} s before the next batch",
            pause.as_secs_f64()
        ));
        tokio::select! {
            () = cx.token().cancelled() => Err(Fault::interrupted()),
            () = tokio::time::sleep(pause) => Ok(()),
        }
    }

    async fn start_beside(&self, cx: &Cx, batch: &[HostStep]) -> Result<(), Fault> {
        let stop = cx.child();
        let hosts = batch
            .iter()
            .map(|step| beside::start(&stop, &self.hands, step));
        all_or_stop(&stop, hosts).await
    }

    /// The first hosts may have waited long for the last one: each new
    /// container is asked once more, in the moment before traffic moves.
    async fn still_ready(&self, cx: &Cx, batch: &[HostStep]) -> Result<(), Fault> {
        let hosts = batch.iter();
        let asked = hosts.map(|step| beside::still_ready(cx, &self.hands, step));
        try_join_all(asked).await?;
        Ok(())
    }

    /// The schema gate: every new replica so far may serve on the schema that
    /// is there.
    async fn ask(
        &self,
        cx: &Cx,
        plan: &RolloutPlan,
        last_batch: usize,
        manner: Manner,
    ) -> Result<(), Fault> {
        let Some(gate) = &plan.gate else {
            return Ok(());
        };
        let mut asked = vec![];
        for step in plan.batches.iter().take(last_batch + 1).flatten() {
            let slots = step.slots.iter().filter(|slot| slot.manner == manner);
            for slot in slots.filter(|slot| gate.asks(&slot.role)) {
                let (host, name) = (&step.host, &slot.new.name);
                let found = self.hands.runner.inspect(cx, host, name).await?;
                asked.push((host.clone(), found.ok_or_else(|| watch::gone(host, name))?));
            }
        }
        // A batch may have none, and a release has one manner for the role.
        if asked.is_empty() {
            return Ok(());
        }
        schema::agree(cx, &*self.hands.fetch, gate, &asked).await
    }

    /// On all hosts at once. Each is seen to its end: traffic that is about to
    /// move may not do so behind the back of the undo.
    async fn move_traffic(
        &self,
        cx: &Cx,
        plan: &RolloutPlan,
        batch: &[HostStep],
    ) -> Result<(), Fault> {
        cx.check()?;
        let hosts = batch.iter().filter(|step| {
            let mut proxied = step.slots.iter().filter(|slot| slot.behind_proxy.is_some());
            proxied.all(|slot| slot.manner == Manner::Beside)
        });
        let deaf = cx.uncancellable();
        let moves = hosts.map(|step| traffic::forward(&deaf, &self.hands, plan, step));
        join_all(moves).await.into_iter().collect()
    }

    /// What cannot run twice, on all hosts at once. The first failure stops
    /// the others at their next step: what follows is the undo.
    async fn replace_in_place<'a>(
        &self,
        cx: &Cx,
        plan: &RolloutPlan,
        batch: &'a [HostStep],
        touched: &mut Touched<'a>,
    ) -> Result<(), Fault> {
        let stop = cx.child();
        let doubtful: Mutex<Vec<&HostStep>> = Mutex::default();
        let hosts = batch
            .iter()
            .filter(|step| in_place::slots(step).next().is_some())
            .map(|step| {
                let (stop, doubtful) = (&stop, &doubtful);
                async move {
                    let change = in_place::change(stop, &self.hands, plan, step);
                    change.await.map_err(|stopped| {
                        if stopped.doubtful {
                            lock(doubtful).push(step);
                        }
                        stopped.fault
                    })
                }
            });
        let done = CancellationToken::new();
        let change = async {
            let result = all_or_stop(&stop, hosts).await;
            done.cancel();
            result
        };
        // Users are at the new release by now, and what changes in place may
        // take its time.
        let watch = async {
            let death = done
                .run_until_cancelled(watch::death(cx, &self.hands, batch))
                .await;
            stop.token().cancel();
            death
        };
        let (result, death) = tokio::join!(change, watch);
        touched.doubtful.append(&mut lock(&doubtful));
        death.map_or(result, Err)
    }

    /// A fleet that rolls may have no room for two slots everywhere: the old
    /// ones of a finished batch drain and stop before the next one begins.
    async fn make_room(
        &self,
        cx: &Cx,
        plan: &RolloutPlan,
        batch: &[HostStep],
    ) -> Result<(), Fault> {
        try_join_all(batch.iter().map(|step| async move {
            let cx = &cx.on_host(&step.host);
            retire::leave(cx, &self.hands, plan, step).await?;
            try_join_all(beside::olds(step).map(|(old, stop)| async move {
                let deaf = cx.uncancellable();
                self.hands
                    .runner
                    .stop(&deaf, &step.host, &old.name, stop)
                    .await?;
                cx.step(format!("stopped {}", old.name));
                Ok::<(), Fault>(())
            }))
            .await
        }))
        .await?;
        Ok(())
    }

    /// The whole fleet is confirmed: from now on a reboot brings the new
    /// release.
    async fn keep(&self, cx: &Cx, plan: &RolloutPlan) -> Result<(), Fault> {
        cx.check()?;
        let cx = cx.uncancellable();
        let hosts = plan.batches.iter().flatten();
        let kept = hosts.map(|step| {
            let cx = cx.on_host(&step.host);
            async move {
                let Some(route) = traffic::route(plan, step) else {
                    return Ok(());
                };
                let serving = traffic::new_servers(&cx, &self.hands, step).await?;
                let proxy = &self.hands.proxy;
                proxy.keep(&cx, &step.host, route, &serving).await
            }
        });
        join_all(kept).await.into_iter().collect()
    }

    /// Puts back what was touched, and says of each host what came of it.
    async fn undone(
        &self,
        cx: &Cx,
        plan: &RolloutPlan,
        touched: &[&HostStep],
        fault: Fault,
    ) -> RolloutFailure {
        let cx = cx.uncancellable();
        let hosts = touched.iter().rev().map(|step| {
            let cx = cx.on_host(&step.host);
            async move { (step.host.clone(), self.undo_host(&cx, plan, step).await) }
        });
        let mut failure = RolloutFailure {
            fault,
            undone: vec![],
            not_undone: vec![],
        };
        for (host, result) in join_all(hosts).await.into_iter().rev() {
            match result {
                Ok(()) => failure.undone.push(host),
                Err(reason) => failure.not_undone.push((host, reason)),
            }
        }
        failure
    }

    /// What was replaced in place comes back first: its old container waits
    /// for the port, and may be behind the proxy.
    async fn undo_host(&self, cx: &Cx, plan: &RolloutPlan, step: &HostStep) -> Result<(), String> {
        let in_place = in_place::undo(cx, &self.hands, plan, step).await;
        let beside = beside::undo(cx, &self.hands, plan, step).await;
        match (in_place, beside) {
            (Ok(()), result) | (result, Ok(())) => result,
            (Err(one), Err(two)) => Err(format!("{one}; {two}")),
        }
    }
}

/// Does all of it at once. The first failure stops the others at their next
/// step, and each is seen to its end: what follows is the undo.
async fn all_or_stop(
    stop: &Cx,
    work: impl Iterator<Item = impl Future<Output = Result<(), Fault>>>,
) -> Result<(), Fault> {
    let mut running: FuturesUnordered<_> = work.collect();
    let mut failure: Option<Fault> = None;
    while let Some(result) = running.next().await {
        let Err(fault) = result else {
            continue;
        };
        stop.token().cancel();
        // Of several, the one that is no consequence of the stop.
        let consequence = |known: &Fault| known.kind == FaultKind::Interrupted;
        if failure.as_ref().is_none_or(consequence) {
            failure = Some(fault);
        }
    }
    failure.map_or(Ok(()), Err)
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

fn report(plan: &RolloutPlan) -> RolloutReport {
    let names = |step: &HostStep| {
        let slots = step.slots.iter();
        slots.map(|slot| slot.new.name.clone()).collect()
    };
    RolloutReport {
        hosts: plan
            .batches
            .iter()
            .flatten()
            .map(|step| (step.host.clone(), names(step)))
            .collect(),
    }
}
