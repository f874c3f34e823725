//! What a container is to its environment today.

use serde::Serialize;

use crate::model::container::{Container, label};
use crate::model::history::History;
use crate::model::host::HostAddress;
use crate::model::names::EnvironmentName;
use crate::model::release::{Outcome, Release, ReleaseKind};

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Standing {
    /// Of the live release.
    Live,
    /// Of a release that is being rolled out, or was cut off.
    New,
    /// Of the release that was live before: it still finishes what it answers.
    Leaving,
    /// Stopped: the fast way back.
    Kept,
    /// A one-off container.
    Job,
    /// Of no release that has a use for it: the next rollout removes it.
    Stray,
}

impl Standing {
    #[must_use]
    pub fn label(self) -> &'static str {
        match self {
            Standing::Live => "live",
            Standing::New => "new",
            Standing::Leaving => "leaving",
            Standing::Kept => "kept",
            Standing::Job => "job",
            Standing::Stray => "stray",
        }
    }
}

/// What the record says of a container on a host.
#[must_use]
pub fn standing(
    history: &History,
    environment: &EnvironmentName,
    host: &HostAddress,
    container: &Container,
) -> Standing {
    if container.label(label::JOB).is_some() {
        return Standing::Job;
    }
    let live = history.live(environment);
    let owns = |release: &Release| owns(release, host, container);
    if live.is_some_and(owns) {
        return Standing::Live;
    }
    let made_by = container.label(label::RELEASE);
    let comes = history.of(environment).rev().find(|release| {
        release.outcome == Outcome::Open
            && matches!(release.kind, ReleaseKind::Deploy | ReleaseKind::Rollback)
    });
    if let Some(open) = comes {
        let target = open.target_id.as_ref().and_then(|id| history.find(id));
        let started_again = container.running() && target.is_some_and(owns);
        if made_by == Some(open.id.as_str()) || started_again {
            return Standing::New;
        }
    }
    let before = live
        .filter(|live| live.outcome == Outcome::Open)
        .and_then(|live| history.find(live.previous_id.as_ref()?));
    if container.running() {
        return match before.is_some_and(owns) {
            true => Standing::Leaving,
            false => Standing::Stray,
        };
    }
    let kept = history
        .of(environment)
        .any(|past| past.good() && owns(past));
    if kept {
        Standing::Kept
    } else {
        Standing::Stray
    }
}

/// Whether a release's record names it; where it names nothing for the host,
/// the container's own label counts.
fn owns(release: &Release, host: &HostAddress, container: &Container) -> bool {
    // A Swarm's engine makes tasks anew, wherever it likes.
    let placed = container.label(label::SWARM_SERVICE).is_some();
    match release.hosts.get(host).filter(|_| !placed) {
        Some(here) => here.containers.contains(&container.name),
        None => container.label(label::RELEASE) == Some(release.id.as_str()),
    }
}
