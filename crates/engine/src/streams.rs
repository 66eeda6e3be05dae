//! Streams: the log's events on their way to a receiver, at least once, in order, none lost in silence.
//!
//! A stream is a query, a form and a receiver. Its cursor stands in the database and moves only after the receiver acknowledged; an event that the
//! receiver refuses goes to the dead letters of the stream, with the reason, and can be sent again. This file is what people do with streams; `service.rs` and
//! `sender.rs` are what the server does.

mod control;
mod error;
mod manifest;
mod reader;
mod reconcile;
mod secrets;
mod sender;
mod service;
mod status;
mod webhook;
mod window;

use std::ops::ControlFlow;
use std::str::FromStr as _;

use annals_model::formats::EventFormat;
use annals_model::time::Time;
use annals_query::{Filter, Key, Term, Test};
use annals_sink::{Kind, SettingFault, Settings};
use annals_store::{Stream, StreamId, StreamMaker, StreamProgress};
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

use crate::Engine;
use crate::access::SecretText;
use crate::error::EngineError;
use crate::own_event::OwnEvent;
use crate::principal::Principal;
use crate::random;
use crate::walk::Walk;

pub use error::StreamError;
pub use reconcile::{Missing, Received, Reconciliation};
pub(crate) use secrets::SecretPlace;
pub use secrets::StreamSecretsError;
pub use service::{StreamPolicy, StreamService};
pub(crate) use status::Rates;
pub use status::{StreamState, StreamStatus};

use secrets::Secrets;

/// The resource type of streams.
pub(crate) const STREAM: &str = "stream";
/// Streams of a log: each is a thread, and reads the log for itself.
pub const STREAMS_MAX: usize = 64;
/// Batches that a stream has on their way at the same time, at most.
pub const PARALLEL_MAX: u64 = 32;
/// Replays of a stream that wait.
const REPLAYS_MAX: u64 = 16;
/// Seconds of silence before a stream counts as stalled, unless it says otherwise.
pub const SILENCE_SECONDS: u64 = 900;
/// Characters of the name of a stream.
const NAME_MAX: usize = 64;
/// A query that means something else after so long moves with the clock: a year and some hours, so that no time of a day, month or year is the same.
const LATER: jiff::SignedDuration = jiff::SignedDuration::from_hours(366 * 24 + 7);
/// Settings that say where a receiver is: whoever changes one gives the secrets again, so that they go nowhere unasked.
const ADDRESSES: [&str; 6] = ["url", "address", "endpoint", "bucket", "host", "ca"];

/// Where a stream begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StreamStart {
    /// Behind the newest event.
    Now,
    /// At the first event of the log.
    Beginning,
    /// At this seq.
    Seq(u64),
    /// At the first event, in the order of the log, that happened at this time or later.
    Time(Time),
}

/// A stream to set up.
#[derive(Debug, Clone)]
pub struct NewStream<'s> {
    /// What to call it.
    pub name: &'s str,
    /// Kind of the receiver, see [`annals_sink::KINDS`].
    pub kind: &'s str,
    /// Which events; empty for all.
    pub query: &'s str,
    /// Their form.
    pub format: EventFormat,
    /// Batches on their way at the same time; 1 keeps the order.
    pub parallel: u64,
    /// Seconds of silence after which it counts as stalled; 0 for never.
    pub silence_seconds: u64,
    /// Settings of the receiver, secrets included.
    pub settings: Settings,
    /// Where it begins.
    pub start: StreamStart,
    /// Send nothing yet.
    pub is_paused: bool,
}

/// What to change of a stream; what is none stays.
#[derive(Clone, Default)]
pub struct StreamChange<'s> {
    /// What to call it.
    pub name: Option<&'s str>,
    /// Which events, from the cursor on.
    pub query: Option<&'s str>,
    /// Their form.
    pub format: Option<EventFormat>,
    /// Batches on their way at the same time.
    pub parallel: Option<u64>,
    /// Seconds of silence after which it counts as stalled; 0 for never.
    pub silence_seconds: Option<u64>,
    /// Settings to change, by name; an empty value takes one back.
    pub settings: Vec<(String, String)>,
}

