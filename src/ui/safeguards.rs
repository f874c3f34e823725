//! What guards a change of databases, shown to whoever has to agree to it.

use std::fmt::Write;

use crate::model::migration::{Migration, MigrationPlan, Risk};
use crate::model::project::{DatabaseSpec, Environment};

use super::style::Style;
use super::words::{and_list, duration, plural, printable};

/// Empty where nothing is to be migrated.
#[must_use]
pub fn text(environment: &Environment, plans: &[MigrationPlan], style: Style) -> String {
    let pending: Vec<&Migration> = plans.iter().flat_map(MigrationPlan::to_run).collect();
    if pending.is_empty() {
        return String::new();
    }
    let touched: Vec<&DatabaseSpec> = plans
        .iter()
        .filter(|plan| !plan.selected.is_empty())
        .filter_map(|plan| environment.databases.get(&plan.database))
        .collect();
    let mut text = format!("{}\n", style.bold("safeguards"));
    let mut line = |name: &str, words: &str| {
        let _ = writeln!(text, "  {name:<10}  {}", printable(words));
    };
    let to = and_list(touched.iter().map(|database| database.name.as_str()));
    let count = plural(pending.len(), "migration");
    line(
        "pending",
        &format!("{count} to {to} in {}", environment.name),
    );
    line("risk", &Risk::of(plans).to_string());
    line("backup", &backup(&touched));
    line("health", health(environment));
    for database in &touched {
        line("limits", &limits(database));
    }
    line("undo", &undo(&pending));
    text
}

fn backup(touched: &[&DatabaseSpec]) -> String {
    let (taken, none): (Vec<&DatabaseSpec>, Vec<&DatabaseSpec>) = touched
        .iter()
        .partition(|database| database.backup_before_migrate);
    let names = |databases: &[&DatabaseSpec]| {
        and_list(databases.iter().map(|database| database.name.as_str()))
    };
    match (taken.as_slice(), none.as_slice()) {
        ([], none) => format!("none is taken of {}", names(none)),
        (taken, []) => format!("taken of {} before the first change", names(taken)),
        (taken, none) => format!(
            "taken of {} before the first change; none of {}",
            names(taken),
            names(none)
        ),
    }
}

fn health(environment: &Environment) -> &'static str {
    match (environment.health_before, environment.health_after) {
        (true, true) => "looked at before the first change and after the last",
        (true, false) => "looked at before the first change, not after the last",
        (false, true) => "looked at after the last change, not before the first",
        (false, false) => "not looked at",
    }
}

fn limits(database: &DatabaseSpec) -> String {
    let spec = &database.migrations;
    format!(
        "{}: {} for another migrator to end, {} for a lock (tried {}), {} a statement, {} in all",
        database.name,
        duration(spec.lock_wait),
        duration(spec.lock_timeout),
        plural(spec.lock_retries as usize + 1, "time"),
        duration(spec.statement_timeout),
        duration(spec.timeout)
    )
}

fn undo(pending: &[&Migration]) -> String {
    let apart: Vec<&str> = pending
        .iter()
        .filter(|migration| !migration.transactional)
        .map(|migration| migration.id.as_str())
        .collect();
    let failing = match apart.len() {
        0 => "one that fails undoes itself".to_owned(),
        count if count == pending.len() => {
            "one that fails leaves the statements before the failing one, and is taken up there"
                .to_owned()
        }
        _ => format!(
            "one that fails undoes itself, except {}, which leaves the statements before the failing one",
            and_list(&apart)
        ),
    };
    format!("{failing}; one that was applied is never taken back, by a rollback neither")
}
