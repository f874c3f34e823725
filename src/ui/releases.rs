//! `releases list` and `releases show`: the stored history, its phases in the
//! look of a live run.

use std::time::Duration;

use chrono::{DateTime, Utc};
use serde_json::{Value, json};

use crate::model::compat::Compat;
use crate::model::history::History;
use crate::model::names::EnvironmentName;
use crate::model::phase::{Phase, Status};
use crate::model::release::{Outcome, PhaseRecord, Release};

use super::line::{Began, Lines, PhaseLine};
use super::style::Style;
use super::table::Table;
use super::words::{duration, printable, time};

/// The table: one environment's, newest first, or all, environment by
/// environment.
#[must_use]
pub fn list(history: &History, environment: Option<&EnvironmentName>, style: Style) -> String {
    let releases = chosen(history, environment);
    if releases.is_empty() {
        return match environment {
            Some(environment) => format!("no releases of {environment} yet\n"),
            None => "no releases yet\n".to_owned(),
        };
    }
    let mut table = Table::new([
        "RELEASE",
        "ENVIRONMENT",
        "KIND",
        "VERSION",
        "TIME (UTC)",
        "OUTCOME",
        "IMAGE",
        "NOTE",
    ]);
    for release in releases {
        let shown = match environment {
            Some(_) => "",
            None => release.environment.as_str(),
        };
        table.row([
            release.id.as_str(),
            shown,
            release.label(),
            &version(release),
            &time(release.timestamp),
            &outcome(release),
            release
                .image
                .as_ref()
                .map_or("", |image| image.digest.short()),
            &notes(history, release).join(", "),
        ]);
    }
    table.render(style, "")
}

/// The same for programs.
#[must_use]
pub fn list_document(history: &History, environment: Option<&EnvironmentName>) -> Value {
    let releases: Vec<Value> = chosen(history, environment)
        .into_iter()
        .map(|release| {
            json!({
                "id": release.id,
                "environment": release.environment,
                "kind": release.kind,
                "version": release.version,
                "dirty": release.dirty,
                "timestamp": release.timestamp,
                "actor": release.actor,
                "outcome": release.outcome,
                "image": release.image.as_ref().map(|image| image.digest.as_str()),
                "live": is_live(history, release),
                "good": release.good(),
                "bad": release.bad,
                "rollback_safe": release.rollback_safe,
            })
        })
        .collect();
    json!({ "releases": releases })
}

/// One release: what it is, its phases, migrations and hosts.
#[must_use]
pub fn show(history: &History, release: &Release, style: Style) -> String {
    let mut text = fields(history, release, style);
    text.push('\n');
    text += &timeline(release, style);
    let mut migrations =
        Table::new(["DATABASE", "MIGRATION", "OUTCOME", "COMPAT", "TOOK"]).right("TOOK");
    for result in &release.migrations {
        migrations.row([
            result.database.to_string(),
            result.id.clone(),
            result.outcome.to_string(),
            result.compat.as_ref().map_or("", Compat::label).to_owned(),
            duration(Duration::from_millis(result.duration_ms)),
        ]);
    }
    let mut hosts = Table::new(["HOST", "SLOT", "CONTAINERS"]);
    for (address, host) in &release.hosts {
        let containers = host.containers.join(" ");
        hosts.row([address.as_str(), &host.slot, &containers]);
    }
    for table in [migrations, hosts] {
        if !table.is_empty() {
            text.push('\n');
            text += &table.render(style, "");
        }
    }
    text
}

/// The same for programs: the record, and what follows from the history.
#[must_use]
pub fn show_document(history: &History, release: &Release) -> Value {
    let mut document = json!(release);
    document["live"] = is_live(history, release).into();
    document["good"] = release.good().into();
    document
}

/// The six phases as a live run shows them, with the moment each began.
fn timeline(release: &Release, style: Style) -> String {
    let lines = Lines::new(style);
    let mut text = String::new();
    for phase in Phase::ALL {
        let record = release.phase(phase);
        text += &lines.phase(&PhaseLine {
            phase,
            status: record.status,
            took: took(&record),
            began: record
                .started_at
                .and_then(|at| between(release.timestamp, at))
                .map_or(Began::Never, Began::After),
            reason: record.reason.as_deref(),
        });
        text.push('\n');
    }
    text
}

