//! The stored form of an event: bytes that the log commits to and never rewrites.
//!
//! A record holds the exact JSON text of the event (`body`), in which every group of personal data is replaced by
//! `{"$f":i}`, the groups themselves (`openings`), and the random `nonce`. The leaf of the tree is not stored: it is
//! recomputed from these. Erasing a group replaces its opening by the 32-byte commitment to it, so every proof still
//! verifies. `docs/STORAGE.md` documents each byte.
//!
//! All integers are big-endian.

use sha2::{Digest, Sha256};

use crate::id::{EventId, LogId};
use crate::time::Time;

/// Magic of a leaf, version 1. Names the hash (SHA-256) and the layout; there is no other agility.
pub const LEAF_MAGIC: [u8; 4] = *b"ANL1";
/// Openings that one event may have. The body of version 1 uses at most six; see [`Group`].
pub const OPENINGS_MAX: usize = 16;

const BODY_TAG: &[u8] = b"annals/body/1\0";
const FIELD_TAG: &[u8] = b"annals/field/1\0";

/// What a leaf records. Only Annals itself writes other kinds than events, so that erasing or dropping without a record of it
/// shows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[repr(u8)]
pub enum LeafKind {
    /// An event.
    #[default]
    Event = 0,
    /// Personal data was erased.
    Erasure = 1,
    /// Events were dropped because their time was over.
    Retention = 2,
    /// The key that signs checkpoints changed.
    Key = 3,
    /// A new epoch begins: the log was put back or cut.
    Epoch = 4,
    /// The registry or its policy changed.
    Policy = 5,
    /// A legal hold began or ended.
    Hold = 6,
}

impl LeafKind {
    /// Reads the kind byte of a record or leaf.
    ///
    /// # Errors
    /// [`RecordError::UnknownKind`] for a kind that a newer version wrote.
    pub fn from_byte(byte: u8) -> Result<LeafKind, RecordError> {
        match byte {
            0 => Ok(LeafKind::Event),
            1 => Ok(LeafKind::Erasure),
            2 => Ok(LeafKind::Retention),
            3 => Ok(LeafKind::Key),
            4 => Ok(LeafKind::Epoch),
            5 => Ok(LeafKind::Policy),
            6 => Ok(LeafKind::Hold),
            other => Err(RecordError::UnknownKind { kind: other }),
        }
    }
}

/// A group of personal data in an event: what is erased together.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Group {
    /// Names and addresses of user, impersonator and on_behalf_of.
    Who,
    /// `ip` and `user_agent`.
    Origin,
    /// `resource_target` of a type whose targets are people.
    Target,
    /// Old values of personal fields.
    DiffOld,
    /// New values of personal fields.
    DiffNew,
    /// `additional_fields`: producers put names and addresses there too.
    Details,
}

impl Group {
    /// Every group, in the order in which their openings stand in a record.
    pub const ALL: [Group; 6] =
        [Group::Who, Group::Origin, Group::Target, Group::DiffOld, Group::DiffNew, Group::Details];

    /// The JSON Pointer that stands in the opening and under its commitment.
    pub const fn path(self) -> &'static str {
        match self {
            Group::Who => "/who",
            Group::Origin => "/origin",
            Group::Target => "/target",
            Group::DiffOld => "/diff_old",
            Group::DiffNew => "/diff_new",
            Group::Details => "/details",
        }
    }
}

/// One group of personal data, or what is left of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Opening<'a> {
    /// The value and the salt of its commitment.
    Present {
        /// JSON Pointer into the body.
        path: &'a str,
        /// Random; with it and the value gone the commitment tells nothing.
        salt: [u8; 16],
        /// Exact JSON text.
        value: &'a str,
    },
    /// Erased: only the commitment remains.
    Erased {
        /// JSON Pointer into the body.
        path: &'a str,
        /// What [`Opening::commitment`] was while the value stood.
        commitment: [u8; 32],
    },
}

