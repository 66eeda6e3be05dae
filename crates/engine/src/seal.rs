//! Sealing: the oldest events of the tail move into an immutable segment.
//!
//! Durable writes, in order, and what is true if we stop after each:
//!
//! | step | stopped before it | stopped after it, before the next |
//! | --- | --- | --- |
//! | 1. the object is written, and read back | nothing happened | an object that no manifest names; the next attempt writes the same name with the same bytes |
//! | 2. the manifest names it, and the sealed bound rises, in one transaction | as above | sealed; tail rows below the bound are dead weight that no reader looks at |
//! | 3. tail rows and level-0 tiles below the bound are deleted, some at a time | as above | fewer of them; the next round goes on |
//!
//! An event is therefore always in the tail or in a segment that was read back, and never counted twice: readers take
//! the bound and the manifest from one snapshot.

use std::ops::Range;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use annals_model::audit_log::StoredEvent;
use annals_model::record::Record;
use annals_segment::{SealedRow, SegmentFile, SegmentWriter};
use annals_store::{Objects, SealLease, SegmentRow, Store, StoreError};
use annals_tlog::{Hash, TILE_HASHES, perfect_root};
use sha2::{Digest, Sha256};
use tracing::{info, warn};

use crate::clock::Clock;
use crate::document::document;
use crate::error::EngineError;
use crate::index::Index;
use crate::merge::Leftovers;
use crate::metrics::Metrics;
use crate::sealed::SealedPart;

/// When events are sealed.
#[derive(Debug, Clone)]
pub struct SealPolicy {
    /// Events of a full segment: a power of two from 256 to 262,144.
    pub events: u32,
    /// Events of a segment that age seals: a power of two, `events` at most.
    pub aged_events: u32,
    /// Age at which events are sealed although a full segment is not there yet.
    pub age: Duration,
    /// Bytes of records in one segment at most: they are held in memory while it is made.
    pub bytes_max: u64,
    /// Seal in the background, for processes that stay. Without it nothing is sealed until [`crate::Engine::seal_due`].
    pub in_background: bool,
}

impl Default for SealPolicy {
    fn default() -> SealPolicy {
        SealPolicy {
            events: 262_144,
            aged_events: 65_536,
            age: Duration::from_secs(3_600),
            bytes_max: 1 << 30,
            in_background: false,
        }
    }
}

/// How often the thread looks whether there is something to seal.
const LOOK_EVERY: Duration = Duration::from_secs(1);
/// After a failure, such as an object store that is away.
const RETRY_AFTER: Duration = Duration::from_secs(5);
/// Tail rows deleted in one transaction: 16 are about 4 MiB, some milliseconds for those who append meanwhile.
const DISCARD_ROWS: usize = 16;
/// Smallest segment: one level-0 tile.
const SEGMENT_EVENTS_MIN: u32 = 256;

/// What sealing works on.
#[derive(Debug, Clone)]
pub(crate) struct Sealer {
    pub(crate) store: Arc<Store>,
    pub(crate) objects: Arc<Objects>,
    pub(crate) index: Arc<Index>,
    pub(crate) metrics: Arc<Metrics>,
    pub(crate) policy: SealPolicy,
    pub(crate) clock: Clock,
    /// Rows to delete or segments to merge may be left, from an earlier run or a round that was cut off.
    pub(crate) has_work_left: Arc<AtomicBool>,
    /// Objects that no manifest names, and blocks that are too large to merge.
    pub(crate) leftovers: Arc<Mutex<Leftovers>>,
}

/// The thread that seals.
#[derive(Debug)]
pub(crate) struct SealingThread {
    stop: Arc<Stop>,
    thread: Option<JoinHandle<()>>,
}

#[derive(Debug, Default)]
struct Stop {
    is_set: AtomicBool,
    lock: Mutex<()>,
    changed: Condvar,
}

impl Stop {
    /// Waits, and says whether to go on.
    fn wait(&self, time: Duration) -> bool {
        let guard = self.lock.lock().unwrap_or_else(PoisonError::into_inner);
        if !self.is_set.load(Ordering::Relaxed) {
            drop(self.changed.wait_timeout(guard, time).unwrap_or_else(PoisonError::into_inner));
        }
        !self.is_set.load(Ordering::Relaxed)
    }

    fn set(&self) {
        let _guard = self.lock.lock().unwrap_or_else(PoisonError::into_inner);
        self.is_set.store(true, Ordering::Relaxed);
        self.changed.notify_all();
    }
}

