//! The index as a whole: header, directory, and sections that are checked when they are first used.
//!
//! Opening reads the header and the directory only, so that hundreds of segments open in milliseconds. A section has a
//! checksum for each 64 KiB of it, and a read checks those that it touches, once: damage is found and named before a byte is
//! trusted, and a look-up in a table of megabytes reads a fraction of it.

use std::ops::Range;
use std::sync::atomic::{AtomicBool, Ordering};

use super::bytes::{damaged, i64_at, u32_at, u64_at};
use super::{SEALED_ROWS_MAX, SEALED_VERSION};
use crate::SegmentError;

const MAGIC: [u8; 4] = *b"ANI1";
/// Bytes of the header; a directory entry for each section follows.
const HEADER_BYTES: usize = 96;
const ENTRY_BYTES: usize = 20;
/// Bytes of a section under one checksum: few enough that a first look-up is quick, many enough that the list is short.
const BLOCK_BYTES: usize = 65_536;

const FLAG_IN_ORDER: u32 = 1;
const FLAG_OTHER_IDS: u32 = 2;
const FLAG_TIMED_IDS: u32 = 4;

/// The parts of an index, in the order in which they stand there. The number is the section's id in the directory.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub(super) enum Section {
    Times,
    Seqs,
    Pages,
    Columns,
    Postings,
    Addresses,
    Statuses,
    ResourceIds,
    RequestIds,
    Ids,
    ResourceTypes,
    ResourceTargets,
    Actions,
    Usernames,
    Emails,
    UserIds,
    UserNames,
    Organizations,
    OrganizationNames,
    BuildReasons,
    UserAgents,
    Outcomes,
    ActorTypes,
    Changed,
    Sources,
    Impersonators,
    OnBehalfOf,
}

impl Section {
    pub(super) const ALL: [(Section, &'static str); 27] = [
        (Section::Times, "times"),
        (Section::Seqs, "seqs"),
        (Section::Pages, "page table"),
        (Section::Columns, "column table"),
        (Section::Postings, "postings"),
        (Section::Addresses, "addresses"),
        (Section::Statuses, "status codes"),
        (Section::ResourceIds, "resource ids"),
        (Section::RequestIds, "request ids"),
        (Section::Ids, "ids"),
        (Section::ResourceTypes, "resource types"),
        (Section::ResourceTargets, "resource targets"),
        (Section::Actions, "actions"),
        (Section::Usernames, "usernames"),
        (Section::Emails, "emails"),
        (Section::UserIds, "user ids"),
        (Section::UserNames, "user names"),
        (Section::Organizations, "organizations"),
        (Section::OrganizationNames, "organization names"),
        (Section::BuildReasons, "build reasons"),
        (Section::UserAgents, "user agents"),
        (Section::Outcomes, "outcomes"),
        (Section::ActorTypes, "actor types"),
        (Section::Changed, "changed fields"),
        (Section::Sources, "sources"),
        (Section::Impersonators, "impersonators"),
        (Section::OnBehalfOf, "on behalf of"),
    ];

    pub(super) fn name(self) -> &'static str {
        Section::ALL[self as usize].1
    }
}

/// What is known of a segment before any section is read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Header {
    pub(super) first_seq: u64,
    pub(super) row_count: u32,
    /// Row and seq rise together, so that no table of seqs is needed.
    pub(super) in_order: bool,
    /// Some id is not of version 7.
    pub(super) has_other_ids: bool,
    pub(super) fingerprint_key: [u8; 16],
    pub(super) time_range: (i64, i64),
    /// Earliest and latest millisecond in ids of version 7.
    pub(super) id_times_ms: Option<(u64, u64)>,
}

