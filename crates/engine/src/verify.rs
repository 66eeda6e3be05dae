//! Checking a whole log offline: checksums, structure, and the tree recomputed from every event. Writes nothing.

mod pruned;

use std::collections::{BTreeMap, BTreeSet, HashSet, VecDeque};
use std::num::NonZero;
use std::ops::ControlFlow;
use std::thread::ScopedJoinHandle;

use annals_model::audit_log::StoredEvent;
use annals_model::id::{EventId, LogId};
use annals_model::record::{LeafKind, Opening, Record};
use annals_model::time::Time;
use annals_segment::{check_events, id_time_ms};
use annals_store::{Objects, SegmentRow, Store, StoreError};
use annals_tlog::{Checkpoint, Frontier, Hash, SignedNote, TileBuilder, VerifierKey, perfect_root};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use sha2::{Digest, Sha256};

use crate::error::EngineError;
use crate::location::Location;
use crate::repair::rebuild;
use crate::signing::KeyPlace;
use crate::verify::pruned::Kept;

/// What is wrong with one part of the log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// The part: an object's name, or `database`.
    pub part: String,
    /// What is wrong with it.
    pub what: String,
    /// What would help.
    pub remedy: &'static str,
}

/// What was found.
#[derive(Debug, Clone, Default)]
pub struct VerifyReport {
    /// Events in the log, as the head says.
    pub events: u64,
    /// Events in segments.
    pub sealed: u64,
    /// Segments of the manifest.
    pub segments: usize,
    /// Signed checkpoints that were compared with the tree.
    pub checkpoints: usize,
    /// Root of the tree, if every event is there and leads to it.
    pub root: Option<Hash>,
    /// Keys of the epochs, as the database names them.
    pub verifiers: Vec<String>,
    /// Events before this seq are gone whole.
    pub pruned: u64,
    /// Openings that were erased, and dropped events, each named by a record of it.
    pub gone: u64,
    /// Everything that is wrong.
    pub findings: Vec<Finding>,
    /// What is gone although no record says so.
    pub withheld: Vec<Finding>,
}

const REPAIR: &str = "`annals repair` says what it can be rebuilt from";

/// Values that are gone without a record and are listed.
const WITHHELD_MAX: usize = 100;

/// Bytes of segments that are checked at once; a larger one is checked alone.
const CHECKED_BYTES_MAX: u64 = 512 * 1024 * 1024;

/// How much is checked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Depth {
    /// Every byte and every event.
    Events,
    /// Also every index: made anew from the events and compared, so that one that lies is found.
    Indexes,
}

/// Checks every byte of a log. `progress` hears the events done and in all.
///
/// # Errors
/// [`EngineError`] if the log cannot be opened at all; what is damaged inside stands in the report.
pub fn verify(
    location: &Location,
    depth: Depth,
    progress: &mut dyn FnMut(u64, u64),
) -> Result<VerifyReport, EngineError> {
    let store = Store::open_as_is(&location.database)?;
    let objects = Objects::open(&location.objects, &location.cache_dir())?;
    verify_parts(&store, &objects, &KeyPlace::new(&location.key_dir), depth, progress)
}

