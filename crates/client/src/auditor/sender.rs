//! The thread that sends the spool, in order and again until the server has it.

use std::collections::HashMap;
use std::fs::OpenOptions;
use std::io::Write as _;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use tracing::{error, warn};

use super::{AuditorOptions, REJECTED, Shared, lock};
use crate::client::{Client, ClientError};
use crate::spool::{Batch, Reader, SpoolError};

/// Bytes of one request, about; the server takes twice as many.
const BATCH_BYTES: usize = 4 * 1024 * 1024;
/// The pause behind the first failure; each further one is twice as long.
const FIRST_PAUSE: Duration = Duration::from_millis(100);
/// How often the spool is brought to the disk while the server is away.
const SYNC_EVERY: Duration = Duration::from_secs(1);

pub(super) struct Sender {
    client: Client,
    reader: Reader,
    shared: Arc<Shared>,
    options: AuditorOptions,
    /// Documents that are not registered yet.
    documents: Vec<String>,
    /// Failures in a row.
    failures: u32,
    /// Since when the server has not answered, as far as the spool was brought to the disk.
    synced: Option<Instant>,
}

/// What became of a request.
enum Sent {
    /// The first so many events are done with.
    Done(usize),
    /// Nothing was taken, and fewer may fare better.
    TooMuch(Value),
    /// Nothing was taken; later it may be.
    Later(String),
}

impl Sender {
    pub(super) fn new(
        client: Client,
        reader: Reader,
        shared: Arc<Shared>,
        options: AuditorOptions,
    ) -> Sender {
        let documents = options.documents.clone();
        Sender { client, reader, shared, options, documents, failures: 0, synced: None }
    }