/// Puts an index together. Sections come in the order of [`Section::ALL`].
pub(super) fn encode(header: &Header, sections: &[Vec<u8>]) -> EncodedIndex {
    debug_assert_eq!(sections.len(), Section::ALL.len());
    let block_count: usize = sections.iter().map(|section| section.len().div_ceil(BLOCK_BYTES)).sum();
    let directory_bytes = HEADER_BYTES + ENTRY_BYTES * sections.len() + 4 * block_count + 4;
    let mut flags = 0;
    for (is_set, flag) in [
        (header.in_order, FLAG_IN_ORDER),
        (header.has_other_ids, FLAG_OTHER_IDS),
        (header.id_times_ms.is_some(), FLAG_TIMED_IDS),
    ] {
        flags |= if is_set { flag } else { 0 };
    }
    let mut bytes = Vec::with_capacity(directory_bytes + sections.iter().map(Vec::len).sum::<usize>());
    bytes.extend(MAGIC);
    bytes.extend(SEALED_VERSION.to_le_bytes());
    bytes.extend(header.first_seq.to_le_bytes());
    bytes.extend(header.row_count.to_le_bytes());
    bytes.extend(flags.to_le_bytes());
    bytes.extend(header.fingerprint_key);
    bytes.extend(header.time_range.0.to_le_bytes());
    bytes.extend(header.time_range.1.to_le_bytes());
    let (first_ms, last_ms) = header.id_times_ms.unwrap_or_default();
    bytes.extend(first_ms.to_le_bytes());
    bytes.extend(last_ms.to_le_bytes());
    bytes.extend((directory_bytes as u64).to_le_bytes());
    let total = directory_bytes + sections.iter().map(Vec::len).sum::<usize>();
    bytes.extend((total as u64).to_le_bytes());
    bytes.extend((sections.len() as u64).to_le_bytes());
    let mut at = directory_bytes as u64;
    for (section, (id, _)) in sections.iter().zip(Section::ALL) {
        bytes.extend(u32::from(id as u8).to_le_bytes());
        bytes.extend(at.to_le_bytes());
        bytes.extend((section.len() as u64).to_le_bytes());
        at += section.len() as u64;
    }
    for block in sections.iter().flat_map(|section| section.chunks(BLOCK_BYTES)) {
        bytes.extend(crc32fast::hash(block).to_le_bytes());
    }
    let directory_crc = crc32fast::hash(&bytes);
    bytes.extend(directory_crc.to_le_bytes());
    for section in sections {
        bytes.extend_from_slice(section);
    }
    EncodedIndex { bytes, directory_crc }
}

/// An index as it stands in the file.
pub(super) struct EncodedIndex {
    pub(super) bytes: Vec<u8>,
    pub(super) directory_crc: u32,
}

/// An opened index.
#[derive(Debug)]
pub(super) struct Sections<B> {
    bytes: B,
    pub(super) header: Header,
    pub(super) directory_crc: u32,
    /// By the number of the section.
    parts: Vec<Part>,
    /// Blocks of all sections whose checksum was found right.
    checked: Box<[AtomicBool]>,
}

#[derive(Debug)]
struct Part {
    range: Range<usize>,
    first_block: usize,
    /// Where the checksum of its first block stands in the directory.
    crc_at: usize,
    /// All its blocks are checked.
    is_checked: AtomicBool,
}

impl<B: AsRef<[u8]>> Sections<B> {
    /// Checks header and directory.
    pub(super) fn open(bytes: B) -> Result<Sections<B>, SegmentError> {
        let (header, directory_crc, parts) = parse(bytes.as_ref())?;
        let block_count = parts.last().map_or(0, |part| part.first_block + part.block_count());
        let checked = (0..block_count).map(|_| AtomicBool::new(false)).collect();
        Ok(Sections { bytes, header, directory_crc, parts, checked })
    }

    /// A whole section.
    pub(super) fn all(&self, section: Section) -> Result<&[u8], SegmentError> {
        let part = &self.parts[section as usize];
        if !part.is_checked.load(Ordering::Acquire) {
            self.check_blocks(section, 0..part.block_count())?;
            part.is_checked.store(true, Ordering::Release);
        }
        Ok(&self.bytes.as_ref()[part.range.clone()])
    }

    /// A piece of a section; only its blocks are checked.
    pub(super) fn piece(&self, section: Section, piece: Range<usize>) -> Result<&[u8], SegmentError> {
        let part = &self.parts[section as usize];
        let whole = &self.bytes.as_ref()[part.range.clone()];
        let found = whole
            .get(piece.clone())
            .ok_or_else(|| damaged(format!("{}: a place outside of the section", section.name())))?;
        self.check_blocks(section, piece.start / BLOCK_BYTES..piece.end.div_ceil(BLOCK_BYTES))?;
        Ok(found)
    }

    pub(super) fn section_bytes(&self, section: Section) -> usize {
        self.parts[section as usize].range.len()
    }

