//! What files and S3 have in common: one object a batch, named by the time of its first event.

use std::fmt::Write as _;
use std::io::Write as _;
use std::time::Duration;

use annals_store::{ObjectError, ObjectWriter};
use jiff::Timestamp;

use crate::kind::Surroundings;
use crate::reason::{Secrets, cause, later};
use crate::setting::{Setting, SettingKind};
use crate::{BatchLimits, Outgoing, SendError, Sink};

/// Large objects are few: receivers of them pay by the request. This is what the sender reads of the log at once; more never comes together.
const LIMITS: BatchLimits = BatchLimits { events: 20_000, bytes: 8 * 1024 * 1024 };

/// Whether objects are compressed.
pub(crate) const GZIP: Setting = Setting::new(
    "gzip",
    "Compress",
    "Whether objects are compressed by gzip and end in `.gz`.",
    SettingKind::Switch,
)
.or("true");

/// How long to wait for a batch to fill.
pub(crate) const LINGER: Setting = Setting::new(
    "linger",
    "Seconds to collect",
    "How many seconds to collect events before an object that is not full is written: fewer, larger objects, later.",
    SettingKind::Number { min: 0, max: 3_600 },
);

/// Writes batches as objects.
#[derive(Debug)]
pub(crate) struct ObjectSink {
    pub(crate) linger: Duration,
    pub(crate) writer: ObjectWriter,
    pub(crate) is_gzip: bool,
    pub(crate) owner: Owner,
    pub(crate) is_json: bool,
    pub(crate) secrets: Secrets,
}

/// Whose objects they are: several streams may write to one place, the same events in several forms.
#[derive(Debug)]
pub(crate) struct Owner {
    stream: String,
    format: &'static str,
}

impl Owner {
    pub(crate) fn of(surroundings: &Surroundings) -> Owner {
        Owner { stream: surroundings.stream.clone(), format: surroundings.format }
    }

    /// The first 64 bits of a hash over the stream and its form.
    fn name(&self) -> String {
        self.name_of(&[])
    }

    /// The first 64 bits of a hash over the stream, its form and the ids of events: it tells batches between the same two events apart.
    fn name_of(&self, batch: &[Outgoing]) -> String {
        let mut hash = ring::digest::Context::new(&ring::digest::SHA256);
        let ids = batch.iter().map(|event| event.id.as_str());
        for part in [self.stream.as_str(), self.format].into_iter().chain(ids) {
            // With its length before it, so that no two lists of parts are the same bytes.
            hash.update(&(part.len() as u64).to_be_bytes());
            hash.update(part.as_bytes());
        }
        hash.finish().as_ref().iter().take(8).map(|byte| format!("{byte:02x}")).collect()
    }
}

impl Sink for ObjectSink {
    fn limits(&self) -> BatchLimits {
        LIMITS
    }

    fn send(&mut self, batch: &[Outgoing]) -> Result<(), SendError> {
        let [first, ..] = batch else { return Ok(()) };
        let last = batch.last().unwrap_or(first);
        let name = self.owner.name_of(batch);
        let mut path = directory(first.received_us);
        let ending = if self.is_json { "ndjson" } else { "log" };
        // The same events again take their own place; others, such as those of a replay with a query or of another stream, never that of these.
        // Twenty digits hold every seq, and sort.
        let _ = write!(path, "/{:020}-{:020}-{name}.{ending}", first.seq, last.seq);
        let lines: String = batch.iter().flat_map(|event| [event.line.as_str(), "\n"]).collect();
        let content = match self.is_gzip {
            true => {
                path.push_str(".gz");
                compress(&lines).map_err(|error| later(format!("cannot compress: {error}")))?
            }
            false => lines.into_bytes(),
        };
        self.put(&path, content)
    }

    fn acknowledges_each(&self) -> bool {
        true
    }

    fn linger(&self) -> Duration {
        self.linger
    }

    fn put_manifest(&mut self, name: &str, text: &str) -> Result<(), SendError> {
        self.put(&format!("manifests/{name}-{}.txt", self.owner.name()), text.as_bytes().to_vec())
    }
}

impl ObjectSink {
    fn put(&self, path: &str, content: Vec<u8>) -> Result<(), SendError> {
        self.writer.put(path, content).map_err(|error| later(self.words(&error)))
    }

    fn words(&self, error: &ObjectError) -> String {
        let (outer, inner) = (error.to_string(), cause(error));
        let words = if outer == inner { outer } else { format!("{outer}: {inner}") };
        self.secrets.one_line(&words)
    }
}

/// `YYYY/MM/DD/HH` in UTC. The time of receipt rises with the seq, so an hour's objects stand side by side; the time of an event need not.
fn directory(received_us: i64) -> String {
    let time = Timestamp::from_microsecond(received_us).unwrap_or(Timestamp::UNIX_EPOCH);
    time.strftime("%Y/%m/%d/%H").to_string()
}

/// The same lines give the same bytes: no time and no name goes into the head.
fn compress(lines: &str) -> std::io::Result<Vec<u8>> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
    encoder.write_all(lines.as_bytes())?;
    encoder.finish()
}
