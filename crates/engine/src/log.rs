//! The log while it is open: one thread appends in groups, any thread searches.
//!
//! A commit costs an fsync however many events it holds, so the appending thread takes everything that waits, commits it
//! at once, and only then answers. Other processes may append to the same log: under the lock on the head the thread first
//! reads what they added.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, TryRecvError, TrySendError, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::Instant;

use annals_model::id::EventId;
use annals_model::limits::{COMMIT_BYTES_MAX, QUEUE_BYTES_MAX};
use annals_model::prepare::Prepared;
use annals_model::record::{Record, RecordError};
use annals_store::{Append, Deletion, LogWriter, NewRecord, Store, StoreError};
use annals_tlog::Hash;
use tokio::sync::{oneshot, watch};
use tracing::{debug, error};

use crate::error::EngineError;
use crate::index::{Index, Parts};
use crate::ingest::OWN_SOURCE;
use crate::metrics::Metrics;
use crate::placement::{Placement, Repeated};
use crate::random;
use crate::signing::{Guard, Refusal};

/// Batches that wait for the appending thread; their bytes are limited by [`QUEUE_BYTES_MAX`] as well.
const QUEUE_BATCHES_MAX: usize = 4_096;

/// An event ready to append: checked, with its bytes and its leaf hash made outside the lock.
#[derive(Debug)]
pub(crate) struct ReadyEvent {
    pub(crate) prepared: Prepared,
    pub(crate) record: NewRecord,
}

impl ReadyEvent {
    /// Draws the salts, encodes the record and hashes its leaf.
    pub(crate) fn new(mut prepared: Prepared, store: &Store) -> ReadyEvent {
        let salts = random::salts();
        let record = prepared.record(&salts);
        let leaf = Hash::from_bytes(record.leaf_hash(store.log_id()));
        let mut bytes =
            Vec::with_capacity(record.body.len() + openings_bytes(&prepared) + RECORD_OVERHEAD_BYTES);
        record.encode(&mut bytes);
        let time_us = prepared.time.as_micros();
        let deletes = prepared.deletes.take();
        let deletes =
            deletes.map(|(resource_type, resource_id)| Deletion { resource_type, resource_id, time_us });
        // Annals numbers nothing that it does itself: what it does stands in the log at once.
        let source = prepared.source.take().filter(|(source, _)| source != OWN_SOURCE);
        let received = prepared.received;
        ReadyEvent { prepared, record: NewRecord { bytes, leaf, deletes, source, received } }
    }
}

/// Fixed parts of a record and of its six openings at most, rounded up.
const RECORD_OVERHEAD_BYTES: usize = 320;

fn openings_bytes(prepared: &Prepared) -> usize {
    prepared.groups.iter().map(|(_, value)| value.len()).sum()
}

/// Where an event stands after it was appended, or stood already.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Placed {
    pub(crate) id: EventId,
    pub(crate) seq: u64,
    pub(crate) is_duplicate: bool,
}

/// The outcome of one event of a batch: placed, or its id stands in the log with other content.
pub(crate) type Placing = Result<Placed, EventId>;

/// Why a batch was not appended.
#[derive(Debug, Clone)]
pub(crate) enum AppendFailure {
    /// The queue is full.
    Backpressure,
    /// The log is stopping.
    Stopping,
    /// The log was put back or cut, and the operator has not decided.
    Refused(Refusal),
    /// The database failed; the cause is in the operator's log.
    Failed {
        /// The disk is full.
        is_full: bool,
        /// The database does not answer, or another process held the lock for too long.
        is_busy: bool,
    },
}

struct Submission {
    events: Vec<ReadyEvent>,
    /// Bytes of their records.
    bytes: usize,
    /// A conflict refuses the whole batch.
    all_or_nothing: bool,
    reply: oneshot::Sender<Result<Vec<Placing>, AppendFailure>>,
}

/// The open log.
#[derive(Debug)]
pub(crate) struct Log {
    store: Arc<Store>,
    index: Arc<Index>,
    metrics: Arc<Metrics>,
    /// Bytes of the records that wait for their commit.
    queued_bytes: Arc<AtomicUsize>,
    guard: Guard,
    /// Seq after the last event that this process committed, for those who wait for news.
    committed: watch::Sender<u64>,
    /// Taken when the log stops; the appending thread ends when it has answered everything before.
    sender: Mutex<Option<SyncSender<Submission>>>,
    thread: Mutex<Option<JoinHandle<()>>>,
}

/// Whose events a batch holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Urgency {
    /// A producer's, who sends them again when the queue is full.
    Producer,
    /// Those of Annals itself: nobody would send them again.
    Own,
}

