//! Sealed segments of the open log: their index mapped, their events read when a page needs them.

use std::fmt;
use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use annals_model::id::EventId;
use annals_model::record::Record;
use annals_model::time::Time;
use annals_segment::{EventPage, SealedSegment, Segment, SegmentError, id_time_ms};
use annals_store::{Object, Objects, SegmentRow};
use bytes::Bytes;

use crate::error::EngineError;

/// Where sealed segments are opened from.
#[derive(Debug, Clone)]
pub(crate) struct Sealed {
    objects: Arc<Objects>,
}

/// One sealed segment.
pub(crate) struct SealedPart {
    row: SegmentRow,
    /// Unlike its object's name never used again in this process.
    number: u64,
    file: File,
    segment: SealedSegment<Bytes>,
}

/// Bytes that are read at once where many pages side by side are wanted; from S3, as much as one request is worth.
const RUN_BYTES_MAX: u64 = 4 * 1024 * 1024;

/// Pages that lie side by side, as they are stored.
pub(crate) struct PageRun {
    pages: Range<u32>,
    starts: [u64; 3],
    parts: Vec<Bytes>,
}

impl PageRun {
    pub(crate) fn holds(&self, page: u32) -> bool {
        self.pages.contains(&page)
    }
}

/// Where the events of a segment are read from.
#[derive(Debug, Clone)]
enum File {
    /// Its object, by ranges.
    Object(Object),
    /// All its bytes, read before.
    Bytes(Bytes),
}

impl File {
    fn read_ranges(&self, ranges: &[Range<u64>]) -> Result<Vec<Bytes>, EngineError> {
        match self {
            File::Object(object) => Ok(object.read_ranges(ranges)?),
            File::Bytes(bytes) => Ok(ranges.iter().map(|range| slice(bytes, range)).collect()),
        }
    }
}

/// A range of bytes; what lies outside is left out, and the checksum of the range says so.
fn slice(bytes: &Bytes, range: &Range<u64>) -> Bytes {
    let place = |at: u64| usize::try_from(at).unwrap_or(usize::MAX).min(bytes.len());
    let (start, end) = (place(range.start), place(range.end));
    bytes.slice(start..end.max(start))
}

impl fmt::Debug for SealedPart {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SealedPart").field("object", &self.row.object).finish_non_exhaustive()
    }
}

impl Sealed {
    pub(crate) fn new(objects: Arc<Objects>) -> Sealed {
        Sealed { objects }
    }

    /// Deletes cached indexes of objects that are not among these: they may hold names that were erased.
    pub(crate) fn forget_others(&self, parts: &[Arc<SealedPart>]) {
        let named: Vec<&str> = parts.iter().map(|part| part.row.object.as_str()).collect();
        if let Err(error) = self.objects.keep_cached(&named) {
            tracing::warn!(%error, "cached indexes of replaced segments could not be deleted");
        }
    }

    /// Opens the segments of the manifest, keeping those that are open.
    pub(crate) fn open_all(
        &self,
        open: &[Arc<SealedPart>],
        rows: Vec<SegmentRow>,
    ) -> Result<Vec<Arc<SealedPart>>, EngineError> {
        rows.into_iter()
            .map(|row| match open.iter().find(|part| part.row == row) {
                Some(part) => Ok(Arc::clone(part)),
                None => SealedPart::open(&self.objects, row).map(Arc::new),
            })
            .collect()
    }
}

impl SealedPart {
    pub(crate) fn open(objects: &Objects, row: SegmentRow) -> Result<SealedPart, EngineError> {
        let index = row.index_at..row.index_at + row.index_bytes;
        let object = objects.open_object(&row.object, row.bytes, index.clone())?;
        let resident = object.resident();
        match SealedPart::with_index(row.clone(), File::Object(object), resident) {
            // A cached index may be damaged where the object is not.
            Err(EngineError::Segment { source: SegmentError::Damaged { .. }, .. }) => {
                let object = objects.refetch(&row.object, row.bytes, index)?;
                let resident = object.resident();
                SealedPart::with_index(row, File::Object(object), resident)
            }
            result => result,
        }
    }

    /// A segment whose bytes were read whole, for work that goes through all of it.
    pub(crate) fn of_bytes(bytes: Bytes, row: SegmentRow) -> Result<SealedPart, EngineError> {
        let index = slice(&bytes, &(row.index_at..row.index_at + row.index_bytes));
        SealedPart::with_index(row, File::Bytes(bytes), index)
    }

    fn with_index(row: SegmentRow, file: File, index: Bytes) -> Result<SealedPart, EngineError> {
        let damaged = |source: SegmentError| EngineError::Segment { object: row.object.clone(), source };
        let source = Arc::new(FilePart(file.clone()));
        let segment = SealedSegment::open(index).map_err(damaged)?.with_source(source);
        if segment.first_seq() != row.first_seq || segment.row_count() != row.event_count {
            let what = "it holds other events than the manifest says".to_owned();
            return Err(damaged(SegmentError::Damaged { what }));
        }
        static NEXT_NUMBER: AtomicU64 = AtomicU64::new(0);
        let number = NEXT_NUMBER.fetch_add(1, Ordering::Relaxed);
        Ok(SealedPart { row, number, file, segment })
    }

    pub(crate) fn number(&self) -> u64 {
        self.number
    }

    pub(crate) fn first_seq(&self) -> u64 {
        self.row.first_seq
    }

    pub(crate) fn end_seq(&self) -> u64 {
        self.row.first_seq + u64::from(self.row.event_count)
    }

    pub(crate) fn segment(&self) -> &dyn Segment {
        &self.segment
    }

