//! What a search looks at: sealed segments and the tail, as of one moment.
//!
//! Sealed segments never change and full parts of the tail do not either, so that a search works on a list of shared parts
//! and only the last part of the tail can be waited for.

use std::collections::HashMap;
use std::num::NonZero;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock, RwLockReadGuard, TryLockError};
use std::time::{Duration, Instant};

use annals_model::audit_log::StoredEvent;
use annals_model::id::EventId;
use annals_model::record::Record;
use annals_query::{Filter, Key, Term, Test};
use annals_segment::{
    FacetCounter, Facets, Found, KnownCounts, MEMORY_SEGMENT_ROWS, MemorySegment, Page, RowSet, Segment,
    SegmentError,
};
use annals_store::{LogState, Store, StoreError, TailRow};
use tracing::warn;

use crate::document::document;
use crate::error::EngineError;
use crate::sealed::{Sealed, SealedPart};

/// Filters whose counts are kept. At 400 segments each takes 8 KiB.
const COUNTED_FILTERS_MAX: u64 = 2_048;

/// How long the older manifest does when the object store did not answer.
const RETRY_AFTER: Duration = Duration::from_secs(5);

/// Matching rows of one filter in sealed segments, by [`SealedPart::number`].
type Counts = Arc<RwLock<HashMap<u64, u32>>>;

/// The index of the open log.
#[derive(Debug)]
pub(crate) struct Index {
    /// Events were dropped: what is left of them must not be found.
    has_dropped: AtomicBool,
    parts: RwLock<Parts>,
    /// Held by whoever adds to the index: the appending thread, or a search that catches up with other processes. Nobody
    /// waits for an object store while holding it.
    adding: Mutex<()>,
    /// Held by whoever opens segments; until when nobody tries again, after the object store did not answer.
    opening: Mutex<Option<Instant>>,
    sealed: Sealed,
    /// Segments never change, so a count holds for ever.
    counts: moka::sync::Cache<Filter, Counts>,
}

/// The parts of the log at one moment.
#[derive(Debug, Clone, Default)]
pub(crate) struct Parts {
    /// Number of changes of the manifest that these segments are.
    manifest: u64,
    /// How often rows of the tail had been rewritten when these parts of it were read.
    rewritten: u64,
    sealed: Vec<Arc<SealedPart>>,
    tail: Vec<Arc<RwLock<MemorySegment>>>,
}

/// What to do while another thread opens segments.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Opening {
    /// What is open answers as well.
    IfNobodyElse,
    /// It does not.
    Wait,
}

/// Who adds to the index now.
pub(crate) struct Adding<'i> {
    index: &'i Index,
    _guard: MutexGuard<'i, ()>,
}

impl Index {
    pub(crate) fn new(sealed: Sealed) -> Index {
        let counts = moka::sync::Cache::builder().max_capacity(COUNTED_FILTERS_MAX).build();
        Index {
            has_dropped: AtomicBool::new(false),
            parts: RwLock::default(),
            adding: Mutex::new(()),
            opening: Mutex::new(None),
            sealed,
            counts,
        }
    }

    /// The parts as they are now.
    pub(crate) fn parts(&self) -> Parts {
        self.read().clone()
    }

    /// Brings the index up to the head of the log. Where the object store does not answer and every event is still in the tail
    /// that is indexed here, the older manifest does as well, and is replaced later.
    pub(crate) fn refresh(&self, store: &Store) -> Result<(), EngineError> {
        self.refresh_as(store, Opening::IfNobodyElse)
    }

    /// The same, for a caller who met an event that is sealed but not open here: waits until it is.
    pub(crate) fn refresh_manifest(&self, store: &Store) -> Result<(), EngineError> {
        self.refresh_as(store, Opening::Wait)
    }

