//! Plans as text: what a deploy or a rollback would do, phase by phase.

mod rollout;

use std::fmt::Write;
use std::path::Path;

use crate::model::names::RoleName;
use crate::model::phase::Phase;
use crate::plan::{
    DeployPlan, MigrateStep, Objection, PlannedMigration, PushStep, RollbackPlan, Step,
};

use super::forecast::Shown;
use super::style::Style;
use super::words::{and_list, plural, printable};

/// The whole of a deploy's plan.
#[must_use]
pub fn deploy(plan: &DeployPlan, style: Style) -> String {
    let mut text = format!(
        "{}\n",
        style.bold(&format!(
            "deploy {} of {} to {}",
            plan.version, plan.project, plan.environment
        ))
    );
    let _ = writeln!(
        text,
        "  live now    {}",
        plan.previous_id
            .as_ref()
            .map_or("nothing", |id| id.as_str())
    );
    phase(&mut text, style, Phase::Build, &build(plan));
    phase(&mut text, style, Phase::Push, &push(plan));
    phase(
        &mut text,
        style,
        Phase::MigratePre,
        &migrations(&plan.migrate_pre),
    );
    phase(
        &mut text,
        style,
        Phase::Rollout,
        &rollout::lines(&plan.rollout),
    );
    phase(
        &mut text,
        style,
        Phase::MigratePost,
        &migrations(&plan.migrate_post),
    );
    phase(
        &mut text,
        style,
        Phase::Finalize,
        &rollout::afterwards(&plan.rollout),
    );
    if !plan.left_manual.is_empty() {
        phase_named(
            &mut text,
            style,
            "left for `stagecraft migrate run`",
            &plan.left_manual.iter().map(one).collect::<Vec<_>>(),
        );
    }
    text += &breaking(&plan.breaking, style);
    for plan in &plan.migrations {
        text += &super::forecast::text(plan, Shown::Standing, style);
    }
    for refusal in &plan.refusals {
        let _ = writeln!(text, "  {}     {refusal}", style.bad("refused"));
    }
    let _ = write!(text, "  plan id     {}", plan.id);
    text
}

/// The whole of a rollback's plan.
#[must_use]
pub fn rollback(plan: &RollbackPlan, style: Style) -> String {
    let verb = match plan.restarts() {
        true => "restart",
        false => "roll back",
    };
    let heading = format!("{verb} {} in {}", plan.project, plan.environment);
    let mut text = format!("{}\n", style.bold(&heading));
    if plan.restarts() {
        let _ = writeln!(text, "  live now    {} ({})", plan.version, plan.target);
        if !plan.only.is_empty() {
            let _ = writeln!(
                text,
                "  roles       {}",
                and_list(plan.only.iter().map(RoleName::as_str))
            );
        }
        let _ = writeln!(text, "  image       {}", plan.image.digest);
    } else {
        let _ = writeln!(text, "  from        {} ({})", plan.from_version, plan.from);
        let _ = writeln!(text, "  to          {} ({})", plan.version, plan.target);
        let _ = writeln!(text, "  image       {}", plan.image.digest);
        let _ = writeln!(text, "  databases   not rolled back, and not migrated");
    }
    let lines = rollout::lines(&plan.rollout);
    phase(&mut text, style, Phase::Rollout, &lines);
    let lines = rollout::afterwards(&plan.rollout);
    phase(&mut text, style, Phase::Finalize, &lines);
    if !plan.overruled.is_empty() {
        let lines: Vec<String> = plan.overruled.iter().map(objection).collect();
        phase_named(&mut text, style, "overruled by --force-schema", &lines);
    }
    let _ = write!(text, "  plan id     {}", plan.id);
    text
}

/// What pending migrations do to the code that runs now; empty for none.
#[must_use]
pub fn breaking(objections: &[Objection], style: Style) -> String {
    let mut text = String::new();
    if !objections.is_empty() {
        let lines: Vec<String> = objections.iter().map(objection).collect();
        phase_named(&mut text, style, "breaks the code that runs now", &lines);
    }
    text
}

fn objection(objection: &Objection) -> String {
    printable(&objection.to_string())
}

fn phase(text: &mut String, style: Style, phase: Phase, lines: &[String]) {
    phase_named(text, style, phase.label(), lines);
}

fn phase_named(text: &mut String, style: Style, name: &str, lines: &[String]) {
    let _ = writeln!(text, "{}", style.bold(name));
    for line in lines {
        let _ = writeln!(text, "  {line}");
    }
}

fn build(plan: &DeployPlan) -> Vec<String> {
    match &plan.build {
        Step::Skip(reason) => vec![format!("skipped: {reason}")],
        Step::Do(build) => {
            let dockerfile = Path::new(&build.dockerfile);
            let dockerfile = dockerfile
                .strip_prefix(&build.context)
                .unwrap_or(dockerfile);
            let mut lines = vec![format!(
                "build {} with {}",
                build.context,
                dockerfile.display()
            )];
            if let Some(target) = &build.target {
                lines.push(format!("target {target}"));
            }
            if let Some(platform) = &build.platform {
                lines.push(format!("for {platform}"));
            }
            lines
        }
    }
}

fn push(plan: &DeployPlan) -> Vec<String> {
    vec![match &plan.push {
        Step::Skip(reason) => format!("skipped: {reason}"),
        Step::Do(PushStep::Registry { repository, tag }) => format!("push to {repository}:{tag}"),
        Step::Do(PushStep::Direct { hosts }) => format!(
            "carry the image to {}, only the layers they lack",
            plural(*hosts, "host")
        ),
        Step::Do(PushStep::Pinned(image)) => format!("use {image}"),
    }]
}

fn migrations(step: &Step<MigrateStep>) -> Vec<String> {
    match step {
        Step::Skip(reason) => vec![format!("skipped: {reason}")],
        Step::Do(step) => {
            let notes = step.notes.iter().map(|note| format!("note: {note}"));
            let mut lines: Vec<String> = step.migrations.iter().map(one).chain(notes).collect();
            lines.extend(step.unread.iter().map(|(database, reason)| {
                format!("{database}: {reason}; all its files count as pending")
            }));
            lines.extend(step.files.iter().filter_map(|(database, files)| {
                let words = super::migrations::about_files(*files)?;
                Some(format!("{database}: {words}"))
            }));
            lines
        }
    }
}

fn one(migration: &PlannedMigration) -> String {
    let how = if migration.transactional {
        "one transaction"
    } else {
        "statement by statement"
    };
    let count = plural(
        usize::try_from(migration.statements).unwrap_or(usize::MAX),
        "statement",
    );
    let note = migration
        .note
        .as_ref()
        .map(|note| format!("; {note}"))
        .unwrap_or_default();
    format!(
        "{}: {} ({count}, {how}{note})",
        migration.database, migration.id
    )
}
