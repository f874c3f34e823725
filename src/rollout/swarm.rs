//! Roles as services of a Swarm: the engine places and restarts the tasks,
//! and everything that decides about a release stays here.
//!
//! ```text
//! every node has the image; the proxies run
//! services beside the old ones: all tasks healthy, schema accepted
//!                 ── barrier: every node is ready ──
//!                 traffic moves on every node, and is seen to have moved
//!                 services that the engine updates itself
//! every task still runs; what the proxies read at boot is written
//!   (recorded by the deployer)
//! retire: old tasks drain, old services go
//! ```
//!
//! Undo looks and remembers nothing: what carries this release's id goes, or
//! goes back to the specification that the engine kept.

use std::sync::Arc;

use async_trait::async_trait;
use futures_util::future::{join_all, try_join_all};

use crate::model::container::label;
use crate::model::fault::{Fault, FaultKind};
use crate::model::host::HostAddress;
use crate::model::slot::Manner;
use crate::ports::{
    Cx, HostStep, RolloutFailure, RolloutPlan, RolloutReport, RolloutStrategy, ServiceStep,
    Services, SwarmPlan,
};

use super::{Hands, retire, schema, traffic};

mod fronts;
mod tasks;
mod undo;

use tasks::Up;

pub(super) struct Swarm {
    pub(super) hands: Hands,
    pub(super) services: Arc<dyn Services>,
}

#[async_trait]
impl RolloutStrategy for Swarm {
    async fn roll(&self, cx: &Cx, plan: &RolloutPlan) -> Result<RolloutReport, RolloutFailure> {
        let swarm = of(plan).map_err(untouched)?;
        self.prepare(cx, plan, swarm).await.map_err(untouched)?;
        match self.do_it(cx, plan, swarm).await {
            Ok(up) => Ok(report(plan, &up)),
            Err(fault) => Err(self.undone(cx, plan, swarm, fault).await),
        }
    }

    async fn put_back(&self, cx: &Cx, plan: &RolloutPlan) -> Result<(), RolloutFailure> {
        let swarm = of(plan).map_err(untouched)?;
        let fault = Fault::new(FaultKind::UndoFailed, "the Swarm could not be put back");
        let failure = self.undone(cx, plan, swarm, fault).await;
        match failure.not_undone.is_empty() {
            true => Ok(()),
            false => Err(failure),
        }
    }

    async fn retire(&self, cx: &Cx, plan: &RolloutPlan) -> Vec<String> {
        match of(plan) {
            Ok(swarm) => {
                let mut problems = self.end_old(cx, plan, swarm).await;
                problems.extend(retire::unroute(cx, &self.hands, plan).await);
                problems
            }
            Err(fault) => vec![fault.to_string()],
        }
    }
}

impl Swarm {
    /// Every node has the image, and every proxy runs, before the first
    /// service is touched.
    async fn prepare(&self, cx: &Cx, plan: &RolloutPlan, swarm: &SwarmPlan) -> Result<(), Fault> {
        self.nodes_are_hosts(cx, swarm).await?;
        try_join_all(steps(plan).map(|step| async move {
            let cx = cx.on_host(&step.host);
            let image = self.hands.runner.ensure_image(&cx, &step.host, &plan.image);
            let proxy = async {
                match plan.route.as_ref().filter(|_| proxied(swarm, step)) {
                    Some(route) => {
                        let proxy = &self.hands.proxy;
                        proxy
                            .ensure(&cx, &step.host, route, &step.old_servers)
                            .await
                    }
                    None => Ok(()),
                }
            };
            cx.or_interrupted(async { tokio::try_join!(image, proxy) })
                .await
        }))
        .await?;
        Ok(())
    }