    fn refresh_as(&self, store: &Store, opening: Opening) -> Result<(), EngineError> {
        loop {
            let state = store.state()?;
            let (manifest, next_seq) = {
                let parts = self.read();
                (parts.manifest, parts.next_seq())
            };
            self.has_dropped.fetch_or(state.dropped > 0, Ordering::Relaxed);
            if manifest != state.manifest {
                self.open_segments(store, next_seq, opening)?;
            }
            self.reread_tail(store, state.rewritten)?;
            if self.read().next_seq() >= state.head.size {
                return Ok(());
            }
            if state.head.size - self.read().next_seq() >= 2 * u64::from(MEMORY_SEGMENT_ROWS) {
                self.load_parts(store, state.head.size)?;
            }
            let adding = self.adding();
            let from_seq = adding.next_seq();
            let mut result = Ok(());
            store.tail_from(from_seq, |row| {
                if result.is_ok() {
                    result = adding.push_row(&row);
                }
            })?;
            result?;
            let is_stuck = adding.next_seq() == from_seq && store.state()?.manifest == state.manifest;
            if is_stuck && from_seq < state.head.size {
                let what = format!("the tail has no seq {from_seq}, the log has {}", state.head.size);
                return Err(StoreError::Damaged { what }.into());
            }
        }
    }

    /// A filter without what is left of dropped events, which have no action.
    pub(crate) fn kept(&self, filter: Filter) -> Filter {
        if !self.has_dropped.load(Ordering::Relaxed) {
            return filter;
        }
        Filter::from(Term::new(Key::Action, Test::Exists)).and(filter)
    }

    /// Reads the tail again if its rows were rewritten since: what was erased must not be found by its index. The old parts answer until the new
    /// ones stand, so that nobody misses an event meanwhile.
    fn reread_tail(&self, store: &Store, rewritten: u64) -> Result<(), EngineError> {
        if self.read().rewritten >= rewritten {
            return Ok(());
        }
        let _adding = self.adding();
        let (known, mut at, end) = {
            let parts = self.read();
            (parts.rewritten, parts.sealed_until(), parts.next_seq())
        };
        if known >= rewritten {
            return Ok(());
        }
        let mut tail = Vec::new();
        while at < end {
            let part_end = (at / u64::from(MEMORY_SEGMENT_ROWS) + 1) * u64::from(MEMORY_SEGMENT_ROWS);
            let part = load_part(store, at, part_end.min(end))?;
            let reached = part.next_seq();
            if reached > at {
                tail.push(Arc::new(RwLock::new(part)));
            }
            if reached < part_end.min(end) {
                // Sealed by others since: the rest comes the ordinary way.
                break;
            }
            at = reached;
        }
        let mut parts = self.parts.write().unwrap_or_else(PoisonError::into_inner);
        parts.tail = tail;
        parts.rewritten = rewritten;
        Ok(())
    }

    /// Indexes a tail of many events, as after a start, its parts by as many threads as there are cores.
    fn load_parts(&self, store: &Store, size: u64) -> Result<(), EngineError> {
        let adding = self.adding();
        let part_rows = u64::from(MEMORY_SEGMENT_ROWS);
        let first = adding.next_seq();
        if !first.is_multiple_of(part_rows) {
            // In the middle of a part: the ordinary way ends it.
            return Ok(());
        }
        let starts: Vec<u64> = (first..size).step_by(MEMORY_SEGMENT_ROWS as usize).collect();
        let next = AtomicUsize::new(0);
        let load = || -> Result<Vec<(u64, MemorySegment)>, EngineError> {
            let mut parts = Vec::new();
            while let Some(start) = starts.get(next.fetch_add(1, Ordering::Relaxed)).copied() {
                parts.push((start, load_part(store, start, (start + part_rows).min(size))?));
            }
            Ok(parts)
        };
        let cores = std::thread::available_parallelism().map_or(1, NonZero::get).min(starts.len());
        let mut loaded = std::thread::scope(|scope| {
            let others: Vec<_> = (1..cores).map(|_| scope.spawn(load)).collect();
            let mut loaded = load()?;
            for other in others {
                loaded.extend(other.join().expect("a thread that indexes the tail panicked")?);
            }
            Ok::<_, EngineError>(loaded)
        })?;
        loaded.sort_unstable_by_key(|(start, _)| *start);
        let mut parts = self.parts.write().unwrap_or_else(PoisonError::into_inner);
        for (start, part) in loaded {
            // Sealed by others since: the rest comes the ordinary way.
            if parts.next_seq() != start || part.next_seq() == start {
                break;
            }
            parts.tail.push(Arc::new(RwLock::new(part)));
        }
        Ok(())
    }

