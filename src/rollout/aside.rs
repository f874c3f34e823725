//! The schema gate where nothing new runs beside the old: one container of
//! the new release runs aside on each host, without traffic, and is asked
//! before anything is stopped. It is removed whatever happens; one that a
//! killed run left behind is a leftover of the next rollout.

use futures_util::future::{join_all, try_join_all};

use crate::model::container::{ContainerSpec, label};
use crate::model::fault::{Fault, FaultKind};
use crate::model::host::HostAddress;
use crate::model::project::{Health, SchemaGate};
use crate::model::slot::Manner;
use crate::ports::{ContainerRunner, Cx, RolloutPlan};

use super::{Hands, health, in_place, schema};

const LOG_LINES: usize = 20;

/// A container to start aside, and where.
struct Aside<'a> {
    host: &'a HostAddress,
    spec: ContainerSpec,
    health: &'a Health,
}

/// Starts one container of the gate's role on every host that runs it, and
/// asks them all.
///
/// # Errors
/// `Refused`: the gate said no. One that does not get healthy. Nothing was
/// stopped then, and nothing stays.
pub(super) async fn ask(cx: &Cx, hands: &Hands, plan: &RolloutPlan) -> Result<(), Fault> {
    let Some(gate) = &plan.gate else {
        return Ok(());
    };
    let mut slots = plan.batches.iter().flatten().flat_map(|step| &step.slots);
    if slots.any(|slot| gate.asks(&slot.role) && slot.manner == Manner::Beside) {
        // Asked itself, beside the old one. Where there is no slot at all,
        // nobody vouches for the release: that is a refusal.
        return Ok(());
    }
    let asides = asides(plan, gate);
    let asked = ask_all(cx, hands, gate, &asides).await;
    remove_all(&cx.uncancellable(), &*hands.runner, &asides).await;
    asked.map_err(|fault| fault.state("no container was stopped"))
}

fn asides<'a>(plan: &'a RolloutPlan, gate: &SchemaGate) -> Vec<Aside<'a>> {
    let steps = plan.batches.iter().flatten();
    steps
        .filter_map(|step| {
            let slot = in_place::slots(step).find(|slot| gate.asks(&slot.role))?;
            Some(Aside {
                host: &step.host,
                spec: aside(&slot.new, plan),
                health: &slot.health,
            })
        })
        .collect()
}

/// The same container, but nobody finds it: no published port, and no name in
/// the network that others resolve.
fn aside(new: &ContainerSpec, plan: &RolloutPlan) -> ContainerSpec {
    let mut spec = new.clone();
    spec.name = format!("{}-{}-{}", spec.network, label::job::SCHEMA, plan.release);
    spec.ports = vec![];
    spec.aliases = vec![];
    spec.restart = false;
    // Whoever looks for the role's containers, or for those behind the proxy,
    // must not find it.
    let own = [
        label::PROJECT,
        label::ENVIRONMENT,
        label::VERSION,
        label::DIGEST,
        label::CONFIG_HASH,
    ];
    spec.labels.retain(|name, _| own.contains(&name.as_str()));
    // One that is kept for a rollback carries its own release's.
    let release = plan.release.to_string();
    spec.labels.insert(label::RELEASE.to_owned(), release);
    let job = label::job::SCHEMA.to_owned();
    spec.labels.insert(label::JOB.to_owned(), job);
    spec
}

async fn ask_all(
    cx: &Cx,
    hands: &Hands,
    gate: &SchemaGate,
    asides: &[Aside<'_>],
) -> Result<(), Fault> {
    let (runner, probe, fetch) = (&*hands.runner, &*hands.probe, &*hands.fetch);
    let stop = cx.child();
    // Each is waited for: one that is dropped while it is made would stay.
    let started = join_all(asides.iter().map(|one| async {
        let cx = stop.on_host(one.host);
        let up = async {
            cx.check()?;
            let container = runner.start(&cx, one.host, &one.spec).await?;
            cx.step(format!("started {} aside", container.name));
            health::wait(&cx, runner, probe, one.host, &container, one.health).await?;
            Ok::<_, Fault>((one.host.clone(), container))
        };
        let up = up.await;
        if up.is_err() {
            stop.token().cancel();
        }
        up
    }))
    .await;
    // Of several, the one that is no consequence of the stop.
    let mut asked = vec![];
    let mut failure: Option<Fault> = None;
    for up in started {
        match up {
            Ok(container) => asked.push(container),
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
    if let Some(fault) = failure {
        return Err(fault);
    }
    match schema::agree(cx, fetch, gate, &asked).await {
        Err(fault) if fault.kind == FaultKind::Refused => {
            Err(with_last_lines(cx, runner, asides, fault).await)
        }
        judged => judged,
    }
}

/// What the containers that the gate names printed, while they are there.
async fn with_last_lines(
    cx: &Cx,
    runner: &dyn ContainerRunner,
    asides: &[Aside<'_>],
    mut fault: Fault,
) -> Fault {
    let named = |one: &&Aside<'_>| {
        let place = format!("on {}:", one.host);
        fault.causes.iter().any(|cause| cause.contains(&place))
    };
    let named: Vec<&Aside<'_>> = asides.iter().filter(named).collect();
    let logs = named.iter().map(|one| async move {
        let lines = runner.logs(cx, one.host, &one.spec.name, LOG_LINES).await?;
        Ok::<_, Fault>((
            format!("last lines from {} on {}", one.spec.name, one.host),
            lines,
        ))
    });
    // The refusal is told with or without them.
    for (title, lines) in try_join_all(logs).await.unwrap_or_default() {
        fault = fault.showing(title, lines);
    }
    fault
}

async fn remove_all(cx: &Cx, runner: &dyn ContainerRunner, asides: &[Aside<'_>]) {
    join_all(asides.iter().map(|one| async {
        let cx = cx.on_host(one.host);
        if let Err(fault) = runner.remove(&cx, one.host, &one.spec.name).await {
            cx.warn(format!(
                "{fault}; the next rollout removes it, or you do: `docker rm -f {}`",
                one.spec.name
            ));
        }
    }))
    .await;
}
