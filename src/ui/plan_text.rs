//! Plans as text: what a deploy or a rollback would do, phase by phase.

use std::fmt::Write;
use std::path::Path;

use crate::model::phase::Phase;
use crate::model::project::Strategy;
use crate::model::slot::Manner;
use crate::plan::{
    DeployPlan, MigrateStep, Objection, PlannedMigration, PushStep, RollbackPlan, RolloutOutline,
    Step,
};

use super::style::Style;
use super::words::{plural, printable};

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
    phase(&mut text, style, Phase::Rollout, &rollout(&plan.rollout));
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
        &["record the release, remove the old containers".to_owned()],
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
    for refusal in &plan.refusals {
        let _ = writeln!(text, "  {}     {refusal}", style.bad("refused"));
    }
    let _ = write!(text, "  plan id     {}", plan.id);
    text
}

/// The whole of a rollback's plan.
#[must_use]
pub fn rollback(plan: &RollbackPlan, style: Style) -> String {
    let mut text = format!(
        "{}\n",
        style.bold(&format!(
            "roll back {} in {}",
            plan.project, plan.environment
        ))
    );
    let _ = writeln!(text, "  from        {} ({})", plan.from_version, plan.from);
    let _ = writeln!(text, "  to          {} ({})", plan.version, plan.target);
    let _ = writeln!(text, "  image       {}", plan.image.digest);
    let _ = writeln!(text, "  databases   not rolled back, and not migrated");
    phase(&mut text, style, Phase::Rollout, &rollout(&plan.rollout));
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

fn rollout(outline: &RolloutOutline) -> Vec<String> {
    if outline.strategy == Strategy::Swarm {
        return services(outline);
    }
    let hosts: usize = outline.batches.iter().map(Vec::len).sum();
    let mut lines = vec![format!(
        "{}: {} in {}",
        outline.strategy.label(),
        plural(hosts, "host"),
        batches(outline.batches.len())
    )];
    for (index, batch) in outline.batches.iter().enumerate() {
        for host in batch {
            for slot in &host.slots {
                let ports: Vec<String> = slot
                    .ports
                    .iter()
                    .map(|port| format!(", port {} to {}", port.host, port.container))
                    .collect();
                let old = if slot.replaces.is_empty() {
                    ", nothing to replace".to_owned()
                } else {
                    format!(", in place of {}", slot.replaces.join(", "))
                };
                lines.push(format!(
                    "{}. {}: {}-{}{}{old}",
                    index + 1,
                    host.host,
                    slot.role,
                    slot.replica,
                    ports.concat()
                ));
            }
            for left in &host.leftovers {
                lines.push(format!("{}. {}: remove {left}", index + 1, host.host));
            }
        }
    }
    lines.extend(outline.notes.iter().map(|note| format!("note: {note}")));
    lines
}

fn services(outline: &RolloutOutline) -> Vec<String> {
    let mut lines = vec![format!(
        "{}: {}, placed by the engine",
        outline.strategy.label(),
        plural(outline.services.len(), "service")
    )];
    for service in &outline.services {
        let tasks = usize::try_from(service.tasks).unwrap_or(usize::MAX);
        let each = match service.per_node {
            Some(1) => ", one on each node".to_owned(),
            Some(most) => format!(", at most {most} on each node"),
            None => String::new(),
        };
        let ports: Vec<String> = service
            .ports
            .iter()
            .map(|port| format!(", port {} to {}", port.host, port.container))
            .collect();
        let old = match (service.replaces.is_empty(), service.manner) {
            (true, _) => ", nothing to replace".to_owned(),
            (false, Manner::Beside) => format!(", beside {}", service.replaces.join(", ")),
            (false, Manner::InPlace) => ", an update of what runs".to_owned(),
        };
        lines.push(format!(
            "{}-{}: {}{each}{}{old}",
            service.role,
            service.replica,
            plural(tasks, "task"),
            ports.concat()
        ));
    }
    lines.extend(outline.gone.iter().map(|name| format!("remove {name}")));
    lines.extend(outline.notes.iter().map(|note| format!("note: {note}")));
    lines
}

fn batches(count: usize) -> String {
    if count == 1 {
        "1 batch".to_owned()
    } else {
        format!("{count} batches")
    }
}
