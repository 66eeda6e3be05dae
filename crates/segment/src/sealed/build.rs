//! Builds the sections of an index from the rows.

use annals_query::fold;

use super::bytes::to_u32;
use super::columns::{BODY, COLUMN_COUNT, ENVELOPE};
use super::intern::Column;
use super::layout::{Header, Section};
use super::parquet_file::OpenFile;
use super::postings::PostingsWriter;
use super::writer::Rows;
use super::{EVENT_PAGE_ROWS, SegmentWriteError, fingerprints, packed, pages, terms};

/// References to postings leave this many bytes.
const POSTINGS_BYTES_MAX: usize = 1 << 31;

/// Dictionaries and, for each, the texts of a row that go there, by their place in the writer's list. Changed fields, of
/// which a row has any number, are apart.
const TEXT_SECTIONS: [(Section, &[usize]); 17] = [
    (Section::ResourceTypes, &[0]),
    (Section::ResourceTargets, &[2]),
    (Section::Actions, &[3]),
    (Section::Usernames, &[6]),
    (Section::Emails, &[7]),
    (Section::UserIds, &[5]),
    (Section::UserNames, &[15]),
    (Section::Organizations, &[8, 9]),
    (Section::OrganizationNames, &[9]),
    (Section::BuildReasons, &[12]),
    (Section::UserAgents, &[11]),
    (Section::Outcomes, &[14]),
    (Section::ActorTypes, &[4]),
    (Section::Changed, &[]),
    (Section::Sources, &[13]),
    (Section::Impersonators, &[16, 17, 18]),
    (Section::OnBehalfOf, &[19, 20, 21]),
];
const RESOURCE_ID_TEXT: usize = 1;

/// Sections that need the rows but no place in the file, by the number of the section.
pub(super) fn term_sections(
    rows: &Rows,
    order: &[u32],
) -> Result<(Vec<Vec<u8>>, PostingsWriter), SegmentWriteError> {
    let mut sections = vec![Vec::new(); Section::ALL.len()];
    let mut postings = PostingsWriter::default();
    for (section, sources) in TEXT_SECTIONS {
        sections[section as usize] = match section {
            Section::Changed => changed(rows, order, &mut postings),
            _ => texts(rows, sources, order, &mut postings),
        };
    }
    sections[Section::Addresses as usize] = keys(&rows.addresses, order, &mut postings);
    sections[Section::Statuses as usize] = keys(&rows.statuses, order, &mut postings);
    let key = &rows.fingerprint_key;
    let resource_ids = &rows.texts[RESOURCE_ID_TEXT];
    let prints: Vec<u64> = resource_ids
        .values
        .iter()
        .map(|text| fingerprints::fingerprint(key, fold(text).as_bytes()))
        .collect();
    let numbered = (0..).zip(order).filter_map(|(row, arrival)| {
        let number = resource_ids.rows[*arrival as usize];
        Some((prints[number.checked_sub(1)? as usize], row))
    });
    sections[Section::ResourceIds as usize] = fingerprints::encode(numbered.collect(), &mut postings);
    for (section, ids) in [(Section::RequestIds, &rows.request_ids), (Section::Ids, &rows.ids)] {
        let with_rows = (0..).zip(order.iter().map(|arrival| ids[*arrival as usize]));
        let entries = with_rows
            .filter(|(_, id)| !id.is_nil())
            .map(|(row, id)| (fingerprints::fingerprint(key, id.as_bytes()), row));
        sections[section as usize] = fingerprints::encode(entries.collect(), &mut postings);
    }
    let deviations: Vec<i64> = (0..).zip(order).map(|(row, arrival)| i64::from(*arrival) - row).collect();
    if !order.is_sorted() {
        sections[Section::Seqs as usize] = packed::pack(&deviations, true);
    }
    let times: Vec<i64> = order.iter().map(|arrival| rows.times[*arrival as usize]).collect();
    sections[Section::Times as usize] = packed::pack(&times, false);
    if sections.iter().any(|section| section.len() >= u32::MAX as usize)
        || postings.byte_count() >= POSTINGS_BYTES_MAX
    {
        return Err(SegmentWriteError::IndexTooLarge);
    }
    Ok((sections, postings))
}

/// Adds the sections that say where things lie in the file.
pub(super) fn all_sections(
    header: &Header,
    file: &OpenFile,
    mut sections: Vec<Vec<u8>>,
    postings: PostingsWriter,
) -> Vec<Vec<u8>> {
    sections[Section::Postings as usize] = postings.into_bytes();
    let ids = file.ids_range();
    let (bodies, envelopes) = (file.event_pages(BODY), file.event_pages(ENVELOPE));
    debug_assert_eq!(bodies.len(), header.row_count.div_ceil(EVENT_PAGE_ROWS) as usize);
    let id_crcs =
        file.bytes()[ids.clone()].chunks(EVENT_PAGE_ROWS as usize * pages::ID_BYTES).map(crc32fast::hash);
    sections[Section::Pages as usize] = pages::encode(&bodies, &envelopes, ids.start as u64, id_crcs);
    let columns = &mut sections[Section::Columns as usize];
    for column in 0..COLUMN_COUNT {
        let range = file.column_range(column);
        columns.extend((range.start as u64).to_le_bytes());
        columns.extend((range.len() as u64).to_le_bytes());
        columns.extend(crc32fast::hash(&file.bytes()[range]).to_le_bytes());
    }
    sections
}

