//! Walking matching events by seq: what followers and exports do.
//!
//! A walk remembers a seq and nothing else that the log could take away from it: segments may be sealed or merged while it
//! goes on, and it then finds its next event in the new one. Rows of a segment stand by time, so the matching rows of one segment
//! are put in the order of their seqs first; events that came late lie on pages far away, which are kept until all that is wanted
//! of them was taken, as long as there is room.

use std::collections::{HashMap, HashSet};
use std::ops::{ControlFlow, Range};
use std::sync::{Arc, PoisonError};

use annals_model::record::Record;
use annals_query::{Filter, Key, Term, Test};
use annals_segment::{EVENT_PAGE_ROWS, EventPage, Segment, matching};
use annals_store::{StoreError, TailRow};

use crate::Engine;
use crate::error::EngineError;
use crate::index::Parts;
use crate::sealed::{PageRun, SealedPart};

/// Bytes of decoded pages that a walk keeps for rows to come: room for some 800 pages of ordinary events, and for at least two of the
/// largest.
const PAGES_BYTES_MAX: usize = 16 * 1024 * 1024;
/// Pages that lie side by side and are read at once if at least half of them are wanted.
const RUN_PAGES: u32 = 64;
/// Such reads that are kept: where the walk is, and where it was interrupted by late events.
const RUNS_MAX: usize = 2;

/// What the work on an event says: go on, or stop behind it.
pub(crate) type Step = Result<ControlFlow<()>, EngineError>;

/// A walk over the events that match a filter, from a seq to another.
#[derive(Debug)]
pub(crate) struct Walk {
    filter: Filter,
    /// The next seq to look at.
    next_seq: u64,
    /// Where it ends, exclusive.
    end: u64,
    stretch: Option<Stretch>,
}

/// The matching events of one part of the log, by seq.
#[derive(Debug)]
struct Stretch {
    /// Where the part ends, or the walk.
    end: u64,
    /// What is left of it, the next one last.
    events: Vec<(u64, u32)>,
    source: Source,
}

#[derive(Debug)]
enum Source {
    Sealed(Box<Pages>),
    Tail(Option<OpenRow>),
}

/// A row of the tail, and where its records begin.
#[derive(Debug)]
struct OpenRow {
    row: TailRow,
    places: Vec<usize>,
}

impl Walk {
    pub(crate) fn new(filter: Filter, seqs: Range<u64>) -> Walk {
        Walk { filter, next_seq: seqs.start, end: seqs.end.max(seqs.start), stretch: None }
    }

    /// The next seq to look at.
    pub(crate) fn next_seq(&self) -> u64 {
        self.next_seq
    }

    /// Everything was looked at.
    pub(crate) fn is_done(&self) -> bool {
        self.next_seq >= self.end
    }

