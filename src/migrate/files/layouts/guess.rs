//! Whether a folder plainly is another tool's. Never acted upon: it is said,
//! with the option to set.

use super::node_pg_migrate::marks;
use super::section::comment;
use super::{Format, drizzle};
use crate::ports::{Content, FolderEntry};

/// The tool, and what gave it away.
#[must_use]
pub(in crate::migrate::files) fn guess(entries: &[FolderEntry]) -> Option<(Vec<Format>, String)> {
    let named = |wanted: &dyn Fn(&str) -> bool| {
        let found = entries.iter().find(|entry| wanted(&entry.name))?;
        Some(format!("it holds `{}`", found.name))
    };
    if let Some(why) = named(&|name| name == drizzle::JOURNAL) {
        return Some((vec![Format::Drizzle], why));
    }
    if let Some(why) = named(&|name| name.ends_with("/migration.sql")) {
        return Some((vec![Format::Prisma], why));
    }
    if let Some(why) = named(&|name| name.ends_with("/up.sql")) {
        return Some((vec![Format::Diesel], why));
    }
    if let Some(why) = named(&|name| name.ends_with(".down.sql")) {
        return Some((vec![Format::GolangMigrate, Format::Sqlx], why));
    }
    if let Some(why) = named(&versioned) {
        return Some((vec![Format::Flyway, Format::Refinery], why));
    }
    entries.iter().find_map(|entry| {
        let Content::File(bytes) = &entry.content else {
            return None;
        };
        let text = String::from_utf8_lossy(bytes);
        text.lines().find_map(|line| {
            let format = said(line)?;
            let why = format!("`{}` has the line `{}`", entry.name, line.trim());
            Some((vec![format], why))
        })
    })
}

fn said(line: &str) -> Option<Format> {
    let said = comment(line)?;
    if said.starts_with("+goose ") {
        return Some(Format::Goose);
    }
    if said.starts_with("migrate:up") {
        return Some(Format::Dbmate);
    }
    if said == "no-transaction" {
        return Some(Format::Sqlx);
    }
    marks(line, "up").then_some(Format::NodePgMigrate)
}

fn versioned(name: &str) -> bool {
    let rest = name.strip_prefix('V').unwrap_or_default();
    let digit = rest.starts_with(|c: char| c.is_ascii_digit());
    digit && rest.contains("__") && rest.ends_with(".sql")
}