    /// The engine places tasks on nodes that can be asked, and on no others.
    async fn nodes_are_hosts(&self, cx: &Cx, swarm: &SwarmPlan) -> Result<(), Fault> {
        let nodes = self.services.nodes(cx, &swarm.manager).await?;
        let see = || {
            let manager = &swarm.manager;
            format!("see the nodes: `{}`", manager.command("docker node ls"))
        };
        for (id, host) in &swarm.nodes {
            let known = nodes.iter().find(|node| node.id == *id);
            let why = match known {
                Some(node) if node.available => continue,
                Some(node) => format!("as a node it is {}", node.state),
                None => format!("it is a node of another Swarm than {}", swarm.manager),
            };
            return Err(
                Fault::failed(format!("the engine places no tasks on {host}"))
                    .because(why)
                    .hint(see()),
            );
        }
        let host = |id: &String| swarm.nodes.iter().any(|(known, _)| known == id);
        match nodes.iter().find(|node| node.available && !host(&node.id)) {
            None => Ok(()),
            Some(node) => Err(Fault::failed(format!(
                "the node `{}` is no host of this environment",
                node.name
            ))
            .because("a task that is placed there could not be asked whether it is healthy")
            .hint(see())),
        }
    }

    async fn do_it(
        &self,
        cx: &Cx,
        plan: &RolloutPlan,
        swarm: &SwarmPlan,
    ) -> Result<Vec<Up>, Fault> {
        let mut up = self.put(cx, plan, swarm, Manner::Beside).await?;
        self.ask(cx, plan, swarm, &up).await?;
        // Barrier: every node is ready, and nobody's users see anything yet.
        cx.check()?;
        let deaf = cx.uncancellable();
        let fronts = fronts::of(plan, swarm, &up);
        let moves = fronts
            .iter()
            .map(|step| traffic::forward(&deaf, &self.hands, plan, step));
        join_all(moves)
            .await
            .into_iter()
            .collect::<Result<(), Fault>>()?;
        up.extend(self.put(cx, plan, swarm, Manner::InPlace).await?);
        self.still_run(cx, &up).await?;
        cx.check()?;
        self.keep(&deaf, plan, &fronts).await?;
        Ok(up)
    }

    /// Tells the engine, and waits for what it makes of it. Each service is
    /// seen to its end: what follows a failure is the undo.
    async fn put(
        &self,
        cx: &Cx,
        plan: &RolloutPlan,
        swarm: &SwarmPlan,
        manner: Manner,
    ) -> Result<Vec<Up>, Fault> {
        let stop = cx.child();
        let steps: Vec<&ServiceStep> = of_manner(swarm, manner).collect();
        // One after the other: the first one makes the network.
        for step in &steps {
            self.services.put(cx, &swarm.manager, &step.new).await?;
            cx.step(match manner {
                Manner::Beside => format!("made the service {}", step.new.container.name),
                Manner::InPlace => format!("told the service {}", step.new.container.name),
            });
        }
        let waits = steps.iter().map(|step| async {
            let up = tasks::wait(&stop, self, plan, swarm, step).await;
            if up.is_err() {
                stop.token().cancel();
            }
            up
        });
        let mut all = vec![];
        let mut failure: Option<Fault> = None;
        for up in join_all(waits).await {
            match up {
                Ok(up) => all.extend(up),
                // Of several, the one that is no consequence of the stop.
                Err(fault)
                    if failure
                        .as_ref()
                        .is_none_or(|known| known.kind == FaultKind::Interrupted) =>
                {
                    failure = Some(fault);
                }
                Err(_) => {}
            }
        }
        failure.map_or(Ok(all), Err)
    }

    async fn ask(
        &self,
        cx: &Cx,
        plan: &RolloutPlan,
        swarm: &SwarmPlan,
        up: &[Up],
    ) -> Result<(), Fault> {
        let Some(gate) = &plan.gate else {
            return Ok(());
        };
        let asked: Vec<_> = up
            .iter()
            .filter(|up| {
                let step = &swarm.services[up.step];
                let mut ports = step.new.container.ports.iter();
                gate.asks(&step.role) && ports.any(|port| port.container == gate.port)
            })
            .map(|up| (up.host.clone(), up.container.clone()))
            .collect();
        schema::agree(cx, &*self.hands.fetch, gate, &asked).await
    }

    /// Every task still runs, once more, after all are healthy.
    async fn still_run(&self, cx: &Cx, up: &[Up]) -> Result<(), Fault> {
        try_join_all(up.iter().map(|up| async move {
            let (host, name) = (&up.host, &up.container.name);
            let now = self.hands.runner.inspect(cx, host, name).await?;
            if now.as_ref().is_some_and(|now| now.running()) {
                return Ok(());
            }
            let (runner, why) = (&*self.hands.runner, "ended after it was healthy");
            let explained = super::health::explain(
                cx,
                runner,
                host,
                &up.container,
                now.as_ref(),
                why,
                "healthy",
            );
            Err(explained.await)
        }))
        .await?;
        Ok(())
    }

