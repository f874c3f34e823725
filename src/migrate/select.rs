//! Which of the migrations that could run a request means. Pure. Imports
//! `model`.

use std::collections::HashSet;

use crate::model::migration::{Migration, MigrationRequest};

use super::words;

/// The ids to run, in order, and why they may not.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Selection {
    pub selected: Vec<String>,
    pub refusals: Vec<String>,
}

/// `order` lists all ids as they run when nothing was applied yet.
#[must_use]
pub fn select(migrations: &[Migration], order: &[&str], request: &MigrationRequest) -> Selection {
    let mut refusals = vec![];
    let last = match &request.to {
        None => order.len(),
        Some(to) => match find(to, order) {
            Some(index) => index + 1,
            None => {
                refusals.push(unknown(to, order));
                0
            }
        },
    };
    let within: HashSet<&str> = order[..last].iter().copied().collect();
    let mut selected: Vec<&Migration> = migrations
        .iter()
        .filter(|migration| migration.state.will_run())
        .filter(|migration| within.contains(migration.id.as_str()))
        .filter(|migration| wanted(migration, request))
        .collect();
    selected.truncate(request.steps.unwrap_or(usize::MAX));
    refusals.extend(blocked(migrations, &selected));
    Selection {
        selected: selected.into_iter().map(|m| m.id.clone()).collect(),
        refusals,
    }
}

fn wanted(migration: &Migration, request: &MigrationRequest) -> bool {
    request.strategies.is_empty() || request.strategies.contains(&migration.strategy)
}

/// By id, by name without its suffix, or by number.
pub(super) fn find(to: &str, order: &[&str]) -> Option<usize> {
    let digits = |text: &str| -> Option<u64> {
        let end = text.bytes().take_while(u8::is_ascii_digit).count();
        text[..end].parse().ok()
    };
    let number: Option<u64> = to.parse().ok();
    order
        .iter()
        .position(|id| *id == to || id.strip_suffix(".sql") == Some(to))
        .or_else(|| {
            order
                .iter()
                .position(|id| number.is_some() && digits(id) == number)
        })
}

pub(super) fn unknown(to: &str, order: &[&str]) -> String {
    match words::nearest(to, order.iter().copied()).first() {
        Some(near) => format!("there is no migration `{to}`; the nearest is `{near}`"),
        None => format!("there is no migration `{to}`: there are none"),
    }
}

/// One that runs after the rollout needs those before it that run before the
/// rollout.
fn blocked(migrations: &[Migration], selected: &[&Migration]) -> Option<String> {
    let selected: HashSet<&str> = selected.iter().map(|other| other.id.as_str()).collect();
    let chosen = |migration: &Migration| selected.contains(migration.id.as_str());
    let mut waiting: Option<&Migration> = None;
    for migration in migrations.iter().filter(|m| m.state.will_run()) {
        match (chosen(migration), waiting) {
            (false, None) => waiting = Some(migration),
            (true, Some(first)) if first.strategy < migration.strategy => {
                return Some(format!(
                    "`{}` ({}) has to run before `{}` ({})",
                    first.id,
                    first.strategy.label(),
                    migration.id,
                    migration.strategy.label()
                ));
            }
            _ => {}
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::migration::MigrationState;
    use crate::model::project::MigrationStrategy::{self, PostDeploy, PreDeploy};
    use crate::model::risk::Forecast;

    const ORDER: [&str; 3] = ["0001_a.sql", "0002_b.sql", "0003_c.sql"];

    fn pending(strategies: [MigrationStrategy; 3]) -> Vec<Migration> {
        ORDER
            .into_iter()
            .zip(strategies)
            .map(|(id, strategy)| Migration {
                id: id.into(),
                state: MigrationState::Pending,
                strategy,
                checksum: String::new(),
                statements: 1,
                transactional: true,
                note: None,
                compat: None,
                forecast: Forecast::default(),
            })
            .collect()
    }

    fn run(strategies: [MigrationStrategy; 3], request: &MigrationRequest) -> Selection {
        select(&pending(strategies), &ORDER, request)
    }

    #[test]
    fn a_target_may_be_an_id_a_name_or_a_number() {
        for to in ["0002_b.sql", "0002_b", "2", "0002"] {
            let request = MigrationRequest {
                to: Some(to.into()),
                ..MigrationRequest::default()
            };
            assert_eq!(run([PreDeploy; 3], &request).selected, &ORDER[..2], "{to}");
        }
    }

    #[test]
    fn an_unknown_target_runs_nothing_and_names_the_nearest() {
        let request = MigrationRequest {
            to: Some("0002_x.sql".into()),
            ..MigrationRequest::default()
        };
        let selection = run([PreDeploy; 3], &request);
        assert!(selection.selected.is_empty());
        assert!(selection.refusals[0].contains("`0002_b.sql`"));
    }

    #[test]
    fn steps_count_what_would_run() {
        let request = MigrationRequest {
            steps: Some(1),
            ..MigrationRequest::default()
        };
        assert_eq!(run([PreDeploy; 3], &request).selected, &ORDER[..1]);
    }

    #[test]
    fn a_strategy_leaves_the_others_out_but_not_what_has_to_run_first() {
        let only = |strategy| MigrationRequest {
            strategies: vec![strategy],
            ..MigrationRequest::default()
        };
        let mixed = [PreDeploy, PostDeploy, PreDeploy];
        let pre = run(mixed, &only(PreDeploy));
        assert_eq!(pre.selected, ["0001_a.sql", "0003_c.sql"]);
        assert!(pre.refusals.is_empty());
        let post = run(mixed, &only(PostDeploy));
        assert!(post.refusals[0].contains("`0001_a.sql` (pre_deploy)"));
    }
}
