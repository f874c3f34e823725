//! What holds for every order of events: nothing is lost, merging again
//! changes nothing, and the order of merges does not matter but for conflicts
//! that are reported.

use proptest::collection::vec;
use proptest::prelude::*;
use uuid::Uuid;

use super::samples;
use super::{Source, Store, merge};
use crate::model::history::History;
use crate::model::release::{Release, ReleaseId};

#[derive(Debug, Clone)]
enum Act {
    Save(Box<Release>),
    Merge(Vec<Release>, Source),
    Reopen,
}

/// Few ids, uuids, revisions and contents, so that they meet often.
fn any_release() -> impl Strategy<Value = Release> {
    (0..4_u32, 0..2_u128, 1..4_u64, 0..2_u8).prop_map(|(n, uuid, revision, actor)| {
        let mut release = samples::release(n);
        release.uuid = Uuid::from_u128(uuid);
        release.revision = revision;
        release.actor = format!("actor-{actor}");
        release
    })
}

fn any_source() -> impl Strategy<Value = Source> {
    prop_oneof![Just(Source::PrimaryHost), Just(Source::OtherHost)]
}

fn any_act() -> impl Strategy<Value = Act> {
    prop_oneof![
        any_release().prop_map(|release| Act::Save(Box::new(release))),
        (vec(any_release(), 0..4), any_source()).prop_map(|(list, from)| Act::Merge(list, from)),
        Just(Act::Reopen),
    ]
}

type Key = (ReleaseId, Uuid);

fn key(release: &Release) -> Key {
    (release.id.clone(), release.uuid)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn no_order_of_saves_and_merges_loses_a_release_or_goes_back_a_revision(
        acts in vec(any_act(), 1..12)
    ) {
        let folder = tempfile::tempdir().expect("a folder");
        let store = Store::at(folder.path().join("releases.json"));
        let mut locked = store.lock().expect("free");
        let mut expected: std::collections::BTreeMap<Key, u64> = Default::default();
        for act in acts {
            match act {
                Act::Save(release) => {
                    if locked.save(&release).is_ok() {
                        let at = expected.entry(key(&release)).or_default();
                        *at = (*at).max(release.revision);
                    }
                }
                Act::Merge(list, from) => {
                    for release in &list {
                        let at = expected.entry(key(release)).or_default();
                        *at = (*at).max(release.revision);
                    }
                    locked.merge(list, from).expect("merged");
                }
                Act::Reopen => {
                    drop(locked);
                    locked = store.lock().expect("free");
                }
            }
            let found: std::collections::BTreeMap<Key, u64> = store
                .read()
                .expect("readable")
                .all()
                .iter()
                .map(|release| (key(release), release.revision))
                .collect();
            prop_assert_eq!(&found, &expected);
        }
    }

    #[test]
    fn merging_the_same_copy_again_changes_nothing(
        ours in vec(any_release(), 0..6),
        theirs in vec(any_release(), 0..6),
        from in any_source(),
    ) {
        let (theirs, _) = merge(&History::default(), theirs, from);
        let (start, _) = merge(&History::default(), ours, Source::OtherHost);
        let (once, _) = merge(&start, theirs.all().to_vec(), from);
        let (twice, report) = merge(&once, theirs.all().to_vec(), from);
        prop_assert_eq!(once.all(), twice.all());
        prop_assert!(report.adopted.is_empty());
    }

    #[test]
    fn the_order_of_merges_matters_only_where_a_conflict_was_reported(
        first in vec(any_release(), 0..6),
        second in vec(any_release(), 0..6),
    ) {
        let one_way = |first: &[Release], second: &[Release]| {
            let (merged, a) = merge(&History::default(), first.to_vec(), Source::OtherHost);
            let (merged, b) = merge(&merged, second.to_vec(), Source::OtherHost);
            let conflicts: Vec<Key> = a
                .conflicts
                .into_iter()
                .chain(b.conflicts)
                .map(|conflict| (conflict.id, conflict.uuid))
                .collect();
            (merged, conflicts)
        };
        let (there, mut conflicts) = one_way(&first, &second);
        let (back, more) = one_way(&second, &first);
        conflicts.extend(more);
        prop_assert_eq!(there.all().len(), back.all().len());
        for (a, b) in there.all().iter().zip(back.all()) {
            prop_assert_eq!(key(a), key(b));
            prop_assert_eq!(a.revision, b.revision);
            prop_assert!(a == b || conflicts.contains(&key(a)), "{:?} and {:?}", a, b);
        }
    }
}
