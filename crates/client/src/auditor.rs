//! Giving events away: none is lost, and no request waits for the server.
//!
//! [`Auditor::emit`] puts an event into a spool on disk and returns; a thread of its own sends what is there, in order, and again until the server
//! has it. The event's id makes a repetition harmless, and its `source_seq` shows the server that nothing is missing. [`Auditor::emit_durable`] waits for
//! the server: for actions that must not happen unrecorded.
//!
//! ```no_run
//! use annals_client::{Auditor, AuditorOptions, Client, Event};
//!
//! # async fn example() -> Result<(), Box<dyn std::error::Error>> {
//! let client = Client::new("http://127.0.0.1:2662", "annals_ingest_...")?;
//! let auditor = Auditor::open(client, "/var/lib/app/audit-spool", AuditorOptions::new("app-1"))?;
//! auditor.emit(&Event::new("write", "template", "docker").user("u-7", "demo-dev-1"))?;
//! # Ok(())
//! # }
//! ```

mod sender;

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, mpsc};
use std::time::Duration;

use annals_model::limits::EVENT_BYTES_MAX;
use serde_json::Value;
use tokio::sync::{Notify, oneshot};

use crate::client::Client;
use crate::event::Event;
use crate::spool::{Spool, SpoolError};
use sender::Sender;

/// Name of the file of events that the server refused, beside the spool's own.
const REJECTED: &str = "rejected.ndjson";

/// How events are given away.
#[derive(Debug, Clone)]
pub struct AuditorOptions {
    /// Name of this producer; events carry it with a number that is one higher each time. One name for each process and spool.
    pub source: String,
    /// How long [`Auditor::emit`] may wait for the disk, for others, or for room.
    pub wait_max: Duration,
    /// Bytes that the spool may hold while the server is away. Beyond it events are refused, never dropped.
    pub spool_bytes_max: u64,
    /// Events of one request at most.
    pub batch_events_max: usize,
    /// How long the first event waits for others to be sent with it.
    pub linger: Duration,
    /// The longest pause between two attempts while the server is away.
    pub retry_max: Duration,
    /// Documents of resource types, registered before the first event is sent: [`crate::Auditable::document`].
    pub documents: Vec<String>,
}

impl AuditorOptions {
    /// 100 ms, 1 GiB, 1,000 events, 5 ms, 30 s.
    pub fn new(source: &str) -> AuditorOptions {
        AuditorOptions {
            source: source.to_owned(),
            wait_max: Duration::from_millis(100),
            spool_bytes_max: 1 << 30,
            batch_events_max: 1_000,
            linger: Duration::from_millis(5),
            retry_max: Duration::from_secs(30),
            documents: Vec::new(),
        }
    }
}

/// Why an event was not taken. It is recorded nowhere then.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum EmitError {
    /// The spool did not take it.
    #[error(transparent)]
    Spool(#[from] SpoolError),
    /// It is larger than the server takes.
    #[error("the event has {bytes} bytes, more than {EVENT_BYTES_MAX}; leave large values out")]
    TooLarge {
        /// Its bytes.
        bytes: usize,
    },
    /// It cannot be made of the states that were given.
    #[error(transparent)]
    Event(#[from] crate::event::EventError),
    /// The server refused it; it stands in the file of rejected events.
    #[error("the server refused the event: {reason}")]
    Rejected {
        /// Why.
        reason: String,
    },
    /// The server has not said that it has it. It stays in the spool and is sent later.
    #[error("the server has not confirmed the event in {} ms; it is sent later", waited.as_millis())]
    NotConfirmed {
        /// How long we waited.
        waited: Duration,
    },
}

/// What has become of events since the start.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct AuditorStats {
    /// Events taken.
    pub emitted: u64,
    /// Events that were not taken, of which the caller was told.
    pub refused: u64,
    /// Events that the server has, by its answer.
    pub delivered: u64,
    /// Of these, events that it had already: sent again after an answer was lost.
    pub duplicates: u64,
    /// Events that the server refused for good.
    pub rejected: u64,
    /// Requests that failed and were made again.
    pub retries: u64,
    /// Events that wait to be sent.
    pub waiting: u64,
    /// Bytes of the spool.
    pub spool_bytes: u64,
    /// Files of the spool whose events were lost because the disk damaged them: stays 0.
    pub lost_files: u64,
    /// What the last request failed with; none while all is well.
    pub last_error: Option<String>,
}

/// Gives events away. Cheap to clone. What was not sent when the last clone goes is sent after the next start.
#[derive(Debug, Clone)]
pub struct Auditor(Arc<Sink>);

/// Where events go.
#[derive(Debug)]
enum Sink {
    Spool(Inner),
    /// For tests: the events as they would go on the wire.
    Memory(Mutex<Vec<Value>>),
}

#[derive(Debug)]
struct Inner {
    shared: Arc<Shared>,
    wait_max: Duration,
    /// Says when the thread has ended.
    ended: Mutex<mpsc::Receiver<()>>,
}