impl SealingThread {
    pub(crate) fn start(sealer: Sealer) -> Result<SealingThread, EngineError> {
        let stop = Arc::new(Stop::default());
        let seen = Arc::clone(&stop);
        let thread = std::thread::Builder::new()
            .name("seal".to_owned())
            .spawn(move || sealer.run(&seen))
            .map_err(EngineError::Thread)?;
        Ok(SealingThread { stop, thread: Some(thread) })
    }

    /// Ends the thread. A segment in the making is given up; the next start makes it again.
    pub(crate) fn stop(&mut self) {
        self.stop.set();
        if let Some(thread) = self.thread.take()
            && thread.join().is_err()
        {
            warn!("the sealing thread ended by a panic");
        }
    }
}

impl Drop for SealingThread {
    fn drop(&mut self) {
        self.stop();
    }
}

impl Sealer {
    fn run(&self, stop: &Stop) {
        // The first look is at once: an earlier run may have left work.
        let mut wait = Duration::ZERO;
        while stop.wait(wait) {
            // Also where nobody searches: what others sealed leaves the memory of this process.
            if let Err(cause) = self.index.refresh(&self.store) {
                warn!(error = %cause, "the index could not be brought up to date and is tried again");
            }
            wait = match self.round(&|| !stop.is_set.load(Ordering::Relaxed)) {
                Ok(_) => LOOK_EVERY,
                Err(cause) => {
                    self.metrics.seal_failures.inc();
                    warn!(error = %cause, cause = ?std::error::Error::source(&cause), "sealing failed and is tried again");
                    RETRY_AFTER
                }
            };
        }
    }

    /// Seals all that is due and deletes what was sealed; returns the segments made. `go_on` is asked between steps.
    pub(crate) fn round(&self, go_on: &dyn Fn() -> bool) -> Result<usize, EngineError> {
        let due = self.due(false)?;
        self.measure_lag(due)?;
        if due.is_none() && !self.has_work_left.load(Ordering::Relaxed) && !self.is_sweep_due() {
            return Ok(0);
        }
        // Left over if we fail or stop below: the next round goes on.
        self.has_work_left.store(true, Ordering::Relaxed);
        let Some(mut lease) = self.store.try_seal_lease()? else { return Ok(0) };
        let mut made = 0;
        while go_on() {
            // What another process sealed before we had the lease is no longer due.
            let Some((from, count)) = self.due(false)? else { break };
            if !self.seal(&mut lease, from, count, go_on)? {
                return Ok(made);
            }
            made += 1;
            // Before the next one: while events come as fast as they are sealed, there is always a next one, and the database
            // would keep every row and grow.
            discard(&mut lease, go_on)?;
        }
        discard(&mut lease, go_on)?;
        made += self.merge_due(&mut lease, go_on)?;
        self.sweep(&mut lease)?;
        self.has_work_left.store(!go_on(), Ordering::Relaxed);
        self.measure_lag(None)?;
        Ok(made)
    }

    /// Seals as much as there is, down to the smallest segments, whatever their age.
    pub(crate) fn seal_all(&self) -> Result<usize, EngineError> {
        let Some(mut lease) = self.store.try_seal_lease()? else { return Err(EngineError::SealingElsewhere) };
        let mut made = 0;
        while let Some((from, count)) = self.due(true)? {
            self.seal(&mut lease, from, count, &|| true)?;
            made += 1;
        }
        while lease.discard_sealed(DISCARD_ROWS)? {}
        Ok(made)
    }

    /// The events to seal next: a run whose tree is a perfect subtree.
    fn due(&self, everything: bool) -> Result<Option<(u64, u32)>, EngineError> {
        let state = self.store.state()?;
        let waiting = state.head.size - state.sealed;
        let full = u64::from(self.policy.events);
        let is_due = if everything {
            waiting >= u64::from(SEGMENT_EVENTS_MIN)
        } else {
            waiting >= full
                || (waiting >= u64::from(self.policy.aged_events) && self.is_aged(state.sealed)?)
                || (waiting >= u64::from(SEGMENT_EVENTS_MIN)
                    && self.store.tail_bytes(state.sealed, state.head.size)? >= self.policy.bytes_max)
        };
        if !is_due {
            return Ok(None);
        }
        // A perfect subtree begins at a multiple of its size. Where an earlier segment was small the next ones are, too, until
        // they are in step again; merging makes one of them.
        let mut count = full;
        while count > waiting || !state.sealed.is_multiple_of(count) {
            count /= 2;
        }
        // Very large events: fewer of them, down to what one tile holds.
        while count > u64::from(SEGMENT_EVENTS_MIN)
            && self.store.tail_bytes(state.sealed, state.sealed + count)? > self.policy.bytes_max
        {
            count /= 2;
        }
        Ok(Some((state.sealed, u32::try_from(count).expect("at most 2^18 events"))))
    }

