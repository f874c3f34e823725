//! What pending migrations would do to a database: a finding in few words, the
//! safer way below it, how long it may take; and the SQL, where it is asked for.

use std::fmt::Write;
use std::time::Duration;

use crate::model::migration::{Migration, MigrationPlan};
use crate::model::risk::{Basis, Estimate, Grade, Lock, Remark, Work};

use super::style::Style;
use super::words::{self, printable};

/// Which findings are shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Shown {
    /// Those that count.
    Standing,
    /// The harmless and the ignored ones too.
    All,
}

/// The findings of one database; empty for none.
#[must_use]
pub fn text(plan: &MigrationPlan, shown: Shown, style: Style) -> String {
    let mut text = String::new();
    for migration in plan.to_run() {
        for remark in &migration.forecast.remarks {
            if shown == Shown::All || remark.stands() {
                text += &finding(migration, remark, style);
            }
        }
    }
    for open in &plan.outlook.open {
        let _ = writeln!(
            text,
            "  {} {}",
            style.warning("open:"),
            printable(&format!("{open}; what locks its tables waits for it"))
        );
    }
    if let Some(why) = &plan.outlook.unsized_because {
        let why = format!("the sizes of the tables are not known: {why}");
        let _ = writeln!(text, "  {}", printable(&why));
    }
    let total = plan.outlook.estimate.as_ref();
    if let Some(estimate) = total.filter(|total| worth_saying(total, shown)) {
        let _ = writeln!(text, "  takes {}", sum(estimate));
    }
    text
}

fn finding(migration: &Migration, remark: &Remark, style: Style) -> String {
    let grade = match (remark.ignored, remark.grade) {
        (true, _) => style.dim("ignored"),
        (false, Grade::Harmless) => style.dim("harmless"),
        (false, Grade::Caution) => style.warning("caution"),
        (false, Grade::Blocking) => style.bad("blocking"),
    };
    let place = format!("{}:{}", remark.file, remark.line);
    let mut text = format!(
        "  {}  {}  {grade}\n",
        style.bold(&printable(&place)),
        printable(&remark.rule)
    );
    let mut parts = vec![remark.why.clone()];
    parts.extend(holds(migration, remark));
    let because = remark.because.as_ref();
    let line = match because {
        Some(because) => format!("{} ({because})", parts.join(": ")),
        None => parts.join(": "),
    };
    let _ = writeln!(text, "      {}", printable(&line));
    if let Some(help) = remark.help.as_ref().filter(|_| remark.stands()) {
        let _ = writeln!(text, "      {} {}", style.hint("safer:"), printable(help));
    }
    text
}

/// What it locks, whom that blocks, and for how long.
fn holds(migration: &Migration, remark: &Remark) -> Option<String> {
    let lock = remark.lock?;
    let long = match (remark.work, &migration.forecast.estimate) {
        (Work::None, _) => ", for a moment once it has it".to_owned(),
        (_, Some(estimate)) => format!(", for about {}", range(estimate)),
        (_, None) => ", for as long as it takes".to_owned(),
    };
    let lock = match lock {
        Lock::Metadata | Lock::File => lock.label().to_owned(),
        Lock::AccessShare
        | Lock::RowShare
        | Lock::RowExclusive
        | Lock::ShareUpdateExclusive
        | Lock::Share
        | Lock::ShareRowExclusive
        | Lock::Exclusive
        | Lock::AccessExclusive => format!("{} lock", lock.label()),
    };
    Some(format!("{lock}, {}{long}", remark.blocks.label()))
}

/// A band around nothing is no news.
pub(super) fn worth_saying(estimate: &Estimate, shown: Shown) -> bool {
    let guessed = matches!(estimate.basis, Basis::Size { .. });
    shown == Shown::All || !guessed || estimate.high_ms >= 1_000
}

/// `about 0.5 s to 5 s`, with where that comes from when it was measured.
pub(super) fn about(estimate: &Estimate) -> String {
    let range = range(estimate);
    match &estimate.basis {
        Basis::Size { .. } => format!("about {range}"),
        Basis::Rehearsal | Basis::History { .. } => {
            format!("about {range}, {}", estimate.basis.words())
        }
    }
}

/// The same, of everything together.
fn sum(estimate: &Estimate) -> String {
    let range = range(estimate);
    match &estimate.basis {
        Basis::Size { .. } => format!("about {range} in all"),
        Basis::Rehearsal | Basis::History { .. } => {
            format!("about {range} in all, {}", estimate.basis.words())
        }
    }
}

fn range(estimate: &Estimate) -> String {
    let words = |ms| words::duration(Duration::from_millis(ms));
    let (low, high) = (words(estimate.low_ms), words(estimate.high_ms));
    match low == high {
        true => low,
        false => format!("{low} to {high}"),
    }
}