pub(crate) fn verify_parts(
    store: &Store,
    objects: &Objects,
    place: &KeyPlace,
    depth: Depth,
    progress: &mut dyn FnMut(u64, u64),
) -> Result<VerifyReport, EngineError> {
    let mut checked = HashSet::new();
    let mut findings = Vec::new();
    // Those that are signed later are of no concern.
    let mut signed = Signed::read(store, place)?;
    let mut gone = Gone::default();
    let mut tiles: Option<Tiles<'_>> = None;
    let mut gone_before = Frontier::new();
    let mut passes = 0;
    loop {
        let (state, rows) = store.segments()?;
        if passes > 0 && state.pruned != gone_before.size() {
            // What was counted stands in segments that are gone now: once more from the beginning.
            return verify_parts(store, objects, place, depth, progress);
        }
        passes += 1;
        if state.pruned != gone_before.size() {
            let mut compare = |tree: &Frontier| signed.compare(tree);
            gone_before = pruned::tree_before(store, state.pruned, &mut compare, &mut findings)?;
            signed.compare_before(store, state.pruned)?;
        }
        let tiles = match &mut tiles {
            Some(tiles) => tiles,
            none => none.insert(Tiles::from(store, &gone_before)?),
        };
        let mut frontier = gone_before.clone();
        let known = std::mem::take(&mut checked);
        let mut is_replaced = false;
        each_checked(objects, store.log_id(), &rows, &known, &mut |row, result| {
            if row.first_seq != frontier.size() {
                let what = format!("the manifest has no segment for seq {}", frontier.size());
                findings.push(finding("database", what));
                return Ok(ControlFlow::Break(()));
            }
            checked.insert(row.object.clone());
            match result {
                // Where the log was sealed or merged meanwhile, only what is new is read.
                None => {}
                Some(Ok(read)) => {
                    gone.join(read.gone);
                    signed.compare_inside(&frontier, &read.leaves);
                    tiles.compare(row.first_seq, &read.leaves, &mut findings)?;
                    if depth == Depth::Indexes
                        && let Some(what) = lie(store, objects, row)?
                    {
                        findings.push(finding(&row.object, what));
                    }
                }
                Some(Err(error)) if error.is_missing() && !is_named(store, row)? => {
                    is_replaced = true;
                    return Ok(ControlFlow::Break(()));
                }
                Some(Err(error)) if error.is_damage() => {
                    findings.push(finding(&row.object, error.to_string()))
                }
                Some(Err(error)) => return Err(error),
            }
            if let Err(error) = frontier.push_subtree(u64::from(row.event_count), row.root) {
                findings.push(finding("database", error.to_string()));
                return Ok(ControlFlow::Break(()));
            }
            progress(frontier.size(), state.head.size);
            Ok(ControlFlow::Continue(()))
        })?;
        if is_replaced {
            // An erasure or retention wrote or took the segment away meanwhile: once more from the beginning.
            return verify_parts(store, objects, place, depth, progress);
        }
        let sealed = frontier.size();
        let mut report = VerifyReport {
            events: state.head.size,
            sealed: state.sealed,
            segments: rows.len(),
            checkpoints: signed.count,
            pruned: state.pruned,
            verifiers: signed.verifiers.clone(),
            ..VerifyReport::default()
        };
        if sealed == state.sealed {
            let checked = store.check(frontier, |tree, record| {
                signed.compare(tree);
                gone.take(tree.size() - 1, record);
            });
            match checked {
                Ok(head) => {
                    report.events = head.size;
                    signed.beyond(head.size);
                    findings.append(&mut signed.findings);
                    report.root = findings.is_empty().then_some(head.root);
                }
                Err(StoreError::SealedMeanwhile { .. }) => continue,
                Err(error @ (StoreError::Damaged { .. } | StoreError::DamagedTail { .. })) => {
                    findings.push(finding("database", error.to_string()));
                }
                Err(error) => return Err(error.into()),
            }
        } else if findings.is_empty() {
            let what = format!("the segments end at seq {sealed}, the sealed bound is {}", state.sealed);
            findings.push(finding("database", what));
        }
        progress(state.head.size, state.head.size);
        findings.append(&mut signed.findings);
        report.findings = findings;
        (report.gone, report.withheld) = gone.compare(&gone_before);
        report.withheld.append(&mut signed.withheld);
        return Ok(report);
    }
}

/// Whether the manifest still names an object.
fn is_named(store: &Store, row: &SegmentRow) -> Result<bool, EngineError> {
    Ok(store.segments()?.1.iter().any(|named| named.object == row.object))
}

/// What the index of a segment says that its events do not. Checksums cannot tell: whoever writes a file writes those too.
fn lie(store: &Store, objects: &Objects, row: &SegmentRow) -> Result<Option<String>, EngineError> {
    let Some((anew, file)) = rebuild(store, objects, row) else {
        return Ok(Some("no index can be made from its events".to_owned()));
    };
    let bytes = objects.read_all(&row.object)?;
    let part = |bytes: &[u8], at: u64, length: u64| {
        let (at, length) =
            (usize::try_from(at).unwrap_or(usize::MAX), usize::try_from(length).unwrap_or(usize::MAX));
        bytes.get(at..at.saturating_add(length)).unwrap_or_default().to_vec()
    };
    let stored = part(&bytes, row.index_at, row.index_bytes);
    let made = part(&file, anew.index_at, anew.index_bytes);
    let differing = annals_segment::differing_section(&stored, &made);
    let differing =
        differing.map_err(|source| EngineError::Segment { object: row.object.clone(), source })?;
    Ok(differing.map(|section| format!("its index lies about its events: section `{section}`")))
}

