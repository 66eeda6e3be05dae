//! The most frequent values of a key among the matching events.

use std::collections::HashMap;

use annals_query::{Filter, Key};

use crate::{Segment, SegmentError, matching};

/// Values of one key and how many matching events have each.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Facets {
    /// The most frequent values, folded, most first; equal counts by value.
    pub top: Vec<(String, u64)>,
    /// Distinct values in all.
    pub distinct: u64,
}

/// Counts the values of a key, exactly, and returns the `limit` most frequent ones.
///
/// # Errors
/// [`SegmentError`] if a segment is damaged or the key's values are not counted.
pub fn facets(
    segments: &[&dyn Segment],
    filter: &Filter,
    key: Key,
    limit: usize,
) -> Result<Facets, SegmentError> {
    let mut counts: HashMap<Box<str>, u64> = HashMap::new();
    for segment in segments {
        let rows = match filter {
            Filter::And(all) if all.is_empty() => None,
            filter => Some(matching(*segment, filter)?),
        };
        if rows.as_ref().is_some_and(crate::RowSet::is_empty) {
            continue;
        }
        segment.facet(key, rows.as_ref(), &mut |value, count| match counts.get_mut(value) {
            Some(sum) => *sum += u64::from(count),
            None => {
                counts.insert(value.into(), u64::from(count));
            }
        })?;
    }
    let distinct = counts.len() as u64;
    let mut top: Vec<(Box<str>, u64)> = counts.into_iter().collect();
    let order = |left: &(Box<str>, u64), right: &(Box<str>, u64)| {
        right.1.cmp(&left.1).then_with(|| left.0.cmp(&right.0))
    };
    if limit < top.len() {
        top.select_nth_unstable_by(limit, order);
        top.truncate(limit);
    }
    top.sort_unstable_by(order);
    Ok(Facets { top: top.into_iter().map(|(value, count)| (value.into(), count)).collect(), distinct })
}
