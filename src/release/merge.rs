//! Two copies of a history become one. Pure.
//!
//! Same id and uuid: the higher revision wins. Equal revisions with different
//! content are a conflict: it is reported, and the primary host's copy wins.
//! Same id with another uuid: both stay. Nothing is ever left out.

use uuid::Uuid;

use crate::model::history::History;
use crate::model::release::{Release, ReleaseId};

/// Whose copy is merged into ours.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Source {
    /// Wins a conflict.
    PrimaryHost,
    /// Loses a conflict.
    OtherHost,
}

/// One release that two copies describe differently under one revision.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Conflict {
    pub id: ReleaseId,
    pub uuid: Uuid,
    pub revision: u64,
    pub kept: Kept,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kept {
    Ours,
    Theirs,
}

/// What a merge changed, and what it could not decide by revision.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct MergeReport {
    pub conflicts: Vec<Conflict>,
    /// Releases that were new to us or newer than our copy.
    pub adopted: Vec<ReleaseId>,
}

/// For commands that only read: the merged history, nothing written.
#[must_use]
pub fn merge(ours: &History, theirs: Vec<Release>, source: Source) -> (History, MergeReport) {
    let mut releases = ours.all().to_vec();
    let (changes, report) = decide(&releases, theirs, source);
    for change in changes {
        match releases.iter_mut().find(|ours| same(ours, &change)) {
            Some(ours) => *ours = change,
            None => releases.push(change),
        }
    }
    (History::new(releases), report)
}

/// The releases of `theirs` that take their place among ours.
pub(super) fn decide(
    ours: &[Release],
    theirs: Vec<Release>,
    source: Source,
) -> (Vec<Release>, MergeReport) {
    let mut report = MergeReport::default();
    let mut changes: Vec<Release> = vec![];
    for theirs in theirs {
        let known = changes
            .iter()
            .chain(ours)
            .find(|known| same(known, &theirs));
        match known {
            Some(known) if known.revision > theirs.revision || *known == theirs => {}
            Some(known) if known.revision == theirs.revision => {
                let kept = match source {
                    Source::PrimaryHost => Kept::Theirs,
                    Source::OtherHost => Kept::Ours,
                };
                report.conflicts.push(Conflict {
                    id: theirs.id.clone(),
                    uuid: theirs.uuid,
                    revision: theirs.revision,
                    kept,
                });
                if kept == Kept::Theirs {
                    replace(&mut changes, theirs);
                }
            }
            Some(_) | None => {
                report.adopted.push(theirs.id.clone());
                replace(&mut changes, theirs);
            }
        }
    }
    (changes, report)
}

fn same(a: &Release, b: &Release) -> bool {
    a.id == b.id && a.uuid == b.uuid
}

fn replace(changes: &mut Vec<Release>, release: Release) {
    changes.retain(|change| !same(change, &release));
    changes.push(release);
}

#[cfg(test)]
mod tests {
    use super::super::samples::{at, release};
    use super::*;
    use crate::model::phase::{Phase, Status};

    fn merged(
        ours: Vec<Release>,
        theirs: Vec<Release>,
        source: Source,
    ) -> (Vec<Release>, MergeReport) {
        let (history, report) = merge(&History::new(ours), theirs, source);
        (history.all().to_vec(), report)
    }

    #[test]
    fn the_higher_revision_wins_from_either_side() {
        let old = release(1);
        let new = at(&old, Phase::Build, Status::Running);
        let (after, report) = merged(vec![old.clone()], vec![new.clone()], Source::OtherHost);
        assert_eq!(
            (after, report.adopted),
            (vec![new.clone()], vec![new.id.clone()])
        );
        let (after, report) = merged(vec![new.clone()], vec![old], Source::PrimaryHost);
        assert_eq!((after, report), (vec![new], MergeReport::default()));
    }

    #[test]
    fn a_conflict_is_reported_and_the_primary_hosts_copy_wins() {
        let ours = release(1);
        let mut theirs = release(1);
        theirs.actor = "bob".to_owned();
        let (after, report) = merged(
            vec![ours.clone()],
            vec![theirs.clone()],
            Source::PrimaryHost,
        );
        assert_eq!(after, [theirs.clone()]);
        assert_eq!(report.conflicts[0].kept, Kept::Theirs);
        let (after, report) = merged(vec![ours.clone()], vec![theirs], Source::OtherHost);
        assert_eq!(after, [ours]);
        assert_eq!(report.conflicts[0].kept, Kept::Ours);
    }

    #[test]
    fn two_releases_with_one_id_both_stay() {
        let ours = release(1);
        let mut theirs = release(1);
        theirs.uuid = Uuid::from_u128(99);
        let (after, report) = merged(
            vec![ours.clone()],
            vec![theirs.clone()],
            Source::PrimaryHost,
        );
        assert_eq!(after, [ours, theirs]);
        assert_eq!(report.conflicts, []);
    }

    #[test]
    fn a_copy_that_holds_a_release_twice_gives_its_newest() {
        let old = release(1);
        let new = at(&old, Phase::Build, Status::Running);
        let (after, _) = merged(vec![], vec![new.clone(), old], Source::OtherHost);
        assert_eq!(after, [new]);
    }
}
