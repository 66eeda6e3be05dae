//! A record as JSON text, for receipts and evidence: everything that its leaf is made of, readable without this program.
//!
//! Body and values are JSON texts inside JSON strings, because the leaf commits to their exact bytes.

use std::borrow::Cow;

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::id::{EventId, LogId};
use crate::record::{LeafKind, OPENINGS_MAX, Opening, Record};
use crate::time::Time;

/// Name and version of the form.
pub const RECORD_FORMAT: &str = "annals-record/1";

/// A record and the log that it belongs to, in their JSON form.
///
/// ```
/// use annals_model::record_json::RecordJson;
///
/// let text = r#"{"format":"annals-record/1","log_id":"00000000-0000-0000-0000-000000000001",
///     "id":"00000000-0000-0000-0000-000000000002","kind":0,"time_us":1,"received_us":2,"registry_version":1,
///     "nonce":"00000000000000000000000000000000","body":"{}","openings":[]}"#;
/// let json: RecordJson<'_> = serde_json::from_str(text)?;
/// assert_eq!(json.record()?.body, "{}");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RecordJson<'a> {
    #[serde(borrow)]
    format: Cow<'a, str>,
    log_id: Uuid,
    id: Uuid,
    kind: u8,
    time_us: i64,
    received_us: i64,
    registry_version: u32,
    nonce: Cow<'a, str>,
    #[serde(borrow)]
    body: Cow<'a, str>,
    #[serde(borrow)]
    openings: Vec<OpeningJson<'a>>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged, deny_unknown_fields)]
enum OpeningJson<'a> {
    Present {
        #[serde(borrow)]
        path: Cow<'a, str>,
        salt: Cow<'a, str>,
        #[serde(borrow)]
        value: Cow<'a, str>,
    },
    Erased {
        #[serde(borrow)]
        path: Cow<'a, str>,
        commitment: Cow<'a, str>,
    },
}

/// Why a JSON text is no record.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum RecordJsonError {
    /// Another form, or a newer one.
    #[error("the record has the form `{format}`, not `{RECORD_FORMAT}`; a newer Annals may read it")]
    Format {
        /// What it says.
        format: String,
    },
    /// A member holds something else than it should.
    #[error("`{member}` of the record is not {expected}")]
    Member {
        /// Its name.
        member: &'static str,
        /// What belongs there.
        expected: &'static str,
    },
}

impl<'a> RecordJson<'a> {
    /// Takes a record; with `shows_values` false, personal values are replaced by their commitments, and it verifies all the same.
    pub fn new(record: &Record<'a>, log_id: LogId, shows_values: bool) -> RecordJson<'a> {
        let opening = |opening: &Opening<'a>| match opening {
            Opening::Present { path, salt, value } if shows_values => OpeningJson::Present {
                path: Cow::Borrowed(path),
                salt: Cow::Owned(hex(salt)),
                value: Cow::Borrowed(value),
            },
            other => OpeningJson::Erased {
                path: Cow::Borrowed(other.path()),
                commitment: Cow::Owned(hex(&other.commitment())),
            },
        };
        RecordJson {
            format: Cow::Borrowed(RECORD_FORMAT),
            log_id: Uuid::from_bytes(*log_id.as_bytes()),
            id: record.id.uuid(),
            kind: record.kind as u8,
            time_us: record.time.as_micros(),
            received_us: record.received.as_micros(),
            registry_version: record.registry_version,
            nonce: Cow::Owned(hex(&record.nonce)),
            body: Cow::Borrowed(record.body),
            openings: record.openings.iter().map(opening).collect(),
        }
    }

    /// The log that it says it belongs to.
    pub fn log_id(&self) -> LogId {
        LogId::from_bytes(*self.log_id.as_bytes())
    }

    /// Personal groups of which only the commitment is here: erased, or left out.
    pub fn withheld(&self) -> usize {
        self.openings.iter().filter(|opening| matches!(opening, OpeningJson::Erased { .. })).count()
    }