/// What is gone from events, and what the log's own records say of it.
#[derive(Debug, Default)]
pub(crate) struct Gone {
    /// Erased openings: seq and path.
    openings: BTreeSet<(u64, String)>,
    /// Those that records of erasures name.
    named: HashSet<(u64, String)>,
    /// Dropped events, and how many the records of retention name.
    dropped: u64,
    /// Of each record of retention: the last seq that it names, and how many events.
    dropped_named: Vec<(u64, u64)>,
    /// Where records say that the log begins, and the root over what was before.
    begins: Vec<(u64, String)>,
}

impl Gone {
    pub(crate) fn take(&mut self, seq: u64, record: &Record<'_>) {
        self.dropped += u64::from(record.dropped.is_some());
        for opening in &record.openings {
            if let Opening::Erased { path, .. } = opening {
                self.openings.insert((seq, (*path).to_owned()));
            }
        }
        if !matches!(record.kind, LeafKind::Erasure | LeafKind::Retention) || record.dropped.is_some() {
            return;
        }
        let Ok(event) = StoredEvent::read(record) else { return };
        let details: serde_json::Value = serde_json::from_str(event.additional_fields).unwrap_or_default();
        for entry in details["erased"].as_array().into_iter().flatten() {
            let (Some(seq), Some(paths)) = (entry[0].as_u64(), entry[1].as_array()) else { continue };
            self.named.extend(paths.iter().filter_map(|path| Some((seq, path.as_str()?.to_owned()))));
        }
        if record.kind != LeafKind::Retention {
            return;
        }
        let text = |field: &str| {
            event.changes.iter().find(|change| change.field == field).and_then(|change| change.new.as_deref())
        };
        let number = |field: &str| text(field).and_then(|text| text.parse::<u64>().ok());
        if let (Some(to), Some(root)) = (number("pruned_to"), text("root")) {
            self.begins.push((to, root.trim_matches('"').to_owned()));
        }
        if let Some(count) = number("event_count") {
            self.dropped_named.push((number("to_seq").unwrap_or(u64::MAX), count));
        }
    }

    /// Adds what another part of the log says.
    fn join(&mut self, other: Gone) {
        self.openings.extend(other.openings);
        self.named.extend(other.named);
        self.dropped += other.dropped;
        self.dropped_named.extend(other.dropped_named);
        self.begins.extend(other.begins);
    }

    /// How much is gone, and what of it no record names; `before` is the tree of the events before the first one that is kept.
    fn compare(&self, before: &Frontier) -> (u64, Vec<Finding>) {
        let mut withheld = Vec::new();
        let pruned = before.size();
        if pruned > 0 {
            let root = STANDARD.encode(before.root().as_bytes());
            if !self.begins.iter().any(|(to, named)| *to == pruned && *named == root) {
                let what =
                    "they are gone, and no record of retention says so and names their root".to_owned();
                withheld.push(unforgiven(&format!("the events before seq {pruned}"), what));
            }
        }
        let unnamed: Vec<_> = self.openings.iter().filter(|opening| !self.named.contains(*opening)).collect();
        for (seq, path) in unnamed.iter().take(WITHHELD_MAX) {
            withheld.push(unforgiven(
                &format!("seq {seq}"),
                format!("`{path}` is gone, and no record of an erasure says so"),
            ));
        }
        if unnamed.len() > WITHHELD_MAX {
            withheld.push(unforgiven(
                "events",
                format!("{} more values are gone without a record", unnamed.len() - WITHHELD_MAX),
            ));
        }
        // A run that was cut off is recorded once more by the next one, so there may be more in the records.
        let named: u64 =
            self.dropped_named.iter().filter(|(to, _)| *to >= pruned).map(|(_, count)| count).sum();
        if self.dropped > named {
            let what =
                format!("{} events are dropped, and records of retention speak of {named}", self.dropped);
            withheld.push(unforgiven("events", what));
        }
        (self.openings.len() as u64 + self.dropped, withheld)
    }
}