impl<'a> Opening<'a> {
    /// The place in the body that the group belongs to.
    pub fn path(&self) -> &'a str {
        match self {
            Opening::Present { path, .. } | Opening::Erased { path, .. } => path,
        }
    }

    /// Returns `SHA-256("annals/field/1\0" || salt || u16 length of path || path || value)`, 32 bytes.
    pub fn commitment(&self) -> [u8; 32] {
        match self {
            Opening::Present { path, salt, value } => {
                let path_bytes =
                    u16::try_from(path.len()).expect("paths are the constants of `Group`, far under 64 KiB");
                let mut hash = Sha256::new();
                hash.update(FIELD_TAG);
                hash.update(salt);
                hash.update(path_bytes.to_be_bytes());
                hash.update(path.as_bytes());
                hash.update(value.as_bytes());
                hash.finalize().into()
            }
            Opening::Erased { commitment, .. } => *commitment,
        }
    }
}

/// One stored event, borrowed from the bytes of a tail row.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Record<'a> {
    /// Identity of the event.
    pub id: EventId,
    /// What the leaf records.
    pub kind: LeafKind,
    /// When it happened, as the producer says.
    pub time: Time,
    /// When the server took it.
    pub received: Time,
    /// Version of the registry whose policy was applied; it goes into the leaf's extension.
    pub registry_version: u32,
    /// Random; hides the body behind its commitment.
    pub nonce: [u8; 16],
    /// Exact JSON text without the personal groups.
    pub body: &'a str,
    /// The personal groups, in the order of the body's `$f` indexes.
    pub openings: Vec<Opening<'a>>,
    /// The event's time was over: only the hash of its leaf is left, and body and openings are empty.
    pub dropped: Option<[u8; 32]>,
}

/// Why bytes are not a record.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum RecordError {
    /// The bytes end inside the record.
    #[error("the record is cut off: {wanted} more bytes expected")]
    Truncated {
        /// Bytes that are missing at least.
        wanted: usize,
    },
    /// The body or a value is not UTF-8.
    #[error("the record holds text that is not UTF-8")]
    NotText,
    /// A time outside the years 0001 to 9999.
    #[error("the record holds a time out of range")]
    TimeOutOfRange,
    /// A kind byte that this version does not know.
    #[error("unknown record kind {kind}; a newer version of Annals wrote it")]
    UnknownKind {
        /// The byte.
        kind: u8,
    },
    /// An opening that is neither present nor erased, or too many of them.
    #[error("the record holds a malformed opening")]
    MalformedOpening,
}

/// Added to the kind of a dropped event.
const DROPPED: u8 = 0x80;
const OPENING_PRESENT: u8 = 0;
const OPENING_ERASED: u8 = 1;

impl<'a> Record<'a> {
    /// Appends the record to a batch:
    /// `id[16] kind u8 time i64 received i64 registry_version u32 nonce[16] u32 length of body, body, u8 count of openings`,
    /// then per opening `state u8, u8 length of path, path` and either `salt[16] u32 length of value, value` (state 0) or
    /// `commitment[32]` (state 1).
    ///
    /// Of a dropped event: `id[16] kind u8 with the highest bit set, time i64 received i64 leaf hash[32]`.
    pub fn encode(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(self.id.as_bytes());
        out.push(self.kind_byte());
        out.extend_from_slice(&self.time.as_micros().to_be_bytes());
        out.extend_from_slice(&self.received.as_micros().to_be_bytes());
        if let Some(leaf_hash) = &self.dropped {
            return out.extend_from_slice(leaf_hash);
        }
        out.extend_from_slice(&self.registry_version.to_be_bytes());
        out.extend_from_slice(&self.nonce);
        push_long(out, self.body.as_bytes());
        self.encode_openings(out);
    }

