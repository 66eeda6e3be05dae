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
//!
//! ```
//! use annals_sink::{Kind, Outcome, Outgoing, Settings, Surroundings};
//!
//! let dir = tempfile::tempdir()?;
//! let kind = Kind::from_name("files").expect("one of the kinds");
//! let mut settings = Settings::default();
//! settings.set("directory", &dir.path().join("archive").display().to_string());
//! settings.set("gzip", "false");
//! let surroundings = Surroundings {
//!     stream: "archive".to_owned(),
//!     origin: "log.example.com".to_owned(),
//!     version: "1.0.0",
//!     format: "native",
//!     is_json: true,
//!     private_networks: Vec::new(),
//!     any_network: false,
//! };
//! let checked = kind.check(&settings).expect("nothing is missing");
//! let mut sink = kind.open(&checked, &surroundings)?;
//! let event = Outgoing {
//!     seq: 7,
//!     id: "0190a1b2-0000-7000-8000-000000000007".to_owned(),
//!     time_us: 0,
//!     received_us: 1_763_000_000_000_000,
//!     action: "login".to_owned(),
//!     resource_type: "user".to_owned(),
//!     outcome: Outcome::Success,
//!     line: r#"{"seq":7}"#.to_owned(),
//! };
//! sink.send(&[event])?;
//! sink.settle()?;
//! let hour = dir.path().join("archive/2025/11/13/02");
//! let file = std::fs::read_dir(hour)?.next().expect("one batch is one file")?.path();
//! let name = file.file_name().expect("a file has a name").to_string_lossy();
//! assert!(name.starts_with("00000000000000000007-00000000000000000007-") && name.ends_with(".ndjson"));
//! assert_eq!(std::fs::read_to_string(file)?, "{\"seq\":7}\n");
//!
//! // A setting that is not there is named, and so is what there is.
//! settings.set("folder", "x");
//! assert!(kind.check(&settings).is_err_and(|faults| faults[0].name == "folder"));
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod address;
mod clock;
mod files;
mod http;
mod kind;
mod log;
mod objects;
mod otlp;
mod reason;
mod s3;
mod setting;
mod splunk;
mod syslog;
mod tls;
mod webhook;

use std::fmt;
use std::time::Duration;

pub use kind::{KINDS, Kind, Surroundings};
pub use setting::{Setting, SettingFault, SettingKind, Settings};
pub use webhook::new_webhook_secret;

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

    /// How long to wait for a batch to fill: nothing for receivers that want each event at once, more where every batch is an object.
    fn linger(&self) -> Duration {
        Duration::ZERO
    }

    /// Hands a batch over: not empty, by rising seq. What was handed over counts as received once [`Sink::settle`] returned; after
    /// [`SendError::Later`] of either, everything since the last settling is sent again. After a refusal, what was handed over before it stays so.
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
