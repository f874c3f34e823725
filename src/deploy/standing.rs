//! Where the world stands after a failure, and the way on: what the deployer
//! knows and a port cannot.

use crate::model::fault::FaultKind;
use crate::model::host::HostAddress;
use crate::model::migration::MigrationOutcome;
use crate::model::phase::{Phase, Status};
use crate::model::release::{Release, ReleaseKind};
use crate::ports::{RolloutFailure, RolloutPlan};

use super::journal::Stopped;

/// Adds state and hints to a failure, after those that the failing port gave.
pub(super) fn with_standing(mut stopped: Stopped) -> Stopped {
    let Some(phase) = stopped.phase else {
        stopped.fault = stopped.fault.state("nothing was changed");
        return stopped;
    };
    if stopped.unsaved {
        return without_record(stopped, phase);
    }
    let release = &stopped.release;
    let mut fault = stopped.fault;
    let kind = fault.kind;
    // A migrator that failed has told more than the record can.
    let told = matches!(phase, Phase::MigratePre | Phase::MigratePost) && !fault.state.is_empty();
    if let Some(line) = migrations(release).filter(|_| !told) {
        fault = fault.state(line);
    }
    fault = fault.state(serving(release, phase, kind));
    for hint in ways_on(release, phase, kind) {
        fault = fault.hint(hint);
    }
    stopped.fault = fault;
    stopped
}

fn serving(release: &Release, phase: Phase, kind: FaultKind) -> String {
    let old = match &release.previous_id {
        Some(previous) => format!("{previous} is still live"),
        None => "nothing was live before".to_owned(),
    };
    match phase {
        Phase::Build | Phase::Push | Phase::MigratePre => format!("nothing was rolled out; {old}"),
        // What became of each host was said by the rollout.
        Phase::Rollout if kind == FaultKind::UndoFailed => {
            "the fleet is mixed: the hosts above need a person".to_owned()
        }
        Phase::Rollout => old,
        Phase::MigratePost | Phase::Finalize => {
            format!("the new release ({}) serves on every host", release.version)
        }
    }
}

/// What a rollout that failed has left on the hosts.
pub(super) fn what_became(failure: &RolloutFailure, plan: &RolloutPlan) -> Vec<String> {
    let stuck = failure.not_undone.iter();
    let mut state: Vec<String> = stuck
        .map(|(host, reason)| format!("{host} could not be put back: {reason}"))
        .collect();
    let hosts = plan.batches.iter().flatten().count();
    let undone: Vec<&str> = failure.undone.iter().map(HostAddress::as_str).collect();
    if undone.is_empty() && state.is_empty() {
        state.push("no container was stopped or started".to_owned());
    } else if undone.len() == hosts {
        state.push("the new release was taken back on every host".to_owned());
    } else if !undone.is_empty() {
        let untouched = match undone.len() + failure.not_undone.len() < hosts {
            true => ", and the hosts after that were not touched",
            false => "",
        };
        state.push(format!(
            "the new release was taken back on {}{untouched}",
            undone.join(", ")
        ));
    }
    state
}

fn migrations(release: &Release) -> Option<String> {
    let count = |outcome| {
        release
            .migrations
            .iter()
            .filter(|result| result.outcome == outcome)
            .count()
    };
    let applied = count(MigrationOutcome::Applied);
    let all = release.migrations.len();
    match (applied, all) {
        (_, 0) => None,
        (applied, all) if applied == all => Some(format!(
            "{applied} migration{} applied and {} applied",
            if applied == 1 { " is" } else { "s are" },
            if applied == 1 { "stays" } else { "stay" }
        )),
        (applied, all) => Some(format!(
            "{applied} of {all} migrations applied; what is applied stays"
        )),
    }
}

