//! How streams are doing: for the page, the command line and the metrics.

use std::collections::HashMap;
use std::ops::ControlFlow;
use std::sync::{Mutex, PoisonError};

use annals_sink::{Kind, Settings};
use annals_store::{DeadLetterCount, Replay, Stream, StreamId};

use super::reader::stream_filter;
use super::{StreamError, open_settings};
use crate::Engine;
use crate::error::EngineError;
use crate::principal::Principal;
use crate::walk::{self, Walk};

/// What a stream is doing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StreamState {
    /// Nothing is sent.
    Paused,
    /// Nothing gets through.
    Failing,
    /// Events wait to be sent.
    Behind,
    /// Everything was delivered.
    Idle,
}

impl StreamState {
    /// Its name in JSON and on the command line.
    pub const fn name(self) -> &'static str {
        match self {
            StreamState::Paused => "paused",
            StreamState::Failing => "failing",
            StreamState::Behind => "behind",
            StreamState::Idle => "idle",
        }
    }
}

/// A stream as it is now.
#[derive(Debug, Clone)]
pub struct StreamStatus {
    /// What it is, and how far.
    pub stream: Stream,
    /// Its settings that may be shown.
    pub settings: Settings,
    /// Names of the secrets that are kept for it; of all that there may be, if they cannot be read.
    pub secret_names: Vec<&'static str>,
    /// What it is doing.
    pub state: StreamState,
    /// Events that wait, exactly.
    pub waiting: u64,
    /// Microseconds since the first of them was received; 0 if none waits.
    pub lag_us: u64,
    /// Events a second that were delivered in the last half minute or so, as this process saw it.
    pub rate: f64,
    /// Events that the receiver refused.
    pub dead_letters: DeadLetterCount,
    /// Parts of the log that are sent once more.
    pub replays: Vec<Replay>,
}

/// How fast streams deliver, from what the database said at each look.
#[derive(Debug, Default)]
pub(crate) struct Rates(Mutex<HashMap<StreamId, Sample>>);

#[derive(Debug, Clone, Copy)]
struct Sample {
    at_us: i64,
    delivered: u64,
    rate: f64,
}

/// Seconds over which a rate is smoothed.
const SMOOTHING_SECONDS: f64 = 15.0;

impl Rates {
    fn note(&self, stream: &Stream, now_us: i64) {
        let mut samples = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let delivered = stream.progress.delivered;
        let new = match samples.get(&stream.id) {
            None => Sample { at_us: now_us, delivered, rate: 0.0 },
            Some(last) if now_us <= last.at_us => return,
            Some(last) => {
                #[expect(clippy::cast_precision_loss, reason = "a rate is shown with two digits")]
                let (events, seconds) = (
                    delivered.saturating_sub(last.delivered) as f64,
                    (now_us - last.at_us) as f64 / 1_000_000.0,
                );
                let weight = 1.0 - (-seconds / SMOOTHING_SECONDS).exp();
                Sample { at_us: now_us, delivered, rate: last.rate + weight * (events / seconds - last.rate) }
            }
        };
        samples.insert(stream.id.clone(), new);
    }

    fn of(&self, id: &StreamId) -> f64 {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).get(id).map_or(0.0, |sample| sample.rate)
    }

    fn keep(&self, streams: &[Stream]) {
        let mut samples = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        samples.retain(|id, _| streams.iter().any(|stream| stream.id == *id));
    }
}

impl Engine {
    /// Lists the streams by name, as they are now.
    ///
    /// # Errors
    /// [`StreamError`] if the caller may not manage the site, or the log failed.
    pub fn streams(&self, principal: &Principal) -> Result<Vec<StreamStatus>, StreamError> {
        principal.may_manage()?;
        self.store.streams()?.into_iter().map(|stream| self.status(stream)).collect()
    }

    /// A stream as it is now.
    ///
    /// # Errors
    /// As [`Engine::streams`], and if there is none of that identity.
    pub fn stream_status(&self, principal: &Principal, id: &StreamId) -> Result<StreamStatus, StreamError> {
        let stream = self.stream(principal, id)?;
        self.status(stream)
    }

    fn status(&self, stream: Stream) -> Result<StreamStatus, StreamError> {
        let dead_letters = self.store.count_dead_letters(&stream.id)?;
        let replays = self.store.replays(&stream.id)?;
        let (waiting, lag_us) = self.lag(&stream)?;
        let state = match () {
            () if stream.is_paused => StreamState::Paused,
            () if stream.progress.failing.is_some() => StreamState::Failing,
            () if waiting > 0 || dead_letters.due > 0 || !replays.is_empty() => StreamState::Behind,
            () => StreamState::Idle,
        };
        let kind = Kind::from_name(&stream.kind);
        let secrets = kind.into_iter().flat_map(|kind| kind.settings.iter());
        let kept = self.secret_place.open(&super::binding(&stream), &stream.secrets).ok();
        let is_kept = |name: &str| kept.as_ref().is_none_or(|kept| kept.contains_key(name));
        let secret_names = secrets
            .filter(|setting| setting.kind.is_secret() && is_kept(setting.name))
            .map(|setting| setting.name);
        Ok(StreamStatus {
            settings: open_settings(&stream),
            secret_names: secret_names.collect(),
            rate: self.stream_rates.of(&stream.id),
            state,
            waiting,
            lag_us,
            dead_letters,
            replays,
            stream,
        })
    }

    /// How many events wait, and for how many microseconds the first of them does. A query that has become wrong makes everything wait.
    fn lag(&self, stream: &Stream) -> Result<(u64, u64), EngineError> {
        let parts = self.log.refresh()?;
        let seqs = stream.progress.next_seq.max(parts.first_seq())..parts.next_seq();
        if seqs.is_empty() {
            return Ok((0, 0));
        }
        let Ok(filter) = stream_filter(self, &stream.query, "") else {
            return Ok((seqs.end - seqs.start, 0));
        };
        let waiting = walk::count(&parts, &filter, &seqs)?;
        if waiting == 0 {
            return Ok((0, 0));
        }
        let mut received = None;
        Walk::new(filter, seqs).go(self, &mut |_, record| {
            received = Some(record.received);
            Ok(ControlFlow::Break(()))
        })?;
        let now_us = self.now().as_micros();
        let lag_us = received.map_or(0, |received| now_us.saturating_sub(received.as_micros()).max(0));
        Ok((waiting, lag_us.unsigned_abs()))
    }

    /// Takes down how much was delivered, for the rates.
    pub(super) fn note_rates(&self, streams: &[Stream]) {
        let now_us = self.now().as_micros();
        self.stream_rates.keep(streams);
        for stream in streams {
            self.stream_rates.note(stream, now_us);
        }
    }

    /// Forgets the numbers of streams that are gone.
    pub(super) fn keep_stream_metrics(&self, streams: &[Stream]) {
        self.metrics.streams.keep(streams.iter().map(|stream| stream.name.as_str()));
    }

    /// Takes down how a stream is doing, for the metrics.
    pub(super) fn note_stream(&self, stream: &Stream) -> Result<(), EngineError> {
        let (waiting, lag_us) = self.lag(stream)?;
        let dead_letters = self.store.count_dead_letters(&stream.id)?;
        self.metrics.streams.note(stream, waiting, lag_us, dead_letters.all);
        Ok(())
    }
}
