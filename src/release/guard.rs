//! What a save may change of a release that is on record.

use crate::model::fault::Fault;
use crate::model::phase::Status;
use crate::model::release::Release;

/// Whether `new` may take the place of `old`, which has the same id and uuid.
///
/// # Errors
/// `Internal`: whoever made `new` broke a promise; nothing is written.
pub(super) fn check(old: &Release, new: &Release) -> Result<(), Fault> {
    match broken_promise(old, new) {
        None => Ok(()),
        Some(reason) => Err(Fault::internal(format!(
            "the record of release {} was not saved",
            old.id
        ))
        .because(reason)
        .state("the history on disk is unchanged")),
    }
}

fn broken_promise(old: &Release, new: &Release) -> Option<String> {
    if new.revision < old.revision {
        return Some(format!(
            "revision {} would replace the newer revision {}",
            new.revision, old.revision
        ));
    }
    if new.revision == old.revision && new != old {
        return Some(format!(
            "revision {} is on record with other content",
            old.revision
        ));
    }
    if (&old.environment, old.kind, old.timestamp) != (&new.environment, new.kind, new.timestamp) {
        return Some("environment, kind and time of a release never change".to_owned());
    }
    old.phases.iter().find_map(|(phase, before)| {
        let after = new.phase(*phase);
        if before.status == Status::Completed && after != *before {
            return Some(format!(
                "the phase {} is completed and cannot change any more",
                phase.key()
            ));
        }
        (!may_become(before.status, after.status)).then(|| {
            format!(
                "the phase {} is {} and cannot become {}",
                phase.key(),
                before.status,
                after.status
            )
        })
    })
}

/// The journal saves every mark, but a phase that is taken up again
/// (`Mark::Resume`) may be started in the same save.
fn may_become(before: Status, after: Status) -> bool {
    match before {
        Status::Pending | Status::Running => true,
        Status::Completed => after == Status::Completed,
        Status::Failed | Status::Skipped => {
            after == before || matches!(after, Status::Pending | Status::Running)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::samples::{at, release};
    use super::*;
    use crate::model::phase::Phase;

    #[test]
    fn a_completed_phase_never_turns_into_something_else() {
        let old = at(&release(1), Phase::Rollout, Status::Completed);
        for status in [
            Status::Pending,
            Status::Running,
            Status::Failed,
            Status::Skipped,
        ] {
            assert!(check(&old, &at(&old, Phase::Rollout, status)).is_err());
        }
        let mut gone = at(&old, Phase::Rollout, Status::Completed);
        gone.phases.shift_remove(&Phase::Rollout);
        assert!(check(&old, &gone).is_err());
    }

    #[test]
    fn a_completed_phase_keeps_its_output_and_its_times() {
        let old = at(&release(1), Phase::Build, Status::Completed);
        let mut new = at(&old, Phase::Push, Status::Running);
        new.phases.entry(Phase::Build).or_default().output = "another image".into();
        insta::assert_snapshot!(check(&old, &new).expect_err("changed"), @"the record of release rel-20260114-101502001 was not saved: the phase build is completed and cannot change any more");
    }

    #[test]
    fn a_failed_or_skipped_phase_is_only_taken_up_again() {
        for status in [Status::Failed, Status::Skipped] {
            let old = at(&release(1), Phase::Push, status);
            for (next, allowed) in [
                (Status::Pending, true),
                (Status::Running, true),
                (Status::Completed, false),
            ] {
                let new = at(&old, Phase::Push, next);
                assert_eq!(check(&old, &new).is_ok(), allowed, "{status} to {next}");
            }
        }
    }

    #[test]
    fn saving_the_same_again_is_fine_and_other_content_needs_a_higher_revision() {
        let old = release(1);
        assert!(check(&old, &old).is_ok());
        let mut same_revision = old.clone();
        same_revision.bad = true;
        assert!(check(&old, &same_revision).is_err());
        let newer = at(&old, Phase::Build, Status::Running);
        assert!(check(&newer, &old).is_err());
    }

    #[test]
    fn a_release_stays_in_its_environment() {
        let old = release(1);
        let mut moved = at(&old, Phase::Build, Status::Running);
        moved.environment = "staging".parse().expect("a name");
        assert!(check(&old, &moved).is_err());
    }
}