/// Every statement of what would run, and how it is sent.
#[must_use]
pub fn sql(plan: &MigrationPlan, style: Style) -> String {
    let mut text = String::new();
    for migration in plan.to_run() {
        let how = match migration.transactional {
            true => "in one transaction",
            false => "each by itself, outside a transaction",
        };
        let _ = writeln!(
            text,
            "{}  {}",
            style.bold(&printable(&migration.id)),
            style.dim(how)
        );
        for statement in &migration.forecast.sql {
            for (index, line) in statement.sql.lines().enumerate() {
                let number = match index {
                    0 => statement.line.to_string(),
                    _ => String::new(),
                };
                let _ = writeln!(text, "{number:>6}  {}", printable(line));
            }
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::migration::{Files, MigrationState};
    use crate::model::project::MigrationStrategy;
    use crate::model::risk::{Blocks, Forecast, Outlook, PlannedStatement};

    fn remark(rule: &str, grade: Grade, work: Work) -> Remark {
        Remark {
            rule: rule.to_owned(),
            file: "db/0042_notes.sql".to_owned(),
            line: 3,
            column: 1,
            statement: "…".to_owned(),
            lock: Some(Lock::AccessExclusive),
            work,
            blocks: Blocks::ReadsAndWrites,
            table: Some("notes".to_owned()),
            why: "does something to `notes`".to_owned(),
            help: Some("do it in two files".to_owned()),
            grade,
            because: Some("about 1,000,000 rows, 42 MB".to_owned()),
            ignored: false,
        }
    }

    fn plan() -> MigrationPlan {
        let estimate = Some(Estimate {
            low_ms: 420,
            high_ms: 4_200,
            basis: Basis::Size {
                words: "from the size of `notes`".to_owned(),
            },
        });
        let mut ignored = remark("ban-drop-column", Grade::Blocking, Work::None);
        ignored.ignored = true;
        let migration = Migration {
            id: "0042_notes.sql".to_owned(),
            state: MigrationState::Pending,
            strategy: MigrationStrategy::PreDeploy,
            checksum: "aa".to_owned(),
            statements: 2,
            transactional: true,
            note: None,
            compat: None,
            forecast: Forecast {
                remarks: vec![
                    remark("changing-column-type", Grade::Blocking, Work::Rewrites),
                    remark("adding-a-column", Grade::Caution, Work::None),
                    remark("creating-a-trigger", Grade::Harmless, Work::None),
                    ignored,
                ],
                estimate: estimate.clone(),
                risk: None,
                sql: vec![PlannedStatement {
                    line: 3,
                    transactional: true,
                    sql: "ALTER TABLE notes\n  ADD a int".to_owned(),
                }],
            },
        };
        MigrationPlan {
            database: "main".parse().expect("a name"),
            engine: "raw".to_owned(),
            selected: vec![migration.id.clone()],
            migrations: vec![migration],
            refusals: vec![],
            notes: vec![],
            unread: None,
            files: Files::Final,
            schema_version: None,
            route: "directly".to_owned(),
            outlook: Outlook {
                estimate,
                server: Some("PostgreSQL 15.18".to_owned()),
                open: vec![
                    "psql of ann, in a transaction since 2026-01-01 10:00:00 UTC".to_owned(),
                ],
                unsized_because: None,
            },
        }
    }

    #[test]
    fn a_finding_says_where_what_whom_and_how_long() {
        assert_eq!(
            text(&plan(), Shown::Standing, Style::Plain),
            "  db/0042_notes.sql:3  changing-column-type  blocking
      does something to `notes`: ACCESS EXCLUSIVE lock, blocks reads and writes, for about 420 ms to 4.2 s (about 1,000,000 rows, 42 MB)
      safer: do it in two files
  db/0042_notes.sql:3  adding-a-column  caution
      does something to `notes`: ACCESS EXCLUSIVE lock, blocks reads and writes, for a moment once it has it (about 1,000,000 rows, 42 MB)
      safer: do it in two files
  open: psql of ann, in a transaction since 2026-01-01 10:00:00 UTC; what locks its tables waits for it
  takes about 420 ms to 4.2 s in all
"
        );
    }

    #[test]
    fn the_harmless_and_the_ignored_are_there_for_who_asks() {
        let all = text(&plan(), Shown::All, Style::Plain);
        assert!(all.contains("creating-a-trigger  harmless"), "{all}");
        assert!(all.contains("ban-drop-column  ignored"), "{all}");
    }

    /// D27
    #[test]
    fn the_sql_of_a_file_stands_below_how_it_is_sent() {
        assert_eq!(
            sql(&plan(), Style::Plain),
            "0042_notes.sql  in one transaction\n     3  ALTER TABLE notes\n          ADD a int\n"
        );
    }
}