impl Log {
    pub(crate) fn open(
        store: Arc<Store>,
        index: Index,
        metrics: Arc<Metrics>,
        guard: Guard,
    ) -> Result<Log, EngineError> {
        let index = Arc::new(index);
        index.refresh(&store)?;
        let queued_bytes = Arc::new(AtomicUsize::new(0));
        let (sender, receiver) = sync_channel(QUEUE_BATCHES_MAX);
        let committed = watch::Sender::new(0);
        let mut appender = Appender {
            writer: store.log_writer()?,
            store: Arc::clone(&store),
            index: Arc::clone(&index),
            metrics: Arc::clone(&metrics),
            queued_bytes: Arc::clone(&queued_bytes),
            committed: committed.clone(),
            receiver,
        };
        let thread = std::thread::Builder::new()
            .name("append".to_owned())
            .spawn(move || appender.run())
            .map_err(EngineError::Thread)?;
        Ok(Log {
            store,
            index,
            metrics,
            queued_bytes,
            guard,
            committed,
            sender: Mutex::new(Some(sender)),
            thread: Mutex::new(Some(thread)),
        })
    }

    /// Hands a batch to the appending thread. The answer comes after its commit.
    pub(crate) fn submit(
        &self,
        events: Vec<ReadyEvent>,
        all_or_nothing: bool,
        urgency: Urgency,
    ) -> Result<oneshot::Receiver<Result<Vec<Placing>, AppendFailure>>, AppendFailure> {
        if let Some(refusal) = self.guard.refusal() {
            self.metrics.refused_batches.inc();
            return Err(AppendFailure::Refused(refusal));
        }
        let bytes = events.iter().map(|event| event.record.bytes.len()).sum();
        let queued = self.queued_bytes.fetch_add(bytes, Ordering::Relaxed);
        let (reply, receiver) = oneshot::channel();
        let submission = Submission { events, bytes, all_or_nothing, reply };
        let sent = if urgency == Urgency::Producer && queued + bytes > QUEUE_BYTES_MAX && queued > 0 {
            Err(AppendFailure::Backpressure)
        } else {
            // Out of the lock, so that who waits for a place keeps nobody else waiting.
            let sender = self.sender.lock().unwrap_or_else(PoisonError::into_inner).clone();
            match sender {
                None => Err(AppendFailure::Stopping),
                // What happened has happened: its event waits for its place in the queue.
                Some(sender) if urgency == Urgency::Own => {
                    sender.send(submission).map_err(|_| AppendFailure::Stopping)
                }
                Some(sender) => sender.try_send(submission).map_err(|error| match error {
                    TrySendError::Full(_) => AppendFailure::Backpressure,
                    TrySendError::Disconnected(_) => AppendFailure::Stopping,
                }),
            }
        };
        if sent.is_err() {
            self.queued_bytes.fetch_sub(bytes, Ordering::Relaxed);
            self.metrics.refused_batches.inc();
        }
        sent.map(|()| receiver)
    }

    /// Brings the index up to the head and returns its parts, so that a search sees every event acknowledged before it
    /// began, whichever process took it.
    pub(crate) fn refresh(&self) -> Result<Parts, EngineError> {
        self.index.refresh(&self.store)?;
        let parts = self.index.parts();
        self.metrics.segments.set(i64::try_from(parts.sealed_count()).unwrap_or(i64::MAX));
        Ok(parts)
    }

    /// The same for a caller who met an event that is sealed but not open here.
    pub(crate) fn refresh_manifest(&self) -> Result<Parts, EngineError> {
        self.index.refresh_manifest(&self.store)?;
        Ok(self.index.parts())
    }

    /// Changes when this process commits.
    pub(crate) fn committed(&self) -> watch::Receiver<u64> {
        self.committed.subscribe()
    }

    /// What the open log looks at.
    pub(crate) fn index(&self) -> &Arc<Index> {
        &self.index
    }

    /// Says whether the appending thread runs.
    pub(crate) fn is_appending(&self) -> bool {
        let thread = self.thread.lock().unwrap_or_else(PoisonError::into_inner);
        thread.as_ref().is_some_and(|thread| !thread.is_finished())
    }

    /// Finishes the queue and ends the thread.
    pub(crate) fn stop(&self) {
        drop(self.sender.lock().unwrap_or_else(PoisonError::into_inner).take());
        if let Some(thread) = self.thread.lock().unwrap_or_else(PoisonError::into_inner).take()
            && thread.join().is_err()
        {
            error!("the appending thread ended by a panic");
        }
    }
}

impl Drop for Log {
    fn drop(&mut self) {
        self.stop();
    }
}

/// What became of each batch of a commit. One whose repeated ids cannot be compared with what is stored fails alone.
type Placings = Vec<Result<Vec<Placing>, EngineError>>;

/// What a producer hears; the operator reads the cause in the log.
fn failure(cause: &EngineError) -> AppendFailure {
    error!(error = %cause, cause = ?std::error::Error::source(cause), "append failed");
    let is_full = matches!(cause, EngineError::Store(error) if error.is_full());
    AppendFailure::Failed { is_full, is_busy: cause.is_unavailable() }
}

/// The thread that appends.
struct Appender {
    writer: LogWriter,
    store: Arc<Store>,
    index: Arc<Index>,
    metrics: Arc<Metrics>,
    queued_bytes: Arc<AtomicUsize>,
    committed: watch::Sender<u64>,
    receiver: Receiver<Submission>,
}

