//! Joins the answers of many segments: an exact count, and one page of the newest rows.

use std::cell::OnceCell;
use std::collections::BinaryHeap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock};

use annals_query::Filter;

use crate::{RowSet, Segment, SegmentError, count, matching};

/// One matching event. Ordered by time, then by seq.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Hit {
    /// Microseconds since 1970.
    pub time_us: i64,
    /// Position in the log.
    pub seq: u64,
}

/// A hit and where it stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Place {
    /// Time and seq.
    pub hit: Hit,
    /// Index of its segment in the list that was searched.
    pub segment: usize,
    /// Its row there.
    pub row: u32,
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
    pub places: Vec<Place>,
}

/// What is known of the filter already; a segment that changes must not be known.
pub trait KnownCounts: Sync {
    /// Matching rows of a segment, by its index in the list, if known.
    fn get(&self, segment: usize) -> Option<u32>;
    /// Keeps what was found.
    fn put(&self, segment: usize, count: u32);
    /// Matching rows of a segment, if an earlier step of this search found them.
    fn rows(&self, _segment: usize) -> Option<Arc<RowSet>> {
        None
    }
    /// Keeps rows for a later step of this search.
    fn put_rows(&self, _segment: usize, _rows: &Arc<RowSet>) {}
}

/// Nothing is known.
#[derive(Debug, Clone, Copy)]
pub struct NoCounts;

impl KnownCounts for NoCounts {
    fn get(&self, _segment: usize) -> Option<u32> {
        None
    }

    fn put(&self, _segment: usize, _count: u32) {}
}

/// Segments that one thread counts; below it, starting a second thread costs more than it saves.
const SEGMENTS_A_THREAD: usize = 32;
/// Threads of one search at most: others want to search too.
const THREADS_MAX: usize = 8;

/// Searches segments: counts exactly and returns one page.
///
/// # Errors
/// [`SegmentError`] if a segment is damaged.
pub fn search(
    segments: &[&dyn Segment],
    filter: &Filter,
    page: &Page,
    known: &dyn KnownCounts,
) -> Result<Found, SegmentError> {
    let counts = counts(segments, filter, known)?;
    let count = counts.iter().map(|count| u64::from(*count)).sum();
    if page.limit == 0 || page.offset >= count {
        return Ok(Found { count, places: Vec::new() });
    }
    let rows = segments.iter().map(|_| OnceCell::new()).collect();
    let merge = Merge { segments, filter, counts, rows, known };
    let Some(below) = merge.page_start(page)? else { return Ok(Found { count, places: Vec::new() }) };
    Ok(Found { count, places: merge.newest_below(below, page.limit)? })
}

/// Counts the matching rows of every segment.
pub(crate) fn counts(
    segments: &[&dyn Segment],
    filter: &Filter,
    known: &dyn KnownCounts,
) -> Result<Vec<u32>, SegmentError> {
    let mut counts: Vec<Option<u32>> = (0..segments.len()).map(|at| known.get(at)).collect();
    let unknown: Vec<usize> = (0..segments.len()).filter(|at| counts[*at].is_none()).collect();
    let threads = THREADS_MAX.min(unknown.len() / SEGMENTS_A_THREAD);
    let threads = if threads > 1 { threads.min(cores()) } else { threads };
    let count_one = |at: usize| -> Result<(usize, u32), SegmentError> {
        let count = count(segments[at], filter)?;
        known.put(at, count);
        Ok((at, count))
    };
    if threads <= 1 || matches!(filter, Filter::And(all) if all.is_empty()) {
        for at in unknown {
            counts[at] = Some(count_one(at)?.1);
        }
    } else {
        let next = AtomicUsize::new(0);
        let work = || -> Result<Vec<(usize, u32)>, SegmentError> {
            let mut mine = Vec::new();
            while let Some(at) = unknown.get(next.fetch_add(1, Ordering::Relaxed)) {
                mine.push(count_one(*at)?);
            }
            Ok(mine)
        };
        let parts = std::thread::scope(|scope| {
            let others: Vec<_> = (1..threads).map(|_| scope.spawn(work)).collect();
            let mut parts = vec![work()];
            // A thread that panicked panics here too: its segment would be missing from the count.
            parts.extend(others.into_iter().map(|other| other.join().expect("a counting thread panicked")));
            parts
        });
        for part in parts {
            for (at, count) in part? {
                counts[at] = Some(count);
            }
        }
    }
    Ok(counts.into_iter().map(Option::unwrap_or_default).collect())
}

