//! Sealed segments: immutable files of up to 2^18 events that other engines read as Parquet and that answer filters themselves.
//!
//! The format is written down byte by byte in `docs/STORAGE.md`, "Segment". [`SegmentWriter`] makes a file in memory;
//! [`SealedSegment`] answers from its index, which is one range of the file that the caller maps or downloads; events are read by
//! pages of 16 rows, whose ranges the index knows, so that neither the Parquet footer nor a Parquet reader is needed.
//! [`check_file`] checks every byte.

mod answer;
mod build;
mod bytes;
mod check;
mod columns;
mod containers;
mod fingerprints;
mod footer;
mod intern;
mod layout;
mod packed;
mod pages;
mod parquet_file;
mod posting;
mod postings;
mod scan;
mod segment;
mod terms;
mod writer;

pub use check::{check_events, check_file, differing_section};
pub use footer::{IndexPlace, find_index};
pub use pages::{EventPage, EventPlace, PageEvent};
pub use scan::PageSource;
pub use segment::SealedSegment;
pub use writer::{SealedRow, SegmentFile, SegmentWriteError, SegmentWriter, id_time_ms};

/// The version of sealed segments that is written, and the newest that is read.
pub const SEALED_VERSION: u32 = 1;
/// Rows of a sealed segment at most: a perfect subtree of the log's Merkle tree, and four containers of a bitmap.
pub const SEALED_ROWS_MAX: u32 = 1 << 18;
/// Rows of a page of events. Reading 25 scattered events decodes 25 pages, which is most of a search: pages of 64 would make
/// it four times as much work, for a file that is a tenth smaller.
pub const EVENT_PAGE_ROWS: u32 = 16;
/// Bytes of a body or of an envelope at most, so that no page exceeds what a Parquet page can hold (2^31 bytes).
pub const EVENT_BYTES_MAX: usize = 16 << 20;
