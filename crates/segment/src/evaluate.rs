//! A filter becomes rows of one segment. Segments answer single terms; joining them is the same for all.

use annals_query::{Filter, Key, Pattern, Term, Test};

use crate::{RowSet, Segment, SegmentError};

/// Returns the rows that match, exactly those for which [`annals_query::matches`] is true.
///
/// # Errors
/// [`SegmentError`] if the segment is damaged.
pub fn matching(segment: &dyn Segment, filter: &Filter) -> Result<RowSet, SegmentError> {
    match filter {
        Filter::Term(term) => segment.term_rows(term),
        _ => matching_within(segment, filter, &RowSet::range(0..segment.row_count())),
    }
}

/// Counts the rows that match, without making them where the segment knows the number.
///
/// # Errors
/// [`SegmentError`] if the segment is damaged.
pub fn count(segment: &dyn Segment, filter: &Filter) -> Result<u32, SegmentError> {
    match filter {
        Filter::Term(term) => segment.term_count(term),
        Filter::Not(inner) => Ok(segment.row_count() - count(segment, inner)?),
        Filter::And(filters) if filters.is_empty() => Ok(segment.row_count()),
        Filter::And(_) | Filter::Or(_) => Ok(matching(segment, filter)?.len()),
    }
}

/// Returns the rows of a set that match. The smaller the set, the less work.
fn matching_within(segment: &dyn Segment, filter: &Filter, rows: &RowSet) -> Result<RowSet, SegmentError> {
    if rows.is_empty() {
        return Ok(RowSet::empty());
    }
    match filter {
        Filter::Term(term) => segment.term_rows_within(term, rows),
        Filter::Not(inner) => Ok(rows.difference(&matching_within(segment, inner, rows)?)),
        Filter::Or(filters) => {
            let mut found = RowSet::empty();
            for filter in filters {
                found = found.union(&matching_within(segment, filter, rows)?);
            }
            Ok(found)
        }
        Filter::And(filters) => all_of(segment, filters, rows),
    }
}

/// Begins with the rarest term, so that every further one looks at few rows; what must look at many terms comes last.
fn all_of(segment: &dyn Segment, filters: &[Filter], rows: &RowSet) -> Result<RowSet, SegmentError> {
    let mut ordered: Vec<(u32, &Filter)> = Vec::with_capacity(filters.len());
    for filter in filters {
        let cost = match filter {
            Filter::Term(term) if is_counted_at_once(term) => match segment.term_count(term)? {
                0 => return Ok(RowSet::empty()),
                count => count,
            },
            Filter::Term(_) => u32::MAX - 1,
            _ => u32::MAX,
        };
        ordered.push((cost, filter));
    }
    ordered.sort_by_key(|(cost, _)| *cost);
    let mut rows = rows.clone();
    let mut is_first = rows.len() == segment.row_count();
    for (_, filter) in ordered {
        rows = match filter {
            Filter::Term(term) if is_first => segment.term_rows(term)?,
            _ => matching_within(segment, filter, &rows)?,
        };
        is_first = false;
        if rows.is_empty() {
            break;
        }
    }
    Ok(rows)
}

/// Whether the number of rows is a look-up rather than a walk over terms.
fn is_counted_at_once(term: &Term) -> bool {
    match &term.test {
        Test::AnyOf(patterns) => {
            term.key != Key::Text && patterns.iter().all(|pattern| matches!(pattern, Pattern::Exact(_)))
        }
        Test::Net(nets) => nets.iter().all(|net| net.prefix_len() == net.max_prefix_len()),
        Test::Uuid(_) | Test::Time { .. } => true,
        Test::Int { .. } => term.key == Key::StatusCode,
        Test::Exists => true,
    }
}
