//! `mode: deploy` runs committed migrations only: a file that is in no commit,
//! or is not as it was committed, is on one machine alone, and nobody reviewed
//! it. Files that come out of an image are those that were built.

use crate::model::migration::MigrationPlan;
use crate::model::project::{Environment, MigrationSource, Mode};

use super::source;

/// Why these plans may not run, where their files are in a git repository. A
/// folder outside of one has nothing to compare with.
pub(crate) async fn refusals(environment: &Environment, plans: &[MigrationPlan]) -> Vec<String> {
    if environment.mode == Mode::Dev {
        return vec![];
    }
    let mut refusals = vec![];
    for plan in plans.iter().filter(|plan| !plan.selected.is_empty()) {
        let spec = environment.databases.get(&plan.database);
        let spec = spec.map(|database| &database.migrations);
        let checkout = spec.filter(|spec| spec.source == MigrationSource::Checkout);
        let Some(folder) = checkout.and_then(|spec| spec.path.as_deref()) else {
            continue;
        };
        let changed = source::changed(folder).await;
        let uncommitted = plan.selected.iter().filter(|id| named(&changed, id));
        refusals.extend(uncommitted.map(|id| {
            format!(
                "database `{}`: `{id}` is not committed as it is, and `mode: deploy` runs committed migrations only: commit it, or set `mode: dev` for `{}`",
                plan.database, environment.name
            )
        }));
    }
    refusals
}

/// A file by its name, with its suffix or without, as its tool says it; where a
/// migration is a folder, by that.
fn named(changed: &[String], id: &str) -> bool {
    let is = |part: &str| {
        let stem = part.rsplit_once('.').map(|(stem, _)| stem);
        part == id || stem == Some(id)
    };
    changed.iter().any(|path| path.split('/').any(is))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_migration_is_its_file_or_everything_in_its_folder() {
        let changed = [
            "db/0002_b.sql".to_owned(),
            "prisma/3_c/migration.sql".into(),
        ];
        assert!(named(&changed, "0002_b.sql"));
        // As Drizzle and node-pg-migrate call it.
        assert!(named(&changed, "0002_b"));
        assert!(named(&changed, "3_c"));
        assert!(!named(&changed, "0001_a.sql"));
        assert!(!named(&changed, "2_b.sql"));
    }
}
