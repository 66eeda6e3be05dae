//! Sealed segments against the plain evaluator, and what goes in against what comes out.

use std::collections::BTreeMap;
use std::fmt;
use std::ops::Range;
use std::sync::Arc;

use annals_query::strategies::{OwnedDocument, document_parts, filter, term};
use annals_query::{Filter, Glob, Key, Pattern, Term, Test, matches};
use annals_segment::{
    EVENT_PAGE_ROWS, PageSource, RowSet, SealedRow, SealedSegment, Segment, SegmentError, SegmentFile,
    SegmentWriter, count, matching,
};
use bytes::Bytes;
use proptest::prelude::*;

pub(crate) const FIRST_SEQ: u64 = 1_000;

/// A file in memory.
#[derive(Clone)]
pub(crate) struct InMemory(pub(crate) Bytes);

impl fmt::Debug for InMemory {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} bytes", self.0.len())
    }
}

impl PageSource for InMemory {
    fn read(&self, range: Range<u64>) -> Result<Bytes, SegmentError> {
        Ok(self.0.slice(range.start as usize..range.end as usize))
    }
}

pub(crate) fn body(row: usize) -> String {
    let text = ["ünï", "a \"quoted\" text", "", "名前"][row % 4];
    format!("{{\"n\":{row},\"text\":\"{text}\"}}")
}

pub(crate) fn envelope(row: usize) -> Vec<u8> {
    (0..row % 37).map(|at| (row * 31 + at * 7) as u8).collect()
}

pub(crate) fn seal(documents: &[OwnedDocument]) -> SegmentFile {
    let mut writer = SegmentWriter::new(FIRST_SEQ, [7; 16]);
    for (row, owned) in documents.iter().enumerate() {
        let mut document = owned.as_document();
        document.seq = FIRST_SEQ + row as u64;
        let (body, envelope) = (body(row), envelope(row));
        let received_us = document.time_us.saturating_add(5);
        writer
            .push(&SealedRow { document: &document, received_us, body: &body, envelope: &envelope })
            .unwrap();
    }
    writer.finish().unwrap()
}

pub(crate) fn index_of(file: &SegmentFile) -> &[u8] {
    &file.bytes[file.index_at as usize..(file.index_at + file.index_bytes) as usize]
}

pub(crate) fn open(file: &SegmentFile) -> SealedSegment<&[u8]> {
    let source = Arc::new(InMemory(Bytes::copy_from_slice(&file.bytes)));
    SealedSegment::open(index_of(file)).unwrap().with_source(source)
}

pub(crate) fn page_parts(file: &SegmentFile, segment: &SealedSegment<&[u8]>, page: u32) -> [Bytes; 3] {
    let ranges = segment.page_ranges(page).unwrap();
    ranges.map(|range| Bytes::copy_from_slice(&file.bytes[range.start as usize..range.end as usize]))
}

/// The documents as a segment has them: seqs given, sorted by (time, seq).
fn in_order(documents: &[OwnedDocument]) -> Vec<OwnedDocument> {
    let mut sorted = documents.to_vec();
    for (seq, document) in (FIRST_SEQ..).zip(&mut sorted) {
        document.seq = seq;
    }
    sorted.sort_by_key(|document| (document.time_us, document.seq));
    sorted
}

fn rows_by_definition(sorted: &[OwnedDocument], filter: &Filter) -> RowSet {
    let rows = (0..).zip(sorted).filter(|(_, document)| matches(filter, &document.as_document()));
    RowSet::from_sorted(rows.map(|(row, _)| row).collect())
}

fn check_answers(
    segment: &SealedSegment<&[u8]>,
    sorted: &[OwnedDocument],
    filters: &[Filter],
) -> Result<(), TestCaseError> {
    for filter in filters {
        let expect = rows_by_definition(sorted, filter);
        prop_assert_eq!(&matching(segment, filter).unwrap(), &expect, "{}", filter);
        prop_assert_eq!(count(segment, filter).unwrap(), expect.len(), "{}", filter);
        if let Filter::Term(term) = filter {
            prop_assert_eq!(&segment.term_rows(term).unwrap(), &expect, "{}", filter);
            for rows in [
                RowSet::range(0..segment.row_count() / 2),
                RowSet::from_sorted((0..segment.row_count()).step_by(3).collect()),
                RowSet::from_sorted((0..segment.row_count()).step_by(200).collect()),
            ] {
                let within = segment.term_rows_within(term, &rows).unwrap();
                prop_assert_eq!(within, expect.intersection(&rows), "{} within", filter);
            }
        }
    }
    Ok(())
}