impl std::fmt::Debug for StreamChange<'_> {
    /// Of settings only the names: some are secrets.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let names: Vec<&str> = self.settings.iter().map(|(name, _)| name.as_str()).collect();
        f.debug_struct("StreamChange")
            .field("name", &self.name)
            .field("settings", &names)
            .finish_non_exhaustive()
    }
}

fn checked_name(name: &str) -> Result<&str, StreamError> {
    let name = name.trim();
    let count = name.chars().count();
    if count == 0 || count > NAME_MAX || name.chars().any(char::is_control) {
        return Err(StreamError::BadName);
    }
    Ok(name)
}

fn checked_parallel(parallel: u64) -> Result<u64, StreamError> {
    if (1..=PARALLEL_MAX).contains(&parallel) {
        return Ok(parallel);
    }
    Err(StreamError::BadNumber {
        what: format!("parallel: from 1, which keeps the order, to {PARALLEL_MAX}"),
    })
}

/// A name as the target of an event, which is not empty: who tries what they may not is on record under any name.
fn target_of(name: &str) -> String {
    let short: String = name.chars().filter(|character| !character.is_control()).take(NAME_MAX).collect();
    if short.trim().is_empty() { "(no name)".to_owned() } else { short }
}

pub(crate) fn stream_format(stream: &Stream) -> Result<EventFormat, StreamError> {
    EventFormat::from_str(&stream.format).map_err(|fault| {
        StreamError::Settings(vec![SettingFault { name: "format".to_owned(), what: fault.to_string() }])
    })
}

/// Parts settings into what may be shown, and what may not.
fn parted(kind: &Kind, settings: &Settings) -> (String, Secrets) {
    let (mut open, mut secrets) = (serde_json::Map::new(), Secrets::new());
    for (name, value) in settings.iter() {
        let is_secret = kind.settings.iter().any(|setting| setting.name == name && setting.kind.is_secret());
        if is_secret {
            secrets.insert(name.to_owned(), value.to_owned());
        } else {
            open.insert(name.to_owned(), value.into());
        }
    }
    (Value::Object(open).to_string(), secrets)
}

/// What the secrets of a stream are bound to: which stream it is and where it goes.
fn binding(stream: &Stream) -> String {
    let maker = match stream.made_by {
        StreamMaker::Page => "page",
        StreamMaker::Operator | StreamMaker::File => "operator",
    };
    format!("{}\n{maker}\n{}\n{}", stream.id.0, stream.kind, stream.settings)
}

/// The settings that may be shown.
fn open_settings(stream: &Stream) -> Settings {
    let mut settings = Settings::default();
    if let Ok(Value::Object(members)) = serde_json::from_str(&stream.settings) {
        for (name, value) in &members {
            settings.set(name, value.as_str().unwrap_or_default());
        }
    }
    settings
}

/// A stream, as events show it. Secrets are there as a hash, which the policy of the field keeps out of the event: that they changed is seen.
fn snapshot(stream: &Stream, secrets: &Secrets) -> Value {
    let settings = open_settings(stream);
    let receiver = ADDRESSES.iter().map(|name| settings.get(name)).find(|value| !value.is_empty());
    let mut hash = Sha256::new();
    for (name, value) in secrets {
        hash.update(format!("{}:{name}{}:{value}", name.len(), value.len()));
    }
    let credentials = if secrets.is_empty() { String::new() } else { format!("{:02x?}", hash.finalize()) };
    json!({
        "id": stream.id.0, "name": stream.name, "kind": stream.kind, "url": receiver.unwrap_or_default(),
        "filter": stream.query, "format": stream.format, "parallel": stream.parallel,
        "silence_seconds": stream.silence_seconds, "enabled": !stream.is_paused, "from_seq": stream.first_seq,
        "settings": serde_json::from_str::<Value>(&stream.settings).unwrap_or_default(), "credentials": credentials,
        "created_at": stream.created.to_string(), "delivered_seq": stream.progress.next_seq,
    })
}

