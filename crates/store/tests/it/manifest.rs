//! The manifest: what readers and appenders see of segments.

use annals_store::StoreError;
use annals_tlog::Frontier;

use crate::fixture::{Fixture, append, check, segment, seqs};

on_both! {
    segments_read_back_as_they_were_published,
    sealed_events_are_not_in_the_tail_any_more,
    an_appender_sees_segments_under_the_lock,
    a_check_begins_after_the_sealed_part,
}

fn segments_read_back_as_they_were_published(fixture: &Fixture) {
    append(&fixture.store, 0..2_000);
    let mut lease = fixture.store.try_seal_lease().unwrap().unwrap();
    let segments = [segment(0..512), segment(512..768), segment(768..1_024)];
    segments.iter().for_each(|segment| lease.publish(segment).unwrap());
    let (state, read) = fixture.store.segments().unwrap();
    assert_eq!(read, segments);
    assert_eq!((state.head.size, state.sealed, state.manifest), (2_000, 1_024, 3));
    assert_eq!(fixture.store.state().unwrap(), state);
    drop(lease);
    // A program that another test starts at this moment holds a copy of every open file until it runs.
    let until = std::time::Instant::now() + std::time::Duration::from_secs(10);
    let mut next = loop {
        match fixture.store.try_seal_lease().unwrap() {
            Some(next) => break next,
            None => assert!(std::time::Instant::now() < until, "the lease was not given back"),
        }
    };
    assert_eq!(next.segments().unwrap(), (state, read), "the one who seals sees the same");
}

fn sealed_events_are_not_in_the_tail_any_more(fixture: &Fixture) {
    append(&fixture.store, 0..1_000);
    let mut lease = fixture.store.try_seal_lease().unwrap().unwrap();
    lease.publish(&segment(0..512)).unwrap();
    // The rows still stand, as garbage; nobody gets to see them.
    for is_discarded in [false, true] {
        if is_discarded {
            assert!(!lease.discard_sealed(100).unwrap());
        }
        assert_eq!(fixture.count("tail"), if is_discarded { 2 } else { 4 });
        assert_eq!(seqs(&fixture.store, 0), (512..1_000).collect::<Vec<_>>());
        assert_eq!(seqs(&fixture.store, 800).first(), Some(&768));
        assert!(fixture.store.row_of(511).unwrap().is_none());
        assert_eq!(fixture.store.row_of(512).unwrap().unwrap().first_seq(), 512);
        let mut from = Vec::new();
        fixture.store.tail_from(3, |row| from.push(row.first_seq())).unwrap();
        assert_eq!(from, [512, 768]);
    }
}

fn an_appender_sees_segments_under_the_lock(fixture: &Fixture) {
    append(&fixture.store, 0..600);
    let mut lease = fixture.store.try_seal_lease().unwrap().unwrap();
    let mut writer = fixture.store.log_writer().unwrap();
    assert_eq!(writer.begin().unwrap().state().sealed, 0);
    lease.publish(&segment(0..512)).unwrap();
    let mut append = writer.begin().unwrap();
    assert_eq!((append.state().sealed, append.state().manifest, append.head().size), (512, 1, 600));
    assert_eq!(append.segments().unwrap(), [segment(0..512)]);
    let mut first = Vec::new();
    append.tail_from(0, |row| first.push(row.first_seq())).unwrap();
    assert_eq!(first, [512]);
    assert!(append.row_of(100).unwrap().is_none());
    assert!(append.row_of(599).unwrap().is_some());
    append.commit(&[&crate::fixture::record(600, "{}")]).unwrap();
    assert_eq!(fixture.store.state().unwrap().sealed, 512, "an append leaves the sealed seq alone");
}

fn a_check_begins_after_the_sealed_part(fixture: &Fixture) {
    append(&fixture.store, 0..2_000);
    let mut lease = fixture.store.try_seal_lease().unwrap().unwrap();
    lease.publish(&segment(0..1_024)).unwrap();
    lease.discard_sealed(1_000).unwrap();
    assert_eq!(check(&fixture.store).unwrap().size, 2_000);
    let other = fixture.store.check(Frontier::new(), |_, _| {}).unwrap_err();
    assert!(matches!(other, StoreError::SealedMeanwhile { from_seq: 0, sealed: 1_024 }), "{other}");
    let mut wrong = Frontier::new();
    (0..1_024).for_each(|number| wrong.push(crate::fixture::record(number + 1, "{}").leaf));
    let error = fixture.store.check(wrong, |_, _| {}).unwrap_err();
    assert!(error.to_string().contains("another root than the head"), "{error}");
}
