//! `rollout`: the strategy and its numbers.

use std::time::Duration;

use crate::model::project::{Batch, Rollout, Strategy};

use super::super::file;
use super::super::problem::Findings;

pub(super) fn resolve(section: &file::Environment, found: &mut Findings) -> Rollout {
    let absent = file::Rollout::default();
    let rollout = section.rollout.value().unwrap_or(&absent);
    let proxied = !section.proxy.is_absent();
    let default = if proxied {
        Strategy::BlueGreen
    } else {
        Strategy::Recreate
    };
    let strategy = rollout.strategy.or(default);
    if let (Some(given), Strategy::BlueGreen, false) = (rollout.strategy.given(), strategy, proxied)
    {
        found
            .error(given.at, "`blue_green` needs a proxy to switch")
            .help("use `recreate` or `rolling`; `blue_green` switches a proxy");
    }
    for (key, at) in [
        ("batch", rollout.batch.given().map(|batch| batch.at)),
        ("pause", rollout.pause.given().map(|pause| pause.at)),
    ] {
        if let (Some(at), false) = (at, has_batches(strategy)) {
            found.warning(
                at,
                format!(
                    "`{key}` does nothing here: the strategy is `{}`",
                    strategy.label()
                ),
            );
        }
    }
    Rollout {
        strategy,
        batch: rollout
            .batch
            .value()
            .map_or(Batch::Hosts(1), |batch| batch.0),
        pause: rollout
            .pause
            .value()
            .map_or(Duration::ZERO, |pause| pause.0),
        keep: rollout.keep.or(2),
    }
}

/// Whether hosts, or tasks, go one batch after the other.
fn has_batches(strategy: Strategy) -> bool {
    match strategy {
        Strategy::Rolling | Strategy::Swarm => true,
        Strategy::BlueGreen | Strategy::Recreate => false,
    }
}
