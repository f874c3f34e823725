//! Files and rows compared: what is pending, applied, edited, missing, out of
//! order, failed. Pure. Imports `model` and `ports::LedgerRow`.
//!
//! A refusal says what stands where and how to mend it; nothing is guessed.

use std::collections::{HashMap, HashSet};

use crate::model::compat::Compat;
use crate::model::migration::{AppliedBy, Migration, MigrationState};
use crate::model::project::MigrationStrategy;
use crate::model::risk::Forecast;
use crate::ports::LedgerRow;

use super::sql::Mode;

/// A file as the comparison needs it; the list is in running order.
#[derive(Debug, Clone)]
pub struct Candidate {
    pub id: String,
    pub version: Option<i64>,
    pub checksum: String,
    /// The normalised hash of the first n statements, for n from 0 to all.
    pub prefixes: Vec<String>,
    pub strategy: MigrationStrategy,
    pub mode: Mode,
    pub compat: Compat,
    /// Whether its own name lets it run after a later one.
    pub gaps: Gaps,
}

impl Candidate {
    #[must_use]
    pub fn normalised(&self) -> &str {
        self.prefixes.last().map_or("", String::as_str)
    }

    #[must_use]
    pub fn statements(&self) -> u64 {
        self.prefixes.len().saturating_sub(1) as u64
    }

    /// The statements that a cut-off run began are still the ones in the file.
    /// (The hash may reach further where a person corrected the count.)
    #[must_use]
    pub fn continues(&self, row: &LedgerRow) -> bool {
        self.checksum == row.checksum
            || usize::try_from(row.statements_begun)
                .ok()
                .and_then(|begun| self.prefixes.get(begun..))
                .is_some_and(|prefixes| prefixes.contains(&row.normalised))
    }

    /// The same migration as the one that was applied.
    #[must_use]
    pub fn is(&self, row: &LedgerRow) -> bool {
        self.checksum == row.checksum || self.normalised() == row.normalised
    }
}

/// Whether a pending migration may run after a later one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Gaps {
    Refuse,
    Allow,
}

#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Compared {
    /// Applied ones first, then those that would run, each in running order.
    pub migrations: Vec<Migration>,
    pub refusals: Vec<String>,
}

/// See the module.
#[must_use]
pub fn compare(files: &[Candidate], rows: &[LedgerRow], gaps: Gaps) -> Compared {
    let by_id: HashMap<&str, &LedgerRow> = rows.iter().map(|row| (row.id.as_str(), row)).collect();
    let mut compared = Compared::default();
    let names: HashSet<&str> = files.iter().map(|file| file.id.as_str()).collect();
    let overtaken = overtaken(files, &by_id);
    let mut pending = vec![];
    for (file, after) in files.iter().zip(overtaken) {
        let state = match by_id.get(file.id.as_str()) {
            Some(row) => known(file, row, &mut compared.refusals),
            None => match after.filter(|_| file.gaps == Gaps::Refuse) {
                Some(after) => {
                    let after = after.to_owned();
                    if gaps == Gaps::Refuse {
                        compared.refusals.push(out_of_order(&file.id, &after));
                    }
                    MigrationState::OutOfOrder { after }
                }
                None => MigrationState::Pending,
            },
        };
        let migration = migration(file, by_id.get(file.id.as_str()).copied(), state);
        match migration.state.will_run() {
            true => pending.push(migration),
            false => compared.migrations.push(migration),
        }
    }
    for row in rows {
        if !names.contains(row.id.as_str()) {
            compared.refusals.push(format!(
                "`{}` was {} and its file is gone: bring it back (`git log --diff-filter=D -- '*{}'` finds it)",
                row.id,
                if row.finished_at.is_some() { "applied" } else { "begun" },
                row.id
            ));
            insert_missing(&mut compared.migrations, row);
        }
    }
    compared.migrations.append(&mut pending);
    compared
}