fn event_on(action: &str, stream: &Stream) -> OwnEvent {
    OwnEvent::new(action, STREAM, &stream.name).resource_id(&stream.id.0)
}

impl Engine {
    /// Name of the log on its checkpoints.
    pub(crate) fn origin(&self) -> Result<String, EngineError> {
        let epoch = self.store.epochs()?.pop();
        Ok(epoch.map_or_else(|| format!("annals/{}", self.store.log_id()), |epoch| epoch.origin))
    }

    /// All settings of a stream, secrets included.
    pub(crate) fn stream_settings(&self, stream: &Stream) -> Result<Settings, StreamError> {
        let mut settings = open_settings(stream);
        for (name, value) in self.secret_place.open(&binding(stream), &stream.secrets)? {
            settings.set(&name, &value);
        }
        Ok(settings)
    }

    /// Finds a stream by its name.
    ///
    /// # Errors
    /// [`StreamError`] if the caller may not manage the site, or there is none.
    pub fn stream_named(&self, principal: &Principal, name: &str) -> Result<Stream, StreamError> {
        principal.may_manage()?;
        let folded = name.trim().to_lowercase();
        let found = self.store.streams()?.into_iter().find(|stream| stream.name.to_lowercase() == folded);
        found.ok_or_else(|| StreamError::Unknown { name: name.to_owned() })
    }

    /// Finds the identity of a stream by its name or by itself, for whoever may read what streams delivered.
    ///
    /// # Errors
    /// [`StreamError`] if the caller may not read the whole log, or there is none.
    pub fn stream_id_named(&self, principal: &Principal, name: &str) -> Result<StreamId, StreamError> {
        principal.may_see_all("see what streams delivered")?;
        let folded = name.trim().to_lowercase();
        let streams = self.store.streams()?;
        let by_id = streams.iter().find(|stream| stream.id.0 == name);
        let found = by_id.or_else(|| streams.iter().find(|stream| stream.name.to_lowercase() == folded));
        found.map(|stream| stream.id.clone()).ok_or_else(|| StreamError::Unknown { name: name.to_owned() })
    }

    /// Finds a stream by its identity.
    ///
    /// # Errors
    /// As [`Engine::stream_named`].
    pub fn stream(&self, principal: &Principal, id: &StreamId) -> Result<Stream, StreamError> {
        principal.may_manage()?;
        self.store.stream(id)?.ok_or_else(|| StreamError::Unknown { name: id.0.clone() })
    }

    /// Sets a stream up, and records it. A running server begins to send within a second. A webhook without a secret gets one, which is
    /// returned and not shown again.
    ///
    /// # Errors
    /// [`StreamError`] if the caller may not, or something about it cannot be taken.
    pub fn create_stream(
        &self,
        principal: &Principal,
        new: &NewStream<'_>,
    ) -> Result<(Stream, Option<SecretText>), StreamError> {
        self.put_stream(principal, new, maker_of(principal))
    }

    /// As [`Engine::create_stream`], for one that stands in the configuration file.
    ///
    /// # Errors
    /// As there.
    pub fn create_stream_of_file(
        &self,
        principal: &Principal,
        new: &NewStream<'_>,
    ) -> Result<Stream, StreamError> {
        if new.kind == webhook::WEBHOOK && new.settings.get(webhook::SECRET).is_empty() {
            let what = "must be given: nobody would see the one that was made".to_owned();
            return Err(StreamError::Settings(vec![SettingFault { name: webhook::SECRET.to_owned(), what }]));
        }
        Ok(self.put_stream(principal, new, StreamMaker::File)?.0)
    }

