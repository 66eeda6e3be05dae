//! The file of a sealed segment: damage is named, newer versions are refused, and version 1 stays what it is.

use annals_query::strategies::OwnedDocument;
use annals_query::{Filter, Key, Pattern, Term, Test};
use annals_segment::{
    RowSet, SEALED_VERSION, SealedRow, SealedSegment, Segment, SegmentError, SegmentFile, SegmentWriteError,
    SegmentWriter, check_file, each_event, find_index,
};
use bytes::Bytes;
use sha2::{Digest as _, Sha256};

use crate::sealed::{FIRST_SEQ, index_of, open, page_parts, seal};

/// Where the sections' entries begin in the directory, their length, and their names in order.
const ENTRIES_AT: usize = 96;
const ENTRY_BYTES: usize = 20;
const SECTIONS: [&str; 27] = [
    "times",
    "seqs",
    "page table",
    "column table",
    "postings",
    "addresses",
    "status codes",
    "resource ids",
    "request ids",
    "ids",
    "resource types",
    "resource targets",
    "actions",
    "usernames",
    "emails",
    "user ids",
    "user names",
    "organizations",
    "organization names",
    "build reasons",
    "user agents",
    "outcomes",
    "actor types",
    "changed fields",
    "sources",
    "impersonators",
    "on behalf of",
];

/// Documents with a value for every key, some shared and some not, and some late.
fn documents(rows: i64) -> Vec<OwnedDocument> {
    let text = |name: &str, number: i64| format!("{name}-{number}");
    let actor = |name: &str, number: i64| annals_query::strategies::OwnedActor {
        id: text("id", number),
        username: text(name, number),
        email: format!("{name}-{number}@example.test"),
        name: text("Name", number),
    };
    (0..rows)
        .map(|row| OwnedDocument {
            time_us: if row % 10 == 9 { row - 50 } else { row },
            id: uuid::Uuid::from_u128(0x0190_0000_0000_7000_8000_0000_0000_0000 + row as u128),
            resource_type: text("type", row % 3),
            resource_id: text("resource", row % 90),
            resource_target: text("target", row % 70),
            action: text("action", row % 2),
            actor_type: "user".into(),
            user: actor("user", row % 20),
            impersonator: actor("admin", row % 5),
            on_behalf_of: actor("boss", row % 4),
            organization_id: text("org-id", row % 2),
            organization_name: text("org", row % 2),
            ip: Some(std::net::Ipv4Addr::from(0x0A00_0000 + row as u32 % 30).into()),
            user_agent: text("agent", row % 3),
            request_id: Some(uuid::Uuid::from_u128(row as u128 + 1)),
            status_code: [200, 404, 500][row as usize % 3],
            build_reason: text("reason", row % 2),
            changed: vec![text("field", row % 6), "name".into()],
            source: "test".into(),
            ..OwnedDocument::default()
        })
        .collect()
}

fn with_flip(bytes: &[u8], at: usize) -> Vec<u8> {
    let mut bytes = bytes.to_vec();
    bytes[at] ^= 1 << (at % 8);
    bytes
}

fn section_range(index: &[u8], section: usize) -> std::ops::Range<usize> {
    let entry = ENTRIES_AT + ENTRY_BYTES * section;
    let number = |at: usize| u64::from_le_bytes(index[at..at + 8].try_into().unwrap()) as usize;
    number(entry + 4)..number(entry + 4) + number(entry + 12)
}

/// Every question that reads some section.
fn questions() -> Vec<Term> {
    let exact = |key, value: &str| Term::exact(key, value);
    let mut questions: Vec<Term> = Key::ALL.into_iter().map(|key| Term::new(key, Test::Exists)).collect();
    questions.extend([
        exact(Key::ResourceId, "resource-7"),
        exact(Key::ResourceTarget, "target-7"),
        exact(Key::Username, "user-7"),
        Term::new(Key::Text, Test::AnyOf(vec![Pattern::Contains("1".into())])),
        Term::new(Key::Time, Test::Time { from_us: Some(17), before_us: Some(90) }),
        Term::new(Key::Seq, Test::Int { at_least: Some(1_017), at_most: Some(1_090) }),
        Term::new(Key::StatusCode, Test::Int { at_least: Some(400), at_most: None }),
        Term::new(Key::Id, Test::Uuid(vec![uuid::Uuid::from_u128(9)])),
        Term::new(Key::RequestId, Test::Uuid(vec![uuid::Uuid::from_u128(9)])),
        Term::new(Key::Ip, Test::Net(vec!["10.0.0.0/28".parse().unwrap()])),
    ]);
    questions
}

/// What a segment answers; damage is an answer too.
fn answers(segment: &SealedSegment<&[u8]>) -> Vec<Result<Vec<u32>, SegmentError>> {
    let rows = questions().into_iter().map(|term| segment.term_rows(&term).map(|rows| rows.iter().collect()));
    let places = [3, 250].map(|row| segment.seq_of(row).map(|seq| vec![seq as u32]));
    rows.chain(places).collect()
}

