//! The thread that sends one stream: from its cursor to the end of the log, and on as events come.
//!
//! The cursor moves in the database only after the receiver acknowledged everything before it, so stopping at any point sends events twice at worst.
//! What waits is in the log, not in memory: a receiver that is away holds up this thread and nothing else.

use std::sync::Arc;
use std::time::{Duration, Instant};

use annals_model::formats::EventFormat;
use annals_sink::{BatchLimits, Outgoing, Sink};
use annals_store::{DeadLetter, DeadLetterCount, Replay, Stream, StreamProgress};
use tracing::{info, warn};

use super::reader::{ReadLimits, Reader, read_seqs};
use super::service::Signal;
use super::window::{Later, RefusedRun, Window};
use crate::Engine;
use crate::error::EngineError;
use crate::own_event::OwnEvent;
use crate::principal::Principal;
use crate::random;

/// Events of a window, at most: what is sent again if the receiver goes away before it acknowledged.
const WINDOW_EVENTS: usize = 20_000;
/// Bytes of a window's lines, at most: what a stream holds in memory.
const WINDOW_BYTES: usize = 8 * 1024 * 1024;
/// The same where the receiver answers each batch: a short window shows progress, and a pause is heeded soon.
const SHORT_WINDOW_BATCHES: usize = 8;
/// Between two looks at what was changed about the stream, and two writes of its cursor while nothing fails.
const LOOK_EVERY: Duration = Duration::from_secs(1);
/// Dead letters that are sent again at once.
const RESENT_EVENTS: usize = 500;
/// After dead letters or a replay could not be read: live events go on meanwhile.
const SIDE_PAUSE: Duration = Duration::from_secs(30);
/// Between two looks at a log that has nothing new: commits that follow each other closely are one look.
const IDLE_PAUSE: Duration = Duration::from_millis(100);
/// Dead letters of a stream, at most; one that has so many stops until somebody decides.
pub(super) const DEAD_LETTERS_MAX: u64 = 100_000;
/// The first pause after an attempt that failed; it doubles up to [`PAUSE_MAX`].
const PAUSE_MIN: Duration = Duration::from_secs(1);
/// The longest pause that we choose.
const PAUSE_MAX: Duration = Duration::from_secs(60);
/// Between two looks whether there is room for dead letters again.
const ROOM_PAUSE: Duration = Duration::from_secs(10);
/// Manifests that are handed to the receiver at once.
const MANIFESTS_AT_ONCE: usize = 100;
/// The longest pause that a receiver can ask for.
const ASKED_PAUSE_MAX: Duration = Duration::from_secs(3_600);
/// Bytes of a reason that are kept.
const REASON_BYTES_MAX: usize = 500;

/// Why a sender ends.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum End {
    /// It was told to.
    Stopped,
    /// The stream was changed, paused or deleted.
    Changed,
    /// Another process sends it now.
    Replaced,
}

/// Sends one stream.
pub(super) struct Sender<'e> {
    engine: &'e Engine,
    stream: Stream,
    format: EventFormat,
    sinks: Vec<Box<dyn Sink>>,
    /// Says that it is us who send.
    number: u64,
    progress: StreamProgress,
    reader: Reader,
    replay: Option<(Replay, Reader)>,
    has_due: bool,
    /// Not before, dead letters and replays are tried again.
    side_work_at: Option<Instant>,
    /// What was delivered or refused and is not saved yet.
    unsaved: Unsaved,
    /// Events before this seq are not held back: they waited long enough.
    drain_until: u64,
    /// Since when there may be events that are held back until they fill a batch.
    held_since: Option<Instant>,
    /// It is time to look for manifests.
    has_manifests: bool,
    /// The receiver took those that there were.
    has_taken_manifests: bool,
    run: RefusedRun,
    stop: Arc<Signal>,
    looked: Instant,
    /// The progress differs from what is stored.
    is_unsaved: bool,
    saved: Instant,
}

/// What goes with the progress into one transaction.
#[derive(Default)]
struct Unsaved {
    refused: Vec<DeadLetter>,
    settled: Vec<u64>,
    /// How far the replay is, also one that is done.
    replay: Option<Replay>,
}

