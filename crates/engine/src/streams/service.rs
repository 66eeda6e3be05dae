//! The thread that has streams sent: one process at a time has the lease, and runs a sender for each stream that is not paused.

use std::collections::BTreeMap;
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use annals_sink::{Kind, Sink, Surroundings};
use annals_store::{Lease, Stream, StreamId, StreamMaker};
use tracing::{debug, error, info, warn};

use super::sender::{End, Sender, alert_if_silent};
use super::{StreamError, manifest, stream_format};
use crate::Engine;
use crate::error::EngineError;

/// How the server sends streams.
#[derive(Debug, Clone)]
pub struct StreamPolicy {
    /// A manifest is made when the cursor has moved so many seqs since the last one,
    pub manifest_seqs: u64,
    /// or when there is something new after so long.
    pub manifest_every: Duration,
}

impl Default for StreamPolicy {
    fn default() -> StreamPolicy {
        StreamPolicy { manifest_seqs: 65_536, manifest_every: Duration::from_secs(600) }
    }
}

/// How often the supervisor looks at the list of streams.
const ROUND: Duration = Duration::from_secs(1);
/// How often a process that does not send asks whether it may.
const LEASE_EVERY: Duration = Duration::from_secs(3);
/// How long a process that cannot read the secrets of some stream leaves sending to others, again and again: one that can is to have the first go.
const KEYLESS_PAUSE: Duration = Duration::from_secs(10);
/// How long it sends before it asks once more whether another process wants to.
const KEYLESS_TURN: Duration = Duration::from_secs(60);
/// How often it is counted what waits.
const COUNT_EVERY: Duration = Duration::from_secs(5);
/// How long senders may take to end. A sink that hangs for longer is left behind; it saves nothing any more once another one sends.
const STOP_MAX: Duration = Duration::from_secs(5);
/// After a sender could not begin, or ended by itself.
const RESTART_PAUSE: Duration = Duration::from_secs(5);

/// Says that it is time to stop.
#[derive(Debug, Default)]
pub(super) struct Signal {
    is_set: Mutex<bool>,
    changed: Condvar,
}

impl Signal {
    pub(super) fn set(&self) {
        *self.is_set.lock().unwrap_or_else(PoisonError::into_inner) = true;
        self.changed.notify_all();
    }

    pub(super) fn is_set(&self) -> bool {
        *self.is_set.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits so long, or until it is set, and says whether it is.
    pub(super) fn wait(&self, time: Duration) -> bool {
        let is_set = self.is_set.lock().unwrap_or_else(PoisonError::into_inner);
        let waited = self.changed.wait_timeout_while(is_set, time, |is_set| !*is_set);
        *waited.unwrap_or_else(PoisonError::into_inner).0
    }
}

/// Sends the streams of a log while it lives; dropping it waits until what is under way has come to an end.
#[derive(Debug)]
pub struct StreamService {
    stop: Arc<Signal>,
    thread: Option<JoinHandle<()>>,
}

impl StreamService {
    /// Starts to send. Of several processes over one log one sends; another takes over when it ends.
    ///
    /// # Errors
    /// [`EngineError::Thread`] if the thread cannot be started.
    pub fn start(engine: Arc<Engine>, policy: StreamPolicy) -> Result<StreamService, EngineError> {
        let stop = Arc::new(Signal::default());
        let signal = Arc::clone(&stop);
        let thread = std::thread::Builder::new()
            .name("streams".to_owned())
            .spawn(move || Supervisor::new(engine, policy).run(&signal))
            .map_err(EngineError::Thread)?;
        Ok(StreamService { stop, thread: Some(thread) })
    }

    /// What begins to stop it, without waiting.
    pub fn stopper(&self) -> impl FnOnce() + Send + 'static + use<> {
        let stop = Arc::clone(&self.stop);
        move || stop.set()
    }

    /// Stops sending, and waits for it.
    pub fn stop(&mut self) {
        self.stop.set();
        if let Some(thread) = self.thread.take()
            && thread.join().is_err()
        {
            error!("the thread that sends streams ended by a panic");
        }
    }
}

impl Drop for StreamService {
    fn drop(&mut self) {
        self.stop();
    }
}

struct Supervisor {
    engine: Arc<Engine>,
    policy: StreamPolicy,
    lease: Option<(Lease, Instant)>,
    /// When to ask for the lease again.
    lease_at: Option<Instant>,
    counted: Option<Instant>,
    running: BTreeMap<StreamId, Running>,
    /// Streams that could not begin, or ended by themselves, and when that was.
    resting: BTreeMap<StreamId, (u64, Instant)>,
}

