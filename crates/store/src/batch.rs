//! The bytes of a tail row: sequenced records that are not sealed yet.
//!
//! `"ANB1" first_seq u64, count u32, records, CRC-32 of all before u32`, big-endian. A row never crosses a multiple of
//! [`ROW_EVENTS`] events, so that reading one event decodes little, and full rows line up with level-0 tiles. The records
//! are under the hashes of the tree; the checksum tells a torn row from a forged one without hashing.

use annals_model::record::{Record, RecordError};

/// Magic of a tail row, version 1.
const BATCH_MAGIC: [u8; 4] = *b"ANB1";
/// Seqs of one row: a tile's worth.
pub(crate) const ROW_EVENTS: u64 = 256;
/// Bytes after which a row is closed early, so that rows of large events stay readable piece by piece.
pub(crate) const ROW_BYTES: usize = 1024 * 1024;

const HEADER_BYTES: usize = 4 + 8 + 4;
const CHECKSUM_BYTES: usize = 4;

/// Why bytes are not a tail row.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum BatchError {
    /// Not the magic of version 1.
    #[error("unknown magic")]
    UnknownMagic,
    /// Too short, or the count does not fit the records.
    #[error("the row is cut off or too long")]
    WrongLength,
    /// The checksum does not match.
    #[error("the checksum does not match")]
    WrongChecksum,
    /// A record cannot be read.
    #[error("record {index} cannot be read: {source}")]
    Record {
        /// Which one, from 0.
        index: u32,
        /// What is wrong.
        #[source]
        source: RecordError,
    },
}

/// Bytes of a row while it is written.
pub(crate) struct RowBuilder {
    bytes: Vec<u8>,
    first_seq: u64,
    count: u32,
}

impl RowBuilder {
    pub(crate) fn new(first_seq: u64) -> RowBuilder {
        let mut bytes = Vec::with_capacity(4096);
        bytes.extend_from_slice(&BATCH_MAGIC);
        bytes.extend_from_slice(&first_seq.to_be_bytes());
        bytes.extend_from_slice(&[0; 4]);
        RowBuilder { bytes, first_seq, count: 0 }
    }

    pub(crate) fn push(&mut self, record: &[u8]) {
        self.bytes.extend_from_slice(record);
        self.count += 1;
    }

    /// The next record belongs into a new row.
    pub(crate) fn is_full(&self) -> bool {
        (self.first_seq + u64::from(self.count)).is_multiple_of(ROW_EVENTS) || self.bytes.len() >= ROW_BYTES
    }

    /// Returns the first seq, the count and the bytes of the row.
    pub(crate) fn finish(mut self) -> (u64, u32, Vec<u8>) {
        self.bytes[12..16].copy_from_slice(&self.count.to_be_bytes());
        let checksum = crc32fast::hash(&self.bytes);
        self.bytes.extend_from_slice(&checksum.to_be_bytes());
        (self.first_seq, self.count, self.bytes)
    }
}

/// A tail row whose checksum was checked.
#[derive(Debug, Clone)]
pub struct TailRow {
    bytes: Vec<u8>,
    first_seq: u64,
    count: u32,
}

impl TailRow {
    /// Checks magic and checksum.
    ///
    /// # Errors
    /// [`BatchError`] if the bytes are no row of version 1.
    pub fn open(bytes: Vec<u8>) -> Result<TailRow, BatchError> {
        if bytes.len() < HEADER_BYTES + CHECKSUM_BYTES {
            return Err(BatchError::WrongLength);
        }
        if bytes[..4] != BATCH_MAGIC {
            return Err(BatchError::UnknownMagic);
        }
        let (content, checksum) = bytes.split_at(bytes.len() - CHECKSUM_BYTES);
        if crc32fast::hash(content).to_be_bytes() != checksum {
            return Err(BatchError::WrongChecksum);
        }
        let first_seq = u64::from_be_bytes(bytes[4..12].try_into().expect("eight bytes"));
        let count = u32::from_be_bytes(bytes[12..16].try_into().expect("four bytes"));
        Ok(TailRow { bytes, first_seq, count })
    }

    /// Seq of the first record.
    pub fn first_seq(&self) -> u64 {
        self.first_seq
    }

    /// Records in the row.
    pub fn count(&self) -> u32 {
        self.count
    }

    /// Where each record begins, for [`TailRow::record_at`].
    ///
    /// # Errors
    /// [`BatchError`] if a record cannot be read.
    pub fn places(&self) -> Result<Vec<usize>, BatchError> {
        let (mut places, mut at) = (Vec::with_capacity(self.count as usize), HEADER_BYTES);
        let end = self.bytes.len() - CHECKSUM_BYTES;
        for index in 0..self.count {
            places.push(at);
            let (_, after) = Record::decode(&self.bytes[at..end])
                .map_err(|source| BatchError::Record { index, source })?;
            at = end - after.len();
        }
        Ok(places)
    }

    /// Reads the record at one of the [`TailRow::places`].
    ///
    /// # Errors
    /// [`BatchError`] if there is no record.
    pub fn record_at(&self, place: usize) -> Result<Record<'_>, BatchError> {
        let content = self.bytes.get(place..self.bytes.len() - CHECKSUM_BYTES);
        let decoded = Record::decode(content.ok_or(BatchError::WrongLength)?);
        Ok(decoded.map_err(|source| BatchError::Record { index: 0, source })?.0)
    }

    /// Reads the records in order.
    pub fn records(&self) -> impl Iterator<Item = Result<(u64, Record<'_>), BatchError>> {
        let mut rest = &self.bytes[HEADER_BYTES..self.bytes.len() - CHECKSUM_BYTES];
        let mut index = 0;
        std::iter::from_fn(move || {
            if index == self.count {
                return (!std::mem::take(&mut rest).is_empty()).then_some(Err(BatchError::WrongLength));
            }
            let here = index;
            index += 1;
            Some(match Record::decode(rest) {
                Ok((record, after)) => {
                    rest = after;
                    Ok((self.first_seq + u64::from(here), record))
                }
                Err(source) => {
                    index = self.count;
                    rest = &[];
                    Err(BatchError::Record { index: here, source })
                }
            })
        })
    }
}