/// Where a window comes from.
enum From {
    Live { next_seq: u64 },
    Replay { next_seq: u64 },
    DeadLetters { seqs: Vec<u64> },
}

impl<'e> Sender<'e> {
    pub(super) fn new(
        engine: &'e Engine,
        stream: Stream,
        format: EventFormat,
        sinks: Vec<Box<dyn Sink>>,
        number: u64,
        stop: Arc<Signal>,
    ) -> Sender<'e> {
        Sender {
            engine,
            format,
            sinks,
            number,
            progress: stream.progress.clone(),
            reader: Reader::new(&stream.query, "", format),
            replay: None,
            has_due: true,
            side_work_at: None,
            unsaved: Unsaved::default(),
            drain_until: 0,
            held_since: None,
            has_manifests: true,
            has_taken_manifests: true,
            run: RefusedRun::default(),
            stop,
            looked: Instant::now(),
            is_unsaved: false,
            saved: Instant::now(),
            stream,
        }
    }

    /// Sends until something ends it.
    pub(super) fn run(mut self) -> End {
        info!(stream = self.stream.name, next_seq = self.progress.next_seq, "sending");
        let end = match self.look(true) {
            Ok(()) => self.send_all().err().unwrap_or(End::Stopped),
            Err(end) => end,
        };
        if self.is_unsaved && end != End::Replaced {
            // Nothing is lost without it: what was delivered would be sent once more.
            drop(self.save());
        }
        end
    }

    fn send_all(&mut self) -> Result<(), End> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build();
        let mut news = self.engine.news();
        loop {
            self.look(false)?;
            let mut is_idle = true;
            if let Some((events, from)) = self.read_live()? {
                is_idle = false;
                self.deliver(events, from)?;
            }
            if let Some((events, from)) = self.read_dead_letters()? {
                is_idle = false;
                self.deliver(events, from)?;
            }
            if let Some((events, from)) = self.read_replay()? {
                is_idle = false;
                self.deliver(events, from)?;
            }
            if is_idle {
                self.rest()?;
                match &runtime {
                    Ok(runtime) => runtime.block_on(news.wait()),
                    Err(_) => drop(self.stop.wait(crate::NEWS_WAIT)),
                }
                self.stop.wait(IDLE_PAUSE);
            }
        }
    }

    /// Everything that there is was delivered.
    fn rest(&mut self) -> Result<(), End> {
        let has_manifests = self.hand_over_manifests()?;
        if has_manifests && self.progress.failing.is_some() && self.side_work_at.is_none() {
            self.recovered();
        }
        if self.is_unsaved { self.save() } else { Ok(()) }
    }

    /// Asks whether to go on, and what was asked for meanwhile; at most once a second unless it is urgent.
    fn look(&mut self, is_urgent: bool) -> Result<(), End> {
        if self.stop.is_set() {
            return Err(End::Stopped);
        }
        if !is_urgent && self.looked.elapsed() < LOOK_EVERY {
            return Ok(());
        }
        self.looked = Instant::now();
        let store = &self.engine.store;
        let id = &self.stream.id;
        let found = (|| {
            Ok::<_, EngineError>((store.stream(id)?, store.count_dead_letters(id)?, store.replays(id)?))
        })();
        let Ok((stream, dead_letters, replays)) = found else {
            // The log is away for a moment; reading it will say so.
            return Ok(());
        };
        let is_same = stream.as_ref().is_some_and(|stream| stream.revision == self.stream.revision);
        if !is_same {
            return Err(End::Changed);
        }
        self.has_due = dead_letters.due > 0;
        self.has_manifests = true;
        self.take_replay(replays);
        self.wait_for_room(dead_letters)
    }

    /// Sends nothing while too many dead letters wait for somebody to decide.
    fn wait_for_room(&mut self, mut dead_letters: DeadLetterCount) -> Result<(), End> {
        while dead_letters.all >= DEAD_LETTERS_MAX && dead_letters.due == 0 {
            let reason = format!(
                "{DEAD_LETTERS_MAX} dead letters wait: annals streams dead-letters list {} shows them",
                self.stream.name
            );
            self.fail(&Later { reason, after: None })?;
            self.pause(ROOM_PAUSE)?;
            if let Ok(now) = self.engine.store.count_dead_letters(&self.stream.id) {
                dead_letters = now;
            }
        }
        Ok(())
    }

    /// Goes on with the replay that it is at, or begins the next one.
    fn take_replay(&mut self, replays: Vec<Replay>) {
        let is_same = |known: &Replay, found: &Replay| {
            (known.number, known.created, known.end_seq) == (found.number, found.created, found.end_seq)
        };
        match replays.into_iter().next() {
            None => self.replay = None,
            Some(found) if self.replay.as_ref().is_some_and(|(known, _)| is_same(known, &found)) => {}
            Some(found) => {
                let reader = Reader::new(&self.stream.query, &found.query, self.format);
                self.replay = Some((found, reader));
            }
        }
    }

    fn limits(&self) -> ReadLimits {
        let (mut events, mut bytes) = (WINDOW_EVENTS, WINDOW_BYTES);
        if let Some(sink) = self.sinks.first().filter(|sink| sink.acknowledges_each()) {
            let BatchLimits { events: batch_events, bytes: batch_bytes } = sink.limits();
            let batches = SHORT_WINDOW_BATCHES.max(2 * self.sinks.len());
            events = events.min(batch_events.saturating_mul(batches));
            bytes = bytes.min(batch_bytes.saturating_mul(batches));
        }
        ReadLimits { events, bytes }
    }

    /// Whether to wait until more events fill the batch of a receiver that keeps each batch by itself.
    fn holds_back(&mut self) -> bool {
        let Some(sink) = self.sinks.first().filter(|sink| !sink.linger().is_zero()) else { return false };
        let head = self.engine.log.index().parts().next_seq();
        let behind = head.saturating_sub(self.progress.next_seq);
        let fills_a_batch = usize::try_from(behind).is_ok_and(|behind| behind >= sink.limits().events);
        if behind == 0 || fills_a_batch || self.progress.next_seq < self.drain_until {
            self.held_since = None;
            return false;
        }
        if self.held_since.get_or_insert_with(Instant::now).elapsed() < sink.linger() {
            return true;
        }
        self.held_since = None;
        self.drain_until = head;
        false
    }

    /// The next events; a cursor that passed events of no interest moves too.
    fn read_live(&mut self) -> Result<Option<(Vec<Outgoing>, From)>, End> {
        if self.holds_back() {
            return Ok(None);
        }
        let limits = self.limits();
        loop {
            let from = self.progress.next_seq;
            match self.reader.read(self.engine, from, None, limits) {
                Ok(read) if read.next_seq == from => return Ok(None),
                Ok(read) if read.events.is_empty() => {
                    self.progress.next_seq = read.next_seq;
                    self.is_unsaved = true;
                }
                Ok(read) => return Ok(Some((read.events, From::Live { next_seq: read.next_seq }))),
                Err(error) => self.fail_reading(&error.to_string())?,
            }
        }
    }

    /// Whether dead letters and replays may be tried.
    fn may_do_side_work(&mut self) -> bool {
        if self.side_work_at.is_some_and(|at| Instant::now() < at) {
            return false;
        }
        self.side_work_at = None;
        true
    }

    /// Dead letters or a replay could not be read: said, and tried again later, while live events go on.
    fn put_off_side_work(&mut self, what: &str, error: &str) -> Result<(), End> {
        self.side_work_at = Some(Instant::now() + SIDE_PAUSE);
        self.fail(&Later { reason: format!("{what} cannot be read: {error}"), after: None })
    }

    fn read_replay(&mut self) -> Result<Option<(Vec<Outgoing>, From)>, End> {
        if !self.may_do_side_work() {
            return Ok(None);
        }
        let limits = self.limits();
        let Some((replay, reader)) = &mut self.replay else { return Ok(None) };
        match reader.read(self.engine, replay.next_seq, Some(replay.end_seq), limits) {
            Ok(read) if read.events.is_empty() => {
                // Nothing more: also where the rest of it is gone.
                replay.next_seq = replay.end_seq;
                self.unsaved.replay = Some(replay.clone());
                self.replay = None;
                self.save()?;
                Ok(None)
            }
            Ok(read) => Ok(Some((read.events, From::Replay { next_seq: read.next_seq }))),
            Err(error) => {
                let error = error.to_string();
                self.put_off_side_work("the replay", &error)?;
                Ok(None)
            }
        }
    }

    fn read_dead_letters(&mut self) -> Result<Option<(Vec<Outgoing>, From)>, End> {
        while self.has_due && self.may_do_side_work() {
            let read = self.engine.store.due_dead_letters(&self.stream.id, RESENT_EVENTS);
            let limits = self.limits();
            let read = read.map_err(EngineError::from).and_then(|letters| {
                let seqs: Vec<u64> = letters.iter().map(|letter| letter.seq).collect();
                read_seqs(self.engine, &seqs, self.format, limits)
            });
            match read {
                Ok((_, seqs)) if seqs.is_empty() => self.has_due = false,
                // Dropped from the log meanwhile: there is nothing left to send.
                Ok((events, seqs)) if events.is_empty() => {
                    self.unsaved.settled.extend(seqs);
                    self.save()?;
                }
                Ok((events, seqs)) => return Ok(Some((events, From::DeadLetters { seqs }))),
                Err(error) => self.put_off_side_work("a dead letter", &error.to_string())?,
            }
        }
        Ok(None)
    }

    /// Delivers a window, however often it takes. Where the log is written again meanwhile, by an erasure or by retention, it is given up and read
    /// anew: what is gone from the log must not be sent from memory.
    fn deliver(&mut self, events: Vec<Outgoing>, from: From) -> Result<(), End> {
        let limits = self.sinks.first().map(|sink| sink.limits());
        let limits = limits.unwrap_or(BatchLimits { events: 1, bytes: 1 });
        let rewritten = self.rewritten();
        let mut window = Window::new(events, limits);
        while let Err(later) = window.deliver(&mut self.sinks, &self.run, &self.stop) {
            if self.stop.is_set() {
                return Err(End::Stopped);
            }
            self.fail(&later)?;
            self.pause(pause_after(self.progress.attempts, later.after))?;
            if self.rewritten() != rewritten {
                self.reader.look_again();
                if let Some((_, reader)) = &mut self.replay {
                    reader.look_again();
                }
                return Ok(());
            }
        }
        self.delivered(&window, from)
    }

    /// Numbers that change when the log is written again; none where it cannot be asked.
    fn rewritten(&self) -> Option<(u64, u64)> {
        self.engine.store.state().ok().map(|state| (state.rewritten, state.manifest))
    }

    /// Takes down what was acknowledged, and what was refused.
    fn delivered(&mut self, window: &Window, from: From) -> Result<(), End> {
        let now = self.engine.now();
        let refused: Vec<DeadLetter> = window
            .refused()
            .map(|(seq, reason)| DeadLetter {
                seq,
                reason: short(reason),
                attempts: 1,
                refused: now,
                is_due: false,
            })
            .collect();
        let name = &self.stream.name;
        self.engine.metrics.streams.delivered(name, window.accepted());
        self.engine.metrics.streams.refused(name, refused.len() as u64);
        for letter in &refused {
            warn!(stream = name, seq = letter.seq, reason = letter.reason, "the receiver refuses an event");
        }
        self.progress.delivered += window.accepted();
        if window.accepted() > 0 {
            self.progress.acknowledged = Some(now);
        }
        let is_urgent = !refused.is_empty() || self.progress.failing.is_some();
        match from {
            From::Live { next_seq } => self.progress.next_seq = next_seq,
            From::Replay { next_seq } => {
                if let Some((replay, _)) = &mut self.replay {
                    replay.next_seq = next_seq;
                    replay.delivered += window.accepted();
                    self.unsaved.replay = Some(replay.clone());
                    if replay.next_seq >= replay.end_seq {
                        self.replay = None;
                    }
                }
            }
            From::DeadLetters { mut seqs } => {
                seqs.retain(|seq| !refused.iter().any(|letter| letter.seq == *seq));
                self.unsaved.settled.extend(seqs);
            }
        }
        self.unsaved.refused.extend(refused);
        self.is_unsaved = true;
        if self.side_work_at.is_none() {
            self.recovered();
        }
        let is_side_work = !self.unsaved.settled.is_empty() || self.unsaved.replay.is_some();
        if is_urgent || is_side_work || self.saved.elapsed() >= LOOK_EVERY { self.save() } else { Ok(()) }
    }

    /// Takes down that events get through again.
    fn recovered(&mut self) {
        if self.progress.failing.take().is_some() {
            info!(stream = self.stream.name, "delivering again");
            self.is_unsaved = true;
        }
        self.progress.attempts = 0;
        self.progress.failure.clear();
        if std::mem::take(&mut self.progress.is_alerted) {
            self.engine.record_own(&Principal::system(), alert("recover", &self.stream));
        }
    }

    /// Gives the receiver the manifests that were signed since, and says whether it took them.
    fn hand_over_manifests(&mut self) -> Result<bool, End> {
        if !std::mem::take(&mut self.has_manifests) {
            return Ok(self.has_taken_manifests);
        }
        let store = &self.engine.store;
        let Ok(manifests) = store.unsent_manifests(&self.stream.id, MANIFESTS_AT_ONCE) else {
            return Ok(false);
        };
        for manifest in manifests {
            let name = format!("{:020}-{:020}", manifest.first_seq, manifest.last_seq);
            let Some(sink) = self.sinks.first_mut() else { return Ok(true) };
            if let Err(error) = sink.put_manifest(&name, &manifest.note) {
                self.fail(&Later { reason: error.to_string(), after: None })?;
                self.pause(pause_after(self.progress.attempts, None))?;
                // The next look tries again.
                self.has_taken_manifests = false;
                return Ok(false);
            }
            // Stopping before this is noted writes the same manifest once more.
            if let Err(error) = self.engine.store.mark_manifest_sent(&self.stream.id, manifest.number) {
                warn!(%error, stream = self.stream.name, "a manifest will be handed over once more");
            }
        }
        self.has_taken_manifests = true;
        Ok(true)
    }

    /// Saves how far the stream is, however often it takes: without it, dead letters would be forgotten. What is not saved when it ends is not
    /// forgotten by moving on without it: the cursor in the database stays before it.
    fn save(&mut self) -> Result<(), End> {
        loop {
            let store = &self.engine.store;
            let Unsaved { refused, settled, replay } = &self.unsaved;
            let id = &self.stream.id;
            match store.save_progress(id, self.number, &self.progress, replay.as_ref(), refused, settled) {
                Ok(true) => break,
                Ok(false) => return Err(End::Replaced),
                Err(error) if self.stop.is_set() => {
                    warn!(%error, stream = self.stream.name, "the progress could not be saved; some events will be sent again");
                    return Err(End::Stopped);
                }
                Err(error) => {
                    warn!(%error, stream = self.stream.name, "the progress could not be saved, and is tried again");
                    self.stop.wait(PAUSE_MIN);
                }
            }
        }
        self.unsaved = Unsaved::default();
        self.is_unsaved = false;
        self.saved = Instant::now();
        Ok(())
    }

    fn fail_reading(&mut self, error: &str) -> Result<(), End> {
        let later = Later { reason: format!("the log cannot be read: {error}"), after: None };
        self.fail(&later)?;
        self.pause(pause_after(self.progress.attempts, None))
    }

    /// Takes down that an attempt failed.
    fn fail(&mut self, later: &Later) -> Result<(), End> {
        let reason = short(&later.reason);
        self.progress.attempts += 1;
        if self.progress.failing.is_none() {
            self.progress.failing = Some(self.engine.now());
            warn!(stream = self.stream.name, reason, "nothing gets through");
        }
        self.progress.failure = reason;
        self.engine.metrics.streams.failed(&self.stream.name);
        self.save()
    }

    /// Waits, and looks meanwhile whether to go on, and whether the silence is too long.
    fn pause(&mut self, pause: Duration) -> Result<(), End> {
        let begun = Instant::now();
        loop {
            self.alert_if_silent()?;
            let left = pause.saturating_sub(begun.elapsed());
            if left.is_zero() {
                return Ok(());
            }
            self.stop.wait(left.min(LOOK_EVERY));
            self.look_at_changes()?;
        }
    }

    /// As [`Sender::look`], without what it may do about dead letters.
    fn look_at_changes(&mut self) -> Result<(), End> {
        if self.stop.is_set() {
            return Err(End::Stopped);
        }
        match self.engine.store.stream(&self.stream.id) {
            Ok(Some(stream)) if stream.revision == self.stream.revision => Ok(()),
            Ok(_) => Err(End::Changed),
            Err(_) => Ok(()),
        }
    }

    fn alert_if_silent(&mut self) -> Result<(), End> {
        if alert_if_silent(self.engine, &self.stream, &mut self.progress) { self.save() } else { Ok(()) }
    }
}

