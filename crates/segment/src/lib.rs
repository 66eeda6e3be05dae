//! Search: which rows match a filter, how many there are, and which come first.
//!
//! A log is searched as a list of segments. Each answers a [`Filter`] with a bitmap of its rows
//! and walks any bitmap from its newest row; [`search`] joins the answers into an exact count and one page. There is one
//! search algorithm; what differs is where a segment keeps its index. [`MemorySegment`] indexes the tail as it grows.
//!
//! `segment` knows no event bytes, no database and no clock: a hit is a time and a seq, and the caller fetches the event.
//!
//! ```
//! use annals_query::{Document, Filter};
//! use annals_segment::{MemorySegment, Page, Segment, search};
//!
//! let mut segment = MemorySegment::new(0);
//! segment.push(&Document { seq: 0, time_us: 20, action: "create", ..Document::default() });
//! segment.push(&Document { seq: 1, time_us: 10, action: "delete", ..Document::default() });
//! let found = search(&[&segment as &dyn Segment], &Filter::all(), &Page { limit: 1, offset: 0, after: None });
//! assert_eq!((found.count, found.hits[0].seq), (2, 0)); // newest by time, not by arrival
//! ```

mod dictionary;
mod memory;
mod search;

pub use memory::{MEMORY_SEGMENT_ROWS, MemorySegment};
pub use roaring::RoaringBitmap;
pub use search::{Found, Hit, Page, search};

use annals_query::Filter;

/// A run of events that answers filters. Rows are numbered from 0 inside the segment, in an order of its own.
pub trait Segment: Send + Sync {
    /// Earliest and latest time, microseconds since 1970; nothing for a segment without rows.
    fn time_range(&self) -> Option<(i64, i64)>;

    /// Returns the rows that match, exactly those for which [`annals_query::matches`] is true.
    fn matching(&self, filter: &Filter) -> RoaringBitmap;

    /// Walks rows from the newest by (time, seq).
    fn newest_first<'s>(&'s self, rows: &'s RoaringBitmap) -> Box<dyn Iterator<Item = Hit> + 's>;
}