    /// Returns the record.
    ///
    /// # Errors
    /// [`RecordJsonError`] if a member holds something else than it should.
    pub fn record(&self) -> Result<Record<'_>, RecordJsonError> {
        let wrong = |member, expected| RecordJsonError::Member { member, expected };
        if self.format != RECORD_FORMAT {
            return Err(RecordJsonError::Format { format: self.format.chars().take(64).collect() });
        }
        let time =
            |us, member| Time::from_micros(us).map_err(|_| wrong(member, "a time of the years 1 to 9999"));
        if self.openings.len() > OPENINGS_MAX {
            return Err(wrong("openings", "at most 16 openings"));
        }
        let openings = self.openings.iter().map(|opening| match opening {
            OpeningJson::Present { path, salt, value } => Ok(Opening::Present {
                path,
                salt: unhex(salt).ok_or(wrong("salt", "32 lower-case hexadecimal digits"))?,
                value,
            }),
            OpeningJson::Erased { path, commitment } => Ok(Opening::Erased {
                path,
                commitment: unhex(commitment)
                    .ok_or(wrong("commitment", "64 lower-case hexadecimal digits"))?,
            }),
        });
        let openings: Vec<Opening<'_>> = openings.collect::<Result<_, _>>()?;
        if openings.iter().any(|opening| opening.path().len() > usize::from(u8::MAX)) {
            return Err(wrong("path", "at most 255 bytes"));
        }
        Ok(Record {
            id: EventId::new(self.id),
            kind: LeafKind::from_byte(self.kind)
                .map_err(|_| wrong("kind", "a kind that this version knows"))?,
            time: time(self.time_us, "time_us")?,
            received: time(self.received_us, "received_us")?,
            registry_version: self.registry_version,
            nonce: unhex(&self.nonce).ok_or(wrong("nonce", "32 lower-case hexadecimal digits"))?,
            body: &self.body,
            openings,
            dropped: None,
        })
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn unhex<const N: usize>(text: &str) -> Option<[u8; N]> {
    let digit = |byte: u8| match byte {
        b'0'..=b'9' => Some(byte - b'0'),
        b'a'..=b'f' => Some(byte - b'a' + 10),
        _ => None,
    };
    let (pairs, rest) = text.as_bytes().as_chunks::<2>();
    let bytes: Option<Vec<u8>> =
        pairs.iter().map(|[high, low]| Some(digit(*high)? << 4 | digit(*low)?)).collect();
    bytes.filter(|_| rest.is_empty())?.try_into().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record() -> Record<'static> {
        Record {
            id: EventId::from_bytes([1; 16]),
            kind: LeafKind::Erasure,
            time: Time::from_micros(-5).unwrap(),
            received: Time::from_micros(7).unwrap(),
            registry_version: 3,
            nonce: [0xab; 16],
            body: "{\"action\":\"write\",\"resource_target\":\"\u{1F600}\\n\"}",
            openings: vec![
                Opening::Present { path: "/who", salt: [3; 16], value: "{\"user\":\"\\\"\"}" },
                Opening::Erased { path: "/origin", commitment: [4; 32] },
            ],
            dropped: None,
        }
    }

    #[test]
    fn the_leaf_is_the_same_with_and_without_values() {
        let log_id = LogId::from_bytes([9; 16]);
        let leaf = record().leaf_bytes(log_id);
        for (shows_values, withheld) in [(true, 1), (false, 2)] {
            let text = serde_json::to_string(&RecordJson::new(&record(), log_id, shows_values)).unwrap();
            let json: RecordJson<'_> = serde_json::from_str(&text).unwrap();
            assert_eq!((json.log_id(), json.withheld()), (log_id, withheld));
            assert_eq!(json.record().unwrap().leaf_bytes(json.log_id()), leaf);
            assert_eq!(text.contains("user"), shows_values);
        }
    }

    #[test]
    fn what_is_no_record_is_refused() {
        let good =
            serde_json::to_string(&RecordJson::new(&record(), LogId::from_bytes([9; 16]), true)).unwrap();
        for (from, to) in [
            ("annals-record/1", "annals-record/2"),
            ("\"kind\":1", "\"kind\":7"),
            ("\"kind\":1", "\"kind\":-1"),
            ("\"time_us\":-5", "\"time_us\":9223372036854775807"),
            ("abab", "ABAB"),
            ("abab", "ab"),
            ("0303", "030g"),
            ("\"openings\"", "\"more\":1,\"openings\""),
            ("\"salt\"", "\"sugar\""),
        ] {
            let bad = good.replacen(from, to, 1);
            assert_ne!(bad, good);
            let read = serde_json::from_str::<RecordJson<'_>>(&bad).map_err(|error| error.to_string());
            let read = read.and_then(|json| json.record().map(drop).map_err(|error| error.to_string()));
            assert!(read.is_err(), "{from} {to}");
        }
    }
}