fn alert(action: &str, stream: &Stream) -> OwnEvent {
    OwnEvent::new(action, super::STREAM, &stream.name).resource_id(&stream.id.0)
}

/// Records that nothing gets through, once, where that has lasted too long; says whether it did.
pub(super) fn alert_if_silent(engine: &Engine, stream: &Stream, progress: &mut StreamProgress) -> bool {
    let (Some(failing), false) = (progress.failing, progress.is_alerted) else { return false };
    let silent_us = engine.now().as_micros().saturating_sub(failing.as_micros()).max(0);
    let limit_us = stream.silence_seconds.saturating_mul(1_000_000);
    if limit_us == 0 || silent_us.unsigned_abs() < limit_us {
        return false;
    }
    tracing::error!(stream = stream.name, reason = progress.failure, "the stream has stalled");
    progress.is_alerted = true;
    let event = alert("stall", stream)
        .additional("reason", progress.failure.as_str())
        .additional("silent_since", failing.to_string())
        .additional("next_seq", progress.next_seq);
    engine.record_own(&Principal::system(), event);
    true
}

/// Doubles from a second to a minute, with as much again by chance, so that many streams do not come back at once.
fn pause_after(attempts: u64, asked: Option<Duration>) -> Duration {
    if let Some(asked) = asked {
        return asked.clamp(PAUSE_MIN, ASKED_PAUSE_MAX);
    }
    let doublings = u32::try_from(attempts.saturating_sub(1)).unwrap_or(u32::MAX).min(6);
    let pause = PAUSE_MIN.saturating_mul(1 << doublings).min(PAUSE_MAX);
    let chance = f64::from(u16::from_le_bytes(random::bytes())) / f64::from(u16::MAX);
    pause.mul_f64(0.5 + 0.5 * chance)
}

