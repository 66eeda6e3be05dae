//! Times of events: microseconds since 1970, UTC.

use std::fmt;

use crate::limits::{TIME_MAX_US, TIME_MIN_US};

/// An instant in UTC with microseconds, from the year 1 to the year 9999.
///
/// Finer digits of a text are cut off, as Coder's log keeps microseconds too. Clocks are not order: the order of
/// the log is the sequence number.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Time(i64);

/// Why a text or number is not a [`Time`].
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum TimeError {
    /// Not RFC 3339.
    #[error("`{text}` is not an RFC 3339 time such as `2026-11-22T09:30:00Z`")]
    Malformed {
        /// The text as given, cut after 64 characters.
        text: String,
    },
    /// A time before the year 1 or after the year 9999.
    #[error("the time is outside the years 0001 to 9999")]
    OutOfRange,
}

impl Time {
    /// The Unix epoch.
    pub const EPOCH: Time = Time(0);

    /// Takes microseconds since 1970.
    ///
    /// # Errors
    /// [`TimeError::OutOfRange`] outside the years 0001 to 9999.
    pub const fn from_micros(micros: i64) -> Result<Time, TimeError> {
        if micros < TIME_MIN_US || micros > TIME_MAX_US {
            return Err(TimeError::OutOfRange);
        }
        Ok(Time(micros))
    }

    /// Takes microseconds since 1970, bringing times outside the range to its nearest end.
    pub fn from_micros_saturating(micros: i64) -> Time {
        Time(micros.clamp(TIME_MIN_US, TIME_MAX_US))
    }

    /// Returns microseconds since 1970.
    pub const fn as_micros(self) -> i64 {
        self.0
    }

    /// Reads an RFC 3339 text in any offset.
    ///
    /// # Errors
    /// [`TimeError`] if the text has another form or names a time outside the range.
    pub fn parse(text: &str) -> Result<Time, TimeError> {
        let malformed = || TimeError::Malformed { text: text.chars().take(64).collect() };
        // The library also takes forms of ISO 8601 that RFC 3339 leaves out, such as `20261122T09`.
        let shape = text.as_bytes();
        if shape.contains(&b'[')
            || shape.len() < 20
            || shape[4] != b'-'
            || shape[7] != b'-'
            || !matches!(shape[10], b'T' | b't' | b' ')
        {
            return Err(malformed());
        }
        let timestamp: jiff::Timestamp = text.parse().map_err(|_| malformed())?;
        Time::from_micros(timestamp.as_microsecond())
    }

    fn timestamp(self) -> jiff::Timestamp {
        jiff::Timestamp::from_microsecond(self.0)
            .expect("the range of `Time` lies inside the range of the library")
    }
}

/// RFC 3339 in UTC, microseconds with trailing zeros cut: `2026-11-21T23:58:33.48122Z`.
impl fmt::Display for Time {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.timestamp().fmt(f)
    }
}

impl serde::Serialize for Time {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn prints_and_reads_back() {
        for text in [
            "1970-01-01T00:00:00Z",
            "2026-11-21T23:58:33.48122Z",
            "0001-01-01T00:00:00Z",
            "9999-12-30T21:59:59Z",
        ] {
            assert_eq!(Time::parse(text).unwrap().to_string(), text);
        }
        assert_eq!(
            Time::parse("2026-11-22T01:00:00.1234567+01:00").unwrap().to_string(),
            "2026-11-22T00:00:00.123456Z"
        );
    }

    #[test]
    fn refuses_other_forms_and_far_years() {
        for text in [
            "",
            "2026-11-22",
            "now",
            "20261122T090000Z",
            "2026-11-22T09:30:00",
            "10000-01-01T00:00:00Z",
            "+010000-01-01T00:00:00Z",
            "0000-01-01T00:00:00Z",
            "2026-13-01T00:00:00Z",
            "2026-11-22T25:00:00Z",
            "9999-12-31T23:59:59Z",
            "2026-11-22T09:30:00Z[UTC]",
        ] {
            assert!(Time::parse(text).is_err(), "{text}");
        }
    }
}
