//! New containers that were healthy: whether they still run.

use std::time::Duration;

use futures_util::future::{join_all, try_join_all};

use crate::model::fault::Fault;
use crate::model::host::HostAddress;
use crate::model::slot::Manner;
use crate::ports::{Cx, HostStep, RolloutPlan, Slot};

use super::{Hands, health};

/// Between two looks at containers that have users.
const LOOK: Duration = Duration::from_millis(500);

/// Every new container still runs, once more, after all are healthy.
///
/// # Errors
/// One does not: with all that is known of it.
pub(super) async fn confirm(cx: &Cx, hands: &Hands, plan: &RolloutPlan) -> Result<(), Fault> {
    let slots = plan.batches.iter().flatten();
    let slots = slots.flat_map(|step| step.slots.iter().map(move |slot| (step, slot)));
    let all = try_join_all(slots.map(|(step, slot)| ended(cx, hands, step, slot))).await?;
    all.into_iter().flatten().next().map_or(Ok(()), Err)
}

/// Returns once one of those that started beside the old ones ended. A host
/// that does not answer is no death: it is asked again at the end.
pub(super) async fn death(cx: &Cx, hands: &Hands, batch: &[HostStep]) -> Fault {
    loop {
        tokio::time::sleep(LOOK).await;
        let healthy = batch.iter().flat_map(|step| {
            let slots = step.slots.iter();
            let beside = slots.filter(|slot| slot.manner == Manner::Beside);
            beside.map(move |slot| ended(cx, hands, step, slot))
        });
        let ended = join_all(healthy).await;
        if let Some(fault) = ended.into_iter().filter_map(Result::ok).flatten().next() {
            return fault;
        }
    }
}

async fn ended(
    cx: &Cx,
    hands: &Hands,
    step: &HostStep,
    slot: &Slot,
) -> Result<Option<Fault>, Fault> {
    let (runner, host) = (&*hands.runner, &step.host);
    let Some(found) = runner.inspect(cx, host, &slot.new.name).await? else {
        return Ok(Some(gone(host, &slot.new.name)));
    };
    if found.running() {
        return Ok(None);
    }
    let why = "ended after it was healthy";
    let fault = health::explain(cx, runner, host, &found, Some(&found), why, "healthy");
    Ok(Some(fault.await))
}

pub(super) fn gone(host: &HostAddress, name: &str) -> Fault {
    Fault::failed(format!(
        "container `{name}` on {host} is gone after it was healthy"
    ))
}
