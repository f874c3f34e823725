//! `rolling` and `recreate`: the hosts of one batch are replaced at the same
//! time, batch after batch; any failure puts back every host that was touched.

use std::sync::Arc;

use async_trait::async_trait;
use futures_util::future::{join_all, try_join_all};
use futures_util::stream::{FuturesUnordered, StreamExt};

use crate::model::fault::{Fault, FaultKind};
use crate::model::host::HostAddress;
use crate::ports::{
    ContainerRunner, Cx, Fetch, HostStep, Probe, RolloutFailure, RolloutPlan, RolloutReport,
    RolloutStrategy,
};

use super::{aside, health, host, schema};

/// The hosts that were changed, or may have been.
#[derive(Default)]
struct Touched<'a> {
    steps: Vec<&'a HostStep>,
    /// Where an old container may be about to end.
    doubtful: Vec<&'a HostStep>,
}

pub(super) struct Replace {
    pub(super) runner: Arc<dyn ContainerRunner>,
    pub(super) probe: Arc<dyn Probe>,
    pub(super) fetch: Arc<dyn Fetch>,
}

#[async_trait]
impl RolloutStrategy for Replace {
    async fn roll(&self, cx: &Cx, plan: &RolloutPlan) -> Result<RolloutReport, RolloutFailure> {
        let mut touched = Touched::default();
        match self.do_it(cx, plan, &mut touched).await {
            Ok(report) => Ok(report),
            Err(fault) => {
                let deaf = cx.uncancellable();
                let doubtful = touched.doubtful.iter();
                join_all(doubtful.map(|step| host::settle(&deaf, &*self.runner, step))).await;
                Err(RolloutFailure {
                    not_undone: self.undo_it(cx, plan, &touched.steps).await,
                    fault,
                })
            }
        }
    }

    async fn put_back(&self, cx: &Cx, plan: &RolloutPlan) -> Result<(), RolloutFailure> {
        let all: Vec<&HostStep> = plan.batches.iter().flatten().collect();
        let deaf = cx.uncancellable();
        join_all(
            all.iter()
                .map(|step| host::settle(&deaf, &*self.runner, step)),
        )
        .await;
        let not_undone = self.undo_it(cx, plan, &all).await;
        if not_undone.is_empty() {
            return Ok(());
        }
        Err(RolloutFailure {
            fault: Fault::new(FaultKind::UndoFailed, "some hosts could not be put back"),
            not_undone,
        })
    }

    async fn retire(&self, cx: &Cx, plan: &RolloutPlan) -> Vec<String> {
        let removals = plan.batches.iter().flatten().flat_map(|step| {
            let old = step
                .slots
                .iter()
                .flat_map(|slot| slot.old.iter().map(|old| (old, slot.old_stop.clone())));
            let left = step
                .leftovers
                .iter()
                .map(|left| (left, crate::model::container::StopPolicy::default()));
            old.chain(left)
                .map(move |(container, stop)| (step, container, stop))
        });
        join_all(removals.map(|(step, container, stop)| async move {
            let cx = cx.on_host(&step.host);
            self.runner
                .stop(&cx, &step.host, &container.name, &stop)
                .await?;
            self.runner.remove(&cx, &step.host, &container.name).await?;
            cx.step(format!("removed {}", container.name));
            Ok::<(), Fault>(())
        }))
        .await
        .into_iter()
        .filter_map(Result::err)
        .map(|fault| fault.to_string())
        .collect()
    }
}