    fn put_stream(
        &self,
        principal: &Principal,
        new: &NewStream<'_>,
        made_by: StreamMaker,
    ) -> Result<(Stream, Option<SecretText>), StreamError> {
        self.manage(principal, || OwnEvent::new("create", STREAM, &target_of(new.name)))?;
        let kind = Kind::from_name(new.kind)
            .ok_or_else(|| StreamError::UnknownKind { kind: new.kind.to_owned() })?;
        if kind.is_local && made_by == StreamMaker::Page {
            return Err(StreamError::OperatorsKind { kind: new.kind.to_owned() });
        }
        let name = checked_name(new.name)?;
        let query = self.checked_stream_query(new.query)?;
        let mut settings = new.settings.clone();
        let is_unsigned = kind.name == webhook::WEBHOOK && settings.get(webhook::SECRET).is_empty();
        let made_secret = is_unsigned.then(webhook::new_secret);
        if let Some(secret) = &made_secret {
            settings.set(webhook::SECRET, secret.reveal());
        }
        let settings = kind.check(&settings).map_err(StreamError::Settings)?;
        let now = self.now();
        let id = StreamId(random::event_id(now).to_string());
        let (open, secrets) = parted(kind, &settings);
        let first_seq = self.start_seq(new.start)?;
        let stream = Stream {
            name: name.to_owned(),
            kind: kind.name.to_owned(),
            query,
            format: new.format.name().to_owned(),
            parallel: checked_parallel(new.parallel)?,
            silence_seconds: new.silence_seconds,
            settings: open,
            secrets: Vec::new(),
            made_by,
            is_paused: new.is_paused,
            is_left_out: false,
            revision: 1,
            created: now,
            updated: now,
            first_seq,
            query_seq: first_seq,
            sent_query: String::new(),
            progress: StreamProgress {
                next_seq: first_seq,
                delivered: 0,
                acknowledged: None,
                failing: None,
                attempts: 0,
                failure: String::new(),
                is_alerted: false,
            },
            id,
        };
        let stream = Stream { secrets: self.sealed(&stream, &secrets, true)?, ..stream };
        // What cannot be opened is said now, not in the log of the server.
        service::open_sinks(self, &stream)?;
        self.check_place(&stream)?;
        if self.store.streams()?.iter().any(|other| other.name.to_lowercase() == stream.name.to_lowercase()) {
            return Err(StreamError::NameTaken { name: stream.name });
        }
        // Before it can take anything out of the log.
        self.record_first(principal, event_on("create", &stream).after(snapshot(&stream, &secrets)))
            .map_err(StreamError::Record)?;
        if !self.store.add_stream(&stream, STREAMS_MAX)? {
            return Err(StreamError::TooMany);
        }
        Ok((stream, made_secret))
    }

    /// Encrypts the secrets of a stream. Where other secrets exist, their key lies somewhere else if it is not here, and none is made; a person who
    /// gives the only secrets anew `may_replace_key`.
    fn sealed(
        &self,
        stream: &Stream,
        secrets: &Secrets,
        may_replace_key: bool,
    ) -> Result<Vec<u8>, StreamError> {
        let is_free = |other: &Stream| other.secrets.is_empty() || (may_replace_key && other.id == stream.id);
        let may_make_key = self.store.streams()?.iter().all(is_free);
        Ok(self.secret_place.seal(&binding(stream), secrets, may_make_key)?)
    }

