//! `migrate plan` and `migrate status`: each database, how it is reached, and
//! where each of its migrations stands.

use std::collections::HashSet;

use crate::model::migration::{Files, Migration, MigrationPlan, MigrationState};
use crate::model::project::MigrationStrategy;
use crate::model::risk::{Estimate, Level};

use super::forecast::{self, Shown};
use super::style::Style;
use super::table::Table;
use super::words::{self, plural, printable};

/// Which migrations are listed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Listed {
    /// `migrate plan`: what is not settled; the applied are counted.
    Unsettled,
    /// `migrate status`: every one.
    All,
}

/// The databases one below the other.
#[must_use]
pub fn text(plans: &[MigrationPlan], listed: Listed, shown: Shown, style: Style) -> String {
    let texts: Vec<String> = plans
        .iter()
        .map(|plan| one(plan, listed, shown, style) + &forecast::text(plan, shown, style))
        .collect();
    texts.join("\n")
}

fn one(plan: &MigrationPlan, listed: Listed, shown: Shown, style: Style) -> String {
    let mut about = vec![plan.engine.clone(), plan.route.clone()];
    about.extend(plan.schema_version.map(|v| format!("schema version {v}")));
    about.retain(|part| !part.is_empty());
    let name = style.bold(plan.database.as_str());
    let mut text = format!("{name}  {}\n", printable(&about.join(", ")));
    if let Some(unread) = &plan.unread {
        text += &format!("  {}\n", printable(unread));
    }
    if let Some(words) = about_files(plan.files) {
        text += &format!("  {words}\n");
    }
    text += &table(plan, listed, shown).render(style, "  ");
    text += &format!("  {}\n", summary(plan));
    for refusal in &plan.refusals {
        text += &format!("  {} {}\n", style.bad("refused:"), printable(refusal));
    }
    for note in &plan.notes {
        text += &format!("  note: {}\n", printable(note));
    }
    text
}

/// What is not certain of the files of a plan.
pub(super) fn about_files(files: Files) -> Option<&'static str> {
    match files {
        Files::Final => None,
        Files::Provisional => Some(
            "these are the files of the checkout: they are compared with the image's before anything runs",
        ),
        Files::Awaited => Some(
            "the migrations are in an image that is not on the primary host yet: what is pending is known when it is there",
        ),
    }
}

fn table(plan: &MigrationPlan, listed: Listed, shown: Shown) -> Table {
    let mut table = Table::new([
        "MIGRATION",
        "STATE",
        "PHASE",
        "STATEMENTS",
        "RISK",
        "TAKES",
        "NOTE",
    ])
    .right("STATEMENTS");
    let selected: HashSet<&str> = plan.selected.iter().map(String::as_str).collect();
    for migration in &plan.migrations {
        let settled = matches!(migration.state, MigrationState::Applied { .. });
        if listed == Listed::Unsettled && settled {
            continue;
        }
        let statements = match migration.statements {
            0 => String::new(),
            count => count.to_string(),
        };
        table.row([
            migration.id.as_str(),
            migration.state.label(),
            phase(migration.strategy),
            &statements,
            risk(migration),
            &takes(migration, shown),
            &notes(&selected, migration).join("; "),
        ]);
    }
    table
}

/// Nothing where nothing is at stake.
fn risk(migration: &Migration) -> &'static str {
    match migration.forecast.risk.as_ref().map(|risk| risk.level) {
        None | Some(Level::Low) => "",
        Some(Level::Medium) => "medium",
        Some(Level::High) => "high",
        Some(Level::Critical) => "critical",
    }
}

fn takes(migration: &Migration, shown: Shown) -> String {
    let estimate = migration.forecast.estimate.as_ref();
    let worth = |estimate: &&Estimate| forecast::worth_saying(estimate, shown);
    estimate
        .filter(worth)
        .map(forecast::about)
        .unwrap_or_default()
}

fn phase(strategy: MigrationStrategy) -> &'static str {
    match strategy {
        MigrationStrategy::PreDeploy => "migrate_pre",
        MigrationStrategy::PostDeploy => "migrate_post",
        MigrationStrategy::Manual => "manual",
    }
}

fn notes(selected: &HashSet<&str>, migration: &Migration) -> Vec<String> {
    let mut notes = vec![];
    match &migration.state {
        MigrationState::Pending => {}
        MigrationState::Applied { at, .. } => notes.extend(at.as_deref().map(moment)),
        MigrationState::Edited { applied_checksum } => notes.push(format!(
            "applied as {}, the file is {} now",
            short(applied_checksum),
            short(&migration.checksum)
        )),
        MigrationState::Missing => {
            notes.push("in the database, and there is no such file".to_owned());
        }
        MigrationState::OutOfOrder { after } => notes.push(format!("{after} is applied already")),
        MigrationState::Failed { done, total, error } => {
            let so_far = format!("{done} of {total} statements done");
            notes.push(match error {
                Some(error) => format!("{so_far}: {error}"),
                None => so_far,
            });
        }
    }
    if migration.state.will_run() {
        if !migration.transactional {
            notes.push("no transaction".to_owned());
        }
        if !selected.contains(migration.id.as_str()) {
            notes.push("not in this run".to_owned());
        }
    }
    notes.extend(migration.note.clone());
    notes
}

