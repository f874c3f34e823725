//! Putting a Swarm back, by looking at what is there.

use futures_util::future::join_all;

use crate::model::container::label;
use crate::model::fault::Fault;
use crate::model::slot::Manner;
use crate::ports::{Cx, HostStep, RolloutFailure, RolloutPlan, ServiceStep, SwarmPlan};

use super::super::{beside, traffic};
use super::{Swarm, fronts, of_manner, steps, tasks};

impl Swarm {
    /// What the engine updated goes back, traffic moves back, and what is new
    /// ends; says of each host what came of it.
    pub(super) async fn undone(
        &self,
        cx: &Cx,
        plan: &RolloutPlan,
        swarm: &SwarmPlan,
        fault: Fault,
    ) -> RolloutFailure {
        let cx = &cx.uncancellable();
        let mut failure = RolloutFailure {
            fault,
            undone: vec![],
            not_undone: vec![],
        };
        let updated = of_manner(swarm, Manner::InPlace);
        let updated = updated.map(|step| self.service_back(cx, plan, swarm, step));
        let mut problems: Vec<String> = join_all(updated)
            .await
            .into_iter()
            .filter_map(Result::err)
            .collect();
        let hosts = steps(plan).map(|step| self.traffic_back(cx, plan, swarm, step));
        for (step, result) in steps(plan).zip(join_all(hosts).await) {
            match result {
                Ok(()) => failure.undone.push(step.host.clone()),
                Err(fault) => failure
                    .not_undone
                    .push((step.host.clone(), fault.to_string())),
            }
        }
        // Where traffic could not be moved back the new ones may be the only
        // ones that answer.
        if failure.not_undone.is_empty() {
            let new = of_manner(swarm, Manner::Beside);
            let ends = new.map(|step| {
                let container = &step.new.container;
                let (name, patience) = (&container.name, container.stop.timeout);
                tasks::end(cx, self, plan, swarm, name, patience)
            });
            let ended = join_all(ends).await.into_iter().filter_map(Result::err);
            problems.extend(ended.map(|fault| fault.to_string()));
        }
        if !problems.is_empty() {
            failure.undone.retain(|host| *host != swarm.manager);
            failure
                .not_undone
                .push((swarm.manager.clone(), problems.join("; ")));
        }
        failure
    }

    /// The specification that the engine kept; a service that there was not
    /// before goes.
    async fn service_back(
        &self,
        cx: &Cx,
        plan: &RolloutPlan,
        swarm: &SwarmPlan,
        step: &ServiceStep,
    ) -> Result<(), String> {
        let (name, manager) = (&step.new.container.name, &swarm.manager);
        let said = |fault: Fault| fault.to_string();
        let Some(now) = tasks::look(cx, self, swarm, name).await.map_err(said)? else {
            return Ok(());
        };
        let ours = plan.release.as_str();
        if now.label(label::RELEASE) == Some(ours) {
            match &now.labels_before {
                None => {
                    let patience = step.new.container.stop.timeout;
                    let ended = tasks::end(cx, self, plan, swarm, name, patience).await;
                    return ended.map_err(said);
                }
                Some(before)
                    if before
                        .get(label::RELEASE)
                        .is_some_and(|known| known == ours) =>
                {
                    return Err(format!(
                        "the engine keeps no specification of the old release of {name}"
                    ));
                }
                Some(_) => {
                    self.services
                        .go_back(cx, manager, name)
                        .await
                        .map_err(said)?;
                    cx.step(format!("the service {name} goes back"));
                }
            }
        }
        tasks::back(cx, self, plan, swarm, step).await
    }

    async fn traffic_back(
        &self,
        cx: &Cx,
        plan: &RolloutPlan,
        swarm: &SwarmPlan,
        step: &HostStep,
    ) -> Result<(), Fault> {
        let cx = &cx.on_host(&step.host);
        let step = &fronts::host(cx, &self.hands, plan, swarm, step).await?;
        traffic::back(cx, &self.hands, plan, step).await?;
        beside::finish_answers(cx, &self.hands, plan, step).await
    }
}