fn fields(history: &History, release: &Release, style: Style) -> String {
    let id = |id: &Option<_>| id.as_ref().map(ToString::to_string).unwrap_or_default();
    let mut outcome = vec![outcome(release)];
    outcome.extend(notes(history, release).into_iter().map(str::to_owned));
    let schema: Vec<String> = release
        .schema
        .iter()
        .map(|(database, schema)| {
            let version = |version: Option<i64>| version.map_or("none".into(), |v| v.to_string());
            format!(
                "{database} {} to {}",
                version(schema.before),
                version(schema.after)
            )
        })
        .collect();
    let rollback = match release.rollback_safe {
        None => String::new(),
        Some(true) => "safe".to_owned(),
        Some(false) => format!("not safe {}", release.rollback_reasons.join("; ")),
    };
    let forced = release.forced.as_ref().map_or_else(String::new, |forced| {
        format!(
            "by {} with {}, against {}",
            forced.by,
            forced.approval,
            forced.overruled.join("; ")
        )
    });
    let fields = [
        ("release", release.id.to_string()),
        ("environment", release.environment.to_string()),
        ("kind", release.label().to_owned()),
        ("version", version(release)),
        ("commit", release.commit_sha.clone().unwrap_or_default()),
        ("time", format!("{} UTC", time(release.timestamp))),
        ("by", release.actor.clone()),
        ("outcome", outcome.join(", ")),
        (
            "image",
            release
                .image
                .as_ref()
                .map(ToString::to_string)
                .unwrap_or_default(),
        ),
        ("previous", id(&release.previous_id)),
        ("target", id(&release.target_id)),
        ("schema", schema.join(", ")),
        ("rollback", rollback),
        ("forced", forced),
    ];
    let mut text = String::new();
    for (name, value) in fields {
        if !value.is_empty() {
            let name = style.bold(&format!("{name:>12}"));
            text += &format!("{name}  {}\n", printable(&value));
        }
    }
    text
}

fn chosen<'a>(history: &'a History, environment: Option<&EnvironmentName>) -> Vec<&'a Release> {
    let mut releases: Vec<&Release> = history
        .all()
        .iter()
        .rev()
        .filter(|release| environment.is_none_or(|wanted| release.environment == *wanted))
        .collect();
    releases.sort_by(|a, b| a.environment.cmp(&b.environment));
    releases
}

pub(super) fn version(release: &Release) -> String {
    // A version that was made of the commit says it itself.
    if release.dirty && !release.version.ends_with("-dirty") {
        format!("{} (dirty)", release.version)
    } else {
        release.version.clone()
    }
}

/// In which phase it ended, where that is not the last.
fn outcome(release: &Release) -> String {
    let label = release.outcome.label();
    let at = |wanted: Status| {
        Phase::ALL
            .into_iter()
            .find(|phase| release.phase(*phase).status == wanted)
    };
    let phase = match release.outcome {
        Outcome::Open => at(Status::Running).or_else(|| release.first_unfinished()),
        Outcome::Failed | Outcome::Aborted => at(Status::Failed),
        Outcome::Done => None,
    };
    match phase {
        Some(phase) => format!("{label} in {}", phase.key()),
        None => label.to_owned(),
    }
}

fn notes(history: &History, release: &Release) -> Vec<&'static str> {
    [
        (is_live(history, release), "live"),
        (release.bad, "marked bad"),
        (release.undone, "taken back"),
        (release.forced.is_some(), "schema forced"),
        (release.rollback_safe == Some(false), "no safe way back"),
    ]
    .into_iter()
    .filter_map(|(holds, note)| holds.then_some(note))
    .collect()
}

fn is_live(history: &History, release: &Release) -> bool {
    history
        .live(&release.environment)
        .is_some_and(|live| (&live.id, live.uuid) == (&release.id, release.uuid))
}

fn took(record: &PhaseRecord) -> Option<Duration> {
    between(record.started_at?, record.finished_at?)
}

/// `None` where a clock went backwards.
fn between(from: DateTime<Utc>, to: DateTime<Utc>) -> Option<Duration> {
    (to - from).to_std().ok()
}

#[cfg(test)]
mod tests {
    use super::super::history_samples::history;
    use super::*;

    fn name(text: &str) -> EnvironmentName {
        text.parse().expect("a name")
    }

    #[test]
    fn a_list_of_one_environment_has_its_newest_first() {
        insta::assert_snapshot!(list(&history(), Some(&name("prod")), Style::Plain));
    }

    #[test]
    fn a_list_of_all_goes_environment_by_environment() {
        insta::assert_snapshot!(list(&history(), None, Style::Plain));
    }

    #[test]
    fn an_empty_list_says_so() {
        let none = History::default();
        assert_eq!(list(&none, None, Style::Plain), "no releases yet\n");
        assert_eq!(
            list(&none, Some(&name("prod")), Style::Plain),
            "no releases of prod yet\n"
        );
        assert_eq!(list_document(&none, None), json!({"releases": []}));
    }

    #[test]
    fn releases_are_shown_with_their_phases_in_the_look_of_a_run() {
        let history = history();
        let shown: Vec<String> = history
            .all()
            .iter()
            .map(|release| show(&history, release, Style::Plain))
            .collect();
        insta::assert_snapshot!(shown.join("\n----\n\n"));
    }

    #[test]
    fn programs_are_told_which_release_is_live() {
        let history = history();
        let live: Vec<Value> = history
            .all()
            .iter()
            .map(|release| show_document(&history, release)["live"].clone())
            .collect();
        let listed = list_document(&history, Some(&name("prod")));
        assert_eq!(live, [true, false, false, true]);
        assert_eq!(listed["releases"][0]["live"], false);
        assert_eq!(listed["releases"][2]["live"], true);
    }
}