    pub(super) fn run(mut self) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        match runtime {
            Ok(runtime) => runtime.block_on(self.send_all()),
            Err(error) => error!(%error, "audit events cannot be sent; they stay in the spool"),
        }
    }

    async fn send_all(&mut self) {
        let mut events_max = self.options.batch_events_max.clamp(1, annals_model::limits::BATCH_EVENTS_MAX);
        let most = events_max;
        while !self.shared.stop.load(Ordering::SeqCst) {
            let batch = match self.next_batch(events_max).await {
                Ok(Some(batch)) => batch,
                Ok(None) => continue,
                Err(error) => {
                    error!(%error, cause = ?std::error::Error::source(&error), "the spool of audit events cannot be read");
                    self.pause(error.to_string()).await;
                    continue;
                }
            };
            match self.send(&batch).await {
                Sent::Done(count) => {
                    self.done(&batch, count);
                    events_max = (events_max * 2).min(most);
                }
                Sent::TooMuch(_) if batch.len() > 1 => events_max = batch.len() / 2,
                Sent::TooMuch(problem) => {
                    let reason = crate::client::summary(&problem);
                    self.reject(&batch, 0, &reason);
                    if let Some(answer) = lock(&self.shared.waiting).remove(&batch.event(0).0) {
                        // Whoever waited may have gone.
                        let _ = answer.send(Err(reason));
                    }
                    self.done(&batch, 1);
                }
                Sent::Later(error) => self.pause(error).await,
            }
        }
    }

    /// Waits for events, and a moment for more of them. None if there is nothing yet.
    async fn next_batch(&mut self, events_max: usize) -> Result<Option<Batch>, SpoolError> {
        let shared = Arc::clone(&self.shared);
        if self.reader.sent() >= shared.spool.end() {
            shared.is_idle.store(true, Ordering::SeqCst);
            // Looked at once more: one may have come before we were idle.
            if self.reader.sent() >= shared.spool.end() {
                shared.wake.notified().await;
            }
            shared.is_idle.store(false, Ordering::SeqCst);
            if shared.stop.load(Ordering::SeqCst) {
                return Ok(None);
            }
        }
        let waiting = shared.spool.end().saturating_sub(self.reader.sent());
        if waiting < events_max as u64 && !shared.is_urgent.swap(false, Ordering::SeqCst) {
            // Whoever is in a hurry wakes us.
            let _ = tokio::time::timeout(self.options.linger, shared.wake.notified()).await;
        }
        let batch = self.reader.batch(&shared.spool, events_max, BATCH_BYTES)?;
        if let Err(error) = shared.spool.prepare() {
            warn!(%error, "the next file of the spool cannot be made now; it is made when it is needed");
        }
        shared.lost_files.store(self.reader.damaged(), Ordering::Relaxed);
        Ok((batch.len() > 0).then_some(batch))
    }

    async fn send(&mut self, batch: &Batch) -> Sent {
        while let Some(document) = self.documents.last() {
            match self.client.register(document).await {
                Ok(_) => drop(self.documents.pop()),
                Err(ClientError::Refused { status: 400..=499, problem }) => {
                    error!(problem = %crate::client::summary(&problem), "a resource type cannot be registered");
                    self.documents.pop();
                }
                Err(error) => return Sent::Later(error.to_string()),
            }
        }
        match self.client.append_ndjson(batch.lines(batch.len()).to_owned(), true).await {
            Ok(reply) => self.take(batch, &reply),
            // The batch as such: not its credential, not a pause that was asked for. A proxy may find it too large, too, but has no last word on an event.
            Err(ClientError::Refused { status: 400 | 409 | 413 | 422, problem })
                if problem["message"].is_string() =>
            {
                Sent::TooMuch(problem)
            }
            Err(ClientError::Refused { status: 413, problem }) if batch.len() > 1 => Sent::TooMuch(problem),
            Err(error) => Sent::Later(error.to_string()),
        }
    }

    /// Reads the server's answer: which events it has, and which it refused for good.
    fn take(&self, batch: &Batch, reply: &Value) -> Sent {
        let (Some(placed), Some(accepted), Some(duplicates)) =
            (reply["events"].as_array(), reply["accepted"].as_u64(), reply["duplicates"].as_u64())
        else {
            return Sent::Later("the answer is not that of a server of Annals".to_owned());
        };
        let seqs: HashMap<&str, u64> =
            placed.iter().filter_map(|event| Some((event["id"].as_str()?, event["seq"].as_u64()?))).collect();
        let mut waiting = lock(&self.shared.waiting);
        if placed.len() < batch.len() || !waiting.is_empty() {
            for at in 0..batch.len() {
                let (number, text) = batch.event(at);
                let id = serde_json::from_str::<Value>(text)
                    .ok()
                    .and_then(|event| Some(event["id"].as_str()?.to_owned()));
                match id.as_deref().and_then(|id| seqs.get(id)) {
                    Some(seq) => {
                        if let Some(answer) = waiting.remove(&number) {
                            // Whoever waited may have gone.
                            let _ = answer.send(Ok(*seq));
                        }
                    }
                    None => {
                        let reason = reason_of(reply, at);
                        if let Some(answer) = waiting.remove(&number) {
                            let _ = answer.send(Err(reason.clone()));
                        }
                        self.reject(batch, at, &reason);
                    }
                }
            }
        }
        drop(waiting);
        self.shared.delivered.fetch_add(accepted + duplicates, Ordering::Relaxed);
        self.shared.duplicates.fetch_add(duplicates, Ordering::Relaxed);
        Sent::Done(batch.len())
    }

    /// Keeps an event that the server will never take, with the reason.
    fn reject(&self, batch: &Batch, at: usize, reason: &str) {
        let (_, text) = batch.event(at);
        warn!(reason, "the server refused an audit event; it is kept in {REJECTED}");
        self.shared.rejected.fetch_add(1, Ordering::Relaxed);
        let event: Value = serde_json::from_str(text).unwrap_or_else(|_| Value::from(text));
        let line = format!("{}\n", json!({"reason": reason, "event": event}));
        let mut options = OpenOptions::new();
        options.append(true).create(true);
        #[cfg(unix)]
        std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
        let kept =
            options.open(self.shared.dir.join(REJECTED)).and_then(|mut file| file.write_all(line.as_bytes()));
        if let Err(error) = kept {
            error!(%error, "a refused audit event cannot be kept");
        }
    }

    fn done(&mut self, batch: &Batch, count: usize) {
        self.failures = 0;
        self.synced = None;
        lock(&self.shared.last_error).take();
        if let Err(error) = self.reader.advance(&self.shared.spool, batch, count) {
            error!(%error, "how far audit events were sent cannot be noted; some may be sent twice, and are recorded once");
        }
        self.shared.sent.store(self.reader.sent(), Ordering::SeqCst);
    }

    /// Waits after a failure, longer each time, and by chance, so that many producers do not come back at once.
    async fn pause(&mut self, error: String) {
        if self.failures == 0 {
            warn!(error, "audit events cannot be sent now; they stay in the spool");
        }
        *lock(&self.shared.last_error) = Some(error);
        self.shared.retries.fetch_add(1, Ordering::Relaxed);
        let longest = FIRST_PAUSE.saturating_mul(1 << self.failures.min(16)).min(self.options.retry_max);
        self.failures += 1;
        let half = longest / 2;
        let until = Instant::now() + half + half.mul_f64(chance());
        while Instant::now() < until && !self.shared.stop.load(Ordering::SeqCst) {
            if self.synced.is_none_or(|synced| synced.elapsed() >= SYNC_EVERY) {
                if let Err(error) = self.shared.spool.sync() {
                    error!(%error, "the spool of audit events cannot be brought to the disk");
                }
                self.synced = Some(Instant::now());
            }
            let left = until.saturating_duration_since(Instant::now()).min(SYNC_EVERY);
            tokio::time::sleep(left.min(Duration::from_millis(100))).await;
        }
    }
}

/// Why the server did not take the event of an index.
fn reason_of(reply: &Value, at: usize) -> String {
    let faults = reply["faults"].as_array().into_iter().flatten();
    let own = faults.filter(|fault| fault["index"].as_u64() == Some(at as u64));
    let texts: Vec<String> = own
        .map(|fault| {
            let text = |key: &str| fault[key].as_str().unwrap_or_default();
            format!("{} {}", text("pointer"), text("detail")).trim().to_owned()
        })
        .collect();
    if texts.is_empty() { "the server did not say why".to_owned() } else { texts.join("; ") }
}

/// A number from 0 to 1.
fn chance() -> f64 {
    let bytes = uuid::Uuid::now_v7().into_bytes();
    f64::from(u16::from_be_bytes([bytes[14], bytes[15]])) / f64::from(u16::MAX)
}