    fn check_blocks(&self, section: Section, blocks: Range<usize>) -> Result<(), SegmentError> {
        let part = &self.parts[section as usize];
        for block in blocks {
            let flag = &self.checked[part.first_block + block];
            if flag.load(Ordering::Acquire) {
                continue;
            }
            let start = part.range.start + block * BLOCK_BYTES;
            let end = part.range.end.min(start + BLOCK_BYTES);
            let expected = u32_at(self.bytes.as_ref(), part.crc_at + 4 * block);
            if expected != Some(crc32fast::hash(&self.bytes.as_ref()[start..end])) {
                return Err(damaged(format!("{}: wrong checksum", section.name())));
            }
            flag.store(true, Ordering::Release);
        }
        Ok(())
    }
}

impl Part {
    fn block_count(&self) -> usize {
        self.range.len().div_ceil(BLOCK_BYTES)
    }
}

/// Reads header and directory; what is returned lies within `bytes`.
fn parse(bytes: &[u8]) -> Result<(Header, u32, Vec<Part>), SegmentError> {
    let wrong = || damaged("index directory: not what was written");
    if bytes.get(..4) != Some(&MAGIC) {
        return Err(damaged("index directory: it does not begin with its magic"));
    }
    // Before the checksum, whose place a newer version may have moved.
    let version = u32_at(bytes, 4).ok_or_else(wrong)?;
    if version > SEALED_VERSION {
        return Err(SegmentError::UnknownVersion { found: version, supported: SEALED_VERSION });
    }
    let directory_bytes = u64_at(bytes, 72).ok_or_else(wrong)?;
    let directory_bytes = usize::try_from(directory_bytes).map_err(|_| wrong())?;
    let directory = bytes.get(..directory_bytes).ok_or_else(wrong)?;
    let crc_at = directory_bytes.checked_sub(4).filter(|at| *at >= HEADER_BYTES).ok_or_else(wrong)?;
    let directory_crc = u32_at(directory, crc_at).ok_or_else(wrong)?;
    if crc32fast::hash(&directory[..crc_at]) != directory_crc {
        return Err(damaged("index directory: wrong checksum"));
    }
    let header = parse_header(directory).ok_or_else(wrong)?;
    if u64_at(directory, 80) != Some(bytes.len() as u64) {
        return Err(damaged("index directory: the index is cut off or too long"));
    }
    let parts = parse_parts(directory, bytes.len()).ok_or_else(wrong)?;
    Ok((header, directory_crc, parts))
}

fn parse_header(directory: &[u8]) -> Option<Header> {
    let flags = u32_at(directory, 20)?;
    let id_times_ms = (u64_at(directory, 56)?, u64_at(directory, 64)?);
    let header = Header {
        first_seq: u64_at(directory, 8)?,
        row_count: u32_at(directory, 16)?,
        in_order: flags & FLAG_IN_ORDER != 0,
        has_other_ids: flags & FLAG_OTHER_IDS != 0,
        fingerprint_key: *directory.get(24..)?.first_chunk()?,
        time_range: (i64_at(directory, 40)?, i64_at(directory, 48)?),
        id_times_ms: (flags & FLAG_TIMED_IDS != 0).then_some(id_times_ms),
    };
    let is_possible = (1..=SEALED_ROWS_MAX).contains(&header.row_count)
        && header.first_seq.checked_add(u64::from(header.row_count)).is_some();
    is_possible.then_some(header)
}

fn parse_parts(directory: &[u8], index_bytes: usize) -> Option<Vec<Part>> {
    if u64_at(directory, 88)? != Section::ALL.len() as u64 {
        return None;
    }
    let mut parts = Vec::with_capacity(Section::ALL.len());
    let mut first_block = 0usize;
    let crcs_at = HEADER_BYTES + ENTRY_BYTES * Section::ALL.len();
    for (number, (section, _)) in Section::ALL.into_iter().enumerate() {
        let entry = HEADER_BYTES + ENTRY_BYTES * number;
        let start = usize::try_from(u64_at(directory, entry + 4)?).ok()?;
        let end = start.checked_add(usize::try_from(u64_at(directory, entry + 12)?).ok()?)?;
        if u32_at(directory, entry)? != u32::from(section as u8)
            || start < directory.len()
            || end > index_bytes
        {
            return None;
        }
        let part = Part {
            range: start..end,
            first_block,
            crc_at: crcs_at + 4 * first_block,
            is_checked: AtomicBool::new(false),
        };
        first_block += part.block_count();
        parts.push(part);
    }
    (crcs_at + 4 * first_block + 4 == directory.len()).then_some(parts)
}
