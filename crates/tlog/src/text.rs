//! Strict reading of the small texts in C2SP files: one spelling for each value.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use crate::hash::{HASH_BYTES, Hash};

/// Decimal ASCII digits without a sign or leading zeros.
pub(crate) fn parse_decimal(text: &str) -> Option<u64> {
    let is_plain = text.bytes().all(|byte| byte.is_ascii_digit()) && (text == "0" || !text.starts_with('0'));
    if is_plain { text.parse().ok() } else { None }
}

pub(crate) fn to_base64(bytes: &[u8]) -> String {
    STANDARD.encode(bytes)
}

/// Standard base64 with its padding, without spare bits.
pub(crate) fn parse_base64(text: &str) -> Option<Vec<u8>> {
    STANDARD.decode(text).ok()
}

/// The 32 bytes of a hash in base64.
pub(crate) fn parse_hash(text: &str) -> Option<Hash> {
    <[u8; HASH_BYTES]>::try_from(parse_base64(text)?).ok().map(Hash::from_bytes)
}

/// Bytes of the name of a key, and of an origin. The `cosigned_message` of C2SP tlog-cosignature has room for 255.
pub const NAME_BYTES_MAX: usize = 255;

/// Whether a name may stand in the signature line of anyone: not empty, without Unicode spaces and plus.
pub(crate) fn is_name(name: &str) -> bool {
    !name.is_empty() && !name.contains(|char: char| char.is_whitespace() || char == '+' || char < ' ')
}

/// Whether a name is fit for a key that we know or a log that we write.
pub(crate) fn is_known_name(name: &str) -> bool {
    is_name(name) && name.len() <= NAME_BYTES_MAX && !name.contains(char::is_control)
}