fn check_places(segment: &SealedSegment<&[u8]>, sorted: &[OwnedDocument]) -> Result<(), TestCaseError> {
    prop_assert_eq!(segment.row_count() as usize, sorted.len());
    for (row, document) in (0..).zip(sorted) {
        prop_assert_eq!(segment.time_of(row).unwrap(), document.time_us);
        prop_assert_eq!(segment.seq_of(row).unwrap(), document.seq);
        let first = sorted.partition_point(|other| other.time_us < document.time_us);
        prop_assert_eq!(segment.first_row_at(document.time_us).unwrap() as usize, first);
    }
    prop_assert!(segment.time_of(segment.row_count()).is_err());
    Ok(())
}

/// Times as they come: in order, late, equal, before 1970, at the ends of what can be said.
fn times() -> impl Strategy<Value = Vec<Option<i64>>> {
    let time = prop_oneof![
        6 => Just(None),
        1 => (-5i64..5).prop_map(Some),
        1 => any::<i64>().prop_map(Some),
        1 => prop_oneof![Just(i64::MIN), Just(i64::MAX)].prop_map(Some),
    ];
    prop::collection::vec(time, 1..20)
}

/// Many rows from few documents, so that terms have thousands of rows and rows fill many pages and blocks.
fn repeat(
    pool: &[OwnedDocument],
    rows: usize,
    times: &[Option<i64>],
    late_every: usize,
) -> Vec<OwnedDocument> {
    let mut documents = Vec::with_capacity(rows);
    for row in 0..rows {
        let mut document = pool[(row * 7_919 + row / 13) % pool.len()].clone();
        let late = if row % late_every == 0 { 40_000_000 } else { 0 };
        document.time_us = times[row % times.len()].unwrap_or(row as i64 * 10_007 - late);
        document.request_id = (row % 3 == 0).then(|| uuid::Uuid::from_u128(1 + row as u128 / 2));
        documents.push(document);
    }
    documents
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn answers_what_the_evaluator_answers(
        mut documents in prop::collection::vec(document_parts(), 1..160),
        filters in prop::collection::vec(filter(), 8),
        terms in prop::collection::vec(term(), 16),
        times in times(),
    ) {
        for (document, time_us) in documents.iter_mut().zip(times.iter().cycle()) {
            document.time_us = time_us.unwrap_or(document.time_us);
        }
        let file = seal(&documents);
        let segment = open(&file);
        let sorted = in_order(&documents);
        check_places(&segment, &sorted)?;
        let terms = terms.into_iter().map(|mut term| {
            // Seqs of the pool begin at 0.
            if let (Key::Seq, Test::Int { at_least, at_most }) = (term.key, &mut term.test) {
                *at_least = at_least.map(|least| least + FIRST_SEQ as i64);
                *at_most = at_most.map(|most| most + FIRST_SEQ as i64);
            }
            Filter::Term(term)
        });
        let filters: Vec<Filter> = filters.into_iter().chain(terms).chain([Filter::all()]).collect();
        check_answers(&segment, &sorted, &filters)?;
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(4))]

    #[test]
    fn answers_over_many_pages_blocks_and_containers(
        pool in prop::collection::vec(document_parts(), 3..30),
        filters in prop::collection::vec(filter(), 8),
        terms in prop::collection::vec(term(), 16),
        times in times(),
        rows in 4_500usize..9_500,
        late_every in prop_oneof![Just(usize::MAX), Just(100usize), Just(3)],
    ) {
        let documents = repeat(&pool, rows, &times, late_every);
        let file = seal(&documents);
        let segment = open(&file);
        let sorted = in_order(&documents);
        check_places(&segment, &sorted)?;
        let filters: Vec<Filter> = filters.into_iter().chain(terms.into_iter().map(Filter::Term)).collect();
        check_answers(&segment, &sorted, &filters)?;
        for seqs in [FIRST_SEQ..FIRST_SEQ + 10, FIRST_SEQ + 100..FIRST_SEQ + 4_000, 0..u64::MAX, 5..5] {
            let expect: Vec<u32> =
                (0..).zip(&sorted).filter(|(_, document)| seqs.contains(&document.seq)).map(|(row, _)| row).collect();
            prop_assert_eq!(segment.rows_of_seqs(seqs.clone()).unwrap(), RowSet::from_sorted(expect), "{:?}", seqs);
        }
        for (row, document) in (0..).zip(&sorted).step_by(997) {
            prop_assert_eq!(segment.row_of_seq(document.seq).unwrap(), Some(row));
            prop_assert!(segment.rows_with_id(document.id).unwrap().contains(&row));
        }
        prop_assert_eq!(segment.row_of_seq(FIRST_SEQ + rows as u64).unwrap(), None);
    }

    #[test]
    fn every_event_comes_back_byte_for_byte(
        pool in prop::collection::vec(document_parts(), 3..10),
        rows in 1usize..400,
        late_every in 1usize..50,
    ) {
        let documents = repeat(&pool, rows, &[None], late_every);
        let file = seal(&documents);
        let segment = open(&file);
        let sorted = in_order(&documents);
        for page in 0..segment.row_count().div_ceil(EVENT_PAGE_ROWS) {
            let events = segment.decode_page(page, &page_parts(&file, &segment, page)).unwrap();
            for row in events.rows() {
                prop_assert_eq!(segment.place(row).page, page);
                let document = &sorted[row as usize];
                let arrival = (document.seq - FIRST_SEQ) as usize;
                let event = events.get(row).unwrap();
                prop_assert_eq!(event.id, document.id.into_bytes());
                prop_assert_eq!(event.body, body(arrival));
                prop_assert_eq!(event.envelope, envelope(arrival));
            }
            prop_assert!(events.get(events.rows().end).is_none());
        }
        prop_assert!(segment.page_ranges(segment.row_count().div_ceil(EVENT_PAGE_ROWS)).is_err());
    }

    #[test]
    fn facets_count_every_value(
        pool in prop::collection::vec(document_parts(), 3..30),
        within in filter(),
        rows in 1usize..6_000,
    ) {
        let documents = repeat(&pool, rows, &[None], 50);
        let file = seal(&documents);
        let segment = open(&file);
        let sorted = in_order(&documents);
        let within = matching(&segment, &within).unwrap();
        for key in Key::ALL {
            for rows in [None, Some(&within)] {
                let mut found = BTreeMap::new();
                let result = segment.facet(key, rows, &mut |value, count| {
                    assert!(found.insert(value.to_owned(), count).is_none());
                });
                match values_by_definition(&sorted, key, rows) {
                    Some(expect) => prop_assert_eq!(found, expect),
                    None => prop_assert_eq!(result, Err(SegmentError::NotCounted(key))),
                }
            }
        }
    }
}