#[test]
fn a_flipped_bit_in_a_section_is_named_and_never_changes_an_answer() {
    let file = seal(&documents(300));
    let right = answers(&open(&file));
    assert!(right.iter().all(Result::is_ok));
    let index = index_of(&file);
    for (section, name) in SECTIONS.into_iter().enumerate() {
        let range = section_range(index, section);
        assert!(!range.is_empty(), "{name} is empty");
        for at in range.clone().step_by((range.len() / 7).max(1)) {
            let damaged = with_flip(index, at);
            let segment = SealedSegment::open(damaged.as_slice()).unwrap();
            let found = answers(&segment);
            for (found, right) in found.iter().zip(&right) {
                match found {
                    Ok(_) => assert_eq!(found, right, "{name}"),
                    Err(SegmentError::Damaged { what }) => assert!(what.starts_with(name), "{name}: {what}"),
                    Err(error) => panic!("{name}: {error}"),
                }
            }
            let error = segment.check_all().unwrap_err().to_string();
            assert!(error.contains(&format!("{name}: wrong checksum")), "{name}: {error}");
            let mut whole = file.bytes.clone();
            whole[file.index_at as usize + at] = damaged[at];
            assert!(check_file(&whole).unwrap_err().to_string().contains(name), "{name}");
        }
    }
}

/// What a bug or a forger could write: nonsense under right checksums. Answers may be wrong then; nothing may panic.
#[test]
fn nonsense_under_right_checksums_does_not_panic() {
    let file = seal(&documents(300));
    let index = index_of(&file);
    let (directory, crcs_at) = (section_range(index, 0).start, ENTRIES_AT + ENTRY_BYTES * SECTIONS.len());
    for section in 0..SECTIONS.len() {
        let range = section_range(index, section);
        for (at, mask) in
            range.clone().take(40).chain(range.clone().step_by(29)).zip([0xFF, 0x80, 0x01].iter().cycle())
        {
            let mut forged = index.to_vec();
            forged[at] ^= mask;
            let crc = crc32fast::hash(&forged[range.clone()]);
            forged[crcs_at + 4 * section..][..4].copy_from_slice(&crc.to_le_bytes());
            let directory_crc = crc32fast::hash(&forged[..directory - 4]);
            forged[directory - 4..directory].copy_from_slice(&directory_crc.to_le_bytes());
            let segment = SealedSegment::open(forged.as_slice()).unwrap();
            answers(&segment);
            for key in Key::ALL {
                let rows = RowSet::range(10..200);
                _ = segment.facet(key, Some(&rows), &mut |_, _| {});
            }
            for row in 0..300 {
                _ = (segment.time_of(row), segment.seq_of(row), segment.first_row_at(i64::from(row)));
            }
            for page in 0..5 {
                _ = segment.page_ranges(page);
            }
            _ = segment.rows_of_seqs(FIRST_SEQ..FIRST_SEQ + 9);
        }
    }
}

#[test]
fn a_flipped_bit_in_the_directory_does_not_open() {
    let file = seal(&documents(100));
    let index = index_of(&file);
    for at in 0..section_range(index, 0).start {
        let error = SealedSegment::open(with_flip(index, at)).unwrap_err();
        let is_named =
            matches!(&error, SegmentError::Damaged { what } if what.starts_with("index directory"));
        // The version stands before the checksum, so that a newer one is told from damage; a flip can look like it.
        assert!(is_named || (4..8).contains(&at), "{at}: {error}");
    }
}

#[test]
fn a_flipped_bit_in_a_page_is_named() {
    let file = seal(&documents(200));
    let segment = open(&file);
    for page in 0..4 {
        let parts = page_parts(&file, &segment, page);
        for (part, what) in ["body", "envelope", "ids"].into_iter().enumerate() {
            for at in (0..parts[part].len()).step_by(5) {
                let mut damaged = parts.clone();
                damaged[part] = Bytes::from(with_flip(&parts[part], at));
                let error = segment.decode_page(page, &damaged).unwrap_err().to_string();
                assert!(error.contains(&format!("{what} of page {page}")), "{error}");
            }
            let mut short = parts.clone();
            short[part] = parts[part].slice(1..);
            assert!(segment.decode_page(page, &short).is_err());
        }
    }
}

#[test]
fn any_flipped_bit_of_the_file_is_found() {
    let file = seal(&documents(150)).bytes;
    check_file(&file).unwrap();
    for at in (0..file.len()).step_by(11).chain(file.len() - 300..file.len()) {
        assert!(check_file(&with_flip(&file, at)).is_err(), "byte {at}");
    }
}