struct Running {
    name: String,
    revision: u64,
    stop: Arc<Signal>,
    thread: JoinHandle<End>,
}

impl Supervisor {
    fn new(engine: Arc<Engine>, policy: StreamPolicy) -> Supervisor {
        Supervisor {
            engine,
            policy,
            lease: None,
            lease_at: None,
            counted: None,
            running: BTreeMap::new(),
            resting: BTreeMap::new(),
        }
    }

    fn run(&mut self, stop: &Signal) {
        while !stop.is_set() {
            if let Err(cause) = self.round() {
                warn!(%cause, "the streams cannot be looked after now");
                // Whoever cannot ask does not know whether it is still the one who sends.
                self.stop_all();
            }
            stop.wait(ROUND);
        }
        self.stop_all();
    }

    fn round(&mut self) -> Result<(), EngineError> {
        let streams = self.engine.store.streams()?;
        self.engine.note_rates(&streams);
        if streams.is_empty() {
            self.stop_all();
            return Ok(());
        }
        if self.has_lease(&streams)? {
            self.send(&streams);
        } else {
            self.stop_senders();
        }
        if let Err(cause) = manifest::sign_open(&self.engine) {
            warn!(%cause, "manifests cannot be signed now");
        }
        Ok(())
    }

    /// Looks after each stream. What is wrong with one is its own affair.
    fn send(&mut self, streams: &[Stream]) {
        self.reap();
        for (id, running) in &self.running {
            let is_current = |stream: &Stream| {
                stream.id == *id && stream.revision == running.revision && !stream.is_paused
            };
            if !streams.iter().any(is_current) {
                running.stop.set();
            }
        }
        let is_time = self.counted.is_none_or(|counted| counted.elapsed() >= COUNT_EVERY);
        if is_time {
            self.counted = Some(Instant::now());
            self.engine.keep_stream_metrics(streams);
        }
        for stream in streams {
            let mut looked_after = self.look_after(stream);
            if is_time {
                looked_after = looked_after.and(self.engine.note_stream(stream));
            }
            if let Err(cause) = looked_after {
                warn!(%cause, stream = stream.name, "the stream cannot be looked after now");
            }
        }
    }

    fn look_after(&mut self, stream: &Stream) -> Result<(), EngineError> {
        let is_running = self.running.contains_key(&stream.id);
        let has_changed = stream.query != stream.sent_query;
        // The last window of the old query, once nobody sends by it any more.
        manifest::close_due(&self.engine, stream, &self.policy, has_changed && !is_running)?;
        if !stream.is_paused && !is_running && !self.is_resting(stream) {
            self.begin(stream)?;
        }
        Ok(())
    }

    /// Whether this process sends. One that cannot read the secrets of some stream does so where nobody else does, and asks again and again.
    fn has_lease(&mut self, streams: &[Stream]) -> Result<bool, EngineError> {
        let is_keyless =
            || streams.iter().any(|stream| !self.engine.secret_place.has_key_of(&stream.secrets));
        if let Some((lease, since)) = &mut self.lease {
            match lease.holds() {
                Ok(true) if since.elapsed() < KEYLESS_TURN || !is_keyless() => return Ok(true),
                Ok(true) => self.lease_at = Some(Instant::now() + KEYLESS_PAUSE),
                Ok(false) => warn!("another process may send the streams now"),
                Err(cause) => warn!(%cause, "the right to send streams is lost"),
            }
            self.stop_senders();
            self.lease = None;
            return Ok(false);
        }
        if self.lease_at.is_some_and(|at| Instant::now() < at) {
            return Ok(false);
        }
        if self.lease_at.is_none() && is_keyless() {
            // Another process that starts with this one may have the key.
            self.lease_at = Some(Instant::now() + KEYLESS_PAUSE);
            return Ok(false);
        }
        let lease = self.engine.store.try_stream_lease()?;
        self.lease_at = Some(Instant::now() + LEASE_EVERY);
        self.lease = lease.map(|lease| (lease, Instant::now()));
        if self.lease.is_some() {
            info!("this process sends the streams");
        }
        Ok(self.lease.is_some())
    }

    fn is_resting(&self, stream: &Stream) -> bool {
        self.resting
            .get(&stream.id)
            .is_some_and(|(revision, since)| *revision == stream.revision && since.elapsed() < RESTART_PAUSE)
    }