    /// Appends what a segment keeps beside id, time and body:
    /// `kind u8 received i64 registry_version u32 nonce[16]`, then the openings as in [`Record::encode`].
    ///
    /// Of a dropped event: `kind u8 with the highest bit set, received i64 leaf hash[32]`.
    pub fn encode_envelope(&self, out: &mut Vec<u8>) {
        out.push(self.kind_byte());
        out.extend_from_slice(&self.received.as_micros().to_be_bytes());
        if let Some(leaf_hash) = &self.dropped {
            return out.extend_from_slice(leaf_hash);
        }
        out.extend_from_slice(&self.registry_version.to_be_bytes());
        out.extend_from_slice(&self.nonce);
        self.encode_openings(out);
    }

    fn encode_openings(&self, out: &mut Vec<u8>) {
        debug_assert!(self.openings.len() <= OPENINGS_MAX, "the body has six groups at most");
        out.push(u8::try_from(self.openings.len()).expect("at most OPENINGS_MAX openings"));
        for opening in &self.openings {
            out.push(if matches!(opening, Opening::Present { .. }) {
                OPENING_PRESENT
            } else {
                OPENING_ERASED
            });
            out.push(u8::try_from(opening.path().len()).expect("paths are the constants of `Group`"));
            out.extend_from_slice(opening.path().as_bytes());
            match opening {
                Opening::Present { salt, value, .. } => {
                    out.extend_from_slice(salt);
                    push_long(out, value.as_bytes());
                }
                Opening::Erased { commitment, .. } => out.extend_from_slice(commitment),
            }
        }
    }

    /// Reads one record and returns it with the bytes that follow it.
    ///
    /// # Errors
    /// [`RecordError`] if the bytes are no record of version 1.
    pub fn decode(bytes: &'a [u8]) -> Result<(Record<'a>, &'a [u8]), RecordError> {
        let mut reader = Reader { rest: bytes };
        let id = EventId::from_bytes(reader.array()?);
        let (kind, is_dropped) = reader.kind()?;
        let time = reader.time()?;
        let received = reader.time()?;
        if is_dropped {
            let record = Record::left(id, kind, time, received, reader.array()?);
            return Ok((record, reader.rest));
        }
        let registry_version = u32::from_be_bytes(reader.array()?);
        let nonce = reader.array()?;
        let body = reader.long_text()?;
        let openings = reader.openings()?;
        let record =
            Record { id, kind, time, received, registry_version, nonce, body, openings, dropped: None };
        Ok((record, reader.rest))
    }

