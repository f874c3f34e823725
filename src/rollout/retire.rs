//! After a rollout is recorded: old containers drain and stop, and what is no
//! way back any more is removed.

use std::time::Duration;

use futures_util::future::join_all;

use crate::model::container::{Container, StopPolicy};
use crate::model::fault::Fault;
use crate::model::slot::OldOnes;
use crate::ports::{Cx, HostStep, RolloutPlan};

use super::{Hands, traffic};

/// Returns what could not be ended, in words.
pub(super) async fn host(
    cx: &Cx,
    hands: &Hands,
    plan: &RolloutPlan,
    step: &HostStep,
) -> Vec<String> {
    let cx = &cx.on_host(&step.host);
    let mut problems = vec![];
    if let Err(fault) = leave(cx, hands, plan, step).await {
        problems.push(format!("the proxy of {}: {fault}", step.host));
    }
    let old = step
        .slots
        .iter()
        .flat_map(|slot| slot.old.iter().map(|old| (old, slot.old_stop.clone())));
    let gone = step.leftovers.iter().chain(&step.outdated);
    let gone = gone.map(|left| {
        end(
            cx,
            hands,
            step,
            left,
            StopPolicy::default(),
            OldOnes::Removed,
        )
    });
    let old = old.map(|(old, stop)| end(cx, hands, step, old, stop, step.old_ones));
    let (gone, old) = tokio::join!(join_all(gone), join_all(old));
    let ends = gone.into_iter().chain(old);
    problems.extend(ends.filter_map(Result::err).map(|fault| fault.to_string()));
    problems
}

/// Waits until the old ones have answered everything, then takes them out of
/// the proxy.
pub(super) async fn leave(
    cx: &Cx,
    hands: &Hands,
    plan: &RolloutPlan,
    step: &HostStep,
) -> Result<(), Fault> {
    let Some(route) = traffic::route(plan, step) else {
        return Ok(());
    };
    drain(cx, hands, plan, step).await?;
    let serving = traffic::new_servers(cx, hands, step).await?;
    hands
        .proxy
        .forget_others(cx, &step.host, route, &serving)
        .await
}

/// Requests end by themselves; long connections get the stop timeout.
///
/// # Errors
/// The proxy cannot be reached.
async fn drain(cx: &Cx, hands: &Hands, plan: &RolloutPlan, step: &HostStep) -> Result<(), Fault> {
    let Some(route) = traffic::route(plan, step).filter(|_| !step.old_servers.is_empty()) else {
        return Ok(());
    };
    let patience = step
        .slots
        .iter()
        .filter(|slot| slot.behind_proxy.is_some())
        .map(|slot| slot.old_stop.timeout)
        .max()
        .unwrap_or(Duration::ZERO);
    let open = traffic::drain(cx, hands, route, step, &step.old_servers, patience).await?;
    if open > 0 {
        cx.step(format!(
            "{open} connections of the old release are still open after {} s: they are told to end",
            patience.as_secs_f64()
        ));
    }
    Ok(())
}

/// Gives the places back that the environment had at proxies it no longer
/// uses. Returns what failed, in words.
pub(super) async fn unroute(cx: &Cx, hands: &Hands, plan: &RolloutPlan) -> Vec<String> {
    let forgets = plan.unrouted.iter().map(|(host, key)| async move {
        let cx = &cx.on_host(host);
        hands.proxy.forget(cx, host, key).await
    });
    let failed = join_all(forgets).await.into_iter().filter_map(Result::err);
    failed.map(|fault| fault.to_string()).collect()
}

async fn end(
    cx: &Cx,
    hands: &Hands,
    step: &HostStep,
    container: &Container,
    stop: StopPolicy,
    then: OldOnes,
) -> Result<(), Fault> {
    let (runner, name) = (&hands.runner, &container.name);
    runner.stop(cx, &step.host, name, &stop).await?;
    match then {
        OldOnes::Kept => cx.step(format!("stopped {name}; it stays for a rollback")),
        OldOnes::Removed => {
            runner.remove(cx, &step.host, name).await?;
            cx.step(format!("removed {name}"));
        }
    }
    Ok(())
}
