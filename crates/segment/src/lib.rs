//! Segments of the log: which rows match a filter, how many there are, and which come first.
//!
//! A log is searched as a list of segments. Each answers single terms with sets of rows ([`RowSet`]); [`search`],
//! [`histogram`] and [`FacetCounter`] join the answers. There is one search algorithm; what differs is where a segment keeps its
//! index: [`MemorySegment`] grows with the tail, [`SealedSegment`] is a part of an immutable Parquet file.
//!
//! Rows of a segment are numbered by (time, seq), oldest first, so that the newest rows are the last ones, a span of time is
//! a range of rows, and "how many are newer" is a difference of counts.
//!
//! `segment` knows no database, no network and no clock, and takes the bytes of events as they are.
//!
//! ```
//! use annals_query::{Document, Filter};
//! use annals_segment::{MemorySegment, NoCounts, Page, Segment, search};
//!
//! let mut segment = MemorySegment::new(0);
//! segment.push(&Document { seq: 0, time_us: 20, action: "create", ..Document::default() });
//! segment.push(&Document { seq: 1, time_us: 10, action: "delete", ..Document::default() });
//! let page = Page { limit: 1, offset: 0, after: None };
//! let found = search(&[&segment as &dyn Segment], &Filter::all(), &page, &NoCounts)?;
//! assert_eq!((found.count, found.places[0].hit.seq), (2, 0)); // newest by time, not by arrival
//! # Ok::<(), annals_segment::SegmentError>(())
//! ```

mod dictionary;
mod error;
mod evaluate;
mod export_file;
mod facets;
mod histogram;
mod memory;
mod recover;
mod rows;
mod sealed;
mod search;

pub use error::SegmentError;
pub use evaluate::{count, matching};
pub use export_file::{
    EXPORT_COLUMNS, EXPORT_GROUP_BYTES, EXPORT_GROUP_ROWS, ExportFileError, ExportRow, ParquetExport,
};
pub use facets::{FACET_KEYS, FacetCounter, Facets};
pub use histogram::histogram;
pub use memory::{MEMORY_SEGMENT_ROWS, MemorySegment};
pub use recover::{RecoveredEvent, decoded_pages, each_event};
pub use rows::{RowBits, RowSet};
pub use sealed::*;
pub use search::{Found, Hit, KnownCounts, NoCounts, Page, Place, search};

use annals_query::{Key, Term};

/// A run of events that answers terms. Rows are positions in the order of (time, seq), oldest first.
pub trait Segment: Send + Sync {
    /// How many rows, 2^18 at most.
    fn row_count(&self) -> u32;

    /// Earliest and latest time, microseconds since 1970; nothing for a segment without rows.
    fn time_range(&self) -> Option<(i64, i64)>;

    /// Time of a row, microseconds since 1970.
    ///
    /// # Errors
    /// [`SegmentError`] if the segment is damaged; so for every method.
    fn time_of(&self, row: u32) -> Result<i64, SegmentError>;

    /// Seq of a row.
    ///
    /// # Errors
    /// [`SegmentError`]
    fn seq_of(&self, row: u32) -> Result<u64, SegmentError>;

    /// First row whose time is not before `time_us`; the row count if there is none.
    ///
    /// # Errors
    /// [`SegmentError`]
    fn first_row_at(&self, time_us: i64) -> Result<u32, SegmentError>;

    /// How many rows a term matches.
    ///
    /// # Errors
    /// [`SegmentError`]
    fn term_count(&self, term: &Term) -> Result<u32, SegmentError>;

    /// The rows that a term matches.
    ///
    /// # Errors
    /// [`SegmentError`]
    fn term_rows(&self, term: &Term) -> Result<RowSet, SegmentError>;

    /// The rows of a set that a term matches; cheap when the set is small.
    ///
    /// # Errors
    /// [`SegmentError`]
    fn term_rows_within(&self, term: &Term, rows: &RowSet) -> Result<RowSet, SegmentError>;

    /// Calls `each` with every value of a key that occurs in the rows, folded, and how many rows have it; without rows, in
    /// the whole segment.
    ///
    /// # Errors
    /// [`SegmentError::NotCounted`] for a key whose values are hardly ever the same.
    fn facet(
        &self,
        key: Key,
        rows: Option<&RowSet>,
        each: &mut dyn FnMut(&str, u32),
    ) -> Result<(), SegmentError>;
}