#[test]
fn a_flipped_bit_stops_no_repair() {
    let file = seal(&documents(150)).bytes;
    let mut seqs = Vec::new();
    each_event(file.clone().into(), &mut |event| seqs.push(event.seq)).unwrap();
    assert_eq!(seqs.len(), 150);
    // An error or other events: the tree tells those apart. The library panics at some of them, which stays inside.
    let failures =
        (0..file.len()).filter(|at| each_event(with_flip(&file, *at).into(), &mut |_| {}).is_err());
    assert!(failures.count() > 100);
}

#[test]
fn a_cut_off_file_is_refused() {
    let file = seal(&documents(100));
    for length in (0..file.bytes.len()).step_by(37).chain(file.bytes.len() - 20..file.bytes.len()) {
        assert!(check_file(&file.bytes[..length]).is_err(), "{length} bytes");
    }
    let index = index_of(&file);
    for length in (0..index.len()).step_by(7) {
        assert!(SealedSegment::open(&index[..length]).is_err(), "{length} bytes");
    }
    let mut longer = index.to_vec();
    longer.push(0);
    assert!(SealedSegment::open(longer).is_err());
}

#[test]
fn a_newer_version_is_refused_by_name() {
    let file = seal(&documents(10));
    let newer = SegmentError::UnknownVersion { found: SEALED_VERSION + 1, supported: SEALED_VERSION };
    let mut index = index_of(&file).to_vec();
    index[4] = 2;
    assert_eq!(SealedSegment::open(index).unwrap_err(), newer);
    let mut bytes = file.bytes.clone();
    let at = bytes.windows(10).rposition(|window| window == b"version=1 ").unwrap();
    bytes[at + 8] = b'2';
    assert_eq!(find_index(&bytes), Err(newer.clone()));
    assert_eq!(check_file(&bytes), Err(newer));
}

#[test]
fn the_index_is_found_from_the_end() {
    let file = seal(&documents(10));
    let place = find_index(&file.bytes).unwrap();
    assert_eq!((place.at, place.bytes), (file.index_at, file.index_bytes));
    assert!(find_index(b"PAR1").is_err());
    assert!(find_index(b"").is_err());
}

#[test]
fn a_file_says_what_it_holds() {
    let file = seal(&documents(40));
    assert_eq!((file.first_seq, file.row_count, file.time_range), (FIRST_SEQ, 40, (-41, 38)));
    assert_eq!((file.id_times_ms, file.has_other_ids), (Some((0x0190_0000_0000, 0x0190_0000_0000)), false));
    let other = seal(&[OwnedDocument { id: uuid::Uuid::from_u128(1), ..OwnedDocument::default() }]);
    assert_eq!((other.id_times_ms, other.has_other_ids), (None, true));
    let segment = open(&file);
    assert_eq!(segment.rows_with_id(uuid::Uuid::nil()).unwrap(), Vec::<u32>::new());
    assert_eq!(Segment::time_range(&segment), Some(file.time_range));
}

#[test]
fn the_writer_refuses_what_it_cannot_write() {
    assert!(matches!(SegmentWriter::new(0, [0; 16]).finish(), Err(SegmentWriteError::Empty)));
    let mut writer = SegmentWriter::new(5, [0; 16]);
    let document = annals_query::Document { seq: 6, ..Default::default() };
    let row = SealedRow { document: &document, received_us: 0, body: "{}", envelope: b"" };
    assert!(matches!(writer.push(&row), Err(SegmentWriteError::WrongSeq { expected: 5, found: 6 })));
    let document = annals_query::Document { seq: 5, ..Default::default() };
    let envelope = vec![0; annals_segment::EVENT_BYTES_MAX + 1];
    let row = SealedRow { document: &document, received_us: 0, body: "{}", envelope: &envelope };
    assert!(matches!(writer.push(&row), Err(SegmentWriteError::EventTooLarge { what: "envelope", .. })));
    assert_eq!(writer.row_count(), 0);
}

#[test]
fn events_without_any_value_are_kept() {
    let file = seal(&vec![OwnedDocument::default(); 70]);
    check_file(&file.bytes).unwrap();
    assert_eq!(annals_segment::count(&open(&file), &Filter::all()).unwrap(), 70);
}

#[test]
fn the_same_rows_give_the_same_bytes_and_version_1_stays() {
    let make = || -> SegmentFile { seal(&documents(300)) };
    let (one, other) = (make(), make());
    assert_eq!(one, other);
    // The format is a promise. If this fails, either a library writes Parquet differently (then readers must be shown to
    // agree, and a retry over an update of Annals writes other bytes), or the format changed (then it needs a new version).
    let digest =
        |bytes: &[u8]| -> String { Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect() };
    assert_eq!(digest(index_of(&one)), "811524ede1f1ecc1be738d7d7118849dd380c10057258d56b22159f2e24c4c60");
    assert_eq!(digest(&one.bytes), "b2450a2ef7980564c748b89b4dfde102961928519d46226ac5386bdc0ff96729");
}
