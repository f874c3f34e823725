//! How long a migration took where it ran before: better than a guess from
//! sizes. Pure.

use crate::model::history::History;
use crate::model::migration::{MigrationOutcome, MigrationPlan};
use crate::model::risk::{Basis, Estimate};

/// Estimates of the same file, by its checksum, in any environment's records;
/// a rehearsal's stay.
pub fn recall(history: &History, plans: &mut [MigrationPlan]) {
    for plan in plans {
        let mut recalled = false;
        for migration in &mut plan.migrations {
            let measured = migration.forecast.estimate.as_ref();
            let rehearsed = measured.is_some_and(|one| one.basis == Basis::Rehearsal);
            if rehearsed || !plan.selected.contains(&migration.id) {
                continue;
            }
            let took = took(
                history,
                plan.database.as_str(),
                &migration.id,
                &migration.checksum,
            );
            if let Some(estimate) = took {
                migration.forecast.estimate = Some(estimate);
                recalled = true;
            }
        }
        if recalled {
            let each: Vec<_> = plan.to_run().map(|one| &one.forecast.estimate).collect();
            plan.outlook.estimate = match each.iter().all(|one| one.is_some()) {
                true => Estimate::total(each.into_iter().flatten()),
                false => None,
            };
        }
    }
}

fn took(history: &History, database: &str, id: &str, checksum: &str) -> Option<Estimate> {
    if checksum.is_empty() {
        return None;
    }
    let runs = history.all().iter().flat_map(|release| {
        let results = release.migrations.iter();
        results
            .filter(|result| {
                result.outcome == MigrationOutcome::Applied
                    && result.database.as_str() == database
                    && result.id == id
                    && result.checksum == checksum
            })
            .map(|result| (release.environment.to_string(), result.duration_ms))
    });
    runs.map(|(environment, took)| Estimate {
        low_ms: took,
        high_ms: took,
        basis: Basis::History { environment },
    })
    .reduce(|sum, next| Estimate {
        low_ms: sum.low_ms.min(next.low_ms),
        high_ms: sum.high_ms.max(next.high_ms),
        basis: next.basis,
    })
}
