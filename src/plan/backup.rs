//! What a plan says of the backups before its migrations. Pure.

use crate::model::names::DatabaseName;
use crate::model::project::{Environment, OnFailure, Via};

/// A line for each database that is copied first, and one for what a failure
/// does.
#[must_use]
pub fn backup_notes(environment: &Environment, databases: &[DatabaseName]) -> Vec<String> {
    let primary = &environment.primary().address;
    let copied = databases
        .iter()
        .filter_map(|name| environment.databases.get(name))
        .filter(|database| database.backup_before_migrate);
    let mut notes: Vec<String> = copied
        .map(|database| {
            let place = match primary.is_local() || database.via == Via::Direct {
                true => format!(".stagecraft/backups/{}", environment.name),
                false => format!("the state folder on {primary}"),
            };
            format!(
                "`{}` is backed up first, into {place}; the newest {} backups stay",
                database.name,
                database.backup_keep.max(1)
            )
        })
        .collect();
    if !notes.is_empty() && environment.on_failure == OnFailure::Restore {
        notes.push("a failure before the rollout restores the database that failed, where nobody else can have written to it since".to_owned());
    }
    notes
}

/// What `--accept-data-loss` accepts, where it means anything.
#[must_use]
pub fn loss_risks(environment: &Environment) -> Vec<String> {
    let mut databases = environment.databases.values();
    let copied = databases.any(|database| database.backup_before_migrate);
    match environment.on_failure {
        OnFailure::Restore if copied => vec![
            "a failed migration restores its database from the backup, and what others wrote since then is lost".to_owned(),
        ],
        OnFailure::Restore | OnFailure::Stop => vec![],
    }
}
