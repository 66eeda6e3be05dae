//! The way from the end of a file to its index, and the checksum of what lies behind the index.
//!
//! The Parquet footer has a key-value entry whose text says where the index is. It is found as text, before any Parquet reader
//! sees the footer, so that a damaged footer is named and not interpreted.

use memchr::memmem;

use super::bytes::{damaged, u32_at};
use super::layout::EncodedIndex;
use super::parquet_file::OpenFile;
use super::{SEALED_VERSION, SegmentWriteError};
use crate::SegmentError;

/// Key of the entry.
pub(super) const KEY: &str = "annals.index";
const PARQUET_MAGIC: &[u8; 4] = b"PAR1";
/// Length of the footer and magic.
const END_BYTES: usize = 8;
const CRC_NAME: &str = " tail_crc32=";
const CRC_DIGITS: usize = 8;
/// Thrift puts a field header and a length of at most five bytes between key and value.
const BETWEEN_BYTES_MAX: usize = 8;
const VALUE_BYTES_MAX: usize = 200;

/// Where the index of a segment is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct IndexPlace {
    /// Where it begins in the file.
    pub at: u64,
    /// How long it is.
    pub bytes: u64,
    /// Checksum of its directory.
    pub(super) directory_crc: u32,
}

/// Writes the footer. Its checksum covers everything behind the index, with its own digits taken as zeros.
pub(super) fn finish(
    file: OpenFile,
    index_at: u64,
    index: &EncodedIndex,
) -> Result<Vec<u8>, SegmentWriteError> {
    let index_bytes = index.bytes.len() as u64;
    let value = format!(
        "version={SEALED_VERSION} at={index_at} bytes={index_bytes} directory_crc32={:08x}{CRC_NAME}{:08x}",
        index.directory_crc, 0
    );
    let mut bytes = file.finish(KEY, value)?;
    let tail_at = usize::try_from(index_at + index_bytes).map_err(|_| SegmentWriteError::IndexTooLarge)?;
    let crc = crc32fast::hash(&bytes[tail_at..]);
    let name_at = memmem::rfind(&bytes[tail_at..], CRC_NAME.as_bytes()).expect("the entry was just written");
    let digits_at = tail_at + name_at + CRC_NAME.len();
    bytes[digits_at..digits_at + CRC_DIGITS].copy_from_slice(format!("{crc:08x}").as_bytes());
    Ok(bytes)
}

/// Finds the index from the end of a file, and checks all that lies behind it.
///
/// # Errors
/// [`SegmentError::Damaged`] if this is no sealed segment or its end is damaged; [`SegmentError::UnknownVersion`] if it is too new.
pub fn find_index(file: &[u8]) -> Result<IndexPlace, SegmentError> {
    let (footer, footer_at) =
        parquet_footer(file).ok_or_else(|| damaged("footer: not the end of a Parquet file"))?;
    let key_at =
        memmem::rfind(footer, KEY.as_bytes()).ok_or_else(|| damaged("footer: no entry `annals.index`"))?;
    let wrong = || damaged("footer: the entry `annals.index` is not what was written");
    let after_key = &footer[key_at + KEY.len()..];
    let value_at = memmem::find(&after_key[..after_key.len().min(BETWEEN_BYTES_MAX + 8)], b"version=")
        .ok_or_else(wrong)?;
    let value = &after_key[value_at..after_key.len().min(value_at + VALUE_BYTES_MAX)];
    let version = field(value, "version=", 10).ok_or_else(wrong)?;
    if version > u64::from(SEALED_VERSION) {
        let found = u32::try_from(version).unwrap_or(u32::MAX);
        return Err(SegmentError::UnknownVersion { found, supported: SEALED_VERSION });
    }
    let at = field(value, " at=", 10).ok_or_else(wrong)?;
    let bytes = field(value, " bytes=", 10).ok_or_else(wrong)?;
    let directory_crc =
        field(value, " directory_crc32=", 16).and_then(|crc| u32::try_from(crc).ok()).ok_or_else(wrong)?;
    let tail_crc = field(value, CRC_NAME, 16).ok_or_else(wrong)?;
    let tail_at = at.checked_add(bytes).and_then(|end| usize::try_from(end).ok()).ok_or_else(wrong)?;
    let digits_in_value = memmem::find(value, CRC_NAME.as_bytes()).ok_or_else(wrong)? + CRC_NAME.len();
    let digits_at = footer_at + key_at + KEY.len() + value_at + digits_in_value;
    let mut hasher = crc32fast::Hasher::new();
    hasher.update(file.get(tail_at..digits_at).ok_or_else(wrong)?);
    hasher.update(&[b'0'; CRC_DIGITS]);
    hasher.update(file.get(digits_at + CRC_DIGITS..).ok_or_else(wrong)?);
    if u64::from(hasher.finalize()) != tail_crc {
        return Err(damaged("footer: wrong checksum"));
    }
    Ok(IndexPlace { at, bytes, directory_crc })
}

/// The Thrift struct at the end of a Parquet file, and its place.
pub(super) fn parquet_footer(file: &[u8]) -> Option<(&[u8], usize)> {
    let end_at = file.len().checked_sub(END_BYTES)?;
    if !file.starts_with(PARQUET_MAGIC) || !file.ends_with(PARQUET_MAGIC) {
        return None;
    }
    let footer_at = end_at.checked_sub(u32_at(file, end_at)? as usize)?;
    Some((&file[footer_at..end_at], footer_at))
}

/// Reads the number behind a name.
fn field(value: &[u8], name: &str, radix: u32) -> Option<u64> {
    let rest = value.get(memmem::find(value, name.as_bytes())? + name.len()..)?;
    let digits: Vec<u8> = rest.iter().copied().take_while(u8::is_ascii_hexdigit).collect();
    let digits = if name == CRC_NAME { digits.get(..CRC_DIGITS)? } else { &digits };
    u64::from_str_radix(std::str::from_utf8(digits).ok()?, radix).ok()
}
