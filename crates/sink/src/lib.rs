//! Receivers of event streams: Splunk, webhooks, syslog, OTLP, objects and files.
//!
//! A sink takes batches of events that are written out already and hands them to one receiver. It knows nothing about the log, queries,
//! cursors or retries: it says what became of a batch ([`SendError`]), and who sends decides what follows. It reads no clock that an event would
//! show and keeps nothing when it is dropped.
//!
//! Each kind of receiver is one file with one [`Kind`]: its name, its settings as the command line, the configuration file and the page show them, and how it is
//! opened. A new one is a file and a line in [`KINDS`].
//!
//! Read [`Sink`] first.

mod kind;
mod setting;

use std::fmt;
use std::time::Duration;

pub use kind::{KINDS, Kind, Surroundings};
pub use setting::{Setting, SettingFault, SettingKind, Settings};

/// An event on its way.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Outgoing {
    /// Position in the log.
    pub seq: u64,
    /// Identity: a UUID in lower case.
    pub id: String,
    /// When it happened, in microseconds since 1970.
    pub time_us: i64,
    /// When the log received it, in microseconds since 1970.
    pub received_us: i64,
    /// What was done.
    pub action: String,
    /// What it was done to.
    pub resource_type: String,
    /// Whether it was done, refused or failed.
    pub outcome: Outcome,
    /// The event in the form of the stream: one line without its end, JSON unless [`Surroundings::is_json`] is false.
    pub line: String,
}

/// What became of an action.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// It was done.
    Success,
    /// It was refused.
    Denied,
    /// It failed.
    Failure,
}

/// How much one [`Sink::send`] takes at most.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BatchLimits {
    /// Events, at least 1.
    pub events: usize,
    /// Bytes of lines; a single event may be larger.
    pub bytes: usize,
}

/// One receiver, for one thread. Calls block.
pub trait Sink: Send + fmt::Debug {
    /// How much it takes at once.
    fn limits(&self) -> BatchLimits;

    /// Whether a batch is received as soon as [`Sink::send`] returned: then it is not sent again after a later error.
    fn acknowledges_each(&self) -> bool {
        false
    }

    /// Hands a batch over: not empty, by rising seq. What was handed over counts as received once [`Sink::settle`] returned; after an error of
    /// either, everything since the last settling is sent again.
    ///
    /// # Errors
    /// [`SendError`].
    fn send(&mut self, batch: &[Outgoing]) -> Result<(), SendError>;

    /// Waits until the receiver acknowledged everything that was handed over. A receiver that answers each batch has done so already.
    ///
    /// # Errors
    /// [`SendError::Later`] if it did not in its time.
    fn settle(&mut self) -> Result<(), SendError> {
        Ok(())
    }

    /// Keeps a signed manifest beside the events, where the receiver has a place for it.
    ///
    /// # Errors
    /// [`SendError::Later`] if it cannot be written.
    fn put_manifest(&mut self, _name: &str, _text: &str) -> Result<(), SendError> {
        Ok(())
    }
}

/// Why a batch was not received.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SendError {
    /// Nothing is wrong with the events: the receiver is away, busy, or does not know us. Send them again later.
    #[error("{reason}")]
    Later {
        /// What happened, for the operator: one line, no secrets.
        reason: String,
        /// How long the receiver asked to wait.
        after: Option<Duration>,
    },
    /// The receiver will not take these events, however often they are sent.
    #[error("{reason}")]
    Refused {
        /// What it said: one line, no secrets.
        reason: String,
        /// Which of the batch.
        which: Which,
    },
}

/// Which events of a batch were refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Which {
    /// The batch was refused as a whole; nothing of it was taken. One event of it may be the reason.
    All,
    /// The event at this place; nothing of the batch was taken.
    One(usize),
    /// Some of them, and the receiver did not say which; it has taken the others.
    Some,
}
