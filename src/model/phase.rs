//! The six phases of a release and the one table that says which status may
//! follow which. Nobody else compares statuses.

use std::fmt;

use serde::{Deserialize, Serialize};

/// A step of the pipeline, in running order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Phase {
    Build,
    Push,
    MigratePre,
    Rollout,
    MigratePost,
    Finalize,
}

impl Phase {
    pub const ALL: [Phase; 6] = [
        Phase::Build,
        Phase::Push,
        Phase::MigratePre,
        Phase::Rollout,
        Phase::MigratePost,
        Phase::Finalize,
    ];

    /// As written in `releases.json`.
    #[must_use]
    pub fn key(self) -> &'static str {
        match self {
            Phase::Build => "build",
            Phase::Push => "push",
            Phase::MigratePre => "migrate_pre",
            Phase::Rollout => "rollout",
            Phase::MigratePost => "migrate_post",
            Phase::Finalize => "finalize",
        }
    }

    /// As said to people.
    #[must_use]
    pub fn label(self) -> &'static str {
        match self {
            Phase::Build => "build",
            Phase::Push => "push",
            Phase::MigratePre => "pre-deploy migrations",
            Phase::Rollout => "rollout",
            Phase::MigratePost => "post-deploy migrations",
            Phase::Finalize => "finalize",
        }
    }

    /// The process's exit code when this phase fails.
    #[must_use]
    pub fn exit_code(self) -> u8 {
        match self {
            Phase::Build => 20,
            Phase::Push => 21,
            Phase::MigratePre => 22,
            Phase::Rollout => 23,
            Phase::MigratePost => 24,
            Phase::Finalize => 25,
        }
    }

    /// The phases that come after this one.
    pub fn later(self) -> impl Iterator<Item = Phase> {
        Phase::ALL.into_iter().filter(move |phase| *phase > self)
    }
}

impl fmt::Display for Phase {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.label())
    }
}

/// Where a phase stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Status {
    Pending,
    Running,
    Completed,
    Failed,
    Skipped,
}

/// What the journal writes about a phase.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mark {
    Start,
    Complete,
    Fail,
    Skip,
    /// `deploy --resume` takes up a phase that was cut off or failed, and the
    /// ones that were skipped because of it.
    Resume,
}

/// A mark that may not follow a status.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a phase that is {status:?} cannot take the mark {mark:?}")]
pub struct IllegalMark {
    pub status: Status,
    pub mark: Mark,
}

impl Status {
    /// The transition table.
    ///
    /// # Errors
    /// Every pair that is not listed is refused.
    pub fn after(self, mark: Mark) -> Result<Status, IllegalMark> {
        match (self, mark) {
            (Status::Pending, Mark::Start) => Ok(Status::Running),
            (Status::Pending, Mark::Skip) => Ok(Status::Skipped),
            (Status::Running, Mark::Complete) => Ok(Status::Completed),
            (Status::Running, Mark::Fail) => Ok(Status::Failed),
            (Status::Running | Status::Failed | Status::Skipped, Mark::Resume) => {
                Ok(Status::Pending)
            }
            (status, mark) => Err(IllegalMark { status, mark }),
        }
    }

    /// Nothing more happens to it except by `--resume`.
    #[must_use]
    pub fn is_final(self) -> bool {
        matches!(self, Status::Completed | Status::Failed | Status::Skipped)
    }

    #[must_use]
    pub fn label(self) -> &'static str {
        match self {
            Status::Pending => "pending",
            Status::Running => "running",
            Status::Completed => "completed",
            Status::Failed => "failed",
            Status::Skipped => "skipped",
        }
    }
}

impl fmt::Display for Status {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.label())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_completed_phase_takes_no_further_mark() {
        for mark in [
            Mark::Start,
            Mark::Complete,
            Mark::Fail,
            Mark::Skip,
            Mark::Resume,
        ] {
            assert!(Status::Completed.after(mark).is_err(), "{mark:?}");
        }
    }

    #[test]
    fn a_phase_runs_before_it_completes() {
        assert!(Status::Pending.after(Mark::Complete).is_err());
        let running = Status::Pending.after(Mark::Start).expect("legal");
        assert_eq!(running.after(Mark::Complete), Ok(Status::Completed));
    }

    #[test]
    fn every_phase_has_its_own_exit_code_from_20_on() {
        let codes: Vec<u8> = Phase::ALL.iter().map(|phase| phase.exit_code()).collect();
        assert_eq!(codes, [20, 21, 22, 23, 24, 25]);
    }
}