/// What those who emit and the one who sends share.
#[derive(Debug)]
struct Shared {
    spool: Spool,
    dir: PathBuf,
    /// The sender sleeps until somebody says that there is something.
    is_idle: AtomicBool,
    /// Somebody waits for the server: nothing is left lying.
    is_urgent: AtomicBool,
    wake: Notify,
    stop: AtomicBool,
    /// All before this number are done with.
    sent: AtomicU64,
    emitted: AtomicU64,
    refused: AtomicU64,
    delivered: AtomicU64,
    duplicates: AtomicU64,
    rejected: AtomicU64,
    retries: AtomicU64,
    lost_files: AtomicU64,
    last_error: Mutex<Option<String>>,
    /// Who waits for which number.
    waiting: Mutex<HashMap<u64, oneshot::Sender<Result<u64, String>>>>,
}

impl Auditor {
    /// Opens the spool in a directory, which is made if it is not there, and begins to send what an earlier process left in it.
    ///
    /// # Errors
    /// [`SpoolError`] if the directory cannot be used, or another process uses it.
    pub fn open(
        client: Client,
        dir: impl AsRef<Path>,
        options: AuditorOptions,
    ) -> Result<Auditor, SpoolError> {
        let dir = dir.as_ref();
        let (spool, reader) = Spool::open(dir, &options.source, options.spool_bytes_max)?;
        let sent = reader.sent();
        let shared = Arc::new(Shared::new(spool, dir, sent));
        let (ending, ended) = mpsc::channel();
        let wait_max = options.wait_max;
        let sender = Sender::new(client, reader, Arc::clone(&shared), options);
        let thread = std::thread::Builder::new().name("audit-sender".to_owned());
        let spawned = thread.spawn(move || {
            sender.run();
            drop(ending);
        });
        spawned.map_err(|source| SpoolError::File { path: dir.to_owned(), source })?;
        Ok(Auditor(Arc::new(Sink::Spool(Inner { shared, wait_max, ended: Mutex::new(ended) }))))
    }

    /// An auditor for tests: it keeps what it takes, and sends nothing. See [`crate::assert_audited`].
    pub fn in_memory() -> Auditor {
        Auditor(Arc::new(Sink::Memory(Mutex::default())))
    }

    /// What an auditor [`Auditor::in_memory`] has taken, the first one first, as it would go on the wire; nothing of another one.
    pub fn taken(&self) -> Vec<Value> {
        match &*self.0 {
            Sink::Memory(events) => lock(events).clone(),
            Sink::Spool(_) => Vec::new(),
        }
    }

    /// Takes an event and returns: from then on it arrives, once, whatever becomes of this process and the server. Where the machine loses power, what was
    /// taken in the last moments and not sent may be lost: [`Auditor::emit_durable`] is for what must not.
    ///
    /// # Errors
    /// [`EmitError`] if it was not taken: the spool is full or its disk fails. The caller decides whether to go on.
    pub fn emit(&self, event: &Event) -> Result<(), EmitError> {
        match &*self.0 {
            Sink::Spool(inner) => inner.put(event).map(drop),
            Sink::Memory(events) => {
                keep(events, event);
                Ok(())
            }
        }
    }

    /// The same, and waits until the server has it on its disk. Returns its seq.
    ///
    /// # Errors
    /// [`EmitError`]; after [`EmitError::NotConfirmed`] it is still in the spool, and sent later.
    pub async fn emit_durable(&self, event: &Event, wait: Duration) -> Result<u64, EmitError> {
        let inner = match &*self.0 {
            Sink::Spool(inner) => inner,
            Sink::Memory(events) => return Ok(keep(events, event)),
        };
        let shared = &inner.shared;
        let (answer, answered) = oneshot::channel();
        // Under the lock of those who wait, so that the sender cannot be done with it before we wait.
        let number = {
            let mut waiting = lock(&shared.waiting);
            let number = inner.put(event)?;
            waiting.insert(number, answer);
            number
        };
        shared.is_urgent.store(true, Ordering::SeqCst);
        shared.wake.notify_one();
        match tokio::time::timeout(wait, answered).await {
            Ok(Ok(Ok(seq))) => Ok(seq),
            Ok(Ok(Err(reason))) => Err(EmitError::Rejected { reason }),
            Ok(Err(_)) | Err(_) => {
                lock(&shared.waiting).remove(&number);
                Err(EmitError::NotConfirmed { waited: wait })
            }
        }
    }