    /// Opens what is new in the manifest and lets go what was sealed or replaced.
    fn open_segments(&self, store: &Store, next_seq: u64, opening: Opening) -> Result<(), EngineError> {
        let can_wait = next_seq >= store.state()?.sealed;
        let mut not_before = match self.opening.try_lock() {
            Ok(guard) => guard,
            Err(TryLockError::Poisoned(poisoned)) => poisoned.into_inner(),
            // Somebody is at it, perhaps for the time of a download, and what is open here answers as well.
            Err(TryLockError::WouldBlock) if can_wait && opening == Opening::IfNobodyElse => return Ok(()),
            Err(TryLockError::WouldBlock) => self.opening.lock().unwrap_or_else(PoisonError::into_inner),
        };
        let (state, rows) = store.segments()?;
        let known = self.parts();
        let can_wait = next_seq >= state.sealed;
        if known.manifest == state.manifest
            || (can_wait
                && opening == Opening::IfNobodyElse
                && not_before.is_some_and(|time| Instant::now() < time))
        {
            return Ok(());
        }
        match self.sealed.open_all(&known.sealed, rows) {
            Ok(sealed) => {
                self.sealed.forget_others(&sealed);
                *not_before = None;
                self.adding().set_segments(&state, sealed, store)
            }
            Err(error) if can_wait && error.is_unavailable() => {
                warn!(%error, "new segments cannot be opened; their events are still answered from the tail");
                *not_before = Some(Instant::now() + RETRY_AFTER);
                Ok(())
            }
            Err(error) => Err(error),
        }
    }

    /// Waits for its turn to add.
    pub(crate) fn adding(&self) -> Adding<'_> {
        Adding { index: self, _guard: self.adding.lock().unwrap_or_else(PoisonError::into_inner) }
    }

    // Each of these looks at the sealed segments before it holds the tail, so that appending never waits for them.

    pub(crate) fn search(&self, parts: &Parts, filter: &Filter, page: &Page) -> Result<Found, SegmentError> {
        let known = self.known(parts, filter);
        annals_segment::search(&parts.sealed_segments(), filter, page, &known)?;
        let tail = parts.hold_tail();
        let mut segments = parts.sealed_segments();
        segments.extend(tail.iter().map(|part| &**part as &dyn Segment));
        annals_segment::search(&segments, filter, page, &known)
    }

    pub(crate) fn histogram(
        &self,
        parts: &Parts,
        filter: &Filter,
        edges: &[i64],
    ) -> Result<Vec<u64>, SegmentError> {
        let sealed = annals_segment::histogram(&parts.sealed_segments(), filter, edges)?;
        let tail = parts.hold_tail();
        let tail: Vec<&dyn Segment> = tail.iter().map(|part| &**part as &dyn Segment).collect();
        let tail = annals_segment::histogram(&tail, filter, edges)?;
        Ok(sealed.iter().zip(tail).map(|(sealed, tail)| sealed + tail).collect())
    }

    pub(crate) fn facets(
        &self,
        parts: &Parts,
        filter: &Filter,
        key: Key,
        limit: usize,
    ) -> Result<Facets, SegmentError> {
        let mut counter = FacetCounter::new(key);
        counter.add(&parts.sealed_segments(), filter)?;
        {
            let tail = parts.hold_tail();
            let tail: Vec<&dyn Segment> = tail.iter().map(|part| &**part as &dyn Segment).collect();
            counter.add(&tail, filter)?;
        }
        Ok(counter.top(limit))
    }

    /// Times of the first and the last matching event.
    pub(crate) fn span(&self, parts: &Parts, filter: &Filter) -> Result<Option<(i64, i64)>, SegmentError> {
        let newest = Page { limit: 1, offset: 0, after: None };
        let last = self.search(parts, filter, &newest)?;
        let Some(oldest) = last.count.checked_sub(1) else { return Ok(None) };
        let first = self.search(parts, filter, &Page { offset: oldest, ..newest })?;
        let time_of = |found: &Found| found.places.first().map(|place| place.hit.time_us);
        Ok(time_of(&first).zip(time_of(&last)))
    }

    fn known<'p>(&self, parts: &'p Parts, filter: &Filter) -> Known<'p> {
        let counts = self.counts.get(filter).unwrap_or_else(|| {
            let counts = Counts::default();
            self.counts.insert(filter.clone(), Arc::clone(&counts));
            counts
        });
        Known { parts, counts, rows: Mutex::default() }
    }

    fn read(&self) -> RwLockReadGuard<'_, Parts> {
        self.parts.read().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Counts of one filter in the sealed segments of a search. Those of the tail are never known: it grows.
