//! One event in a file of the spool.

use std::fs::File;
use std::io::{self, Seek as _, SeekFrom, Write as _};

/// Begin of each file: "ANSP", and the version as a number of four bytes.
pub(super) const HEADER: &[u8; 8] = b"ANSP\0\0\0\x01";
/// Bytes before the event: its length, the CRC-32 of what follows, and its number.
pub(super) const PREFIX_BYTES: usize = 4 + 4 + 8;

/// Writes events; keeps its buffer and the open file.
#[derive(Debug, Default)]
pub(super) struct RecordWriter {
    file: Option<File>,
    /// `"source":"...","source_seq":`, as it stands in each event.
    source: String,
    buffer: Vec<u8>,
}

impl RecordWriter {
    pub(super) fn new(source: &str) -> RecordWriter {
        let source = format!(r#""source":{},"source_seq":"#, serde_json::Value::from(source));
        RecordWriter { file: None, source, buffer: Vec::with_capacity(4_096) }
    }

    pub(super) fn has_file(&self) -> bool {
        self.file.is_some()
    }

    /// Goes on at a place in a file.
    pub(super) fn set_file(&mut self, mut file: File, at: u64) -> io::Result<()> {
        file.seek(SeekFrom::Start(at))?;
        self.file = Some(file);
        Ok(())
    }

    /// Writes a JSON object with source and number added, in one call of the system. Returns the bytes written.
    pub(super) fn write(&mut self, event: &[u8], number: u64) -> io::Result<u64> {
        let Some(file) = &mut self.file else { return Err(io::ErrorKind::NotFound.into()) };
        let buffer = &mut self.buffer;
        buffer.clear();
        buffer.extend_from_slice(&[0; PREFIX_BYTES - 8]);
        buffer.extend_from_slice(&number.to_be_bytes());
        // Its members, without the closing brace.
        buffer.extend_from_slice(event.strip_suffix(b"}").unwrap_or(event));
        if !event.starts_with(b"{}") {
            buffer.push(b',');
        }
        buffer.extend_from_slice(self.source.as_bytes());
        write!(buffer, "{number}}}")?;
        let length = u32::try_from(buffer.len() - PREFIX_BYTES).map_err(|_| io::ErrorKind::InvalidInput)?;
        let crc = crc32fast::hash(&buffer[8..]);
        buffer[..4].copy_from_slice(&length.to_be_bytes());
        buffer[4..8].copy_from_slice(&crc.to_be_bytes());
        file.write_all(buffer)?;
        Ok(buffer.len() as u64)
    }

    /// Takes back what a write that failed may have left behind the first bytes. Where it cannot be, the next event overwrites it.
    pub(super) fn cut_off(&mut self, bytes: u64) {
        if let Some(file) = self.file.take() {
            let _ = file.set_len(bytes);
        }
    }
}

/// What stands at the beginning of some bytes of a file.
pub(super) enum Found<'b> {
    /// An event, and the bytes that it takes.
    Event { number: u64, event: &'b [u8], bytes: usize },
    /// Nothing was written here yet: files are filled with zeros before.
    End,
    /// Not a whole record: its end is not there yet, or never will be.
    Partial,
    /// No record.
    Damaged,
}

pub(super) fn record_in(bytes: &[u8]) -> Found<'_> {
    let Some((length, rest)) = bytes.split_first_chunk::<4>() else { return Found::Partial };
    let Some((crc, rest)) = rest.split_first_chunk::<4>() else { return Found::Partial };
    let length = u32::from_be_bytes(*length) as usize;
    if length == 0 && *crc == [0; 4] {
        return Found::End;
    }
    if length > annals_model::limits::EVENT_BYTES_MAX {
        return Found::Damaged;
    }
    let Some(rest) = rest.get(..8 + length) else { return Found::Partial };
    if crc32fast::hash(rest) != u32::from_be_bytes(*crc) {
        // The process was killed in the middle of it, and a part is as it was before: an event ends with a brace.
        let is_torn = rest.last() == Some(&0) && bytes[PREFIX_BYTES + length..].iter().all(|byte| *byte == 0);
        return if is_torn { Found::Partial } else { Found::Damaged };
    }
    let (number, event) = rest.split_first_chunk::<8>().expect("8 bytes and the event");
    Found::Event { number: u64::from_be_bytes(*number), event, bytes: PREFIX_BYTES + length }
}
