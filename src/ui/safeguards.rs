//! What guards a change of databases, shown to whoever has to agree to it.

use std::fmt::Write;
use std::time::Duration;

use crate::model::migration::{Migration, MigrationPlan, Risk};
use crate::model::project::{DatabaseSpec, Environment};

use super::style::Style;
use super::words::{and_list, plural, printable};

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
        "{}: waits {} for another migrator and {} for a lock (tried {}); cancels a statement after {}, the whole after {}",
        database.name,
        period(spec.lock_wait),
        period(spec.lock_timeout),
        plural(spec.lock_retries as usize + 1, "time"),
        period(spec.statement_timeout),
        period(spec.timeout)
    )
}

/// As the configuration writes it.
fn period(time: Duration) -> String {
    let seconds = time.as_secs();
    match (seconds % 3600, seconds % 60, time.subsec_millis()) {
        (_, _, 1..) => format!("{}ms", time.as_millis()),
        (0, _, 0) if seconds > 0 => format!("{}h", seconds / 3600),
        (_, 0, 0) if seconds > 60 => format!("{}m", seconds / 60),
        _ => format!("{seconds}s"),
    }
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn limits_read_as_the_file_has_them() {
        let read = |ms| period(Duration::from_millis(ms));
        assert_eq!(read(250), "250ms");
        assert_eq!(
            (read(0), read(5_000), read(60_000)),
            ("0s".into(), "5s".into(), "60s".into())
        );
        assert_eq!(
            (read(900_000), read(3_600_000)),
            ("15m".into(), "1h".into())
        );
        assert_eq!(read(90_000), "90s");
    }
}