/// The beginning of a reason.
fn short(reason: &str) -> String {
    let mut end = reason.len().min(REASON_BYTES_MAX);
    while !reason.is_char_boundary(end) {
        end -= 1;
    }
    reason[..end].replace(char::is_control, " ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_grow_to_a_minute_and_heed_the_receiver() {
        for (attempts, at_most) in [(1, 1), (2, 2), (3, 4), (6, 32), (7, 60), (1_000, 60)] {
            for _ in 0..50 {
                let pause = pause_after(attempts, None);
                assert!(pause <= Duration::from_secs(at_most), "{attempts}: {pause:?}");
                assert!(pause >= Duration::from_secs(at_most) / 2, "{attempts}: {pause:?}");
            }
        }
        assert_eq!(pause_after(9, Some(Duration::from_secs(7))), Duration::from_secs(7));
        assert_eq!(pause_after(9, Some(Duration::from_secs(99_999))), ASKED_PAUSE_MAX);
        assert_eq!(pause_after(9, Some(Duration::ZERO)), PAUSE_MIN);
    }

    #[test]
    fn a_reason_is_one_short_line() {
        assert_eq!(short("no\nsuch\tthing"), "no such thing");
        assert_eq!(short(&"ä".repeat(600)).len(), REASON_BYTES_MAX);
    }
}