/// The dictionary of some texts of the rows, together.
fn texts(rows: &Rows, sources: &[usize], order: &[u32], postings: &mut PostingsWriter) -> Vec<u8> {
    let columns: Vec<_> = sources.iter().map(|source| &rows.texts[*source]).collect();
    let (folded, numbers) = fold_all(&columns);
    let each = |emit: &mut dyn FnMut(u32, u32)| {
        for (row, arrival) in (0..).zip(order) {
            for (column, numbers) in columns.iter().zip(&numbers) {
                if let Some(index) = column.rows[*arrival as usize].checked_sub(1) {
                    emit(row, numbers[index as usize]);
                }
            }
        }
    };
    let (references, present) = lists(folded.len(), &each, postings);
    let folded: Vec<&str> = folded.iter().map(AsRef::as_ref).collect();
    terms::encode_texts(&folded, &references, present)
}

fn changed(rows: &Rows, order: &[u32], postings: &mut PostingsWriter) -> Vec<u8> {
    let (folded, numbers) = fold_all(&[&rows.changed]);
    let numbers = numbers.concat();
    let each = |emit: &mut dyn FnMut(u32, u32)| {
        for (row, arrival) in (0..).zip(order) {
            let arrival = *arrival as usize;
            let start = arrival.checked_sub(1).map_or(0, |before| rows.changed_ends[before] as usize);
            for number in &rows.changed.rows[start..rows.changed_ends[arrival] as usize] {
                emit(row, numbers[*number as usize - 1]);
            }
        }
    };
    let (references, present) = lists(folded.len(), &each, postings);
    let folded: Vec<&str> = folded.iter().map(AsRef::as_ref).collect();
    terms::encode_texts(&folded, &references, present)
}

/// The distinct folded values of some columns, sorted, and for each column the number of the folded value by the index of the
/// value.
fn fold_all<'c>(
    columns: &[&'c Column<std::sync::Arc<str>>],
) -> (Vec<std::borrow::Cow<'c, str>>, Vec<Vec<u32>>) {
    let mut all = Vec::new();
    for (at, column) in columns.iter().enumerate() {
        all.extend((0usize..).zip(&column.values).map(|(index, text)| (fold(text), at, index)));
    }
    all.sort_unstable();
    let mut numbers: Vec<Vec<u32>> = columns.iter().map(|column| vec![0; column.values.len()]).collect();
    let mut folded: Vec<std::borrow::Cow<'c, str>> = Vec::new();
    for (text, at, index) in all {
        if folded.last() != Some(&text) {
            folded.push(text);
        }
        numbers[at][index] = to_u32(folded.len()) - 1;
    }
    (folded, numbers)
}

fn keys<const N: usize>(column: &Column<[u8; N]>, order: &[u32], postings: &mut PostingsWriter) -> Vec<u8> {
    let mut sorted: Vec<(usize, [u8; N])> = column.values.iter().copied().enumerate().collect();
    sorted.sort_unstable_by_key(|(_, key)| *key);
    let mut numbers = vec![0; sorted.len()];
    for (number, (index, _)) in (0u32..).zip(&sorted) {
        numbers[*index] = number;
    }
    let each = |emit: &mut dyn FnMut(u32, u32)| {
        for (row, arrival) in (0..).zip(order) {
            if let Some(index) = column.rows[*arrival as usize].checked_sub(1) {
                emit(row, numbers[index as usize]);
            }
        }
    };
    let (references, present) = lists(sorted.len(), &each, postings);
    let keys: Vec<[u8; N]> = sorted.into_iter().map(|(_, key)| key).collect();
    terms::encode_keys(&keys, &references, present)
}

/// Calls its argument with every (row, term), rows rising.
type Pairs<'p> = dyn Fn(&mut dyn FnMut(u32, u32)) + 'p;

/// Writes the rows of each term and of all terms together, and returns the references to them.
fn lists(term_count: usize, each: &Pairs<'_>, postings: &mut PostingsWriter) -> (Vec<u32>, u32) {
    // Twice over the rows, so that all lists stand in one piece of memory.
    let mut ends = vec![0u32; term_count + 1];
    each(&mut |_, term| ends[term as usize + 1] += 1);
    for at in 1..ends.len() {
        ends[at] += ends[at - 1];
    }
    let starts = ends.clone();
    let mut rows = vec![0u32; ends.last().map_or(0, |end| *end as usize)];
    let mut present: Vec<u32> = Vec::new();
    each(&mut |row, term| {
        let end = &mut ends[term as usize];
        // Two texts of one row can be the same term.
        if *end > starts[term as usize] && rows[*end as usize - 1] == row {
            return;
        }
        rows[*end as usize] = row;
        *end += 1;
        if present.last() != Some(&row) {
            present.push(row);
        }
    });
    let list = |term: usize| &rows[starts[term] as usize..ends[term] as usize];
    let references = (0..term_count).map(|term| postings.push(list(term))).collect();
    (references, postings.push(&present))
}