/// The stored tiles, compared with what the sealed events lead to.
struct Tiles<'s> {
    store: &'s Store,
    builder: TileBuilder,
    /// Events that were taken in.
    size: u64,
}

impl<'s> Tiles<'s> {
    /// Goes on behind the events that are gone.
    fn from(store: &'s Store, before: &Frontier) -> Result<Tiles<'s>, EngineError> {
        let builder = pruned::tiles_at(store, before.size())?;
        Ok(Tiles { store, builder, size: before.size() })
    }

    /// Takes the leaves of the next segment in. Behind one whose leaves are not known, nothing can be compared.
    fn compare(
        &mut self,
        first_seq: u64,
        leaves: &[Hash],
        findings: &mut Vec<Finding>,
    ) -> Result<(), EngineError> {
        let Some(known) = self.size.checked_sub(first_seq) else { return Ok(()) };
        let mut full = Vec::new();
        for leaf in leaves.iter().skip(usize::try_from(known).unwrap_or(usize::MAX)) {
            self.builder.push(*leaf, |tile| full.push(tile));
            self.size += 1;
        }
        for tile in full {
            let is_right = match self.store.tile_if_kept(tile.level, tile.index) {
                Ok(Some(stored)) => stored == tile.hashes,
                // Those of sealed events are made again when they are needed.
                Ok(None) => tile.level == 0,
                Err(StoreError::Damaged { .. }) => false,
                Err(error) => return Err(error.into()),
            };
            if !is_right {
                let what = format!(
                    "tile {} of level {} is missing, or differs from the events",
                    tile.index, tile.level
                );
                findings.push(finding("database", what));
            }
        }
        Ok(())
    }
}

/// The signed checkpoints, by size, and what does not fit them.
struct Signed {
    /// Name and root of those that are to be compared, by size.
    roots: BTreeMap<u64, Vec<(String, Hash)>>,
    count: usize,
    verifiers: Vec<String>,
    findings: Vec<Finding>,
    /// Those that nothing is left of to compare them with.
    withheld: Vec<Finding>,
}

impl Signed {
    /// Reads the checkpoints of the database and the one beside the key, and checks their signatures.
    fn read(store: &Store, place: &KeyPlace) -> Result<Signed, EngineError> {
        let epochs = store.epochs()?;
        let verifiers = epochs.iter().map(|epoch| epoch.verifier.clone()).collect();
        let mut signed = Signed {
            roots: BTreeMap::new(),
            count: 0,
            verifiers,
            findings: Vec::new(),
            withheld: Vec::new(),
        };
        for checkpoint in store.checkpoints()? {
            let name = format!("checkpoint #{}", checkpoint.number);
            let epoch = epochs.iter().find(|epoch| epoch.number == checkpoint.epoch);
            let read = epoch.ok_or_else(|| "its epoch is missing".to_owned());
            match read.and_then(|epoch| checked(&checkpoint.note, &epoch.verifier)) {
                Ok(read) if read.size() == checkpoint.size => signed.add(name, &read),
                Ok(read) => {
                    let what = format!("it is of {} events, not of {}", read.size(), checkpoint.size);
                    signed.findings.push(unforgiven(&name, what));
                }
                Err(what) => signed.findings.push(unforgiven(&name, what)),
            }
        }
        if let Some(last) = place.last()? {
            let name = "the last checkpoint beside the key".to_owned();
            let epoch = epochs.last().ok_or_else(|| "the database knows of no key".to_owned());
            match epoch.and_then(|epoch| checked(&last.note, &epoch.verifier)) {
                Ok(read) => signed.add(name, &read),
                Err(what) => signed.findings.push(unforgiven(&name, what)),
            }
        }
        Ok(signed)
    }

    fn add(&mut self, name: String, checkpoint: &Checkpoint) {
        self.count += 1;
        if checkpoint.size() > 0 {
            self.roots.entry(checkpoint.size()).or_default().push((name, checkpoint.root()));
        }
    }

