//! What a look at the databases means for the run: it goes on, goes on with a
//! warning, or ends. Imports `ports::Cx`, `model`.

use crate::migrate::safeguard::STAY;
use crate::migrate::words;
use crate::model::fault::Fault;
use crate::model::health::{Standing, Verdict};
use crate::model::names::DatabaseName;
use crate::ports::Cx;

use super::Seen;

/// A line a database; what is amiss as warnings.
pub(in crate::migrate) fn tell(cx: &Cx, seen: &Seen) {
    for (database, health) in seen {
        let cx = cx.on_database(database);
        cx.step(format!("is {health}"));
        for check in health.at_least(Verdict::Warning) {
            cx.warn(check.to_string());
        }
    }
}

/// Why nothing is begun.
pub(in crate::migrate) fn refusal(seen: &Seen) -> Option<Fault> {
    let names = unhealthy(seen);
    let names: Vec<&str> = names.iter().map(DatabaseName::as_str).collect();
    if names.is_empty() {
        return None;
    }
    let fault = Fault::refused(format!(
        "{} {} unhealthy, so no migration was begun",
        words::list(&names),
        if names.len() == 1 { "is" } else { "are" }
    ));
    Some(
        because(fault, seen)
            .state("no database was changed")
            .hint("mend what is named, then run the same command again")
            .hint("to migrate all the same, add `--skip-health-check`"),
    )
}

/// Why a run that applied everything has failed all the same.
pub(in crate::migrate) fn unsound(seen: &Seen) -> Option<Fault> {
    let names = unhealthy(seen);
    let names: Vec<&str> = names.iter().map(DatabaseName::as_str).collect();
    if names.is_empty() {
        return None;
    }
    let fault = Fault::failed(format!(
        "the migrations were applied, and after them {} {} unhealthy",
        words::list(&names),
        if names.len() == 1 { "is" } else { "are" }
    ));
    Some(because(fault, seen).state(STAY).hint(
        "there is nothing to apply again: mend what is named, and watch the application until then",
    ))
}

/// The databases that are not well.
pub(in crate::migrate) fn unhealthy(seen: &Seen) -> Vec<DatabaseName> {
    seen.iter()
        .filter(|(_, health)| health.status == Standing::Unhealthy)
        .map(|(name, _)| name.clone())
        .collect()
}

fn because(fault: Fault, seen: &Seen) -> Fault {
    seen.iter()
        .flat_map(|(name, health)| {
            let bad = health.at_least(Verdict::Error);
            bad.map(move |check| format!("`{name}`: {check}"))
        })
        .fold(fault, Fault::because)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::fault::FaultKind;
    use crate::model::health::{Check, CheckName, Health};

    fn seen(verdict: Verdict) -> Seen {
        let checks = vec![
            Check::new(CheckName::Server, verdict, "it is a replica"),
            Check::new(CheckName::Room, Verdict::Warning, "little"),
        ];
        Seen::from_iter([("main".parse().expect("a name"), Health::of(checks, 1))])
    }

    /// D16, D63: a failed check before the run stops it with nothing changed.
    #[test]
    fn unhealthy_refuses_and_degraded_does_not() {
        assert_eq!(refusal(&seen(Verdict::Warning)), None);
        let fault = refusal(&seen(Verdict::Error)).expect("a refusal");
        assert_eq!(fault.kind, FaultKind::Refused);
        assert_eq!(fault.what, "`main` is unhealthy, so no migration was begun");
        assert_eq!(fault.causes, ["`main`: server: it is a replica"]);
        assert_eq!(fault.state, ["no database was changed"]);
    }

    /// D51, D65: afterwards the migrations stay, and it is said what to do.
    #[test]
    fn afterwards_it_is_a_failure_that_leaves_the_migrations() {
        assert_eq!(unsound(&seen(Verdict::Info)), None);
        let fault = unsound(&seen(Verdict::Critical)).expect("a failure");
        assert_eq!(fault.kind, FaultKind::Failed);
        assert_eq!(fault.state, ["the migrations are applied and stay"]);
        assert!(fault.hints[0].starts_with("there is nothing to apply again"));
    }
}