    /// Whether the oldest event of the tail was received long enough ago.
    fn is_aged(&self, oldest: u64) -> Result<bool, EngineError> {
        let Some(waited) = self.waited(oldest)? else { return Ok(false) };
        Ok(waited >= self.policy.age)
    }

    /// How long ago an event of the tail was received.
    fn waited(&self, seq: u64) -> Result<Option<Duration>, EngineError> {
        let Some(row) = self.store.row_of(seq)? else { return Ok(None) };
        let Some(record) = row.records().next() else { return Ok(None) };
        let (_, record) = record?;
        let micros = self.clock.now().as_micros().saturating_sub(record.received.as_micros());
        Ok(Some(Duration::from_micros(u64::try_from(micros).unwrap_or(0))))
    }

    fn measure_lag(&self, due: Option<(u64, u32)>) -> Result<(), EngineError> {
        let lag = match due {
            // A segment is due from its last event on.
            Some((from, count)) => self.waited(from + u64::from(count) - 1)?.unwrap_or_default(),
            None => Duration::ZERO,
        };
        self.metrics.sealing_lag_seconds.set(i64::try_from(lag.as_secs()).unwrap_or(i64::MAX));
        Ok(())
    }

    /// Makes one segment of the tail's oldest events; returns false if it was given up because the log stops.
    fn seal(
        &self,
        lease: &mut SealLease,
        from: u64,
        count: u32,
        go_on: &dyn Fn() -> bool,
    ) -> Result<bool, EngineError> {
        let started = Instant::now();
        let Some(file) = self.write(from, count, go_on)? else { return Ok(false) };
        let root = subtree_root(&self.store, from, u64::from(count))?;
        let row = self.row_of(from, count, root, &file);
        crash_point("seal: before the object");
        self.objects.put(&row.object, file.bytes.into())?;
        crash_point("seal: object written");
        self.read_back(&row)?;
        lease.publish(&row)?;
        crash_point("seal: published");
        if let Err(cause) = self.index.refresh(&self.store) {
            warn!(error = %cause, "a new segment could not be opened and is tried again");
        }
        self.metrics.sealed_segments.inc();
        self.metrics.seal_seconds.observe(started.elapsed().as_secs_f64());
        info!(segment = row.object, events = count, bytes = row.bytes, "sealed");
        Ok(true)
    }

    /// What the manifest says of a segment.
    pub(crate) fn row_of(
        &self,
        first_seq: u64,
        event_count: u32,
        root: Hash,
        file: &SegmentFile,
    ) -> SegmentRow {
        let sha256: [u8; 32] = Sha256::digest(&file.bytes).into();
        SegmentRow {
            first_seq,
            event_count,
            object: object_name(first_seq, event_count, &sha256),
            bytes: file.bytes.len() as u64,
            sha256,
            index_at: file.index_at,
            index_bytes: file.index_bytes,
            root,
            min_time_us: file.time_range.0,
            max_time_us: file.time_range.1,
            id_times_ms: file.id_times_ms,
            has_other_ids: file.has_other_ids,
            sealed: self.clock.now(),
        }
    }

    fn write(
        &self,
        from: u64,
        count: u32,
        go_on: &dyn Fn() -> bool,
    ) -> Result<Option<SegmentFile>, EngineError> {
        let end = from + u64::from(count);
        let mut writer: Option<SegmentWriter> = None;
        let mut failure = None;
        let mut at = from;
        // Some rows at a time: a reader that stays open for long keeps the database's log from being reused.
        while at < end {
            if !go_on() {
                return Ok(None);
            }
            let Some(row) = self.store.row_of(at)? else {
                let what = format!("seq {at} is not in the tail");
                return Err(StoreError::Damaged { what }.into());
            };
            for record in row.records() {
                let (seq, record) = record?;
                if (at..end).contains(&seq) && failure.is_none() {
                    let writer = writer.get_or_insert_with(|| {
                        SegmentWriter::new(from, fingerprint_key(&self.store, &record))
                    });
                    failure = push_record(writer, seq, &record).err();
                }
            }
            at = row.first_seq() + u64::from(row.count());
        }
        if let Some(failure) = failure {
            return Err(failure);
        }
        let Some(writer) = writer else { return Ok(None) };
        Ok(Some(writer.finish()?))
    }