fn ways_on(release: &Release, phase: Phase, kind: FaultKind) -> Vec<String> {
    let env = &release.environment;
    let again = match release.kind {
        ReleaseKind::Rollback => format!("`stagecraft rollback --env {env}`"),
        ReleaseKind::Deploy | ReleaseKind::Migrate | ReleaseKind::Restore => {
            format!("`stagecraft deploy --env {env}`")
        }
    };
    match (phase, kind) {
        (_, FaultKind::UndoFailed) => vec![
            format!("look at the hosts: `stagecraft status --env {env}`"),
            format!(
                "when they can be reached again, put them back: `stagecraft deploy --env {env} --abort`"
            ),
            format!("or try the new release again: `stagecraft deploy --env {env} --resume`"),
        ],
        (_, FaultKind::Interrupted) => vec![format!("to try again: {again}")],
        (Phase::Build | Phase::Push | Phase::Rollout, _) => {
            vec![format!("mend the cause, then {again}")]
        }
        (Phase::MigratePre | Phase::MigratePost | Phase::Finalize, _) => vec![
            format!("see what is pending: `stagecraft migrate plan --env {env}`"),
            format!(
                "when nothing in the checkout has to change: `stagecraft deploy --env {env} --resume`; else mend it, then {again}"
            ),
        ],
    }
}

/// A mark could not be saved: what was done is done, and the record is behind.
/// The next command finds the release open and looks at the hosts.
fn without_record(mut stopped: Stopped, phase: Phase) -> Stopped {
    let release = &stopped.release;
    let env = &release.environment;
    let done = release.phase(phase).status == Status::Completed;
    let state = match (phase, done) {
        (Phase::Rollout | Phase::MigratePost | Phase::Finalize, true)
        | (Phase::MigratePost | Phase::Finalize, false) => {
            format!(
                "the new release ({}) serves; its record stops at {phase}",
                release.version
            )
        }
        (Phase::Build | Phase::Push | Phase::MigratePre | Phase::Rollout, _) => {
            format!("stopped at {phase}: without its record the release does not go on")
        }
    };
    stopped.fault = stopped
        .fault
        .state(state)
        .hint(format!(
            "when the record can be written again: `stagecraft deploy --env {env} --resume`"
        ))
        .hint(format!("see what runs: `stagecraft status --env {env}`"));
    stopped
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::model::fault::Fault;
    use crate::model::image::{Carriage, PinnedImage};
    use crate::model::project::{Batch, Rollout, Strategy};
    use crate::model::slot::OldOnes;
    use crate::ports::HostStep;

    const HOSTS: [&str; 3] = ["web1", "web2", "web3"];

    fn hosts(names: &[&str]) -> Vec<HostAddress> {
        let names = names.iter();
        names
            .map(|name| name.parse().expect("an address"))
            .collect()
    }

    fn plan() -> RolloutPlan {
        let digest = format!("sha256:{}", "0".repeat(64));
        RolloutPlan {
            release: "rel-20260114-101502001".parse().expect("an id"),
            live: None,
            image: PinnedImage {
                repository: "shop".into(),
                digest: digest.parse().expect("a digest"),
                id: None,
                carriage: Carriage::Direct,
                local_reference: "shop:1".into(),
            },
            rollout: Rollout {
                strategy: Strategy::Rolling,
                batch: Batch::Hosts(1),
                pause: Duration::ZERO,
                keep: 2,
            },
            route: None,
            unrouted: vec![],
            gate: None,
            batches: hosts(&HOSTS)
                .into_iter()
                .map(|host| {
                    vec![HostStep {
                        host,
                        slots: vec![],
                        old_servers: vec![],
                        old_ones: OldOnes::Removed,
                        leftovers: vec![],
                        outdated: vec![],
                    }]
                })
                .collect(),
            swarm: None,
        }
    }

    fn told(undone: &[&str], stuck: &[&str]) -> String {
        let failure = RolloutFailure {
            fault: Fault::failed("no"),
            undone: hosts(undone),
            not_undone: hosts(stuck)
                .into_iter()
                .map(|host| (host, "it is off".to_owned()))
                .collect(),
        };
        what_became(&failure, &plan()).join("; ")
    }

    #[test]
    fn only_hosts_that_were_touched_are_said_to_be_put_back() {
        assert_eq!(told(&[], &[]), "no container was stopped or started");
        assert_eq!(
            told(&HOSTS, &[]),
            "the new release was taken back on every host"
        );
        assert_eq!(
            told(&["web1"], &[]),
            "the new release was taken back on web1, and the hosts after that were not touched"
        );
        assert_eq!(
            told(&["web1", "web3"], &["web2"]),
            "web2 could not be put back: it is off; the new release was taken back on web1, web3"
        );
    }
}