    /// Compares those of fewer events than are gone with what was kept for them.
    fn compare_before(&mut self, store: &Store, pruned: u64) -> Result<(), EngineError> {
        let (later, mut kept) = (self.roots.split_off(&pruned), Kept::new(store));
        for (size, names) in std::mem::replace(&mut self.roots, later) {
            let root = kept.root_at(size)?;
            for (name, signed) in names {
                if root.is_none() {
                    let what = "what is left of its events leads to no root".to_owned();
                    self.withheld.push(unforgiven(&name, what));
                } else if root != Some(signed) {
                    let what =
                        format!("the hashes kept of the first {size} events are not those that it signed");
                    self.findings.push(unforgiven(&name, what));
                }
            }
        }
        Ok(())
    }

    /// Compares the checkpoints inside a segment that begins where the tree ends.
    fn compare_inside(&mut self, before: &Frontier, leaves: &[Hash]) {
        let end = before.size() + leaves.len() as u64;
        if self.roots.range(before.size() + 1..=end).next().is_none() {
            return;
        }
        let mut tree = before.clone();
        for leaf in leaves {
            tree.push(*leaf);
            self.compare(&tree);
        }
    }

    fn compare(&mut self, tree: &Frontier) {
        for (name, root) in self.roots.remove(&tree.size()).into_iter().flatten() {
            if root != tree.root() {
                let what = format!("the first {} events are not those that it signed", tree.size());
                self.findings.push(unforgiven(&name, what));
            }
        }
    }

    /// Notes checkpoints of more events than there are.
    fn beyond(&mut self, size: u64) {
        for (signed, names) in std::mem::take(&mut self.roots) {
            for (name, _) in names.into_iter().filter(|_| signed > size) {
                let what = format!("it signed {signed} events, and the log has {size}: events are missing");
                self.findings.push(unforgiven(&name, what));
            }
        }
    }
}

/// Reads a checkpoint that a key signed.
fn checked(note: &str, verifier: &str) -> Result<Checkpoint, String> {
    let key: VerifierKey = verifier.parse().map_err(|error| format!("its key is none: {error}"))?;
    let note: SignedNote = note.parse().map_err(|error| format!("it is no signed note: {error}"))?;
    note.verify(&[key]).map_err(|error| error.to_string())?;
    note.text().parse().map_err(|error| format!("it is no checkpoint: {error}"))
}

/// What no rebuilding puts right: the log is another than it was.
fn unforgiven(part: &str, what: String) -> Finding {
    Finding {
        part: part.to_owned(),
        what,
        remedy: "the log is not what was signed: compare it with a backup",
    }
}

fn finding(part: &str, what: String) -> Finding {
    Finding { part: part.to_owned(), what, remedy: REPAIR }
}

/// What the manifest says of the events of a segment, so that searches pass it by: a lie there would hide them.
#[derive(Default)]
struct Seen {
    times_us: Option<(i64, i64)>,
    id_times_ms: Option<(u64, u64)>,
    has_other_ids: bool,
}

impl Seen {
    fn take(&mut self, time_us: i64, id: [u8; 16]) {
        let (from, to) = self.times_us.unwrap_or((time_us, time_us));
        self.times_us = Some((from.min(time_us), to.max(time_us)));
        match id_time_ms(&uuid::Uuid::from_bytes(id)) {
            Some(ms) => {
                let (from, to) = self.id_times_ms.unwrap_or((ms, ms));
                self.id_times_ms = Some((from.min(ms), to.max(ms)));
            }
            None => self.has_other_ids = true,
        }
    }

