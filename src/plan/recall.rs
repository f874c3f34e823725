//! How long a migration took where it ran before: better than a guess from
//! sizes. Pure.

use std::collections::{HashMap, HashSet};

use crate::model::history::History;
use crate::model::migration::{MigrationOutcome, MigrationPlan};
use crate::model::risk::{Basis, Estimate};

/// Estimates of the same file, by its checksum, in any environment's records;
/// a rehearsal's stay.
pub fn recall(history: &History, plans: &mut [MigrationPlan]) {
    let took = took(history);
    for plan in plans.iter_mut().filter(|plan| !plan.selected.is_empty()) {
        let selected: HashSet<&str> = plan.selected.iter().map(String::as_str).collect();
        let mut recalled = false;
        for migration in &mut plan.migrations {
            let measured = migration.forecast.estimate.as_ref();
            let rehearsed = measured.is_some_and(|one| one.basis == Basis::Rehearsal);
            if rehearsed || !selected.contains(migration.id.as_str()) {
                continue;
            }
            let file = (plan.database.as_str(), &*migration.id, &*migration.checksum);
            if let Some(estimate) = took.get(&file) {
                migration.forecast.estimate = Some(estimate.clone());
                recalled = true;
            }
        }
        if recalled {
            let each = plan.to_run().map(|one| one.forecast.estimate.as_ref());
            let all: Option<Vec<&Estimate>> = each.collect();
            plan.outlook.estimate = all.and_then(|all| Estimate::total(all.into_iter()));
        }
    }
}

/// Database, id and checksum.
type File<'a> = (&'a str, &'a str, &'a str);

/// Every file that was applied, with the shortest and the longest time.
fn took(history: &History) -> HashMap<File<'_>, Estimate> {
    let mut took: HashMap<File<'_>, Estimate> = HashMap::new();
    for release in history.all() {
        let done = release.migrations.iter();
        // A file that nobody here can read has no checksum, and may be another.
        let done = done.filter(|result| {
            result.outcome == MigrationOutcome::Applied && !result.checksum.is_empty()
        });
        for result in done {
            let file = (result.database.as_str(), &*result.id, &*result.checksum);
            let ms = result.duration_ms;
            let known = took.get(&file);
            let low_ms = known.map_or(ms, |known| known.low_ms.min(ms));
            let high_ms = known.map_or(ms, |known| known.high_ms.max(ms));
            let basis = Basis::History {
                environment: release.environment.to_string(),
            };
            took.insert(
                file,
                Estimate {
                    low_ms,
                    high_ms,
                    basis,
                },
            );
        }
    }
    took
}
