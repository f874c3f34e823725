//! What a release leaves behind for a later rollback to judge: the migrations
//! that its code knows, and whether there is a way back from it.

use crate::model::migration::{Files, MigrationPlan, MigrationState, UNNAMED};
use crate::model::project::Environment;
use crate::model::release::Release;
use crate::plan::{Facts, WayBack, way_back};

/// Fills in the record, at the end of a rollout that stayed.
pub(super) fn remember(
    environment: &Environment,
    facts: &Facts,
    plans: &[MigrationPlan],
    release: &mut Release,
) {
    // Those of files that were awaited are recorded already.
    for plan in plans.iter().filter(|plan| plan.files != Files::Awaited) {
        let known = plan
            .migrations
            .iter()
            .filter(|migration| migration.state != MigrationState::Missing)
            .filter(|migration| migration.id != UNNAMED)
            .map(|migration| migration.id.clone())
            .collect();
        release
            .known_migrations
            .insert(plan.database.clone(), known);
    }
    let WayBack { safe, reasons } = way_back(environment, facts, release);
    release.rollback_safe = safe;
    release.rollback_reasons = reasons;
}
