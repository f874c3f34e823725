//! The table of migrations against the plan: nothing half applied, nothing
//! that no file explains, and afterwards all that was to be applied. Imports
//! `ports`, `model`.

use std::collections::HashSet;

use crate::migrate::words;
use crate::model::health::{Check, CheckName, Verdict};
use crate::model::migration::MigrationPlan;
use crate::ports::{Database, LedgerRow};

use super::Moment;
use super::ask::Judged;

pub(super) async fn check(
    session: &mut dyn Database,
    plan: &MigrationPlan,
    moment: Moment,
) -> Check {
    let (verdict, said) = match session.rows(plan.database.as_str()).await {
        Err(fault) => (Verdict::Error, fault.to_string()),
        Ok(None) => no_table(plan, moment),
        Ok(Some(rows)) => judged(&rows, plan, moment),
    };
    Check::new(CheckName::Migrations, verdict, said)
}

/// A new database has none, and neither has one whose tool keeps its own.
fn no_table(plan: &MigrationPlan, moment: Moment) -> Judged {
    match (plan.engine.as_str(), moment) {
        ("raw", Moment::Before) => (
            Verdict::Info,
            "there is no table of migrations yet: the run makes it".to_owned(),
        ),
        ("raw", Moment::After) => (
            Verdict::Error,
            "the table of migrations is gone, or this login may not see it".to_owned(),
        ),
        (engine, _) => (
            Verdict::Unknown,
            format!("engine `{engine}` keeps its own table"),
        ),
    }
}

fn judged(rows: &[LedgerRow], plan: &MigrationPlan, moment: Moment) -> Judged {
    let known: HashSet<&str> = plan.migrations.iter().map(|one| one.id.as_str()).collect();
    let selected: HashSet<&str> = plan.selected.iter().map(String::as_str).collect();
    let stray = of(rows, |row| !known.contains(row.id.as_str()));
    if !stray.is_empty() {
        let said = format!("rows that no file explains: {}", words::list(&stray));
        return (Verdict::Error, said);
    }
    let half = of(rows, |row| row.finished_at.is_none());
    if moment == Moment::After {
        let done: HashSet<String> = of(rows, |row| row.finished_at.is_some())
            .into_iter()
            .collect();
        let missing: Vec<&String> = plan
            .selected
            .iter()
            .filter(|id| !done.contains(*id))
            .collect();
        if !missing.is_empty() {
            let said = format!("not applied: {}", words::list(&missing));
            return (Verdict::Error, said);
        }
    }
    let others: Vec<&String> = half
        .iter()
        .filter(|id| !selected.contains(id.as_str()))
        .collect();
    match (half.as_slice(), others.as_slice()) {
        ([], _) => (
            Verdict::Passed,
            format!("{}, none half applied", words::plural(rows.len(), "row")),
        ),
        (half, []) => (
            Verdict::Info,
            format!(
                "half applied, and taken up by this run: {}",
                words::list(half)
            ),
        ),
        (_, others) => (
            Verdict::Warning,
            format!(
                "half applied, and not part of this run: {}",
                words::list(others)
            ),
        ),
    }
}

fn of(rows: &[LedgerRow], wanted: impl Fn(&LedgerRow) -> bool) -> Vec<String> {
    let rows = rows.iter().filter(|row| wanted(row));
    rows.map(|row| row.id.clone()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::migration::{Files, Migration, MigrationState};
    use crate::model::project::MigrationStrategy;
    use crate::model::risk::{Forecast, Outlook};

    fn plan(known: &[&str], selected: &[&str]) -> MigrationPlan {
        let migrations = known.iter().map(|id| Migration {
            id: (*id).to_owned(),
            state: MigrationState::Pending,
            strategy: MigrationStrategy::PreDeploy,
            checksum: String::new(),
            statements: 1,
            transactional: true,
            note: None,
            compat: None,
            forecast: Forecast::default(),
        });
        MigrationPlan {
            database: "main".parse().expect("a name"),
            engine: "raw".into(),
            migrations: migrations.collect(),
            selected: selected.iter().map(ToString::to_string).collect(),
            refusals: vec![],
            notes: vec![],
            unread: None,
            files: Files::Final,
            schema_version: None,
            route: String::new(),
            outlook: Outlook::default(),
        }
    }

    fn row(id: &str, finished: Option<&str>) -> LedgerRow {
        LedgerRow {
            id: id.to_owned(),
            finished_at: finished.map(str::to_owned),
            ..LedgerRow::default()
        }
    }

    const DONE: Option<&str> = Some("2026-01-01T00:00:00Z");

    /// D13: the table of migrations; a brand-new database has none, and that
    /// stops nothing.
    #[test]
    fn a_database_without_a_table_is_new_before_and_broken_afterwards() {
        let plan = plan(&["1"], &["1"]);
        assert_eq!(no_table(&plan, Moment::Before).0, Verdict::Info);
        assert_eq!(no_table(&plan, Moment::After).0, Verdict::Error);
    }

    /// D14, D54: consistent: no row without a file, none half applied beside
    /// the run.
    #[test]
    fn what_the_plan_does_not_explain_stops_and_what_it_takes_up_does_not() {
        let before = |rows: &[LedgerRow]| judged(rows, &plan(&["1", "2"], &["2"]), Moment::Before);
        assert_eq!(before(&[row("1", DONE)]).0, Verdict::Passed);
        assert_eq!(before(&[row("9", DONE)]).0, Verdict::Error);
        assert_eq!(before(&[row("2", None)]).0, Verdict::Info);
        assert_eq!(before(&[row("1", None)]).0, Verdict::Warning);
    }

    /// D48, D52, D53: all expected are there, none half applied.
    #[test]
    fn afterwards_everything_that_was_to_run_has_to_be_there() {
        let after =
            |rows: &[LedgerRow]| judged(rows, &plan(&["1", "2"], &["1", "2"]), Moment::After);
        assert_eq!(after(&[row("1", DONE), row("2", DONE)]).0, Verdict::Passed);
        assert_eq!(
            after(&[row("1", DONE), row("2", None)]),
            (Verdict::Error, "not applied: `2`".to_owned())
        );
        assert_eq!(after(&[]).0, Verdict::Error);
    }
}