impl Replace {
    async fn do_it<'a>(
        &self,
        cx: &Cx,
        plan: &'a RolloutPlan,
        touched: &mut Touched<'a>,
    ) -> Result<RolloutReport, Fault> {
        // Every host has the image and the ports before the first container
        // stops.
        try_join_all(plan.batches.iter().flatten().map(|step| {
            let cx = cx.on_host(&step.host);
            async move {
                let image = self.runner.ensure_image(&cx, &step.host, &plan.image);
                let both = async { tokio::try_join!(image, self.ports_are_free(&cx, step)) };
                cx.or_interrupted(both).await
            }
        }))
        .await?;
        aside::ask(cx, &*self.runner, &*self.probe, &*self.fetch, plan).await?;
        let mut report = RolloutReport::default();
        for (index, batch) in plan.batches.iter().enumerate() {
            if index > 0 && !plan.rollout.pause.is_zero() {
                cx.step(format!(
                    "pausing {} s before the next batch",
                    plan.rollout.pause.as_secs_f64()
                ));
                tokio::select! {
                    () = cx.token().cancelled() => return Err(Fault::interrupted()),
                    () = tokio::time::sleep(plan.rollout.pause) => {}
                }
            }
            touched.steps.extend(batch);
            report.hosts.extend(self.batch(cx, batch, touched).await?);
            self.gate(cx, plan, index).await?;
        }
        self.confirm(cx, plan).await?;
        Ok(report)
    }

    /// Nobody but the containers that go publishes a port that a new one needs.
    async fn ports_are_free(&self, cx: &Cx, step: &HostStep) -> Result<(), Fault> {
        let wanted = step
            .slots
            .iter()
            .flat_map(|slot| slot.new.ports.iter().map(move |port| (slot, port.host)));
        try_join_all(wanted.map(|(slot, port)| async move {
            let Some(holder) = self.runner.publisher_of(cx, &step.host, port).await? else {
                return Ok(());
            };
            let goes = holder == slot.new.name
                || step
                    .slots
                    .iter()
                    .flat_map(|slot| &slot.old)
                    .chain(&step.leftovers)
                    .any(|old| old.name == holder);
            if goes {
                return Ok(());
            }
            Err(
                Fault::failed(format!("port {port} of `{}` is in use", step.host))
                    .because(format!(
                        "the container `{holder}` publishes it, and `{}` is to",
                        slot.new.name
                    ))
                    .state("no container was stopped")
                    .hint(format!("see what it is: `docker inspect {holder}`")),
            )
        }))
        .await?;
        Ok(())
    }

    /// One batch, all hosts at once. The first failure stops the others at
    /// their next step: what follows is the undo.
    async fn batch<'a>(
        &self,
        cx: &Cx,
        batch: &'a [HostStep],
        touched: &mut Touched<'a>,
    ) -> Result<Vec<(HostAddress, Vec<String>)>, Fault> {
        let stop = cx.child();
        let mut running: FuturesUnordered<_> = batch
            .iter()
            .map(|step| {
                let stop = &stop;
                async move {
                    (
                        step,
                        host::change(stop, &*self.runner, &*self.probe, step).await,
                    )
                }
            })
            .collect();
        let mut done = vec![];
        let mut failure: Option<Fault> = None;
        while let Some((step, result)) = running.next().await {
            match result {
                Ok(names) => done.push((step.host.clone(), names)),
                Err(host::Stopped { fault, doubtful }) => {
                    stop.token().cancel();
                    if doubtful {
                        touched.doubtful.push(step);
                    }
                    // Of several, the one that is no consequence of the stop.
                    if failure
                        .as_ref()
                        .is_none_or(|known| known.kind == FaultKind::Interrupted)
                    {
                        failure = Some(fault);
                    }
                }
            }
        }
        match failure {
            None => Ok(done),
            Some(fault) => Err(fault),
        }
    }

    /// Every new replica so far may serve on the schema that is there.
    async fn gate(&self, cx: &Cx, plan: &RolloutPlan, last_batch: usize) -> Result<(), Fault> {
        let Some(gate) = &plan.gate else {
            return Ok(());
        };
        let mut asked = vec![];
        for step in plan.batches.iter().take(last_batch + 1).flatten() {
            for slot in step.slots.iter().filter(|slot| gate.asks(&slot.role)) {
                let container = self.runner.inspect(cx, &step.host, &slot.new.name).await?;
                let container = container.ok_or_else(|| gone(&step.host, &slot.new.name))?;
                asked.push((step.host.clone(), container));
            }
        }
        // The first batches may have none; somebody was asked aside.
        if asked.is_empty() {
            return Ok(());
        }
        schema::agree(cx, &*self.fetch, gate, &asked).await
    }

    /// Every new container still runs, once more, after all are healthy.
    async fn confirm(&self, cx: &Cx, plan: &RolloutPlan) -> Result<(), Fault> {
        try_join_all(
            plan.batches
                .iter()
                .flatten()
                .flat_map(|step| step.slots.iter().map(move |slot| (step, slot)))
                .map(|(step, slot)| async move {
                    let now = self.runner.inspect(cx, &step.host, &slot.new.name).await?;
                    match now {
                        Some(container) if container.running() => Ok(()),
                        Some(container) => Err(health::explain(
                            cx,
                            &*self.runner,
                            &step.host,
                            &container,
                            Some(&container),
                            "ended after it was healthy",
                            "healthy",
                        )
                        .await),
                        None => Err(gone(&step.host, &slot.new.name)),
                    }
                }),
        )
        .await?;
        Ok(())
    }

    async fn undo_it(
        &self,
        cx: &Cx,
        plan: &RolloutPlan,
        touched: &[&HostStep],
    ) -> Vec<(HostAddress, String)> {
        let cx = cx.uncancellable();
        join_all(touched.iter().rev().map(|step| {
            let cx = &cx;
            async move {
                (
                    step.host.clone(),
                    host::undo(cx, &*self.runner, &*self.probe, plan, step).await,
                )
            }
        }))
        .await
        .into_iter()
        .filter_map(|(address, result)| result.err().map(|reason| (address, reason)))
        .collect()
    }
}

fn gone(host: &HostAddress, name: &str) -> Fault {
    Fault::failed(format!(
        "container `{name}` on {host} is gone after it was healthy"
    ))
}