    /// Two streams must not write to one file, nor one stream twice at the same time.
    fn check_place(&self, stream: &Stream) -> Result<(), StreamError> {
        if !Kind::from_name(&stream.kind).is_some_and(|kind| kind.is_single) {
            return Ok(());
        }
        if stream.parallel > 1 {
            return Err(StreamError::SingleFile { kind: stream.kind.clone() });
        }
        let place = |stream: &Stream| open_settings(stream).get("to").to_owned();
        let own = place(stream);
        let is_same = |other: &Stream| {
            other.id != stream.id
                && other.kind == stream.kind
                && place(other) == own
                && !matches!(own.as_str(), "stdout" | "stderr")
        };
        match self.store.streams()?.into_iter().find(is_same) {
            Some(other) => Err(StreamError::PlaceTaken { name: other.name }),
            None => Ok(()),
        }
    }

    /// The query of a stream has no errors, for it runs when nobody looks.
    fn checked_stream_query(&self, query: &str) -> Result<String, StreamError> {
        let query = query.trim();
        self.registry.refresh(&self.store)?;
        let checked = self.check_query(&Principal::system(), query).map_err(StreamError::Query)?;
        let later = self.check_query_at(&Principal::system(), query, LATER).map_err(StreamError::Query)?;
        if checked.into_filter() != later.into_filter() {
            return Err(StreamError::MovingTime);
        }
        Ok(query.to_owned())
    }

    fn start_seq(&self, start: StreamStart) -> Result<u64, StreamError> {
        let parts = self.log.refresh()?;
        let size = parts.next_seq();
        match start {
            StreamStart::Now => Ok(size),
            StreamStart::Beginning => Ok(parts.first_seq()),
            StreamStart::Seq(seq) if seq <= size => Ok(seq.max(parts.first_seq())),
            StreamStart::Seq(seq) => Err(StreamError::BeyondTheEnd { seq, next_seq: size }),
            StreamStart::Time(time) => {
                let test = Test::Time { from_us: Some(time.as_micros()), before_us: None };
                let filter: Filter = Term::new(Key::Time, test).into();
                let mut first = size;
                Walk::new(filter, parts.first_seq()..size).go(self, &mut |seq, _| {
                    first = seq;
                    Ok(ControlFlow::Break(()))
                })?;
                Ok(first)
            }
        }
    }

    /// Changes a stream, and records it. It goes on where it is, in its new form.
    ///
    /// # Errors
    /// [`StreamError`] if the caller may not, or something about it cannot be taken.
    pub fn change_stream(
        &self,
        principal: &Principal,
        id: &StreamId,
        change: &StreamChange<'_>,
    ) -> Result<Stream, StreamError> {
        let stream = self.managed(principal, id)?;
        check_maker(principal, &stream)?;
        self.alter_stream(principal, &stream, change, true)
    }

    /// Makes a stream of the configuration file what it is there; none stands there under that name any more if it says so.
    ///
    /// # Errors
    /// As [`Engine::change_stream`].
    pub fn change_stream_of_file(
        &self,
        principal: &Principal,
        stream: &Stream,
        change: &StreamChange<'_>,
    ) -> Result<Stream, StreamError> {
        self.alter_stream(principal, stream, change, false)
    }