/// Asked once: the system looks into several files for it.
fn cores() -> usize {
    static CORES: OnceLock<usize> = OnceLock::new();
    *CORES.get_or_init(|| std::thread::available_parallelism().map_or(1, std::num::NonZero::get))
}

/// The matching rows of all segments as one falling list that is never built.
struct Merge<'s> {
    segments: &'s [&'s dyn Segment],
    filter: &'s Filter,
    counts: Vec<u32>,
    /// Made for those segments only that a page reaches.
    rows: Vec<OnceCell<Arc<RowSet>>>,
    known: &'s dyn KnownCounts,
}

/// Segments that a span of time reaches.
struct Reached {
    /// Hits of segments that lie after the whole span.
    newer: u64,
    segments: Vec<usize>,
}

impl Merge<'_> {
    fn rows(&self, at: usize) -> Result<&RowSet, SegmentError> {
        if let Some(rows) = self.rows[at].get() {
            return Ok(rows);
        }
        let rows = match (self.filter, self.known.rows(at)) {
            (Filter::And(all), _) if all.is_empty() => {
                Arc::new(RowSet::range(0..self.segments[at].row_count()))
            }
            (_, Some(rows)) => rows,
            (filter, None) => {
                let rows = Arc::new(matching(self.segments[at], filter)?);
                self.known.put_rows(at, &rows);
                rows
            }
        };
        Ok(self.rows[at].get_or_init(|| rows))
    }

    /// The bound below which the page begins; nothing if the offset lies beyond the last row.
    fn page_start(&self, page: &Page) -> Result<Option<Hit>, SegmentError> {
        let newest = Hit { time_us: i64::MAX, seq: u64::MAX };
        let above = page.after.unwrap_or(newest);
        if page.offset == 0 {
            return Ok(Some(above));
        }
        let skip = match page.after {
            None => page.offset,
            Some(after) => self.rank(after)?.saturating_add(page.offset),
        };
        self.hit_at(skip)
    }

    /// Finds the hit before which exactly `rank` others come, without walking over them, and returns the bound just above
    /// it. Halves the span of time until one moment is left, then the seqs of that moment.
    fn hit_at(&self, rank: u64) -> Result<Option<Hit>, SegmentError> {
        let Some((mut earliest, mut latest)) = self.span(rank) else { return Ok(None) };
        let reached = self.reached(earliest, latest);
        // The moment of the hit is the latest that has more than `rank` hits at it or later.
        while earliest < latest {
            let middle = earliest + (latest - earliest) / 2 + (latest - earliest) % 2;
            if self.rank_of_time(&reached, middle)? > rank {
                earliest = middle;
            } else {
                latest = middle - 1;
            }
        }
        let time_us = earliest;
        let reached = self.reached(time_us, time_us);
        let (mut low, mut high) = (0u64, self.seq_end(&reached)?);
        while low < high {
            let middle = low + (high - low) / 2 + (high - low) % 2;
            if self.rank_among(&reached, Hit { time_us, seq: middle })? > rank {
                low = middle;
            } else {
                high = middle - 1;
            }
        }
        Ok(Some(Hit { time_us, seq: low + 1 }))
    }

    /// The segments with hits whose times reach into a span; hits of others lie before or after all of it.
    fn reached(&self, earliest: i64, latest: i64) -> Reached {
        let mut reached = Reached { newer: 0, segments: Vec::new() };
        for (at, segment) in self.segments.iter().enumerate() {
            let Some((from, to)) = segment.time_range().filter(|_| self.counts[at] > 0) else { continue };
            if from > latest {
                reached.newer += u64::from(self.counts[at]);
            } else if to >= earliest {
                reached.segments.push(at);
            }
        }
        reached
    }

    /// A seq that is larger than that of any row of these segments.
    fn seq_end(&self, reached: &Reached) -> Result<u64, SegmentError> {
        let mut end = 0;
        for at in &reached.segments {
            let segment = self.segments[*at];
            // Rows stand by time; which of them has the largest seq is not known, but seqs of a segment are dense.
            let any = segment.seq_of(0)?;
            end = end.max(any.saturating_add(u64::from(segment.row_count())));
        }
        Ok(end)
    }

    /// Bounds of the moment of a hit, from counts and time ranges alone.
    fn span(&self, rank: u64) -> Option<(i64, i64)> {
        let ranges: Vec<(i64, i64, u64)> = (self.segments.iter().zip(&self.counts))
            .filter(|(_, count)| **count > 0)
            .filter_map(|(segment, count)| {
                segment.time_range().map(|(from, to)| (from, to, u64::from(*count)))
            })
            .collect();
        let total: u64 = ranges.iter().map(|(_, _, count)| count).sum();
        if rank >= total {
            return None;
        }
        // At or after the start of a segment lie all rows of segments that start no earlier: those are ranked before it.
        let mut starts: Vec<(i64, u64)> = ranges.iter().map(|(from, _, count)| (*from, *count)).collect();
        starts.sort_unstable_by_key(|(from, _)| std::cmp::Reverse(*from));
        let mut ranked = 0;
        let earliest = starts.iter().find_map(|(from, count)| {
            ranked += count;
            (ranked > rank).then_some(*from)
        });
        // After the end of a segment lie no rows of it: the hit is no later than the ends of enough segments.
        let mut ends: Vec<(i64, u64)> = ranges.iter().map(|(_, to, count)| (*to, *count)).collect();
        ends.sort_unstable_by_key(|(to, _)| std::cmp::Reverse(*to));
        let mut ranked = 0;
        let latest = ends.iter().find_map(|(to, count)| {
            ranked += count;
            (ranked > rank).then_some(*to)
        });
        earliest.zip(latest)
    }

    /// How many hits lie at a time or later.
    fn rank_of_time(&self, reached: &Reached, time_us: i64) -> Result<u64, SegmentError> {
        let mut ranked = reached.newer;
        for at in &reached.segments {
            let segment = self.segments[*at];
            let first = segment.first_row_at(time_us)?;
            ranked += match first {
                0 => u64::from(self.counts[*at]),
                first => u64::from(self.rows(*at)?.count_in(first..segment.row_count())),
            };
        }
        Ok(ranked)
    }

    /// How many hits are at a place or newer.
    fn rank(&self, place: Hit) -> Result<u64, SegmentError> {
        self.rank_among(&self.reached(place.time_us, place.time_us), place)
    }

    fn rank_among(&self, reached: &Reached, place: Hit) -> Result<u64, SegmentError> {
        let mut ranked = reached.newer;
        for at in &reached.segments {
            let segment = self.segments[*at];
            let first = first_row_from(segment, place)?;
            ranked += u64::from(self.rows(*at)?.count_in(first..segment.row_count()));
        }
        Ok(ranked)
    }

    /// Merges the segments by time. A segment is opened only when the merge reaches its latest time, so that a page of
    /// the newest events touches one or two of them, and late or backfilled times still come out right.
    fn newest_below(&self, below: Hit, limit: usize) -> Result<Vec<Place>, SegmentError> {
        let mut heap = BinaryHeap::new();
        for (at, segment) in self.segments.iter().enumerate() {
            if let Some((from, to)) = segment.time_range().filter(|_| self.counts[at] > 0)
                && from <= below.time_us
            {
                // No row of the segment is newer than this bound.
                let bound = Hit { time_us: to, seq: u64::MAX }.min(below);
                heap.push((bound, at, None));
            }
        }
        let mut walks: Vec<Option<Box<dyn Iterator<Item = u32> + '_>>> =
            self.segments.iter().map(|_| None).collect();
        let mut places = Vec::with_capacity(limit.min(1_000));
        while let Some((hit, at, row)) = heap.pop() {
            if let Some(row) = row {
                places.push(Place { hit, segment: at, row });
                if places.len() == limit {
                    break;
                }
            }
            let segment = self.segments[at];
            if walks[at].is_none() {
                let end = first_row_from(segment, below)?;
                walks[at] = Some(self.rows(at)?.iter_down(end));
            }
            if let Some(row) = walks[at].as_mut().and_then(Iterator::next) {
                let hit = Hit { time_us: segment.time_of(row)?, seq: segment.seq_of(row)? };
                heap.push((hit, at, Some(row)));
            }
        }
        Ok(places)
    }
}

/// First row of a segment that is at a place or newer; the row count if there is none.
fn first_row_from(segment: &dyn Segment, place: Hit) -> Result<u32, SegmentError> {
    let mut low = segment.first_row_at(place.time_us)?;
    let mut high = match place.time_us.checked_add(1) {
        Some(after) => segment.first_row_at(after)?,
        None => segment.row_count(),
    };
    // Rows of one time stand in the order of their seqs.
    while low < high {
        let middle = low + (high - low) / 2;
        if segment.seq_of(middle)? < place.seq {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    Ok(low)
}