fn values_by_definition(
    sorted: &[OwnedDocument],
    key: Key,
    rows: Option<&RowSet>,
) -> Option<BTreeMap<String, u32>> {
    let mut counts = BTreeMap::new();
    for (row, owned) in (0..).zip(sorted) {
        let document = owned.as_document();
        let mut values: Vec<String> = match key {
            Key::ResourceId | Key::RequestId | Key::Id | Key::Seq | Key::Time | Key::Text => return None,
            Key::Impersonator | Key::OnBehalfOf => return None,
            Key::Ip => document.address().iter().map(ToString::to_string).collect(),
            Key::StatusCode => {
                (document.status_code > 0).then(|| document.status_code.to_string()).into_iter().collect()
            }
            Key::Organization => vec![document.organization_name.to_owned()],
            key => document.texts(key).map(|text| text.into_owned()).collect(),
        };
        values = values.iter().map(|value| annals_query::fold(value).into_owned()).collect();
        values.sort();
        values.dedup();
        for value in values.into_iter().filter(|value| !value.is_empty()) {
            if rows.is_none_or(|rows| rows.contains(row)) {
                *counts.entry(value).or_default() += 1;
            }
        }
    }
    Some(counts)
}

#[test]
fn wildcards_in_resource_ids_read_the_column() {
    let documents: Vec<OwnedDocument> = (0..300)
        .map(|row| OwnedDocument {
            resource_id: if row % 5 == 0 { String::new() } else { format!("ID-{row}") },
            time_us: row,
            ..OwnedDocument::default()
        })
        .collect();
    let file = seal(&documents);
    let glob = |text| {
        Filter::Term(Term::new(Key::ResourceId, Test::AnyOf(vec![Pattern::Glob(Glob::from_wildcards(text))])))
    };
    let segment = open(&file);
    assert_eq!(count(&segment, &glob("id-1*")).unwrap(), 1 + 8 + 80);
    assert_eq!(count(&segment, &glob("*9")).unwrap(), 30);
    let without_file = SealedSegment::open(index_of(&file)).unwrap();
    assert!(matches!(count(&without_file, &glob("id-1*")), Err(SegmentError::Unreadable { .. })));
    assert_eq!(count(&without_file, &Filter::Term(Term::exact(Key::ResourceId, "id-1"))).unwrap(), 1);
}
