//! What an SQLite file tells of itself. It has no server: no replicas, no
//! connections to run out of. Imports `ports`, `model`.

use crate::model::health::{Check, CheckName, Verdict};
use crate::ports::Database;

use super::Moment;
use super::ask::{self, Judged, number, some};

/// A file that is larger is not read through: it would take minutes.
const READ_THROUGH: u64 = 256 << 20;
/// Less than this is next to nothing, however small the file.
const LEAST: u64 = 16 << 20;

const SIZE: &str = "SELECT (SELECT page_count FROM pragma_page_count) \
    * (SELECT page_size FROM pragma_page_size)";

pub(super) async fn ask(session: &mut dyn Database, moment: Moment, checks: &mut Vec<Check>) {
    let mut add = |name, (verdict, said): Judged| checks.push(Check::new(name, verdict, said));
    let version = ask::ask(session, &["SELECT sqlite_version()"]).await;
    add(CheckName::Server, server(version));
    let size = ask::ask(session, &[SIZE]).await.unwrap_or_default();
    let size = size.first().and_then(|size| number(size)).unwrap_or(0);
    let free = session.free_bytes().await.ok().flatten();
    add(CheckName::Room, room(size, free));
    if moment == Moment::After {
        let said = match size > READ_THROUGH {
            true => Err(format!(
                "with {} it is too large to be read through",
                ask::bytes(size)
            )),
            false => sound(session).await,
        };
        add(CheckName::Schema, schema(said));
    }
}

fn server(version: Result<Vec<String>, String>) -> Judged {
    match version {
        Ok(version) => (Verdict::Passed, format!("SQLite {}", version.join(" "))),
        Err(why) => (Verdict::Error, why),
    }
}

/// A change of a table may write the file anew, beside itself.
fn room(size: u64, free: Option<u64>) -> Judged {
    let Some(free) = free else {
        return (Verdict::Unknown, "not told".to_owned());
    };
    let said = format!(
        "the file takes {}, its disk has {} left",
        ask::bytes(size),
        ask::bytes(free)
    );
    if free < LEAST {
        (Verdict::Error, said)
    } else if free < size {
        (
            Verdict::Warning,
            format!("{said}: a change of its largest table may not fit"),
        )
    } else {
        (Verdict::Passed, said)
    }
}

async fn sound(session: &mut dyn Database) -> Result<Vec<String>, String> {
    let mut found = ask::ask(session, &["PRAGMA quick_check(3)"]).await?;
    found.retain(|line| line != "ok");
    let orphans = ask::ask(session, &["PRAGMA foreign_key_check"]).await?;
    if let Some(table) = orphans.first() {
        found.push(format!(
            "{} rows point at nothing (the first in `{table}`)",
            orphans.len()
        ));
    }
    Ok(found)
}

fn schema(found: Result<Vec<String>, String>) -> Judged {
    match found {
        Ok(found) if found.is_empty() => (Verdict::Passed, "the file is sound".to_owned()),
        Ok(found) => (Verdict::Warning, some(&found)),
        Err(why) => (Verdict::Unknown, why),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// D15: enough disk, where it can be told.
    #[test]
    fn room_for_the_file_once_more_is_enough_and_next_to_none_stops() {
        let verdict = |size, free| room(size, free).0;
        assert_eq!(verdict(1 << 20, Some(1 << 30)), Verdict::Passed);
        assert_eq!(verdict(2 << 30, Some(1 << 30)), Verdict::Warning);
        assert_eq!(verdict(0, Some(1 << 20)), Verdict::Error);
        assert_eq!(verdict(0, None), Verdict::Unknown);
    }

    #[test]
    fn damage_is_a_warning_and_a_large_file_is_not_read() {
        assert_eq!(schema(Ok(vec![])).0, Verdict::Passed);
        assert_eq!(schema(Ok(vec!["row 1".into()])).0, Verdict::Warning);
        assert_eq!(schema(Err("too large".into())).0, Verdict::Unknown);
    }
}