fn known(file: &Candidate, row: &LedgerRow, refusals: &mut Vec<String>) -> MigrationState {
    if row.finished_at.is_none() {
        if !file.continues(row) {
            refusals.push(format!(
                "`{}` failed after {} of {} statements, and those that ran were changed since: bring them back as they were; only the statements after them may change",
                file.id, row.statements_done, row.statements_total
            ));
        }
        return MigrationState::Failed {
            done: count(row.statements_done),
            total: file.statements(),
            error: row.error.clone(),
        };
    }
    if file.is(row) {
        return MigrationState::Applied {
            at: row.finished_at.clone(),
            by: (!row.release.is_empty()).then(|| AppliedBy {
                release: row.release.clone(),
                duration_ms: count(row.duration_ms.unwrap_or_default()),
            }),
        };
    }
    refusals.push(format!(
        "`{}` was edited after it was applied (then {}, now {}): bring it back as it was, and put the change into a new migration (`stagecraft migrate create NAME`)",
        file.id,
        short(&row.checksum),
        short(&file.checksum)
    ));
    MigrationState::Edited {
        applied_checksum: row.checksum.clone(),
    }
}

/// For each file the next later one that is applied. One that runs after the
/// rollout is rightly overtaken by those that run before it. One walk from the
/// end: a folder may hold ten thousand files.
fn overtaken<'a>(files: &'a [Candidate], rows: &HashMap<&str, &LedgerRow>) -> Vec<Option<&'a str>> {
    let (mut any, mut after_rollout) = (None, None);
    let mut overtaken: Vec<Option<&str>> = vec![];
    for file in files.iter().rev() {
        overtaken.push(match file.strategy {
            MigrationStrategy::PreDeploy | MigrationStrategy::Manual => any,
            MigrationStrategy::PostDeploy => after_rollout,
        });
        if rows.contains_key(file.id.as_str()) {
            any = Some(file.id.as_str());
            if file.strategy != MigrationStrategy::PreDeploy {
                after_rollout = any;
            }
        }
    }
    overtaken.reverse();
    overtaken
}

fn out_of_order(id: &str, after: &str) -> String {
    format!(
        "`{id}` is pending, but `{after}` after it is applied already: give it a later number, or run it all the same with `--allow-out-of-order`"
    )
}

fn migration(file: &Candidate, row: Option<&LedgerRow>, state: MigrationState) -> Migration {
    let layout = matches!(state, MigrationState::Applied { .. })
        && row.is_some_and(|row| row.checksum != file.checksum);
    let resumes = matches!(state, MigrationState::Failed { done, .. } if done > 0);
    let note = match &file.mode {
        _ if layout => Some("only comments or layout changed since it was applied".to_owned()),
        Mode::Apart(why) => Some(why.clone()),
        Mode::Batches(rows) => Some(format!("in batches of {rows} rows, each committed")),
        Mode::Together if resumes => Some("goes on after the statements that ran".to_owned()),
        Mode::Together => None,
    };
    Migration {
        id: file.id.clone(),
        state,
        strategy: file.strategy,
        checksum: file.checksum.clone(),
        statements: file.statements(),
        transactional: file.mode == Mode::Together && !resumes,
        note,
        compat: Some(file.compat.clone()),
        forecast: Forecast::default(),
    }
}

/// Among the applied ones, in order of the names.
fn insert_missing(migrations: &mut Vec<Migration>, row: &LedgerRow) {
    let at = migrations
        .iter()
        .position(|migration| migration.id > row.id)
        .unwrap_or(migrations.len());
    migrations.insert(
        at,
        Migration {
            id: row.id.clone(),
            state: MigrationState::Missing,
            strategy: MigrationStrategy::PreDeploy,
            checksum: row.checksum.clone(),
            statements: count(row.statements_total),
            transactional: row.transactional,
            note: None,
            compat: None,
            forecast: Forecast::default(),
        },
    );
}

fn short(checksum: &str) -> &str {
    checksum.get(..12).unwrap_or(checksum)
}