impl Appender {
    /// Runs until every sender is gone and the queue is empty.
    fn run(&mut self) {
        while let Ok(first) = self.receiver.recv() {
            let mut group = vec![first];
            let mut bytes = group[0].bytes;
            while bytes < COMMIT_BYTES_MAX {
                match self.receiver.try_recv() {
                    Ok(submission) => {
                        bytes += submission.bytes;
                        group.push(submission);
                    }
                    Err(TryRecvError::Empty | TryRecvError::Disconnected) => break,
                }
            }
            let started = Instant::now();
            let result = self.append(&group);
            self.measure(started, &result);
            self.queued_bytes.fetch_sub(bytes, Ordering::Relaxed);
            self.answer(group, result);
        }
    }

    fn answer(&self, group: Vec<Submission>, result: Result<Placings, EngineError>) {
        match result {
            Ok(placings) => {
                for (submission, placing) in group.into_iter().zip(placings) {
                    // A client that hung up does not hear it; its events are in the log all the same.
                    if submission.reply.send(placing.map_err(|cause| failure(&cause))).is_err() {
                        debug!("a producer left before its answer");
                    }
                }
            }
            Err(cause) => {
                let failure = failure(&cause);
                for submission in group {
                    drop(submission.reply.send(Err(failure.clone())));
                }
            }
        }
    }

    fn measure(&self, started: Instant, result: &Result<Placings, EngineError>) {
        match result {
            Ok(placings) => {
                let placed = placings.iter().flatten().flatten().flatten();
                let duplicates = placed.clone().filter(|placed| placed.is_duplicate).count() as u64;
                self.metrics.duplicates.inc_by(duplicates);
                self.metrics.events.inc_by(placed.count() as u64 - duplicates);
                self.metrics.commits.inc();
                self.metrics.commit_seconds.observe(started.elapsed().as_secs_f64());
            }
            Err(_) => {
                self.metrics.commit_failures.inc();
            }
        }
    }

    fn append(&mut self, group: &[Submission]) -> Result<Placings, EngineError> {
        for attempt in 1.. {
            let parts = self.index.parts();
            // Segments never change, and reading one may take a download: ids are looked for there before the head is locked.
            let repeated =
                group.iter().map(|submission| Repeated::find(&submission.events, &parts)).collect();
            let mut append = self.writer.begin()?;
            let is_behind = self.index.adding().next_seq() < append.state().sealed;
            if !is_behind {
                catch_up(&self.index, &mut append)?;
            }
            let now = self.index.parts();
            let mut placement = Placement::new(append.head().size, &now, repeated);
            let placings: Placings = if is_behind || now.manifest() != parts.manifest() {
                Vec::new()
            } else {
                let batches = group.iter().map(|submission| (&*submission.events, submission.all_or_nothing));
                batches.map(|(events, is_whole)| placement.place(events, is_whole, &mut append)).collect()
            };
            let is_unknown = |placing: &Result<_, _>| matches!(placing, Err(EngineError::NotOpenYet { .. }));
            if placings.is_empty() || (attempt == 1 && placings.iter().any(is_unknown)) {
                // Sealed by others, or opened here, since we looked: look again, without the lock.
                drop(append);
                self.index.refresh_manifest(&self.store)?;
                continue;
            }
            if placement.new.is_empty() {
                return Ok(placings);
            }
            let first_seq = append.head().size;
            let records: Vec<&NewRecord> = placement.new.iter().map(|event| &event.record).collect();
            append.commit(&records)?;

            // Durable from here on: if we stop now, the next start reads the rows again and only the answers are lost. So
            // nothing below may turn the answer into a failure; a search reads from the database what the index lacks.
            if let Err(cause) = self.index_committed(first_seq, &records) {
                error!(error = %cause, "events were committed but could not be indexed");
            }
            self.committed.send_replace(first_seq + records.len() as u64);
            return Ok(placings);
        }
        unreachable!("the loop ends by returning")
    }

    fn index_committed(&self, first_seq: u64, records: &[&NewRecord]) -> Result<(), EngineError> {
        let adding = self.index.adding();
        for (seq, record) in (first_seq..).zip(records) {
            let (record, _) = Record::decode(&record.bytes).map_err(just_encoded)?;
            adding.push(seq, &record)?;
        }
        Ok(())
    }
}

pub(crate) fn just_encoded(error: RecordError) -> StoreError {
    StoreError::Damaged { what: format!("a record just encoded: {error}") }
}

/// Indexes what other processes appended since we last looked.
fn catch_up(index: &Index, append: &mut Append<'_>) -> Result<(), EngineError> {
    let adding = index.adding();
    if adding.next_seq() >= append.head().size {
        return Ok(());
    }
    let mut result = Ok(());
    append.tail_from(adding.next_seq(), |row| {
        if result.is_ok() {
            result = adding.push_row(&row);
        }
    })?;
    result
}
