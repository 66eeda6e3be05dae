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

/// Keys whose values can be counted.
pub const FACET_KEYS: [Key; 15] = [
    Key::ResourceType,
    Key::ResourceTarget,
    Key::Action,
    Key::Username,
    Key::Email,
    Key::UserId,
    Key::Organization,
    Key::BuildReason,
    Key::UserAgent,
    Key::Outcome,
    Key::ActorType,
    Key::Changed,
    Key::Source,
    Key::Ip,
    Key::StatusCode,
];
/// Distinct values that are held at once; each takes some 100 bytes.
const VALUES_MAX: usize = 1_000_000;

/// Counts the values of a key, exactly, over one list of segments after the other.
#[derive(Debug)]
pub struct FacetCounter {
    key: Key,
    counts: HashMap<Box<str>, u64>,
}

impl FacetCounter {
    /// A counter that has seen no segment.
    pub fn new(key: Key) -> FacetCounter {
        FacetCounter { key, counts: HashMap::new() }
    }

    /// Adds the values of the matching events of some segments.
    ///
    /// # Errors
    /// [`SegmentError`] if a segment is damaged, the key's values are not counted, or there are too many of them.
    pub fn add(&mut self, segments: &[&dyn Segment], filter: &Filter) -> Result<(), SegmentError> {
        if !FACET_KEYS.contains(&self.key) {
            return Err(SegmentError::NotCounted(self.key));
        }
        let counts = &mut self.counts;
        for segment in segments {
            let rows = match filter {
                Filter::And(all) if all.is_empty() => None,
                filter => Some(matching(*segment, filter)?),
            };
            if rows.as_ref().is_some_and(crate::RowSet::is_empty) {
                continue;
            }
            segment.facet(self.key, rows.as_ref(), &mut |value, count| match counts.get_mut(value) {
                Some(sum) => *sum += u64::from(count),
                None => {
                    counts.insert(value.into(), u64::from(count));
                }
            })?;
            if counts.len() > VALUES_MAX {
                return Err(SegmentError::TooManyValues { key: self.key, max: VALUES_MAX });
            }
        }
        Ok(())
    }

    /// Returns the `limit` most frequent values.
    pub fn top(self, limit: usize) -> Facets {
        let distinct = self.counts.len() as u64;
        let mut top: Vec<(Box<str>, u64)> = self.counts.into_iter().collect();
        let order = |left: &(Box<str>, u64), right: &(Box<str>, u64)| {
            right.1.cmp(&left.1).then_with(|| left.0.cmp(&right.0))
        };
        if limit < top.len() {
            top.select_nth_unstable_by(limit, order);
            top.truncate(limit);
        }
        top.sort_unstable_by(order);
        Facets { top: top.into_iter().map(|(value, count)| (value.into(), count)).collect(), distinct }
    }
}