struct Known<'p> {
    parts: &'p Parts,
    counts: Counts,
    /// Rows of sealed segments that the first look made, so that the second, which holds the tail, reads no segment for them.
    rows: Mutex<HashMap<usize, Arc<RowSet>>>,
}

impl KnownCounts for Known<'_> {
    fn get(&self, segment: usize) -> Option<u32> {
        let part = self.parts.sealed.get(segment)?;
        self.counts.read().unwrap_or_else(PoisonError::into_inner).get(&part.number()).copied()
    }

    fn put(&self, segment: usize, count: u32) {
        if let Some(part) = self.parts.sealed.get(segment) {
            self.counts.write().unwrap_or_else(PoisonError::into_inner).insert(part.number(), count);
        }
    }

    fn rows(&self, segment: usize) -> Option<Arc<RowSet>> {
        self.rows.lock().unwrap_or_else(PoisonError::into_inner).get(&segment).cloned()
    }

    fn put_rows(&self, segment: usize, rows: &Arc<RowSet>) {
        if segment < self.parts.sealed.len() {
            self.rows.lock().unwrap_or_else(PoisonError::into_inner).insert(segment, Arc::clone(rows));
        }
    }
}

fn read(part: &RwLock<MemorySegment>) -> RwLockReadGuard<'_, MemorySegment> {
    part.read().unwrap_or_else(PoisonError::into_inner)
}

impl Parts {
    /// Seq after the last indexed event.
    pub(crate) fn next_seq(&self) -> u64 {
        self.tail.last().map_or_else(|| self.sealed_until(), |part| read(part).next_seq())
    }

    /// Number of changes of the manifest that the segments are.
    pub(crate) fn manifest(&self) -> u64 {
        self.manifest
    }

    /// The sealed segments, oldest first.
    pub(crate) fn all_sealed(&self) -> &[Arc<SealedPart>] {
        &self.sealed
    }

    /// Returns the seq of an event of the tail by its id.
    pub(crate) fn tail_seq_of(&self, id: EventId) -> Option<u64> {
        // Repetitions are nearly always recent.
        self.tail.iter().rev().find_map(|part| read(part).seq_of_id(id.uuid()))
    }

    /// The first seq that the log keeps: those before were pruned.
    pub(crate) fn first_seq(&self) -> u64 {
        self.sealed.first().map_or(0, |part| part.first_seq())
    }

    /// Seq after the last sealed event.
    pub(crate) fn sealed_until(&self) -> u64 {
        self.sealed.last().map_or(0, |part| part.end_seq())
    }

    /// The sealed part at an index of the list that searches see; nothing for the tail.
    pub(crate) fn sealed(&self, at: usize) -> Option<&Arc<SealedPart>> {
        self.sealed.get(at)
    }

    /// The sealed part that holds a seq.
    pub(crate) fn sealed_at(&self, seq: u64) -> Option<&Arc<SealedPart>> {
        let at = self.sealed.partition_point(|part| part.end_seq() <= seq);
        self.sealed.get(at).filter(|part| part.first_seq() <= seq)
    }

    /// The part of the tail that holds a seq.
    pub(crate) fn tail_at(&self, seq: u64) -> Option<&RwLock<MemorySegment>> {
        self.tail.iter().map(|part| &**part).find(|part| {
            let part = read(part);
            (part.first_seq()..part.next_seq()).contains(&seq)
        })
    }

    fn sealed_segments(&self) -> Vec<&dyn Segment> {
        self.sealed.iter().map(|part| part.segment()).collect()
    }

