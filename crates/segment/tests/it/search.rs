//! Search over memory segments against the plain evaluator.

use std::collections::HashMap;

use annals_query::strategies::{OwnedDocument, document_parts, filter};
use annals_query::{Document, Filter, Key, fold, matches};
use annals_segment::{FacetCounter, Hit, MemorySegment, NoCounts, Page, Segment, histogram, search};
use proptest::prelude::*;

pub(crate) fn document(owned: &OwnedDocument, seq: usize) -> Document<'_> {
    let mut document = owned.as_document();
    document.seq = seq as u64;
    document
}

fn segments(documents: &[OwnedDocument], rows_each: usize) -> Vec<MemorySegment> {
    let mut segments = vec![MemorySegment::new(0)];
    for (seq, owned) in documents.iter().enumerate() {
        if seq > 0 && seq % rows_each == 0 {
            segments.push(MemorySegment::new(seq as u64));
        }
        segments.last_mut().unwrap().push(&document(owned, seq));
    }
    segments
}

/// The matching events by definition, newest first.
pub(crate) fn by_definition(documents: &[OwnedDocument], filter: &Filter) -> Vec<Hit> {
    let mut hits: Vec<Hit> = (documents.iter().enumerate())
        .map(|(seq, owned)| document(owned, seq))
        .filter(|document| matches(filter, document))
        .map(|document| Hit { time_us: document.time_us, seq: document.seq })
        .collect();
    hits.sort_by(|left, right| right.cmp(left));
    hits
}

/// Checks search, histogram and facets of a filter against their definitions.
pub(crate) fn check(
    segments: &[&dyn Segment],
    documents: &[OwnedDocument],
    filter: &Filter,
    page: &Page,
) -> Result<(), TestCaseError> {
    let expect = by_definition(documents, filter);
    let found = search(segments, filter, page, &NoCounts).unwrap();
    prop_assert_eq!(found.count, expect.len() as u64, "{}", filter);
    let after = expect.iter().copied().skip_while(|hit| page.after.is_some_and(|after| *hit >= after));
    let expect_page: Vec<Hit> = after.skip(page.offset as usize).take(page.limit).collect();
    let hits: Vec<Hit> = found.places.iter().map(|place| place.hit).collect();
    prop_assert_eq!(&hits, &expect_page, "{} {:?}", filter, page);
    for place in &found.places {
        prop_assert_eq!(segments[place.segment].seq_of(place.row).unwrap(), place.hit.seq);
    }
    check_histogram(segments, filter, &expect)?;
    check_facets(segments, documents, filter)
}

fn check_histogram(segments: &[&dyn Segment], filter: &Filter, expect: &[Hit]) -> Result<(), TestCaseError> {
    let (Some(last), Some(first)) = (expect.first(), expect.last()) else { return Ok(()) };
    let step = ((last.time_us - first.time_us) / 7).max(1);
    let edges: Vec<i64> = (0..9).map(|at| first.time_us - step / 2 + at * step).collect();
    let counts = histogram(segments, filter, &edges).unwrap();
    let expect_counts: Vec<u64> = edges
        .windows(2)
        .map(|edge| expect.iter().filter(|hit| (edge[0]..edge[1]).contains(&hit.time_us)).count() as u64)
        .collect();
    prop_assert_eq!(counts, expect_counts, "{}", filter);
    Ok(())
}

fn check_facets(
    segments: &[&dyn Segment],
    documents: &[OwnedDocument],
    filter: &Filter,
) -> Result<(), TestCaseError> {
    for key in [Key::ResourceType, Key::Username, Key::Changed, Key::ResourceTarget, Key::StatusCode, Key::Ip]
    {
        let mut expect: HashMap<String, u64> = HashMap::new();
        for (seq, owned) in documents.iter().enumerate() {
            let document = document(owned, seq);
            if !matches(filter, &document) {
                continue;
            }
            let mut values: Vec<String> = match key {
                Key::StatusCode if document.status_code > 0 => vec![document.status_code.to_string()],
                Key::Ip => document.address().map(|ip| ip.to_string()).into_iter().collect(),
                key => document.texts(key).map(|text| fold(&text).into_owned()).collect(),
            };
            values.sort();
            values.dedup();
            values.into_iter().for_each(|value| *expect.entry(value).or_default() += 1);
        }
        let mut counter = FacetCounter::new(key);
        counter.add(segments, filter).unwrap();
        let found = counter.top(3);
        prop_assert_eq!(found.distinct, expect.len() as u64, "{:?} {}", key, filter);
        let mut top: Vec<(String, u64)> = expect.into_iter().collect();
        top.sort_by(|left, right| right.1.cmp(&left.1).then_with(|| left.0.cmp(&right.0)));
        top.truncate(3);
        prop_assert_eq!(found.top, top, "{:?} {}", key, filter);
    }
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]

    #[test]
    fn finds_what_the_evaluator_finds(
        documents in prop::collection::vec(document_parts(), 0..120),
        filters in prop::collection::vec(filter(), 4),
        rows_each in 1usize..50,
        limit in 0usize..30,
        offset in 0u64..40,
        after in prop::option::of(0usize..120),
    ) {
        let segments = segments(&documents, rows_each);
        let segments: Vec<&dyn Segment> = segments.iter().map(|segment| segment as &dyn Segment).collect();
        let after = after.and_then(|seq| {
            Some(Hit { time_us: documents.get(seq)?.as_document().time_us, seq: seq as u64 })
        });
        let page = Page { limit, offset, after };
        for filter in filters.iter().chain([&Filter::all()]) {
            check(&segments, &documents, filter, &page)?;
        }
    }
}

#[test]
fn many_segments_are_counted_by_several_threads() {
    let segments: Vec<MemorySegment> = (0..200u64)
        .map(|seq| {
            let mut segment = MemorySegment::new(seq);
            let action = if seq % 3 == 0 { "create" } else { "delete" };
            segment.push(&Document { seq, time_us: seq as i64 / 5, action, ..Document::default() });
            segment
        })
        .collect();
    let segments: Vec<&dyn Segment> = segments.iter().map(|segment| segment as &dyn Segment).collect();
    let filter = Filter::from(annals_query::Term::exact(Key::Action, "create")).negate();
    let page = Page { limit: 2, offset: 100, after: None };
    let found = search(&segments, &filter, &page, &NoCounts).unwrap();
    let seqs: Vec<u64> = found.places.iter().map(|place| place.hit.seq).collect();
    assert_eq!((found.count, seqs), (133, vec![49, 47]));
}

#[test]
fn an_id_leads_to_its_seq() {
    let mut segment = MemorySegment::new(7);
    let id = uuid::Uuid::from_u128(5);
    segment.push(&Document { seq: 7, id, ..Default::default() });
    assert_eq!(segment.seq_of_id(id), Some(7));
    assert_eq!(segment.seq_of_id(uuid::Uuid::from_u128(6)), None);
}
