//! Sealing: the lease, publishing, merging, discarding.

use annals_store::StoreError;
use annals_tlog::Node;

use crate::fixture::{Fixture, append, check, frontier, segment, seqs};

on_both! {
    one_has_the_lease_at_a_time,
    a_segment_must_follow_the_sealed_part,
    segments_are_merged_and_rewritten_in_place,
    discarding_goes_step_by_step_and_keeps_what_the_tree_needs,
    sealing_and_appending_do_not_disturb_each_other,
    only_whole_segments_are_pruned_and_never_all,
}

fn one_has_the_lease_at_a_time(fixture: &Fixture) {
    let other = fixture.open_again();
    let lease = fixture.store.try_seal_lease().unwrap().unwrap();
    assert!(fixture.store.try_seal_lease().unwrap().is_none());
    assert!(other.try_seal_lease().unwrap().is_none());
    drop(lease);
    let again = other.try_seal_lease().unwrap();
    assert!(again.is_some_and(|mut lease| lease.holds().unwrap()), "dropping gives the lease back");
}

fn a_segment_must_follow_the_sealed_part(fixture: &Fixture) {
    append(&fixture.store, 0..1_000);
    let mut lease = fixture.store.try_seal_lease().unwrap().unwrap();
    for wrong in [segment(256..512), segment(0..1_024), segment(0..0)] {
        assert!(matches!(lease.publish(&wrong), Err(StoreError::ManifestConflict { .. })));
    }
    lease.publish(&segment(0..256)).unwrap();
    assert!(matches!(lease.publish(&segment(0..256)), Err(StoreError::ManifestConflict { .. })));
    lease.publish(&segment(256..512)).unwrap();
    let (state, segments) = fixture.store.segments().unwrap();
    assert_eq!((state.sealed, state.manifest, segments.len()), (512, 2, 2));
}

fn segments_are_merged_and_rewritten_in_place(fixture: &Fixture) {
    append(&fixture.store, 0..2_000);
    let mut lease = fixture.store.try_seal_lease().unwrap().unwrap();
    for first in [0, 256, 512, 768] {
        lease.publish(&segment(first..first + 256)).unwrap();
    }
    let merged = segment(0..1_024);
    for wrong in [&[0, 256, 512][..], &[256, 512, 768], &[0, 256, 512, 768, 1_024], &[], &[0, 0, 256, 512]] {
        let error = lease.replace(&merged, wrong).unwrap_err();
        assert!(matches!(error, StoreError::ManifestConflict { .. }), "{wrong:?}: {error}");
    }
    assert_eq!(fixture.store.state().unwrap().manifest, 4, "what fails changes nothing");
    lease.replace(&merged, &[0, 256, 512, 768]).unwrap();
    let (state, segments) = fixture.store.segments().unwrap();
    assert_eq!((state.sealed, state.manifest, segments), (1_024, 5, vec![merged.clone()]));
    let rewritten = annals_store::SegmentRow { object: "rewritten".to_owned(), ..merged };
    lease.replace(&rewritten, &[0]).unwrap();
    let (state, segments) = fixture.store.segments().unwrap();
    assert_eq!((state.manifest, segments), (6, vec![rewritten]));
}

fn discarding_goes_step_by_step_and_keeps_what_the_tree_needs(fixture: &Fixture) {
    let size = 65_536 + 3 * 256 + 100;
    append(&fixture.store, 0..size);
    let mut lease = fixture.store.try_seal_lease().unwrap().unwrap();
    assert!(!lease.discard_sealed(1_000).unwrap(), "nothing is sealed yet");
    lease.publish(&segment(0..65_536)).unwrap();
    lease.publish(&segment(65_536..65_536 + 512)).unwrap();
    let mut steps = 0;
    while lease.discard_sealed(100).unwrap() {
        steps += 1;
    }
    assert_eq!((steps, fixture.count("tail")), (2, 2));
    // Level 1 keeps its tile; at level 0 those of the open tile of level 1 stay.
    assert_eq!(fixture.count("tile WHERE level = 0"), 3);
    assert_eq!(fixture.count("tile WHERE level = 1"), 1);
    assert_eq!(seqs(&fixture.store, 0), (65_536 + 512..size).collect::<Vec<_>>());
    // A new writer must take up the tree from what is left.
    append(&fixture.store, size..size + 300);
    assert_eq!(check(&fixture.store).unwrap().root, frontier(size + 300).root());
}

fn sealing_and_appending_do_not_disturb_each_other(fixture: &Fixture) {
    append(&fixture.store, 0..512);
    std::thread::scope(|scope| {
        let appending = scope.spawn(|| {
            for at in 2..40 {
                append(&fixture.store, at * 256..at * 256 + 256);
            }
        });
        let mut lease = fixture.store.try_seal_lease().unwrap().unwrap();
        while !appending.is_finished() {
            let state = fixture.store.state().unwrap();
            if state.head.size - state.sealed >= 512 {
                lease.publish(&segment(state.sealed..state.sealed + 256)).unwrap();
                lease.discard_sealed(1).unwrap();
            }
            let before = fixture.store.state().unwrap();
            let mut expected = before.sealed;
            fixture
                .store
                .tail_from(before.sealed, |row| {
                    assert_eq!(row.first_seq(), expected, "the tail has no gap");
                    expected = row.first_seq() + u64::from(row.count());
                })
                .unwrap();
            assert!(before.sealed < before.head.size && before.head.size <= expected);
        }
    });
    assert_eq!(check(&fixture.store).unwrap().root, frontier(40 * 256).root());
}

fn only_whole_segments_are_pruned_and_never_all(fixture: &Fixture) {
    append(&fixture.store, 0..66_048);
    let mut lease = fixture.store.try_seal_lease().unwrap().unwrap();
    lease.publish(&segment(0..65_536)).unwrap();
    for wrong in [256, 65_536, 131_072] {
        let error = lease.prune(wrong).unwrap_err();
        assert!(matches!(error, StoreError::ManifestConflict { .. }), "{wrong}: {error}");
    }
    lease.publish(&segment(65_536..66_048)).unwrap();
    while lease.discard_sealed(100).unwrap() {}
    let manifest = fixture.store.state().unwrap().manifest;
    let node = Node { level: 3, index: 7 };
    let nodes = [(node, annals_tlog::leaf_hash(b"any"))].into();
    lease.keep_nodes(&nodes).unwrap();
    lease.keep_nodes(&nodes).unwrap();
    lease.prune(65_536).unwrap();
    let (state, rows) = fixture.store.segments().unwrap();
    assert_eq!((state.pruned, state.sealed, state.manifest), (65_536, 66_048, manifest + 1));
    assert_eq!(rows, [segment(65_536..66_048)]);
    assert_eq!(fixture.store.kept_node(node).unwrap(), nodes.get(&node).copied());
    assert_eq!(fixture.store.kept_node(Node { level: 3, index: 8 }).unwrap(), None);
    assert!(lease.prune(66_048).is_err(), "one stays");
    append(&fixture.store, 66_048..66_100);
    assert_eq!(check(&fixture.store).unwrap().size, 66_100);
}
