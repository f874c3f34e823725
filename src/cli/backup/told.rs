//! What a restore says: what it risks, what it did, where a failure leaves
//! the database.

use std::fmt::Display;

use crate::model::backup::{BackupRecord, Restored, Way};
use crate::model::fault::{Fault, FaultKind};
use crate::ui::words;

use super::super::session::Session;
use super::restore::Found;

/// What only an overwriting restore risks.
pub(super) fn in_place(found: &Found) -> Option<String> {
    let name = &found.database.name;
    match (found.way, found.backup.dialect.as_str()) {
        (Way::Swap, _) => None,
        (Way::InPlace, "postgres") => Some(format!(
            "`{name}` itself is emptied and filled again, in one transaction: whoever uses it waits until it ends, and nothing of what it holds now is kept"
        )),
        (Way::InPlace, _) => Some(format!(
            "`{name}` itself is emptied and filled again: whoever uses it sees a part meanwhile, a failure leaves a part, and nothing of what it holds now is kept"
        )),
    }
}

pub(super) fn question(found: &Found) -> String {
    let (name, backup) = (&found.database.name, &found.backup.id);
    match found.way {
        Way::Swap => format!("restore `{name}` from {backup}"),
        Way::InPlace => format!("overwrite `{name}` in place with {backup}"),
    }
}

pub(super) fn loses(found: &Found, environment: &impl Display) -> Fault {
    let (database, backup) = (&found.database.name, &found.backup);
    let fault = Fault::refused(format!(
        "a restore loses every write to `{database}` since the backup"
    ));
    let fault = fault.because(format!(
        "{} was taken at {} (UTC), and nothing proves that nobody wrote since",
        backup.id,
        words::time(backup.created_at)
    ));
    fault.state("nothing was changed").hint(format!(
        "where that is right: `{} --accept-data-loss --approve {}`",
        command(&backup.id, found, environment),
        found.id
    ))
}

fn command(id: &impl Display, found: &Found, environment: &impl Display) -> String {
    let in_place = match found.way {
        Way::Swap => "",
        Way::InPlace => " --in-place",
    };
    format!(
        "stagecraft backup restore {id} --database {} --env {environment}{in_place}",
        found.database.name
    )
}

/// A restore that failed.
pub(super) fn after(fault: Fault, safety: Option<&BackupRecord>, found: &Found) -> Fault {
    let fault = match fault.kind {
        FaultKind::Interrupted if fault.state.is_empty() => {
            fault.state(format!("`{}` was not touched", found.database.name))
        }
        _ => fault,
    };
    let half = found.way == Way::InPlace && fault.kind == FaultKind::UndoFailed;
    let environment = &found.backup.environment;
    match safety {
        Some(safety) => {
            let fault = fault.state(format!("{} holds what was there before", safety.id));
            match half {
                false => fault,
                true => fault.hint(format!(
                    "bring back what was there before: `{} --skip-backup --accept-data-loss`",
                    command(&safety.id, found, environment)
                )),
            }
        }
        None if half => fault
            .state("what was there before is in no backup of this command (`--skip-backup`)")
            .hint(format!(
                "begin again, with this backup or another one: `{} --skip-backup --accept-data-loss`",
                command(&found.backup.id, found, environment)
            )),
        None => fault,
    }
}

/// A restore that went well.
pub(super) fn done(
    found: &Found,
    restored: &Restored,
    safety: Option<&BackupRecord>,
    session: &Session<'_>,
) -> String {
    let mut lines = vec![format!(
        "`{}` of {} is what it was in {}",
        found.database.name, session.environment.name, restored.from
    )];
    if let Some(before) = &restored.before {
        lines.push(format!(
            "  kept: the database before, as `{}`; when nobody needs it: `{}`",
            before.kept, before.remove
        ));
    }
    if let Some(safety) = safety {
        lines.push(format!("  backup of it: {}", safety.id));
    }
    lines.push(format!("  next: {}", found.redeploy));
    lines.join("\n")
}
