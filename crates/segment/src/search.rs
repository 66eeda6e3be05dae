//! Joins the answers of many segments: an exact count, and one page of the newest rows.

use std::collections::BinaryHeap;

use annals_query::Filter;
use roaring::RoaringBitmap;

use crate::Segment;

/// One matching event. Ordered by time, then by seq.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Hit {
    /// Microseconds since 1970.
    pub time_us: i64,
    /// Position in the log.
    pub seq: u64,
}

/// Which rows to return.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Page {
    /// Rows at most.
    pub limit: usize,
    /// Rows to skip, from the newest, or from `after`.
    pub offset: u64,
    /// Only rows that come after this one, newest first.
    pub after: Option<Hit>,
}

/// What was found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Found {
    /// Matching events in all segments, whatever the page.
    pub count: u64,
    /// The page, newest first by (time, seq).
    pub hits: Vec<Hit>,
}

/// Searches segments: counts exactly and returns one page.
pub fn search(segments: &[&dyn Segment], filter: &Filter, page: &Page) -> Found {
    let matching: Vec<RoaringBitmap> = segments.iter().map(|segment| segment.matching(filter)).collect();
    let count = matching.iter().map(RoaringBitmap::len).sum();
    let hits = if page.offset < count { newest(segments, &matching, page) } else { Vec::new() };
    Found { count, hits }
}

/// Merges the segments by time. A segment is opened only when the merge reaches its latest time, so that a page of the
/// newest events touches one or two of them, and late or backfilled times still come out right.
fn newest(segments: &[&dyn Segment], matching: &[RoaringBitmap], page: &Page) -> Vec<Hit> {
    let mut heap = BinaryHeap::new();
    for (index, segment) in segments.iter().enumerate() {
        if let Some((_, latest)) = segment.time_range().filter(|_| !matching[index].is_empty()) {
            // No row of the segment is newer than this bound.
            heap.push((Hit { time_us: latest, seq: u64::MAX }, index, false));
        }
    }
    let mut walks: Vec<Option<Box<dyn Iterator<Item = Hit> + '_>>> = segments.iter().map(|_| None).collect();
    let mut skip = page.offset;
    let mut hits = Vec::with_capacity(page.limit.min(1_000));
    while hits.len() < page.limit {
        let Some((hit, index, is_row)) = heap.pop() else { break };
        if is_row {
            if skip > 0 {
                skip -= 1;
            } else {
                hits.push(hit);
            }
        }
        let walk = walks[index].get_or_insert_with(|| {
            let rows = segments[index].newest_first(&matching[index]);
            Box::new(rows.skip_while(move |hit| page.after.is_some_and(|after| *hit >= after)))
        });
        heap.extend(walk.next().map(|hit| (hit, index, true)));
    }
    hits
}