    /// Starts the sender of a stream.
    fn begin(&mut self, stream: &Stream) -> Result<(), EngineError> {
        let (format, sinks) = match open_sinks(&self.engine, stream) {
            Ok(opened) => opened,
            Err(cause) => {
                self.resting.insert(stream.id.clone(), (stream.revision, Instant::now()));
                return self.note_failure(stream, &cause.to_string());
            }
        };
        let Some(number) = self.engine.store.begin_sending(&stream.id)? else { return Ok(()) };
        // Read again: the last sender may have saved more since the list was read.
        let Some(current) = self.engine.store.stream(&stream.id)? else { return Ok(()) };
        let stop = Arc::new(Signal::default());
        let (engine, signal, revision) = (Arc::clone(&self.engine), Arc::clone(&stop), stream.revision);
        let current = Stream { revision, ..current };
        let thread = std::thread::Builder::new()
            .name("stream".to_owned())
            .spawn(move || Sender::new(&engine, current, format, sinks, number, signal).run())
            .map_err(EngineError::Thread)?;
        self.running.insert(stream.id.clone(), Running { name: stream.name.clone(), revision, stop, thread });
        Ok(())
    }

    /// A stream that cannot even begin fails like one whose receiver is away.
    fn note_failure(&self, stream: &Stream, reason: &str) -> Result<(), EngineError> {
        let Some(number) = self.engine.store.begin_sending(&stream.id)? else { return Ok(()) };
        let mut progress = stream.progress.clone();
        if progress.failing.is_none() {
            progress.failing = Some(self.engine.now());
            warn!(stream = stream.name, reason, "the stream cannot begin");
        }
        progress.attempts += 1;
        reason.clone_into(&mut progress.failure);
        alert_if_silent(&self.engine, stream, &mut progress);
        self.engine.metrics.streams.failed(&stream.name);
        self.engine.store.save_progress(&stream.id, number, &progress, None, &[], &[])?;
        Ok(())
    }

    /// Takes leave of senders that ended.
    fn reap(&mut self) {
        let ended: Vec<StreamId> = self
            .running
            .iter()
            .filter(|(_, running)| running.thread.is_finished())
            .map(|(id, _)| id.clone())
            .collect();
        for id in ended {
            let Some(running) = self.running.remove(&id) else { continue };
            let revision = running.revision;
            match running.thread.join() {
                Ok(End::Changed | End::Stopped) => {}
                Ok(End::Replaced) => {
                    self.resting.insert(id, (revision, Instant::now()));
                }
                Err(_) => {
                    error!(stream = id.0, "the sender of a stream ended by a panic");
                    self.resting.insert(id, (revision, Instant::now()));
                }
            }
        }
    }

    fn stop_senders(&mut self) {
        for running in self.running.values() {
            running.stop.set();
        }
        let begun = Instant::now();
        for running in std::mem::take(&mut self.running).into_values() {
            while !running.thread.is_finished() && begun.elapsed() < STOP_MAX {
                std::thread::sleep(Duration::from_millis(10));
            }
            if !running.thread.is_finished() {
                warn!(
                    stream = running.name,
                    "the receiver of a stream holds up its sender, which is left behind"
                );
            } else if running.thread.join().is_err() {
                error!("the sender of a stream ended by a panic");
            }
        }
    }

    fn stop_all(&mut self) {
        self.stop_senders();
        if self.lease.take().is_some() {
            debug!("this process sends no streams any more");
        }
    }
}

/// What a stream sends with: as many sinks as it sends batches at the same time.
type Opened = (annals_model::formats::EventFormat, Vec<Box<dyn Sink>>);

/// Opens the sinks of a stream, as many as it sends batches at the same time.
pub(super) fn open_sinks(engine: &Engine, stream: &Stream) -> Result<Opened, StreamError> {
    let format = stream_format(stream)?;
    let kind = Kind::from_name(&stream.kind)
        .ok_or_else(|| StreamError::UnknownKind { kind: stream.kind.clone() })?;
    let settings = engine.stream_settings(stream)?;
    let settings = kind.check(&settings).map_err(StreamError::Settings)?;
    let surroundings = Surroundings {
        stream: stream.name.clone(),
        origin: engine.origin()?,
        version: env!("CARGO_PKG_VERSION"),
        format: format.name(),
        is_json: format.is_json(),
        private_networks: engine.options.stream_networks.clone(),
        any_network: stream.made_by != StreamMaker::Page,
    };
    let sinks = (0..stream.parallel.max(1)).map(|_| kind.open(&settings, &surroundings));
    let sinks = sinks.collect::<Result<Vec<_>, _>>().map_err(|fault| StreamError::Settings(vec![fault]))?;
    Ok((format, sinks))
}