/// As everywhere else, where the database gave a time that can be read.
fn moment(at: &str) -> String {
    match chrono::DateTime::parse_from_rfc3339(at) {
        Ok(time) => format!("{} UTC", words::time(time.to_utc())),
        Err(_) => at.to_owned(),
    }
}

fn short(checksum: &str) -> &str {
    match checksum {
        "" => "unknown",
        known => known.get(..12).unwrap_or(known),
    }
}

fn summary(plan: &MigrationPlan) -> String {
    let applied = plan
        .migrations
        .iter()
        .filter(|migration| matches!(migration.state, MigrationState::Applied { .. }))
        .count();
    if plan.files == Files::Awaited {
        return "what will run is not known yet".to_owned();
    }
    let to_run = match (plan.selected.len(), plan.refusals.is_empty()) {
        (_, false) => "nothing will run".to_owned(),
        (0, true) => "nothing to run".to_owned(),
        (count, true) => format!("{} to run", plural(count, "migration")),
    };
    match plan.unread {
        Some(_) => format!("{to_run} unless applied already"),
        None => format!("{to_run}, {applied} applied"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::risk::{Forecast, Outlook};

    fn migration(id: &str, state: MigrationState) -> Migration {
        Migration {
            id: id.to_owned(),
            state,
            strategy: MigrationStrategy::PreDeploy,
            checksum: "aaaaaaaaaaaaaaaaaaaa".to_owned(),
            statements: 2,
            transactional: true,
            note: None,
            compat: None,
            forecast: Forecast::default(),
        }
    }

    fn plans() -> Vec<MigrationPlan> {
        let mut concurrently = migration("0044_index.sql", MigrationState::Pending);
        concurrently.transactional = false;
        concurrently.strategy = MigrationStrategy::PostDeploy;
        concurrently.note = Some("`CREATE INDEX CONCURRENTLY`".to_owned());
        let main = MigrationPlan {
            database: "main".parse().expect("a name"),
            engine: "raw".to_owned(),
            migrations: vec![
                migration(
                    "0041_init.sql",
                    MigrationState::Applied {
                        at: Some("2026-01-14 10:15:02".to_owned()),
                        by: None,
                    },
                ),
                migration(
                    "0042_users.sql",
                    MigrationState::Edited {
                        applied_checksum: "bbbbbbbbbbbbbbbb".to_owned(),
                    },
                ),
                migration("0042_gone.sql", MigrationState::Missing),
                migration(
                    "0043_notes.sql",
                    MigrationState::Failed {
                        done: 1,
                        total: 2,
                        error: Some("relation \"notes\" already exists".to_owned()),
                    },
                ),
                concurrently,
                migration("0045_more.sql", MigrationState::Pending),
                migration(
                    "0040_late.sql",
                    MigrationState::OutOfOrder {
                        after: "0042_users.sql".to_owned(),
                    },
                ),
            ],
            selected: vec!["0043_notes.sql".into(), "0044_index.sql".into()],
            refusals: vec!["`0042_users.sql` was edited after it was applied".to_owned()],
            notes: vec![],
            unread: None,
            files: Files::Final,
            schema_version: Some(42),
            route: "through 10.0.0.4".to_owned(),
            outlook: Outlook::default(),
        };
        let unread = MigrationPlan {
            database: "stats".parse().expect("a name"),
            engine: "raw".to_owned(),
            migrations: vec![migration("1_init.sql", MigrationState::Pending)],
            selected: vec!["1_init.sql".to_owned()],
            refusals: vec![],
            notes: vec!["the schema was changed by hand".to_owned()],
            unread: Some("no release yet, database not read".to_owned()),
            files: Files::Final,
            schema_version: None,
            route: "in a container on 10.0.0.4".to_owned(),
            outlook: Outlook::default(),
        };
        vec![main, unread]
    }

    #[test]
    fn a_status_lists_every_state() {
        insta::assert_snapshot!(text(&plans(), Listed::All, Shown::Standing, Style::Plain));
    }

    #[test]
    fn a_plan_counts_what_is_applied_and_lists_the_rest() {
        insta::assert_snapshot!(text(
            &plans(),
            Listed::Unsettled,
            Shown::Standing,
            Style::Plain
        ));
    }

    #[test]
    fn a_database_that_is_level_is_two_lines() {
        let mut plan = plans().remove(0);
        plan.migrations.truncate(1);
        plan.selected.clear();
        plan.refusals.clear();
        assert_eq!(
            text(&[plan], Listed::Unsettled, Shown::Standing, Style::Plain),
            "main  raw, through 10.0.0.4, schema version 42\n  nothing to run, 1 applied\n"
        );
    }
}