    fn fits(&self, row: &SegmentRow) -> bool {
        self.times_us == Some((row.min_time_us, row.max_time_us))
            && self.id_times_ms == row.id_times_ms
            && self.has_other_ids == row.has_other_ids
    }
}

/// What a segment's events lead to.
pub(crate) struct CheckedSegment {
    leaves: Vec<Hash>,
    gone: Gone,
}

/// What hears of each segment in turn; `None` is one that was checked before.
type EachChecked<'a> = dyn FnMut(&SegmentRow, Option<Result<CheckedSegment, EngineError>>) -> Result<ControlFlow<()>, EngineError>
    + 'a;

/// Checks segments on as many threads as there are cores, and hands on what was found in the order of the rows.
fn each_checked(
    objects: &Objects,
    log_id: LogId,
    rows: &[SegmentRow],
    known: &HashSet<String>,
    each: &mut EachChecked<'_>,
) -> Result<(), EngineError> {
    let cores = std::thread::available_parallelism().map_or(1, NonZero::get);
    std::thread::scope(|scope| {
        let (mut waiting, mut running, mut bytes) = (rows.iter().peekable(), VecDeque::new(), 0);
        loop {
            while let Some(row) = waiting.next_if(|row| {
                running.is_empty() || (running.len() < cores && bytes + row.bytes <= CHECKED_BYTES_MAX)
            }) {
                let is_new = !known.contains(&row.object);
                let check = is_new.then(|| scope.spawn(move || check_segment(objects, row, log_id)));
                bytes += row.bytes;
                running.push_back((row, check));
            }
            let Some((row, check)) = running.pop_front() else { return Ok(()) };
            let join = |check: ScopedJoinHandle<'_, _>| {
                check.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
            };
            let result = check.map(join);
            bytes -= row.bytes;
            if each(row, result)?.is_break() {
                return Ok(());
            }
        }
    })
}

/// Checks one segment against the manifest: its bytes, its structure, and its events against the root.
pub(crate) fn check_segment(
    objects: &Objects,
    row: &SegmentRow,
    log_id: LogId,
) -> Result<CheckedSegment, EngineError> {
    let damaged = |what: String| EngineError::Segment {
        object: row.object.clone(),
        source: annals_segment::SegmentError::Damaged { what },
    };
    let bytes = objects.read_all(&row.object)?;
    if bytes.len() as u64 != row.bytes {
        return Err(damaged(format!("{} bytes instead of {}", bytes.len(), row.bytes)));
    }
    let by_name = |source| EngineError::Segment { object: row.object.clone(), source };
    // The structure first: it names the part that is damaged, the hash of the whole does not.
    let count = usize::try_from(row.event_count).expect("at most 2^18 events");
    let mut leaves = vec![None; count];
    let mut wrong = None;
    let (mut seen, mut gone) = (Seen::default(), Gone::default());
    let index = check_events(&bytes, &mut |event| {
        let time = Time::from_micros_saturating(event.time_us);
        let record = Record::from_envelope(EventId::from_bytes(event.id), time, event.body, event.envelope);
        seen.take(event.time_us, event.id);
        let at = usize::try_from(event.seq.wrapping_sub(row.first_seq)).unwrap_or(usize::MAX);
        match (record, leaves.get_mut(at)) {
            (Ok(record), Some(leaf @ None)) => {
                gone.take(event.seq, &record);
                *leaf = Some(Hash::from_bytes(record.leaf_hash(log_id)));
            }
            (Err(error), _) => wrong = wrong.take().or(Some(format!("seq {}: {error}", event.seq))),
            _ => {
                wrong =
                    wrong.take().or(Some(format!("seq {} stands twice or does not belong here", event.seq)))
            }
        }
    })
    .map_err(by_name)?;
    if <[u8; 32]>::from(Sha256::digest(&bytes)) != row.sha256 {
        return Err(damaged("its SHA-256 differs from the manifest".to_owned()));
    }
    if let Some(wrong) = wrong {
        return Err(damaged(wrong));
    }
    if index != (row.index_at..row.index_at + row.index_bytes) {
        return Err(damaged("its index lies elsewhere than the manifest says".to_owned()));
    }
    if !seen.fits(row) {
        return Err(damaged("the manifest has other times or ids for its events".to_owned()));
    }
    let leaves: Option<Vec<Hash>> = leaves.into_iter().collect();
    let leaves = leaves.ok_or_else(|| damaged("an event is missing".to_owned()))?;
    if !leaves.len().is_power_of_two() || perfect_root(&leaves) != row.root {
        return Err(damaged("its events lead to another root than the manifest says".to_owned()));
    }
    Ok(CheckedSegment { leaves, gone })
}