    /// Waits until the server has everything that was taken before, at most so long; says whether it has.
    pub async fn flush(&self, wait: Duration) -> bool {
        let Sink::Spool(Inner { shared, .. }) = &*self.0 else { return true };
        let end = shared.spool.end();
        let until = tokio::time::Instant::now() + wait;
        while shared.sent.load(Ordering::SeqCst) < end {
            if tokio::time::Instant::now() >= until {
                return false;
            }
            shared.is_urgent.store(true, Ordering::SeqCst);
            shared.wake.notify_one();
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
        true
    }

    /// Stops sending, after the request that is on its way and at most so long. What is left is sent after the next start.
    pub fn close(self, wait: Duration) {
        let Sink::Spool(inner) = &*self.0 else { return };
        inner.shared.stop();
        let ended = lock(&inner.ended);
        // The sender ends by dropping its side.
        let _ = ended.recv_timeout(wait);
    }

    /// What has become of events since the start.
    pub fn stats(&self) -> AuditorStats {
        let shared = match &*self.0 {
            Sink::Spool(inner) => &inner.shared,
            Sink::Memory(events) => {
                let taken = lock(events).len() as u64;
                return AuditorStats { emitted: taken, delivered: taken, ..AuditorStats::default() };
            }
        };
        let read = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        AuditorStats {
            emitted: read(&shared.emitted),
            refused: read(&shared.refused),
            delivered: read(&shared.delivered),
            duplicates: read(&shared.duplicates),
            rejected: read(&shared.rejected),
            retries: read(&shared.retries),
            waiting: shared.spool.end().saturating_sub(read(&shared.sent)),
            spool_bytes: shared.spool.bytes(),
            lost_files: read(&shared.lost_files),
            last_error: lock(&shared.last_error).clone(),
        }
    }

    /// Events that the server refused, one a line: `{"reason", "event"}`. Whoever has put them right sends the events by any other way, under their ids.
    pub fn rejected_file(&self) -> PathBuf {
        match &*self.0 {
            Sink::Spool(inner) => inner.shared.dir.join(REJECTED),
            Sink::Memory(_) => PathBuf::from(REJECTED),
        }
    }
}

/// Bytes that an event may have before source and number are added.
const EVENT_ROOM: usize = EVENT_BYTES_MAX - 2_048;

impl AuditorStats {
    /// The same in Prometheus' text format, to add to an application's own metrics.
    pub fn to_prometheus(&self) -> String {
        let counters = [
            ("emitted", "Events taken.", self.emitted),
            ("refused", "Events not taken; the caller was told.", self.refused),
            ("delivered", "Events that the server has.", self.delivered),
            ("duplicates", "Events that the server had already.", self.duplicates),
            ("rejected", "Events that the server refused for good.", self.rejected),
            ("retries", "Requests that failed and were made again.", self.retries),
            ("lost_files", "Files of the spool that the disk damaged.", self.lost_files),
        ];
        let gauges = [
            ("waiting_events", "Events that wait to be sent.", self.waiting),
            ("spool_bytes", "Bytes of the spool.", self.spool_bytes),
        ];
        let mut text = String::new();
        for (name, help, value) in counters {
            text += &format!(
                "# HELP audit_{name}_total {help}\n# TYPE audit_{name}_total counter\naudit_{name}_total {value}\n"
            );
        }
        for (name, help, value) in gauges {
            text += &format!("# HELP audit_{name} {help}\n# TYPE audit_{name} gauge\naudit_{name} {value}\n");
        }
        text
    }
}

impl Shared {
    fn new(spool: Spool, dir: &Path, sent: u64) -> Shared {
        Shared {
            spool,
            dir: dir.to_owned(),
            is_idle: AtomicBool::new(false),
            is_urgent: AtomicBool::new(false),
            wake: Notify::new(),
            stop: AtomicBool::new(false),
            sent: AtomicU64::new(sent),
            emitted: AtomicU64::new(0),
            refused: AtomicU64::new(0),
            delivered: AtomicU64::new(0),
            duplicates: AtomicU64::new(0),
            rejected: AtomicU64::new(0),
            retries: AtomicU64::new(0),
            lost_files: AtomicU64::new(0),
            last_error: Mutex::default(),
            waiting: Mutex::default(),
        }
    }

    fn stop(&self) {
        self.stop.store(true, Ordering::SeqCst);
        self.wake.notify_one();
    }
}

impl Inner {
    fn put(&self, event: &Event) -> Result<u64, EmitError> {
        let shared = &self.shared;
        let text = event.to_wire();
        // Source and number are added.
        let number = match text.len() {
            0..EVENT_ROOM => shared.spool.append(&text, self.wait_max).map_err(EmitError::Spool),
            bytes => Err(EmitError::TooLarge { bytes }),
        };
        match &number {
            Ok(_) => shared.emitted.fetch_add(1, Ordering::Relaxed),
            Err(_) => shared.refused.fetch_add(1, Ordering::Relaxed),
        };
        if shared.is_idle.swap(false, Ordering::SeqCst) {
            shared.wake.notify_one();
        }
        number
    }
}

impl Drop for Inner {
    fn drop(&mut self) {
        self.shared.stop();
    }
}

/// Keeps an event of a test; returns its number.
fn keep(events: &Mutex<Vec<Value>>, event: &Event) -> u64 {
    let mut events = lock(events);
    events.push(serde_json::from_slice(&event.to_wire()).unwrap_or_default());
    events.len() as u64 - 1
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