fn count(number: i64) -> u64 {
    u64::try_from(number).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use MigrationStrategy::{PostDeploy, PreDeploy};

    fn file(id: &str, strategy: MigrationStrategy) -> Candidate {
        Candidate {
            id: id.into(),
            version: None,
            checksum: format!("raw-{id}"),
            prefixes: vec!["0".into(), format!("1-{id}"), format!("2-{id}")],
            strategy,
            mode: Mode::Together,
            compat: Compat::Additive,
            gaps: Gaps::Refuse,
        }
    }

    fn files(ids: &[&str]) -> Vec<Candidate> {
        ids.iter().map(|id| file(id, PreDeploy)).collect()
    }

    fn row(id: &str) -> LedgerRow {
        LedgerRow {
            id: id.into(),
            checksum: format!("raw-{id}"),
            normalised: format!("2-{id}"),
            finished_at: Some("then".into()),
            statements_total: 2,
            statements_begun: 2,
            statements_done: 2,
            ..LedgerRow::default()
        }
    }

    fn failed(id: &str) -> LedgerRow {
        LedgerRow {
            finished_at: None,
            normalised: format!("1-{id}"),
            statements_begun: 1,
            statements_done: 1,
            error: Some("no".into()),
            ..row(id)
        }
    }

    fn labels(compared: &Compared) -> Vec<(&str, &str)> {
        let all = compared.migrations.iter();
        all.map(|m| (m.id.as_str(), m.state.label())).collect()
    }

    #[test]
    fn without_rows_everything_is_pending_in_order() {
        let compared = compare(&files(&["1", "2"]), &[], Gaps::Refuse);
        assert_eq!(labels(&compared), [("1", "pending"), ("2", "pending")]);
        assert!(compared.refusals.is_empty());
    }

    #[test]
    fn an_applied_migration_is_not_pending() {
        let compared = compare(&files(&["1", "2"]), &[row("1")], Gaps::Refuse);
        assert_eq!(labels(&compared), [("1", "applied"), ("2", "pending")]);
        assert!(compared.refusals.is_empty());
    }

    #[test]
    fn an_edited_file_is_refused_and_named() {
        let mut edited = files(&["1"]);
        edited[0].checksum = "other".into();
        edited[0].prefixes = vec!["0".into(), "x".into()];
        let compared = compare(&edited, &[row("1")], Gaps::Allow);
        assert_eq!(labels(&compared), [("1", "edited")]);
        assert!(compared.refusals[0].starts_with("`1` was edited"));
    }

    #[test]
    fn a_changed_comment_is_no_edit_but_is_noted() {
        let mut touched = files(&["1"]);
        touched[0].checksum = "other".into();
        let compared = compare(&touched, &[row("1")], Gaps::Refuse);
        assert_eq!(labels(&compared), [("1", "applied")]);
        assert!(compared.refusals.is_empty() && compared.migrations[0].note.is_some());
    }

    #[test]
    fn a_file_that_is_gone_is_missing_and_refused() {
        let compared = compare(&files(&["1", "3"]), &[row("1"), row("2")], Gaps::Refuse);
        assert_eq!(
            labels(&compared),
            [("1", "applied"), ("2", "missing"), ("3", "pending")]
        );
        assert_eq!(compared.refusals.len(), 1);
    }

    #[test]
    fn a_gap_is_refused_unless_it_is_allowed() {
        let refused = compare(&files(&["1", "2"]), &[row("2")], Gaps::Refuse);
        assert_eq!(labels(&refused), [("2", "applied"), ("1", "out of order")]);
        assert!(refused.refusals[0].contains("--allow-out-of-order"));
        let allowed = compare(&files(&["1", "2"]), &[row("2")], Gaps::Allow);
        assert_eq!(labels(&allowed), labels(&refused));
        assert!(allowed.refusals.is_empty());
    }

    #[test]
    fn a_pending_file_for_after_the_rollout_is_rightly_overtaken() {
        let list = [file("1", PostDeploy), file("2", PreDeploy)];
        let compared = compare(&list, &[row("2")], Gaps::Refuse);
        assert_eq!(labels(&compared), [("2", "applied"), ("1", "pending")]);
        assert!(compared.refusals.is_empty());
        let both = [file("1", PostDeploy), file("2", PostDeploy)];
        assert_eq!(compare(&both, &[row("2")], Gaps::Refuse).refusals.len(), 1);
    }

    #[test]
    fn a_failed_migration_goes_on_where_it_stopped() {
        let compared = compare(&files(&["1"]), &[failed("1")], Gaps::Refuse);
        assert_eq!(labels(&compared), [("1", "failed")]);
        assert!(compared.refusals.is_empty() && !compared.migrations[0].transactional);
    }

    #[test]
    fn what_did_not_run_yet_of_a_failed_migration_may_be_mended() {
        let mut mended = files(&["1"]);
        mended[0].checksum = "other".into();
        mended[0].prefixes[2] = "mended".into();
        assert!(
            compare(&mended, &[failed("1")], Gaps::Refuse)
                .refusals
                .is_empty()
        );
    }

    #[test]
    fn what_ran_of_a_failed_migration_may_not_change() {
        let mut changed = files(&["1"]);
        changed[0].checksum = "other".into();
        changed[0].prefixes[1] = "changed".into();
        let compared = compare(&changed, &[failed("1")], Gaps::Refuse);
        assert!(compared.refusals[0].contains("failed after 1 of 2 statements"));
    }
}