    /// The parts of the tail; nothing is added to them meanwhile.
    fn hold_tail(&self) -> Vec<RwLockReadGuard<'_, MemorySegment>> {
        self.tail.iter().map(|part| read(part)).collect()
    }

    /// Sealed segments.
    pub(crate) fn sealed_count(&self) -> usize {
        self.sealed.len()
    }
}

impl Adding<'_> {
    /// Seq of the next event to add.
    pub(crate) fn next_seq(&self) -> u64 {
        self.index.read().next_seq()
    }

    /// Adds the next event. Another one is left out: a reader may have been faster than the appending thread, or those
    /// before it were sealed before they were seen here.
    pub(crate) fn push(&self, seq: u64, record: &Record<'_>) -> Result<(), EngineError> {
        let (next_seq, last) = {
            let parts = self.index.read();
            (parts.next_seq(), parts.tail.last().cloned())
        };
        if seq != next_seq {
            return Ok(());
        }
        let event = StoredEvent::read(record)?;
        let document = document(&event, seq);
        if let Some(last) = last.filter(|_| !begins_a_part(seq)) {
            last.write().unwrap_or_else(PoisonError::into_inner).push(&document);
            return Ok(());
        }
        let mut segment = MemorySegment::new(seq);
        segment.push(&document);
        let mut parts = self.index.parts.write().unwrap_or_else(PoisonError::into_inner);
        parts.tail.push(Arc::new(RwLock::new(segment)));
        Ok(())
    }

    /// Adds the events of a tail row.
    pub(crate) fn push_row(&self, row: &TailRow) -> Result<(), EngineError> {
        let next_seq = self.next_seq();
        for record in row.records() {
            let (seq, record) = record?;
            if seq >= next_seq {
                self.push(seq, &record)?;
            }
        }
        Ok(())
    }

    /// Takes the segments of a manifest in place of those before, and of the tail that they hold.
    fn set_segments(
        &self,
        state: &LogState,
        sealed: Vec<Arc<SealedPart>>,
        store: &Store,
    ) -> Result<(), EngineError> {
        let (mut tail, mut cut) = (Vec::new(), None);
        for part in self.index.parts().tail {
            let (first, next) = (read(&part).first_seq(), read(&part).next_seq());
            if first >= state.sealed {
                tail.push(part);
            } else if next > state.sealed {
                cut = Some(next);
            }
        }
        // A segment that ends inside a part of the tail: the rest of the part is indexed anew.
        if let Some(end) = cut {
            let mut rest = MemorySegment::new(state.sealed);
            let mut result = Ok(());
            store.tail_from(state.sealed, |row| {
                if result.is_ok() && rest.next_seq() < end {
                    result = push_rest(&mut rest, &row, end);
                }
            })?;
            result?;
            if rest.next_seq() < end {
                // More was sealed since: the caller looks again.
                return Ok(());
            }
            tail.insert(0, Arc::new(RwLock::new(rest)));
        }
        let mut parts = self.index.parts.write().unwrap_or_else(PoisonError::into_inner);
        *parts = Parts { manifest: state.manifest, rewritten: parts.rewritten, sealed, tail };
        Ok(())
    }
}

/// Indexes the events from `start` to `end`; fewer if some are sealed by now.
fn load_part(store: &Store, start: u64, end: u64) -> Result<MemorySegment, EngineError> {
    let mut part = MemorySegment::new(start);
    let mut at = start;
    while at < end {
        let Some(row) = store.row_of(at)? else { break };
        push_rest(&mut part, &row, end)?;
        at = row.first_seq() + u64::from(row.count());
    }
    Ok(part)
}

/// Adds the events of a row that a part of the tail still lacks.
fn push_rest(rest: &mut MemorySegment, row: &TailRow, end: u64) -> Result<(), EngineError> {
    for record in row.records() {
        let (seq, record) = record?;
        if seq == rest.next_seq() && seq < end {
            let event = StoredEvent::read(&record)?;
            rest.push(&document(&event, seq));
        }
    }
    Ok(())
}

/// Parts of the tail begin at the multiples at which segments do, so that sealing drops whole parts.
fn begins_a_part(seq: u64) -> bool {
    seq.is_multiple_of(u64::from(MEMORY_SEGMENT_ROWS))
}
