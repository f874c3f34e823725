//! How a run that made a release ends, in a line: what is live now, or what
//! was applied. `releases show` tells the rest.

use indexmap::IndexMap;

use crate::model::history::History;
use crate::model::migration::MigrationOutcome;
use crate::model::release::{Outcome, Release, ReleaseKind};

use super::releases::version;
use super::words::{and_list, plural, printable};

/// The last word of a deploy, a rollback, an abort or a `migrate run`.
/// `databases`: how many the environment has.
#[must_use]
pub fn text(history: &History, release: &Release, databases: usize) -> String {
    let mut text = match (release.kind, release.outcome) {
        (ReleaseKind::Rollback, Outcome::Done) if release.restarts() => restarted(release),
        (ReleaseKind::Deploy | ReleaseKind::Rollback, Outcome::Done) => live(release),
        (ReleaseKind::Migrate | ReleaseKind::Restore, Outcome::Done) => applied(release),
        (_, Outcome::Aborted) => aborted(history, release),
        (_, Outcome::Open | Outcome::Failed) => {
            format!("{} is {}", named(release), release.outcome.label())
        }
    };
    if release.kind == ReleaseKind::Rollback && !release.restarts() && databases > 0 {
        text += &format!(
            "\nthe databases were not rolled back: {} runs against today's schema and data",
            release.version
        );
    }
    printable(&text)
}

fn named(release: &Release) -> String {
    format!("{} ({})", release.id, version(release))
}

fn live(release: &Release) -> String {
    format!("{} is live in {}", named(release), release.environment)
}

fn restarted(release: &Release) -> String {
    let roles: Vec<String> = release.plan.roles.iter().map(ToString::to_string).collect();
    let what = match roles.as_slice() {
        [] => version(release),
        _ => format!("{} of {}", and_list(&roles), version(release)),
    };
    let (id, environment) = (&release.id, &release.environment);
    format!("{what} was restarted in {environment}; it is live as {id}")
}

fn aborted(history: &History, release: &Release) -> String {
    let now = match history.live(&release.environment) {
        Some(old) => live(old),
        None => format!("nothing is live in {}", release.environment),
    };
    format!("{} was aborted; {now}", named(release))
}

/// `applied 3 migrations to main`, `applied 1 migration to main, 2 migrations to audit`.
fn applied(release: &Release) -> String {
    let mut counts = IndexMap::new();
    for result in &release.migrations {
        if result.outcome == MigrationOutcome::Applied {
            *counts.entry(&result.database).or_insert(0) += 1;
        }
    }
    let counts: Vec<String> = counts
        .into_iter()
        .map(|(database, count)| format!("{} to {database}", plural(count, "migration")))
        .collect();
    if counts.is_empty() {
        "applied nothing".to_owned()
    } else {
        format!("applied {}", counts.join(", "))
    }
}

#[cfg(test)]
mod tests {
    use super::super::history_samples::history;
    use super::*;

    fn ending(of: &str, change: impl FnOnce(&mut Release)) -> String {
        let history = history();
        let mut release = history
            .find(&of.parse().expect("an id"))
            .expect("there")
            .clone();
        change(&mut release);
        text(&history, &release, 1)
    }

    #[test]
    fn a_deploy_ends_with_what_is_live() {
        assert_eq!(
            ending("rel-20260114-101502001", |_| {}),
            "rel-20260114-101502001 (v1.1) is live in prod"
        );
    }

    #[test]
    fn a_rollback_says_that_databases_stay_as_they_are() {
        assert_eq!(
            ending("rel-20260116-130000000", |_| {}),
            "rel-20260116-130000000 (v1.4) is live in staging\n\
             the databases were not rolled back: v1.4 runs against today's schema and data"
        );
    }

    #[test]
    fn a_restart_is_no_rollback() {
        assert_eq!(
            ending("rel-20260116-130000000", |release| {
                release.previous_id = release.target_id.clone();
            }),
            "v1.4 was restarted in staging; it is live as rel-20260116-130000000"
        );
    }

    #[test]
    fn an_aborted_release_names_the_one_that_serves() {
        assert_eq!(
            ending("rel-20260116-120000500", |release| {
                release.outcome = Outcome::Aborted;
            }),
            "rel-20260116-120000500 (v1.3) was aborted; \
             rel-20260114-101502001 (v1.1) is live in prod"
        );
    }

    #[test]
    fn migrations_are_counted_for_each_database() {
        let run = |databases: &[&str]| {
            ending("rel-20260114-101502001", |release| {
                release.kind = ReleaseKind::Migrate;
                let one = release.migrations[0].clone();
                release.migrations = databases
                    .iter()
                    .map(|name| {
                        let mut result = one.clone();
                        result.database = name.parse().expect("a name");
                        result
                    })
                    .collect();
            })
        };
        assert_eq!(run(&["main"]), "applied 1 migration to main");
        assert_eq!(
            run(&["main", "audit", "main"]),
            "applied 2 migrations to main, 1 migration to audit"
        );
        assert_eq!(run(&[]), "applied nothing");
    }
}
