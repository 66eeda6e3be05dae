//! Search over memory segments against the plain evaluator.

use annals_query::strategies::{OwnedDocument, document_parts, filter};
use annals_query::{Filter, matches};
use annals_segment::{Hit, MemorySegment, Page, Segment, search};
use proptest::prelude::*;

fn segments(documents: &[OwnedDocument], rows_each: usize) -> Vec<MemorySegment> {
    let mut segments = vec![MemorySegment::new(0)];
    for (seq, owned) in documents.iter().enumerate() {
        if seq > 0 && seq % rows_each == 0 {
            segments.push(MemorySegment::new(seq as u64));
        }
        let mut document = owned.as_document();
        document.seq = seq as u64;
        segments.last_mut().unwrap().push(&document);
    }
    segments
}

/// The answer by definition: test every event, sort, cut the page.
fn by_definition(documents: &[OwnedDocument], filter: &Filter, page: &Page) -> (u64, Vec<Hit>) {
    let mut hits = Vec::new();
    for (seq, owned) in documents.iter().enumerate() {
        let mut document = owned.as_document();
        document.seq = seq as u64;
        if matches(filter, &document) {
            hits.push(Hit { time_us: document.time_us, seq: seq as u64 });
        }
    }
    hits.sort_by(|left, right| right.cmp(left));
    let count = hits.len() as u64;
    let after = hits.into_iter().skip_while(|hit| page.after.is_some_and(|after| *hit >= after));
    (count, after.skip(page.offset as usize).take(page.limit).collect())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]

    #[test]
    fn finds_what_the_evaluator_finds(
        documents in prop::collection::vec(document_parts(), 0..120),
        filters in prop::collection::vec(filter(), 8),
        rows_each in 1usize..50,
        limit in 0usize..30,
        offset in 0u64..40,
        after in prop::option::of(0usize..120),
    ) {
        let segments = segments(&documents, rows_each);
        let segments: Vec<&dyn Segment> = segments.iter().map(|segment| segment as &dyn Segment).collect();
        let after = after.and_then(|seq| Some(Hit { time_us: documents.get(seq)?.as_document().time_us, seq: seq as u64 }));
        let page = Page { limit, offset, after };
        for filter in filters.iter().chain([&Filter::all()]) {
            let found = search(&segments, filter, &page);
            let (count, hits) = by_definition(&documents, filter, &page);
            prop_assert_eq!(found.count, count, "{}", filter);
            prop_assert_eq!(&found.hits, &hits, "{}", filter);
        }
    }
}

#[test]
fn an_id_leads_to_its_seq() {
    let mut segment = MemorySegment::new(7);
    let id = uuid::Uuid::from_u128(5);
    segment.push(&annals_query::Document { seq: 7, id, ..Default::default() });
    assert_eq!(segment.seq_of(id), Some(7));
    assert_eq!(segment.seq_of(uuid::Uuid::from_u128(6)), None);
}
