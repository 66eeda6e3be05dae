//! Little-endian numbers at checked places.

use crate::SegmentError;

/// Says which part of a segment cannot be what was written.
pub(super) fn damaged(what: impl Into<String>) -> SegmentError {
    SegmentError::Damaged { what: what.into() }
}

pub(super) fn u16_at(bytes: &[u8], at: usize) -> Option<u16> {
    bytes.get(at..)?.first_chunk().map(|bytes| u16::from_le_bytes(*bytes))
}

pub(super) fn u32_at(bytes: &[u8], at: usize) -> Option<u32> {
    bytes.get(at..)?.first_chunk().map(|bytes| u32::from_le_bytes(*bytes))
}

pub(super) fn u64_at(bytes: &[u8], at: usize) -> Option<u64> {
    bytes.get(at..)?.first_chunk().map(|bytes| u64::from_le_bytes(*bytes))
}

pub(super) fn i64_at(bytes: &[u8], at: usize) -> Option<i64> {
    bytes.get(at..)?.first_chunk().map(|bytes| i64::from_le_bytes(*bytes))
}

/// Element `index` of an array of 32-bit numbers.
pub(super) fn u32_of(array: &[u8], index: u32) -> Option<u32> {
    u32_at(array, index as usize * 4)
}

/// The lengths here are bounded by the 2^18 rows of a segment; what is not is checked when it comes in.
pub(super) fn to_u32(len: usize) -> u32 {
    u32::try_from(len).expect("a count of rows or terms of one segment")
}

/// Appends a number of seven bits a byte, the lowest first.
pub(super) fn push_varint(bytes: &mut Vec<u8>, mut number: u32) {
    while number >= 0x80 {
        bytes.push(number.to_le_bytes()[0] | 0x80);
        number >>= 7;
    }
    bytes.push(number.to_le_bytes()[0]);
}

/// Reads such a number and moves `at` behind it.
pub(super) fn varint(bytes: &[u8], at: &mut usize) -> Option<u32> {
    let mut number = 0u32;
    for shift in [0, 7, 14, 21, 28] {
        let byte = *bytes.get(*at)?;
        *at += 1;
        number |= u32::from(byte & 0x7F).checked_shl(shift)?;
        if byte < 0x80 {
            return Some(number);
        }
    }
    None
}