    /// Puts a record together from the parts that a segment keeps.
    ///
    /// # Errors
    /// [`RecordError`] if the envelope is not what [`Record::encode_envelope`] writes.
    pub fn from_envelope(
        id: EventId,
        time: Time,
        body: &'a str,
        envelope: &'a [u8],
    ) -> Result<Record<'a>, RecordError> {
        let mut reader = Reader { rest: envelope };
        let (kind, is_dropped) = reader.kind()?;
        let received = reader.time()?;
        if is_dropped {
            let record = Record::left(id, kind, time, received, reader.array()?);
            return if reader.rest.is_empty() { Ok(record) } else { Err(RecordError::MalformedOpening) };
        }
        let registry_version = u32::from_be_bytes(reader.array()?);
        let nonce = reader.array()?;
        let openings = reader.openings()?;
        if !reader.rest.is_empty() {
            return Err(RecordError::MalformedOpening);
        }
        Ok(Record { id, kind, time, received, registry_version, nonce, body, openings, dropped: None })
    }

    /// What is left of a record whose time is over: its leaf hash, and with it its place in the tree.
    #[must_use]
    pub fn without_content(&self, log: LogId) -> Record<'static> {
        Record::left(self.id, self.kind, self.time, self.received, self.leaf_hash(log))
    }

    fn left(id: EventId, kind: LeafKind, time: Time, received: Time, leaf_hash: [u8; 32]) -> Record<'static> {
        let (nonce, _) = leaf_hash.split_first_chunk().expect("32 bytes");
        Record {
            id,
            kind,
            time,
            received,
            registry_version: 0,
            // Something that producers cannot know stands for it where a key is made of it.
            nonce: *nonce,
            body: "",
            openings: Vec::new(),
            dropped: Some(leaf_hash),
        }
    }

    fn kind_byte(&self) -> u8 {
        self.kind as u8 | if self.dropped.is_some() { DROPPED } else { 0 }
    }

    /// Returns `SHA-256(0x00 || leaf)`, also of a dropped event.
    ///
    /// # Source
    /// RFC 6962, section 2.1.
    pub fn leaf_hash(&self, log: LogId) -> [u8; 32] {
        self.dropped.unwrap_or_else(|| {
            let mut hash = Sha256::new();
            hash.update([0]);
            hash.update(self.leaf_bytes(log));
            hash.finalize().into()
        })
    }

    /// Bytes of its texts.
    pub fn text_bytes(&self) -> usize {
        let values = self.openings.iter().map(|opening| match opening {
            Opening::Present { value, .. } => value.len(),
            Opening::Erased { .. } => 0,
        });
        self.body.len() + values.sum::<usize>()
    }

    /// Returns the value of a personal group: nothing if the event has none or it was erased.
    pub fn opening(&self, group: Group) -> Option<&Opening<'a>> {
        self.openings.iter().find(|opening| opening.path() == group.path())
    }

    /// Returns the bytes of the leaf:
    /// `"ANL1" log id[16] event id[16] kind u8 time i64 received i64 commitment to the body[32] u8 n, n commitments[32],
    /// u16 length of the extension, extension`. The extension of version 1 is the registry version, u32.
    ///
    /// There is no position and no previous hash in it, so leaves are hashed in parallel before a position is known.
    ///
    /// # Source
    /// The layout follows the C2SP tlog-tiles limit of 65,535 bytes an entry: with 16 openings it has 607.
    pub fn leaf_bytes(&self, log: LogId) -> Vec<u8> {
        let mut leaf = Vec::with_capacity(95 + 32 * self.openings.len());
        leaf.extend_from_slice(&LEAF_MAGIC);
        leaf.extend_from_slice(log.as_bytes());
        leaf.extend_from_slice(self.id.as_bytes());
        leaf.push(self.kind as u8);
        leaf.extend_from_slice(&self.time.as_micros().to_be_bytes());
        leaf.extend_from_slice(&self.received.as_micros().to_be_bytes());
        let mut body = Sha256::new();
        body.update(BODY_TAG);
        body.update(self.nonce);
        body.update(self.body.as_bytes());
        leaf.extend_from_slice(&body.finalize());
        leaf.push(u8::try_from(self.openings.len()).expect("at most OPENINGS_MAX openings"));
        for opening in &self.openings {
            leaf.extend_from_slice(&opening.commitment());
        }
        leaf.extend_from_slice(&4u16.to_be_bytes());
        leaf.extend_from_slice(&self.registry_version.to_be_bytes());
        leaf
    }
}

fn push_long(out: &mut Vec<u8>, bytes: &[u8]) {
    let length = u32::try_from(bytes.len()).expect("an event has at most EVENT_BYTES_MAX bytes");
    out.extend_from_slice(&length.to_be_bytes());
    out.extend_from_slice(bytes);
}

struct Reader<'a> {
    rest: &'a [u8],
}

