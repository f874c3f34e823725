//! The preview of pending migrations as a document: which, with their SQL, how
//! long each and all may take, and whether there is anything to do at all. It
//! holds no time of its making: the same database gives the same document.

use chrono::{DateTime, NaiveDateTime};
use serde_json::{Map, Value, json};

use crate::model::migration::{Files, Migration, MigrationPlan};
use crate::model::risk::Estimate;
use crate::plan::Broken;
use crate::ui::words;

/// The document of `migrate plan` and of a dry run.
pub(super) fn document(plans: &[MigrationPlan], broken: &Broken) -> Map<String, Value> {
    let migrations: Vec<Value> = plans
        .iter()
        .flat_map(|plan| plan.to_run().map(|migration| one(plan, migration)))
        .collect();
    let document = json!({
        "status": "success",
        "operation": "preview-migrations",
        "requires_migrations": required(plans),
        "pending_migrations": migrations.len(),
        "estimated_duration": total(plans),
        "migrations": migrations,
        "breaking": broken.objections,
        "blocking": broken.blocking,
        "databases": plans,
    });
    match document {
        Value::Object(document) => document,
        _ => Map::new(),
    }
}

/// What is not known may be pending.
fn required(plans: &[MigrationPlan]) -> bool {
    plans
        .iter()
        .any(|plan| !plan.selected.is_empty() || plan.files == Files::Awaited)
}

/// Nothing where the time of one of them is not known.
fn total(plans: &[MigrationPlan]) -> Option<Estimate> {
    let busy = plans.iter().filter(|plan| !plan.selected.is_empty());
    let each: Vec<_> = busy.map(|plan| plan.outlook.estimate.as_ref()).collect();
    let known: Option<Vec<&Estimate>> = each.into_iter().collect();
    Estimate::total(known?.into_iter())
}

fn one(plan: &MigrationPlan, migration: &Migration) -> Value {
    json!({
        "database": plan.database,
        "name": migration.id,
        "timestamp": timestamp(&migration.id),
        "checksum": migration.checksum,
        "transactional": migration.transactional,
        "sql": migration.forecast.sql,
        "estimated_duration": migration.forecast.estimate,
        "risk": migration.forecast.risk,
    })
}

/// The moment that a file's leading number names, where it names one:
/// `20260114101502`, or seconds or milliseconds since 1970.
fn timestamp(id: &str) -> Option<String> {
    let digits: String = id.chars().take_while(char::is_ascii_digit).collect();
    let time = match digits.len() {
        14 => NaiveDateTime::parse_from_str(&digits, "%Y%m%d%H%M%S")
            .ok()?
            .and_utc(),
        10 => DateTime::from_timestamp(digits.parse().ok()?, 0)?,
        13 => DateTime::from_timestamp_millis(digits.parse().ok()?)?,
        _ => return None,
    };
    Some(words::time(time) + " UTC")
}

#[cfg(test)]
mod tests {
    use super::*;

    /// D30
    #[test]
    fn the_number_of_a_file_is_its_time_where_it_is_one() {
        assert_eq!(
            timestamp("20260114101502_add_notes.sql").as_deref(),
            Some("2026-01-14 10:15:02 UTC")
        );
        assert_eq!(
            timestamp("1768385702_add_notes.sql").as_deref(),
            Some("2026-01-14 10:15:02 UTC")
        );
        assert_eq!(timestamp("0042_notes.sql"), None);
        assert_eq!(timestamp("20269914101502_x.sql"), None);
    }
}
