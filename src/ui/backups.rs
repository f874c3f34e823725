//! Backups as people read them.

use chrono::{DateTime, Utc};

use crate::model::backup::BackupRecord;

use super::style::Style;
use super::table::Table;
use super::words::{bytes, plural, relative, time};

/// Newest first is the caller's order.
#[must_use]
pub fn list(backups: &[BackupRecord], now: DateTime<Utc>, style: Style) -> String {
    let mut table = Table::new([
        "BACKUP",
        "DATABASE",
        "TAKEN",
        "DATABASE SIZE",
        "FILE SIZE",
        "SCHEMA",
        "CHECKED",
        "REASON",
        "WHERE",
    ])
    .right("DATABASE SIZE")
    .right("FILE SIZE")
    .right("SCHEMA");
    for backup in backups {
        table.row([
            backup.id.to_string(),
            backup.database.to_string(),
            relative(backup.created_at, now),
            bytes(backup.size),
            bytes(backup.compressed),
            version(backup.contents.schema_version),
            checked(backup).to_owned(),
            backup.reason.label().to_owned(),
            backup.host.to_string(),
        ]);
    }
    table.render(style, "")
}

fn version(version: Option<i64>) -> String {
    version.map_or_else(|| "-".to_owned(), |version| version.to_string())
}

fn checked(backup: &BackupRecord) -> &'static str {
    match backup.proved_at {
        Some(_) => "restored",
        None => "read back",
    }
}

/// What `backup create` says.
#[must_use]
pub fn taken(backups: &[BackupRecord]) -> String {
    let lines = backups.iter().map(|backup| {
        format!(
            "{}  `{}`, {} of {}, {}: {}{}",
            backup.id,
            backup.database,
            bytes(backup.compressed),
            bytes(backup.size),
            checked(backup),
            backup.path,
            match backup.host.is_local() {
                true => String::new(),
                false => format!(" on {}", backup.host),
            }
        )
    });
    lines.collect::<Vec<_>>().join("\n")
}

/// What a prune removes, a line each.
#[must_use]
pub fn doomed(backups: &[BackupRecord], now: DateTime<Utc>) -> String {
    let lines = backups.iter().map(|backup| {
        format!(
            "  {}  `{}`, {}, {}",
            backup.id,
            backup.database,
            bytes(backup.compressed),
            relative(backup.created_at, now)
        )
    });
    lines.collect::<Vec<_>>().join("\n")
}

/// The plan of a restore.
#[must_use]
pub fn restore(
    backup: &BackupRecord,
    taken_away: &[String],
    schema_now: Option<i64>,
    more: &[(&str, String)],
    now: DateTime<Utc>,
    style: Style,
) -> String {
    let away = match taken_away {
        [] => "no migration".to_owned(),
        some => format!("{}: {}", plural(some.len(), "migration"), some.join(", ")),
    };
    let mut lines = vec![
        (
            "taken",
            format!(
                "{} UTC, {}, {}",
                time(backup.created_at),
                relative(backup.created_at, now),
                backup.reason.label()
            ),
        ),
        (
            "file",
            format!(
                "{} on {}, {}",
                backup.path,
                backup.host,
                bytes(backup.compressed)
            ),
        ),
        (
            "schema",
            format!(
                "{} now, {} afterwards",
                version(schema_now),
                version(backup.contents.schema_version)
            ),
        ),
        ("takes away", away),
    ];
    lines.extend(more.iter().cloned());
    let title = format!(
        "restore `{}` of {} from {}",
        backup.database, backup.environment, backup.id
    );
    let mut text = format!("{}\n", style.bold(&title));
    for (name, value) in lines {
        text += &format!("  {name:<11} {value}\n");
    }
    text
}