impl<'a> Reader<'a> {
    fn take(&mut self, count: usize) -> Result<&'a [u8], RecordError> {
        if count > self.rest.len() {
            return Err(RecordError::Truncated { wanted: count - self.rest.len() });
        }
        let (taken, rest) = self.rest.split_at(count);
        self.rest = rest;
        Ok(taken)
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], RecordError> {
        Ok(self.take(N)?.try_into().expect("`take` returns exactly N bytes"))
    }

    fn byte(&mut self) -> Result<u8, RecordError> {
        Ok(self.array::<1>()?[0])
    }

    fn kind(&mut self) -> Result<(LeafKind, bool), RecordError> {
        let byte = self.byte()?;
        Ok((LeafKind::from_byte(byte & !DROPPED)?, byte & DROPPED != 0))
    }

    fn time(&mut self) -> Result<Time, RecordError> {
        Time::from_micros(i64::from_be_bytes(self.array()?)).map_err(|_| RecordError::TimeOutOfRange)
    }

    fn openings(&mut self) -> Result<Vec<Opening<'a>>, RecordError> {
        let count = usize::from(self.byte()?);
        if count > OPENINGS_MAX {
            return Err(RecordError::MalformedOpening);
        }
        let mut openings = Vec::with_capacity(count);
        for _ in 0..count {
            let state = self.byte()?;
            let path_bytes = usize::from(self.byte()?);
            let path = std::str::from_utf8(self.take(path_bytes)?).map_err(|_| RecordError::NotText)?;
            openings.push(match state {
                OPENING_PRESENT => Opening::Present { path, salt: self.array()?, value: self.long_text()? },
                OPENING_ERASED => Opening::Erased { path, commitment: self.array()? },
                _ => return Err(RecordError::MalformedOpening),
            });
        }
        Ok(openings)
    }

    fn long_text(&mut self) -> Result<&'a str, RecordError> {
        let length = u32::from_be_bytes(self.array()?);
        let bytes =
            self.take(usize::try_from(length).map_err(|_| RecordError::Truncated { wanted: usize::MAX })?)?;
        std::str::from_utf8(bytes).map_err(|_| RecordError::NotText)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record() -> Record<'static> {
        Record {
            id: EventId::from_bytes([1; 16]),
            kind: LeafKind::Event,
            time: Time::parse("2026-11-22T09:30:00.000001Z").unwrap(),
            received: Time::parse("2026-11-22T09:30:01Z").unwrap(),
            registry_version: 3,
            nonce: [2; 16],
            body: r#"{"action":"write","who":{"$f":0}}"#,
            openings: vec![
                Opening::Present {
                    path: "/who",
                    salt: [3; 16],
                    value: r#"{"user":{"username":"demo-dev-1"}}"#,
                },
                Opening::Erased { path: "/origin", commitment: [4; 32] },
            ],
            dropped: None,
        }
    }

    #[test]
    fn decodes_what_it_encodes_and_refuses_every_cut() {
        let mut bytes = Vec::new();
        record().encode(&mut bytes);
        let (decoded, rest) = Record::decode(&bytes).unwrap();
        assert_eq!(decoded, record());
        assert!(rest.is_empty());
        for length in 0..bytes.len() {
            assert!(
                matches!(Record::decode(&bytes[..length]), Err(RecordError::Truncated { .. })),
                "{length}"
            );
        }
    }

    #[test]
    fn an_envelope_gives_the_record_back() {
        let mut envelope = Vec::new();
        record().encode_envelope(&mut envelope);
        let (id, time, body) = (record().id, record().time, record().body);
        assert_eq!(Record::from_envelope(id, time, body, &envelope).unwrap(), record());
        for length in 0..envelope.len() {
            assert!(Record::from_envelope(id, time, body, &envelope[..length]).is_err(), "{length}");
        }
        envelope.push(0);
        assert!(Record::from_envelope(id, time, body, &envelope).is_err());
    }

    #[test]
    fn erasing_an_opening_keeps_the_leaf() {
        let log = LogId::from_bytes([9; 16]);
        let whole = record();
        let mut erased = record();
        erased.openings[0] = Opening::Erased { path: "/who", commitment: whole.openings[0].commitment() };
        assert_eq!(erased.leaf_bytes(log), whole.leaf_bytes(log));
    }

    /// The stored format is a promise: these bytes must never change for version 1.
    #[test]
    fn the_bytes_of_version_1_stand() {
        let mut bytes = Vec::new();
        record().encode(&mut bytes);
        let hex = |bytes: &[u8]| bytes.iter().map(|byte| format!("{byte:02x}")).collect::<String>();
        let leaf = record().leaf_bytes(LogId::from_bytes([9; 16]));
        assert_eq!(
            hex(&Sha256::digest(&bytes)),
            include_str!("record/version1.sha256").lines().next().unwrap()
        );
        assert_eq!(
            hex(&Sha256::digest(&leaf)),
            include_str!("record/version1.sha256").lines().nth(1).unwrap()
        );
    }
}