    /// Reads the object as any process will, and compares it with what was written.
    pub(crate) fn read_back(&self, row: &SegmentRow) -> Result<(), EngineError> {
        let bytes = self.objects.read_all(&row.object)?;
        if <[u8; 32]>::from(Sha256::digest(&bytes)) != row.sha256 {
            return Err(EngineError::NotReadBack { object: row.object.clone() });
        }
        SealedPart::of_bytes(bytes, row.clone()).map(drop)
    }
}

pub(crate) fn push_record(
    writer: &mut SegmentWriter,
    seq: u64,
    record: &Record<'_>,
) -> Result<(), EngineError> {
    let event = StoredEvent::read(record)?;
    let mut envelope = Vec::with_capacity(512);
    record.encode_envelope(&mut envelope);
    writer.push(&SealedRow {
        document: &document(&event, seq),
        received_us: record.received.as_micros(),
        body: record.body,
        envelope: &envelope,
    })?;
    Ok(())
}

/// A key that producers cannot know, so that nobody can make ids whose fingerprints are equal; the same at each attempt, so
/// that a repeated attempt writes the same bytes.
pub(crate) fn fingerprint_key(store: &Store, first: &Record<'_>) -> [u8; 16] {
    let mut hash = Sha256::new();
    hash.update(b"annals/fingerprint/1\0");
    hash.update(store.log_id().as_bytes());
    hash.update(first.nonce);
    let hash: [u8; 32] = hash.finalize().into();
    hash[..16].try_into().expect("half of 32 bytes")
}

/// First seq, count of events, and the begin of the SHA-256: other bytes have another name.
pub(crate) fn object_name(first_seq: u64, count: u32, sha256: &[u8; 32]) -> String {
    let [a, b, c, d, ..] = sha256;
    format!("{first_seq:016}-{count}-{a:02x}{b:02x}{c:02x}{d:02x}.parquet")
}

/// Seqs of an object, by its name; nothing for a name that is not ours.
pub(crate) fn seqs_of(object: &str) -> Option<Range<u64>> {
    // A local object in the making, or left by a crash.
    let name = object.strip_suffix(".unfinished").unwrap_or(object);
    let mut parts = name.strip_suffix(".parquet")?.split('-');
    let (first, count, hash) = (parts.next()?, parts.next()?, parts.next()?);
    let is_ours = first.len() == 16 && hash.len() == 8 && parts.next().is_none();
    let (first, count): (u64, u64) = (first.parse().ok()?, count.parse().ok()?);
    is_ours.then(|| first..first.saturating_add(count))
}

/// Root of the perfect subtree over `count` leaves from `from` on, out of the tiles that the appends wrote.
fn subtree_root(store: &Store, from: u64, count: u64) -> Result<Hash, EngineError> {
    let tile_hashes = TILE_HASHES as u64;
    // A full tile of level 1 covers 65,536 leaves; below that, level 0.
    let (level, hashes_each) = if count >= tile_hashes * tile_hashes { (1u8, tile_hashes) } else { (0, 1) };
    let leaves_a_tile = hashes_each * tile_hashes;
    let mut roots = Vec::new();
    for index in from / leaves_a_tile..(from + count) / leaves_a_tile {
        let hashes = store.tile(level, index)?;
        let hashes: Vec<Hash> = hashes.as_chunks().0.iter().map(|hash| Hash::from_bytes(*hash)).collect();
        roots.push(perfect_root(&hashes));
    }
    Ok(perfect_root(&roots))
}

/// Deletes the tail rows of sealed events, some in a transaction, so that appends wait for none of them long.
fn discard(lease: &mut SealLease, go_on: &dyn Fn() -> bool) -> Result<(), EngineError> {
    while go_on() {
        let is_more = lease.discard_sealed(DISCARD_ROWS)?;
        crash_point("seal: rows discarded");
        if !is_more {
            break;
        }
    }
    Ok(())
}

/// Where tests stop the process: `ANNALS_CRASH_AT` names the point. Does nothing in release builds.
#[expect(clippy::disallowed_methods, reason = "no configuration: tests stop a child process by it")]
pub(crate) fn crash_point(name: &str) {
    if cfg!(debug_assertions) && std::env::var("ANNALS_CRASH_AT").is_ok_and(|point| point == name) {
        std::process::abort();
    }
}
