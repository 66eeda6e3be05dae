//! Why something about a stream cannot be done.

use annals_query::QueryErrors;
use annals_sink::SettingFault;
use annals_store::StoreError;

use super::{NAME_MAX, REPLAYS_MAX, STREAMS_MAX, StreamSecretsError};
use crate::error::{EngineError, ForbiddenError};
use crate::ingest::IngestError;
use crate::search::SearchError;

/// Why a stream was not set up, changed or looked at.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StreamError {
    /// The caller may not.
    #[error(transparent)]
    Forbidden(#[from] ForbiddenError),
    /// The name cannot be taken.
    #[error("a stream needs a name of 1 to {NAME_MAX} characters on one line")]
    BadName,
    /// There is one of that name.
    #[error("a stream named `{name}` exists already; choose another name")]
    NameTaken {
        /// The name.
        name: String,
    },
    /// There is none.
    #[error("there is no stream `{name}`; annals streams list shows all")]
    Unknown {
        /// What was asked for.
        name: String,
    },
    /// No receiver of that kind.
    #[error("`{kind}` is no kind of receiver; there are {}", kinds())]
    UnknownKind {
        /// What was given.
        kind: String,
    },
    /// Only who runs the server may set up such a receiver.
    #[error(
        "a stream of kind `{kind}` works with the server's own rights: only its operator sets one up, with `annals streams create` or in annals.toml"
    )]
    OperatorsKind {
        /// The kind.
        kind: String,
    },
    /// The stream is the operator's.
    #[error(
        "the stream `{name}` was set up by the operator, who alone changes it: annals streams change, or annals.toml"
    )]
    Operators {
        /// Its name.
        name: String,
    },
    /// The stream stands in the configuration file.
    #[error("the stream `{name}` stands in annals.toml; change it there and start the server again")]
    OfFile {
        /// Its name.
        name: String,
    },
    /// The settings cannot be taken.
    #[error("{}", faults(.0))]
    Settings(Vec<SettingFault>),
    /// The address was changed without giving the secrets again.
    #[error("where the stream goes was changed, so give its secrets again, that they go nowhere unasked: {}", names.join(", "))]
    SecretsMissing {
        /// Names of the secrets.
        names: Vec<String>,
    },
    /// A number is out of its range.
    #[error("{what}")]
    BadNumber {
        /// What is expected.
        what: String,
    },
    /// Only webhooks are signed.
    #[error(
        "only webhooks have a secret for signatures, and `{name}` is none; change its secrets with annals streams change"
    )]
    NoSignatures {
        /// The stream.
        name: String,
    },
    /// The query has errors.
    #[error("the query has errors, and only a query without them can be streamed")]
    Query(QueryErrors),
    /// There are as many as there may be.
    #[error("a log has {STREAMS_MAX} streams at most; delete those that are not used")]
    TooMany,
    /// Enough replays wait.
    #[error(
        "{REPLAYS_MAX} replays of this stream wait already; wait for them, or give them up: annals streams replay NAME --cancel"
    )]
    TooManyReplays,
    /// A seq that the stream has not reached.
    #[error("the stream has not sent seq {seq} yet, it is at {next_seq}: what is not sent comes by itself")]
    NotSentYet {
        /// What was asked for.
        seq: u64,
        /// Where the stream is.
        next_seq: u64,
    },
    /// A seq beyond the end of the log.
    #[error("the log has no seq {seq} yet, it is at {next_seq}; a stream begins there at most")]
    BeyondTheEnd {
        /// What was asked for.
        seq: u64,
        /// The next seq of the log.
        next_seq: u64,
    },
    /// A range that ends before it begins.
    #[error("the range from seq {first_seq} to {last_seq} ends before it begins")]
    EmptyRange {
        /// The first seq.
        first_seq: u64,
        /// The last seq.
        last_seq: u64,
    },
    /// No dead letter of that seq.
    #[error("seq {seq} is no dead letter of the stream `{name}`")]
    NoDeadLetter {
        /// What was asked for.
        seq: u64,
        /// The stream.
        name: String,
    },
    /// The query was another one then.
    #[error(
        "the query of the stream was changed at seq {query_seq}: what it took before, such as seq {seq}, is not compared any more"
    )]
    OtherQuery {
        /// What was asked for.
        seq: u64,
        /// Where the query was changed.
        query_seq: u64,
    },
    /// The query moves with the clock.
    #[error(
        "the query of a stream cannot move with the clock, as since:24h does: events would leave it before they are sent; give a date, or none"
    )]
    MovingTime,
    /// The kind has one writer.
    #[error("a stream of kind `{kind}` sends one batch at a time: parallel is 1")]
    SingleFile {
        /// The kind.
        kind: String,
    },
    /// Another stream writes to the same place.
    #[error("the stream `{name}` writes to that file already; give this one another")]
    PlaceTaken {
        /// The other stream.
        name: String,
    },
    /// The secrets cannot be kept or read.
    #[error(transparent)]
    Secrets(#[from] StreamSecretsError),
    /// It could not be recorded, so it did not happen.
    #[error("it could not be recorded in the log, so nothing was changed: {0}")]
    Record(#[source] IngestError),
    /// The log cannot be searched.
    #[error(transparent)]
    Search(SearchError),
    /// The log failed.
    #[error(transparent)]
    Engine(#[from] EngineError),
}

fn kinds() -> String {
    annals_sink::KINDS.iter().map(|kind| kind.name).collect::<Vec<_>>().join(", ")
}

fn faults(faults: &[SettingFault]) -> String {
    faults.iter().map(ToString::to_string).collect::<Vec<_>>().join("; ")
}

impl From<StoreError> for StreamError {
    fn from(error: StoreError) -> StreamError {
        match error {
            StoreError::NameTaken { name, .. } => StreamError::NameTaken { name },
            other => StreamError::Engine(other.into()),
        }
    }
}

impl From<SearchError> for StreamError {
    fn from(error: SearchError) -> StreamError {
        match error {
            SearchError::Query(errors) => StreamError::Query(errors),
            other => StreamError::Search(other),
        }
    }
}
