//! How much can go wrong with a run, for approvals and the record.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::{Migration, MigrationPlan};
use crate::model::compat::Compat;
use crate::model::risk::Level;

/// How much can go wrong with what a plan would run, worst last.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Risk {
    /// Additions, each undone whole when it fails.
    #[default]
    Low,
    /// A failure half way leaves a part behind.
    Medium,
    /// Code that runs now breaks, or nobody can tell whether it does; or rows
    /// are lost.
    High,
}

impl Risk {
    /// Of everything that these plans would run.
    #[must_use]
    pub fn of(plans: &[MigrationPlan]) -> Self {
        let all = plans.iter().flat_map(MigrationPlan::to_run);
        all.map(Self::one).max().unwrap_or_default()
    }

    fn one(migration: &Migration) -> Self {
        let risk = migration.forecast.risk.as_ref();
        let lost = risk.map_or(Risk::Low, |risk| match risk.level {
            Level::Low => Risk::Low,
            Level::Medium => Risk::Medium,
            Level::High | Level::Critical => Risk::High,
        });
        let broken = match &migration.compat {
            Some(Compat::Breaking { .. } | Compat::Unknown { .. }) | None => Risk::High,
            Some(Compat::Additive | Compat::Declared { .. }) if migration.transactional => {
                Risk::Low
            }
            Some(Compat::Additive | Compat::Declared { .. }) => Risk::Medium,
        };
        broken.max(lost)
    }
}

impl fmt::Display for Risk {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Risk::Low => "low",
            Risk::Medium => "medium",
            Risk::High => "high",
        })
    }
}