    /// Reads the event with an id, if it is here. Ids that carry their time are looked for only where their time can be.
    pub(crate) fn with_id<T>(
        &self,
        id: EventId,
        work: impl FnOnce(u64, &Record<'_>) -> T,
    ) -> Result<Option<T>, EngineError> {
        let uuid = id.uuid();
        let may_be_here = match id_time_ms(&uuid) {
            Some(ms) => self.row.id_times_ms.is_some_and(|(from, to)| (from..=to).contains(&ms)),
            None => self.row.has_other_ids,
        };
        if !may_be_here {
            return Ok(None);
        }
        for row in self.segment.rows_with_id(uuid).map_err(|source| self.damaged(source))? {
            let page = self.page_of(row)?;
            if page.get(row).is_some_and(|event| event.id == *id.as_bytes()) {
                let seq = self.segment.seq_of(row).map_err(|source| self.damaged(source))?;
                return Ok(Some(work(seq, &self.record(&page, row)?)));
            }
        }
        Ok(None)
    }

    /// Reads the page of events that a row lies in.
    pub(crate) fn page_of(&self, row: u32) -> Result<EventPage, EngineError> {
        let page = self.segment.place(row).page;
        let ranges = self.segment.page_ranges(page).map_err(|source| self.damaged(source))?;
        let parts = self.file.read_ranges(&ranges)?;
        let parts: [Bytes; 3] = parts.try_into().map_err(|_| {
            self.damaged(SegmentError::Unreadable { reason: "a range is missing".to_owned() })
        })?;
        self.segment.decode_page(page, &parts).map_err(|source| self.damaged(source))
    }

    /// Reads pages that lie side by side; fewer than asked for if they are large, at least one.
    pub(crate) fn pages_from(&self, page: u32, page_count: u32) -> Result<PageRun, EngineError> {
        let damaged = |source| self.damaged(source);
        let ranges_of = |page| self.segment.page_ranges(page).map_err(damaged);
        let first = ranges_of(page)?;
        let (mut last, mut count) = (first.clone(), 1);
        while count < page_count {
            let next = ranges_of(page + count)?;
            let bytes: u64 =
                first.iter().zip(&next).map(|(first, next)| next.end.saturating_sub(first.start)).sum();
            if bytes > RUN_BYTES_MAX {
                break;
            }
            (last, count) = (next, count + 1);
        }
        let [bodies, envelopes, ids] = first.clone();
        let [last_bodies, last_envelopes, last_ids] = last;
        let whole =
            [bodies.start..last_bodies.end, envelopes.start..last_envelopes.end, ids.start..last_ids.end];
        let parts = self.file.read_ranges(&whole)?;
        Ok(PageRun { pages: page..page + count, starts: whole.map(|range| range.start), parts })
    }

    /// Decodes a page of a run.
    pub(crate) fn page_in(&self, run: &PageRun, page: u32) -> Result<EventPage, EngineError> {
        let ranges = self.segment.page_ranges(page).map_err(|source| self.damaged(source))?;
        let mut parts = [Bytes::new(), Bytes::new(), Bytes::new()];
        for (part, ((whole, start), range)) in
            parts.iter_mut().zip(run.parts.iter().zip(run.starts).zip(ranges))
        {
            *part = slice(whole, &(range.start.saturating_sub(start)..range.end.saturating_sub(start)));
        }
        self.segment.decode_page(page, &parts).map_err(|source| self.damaged(source))
    }

    /// The number of the page of a row.
    pub(crate) fn page_number(&self, row: u32) -> u32 {
        self.segment.place(row).page
    }

    /// The record of a row of a page.
    pub(crate) fn record<'p>(&self, page: &'p EventPage, row: u32) -> Result<Record<'p>, EngineError> {
        let missing = || self.damaged(SegmentError::Damaged { what: format!("row {row} is missing") });
        let event = page.get(row).ok_or_else(missing)?;
        let time_us = self.segment.time_of(row).map_err(|source| self.damaged(source))?;
        let (id, time) = (EventId::from_bytes(event.id), Time::from_micros_saturating(time_us));
        Record::from_envelope(id, time, event.body, event.envelope)
            .map_err(|error| self.damaged(SegmentError::Damaged { what: format!("row {row}: {error}") }))
    }

    /// The row of a seq that is here.
    pub(crate) fn row_of_seq(&self, seq: u64) -> Result<u32, EngineError> {
        let row = self.segment.row_of_seq(seq).map_err(|source| self.damaged(source))?;
        row.ok_or_else(|| self.damaged(SegmentError::Damaged { what: format!("seq {seq} is missing") }))
    }

    /// Reads all records, in the order of their rows.
    pub(crate) fn each_record(
        &self,
        mut each: impl FnMut(u64, &Record<'_>) -> Result<(), EngineError>,
    ) -> Result<(), EngineError> {
        let mut row = 0;
        while row < self.row.event_count {
            let page = self.page_of(row)?;
            while row < self.row.event_count && page.rows().contains(&row) {
                let seq = self.segment.seq_of(row).map_err(|source| self.damaged(source))?;
                each(seq, &self.record(&page, row)?)?;
                row += 1;
            }
        }
        Ok(())
    }

    pub(crate) fn damaged(&self, source: SegmentError) -> EngineError {
        EngineError::Segment { object: self.row.object.clone(), source }
    }
}

/// The file around the index, for the rare term that must look there.
#[derive(Debug)]
struct FilePart(File);

impl annals_segment::PageSource for FilePart {
    fn read(&self, range: Range<u64>) -> Result<Bytes, SegmentError> {
        let unreadable = |error: EngineError| SegmentError::Unreadable { reason: error.to_string() };
        Ok(self.0.read_ranges(&[range]).map_err(unreadable)?.pop().unwrap_or_default())
    }
}
