//! Identifiers of the log: newtypes, so that one is never taken for another.

use std::borrow::Cow;
use std::fmt;

use uuid::Uuid;

/// The identity of one event and its idempotency key; made by the server (version 7) when the producer gives none.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct EventId(Uuid);

impl EventId {
    /// Takes a UUID as an event id.
    pub const fn new(uuid: Uuid) -> EventId {
        EventId(uuid)
    }

    /// Takes 16 bytes, as they stand in a leaf.
    pub const fn from_bytes(bytes: [u8; 16]) -> EventId {
        EventId(Uuid::from_bytes(bytes))
    }

    /// Returns the 16 bytes that go into the leaf.
    pub const fn as_bytes(&self) -> &[u8; 16] {
        self.0.as_bytes()
    }

    /// Returns the UUID.
    pub const fn uuid(&self) -> Uuid {
        self.0
    }
}

impl fmt::Display for EventId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// The identity of one log: 16 random bytes drawn when it is created, part of every leaf.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct LogId(Uuid);

impl LogId {
    /// Takes 16 bytes as a log id.
    pub const fn from_bytes(bytes: [u8; 16]) -> LogId {
        LogId(Uuid::from_bytes(bytes))
    }

    /// Returns the 16 bytes that go into every leaf.
    pub const fn as_bytes(&self) -> &[u8; 16] {
        self.0.as_bytes()
    }
}

impl fmt::Display for LogId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// The position of an event in the log: from 0, dense, never reused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Seq(u64);

impl Seq {
    /// Takes a position.
    pub const fn new(position: u64) -> Seq {
        Seq(position)
    }

    /// Returns the position as a number.
    pub const fn get(self) -> u64 {
        self.0
    }
}

impl fmt::Display for Seq {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// Writes every spelling of a UUID (hyphenated, 32 digits, braces, `urn:uuid:`, any case) as lower-case hyphenated
/// text, and leaves any other text alone; the empty text stays empty.
///
/// ```
/// use annals_model::id::normalise;
///
/// assert_eq!(normalise("{0FB2D1E4-0000-4000-8000-00000000007A}"), "0fb2d1e4-0000-4000-8000-00000000007a");
/// assert_eq!(normalise("arn:aws:iam::1:user/x"), "arn:aws:iam::1:user/x");
/// ```
pub fn normalise(text: &str) -> Cow<'_, str> {
    if is_canonical_uuid(text) {
        return Cow::Borrowed(text);
    }
    // The four spellings have 32, 36, 38 or 45 bytes; anything else is not worth a parse.
    match text.len() {
        32 | 36 | 38 | 45 => match Uuid::try_parse(text) {
            Ok(uuid) => Cow::Owned(uuid.to_string()),
            Err(_) => Cow::Borrowed(text),
        },
        _ => Cow::Borrowed(text),
    }
}

fn is_canonical_uuid(text: &str) -> bool {
    text.len() == 36
        && text.bytes().enumerate().all(|(at, byte)| match at {
            8 | 13 | 18 | 23 => byte == b'-',
            _ => matches!(byte, b'0'..=b'9' | b'a'..=b'f'),
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn normalises_every_spelling_of_a_uuid_and_nothing_else() {
        let canonical = "0fb2d1e4-12ab-4000-8000-00000000007a";
        for spelling in [
            canonical,
            "0FB2D1E4-12AB-4000-8000-00000000007A",
            "0fb2d1e412ab4000800000000000007a",
            "{0fb2d1e4-12ab-4000-8000-00000000007a}",
            "urn:uuid:0fb2d1e4-12ab-4000-8000-00000000007a",
        ] {
            assert_eq!(normalise(spelling), canonical);
        }
        for other in ["", "17", "0fb2d1e4-12ab-4000-8000-00000000007g", "arn:aws:s3:::bucket"] {
            assert_eq!(normalise(other), other);
        }
    }
}