    fn alter_stream(
        &self,
        principal: &Principal,
        stream: &Stream,
        change: &StreamChange<'_>,
        may_replace_key: bool,
    ) -> Result<Stream, StreamError> {
        let kind = Kind::from_name(&stream.kind)
            .ok_or_else(|| StreamError::UnknownKind { kind: stream.kind.clone() })?;
        // Secrets that cannot be read any more can still be given anew, all of them.
        let before_secrets = self.secret_place.open(&binding(stream), &stream.secrets);
        let before_settings = open_settings(stream);
        let mut settings = before_settings.clone();
        let given = |name: &str| change.settings.iter().any(|(given, _)| given == name);
        let secrets_before = match before_secrets {
            Ok(secrets) => secrets,
            Err(_) if change.settings.iter().any(|(name, _)| kind.is_secret(name)) => Secrets::new(),
            Err(error) if !change.settings.is_empty() => return Err(error.into()),
            Err(_) => Secrets::new(),
        };
        for (name, value) in &secrets_before {
            settings.set(name, value);
        }
        for (name, value) in &change.settings {
            settings.set(name, value);
        }
        let has_moved = ADDRESSES.iter().any(|name| before_settings.get(name) != settings.get(name));
        let kept: Vec<String> = secrets_before.keys().filter(|name| !given(name)).cloned().collect();
        if has_moved && !kept.is_empty() && principal.oneself().is_some() {
            return Err(StreamError::SecretsMissing { names: kept });
        }
        let settings = kind.check(&settings).map_err(StreamError::Settings)?;
        let (open, secrets) = parted(kind, &settings);
        let name = change.name.map(checked_name).transpose()?.map(str::to_owned);
        let query = change.query.map(|query| self.checked_stream_query(query)).transpose()?;
        let parallel = change.parallel.map(checked_parallel).transpose()?;
        let mut wanted = stream.clone();
        if let Some(name) = name {
            wanted.name = name;
        }
        if let Some(query) = query {
            wanted.query = query;
        }
        if let Some(format) = change.format {
            format.name().clone_into(&mut wanted.format);
        }
        wanted.parallel = parallel.unwrap_or(stream.parallel);
        wanted.silence_seconds = change.silence_seconds.unwrap_or(stream.silence_seconds);
        if !change.settings.is_empty() {
            wanted.settings = open;
            wanted.secrets = self.sealed(&wanted, &secrets, may_replace_key)?;
        }
        service::open_sinks(self, &wanted)?;
        self.check_place(&wanted)?;
        let (old, new) = (snapshot(stream, &secrets_before), snapshot(&wanted, &secrets));
        if old != new {
            // Before it can take anything else out of the log.
            let event = event_on("write", &wanted).before(old).after(new);
            self.record_first(principal, event).map_err(StreamError::Record)?;
        }
        let changed = self.store.change_stream(&stream.id, self.now(), |found| {
            // Whether it is paused may have changed meanwhile.
            *found = Stream { is_paused: found.is_paused, is_left_out: found.is_left_out, ..wanted };
            true
        })?;
        let (_, after) = changed.ok_or_else(|| StreamError::Unknown { name: stream.name.clone() })?;
        Ok(after)
    }

    /// The stream, for somebody who may manage it.
    fn managed(&self, principal: &Principal, id: &StreamId) -> Result<Stream, StreamError> {
        let found = self.store.stream(id)?;
        let target = found.as_ref().map_or(id.0.as_str(), |stream| stream.name.as_str());
        self.manage(principal, || {
            OwnEvent::new("write", STREAM, &target_of(target)).resource_id(&target_of(&id.0))
        })?;
        found.ok_or_else(|| StreamError::Unknown { name: id.0.clone() })
    }
}

fn maker_of(principal: &Principal) -> StreamMaker {
    if principal.oneself().is_some() { StreamMaker::Page } else { StreamMaker::Operator }
}

/// What stands in the file is changed there.
fn check_maker(principal: &Principal, stream: &Stream) -> Result<(), StreamError> {
    if stream.made_by == StreamMaker::File {
        return Err(StreamError::OfFile { name: stream.name.clone() });
    }
    check_owner(principal, stream)
}

/// What the operator set up with their own rights is not theirs to change or give up who have others. They may pause it, and have things sent again.
fn check_owner(principal: &Principal, stream: &Stream) -> Result<(), StreamError> {
    if stream.made_by != StreamMaker::Page && principal.oneself().is_some() {
        return Err(StreamError::Operators { name: stream.name.clone() });
    }
    Ok(())
}

/// Refuses a range that ends before it begins: a typing error must not look like an answer.
fn check_range(first_seq: u64, end_seq: u64) -> Result<(), StreamError> {
    if end_seq > 0 && end_seq < first_seq {
        return Err(StreamError::EmptyRange { first_seq, last_seq: end_seq - 1 });
    }
    Ok(())
}