    /// The whole fleet is confirmed: from now on a reboot brings the new
    /// release.
    async fn keep(&self, cx: &Cx, plan: &RolloutPlan, fronts: &[HostStep]) -> Result<(), Fault> {
        let kept = fronts.iter().map(|step| async move {
            let Some(route) = traffic::route(plan, step) else {
                return Ok(());
            };
            let cx = cx.on_host(&step.host);
            let serving = traffic::new_servers(&cx, &self.hands, step).await?;
            self.hands
                .proxy
                .keep(&cx, &step.host, route, &serving)
                .await
        });
        join_all(kept).await.into_iter().collect()
    }

    /// Old tasks answer what they have, then their services go; and those of
    /// roles that are gone.
    async fn end_old(&self, cx: &Cx, plan: &RolloutPlan, swarm: &SwarmPlan) -> Vec<String> {
        let mut problems = vec![];
        match fronts::look(cx, &self.hands, plan, swarm).await {
            Ok(fronts) => {
                let leaves = fronts.iter().map(|step| async {
                    let cx = cx.on_host(&step.host);
                    let left = retire::leave(&cx, &self.hands, plan, step).await;
                    left.map_err(|fault| format!("the proxy of {}: {fault}", step.host))
                });
                problems.extend(join_all(leaves).await.into_iter().filter_map(Result::err));
            }
            Err(fault) => problems.push(fault.to_string()),
        }
        let known = match self.services.list(cx, &swarm.manager, &swarm.labels).await {
            Ok(known) => known,
            Err(fault) => {
                problems.push(fault.to_string());
                return problems;
            }
        };
        let stays = |name: &str| {
            let mut services = swarm.services.iter();
            services.any(|step| step.new.container.name == name)
        };
        let old = known.iter().filter(|known| !stays(&known.name));
        let patience = swarm.services.iter().map(|step| step.old_stop.timeout);
        let patience = patience.max().unwrap_or_default();
        let ends = old.map(|old| tasks::end(cx, self, plan, swarm, &old.name, patience));
        let ended = join_all(ends).await.into_iter().filter_map(Result::err);
        problems.extend(ended.map(|fault| fault.to_string()));
        problems
    }
}

fn of(plan: &RolloutPlan) -> Result<&SwarmPlan, Fault> {
    let swarm = plan.swarm.as_ref();
    swarm.ok_or_else(|| Fault::internal("the plan has no services for a Swarm"))
}

fn untouched(fault: Fault) -> RolloutFailure {
    RolloutFailure {
        fault,
        undone: vec![],
        not_undone: vec![],
    }
}

fn steps(plan: &RolloutPlan) -> impl Iterator<Item = &HostStep> {
    plan.batches.iter().flatten()
}

fn of_manner(swarm: &SwarmPlan, manner: Manner) -> impl Iterator<Item = &ServiceStep> {
    let services = swarm.services.iter();
    services.filter(move |step| step.manner == manner)
}

/// Whether the proxy of a host has anything to do.
fn proxied(swarm: &SwarmPlan, step: &HostStep) -> bool {
    let mut services = swarm.services.iter();
    services.any(|service| service.behind_proxy.is_some()) || !step.old_servers.is_empty()
}

/// The labels of what a release has of a role.
fn labels_of(
    plan: &RolloutPlan,
    swarm: &SwarmPlan,
    step: &ServiceStep,
) -> std::collections::BTreeMap<String, String> {
    let mut labels = swarm.labels.clone();
    labels.insert(label::ROLE.to_owned(), step.role.to_string());
    labels.insert(label::RELEASE.to_owned(), plan.release.to_string());
    labels
}

fn report(plan: &RolloutPlan, up: &[Up]) -> RolloutReport {
    let names = |host: &HostAddress| {
        let mut names: Vec<String> = up
            .iter()
            .filter(|up| up.host == *host)
            .map(|up| up.container.name.clone())
            .collect();
        names.sort();
        names
    };
    RolloutReport {
        hosts: steps(plan)
            .map(|step| (step.host.clone(), names(&step.host)))
            .collect(),
    }
}