    /// Hands on the next events until the work breaks off or the walk is done. An event whose work failed comes again.
    pub(crate) fn go(
        &mut self,
        engine: &Engine,
        work: &mut dyn FnMut(u64, &Record<'_>) -> Step,
    ) -> Result<(), EngineError> {
        let mut has_failed_at = None;
        while !self.is_done() {
            let stretch = match self.stretch.take() {
                Some(stretch) => stretch,
                None => self.stretch_at(engine)?,
            };
            match self.go_through(engine, stretch, work) {
                Ok(ControlFlow::Continue(())) => {}
                Ok(ControlFlow::Break(())) => return Ok(()),
                // Merged into another segment, and its object deleted, since the walk opened it: once more, in the new one.
                Err(Failed::Reading(cause)) if has_failed_at != Some(self.next_seq) => {
                    has_failed_at = Some(self.next_seq);
                    tracing::debug!(%cause, seq = self.next_seq, "looking for an event again");
                    engine.log.refresh_manifest()?;
                }
                Err(Failed::Reading(cause) | Failed::Working(cause)) => return Err(cause),
            }
        }
        Ok(())
    }

    fn go_through(
        &mut self,
        engine: &Engine,
        mut stretch: Stretch,
        work: &mut dyn FnMut(u64, &Record<'_>) -> Step,
    ) -> Result<ControlFlow<()>, Failed> {
        while let Some((seq, row)) = stretch.events.pop() {
            let step = match &mut stretch.source {
                Source::Sealed(pages) => pages.with_record(row, |record| work(seq, record))?,
                Source::Tail(read) => with_tail_record(engine, seq, read, |record| work(seq, record))?,
            };
            let step = step.map_err(Failed::Working)?;
            self.next_seq = seq + 1;
            if step.is_break() {
                self.stretch = Some(stretch);
                return Ok(step);
            }
        }
        self.next_seq = stretch.end;
        Ok(ControlFlow::Continue(()))
    }

    /// The matching events of the part that holds the next seq, as the log is now.
    fn stretch_at(&self, engine: &Engine) -> Result<Stretch, EngineError> {
        let seq = self.next_seq;
        let parts = engine.log.index().parts();
        let parts = if parts.next_seq() > seq { parts } else { engine.log.refresh()? };
        if seq < parts.first_seq() {
            let end = parts.first_seq().min(self.end);
            return Ok(Stretch { end, events: Vec::new(), source: Source::Tail(None) });
        }
        let seqs = seq..self.end;
        if let Some(part) = parts.sealed_at(seq) {
            let end = part.end_seq().min(self.end);
            let events = events_of(part.segment(), part.first_seq()..part.end_seq(), &self.filter, &seqs)?;
            let source = Source::Sealed(Box::new(Pages::new(Arc::clone(part), &events)));
            return Ok(Stretch { end, events, source });
        }
        let (end, events) = tail_events(&parts, &self.filter, &seqs)?;
        Ok(Stretch { end, events, source: Source::Tail(None) })
    }
}

/// What went wrong: reading an event, or the work on it.
enum Failed {
    Reading(EngineError),
    Working(EngineError),
}

impl From<EngineError> for Failed {
    fn from(cause: EngineError) -> Failed {
        Failed::Reading(cause)
    }
}

/// How many events of a range match.
pub(crate) fn count(parts: &Parts, filter: &Filter, seqs: &Range<u64>) -> Result<u64, EngineError> {
    let mut count = 0;
    for part in parts.all_sealed() {
        let own = part.first_seq()..part.end_seq();
        if let Some(filter) = within(filter, &own, seqs) {
            let counted = annals_segment::count(part.segment(), &filter);
            count += u64::from(counted.map_err(|source| part.damaged(source))?);
        }
    }
    let mut from = parts.sealed_until().max(seqs.start);
    while from < seqs.end {
        let Some(part) = parts.tail_at(from) else { break };
        let part = part.read().unwrap_or_else(PoisonError::into_inner);
        let own = part.first_seq()..part.next_seq();
        if let Some(filter) = within(filter, &own, seqs) {
            count += u64::from(annals_segment::count(&*part, &filter)?);
        }
        from = own.end;
    }
    Ok(count)
}

/// The filter inside a range of seqs for a segment that has `own`; nothing if they do not meet.
fn within(filter: &Filter, own: &Range<u64>, seqs: &Range<u64>) -> Option<Filter> {
    if own.start >= seqs.end || seqs.start >= own.end {
        return None;
    }
    if seqs.start <= own.start && own.end <= seqs.end {
        return Some(filter.clone());
    }
    let bound = |seq: u64| i64::try_from(seq).unwrap_or(i64::MAX);
    let test =
        Test::Int { at_least: Some(bound(seqs.start)), at_most: Some(bound(seqs.end.saturating_sub(1))) };
    Some(Filter::from(Term::new(Key::Seq, test)).and(filter.clone()))
}

/// The matching events of a segment, the lowest seq last.
fn events_of(
    segment: &dyn Segment,
    own: Range<u64>,
    filter: &Filter,
    seqs: &Range<u64>,
) -> Result<Vec<(u64, u32)>, EngineError> {
    let Some(filter) = within(filter, &own, seqs) else { return Ok(Vec::new()) };
    let rows = matching(segment, &filter)?;
    let mut events = Vec::with_capacity(rows.len() as usize);
    for row in rows.iter() {
        events.push((segment.seq_of(row)?, row));
    }
    // Nearly in order already, which the sort makes use of.
    events.sort_by_key(|(seq, _)| *seq);
    events.reverse();
    Ok(events)
}

/// The matching events of the part of the tail that holds the first of these seqs, and where that part ends.
fn tail_events(
    parts: &Parts,
    filter: &Filter,
    seqs: &Range<u64>,
) -> Result<(u64, Vec<(u64, u32)>), EngineError> {
    let Some(part) = parts.tail_at(seqs.start) else { return Err(missing(seqs.start).into()) };
    let part = part.read().unwrap_or_else(PoisonError::into_inner);
    let own = part.first_seq()..part.next_seq();
    Ok((own.end.min(seqs.end), events_of(&*part, own, filter, seqs)?))
}

fn with_tail_record<T>(
    engine: &Engine,
    seq: u64,
    open: &mut Option<OpenRow>,
    work: impl FnOnce(&Record<'_>) -> T,
) -> Result<T, EngineError> {
    let place_in = |open: &OpenRow| {
        let at = seq.checked_sub(open.row.first_seq())?;
        open.places.get(usize::try_from(at).ok()?).copied()
    };
    if open.as_ref().and_then(place_in).is_none() {
        // Sealed since the walk looked, if it is not there: the walk looks again.
        let row = engine.store.row_of(seq)?.ok_or(EngineError::NotOpenYet { seq })?;
        let places = row.places()?;
        *open = Some(OpenRow { row, places });
    }
    let found = open.as_ref().and_then(|open| Some((open, place_in(open)?)));
    let (open, place) = found.ok_or_else(|| missing(seq))?;
    Ok(work(&open.row.record_at(place)?))
}

fn missing(seq: u64) -> StoreError {
    StoreError::Damaged { what: format!("seq {seq} is indexed but not in the log") }
}

/// Pages of a sealed segment, each decoded once as long as there is room.
struct Pages {
    part: Arc<SealedPart>,
    /// Rows still to come, by page.
    wanted: Vec<u8>,
    open: HashMap<u32, OpenPage>,
    /// Bytes of the open pages.
    bytes: usize,
    /// Counts the rows that were taken.
    clock: u64,
    /// What was read of the file last.
    runs: Vec<PageRun>,
    /// Groups of pages that were read at once.
    read_groups: HashSet<u32>,
}

struct OpenPage {
    page: EventPage,
    used: u64,
}

impl std::fmt::Debug for Pages {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Pages")
            .field("part", &self.part)
            .field("open", &self.open.len())
            .finish_non_exhaustive()
    }
}

impl Pages {
    fn new(part: Arc<SealedPart>, events: &[(u64, u32)]) -> Pages {
        let mut wanted = vec![0; part.segment().row_count().div_ceil(EVENT_PAGE_ROWS) as usize];
        for (_, row) in events {
            wanted[part.page_number(*row) as usize] += 1;
        }
        Pages {
            part,
            wanted,
            open: HashMap::new(),
            bytes: 0,
            clock: 0,
            runs: Vec::new(),
            read_groups: HashSet::new(),
        }
    }

    fn with_record<T>(&mut self, row: u32, work: impl FnOnce(&Record<'_>) -> T) -> Result<T, EngineError> {
        let number = self.part.page_number(row);
        if !self.open.contains_key(&number) {
            let page = self.read(number)?;
            self.make_room(page.memory_bytes());
            self.bytes += page.memory_bytes();
            self.open.insert(number, OpenPage { page, used: 0 });
        }
        self.clock += 1;
        let open = self.open.get_mut(&number).expect("it was opened just now");
        open.used = self.clock;
        let done = work(&self.part.record(&open.page, row)?);
        let wanted = &mut self.wanted[number as usize];
        *wanted = wanted.saturating_sub(1);
        if *wanted == 0 {
            self.close(number);
        }
        Ok(done)
    }

    fn read(&mut self, page: u32) -> Result<EventPage, EngineError> {
        if !self.runs.iter().any(|run| run.holds(page)) {
            let group = page / RUN_PAGES;
            let first = group * RUN_PAGES;
            let pages = self.wanted.iter().skip(first as usize).take(RUN_PAGES as usize);
            let all = pages.len();
            let wanted = pages.filter(|rows| **rows > 0).count();
            // Once only: in a segment without any order each would else be read for every event.
            if wanted > 1 && wanted >= all / 2 && self.read_groups.insert(group) {
                self.runs.insert(0, self.part.pages_from(first, RUN_PAGES.min(self.page_count() - first))?);
                self.runs.truncate(RUNS_MAX);
            }
        }
        match self.runs.iter().find(|run| run.holds(page)) {
            Some(run) => self.part.page_in(run, page),
            None => self.part.page_of(page * EVENT_PAGE_ROWS),
        }
    }

    fn page_count(&self) -> u32 {
        self.part.segment().row_count().div_ceil(EVENT_PAGE_ROWS)
    }

    /// Lets pages go that were not used for longest, a quarter at once.
    fn make_room(&mut self, bytes: usize) {
        if self.bytes + bytes <= PAGES_BYTES_MAX {
            return;
        }
        let mut by_use: Vec<(u64, u32)> =
            self.open.iter().map(|(number, open)| (open.used, *number)).collect();
        by_use.sort_unstable();
        for (_, number) in by_use {
            if self.bytes + bytes <= PAGES_BYTES_MAX / 4 * 3 {
                break;
            }
            self.close(number);
        }
    }

    fn close(&mut self, number: u32) {
        if let Some(open) = self.open.remove(&number) {
            self.bytes -= open.page.memory_bytes();
        }
    }
}
